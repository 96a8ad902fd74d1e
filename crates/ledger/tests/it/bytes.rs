//! Records, bodies and snapshots as bytes: what is written comes back, and no bytes whatever do harm.

use bincard_ledger::codec::{Body, BodyRef, DecodeError, RawRecord, Writer};
use bincard_ledger::{
    CloseCommand, Command, Event, ExtendCommand, Kind, Line, Position, Reason, ReceiveCommand, Record, State,
    StockCommand, Timestamp, VariantNo, WarehouseNo, decide, snapshot,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::arbitrary;
use crate::golden;

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn records_come_back_as_they_were(records in vec(arbitrary::record(), 0..6), at in arbitrary::instant()) {
        let body = body_of(&records, at);
        let read = BodyRef::parse(&body).unwrap();
        prop_assert_eq!((read.recorded_at(), read.count() as usize), (at, records.len()));
        for (raw, record) in read.records().zip(&records) {
            let head = raw.unwrap().head().unwrap();
            let key = record.key.as_ref().map(|key| (key.key.space, &*key.key.text, key.fingerprint));
            prop_assert_eq!((head.stream, head.version, head.key), (record.event.stream(), record.version, key));
        }
        prop_assert_eq!(decode(&body).unwrap(), &records[..]);
        let bare: Vec<_> = records.into_iter().map(without_words).collect();
        prop_assert_eq!(decode_run_together(&body).unwrap(), bare);
    }

    #[test]
    fn a_cleared_body_is_as_good_as_new(first in arbitrary::record(), then in arbitrary::record(), at in arbitrary::instant()) {
        let mut body = Body::new(Timestamp::MIN);
        body.push(&first);
        body.clear(at);
        prop_assert!(body.is_empty());
        body.push(&then);
        prop_assert_eq!(body.as_bytes(), body_of(&[then], at));
    }

    #[test]
    fn random_bytes_are_refused_or_read_but_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        check_body(&bytes)?;
        check_snapshot(&bytes)?;
        let mut body = body_of(&[], Timestamp::default());
        body[9] = 1;
        body.push(bytes.len().min(127) as u8);
        body.extend(bytes.iter().take(127));
        check_body(&body)?;
        check_snapshot(&[&[1u8][..], &bytes].concat())?;
    }

    #[test]
    fn damaged_bodies_are_refused_or_read_but_never_panic(
        records in vec(arbitrary::record(), 1..4),
        damage in vec(damage(), 1..4),
    ) {
        let mut body = body_of(&records, Timestamp::default());
        damage.iter().for_each(|one| one.on(&mut body));
        check_body(&body)?;
    }

    #[test]
    fn damaged_snapshots_are_refused_or_read_but_never_panic(damage in vec(damage(), 0..4)) {
        let mut bytes = snapshot::encode(&golden::state());
        damage.iter().for_each(|one| one.on(&mut bytes));
        check_snapshot(&bytes)?;
    }
}

#[test]
fn every_truncation_of_a_body_is_refused() {
    let body = body_of(&golden::records(), golden::RECORDED_AT);
    for length in 0..body.len() {
        assert!(
            decode(&body[..length]).is_err(),
            "{length} of {} bytes",
            body.len()
        );
    }
    let longer = [&body[..], &[0]].concat();
    assert_eq!(decode(&longer), Err(DecodeError::TrailingBytes { count: 1 }));
}

#[test]
fn every_truncation_of_a_snapshot_is_refused() {
    let bytes = snapshot::encode(&golden::state());
    for length in 0..bytes.len() {
        assert!(
            snapshot::decode(&bytes[..length]).is_err(),
            "{length} of {} bytes",
            bytes.len()
        );
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(snapshot::decode(&longer).is_err());
}

/// Room for so many things would be more than any machine has: taking it on trust would panic or abort.
#[test]
fn nothing_is_allocated_by_a_claimed_count() {
    const CLAIMED: u64 = 1 << 60;
    let mut record = Writer::default();
    record.bytes(&[1, 0, 1, 1]); // an INBOUND at warehouse 1, version 1
    record.bytes(&[0; 16]);
    record.signed(0);
    record.varint(CLAIMED); // postings
    let mut body = body_of(&[], Timestamp::default());
    body[9] = 1;
    body.push(record.as_slice().len() as u8);
    body.extend_from_slice(record.as_slice());
    assert_eq!(decode(&body), Err(DecodeError::Short));

    let mut many = body_of(&[], Timestamp::default());
    many[9..13].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(decode(&many), Err(DecodeError::Short));

    // Warehouses, products, variants, stock, orders, transfers: each list in its turn claims too much.
    for list in 0..6 {
        let mut claims = Writer::default();
        claims.bytes(&[1, 0, 0, 0]);
        (0..list).for_each(|_| claims.u8(0));
        claims.varint(CLAIMED);
        assert_eq!(
            snapshot::decode(claims.as_slice()).err(),
            Some(DecodeError::Short),
            "list {list}"
        );
    }
}

#[test]
fn a_number_has_one_encoding() {
    let mut body = body_of(&[], Timestamp::default());
    body[9] = 1;
    body.extend([0x80, 0x00]); // a length of 0 in two bytes
    assert_eq!(decode(&body), Err(DecodeError::NumberTooLong));
}

/// A list of nothing is written as no list: with both, a record would have two spellings.
#[test]
fn a_list_that_notes_nothing_is_refused() {
    let record = |noted: &[u64]| {
        let mut record = Writer::default();
        record.u8(Kind::Reservation.code());
        record.varint(1 << 8);
        record.bytes(&[1, 1]); // warehouse 1, version 1
        record.bytes(&[0; 16]);
        record.signed(0);
        noted.iter().for_each(|number| record.varint(*number));
        record.varint(0); // postings
        let mut body = body_of(&[], Timestamp::default());
        body[9] = 1;
        body.push(record.as_slice().len() as u8);
        body.extend_from_slice(record.as_slice());
        decode(&body)
    };
    let what = "a list that notes nothing";
    assert_eq!(record(&[0]), Err(DecodeError::Impossible { what }));
    assert_eq!(record(&[1 << 60]), Err(DecodeError::Short));
    let too_many = (i64::MAX as u64) + 1;
    assert_eq!(record(&[1, 7, too_many]), Err(DecodeError::NumberTooLarge));
    assert!(record(&[1, 7, 5]).is_ok());
}

/// A snapshot of two warehouses and two variants, from its head on, and what else is said.
fn snapshot_of(
    head: u64,
    skus: [&str; 2],
    stock: &[&[u64]],
    orders: &[&[u64]],
    transits: &[&[u64]],
) -> Vec<u8> {
    let mut w = Writer::default();
    w.u8(1);
    w.varint(head);
    w.bytes(&[0, 0, 2]);
    for code in ["N", "S"] {
        w.text(code);
        w.bytes(&[1, 0]);
    }
    w.bytes(&[0, 2]);
    for sku in skus {
        w.text(sku);
        w.bytes(&[1, 0]);
    }
    let list = |w: &mut Writer, items: &[&[u64]]| {
        w.varint(items.len() as u64);
        items
            .iter()
            .copied()
            .flatten()
            .for_each(|number| w.varint(*number));
    };
    list(&mut w, stock);
    list(&mut w, orders);
    list(&mut w, transits);
    w.as_slice().to_vec()
}

#[test]
fn a_snapshot_that_cannot_be_is_refused() {
    const MAX: u64 = i64::MAX as u64;
    // Texts are a length and a letter: 1, 65 is "A". A reservation: id, warehouse, no expiry, lines.
    let order: &[u64] = &[1, 65, 2, 5, 1, 0, 1, 1, 1, 0, 0, 6, 1, 0, 1, 1, 1, 0, 0];
    let reserved: &[u64] = &[1, 1, MAX - 2, 2, 0, 0, 0];
    let sound = snapshot_of(
        9,
        ["A", "B"],
        &[reserved, &[1, 2, 1, 0, 0, 0, 0]],
        &[order],
        &[&[1, 84, 1, 1, 1]],
    );
    assert!(snapshot::decode(&sound).is_ok(), "{:?}", snapshot::decode(&sound));
    let (skus, no) = (["A", "B"], &[][..]);
    let refused: [(&str, Vec<u8>); 16] = [
        (
            "a reservation of no stock",
            snapshot_of(9, skus, no, &[order], no),
        ),
        (
            "a reservation of stock that is free",
            snapshot_of(9, skus, &[&[1, 1, MAX, 0, 0, 0, 0]], &[order], no),
        ),
        ("a head beyond positions", snapshot_of(1 << 50, skus, no, no, no)),
        ("one SKU twice", snapshot_of(9, ["A", "A"], no, no, no)),
        (
            "more on hand than can be",
            snapshot_of(9, skus, &[&[1, 1, MAX, 1, 0, 0, 0]], no, no),
        ),
        (
            "a bucket larger than can be",
            snapshot_of(9, skus, &[&[1, 1, 0, MAX + 1, 0, 0, 0]], no, no),
        ),
        (
            "stock of nothing",
            snapshot_of(9, skus, &[&[1, 1, 0, 0, 0, 0, 0]], no, no),
        ),
        (
            "stock of no variant",
            snapshot_of(9, skus, &[&[1, 3, 1, 0, 0, 0, 0]], no, no),
        ),
        (
            "stock at no warehouse",
            snapshot_of(9, skus, &[&[3, 1, 1, 0, 0, 0, 0]], no, no),
        ),
        (
            "stock out of order",
            snapshot_of(9, skus, &[&[1, 2, 1, 0, 0, 0, 0], &[1, 1, 1, 0, 0, 0, 0]], no, no),
        ),
        (
            "an order without reservations",
            snapshot_of(9, skus, no, &[&[1, 65, 0]], no),
        ),
        (
            "an order twice",
            snapshot_of(9, skus, &[reserved], &[order, order], no),
        ),
        (
            "a reservation twice",
            snapshot_of(
                9,
                skus,
                &[reserved],
                &[&[1, 65, 2, 5, 1, 0, 1, 1, 1, 0, 0, 5, 1, 0, 1, 1, 1, 0, 0]],
                no,
            ),
        ),
        (
            "a reservation of nothing",
            snapshot_of(9, skus, &[reserved], &[&[1, 65, 1, 5, 1, 0, 1, 1, 0, 0, 0]], no),
        ),
        (
            "a transfer of nothing",
            snapshot_of(9, skus, no, no, &[&[1, 84, 1, 1, 0]]),
        ),
        (
            "a transfer without lines",
            snapshot_of(9, skus, no, no, &[&[1, 84, 0]]),
        ),
    ];
    // Version 2 has sections behind the rest.
    let behind = |section: &[u8]| [&[2], &snapshot_of(9, skus, no, no, no)[1..], section].concat();
    assert!(snapshot::decode(&behind(&[2, 1, 5, 1])).is_ok());
    // Counted at 2, and the reservation at 5 made at 3.
    let begun = |section: &[u8]| {
        let ordered = snapshot_of(9, skus, &[reserved], &[order], no);
        [&[2], &ordered[1..], section].concat()
    };
    assert!(snapshot::decode(&begun(&[4, 1, 1, 1, 4, 5, 1, 5, 6])).is_ok());
    let refused = refused.into_iter().chain([
        ("nothing begun", begun(&[4, 1, 1, 1, 4, 5, 0])),
        (
            "something begun that is not there",
            begun(&[4, 1, 1, 1, 4, 5, 1, 4, 6]),
        ),
        ("something begun twice", begun(&[4, 1, 1, 1, 4, 5, 2, 5, 6, 5, 6])),
        (
            "something begun when it was counted",
            begun(&[4, 1, 1, 1, 4, 5, 1, 5, 4]),
        ),
        (
            "something begun of what was not counted",
            begun(&[4, 1, 1, 2, 4, 5, 1, 5, 6]),
        ),
        (
            "two counts of the same",
            begun(&[3, 2, 5, 1, 0, 0, 0, 0, 6, 1, 0, 0, 0, 0]),
        ),
        ("an exception at no warehouse", behind(&[2, 1, 5, 3])),
        ("an exception of what is to come", behind(&[2, 1, 10, 1])),
        ("an exception twice", behind(&[2, 2, 5, 1, 5, 1])),
        ("a section twice", behind(&[2, 1, 5, 1, 2, 1, 6, 1])),
        ("a section of no exceptions", behind(&[2, 0])),
        ("an unknown section", behind(&[99, 0])),
    ]);
    for (what, bytes) in refused {
        assert!(snapshot::decode(&bytes).is_err(), "{what}");
    }
}

fn body_of(records: &[Record], recorded_at: Timestamp) -> Vec<u8> {
    let mut body = Body::new(recorded_at);
    records.iter().for_each(|record| body.push(record));
    body.as_bytes().to_vec()
}

fn decode(body: &[u8]) -> Result<Vec<Record>, DecodeError> {
    let read = |raw: RawRecord| {
        let (whole, bare) = (raw.decode(), raw.decode_bare());
        // Without its words a record is the same, and as good or as bad.
        assert_eq!(bare, whole.clone().map(without_words));
        whole
    };
    BodyRef::parse(body)?.records().map(|raw| read(raw?)).collect()
}

/// Reads the records of a body as they are without their lengths.
fn decode_run_together(body: &[u8]) -> Result<Vec<Record>, DecodeError> {
    let body = BodyRef::parse(body)?;
    let raws: Vec<_> = body.records().collect::<Result<_, _>>()?;
    let together: Vec<u8> = raws.iter().flat_map(|raw| raw.as_bytes()).copied().collect();
    let mut rest = &together[..];
    let read = |raw: &RawRecord| {
        let leading = RawRecord::leading(rest, body.recorded_at())?;
        assert_eq!(leading.raw.as_bytes(), raw.as_bytes());
        assert_eq!(leading.raw.recorded_at(), body.recorded_at());
        assert_eq!(Ok(leading.head), raw.head());
        rest = &rest[raw.as_bytes().len()..];
        Ok(leading.bare)
    };
    raws.iter().map(read).collect()
}

fn without_words(mut record: Record) -> Record {
    record.key = None;
    if let Event::Stock(stock) = &mut record.event {
        stock.notes = None;
    }
    record
}

/// What can be read is written again as it was: nothing in the bytes was overlooked.
fn check_body(bytes: &[u8]) -> Result<(), TestCaseError> {
    // Read as a record without a length, they are one that begins them, or refused.
    if let Ok(leading) = RawRecord::leading(bytes, Timestamp::default()) {
        prop_assert!(bytes.starts_with(leading.raw.as_bytes()));
        prop_assert_eq!(leading.raw.decode_bare(), Ok(leading.bare));
    }
    if let Ok(read) = BodyRef::parse(bytes) {
        let _: Vec<_> = read
            .records()
            .map(|raw| raw.and_then(|raw| raw.head().map(|_| ())))
            .collect();
        if let Ok(records) = decode(bytes) {
            prop_assert_eq!(body_of(&records, read.recorded_at()), bytes);
        }
    }
    Ok(())
}

/// What can be read is written again as it was, and can be decided on.
pub(crate) fn check_snapshot(bytes: &[u8]) -> Result<(), TestCaseError> {
    let Ok(state) = snapshot::decode(bytes) else {
        return Ok(());
    };
    prop_assert_eq!(snapshot::encode(&state), bytes);
    decide_anything(&state);
    Ok(())
}

fn decide_anything(state: &State) {
    let now = Timestamp::from_micros(i64::MAX / 64);
    for kind in Kind::ALL {
        for variant in 1..=3 {
            let line = Line {
                variant: VariantNo(variant),
                quantity: 1_000_000_000,
            };
            let mut command = StockCommand::new(kind, WarehouseNo(1), [line]);
            command.order = kind.needs_order().then(|| "O-1".into());
            command.transfer = kind.needs_transfer().then(|| "T-1".into());
            let mut of_one = command.clone();
            of_one.reservation = Some(Position(21));
            let mut all_of_one = of_one.clone();
            all_of_one.lines.clear();
            let mut partial = command.clone();
            partial.is_partial = true;
            let mut dispatch = command.clone();
            dispatch.counterpart = Some(WarehouseNo(2));
            for command in [command, of_one, all_of_one, partial, dispatch] {
                let _ = decide(state, &Command::Stock(command), now);
            }
        }
    }
    let extend = ExtendCommand {
        version: None,
        warehouse: WarehouseNo(1),
        order: "O-1".into(),
        reservation: Position(21),
        expires_at: None,
        notes: None,
    };
    let _ = decide(state, &Command::Extend(extend), Timestamp::MIN);
    for (transfer, open) in state.transfers() {
        let receive = ReceiveCommand {
            version: None,
            lots: Vec::new(),
            transfer,
            warehouse: open.destination,
            occurred_at: None,
            lines: Vec::new(),
            notes: None,
        };
        let _ = decide(state, &Command::Receive(receive), now);
        let close = CloseCommand {
            version: None,
            transfer,
            reason: Reason::Other,
            notes: None,
        };
        let _ = decide(state, &Command::Close(close), now);
    }
    let _ = decide(
        state,
        &Command::ExpireDue { reservations_max: 10 },
        Timestamp::MAX,
    );
}

#[derive(Clone, Debug)]
pub(crate) enum Damage {
    Flip(Index, u8),
    Remove(Index),
    Insert(Index, u8),
    Cut(Index),
}

impl Damage {
    pub(crate) fn on(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Damage::Flip(at, bit) => {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            Damage::Remove(at) => drop(bytes.remove(at.index(bytes.len()))),
            Damage::Insert(at, byte) => bytes.insert(at.index(bytes.len()), *byte),
            Damage::Cut(at) => bytes.truncate(at.index(bytes.len())),
        }
    }
}

pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        6 => (any::<Index>(), 0..8u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        2 => any::<Index>().prop_map(Damage::Remove),
        2 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        1 => any::<Index>().prop_map(Damage::Cut),
    ]
}

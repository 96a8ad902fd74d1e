//! The bytes of counts, fixed for ever like those in [`crate::golden`].

use bincard_ledger::codec::{Body, BodyRef};
use bincard_ledger::{
    Command, CountCommand, CountStep, FoundLine, Kind, Line, Position, Request, StockCommand, Timestamp,
    VariantNo, WarehouseNo, snapshot,
};
use uuid::Uuid;

use crate::golden::{self, RECORDED_AT, bytes_of, hex_of};
use crate::journal::Journal;

const RECORDS: &str = include_str!("../golden/v1/records-counts.txt");
const SNAPSHOT: &str = include_str!("../golden/v1/snapshot-counts.txt");
const FINGERPRINTS: &str = include_str!("../golden/v1/fingerprints-counts.txt");

fn count(step: CountStep) -> Command {
    Command::Count(Box::new(CountCommand {
        version: None,
        warehouse: WarehouseNo(1),
        step,
        notes: None,
    }))
}

fn later(seconds: i64) -> Timestamp {
    RECORDED_AT.saturating_add_micros(seconds * 1_000_000)
}

fn found(variant: u32, counted: i64, at: Option<i64>) -> FoundLine {
    FoundLine {
        variant: VariantNo(variant),
        counted,
        at: at.map(later),
    }
}

/// What goes on behind the golden records: variant 1 has 84 units at warehouse 1, 67 of them available.
fn journal() -> Journal {
    let mut journal = Journal {
        state: golden::state(),
        records: Vec::new(),
    };
    let id = Position(journal.state.head().0 + 1);
    let variants = Some(vec![VariantNo(2), VariantNo(1)]);
    let line = Line {
        variant: VariantNo(1),
        quantity: 3,
    };
    let late = StockCommand {
        occurred_at: Some(later(1)),
        ..StockCommand::new(Kind::Inbound, WarehouseNo(1), [line])
    };
    let mut take = |seconds, command: Command| {
        journal.take(&command, later(seconds)).unwrap();
        journal.state.head()
    };
    let is_blind = true;
    take(0, count(CountStep::Open { is_blind, variants }));
    let lines = vec![found(2, 0, None), found(1, 7, Some(3))];
    take(5, count(CountStep::Submit { count: id, lines }));
    let lines = vec![found(1, 8, Some(2))];
    take(6, count(CountStep::Submit { count: id, lines }));
    take(7, count(CountStep::Approve { count: id }));
    take(8, Command::Stock(late));
    let (is_blind, variants) = (false, None);
    let again = take(8, count(CountStep::Open { is_blind, variants }));
    let lines = vec![found(1, 300, None)];
    take(9, count(CountStep::Submit { count: again, lines }));
    take(
        9,
        Command::Stock(StockCommand::new(Kind::Inbound, WarehouseNo(1), [line])),
    );
    journal
}

#[test]
fn records_are_the_same_both_ways() {
    let mut written = String::new();
    for recorded in journal().records {
        let mut body = Body::new(recorded.recorded_at);
        body.push(&recorded.record);
        let read = BodyRef::parse(body.as_bytes()).unwrap();
        let raw = read.records().next().unwrap().unwrap();
        assert_eq!(raw.decode().unwrap(), recorded.record);
        written += &format!("{} {}\n", recorded.position, hex_of(raw.as_bytes()));
    }
    assert_eq!(written, RECORDS, "\n{written}");
}

#[test]
fn the_snapshot_is_the_same_both_ways() {
    let written = hex_of(&journal().bytes());
    assert_eq!(format!("{written}\n"), SNAPSHOT, "\n{written}");
    let read = snapshot::decode(&bytes_of(SNAPSHOT)).unwrap();
    assert_eq!(snapshot::encode(&read), bytes_of(SNAPSHOT));
    assert_eq!(read.counted_at(WarehouseNo(1), VariantNo(1)), Some(later(2)));
    assert_eq!(read.counts().count(), 1);
}

#[test]
fn fingerprints_are_what_they_always_were() {
    let id = Position(300);
    let submit = |lines| count(CountStep::Submit { count: id, lines });
    let open = |is_blind, variants| count(CountStep::Open { is_blind, variants });
    let commands = [
        open(false, None),
        open(true, None),
        open(false, Some(vec![VariantNo(1)])),
        open(false, Some(vec![VariantNo(1), VariantNo(2)])),
        submit(vec![found(1, 7, None)]),
        submit(vec![found(1, 8, None)]),
        submit(vec![found(1, 7, Some(0))]),
        submit(vec![found(1, 7, None), found(2, 7, None)]),
        count(CountStep::Approve { count: id }),
        count(CountStep::Cancel { count: id }),
    ];
    let hash = |command| {
        let (author, on_behalf_of, key) = (Uuid::nil(), None, None);
        let request = Request {
            command,
            author,
            on_behalf_of,
            key,
        };
        request.fingerprint()
    };
    let hashes = commands.map(hash);
    let now: String = hashes.iter().map(|hash| format!("{hash:016x}\n")).collect();
    assert_eq!(now, FINGERPRINTS, "\n{now}");
    let mut distinct = hashes.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), hashes.len());
}

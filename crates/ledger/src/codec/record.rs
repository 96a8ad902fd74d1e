//! One record: what every record has, and the stock events.
//!
//! Layout: tag u8 · flags varint · stream varint · version varint · [key: space u8, text, fingerprint 8 bytes] ·
//! author 16 bytes · [on behalf of 16 bytes] · content by tag · [notes]. The key stands early so that an index can be
//! rebuilt without decoding the rest; the notes stand last, on their own.

use smallvec::SmallVec;
use uuid::Uuid;

use super::bytes::{DecodeError, Reader, Writer};
use super::{catalogue, count};
use crate::command::{IdempotencyKey, KeySpace};
use crate::event::{Event, Kind, Postings, Reason, Record, RecordedKey, StockEvent};
use crate::id::{Position, Stream, VariantNo, Version, WarehouseNo};
use crate::place::{Place, Posting};
use crate::time::Timestamp;

const HAS_KEY: u64 = 1;
const HAS_ON_BEHALF_OF: u64 = 1 << 1;
const HAS_NOTES: u64 = 1 << 2;
const HAS_REASON: u64 = 1 << 3;
const HAS_ORDER: u64 = 1 << 4;
const HAS_TRANSFER: u64 = 1 << 5;
const HAS_EXPIRES_AT: u64 = 1 << 6;
const HAS_ABOUT: u64 = 1 << 7;
const HAS_NOTED: u64 = 1 << 8;
const HAS_COUNTERPART: u64 = 1 << 9;
const HAS_COUNT: u64 = 1 << 12;
/// The flags that stock events may have; the catalogue's have those of the author and the key only.
const STOCK_FLAGS: u64 = ((1 << 10) - 1) | HAS_COUNT;
const CATALOGUE_FLAGS: u64 = HAS_KEY | HAS_ON_BEHALF_OF;

/// A posting's code: bits 0..4 from, 4..8 to. This bit of the code announces a reservation.
const POSTING_HAS_RESERVATION: u64 = 1 << 8;
const POSTING_CODE: u64 = 0xFF | POSTING_HAS_RESERVATION;
/// Tags from here on are the catalogue's; lower ones are the codes of stock kinds.
pub(super) const CATALOGUE_TAG_MIN: u8 = 64;

/// What an index needs of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordHead<'a> {
    /// The stream it belongs to.
    pub stream: Stream,
    /// Its place in that stream.
    pub version: Version,
    /// The idempotency key's space and text, and the fingerprint of the request that used it.
    pub key: Option<(KeySpace, &'a str, u64)>,
}

/// A record's bytes, whole but not yet looked into.
#[derive(Clone, Copy, Debug)]
pub struct RawRecord<'a> {
    bytes: &'a [u8],
    recorded_at: Timestamp,
}

/// The first of several records that stand one after the other.
#[derive(Debug)]
pub struct Leading<'a> {
    /// Its bytes.
    pub raw: RawRecord<'a>,
    /// What an index needs of it.
    pub head: RecordHead<'a>,
    /// The record without its key and notes, as [`RawRecord::decode_bare`] gives it.
    pub bare: Record,
}

struct Opening<'a> {
    tag: u8,
    flags: u64,
    head: RecordHead<'a>,
}

impl<'a> RawRecord<'a> {
    pub(super) fn new(bytes: &'a [u8], recorded_at: Timestamp) -> RawRecord<'a> {
        RawRecord { bytes, recorded_at }
    }

    /// When it was recorded.
    pub fn recorded_at(&self) -> Timestamp {
        self.recorded_at
    }

    /// The record's bytes, without their length.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Reads the beginning of the record only.
    pub fn head(&self) -> Result<RecordHead<'a>, DecodeError> {
        Ok(read_opening(&mut Reader::new(self.bytes))?.head)
    }

    /// Reads the record.
    pub fn decode(&self) -> Result<Record, DecodeError> {
        self.read(true)
    }

    /// Reads the record, and leaves its idempotency key and its notes out: there is nothing to be allocated where one line
    /// moves. What is left out is checked all the same.
    pub fn decode_bare(&self) -> Result<Record, DecodeError> {
        self.read(false)
    }

    /// Reads the first of records that stand one after the other with nothing in between: where one ends is seen by
    /// reading it.
    pub fn leading(bytes: &'a [u8], recorded_at: Timestamp) -> Result<Leading<'a>, DecodeError> {
        let mut r = Reader::new(bytes);
        let opening = read_opening(&mut r)?;
        let bare = read_rest(&mut r, &opening, recorded_at, false)?;
        let own = bytes.get(..bytes.len().saturating_sub(r.rest().len()));
        let raw = RawRecord::new(own.unwrap_or(bytes), recorded_at);
        let head = opening.head;
        Ok(Leading { raw, head, bare })
    }

    fn read(&self, keeps_words: bool) -> Result<Record, DecodeError> {
        let mut r = Reader::new(self.bytes);
        let opening = read_opening(&mut r)?;
        let record = read_rest(&mut r, &opening, self.recorded_at, keeps_words)?;
        r.finish()?;
        Ok(record)
    }
}

fn read_rest(
    r: &mut Reader<'_>,
    &Opening { tag, flags, head }: &Opening<'_>,
    recorded_at: Timestamp,
    keeps_words: bool,
) -> Result<Record, DecodeError> {
    let author = Uuid::from_bytes(r.array()?);
    let on_behalf_of = read_if(flags, HAS_ON_BEHALF_OF, || r.array().map(Uuid::from_bytes))?;
    let event = match Kind::from_code(tag) {
        Some(kind) => Event::Stock(read_stock(r, kind, flags, head.stream, recorded_at, keeps_words)?),
        None => Event::Catalogue(catalogue::read(r, tag)?),
    };
    if event.stream() != head.stream {
        return Err(DecodeError::Unknown {
            what: "stream",
            code: u64::from(head.stream.code()),
        });
    }
    let key = head.key.filter(|_| keeps_words);
    let key = key.map(|(space, text, fingerprint)| RecordedKey {
        key: IdempotencyKey {
            space,
            text: text.into(),
        },
        fingerprint,
    });
    Ok(Record {
        version: head.version,
        author,
        on_behalf_of,
        key,
        event,
    })
}

fn read_if<T>(
    flags: u64,
    flag: u64,
    read: impl FnOnce() -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    if flags & flag == 0 {
        Ok(None)
    } else {
        read().map(Some)
    }
}

fn read_opening<'a>(r: &mut Reader<'a>) -> Result<Opening<'a>, DecodeError> {
    let tag = r.u8()?;
    let flags = r.varint()?;
    let known = if tag < CATALOGUE_TAG_MIN {
        STOCK_FLAGS
    } else {
        CATALOGUE_FLAGS
    };
    if flags & !known != 0 {
        return Err(DecodeError::Unknown {
            what: "flag",
            code: flags,
        });
    }
    let stream = Stream::from_code(r.varint_u32()?);
    let version = Version(r.varint()?);
    let key = read_if(flags, HAS_KEY, || {
        let space = match r.u8()? {
            0 => KeySpace::Caller,
            1 => KeySpace::Server,
            code => {
                return Err(DecodeError::Unknown {
                    what: "key space",
                    code: u64::from(code),
                });
            }
        };
        Ok((space, r.text()?, u64::from_le_bytes(r.array()?)))
    })?;
    Ok(Opening {
        tag,
        flags,
        head: RecordHead { stream, version, key },
    })
}

fn read_stock(
    r: &mut Reader<'_>,
    kind: Kind,
    flags: u64,
    stream: Stream,
    recorded_at: Timestamp,
    keeps_words: bool,
) -> Result<StockEvent, DecodeError> {
    let Stream::Warehouse(warehouse) = stream else {
        return Err(DecodeError::Unknown {
            what: "stream",
            code: 0,
        });
    };
    // Wrapping here and when written, so that any two instants come back as they were.
    let occurred_at = recorded_at.micros().wrapping_sub(r.signed()?);
    let reason = read_if(flags, HAS_REASON, || {
        let code = r.u8()?;
        Reason::from_code(code).ok_or(DecodeError::Unknown {
            what: "reason",
            code: u64::from(code),
        })
    })?;
    let order = read_if(flags, HAS_ORDER, || r.text().map(Box::from))?;
    let transfer = read_if(flags, HAS_TRANSFER, || r.text().map(Box::from))?;
    let expires_at = read_if(flags, HAS_EXPIRES_AT, || r.signed().map(Timestamp::from_micros))?;
    let about = read_if(flags, HAS_ABOUT, || r.varint().map(Position))?;
    let noted = read_if(flags, HAS_NOTED, || read_noted(r))?.unwrap_or_default();
    let counterpart = read_if(flags, HAS_COUNTERPART, || r.varint_u32().map(WarehouseNo))?;
    let count = read_if(flags, HAS_COUNT, || count::read(r, recorded_at).map(Box::new))?;
    let postings = read_postings(r)?;
    let notes = read_if(flags, HAS_NOTES, || r.text())?;
    let occurred_at = Timestamp::from_micros(occurred_at);
    Ok(StockEvent {
        kind,
        warehouse,
        occurred_at,
        reason,
        order,
        transfer,
        expires_at,
        about,
        noted,
        counterpart,
        count,
        postings,
        notes: notes.filter(|_| keeps_words).map(Box::from),
    })
}

fn read_noted(r: &mut Reader<'_>) -> Result<Vec<(VariantNo, i64)>, DecodeError> {
    let mut noted = Vec::new();
    for _ in 0..r.varint()? {
        noted.push((VariantNo(r.varint_u32()?), quantity(r)?));
    }
    // An empty list is written as no list: a record has one spelling.
    if noted.is_empty() {
        return Err(DecodeError::Impossible {
            what: "a list that notes nothing",
        });
    }
    Ok(noted)
}

fn quantity(r: &mut Reader<'_>) -> Result<i64, DecodeError> {
    i64::try_from(r.varint()?).map_err(|_| DecodeError::NumberTooLarge)
}

fn read_postings(r: &mut Reader<'_>) -> Result<Postings, DecodeError> {
    let count = r.varint()?;
    let mut postings = SmallVec::new();
    for _ in 0..count {
        postings.push(read_posting(r)?);
    }
    Ok(postings)
}

fn read_posting(r: &mut Reader<'_>) -> Result<Posting, DecodeError> {
    let code = r.varint()?;
    let place = |nibble: u64| {
        Place::from_code((nibble & 0xF) as u8).ok_or(DecodeError::Unknown { what: "place", code })
    };
    let (from, to) = (place(code)?, place(code >> 4)?);
    if code & !POSTING_CODE != 0 {
        return Err(DecodeError::Unknown {
            what: "posting",
            code,
        });
    }
    let variant = VariantNo(r.varint_u32()?);
    let quantity = quantity(r)?;
    let reservation = read_if(code, POSTING_HAS_RESERVATION, || r.varint().map(Position))?;
    Ok(Posting {
        variant,
        from,
        to,
        quantity,
        reservation,
    })
}

/// Writes a record, without its length.
pub(super) fn write(w: &mut Writer, record: &Record, recorded_at: Timestamp) {
    let stream = record.event.stream();
    let (tag, content_flags) = match &record.event {
        Event::Stock(event) => (event.kind.code(), stock_flags(event)),
        Event::Catalogue(event) => (catalogue::tag(event), 0),
    };
    w.u8(tag);
    w.varint(content_flags | flag(HAS_KEY, &record.key) | flag(HAS_ON_BEHALF_OF, &record.on_behalf_of));
    w.varint(u64::from(stream.code()));
    w.varint(record.version.0);
    if let Some(RecordedKey { key, fingerprint }) = &record.key {
        w.u8(key.space as u8);
        w.text(&key.text);
        w.bytes(&fingerprint.to_le_bytes());
    }
    w.bytes(record.author.as_bytes());
    if let Some(id) = &record.on_behalf_of {
        w.bytes(id.as_bytes());
    }
    match &record.event {
        Event::Stock(event) => write_stock(w, event, recorded_at),
        Event::Catalogue(event) => catalogue::write(w, event),
    }
}

fn flag<T>(flag: u64, value: &Option<T>) -> u64 {
    if value.is_some() { flag } else { 0 }
}

fn stock_flags(event: &StockEvent) -> u64 {
    flag(HAS_NOTES, &event.notes)
        | flag(HAS_REASON, &event.reason)
        | flag(HAS_ORDER, &event.order)
        | flag(HAS_TRANSFER, &event.transfer)
        | flag(HAS_EXPIRES_AT, &event.expires_at)
        | flag(HAS_ABOUT, &event.about)
        | flag(HAS_COUNTERPART, &event.counterpart)
        | flag(HAS_COUNT, &event.count)
        | if event.noted.is_empty() { 0 } else { HAS_NOTED }
}

fn write_stock(w: &mut Writer, event: &StockEvent, recorded_at: Timestamp) {
    w.signed(recorded_at.micros().wrapping_sub(event.occurred_at.micros()));
    if let Some(reason) = event.reason {
        w.u8(reason.code());
    }
    if let Some(order) = &event.order {
        w.text(order);
    }
    if let Some(transfer) = &event.transfer {
        w.text(transfer);
    }
    if let Some(at) = event.expires_at {
        w.signed(at.micros());
    }
    if let Some(Position(position)) = event.about {
        w.varint(position);
    }
    if !event.noted.is_empty() {
        w.varint(event.noted.len() as u64);
        for (variant, units) in &event.noted {
            w.varint(u64::from(variant.0));
            w.varint(units.unsigned_abs());
        }
    }
    if let Some(WarehouseNo(counterpart)) = event.counterpart {
        w.varint(u64::from(counterpart));
    }
    if let Some(count) = &event.count {
        count::write(w, count, recorded_at);
    }
    w.varint(event.postings.len() as u64);
    for posting in &event.postings {
        write_posting(w, posting);
    }
    if let Some(notes) = &event.notes {
        w.text(notes);
    }
}

fn write_posting(w: &mut Writer, posting: &Posting) {
    let places = u64::from(posting.from.code()) | u64::from(posting.to.code()) << 4;
    w.varint(places | flag(POSTING_HAS_RESERVATION, &posting.reservation));
    w.varint(u64::from(posting.variant.0));
    w.varint(posting.quantity.unsigned_abs());
    if let Some(Position(position)) = posting.reservation {
        w.varint(position);
    }
}

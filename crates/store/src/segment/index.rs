//! Where in a segment what stands: sparse marks from positions to bytes, and each stream's versions.
//!
//! The active segment's index lives in memory. A sealed one's is a file beside it, which is never the truth: when
//! it is missing or damaged, it is made again from the segment.

use bincard_ledger::codec::{self, DecodeError, Writer};
use bincard_ledger::{LedgerId, Position, Stream, Timestamp, Version};
use hashbrown::HashMap;

use crate::chain::Hash;

const MAGIC: [u8; 8] = *b"BINCIDX1";
/// A mark at least every so many bytes.
const MARK_EVERY_BYTES: u64 = 64 << 10;

/// The last version of every stream.
pub(crate) type Versions = HashMap<Stream, Version>;

/// Where a commit begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mark {
    pub(crate) first: Position,
    pub(crate) commit: u64,
    pub(crate) byte: u64,
}

/// The versions of one stream within one segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    pub(crate) first: Version,
    pub(crate) last: Version,
}

/// The index of one segment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Index {
    marks: Vec<Mark>,
    streams: HashMap<Stream, Span>,
}

impl Index {
    /// Takes note of a commit that follows all noted before.
    pub(crate) fn note_commit(&mut self, mark: Mark) {
        let due = self
            .marks
            .last()
            .is_none_or(|last| mark.byte - last.byte >= MARK_EVERY_BYTES);
        if due {
            self.marks.push(mark);
        }
    }

    /// Takes note of a record of such a commit.
    pub(crate) fn note_record(&mut self, stream: Stream, version: Version) {
        self.streams
            .entry(stream)
            .or_insert(Span {
                first: version,
                last: version,
            })
            .last = version;
    }

    /// The last mark at or before a position.
    pub(crate) fn mark_before(&self, position: Position) -> Option<Mark> {
        let after = self.marks.partition_point(|mark| mark.first <= position);
        self.marks.get(after.checked_sub(1)?).copied()
    }

    /// The versions that the segment holds of a stream.
    pub(crate) fn span(&self, stream: Stream) -> Option<Span> {
        self.streams.get(&stream).copied()
    }
}

/// What a sealed segment holds, in short.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Summary {
    pub(crate) segment: u64,
    pub(crate) last_commit: u64,
    pub(crate) last: Position,
    /// Where the last commit ends.
    pub(crate) end_byte: u64,
    pub(crate) hash: Hash,
    pub(crate) recorded_at: Timestamp,
}

/// An index file's content.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct IndexFile {
    pub(crate) summary: Summary,
    pub(crate) index: Index,
    /// Of all streams, at the end of the segment.
    pub(crate) versions: Versions,
}

/// An index file's bytes.
pub(crate) fn encode(ledger: LedgerId, summary: &Summary, index: &Index, versions: &Versions) -> Vec<u8> {
    let mut w = Writer::with_capacity(256 + index.marks.len() * 12 + versions.len() * 8);
    w.bytes(&ledger.0);
    w.varint(summary.segment);
    w.varint(summary.last_commit);
    w.varint(summary.last.0);
    w.varint(summary.end_byte);
    w.bytes(&summary.hash.0);
    w.signed(summary.recorded_at.micros());
    w.varint(index.marks.len() as u64);
    for mark in &index.marks {
        w.varint(mark.first.0);
        w.varint(mark.commit);
        w.varint(mark.byte);
    }
    // In order, so that the same log always makes the same bytes.
    let mut spans: Vec<_> = index.streams.iter().collect();
    spans.sort_unstable_by_key(|(stream, _)| **stream);
    w.varint(spans.len() as u64);
    for (stream, span) in spans {
        w.varint(u64::from(stream.code()));
        w.varint(span.first.0);
        w.varint(span.last.0);
    }
    let mut lasts: Vec<_> = versions.iter().collect();
    lasts.sort_unstable();
    w.varint(lasts.len() as u64);
    for (stream, version) in lasts {
        w.varint(u64::from(stream.code()));
        w.varint(version.0);
    }
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&crc32c::crc32c(w.as_slice()).to_le_bytes());
    bytes.extend_from_slice(w.as_slice());
    bytes
}

/// Reads an index file; `None` when it is not a whole one of this ledger and segment.
pub(crate) fn decode(bytes: &[u8], ledger: LedgerId, segment: u64) -> Option<IndexFile> {
    let content = bytes.strip_prefix(&MAGIC)?;
    let (check, content) = content.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*check) != crc32c::crc32c(content) {
        return None;
    }
    let mut r = codec::Reader::new(content);
    if r.array().ok()? != ledger.0 {
        return None;
    }
    let file = decode_content(&mut r).ok()?;
    (r.finish().is_ok() && file.summary.segment == segment).then_some(file)
}

fn decode_content(r: &mut codec::Reader<'_>) -> Result<IndexFile, DecodeError> {
    let summary = Summary {
        segment: r.varint()?,
        last_commit: r.varint()?,
        last: Position(r.varint()?),
        end_byte: r.varint()?,
        hash: Hash(r.array()?),
        recorded_at: Timestamp::from_micros(r.signed()?),
    };
    let mut index = Index::default();
    for _ in 0..r.varint()? {
        let mark = Mark {
            first: Position(r.varint()?),
            commit: r.varint()?,
            byte: r.varint()?,
        };
        index.marks.push(mark);
    }
    for _ in 0..r.varint()? {
        let stream = Stream::from_code(r.varint_u32()?);
        let span = Span {
            first: Version(r.varint()?),
            last: Version(r.varint()?),
        };
        index.streams.insert(stream, span);
    }
    let mut versions = Versions::new();
    for _ in 0..r.varint()? {
        versions.insert(Stream::from_code(r.varint_u32()?), Version(r.varint()?));
    }
    Ok(IndexFile {
        summary,
        index,
        versions,
    })
}

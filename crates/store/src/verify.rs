//! Checking a whole log.

use std::collections::HashMap;

use bincard_ledger::{Position, Stream, Timestamp, Version};

use crate::chain::Hash;
use crate::error::{Corruption, ReadError};
use crate::reader::{Reader, each_record};

/// How often progress is told, in commits.
const PROGRESS_EVERY: u64 = 256;

/// What a check went over without finding anything wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verified {
    /// How many commits.
    pub commits: u64,
    /// The last position.
    pub position: Position,
    /// The hash of the last commit.
    pub hash: Hash,
}

pub(crate) fn verify(reader: &Reader, mut progress: impl FnMut(Position)) -> Result<Verified, ReadError> {
    let head = reader.head();
    let mut versions: HashMap<Stream, Version> = HashMap::new();
    let mut verified = Verified {
        commits: 0,
        position: Position(0),
        hash: Hash::genesis(reader.ledger()),
    };
    let mut recorded_at = Timestamp::MIN;
    let mut commits = reader.commits(Position(0))?.checking_chain();
    while verified.commits < head.commit {
        let Some(commit) = commits.next()? else { break };
        if commit.recorded_at < recorded_at {
            let what = "recorded before the commit before it".to_owned();
            return Err(wrong(reader, commit.first, what));
        }
        recorded_at = commit.recorded_at;
        each_record(&commit, |position, record| {
            let record = record
                .decode()
                .map_err(|source| ReadError::Decode { position, source })?;
            let last = versions.entry(record.event.stream()).or_default();
            if record.version != last.next() {
                let what = format!("version {} follows version {last}", record.version);
                return Err(wrong(reader, position, what));
            }
            *last = record.version;
            Ok(())
        })?;
        verified = Verified {
            commits: commit.commit,
            position: commit.last(),
            hash: commit.hash,
        };
        if verified.commits.is_multiple_of(PROGRESS_EVERY) {
            progress(verified.position);
        }
    }
    progress(verified.position);
    Ok(verified)
}

fn wrong(reader: &Reader, position: Position, what: String) -> ReadError {
    match reader {
        Reader::Segment(reader) => ReadError::Corrupt(Corruption {
            path: reader.shared().dir.clone(),
            segment: 0,
            byte: 0,
            position,
            what,
        }),
        Reader::Postgres(_) => ReadError::Damaged { position, what },
    }
}

//! One object of a backup: a row of whole commits with their hashes, which can be checked by itself.

use bincard_ledger::codec::BodyRef;
use bincard_ledger::{LedgerId, Position, Timestamp};
use bincard_store::{Commit, Hash, Head};

const MAGIC: [u8; 8] = *b"BINCSHP1";
/// The bytes before the commits.
pub(crate) const HEADER_BYTES: usize = 168;
/// Where the check of everything stands in them.
const CHECK: usize = 136;
/// A chunk is full once its commits have so many bytes; one commit more may go beyond.
pub(crate) const FULL_BYTES: usize = 8 << 20;
/// The length and the hash before every body.
const COMMIT_HEADER_BYTES: usize = 36;

/// A commit as it was shipped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShippedCommit<'a> {
    /// The end of the log after it.
    pub head: Head,
    /// The position of its first record.
    pub first: Position,
    /// Its body, as it was committed.
    pub body: &'a [u8],
}

/// A row of whole commits, checked: every body by its hash, and every hash by the one before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chunk {
    /// Which ledger it is of.
    pub ledger: LedgerId,
    /// The position before it.
    pub before: Position,
    /// The number of the commit before it.
    pub commit_before: u64,
    /// The hash of the commit before it.
    pub previous: Hash,
    /// The end of the log after it.
    pub last: Head,
    bytes: Vec<u8>,
}

impl Chunk {
    /// Checks the bytes of an object from end to end.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn decode(bytes: Vec<u8>) -> Result<Chunk, String> {
        let header = bytes
            .first_chunk::<HEADER_BYTES>()
            .ok_or_else(|| format!("it has {} bytes, fewer than any chunk", bytes.len()))?;
        if header[..8] != MAGIC {
            return Err("it is no chunk of a backup, or of a newer program".to_owned());
        }
        let content = &bytes[HEADER_BYTES..];
        if u64::from_le_bytes(part(header, 128)) != content.len() as u64 {
            return Err("it was cut short, or goes on after its end".to_owned());
        }
        if part::<32>(header, CHECK) != check_of(&header[..CHECK], content) {
            return Err("its bytes do not match their hash".to_owned());
        }
        let chunk = Chunk {
            ledger: LedgerId(part(header, 8)),
            before: Position(u64::from_le_bytes(part(header, 24))),
            commit_before: u64::from_le_bytes(part(header, 40)),
            previous: Hash(part(header, 56)),
            last: Head {
                position: Position(u64::from_le_bytes(part(header, 32))),
                commit: u64::from_le_bytes(part(header, 48)),
                hash: Hash(part(header, 88)),
                recorded_at: Timestamp::from_micros(i64::from_le_bytes(part(header, 120))),
            },
            bytes,
        };
        chunk.check()?;
        Ok(chunk)
    }

    /// Its commits, in order.
    ///
    /// # Errors
    /// Every commit was checked when the chunk was decoded: none of a chunk that there is.
    pub fn commits(&self) -> impl Iterator<Item = Result<ShippedCommit<'_>, String>> {
        let mut rest = &self.bytes[HEADER_BYTES..];
        let mut at = Head {
            position: self.before,
            commit: self.commit_before,
            hash: self.previous,
            recorded_at: Timestamp::MIN,
        };
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let next = take(&mut rest, &at);
            match &next {
                Ok(commit) => at = commit.head,
                Err(_) => rest = &[],
            }
            Some(next)
        })
    }

    /// What it has behind `end`, which one of its commits must have come to with the same hash; `None` where none did.
    pub(crate) fn behind(mut self, end: Head) -> Option<Chunk> {
        let mut bytes = HEADER_BYTES;
        let mut commits = self.commits();
        loop {
            let commit = commits.next()?.ok()?;
            bytes += COMMIT_HEADER_BYTES + commit.body.len();
            if (commit.head.position, commit.head.hash) == (end.position, end.hash) {
                break;
            }
        }
        drop(commits);
        self.bytes.drain(HEADER_BYTES..bytes);
        (self.before, self.commit_before, self.previous) = (end.position, end.commit, end.hash);
        Some(self)
    }

    fn check(&self) -> Result<(), String> {
        let mut last = None;
        for commit in self.commits() {
            last = Some(commit?.head);
        }
        if last == Some(self.last) {
            Ok(())
        } else {
            Err("its commits do not end where it says".to_owned())
        }
    }
}

/// The commit at the beginning of `rest`, which follows `before`.
fn take<'a>(rest: &mut &'a [u8], before: &Head) -> Result<ShippedCommit<'a>, String> {
    let short = || format!("a commit after position {} is cut short", before.position);
    let (header, tail) = rest
        .split_first_chunk::<COMMIT_HEADER_BYTES>()
        .ok_or_else(short)?;
    let length = u32::from_le_bytes(part(header, 0)) as usize;
    let (body, tail) = tail.split_at_checked(length).ok_or_else(short)?;
    let first = before.position.next();
    let parsed = BodyRef::parse(body)
        .map_err(|error| format!("the commit at position {first} cannot be read: {error}"))?;
    let head = Head {
        position: Position(before.position.0.saturating_add(u64::from(parsed.count()))),
        commit: before.commit.saturating_add(1),
        hash: Hash(part(header, 4)),
        recorded_at: parsed.recorded_at(),
    };
    if before.hash.follow(first, body) != head.hash {
        return Err(format!(
            "the commit at position {first} does not match its hash, or does not follow the one before it"
        ));
    }
    *rest = tail;
    Ok(ShippedCommit { head, first, body })
}

/// A chunk in the making.
#[derive(Debug)]
pub(crate) struct Packer {
    ledger: LedgerId,
    before: Head,
    last: Head,
    bytes: Vec<u8>,
}

impl Packer {
    /// Begins one after `before`.
    pub(crate) fn new(ledger: LedgerId, before: Head) -> Packer {
        Packer {
            ledger,
            before,
            last: before,
            bytes: vec![0; HEADER_BYTES],
        }
    }

    /// Adds the commit that follows; `false` when its hash is not what follows.
    pub(crate) fn push(&mut self, commit: &Commit<'_>) -> bool {
        let follows = commit.first == self.last.position.next()
            && commit.hash == self.last.hash.follow(commit.first, commit.body);
        let Ok(length) = u32::try_from(commit.body.len()) else {
            return false;
        };
        if follows {
            self.bytes.extend_from_slice(&length.to_le_bytes());
            self.bytes.extend_from_slice(&commit.hash.0);
            self.bytes.extend_from_slice(commit.body);
            self.last = Head {
                position: commit.last(),
                commit: commit.commit,
                hash: commit.hash,
                recorded_at: commit.recorded_at,
            };
        }
        follows
    }

    /// The end of what is in it.
    pub(crate) fn last(&self) -> Head {
        self.last
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= FULL_BYTES
    }

    /// The bytes of the object; `None` when nothing was added.
    pub(crate) fn finish(mut self) -> Option<Vec<u8>> {
        if self.last.position == self.before.position {
            return None;
        }
        let length = (self.bytes.len() - HEADER_BYTES) as u64;
        let (header, content) = self.bytes.split_at_mut(HEADER_BYTES);
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC);
        put(8, &self.ledger.0);
        put(24, &self.before.position.0.to_le_bytes());
        put(32, &self.last.position.0.to_le_bytes());
        put(40, &self.before.commit.to_le_bytes());
        put(48, &self.last.commit.to_le_bytes());
        put(56, &self.before.hash.0);
        put(88, &self.last.hash.0);
        put(120, &self.last.recorded_at.micros().to_le_bytes());
        put(128, &length.to_le_bytes());
        let check = check_of(&header[..CHECK], content);
        header[CHECK..].copy_from_slice(&check);
        Some(self.bytes)
    }
}

fn check_of(header: &[u8], content: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(header).update(content);
    hasher.finalize().into()
}

/// `N` bytes of a fixed layout, from byte `at`.
fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    part
}

#[cfg(test)]
mod tests {
    use bincard_ledger::codec::Body;

    use super::*;

    const LEDGER: LedgerId = LedgerId([7; 16]);

    /// A chunk of two commits after the first four positions of a log.
    fn chunk() -> Vec<u8> {
        let before = Head {
            position: Position(4),
            commit: 2,
            hash: Hash([9; 32]),
            recorded_at: Timestamp::from_micros(1_000),
        };
        let mut packer = Packer::new(LEDGER, before);
        for (commit, count) in [(3, 2), (4, 1)] {
            let mut body = Body::new(Timestamp::from_micros(2_000 + i64::from(count)));
            for record in 0..count {
                body.push_encoded(&[record; 5]);
            }
            let first = packer.last().position.next();
            let pushed = packer.push(&Commit {
                commit,
                first,
                count: u32::from(count),
                hash: packer.last().hash.follow(first, body.as_bytes()),
                recorded_at: body.recorded_at(),
                body: body.as_bytes(),
            });
            assert!(pushed);
        }
        packer.finish().expect("it has commits")
    }

    /// Bytes of backups are for ever: this value never changes.
    #[test]
    fn a_chunk_is_the_same_bytes_for_ever() {
        let bytes = chunk();
        assert_eq!(blake3::hash(&bytes).to_hex().as_str(), GOLDEN);
        let chunk = Chunk::decode(bytes).expect("it is whole");
        assert_eq!(
            (chunk.ledger, chunk.before, chunk.commit_before),
            (LEDGER, Position(4), 2)
        );
        let heads: Vec<_> = chunk
            .commits()
            .map(|commit| commit.expect("it is whole").head)
            .collect();
        assert_eq!(
            heads.iter().map(|head| head.position.0).collect::<Vec<_>>(),
            [6, 7]
        );
        assert_eq!(heads.last(), Some(&chunk.last));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let bytes = chunk();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert!(Chunk::decode(flipped).is_err(), "bit {bit} of byte {at}");
            }
            assert!(Chunk::decode(bytes[..at].to_vec()).is_err(), "cut at {at}");
        }
        let mut longer = bytes;
        longer.push(0);
        assert!(Chunk::decode(longer).is_err());
    }

    #[test]
    fn a_commit_that_does_not_follow_is_not_taken() {
        let mut packer = Packer::new(LEDGER, Head::empty(LEDGER));
        let mut body = Body::new(Timestamp::from_micros(5));
        body.push_encoded(&[1, 2, 3]);
        let mut commit = Commit {
            commit: 1,
            first: Position(1),
            count: 1,
            hash: Hash([0; 32]),
            recorded_at: body.recorded_at(),
            body: body.as_bytes(),
        };
        assert!(!packer.push(&commit));
        commit.hash = Hash::genesis(LEDGER).follow(Position(1), commit.body);
        assert!(packer.push(&commit) && !packer.push(&commit));
    }

    const GOLDEN: &str = "18b27257afb75d38f80f5429466ca9697263f51e3b5ce4ed8f1b31743a9e7a19";
}

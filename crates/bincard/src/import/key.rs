//! Idempotency keys of imported events: derived from what the event is, never from where the file lies, so that
//! importing twice, in whatever way, records once.

use bincard_ledger::{Kind, Reason};
use hashbrown::HashMap;
use std::collections::VecDeque;

use super::mapping::is_source;
use super::when::Moment;

/// What every key of an imported event begins with.
const PREFIX: &str = "import:";
/// How many hexadecimal digits of the hash stand in a key.
const HASH_DIGITS: usize = 32;
/// How many events back a reference may return and still be counted on. Bounds the memory of an import; where a
/// reference returns from further back, the ledger itself refuses the event as one that it knows with other lines.
const RETURNS_MAX: usize = 1 << 18;

/// What rows have in common that make one event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Identity<'a> {
    pub(crate) source: &'a str,
    pub(crate) reference: &'a str,
    pub(crate) kind: Kind,
    pub(crate) reason: Option<Reason>,
    pub(crate) moment: Moment,
    pub(crate) warehouse_code: &'a str,
}

/// Counts the parts of events: a part is made when there are too many lines for one, or when a reference returns
/// after others.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    counts: HashMap<u64, u32, foldhash::fast::FixedState>,
    order: VecDeque<u64>,
}

impl Parts {
    /// The key of the next part of the event that `identity` names.
    pub(crate) fn key(&mut self, identity: &Identity<'_>) -> Box<str> {
        let mut hasher = identity.hasher();
        let mut short = [0; 8];
        hasher.finalize_xof().fill(&mut short);
        let part = self.next(u64::from_le_bytes(short));
        hasher.update(&part.to_le_bytes());
        let hash = hasher.finalize().to_hex();
        format!("{PREFIX}{}:{}", identity.source, &hash[..HASH_DIGITS]).into()
    }

    /// Notes an event whose key the file gives; whether it is the first with this key.
    pub(crate) fn is_first(&mut self, key: &str) -> bool {
        let mut short = [0; 8];
        let mut hash = blake3::Hasher::new();
        hash.update(key.as_bytes()).finalize_xof().fill(&mut short);
        self.next(u64::from_le_bytes(short)) == 1
    }

    fn next(&mut self, hash: u64) -> u32 {
        if let Some(count) = self.counts.get_mut(&hash) {
            *count += 1;
            return *count;
        }
        if self.order.len() == RETURNS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.counts.remove(&oldest);
        }
        self.order.push_back(hash);
        self.counts.insert(hash, 1);
        1
    }
}

/// Whether `text` is a key that an import made.
pub(crate) fn is_key(text: &str) -> bool {
    let parts = text.strip_prefix(PREFIX).and_then(|rest| rest.split_once(':'));
    parts.is_some_and(|(source, hash)| {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        is_source(source) && hash.len() == HASH_DIGITS && hash.bytes().all(is_digit)
    })
}

impl Identity<'_> {
    /// Feeds everything that names the event, each with its length. Keys are for ever: this never changes.
    fn hasher(&self) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new();
        for text in [self.reference, self.warehouse_code] {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.update(&[self.kind.code(), self.reason.map_or(0, Reason::code)]);
        hasher.update(&self.moment.at.micros().to_le_bytes());
        hasher
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bincard_ledger::{IdempotencyKey, Timestamp, command::KeySpace};

    const SALE: Identity<'_> = Identity {
        source: "online-retail",
        reference: "536365",
        kind: Kind::Outbound,
        reason: Some(Reason::Sale),
        moment: Moment {
            at: Timestamp::from_micros(1_291_191_960_000_000),
            month: 201_012,
        },
        warehouse_code: "UK-1",
    };

    #[test]
    fn keys_stay_what_they_were_for_ever() {
        let key = Parts::default().key(&SALE);
        assert_eq!(&*key, "import:online-retail:d417e9422f2abefd3e17fa6c4302909d");
        assert!(IdempotencyKey::parse(KeySpace::Caller, &key).is_ok());
    }

    #[test]
    fn only_keys_that_imports_make_are_taken_from_files() {
        assert!(is_key(&Parts::default().key(&SALE)));
        let hash = "d417e9422f2abefd3e17fa6c4302909d";
        for wrong in [
            String::new(),
            hash.to_owned(),
            format!("import:{hash}"),
            format!("import::{hash}"),
            format!("import:a b:{hash}"),
            format!("import:shop:{}", &hash[1..]),
            format!("import:shop:{}", hash.to_uppercase()),
            format!("import:shop:{hash}0"),
            format!("order:shop:{hash}"),
        ] {
            assert!(!is_key(&wrong), "{wrong}");
        }
    }

    #[test]
    fn everything_that_names_an_event_changes_its_key() {
        let mut parts = Parts::default();
        let others = [
            SALE,
            SALE,
            Identity {
                source: "other",
                ..SALE
            },
            Identity {
                reference: "536366",
                ..SALE
            },
            Identity {
                kind: Kind::Inbound,
                ..SALE
            },
            Identity { reason: None, ..SALE },
            Identity {
                warehouse_code: "UK-2",
                ..SALE
            },
            Identity {
                moment: Moment {
                    at: Timestamp::from_micros(0),
                    month: 197_001,
                },
                ..SALE
            },
        ];
        let keys: std::collections::BTreeSet<_> = others.iter().map(|one| parts.key(one)).collect();
        assert_eq!(keys.len(), others.len());
    }

    #[test]
    fn memory_for_parts_is_bounded() {
        let mut parts = Parts::default();
        for hash in 0..RETURNS_MAX as u64 + 10 {
            assert_eq!(parts.next(hash), 1);
        }
        assert_eq!(parts.counts.len(), RETURNS_MAX);
        assert_eq!(parts.next(RETURNS_MAX as u64), 2);
    }
}

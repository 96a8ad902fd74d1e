//! Instants, as the ledger counts them.

/// An instant in UTC: microseconds since 1970-01-01T00:00:00Z, negative before it. Leap seconds are not counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest instant there is.
    pub const MIN: Timestamp = Timestamp(i64::MIN);
    /// The latest instant there is.
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// An instant from microseconds since the Unix epoch.
    pub const fn from_micros(micros: i64) -> Timestamp {
        Timestamp(micros)
    }

    /// Microseconds since the Unix epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// This instant and `micros` microseconds more (or fewer); stops at the ends of the range.
    pub const fn saturating_add_micros(self, micros: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(micros))
    }
}

//! What a warehouse's owner decides about it.

/// What happens when a physical fact takes more than is available. The number is the one in records: stable for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u8)]
pub enum NegativeStock {
    /// It is refused.
    #[default]
    Forbid = 0,
    /// It is recorded, available falls below zero, and an exception says so.
    Record = 1,
}

impl NegativeStock {
    /// The number that stands for this policy in records.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The policy that `code` stands for.
    pub const fn from_code(code: u8) -> Option<NegativeStock> {
        match code {
            0 => Some(NegativeStock::Forbid),
            1 => Some(NegativeStock::Record),
            _ => None,
        }
    }
}

//! What the benches share: the requests, the contenders to compare with, and the table of figures. A bench is
//! a program in `benches/`; each also runs at small size as a test, so that none rots.

pub mod bare;
pub mod figures;
pub mod http;
pub mod peers;
pub mod product;
pub mod rival;
pub mod sampling;
pub mod views;
pub mod wire;

use std::time::Duration;

/// How much a bench does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Just enough to see that it works, for tests.
    Small,
    /// Enough to measure.
    Full,
}

impl Size {
    /// From the command line: small with `--small` (or with `--test`, which cargo itself may give), else full.
    #[must_use]
    pub fn from_arguments() -> Size {
        if std::env::args().any(|argument| argument == "--small") {
            Size::Small
        } else {
            Size::Full
        }
    }

    /// `small` or `full`, by the size.
    #[must_use]
    pub fn pick<T>(self, small: T, full: T) -> T {
        match self {
            Size::Small => small,
            Size::Full => full,
        }
    }

    /// How long one measurement takes.
    #[must_use]
    pub fn measure_for(self) -> Duration {
        self.pick(Duration::from_millis(150), Duration::from_secs(6))
    }
}

//! What the benches share: the requests, the contenders to compare with, and the table of figures. A bench is
//! a program in `benches/`; each also runs at small size as a test, so that none rots.

pub mod bare;
pub mod driving;
pub mod figures;
pub mod http;
pub mod peers;
pub mod product;
pub mod reconcile;
pub mod rival;
pub mod sampling;
pub mod views;
pub mod wire;

use anyhow::Context as _;
use std::time::Duration;

/// The whole number behind an option of the command line, such as `--events 1_000_000`; `None` where it is left out.
///
/// # Errors
/// When no whole number follows it.
pub fn number_after(option: &str) -> anyhow::Result<Option<u64>> {
    let mut arguments = std::env::args().skip_while(|argument| argument != option);
    if arguments.next().is_none() {
        return Ok(None);
    }
    let number = arguments
        .next()
        .with_context(|| format!("{option} needs a number"))?;
    let read = number.replace('_', "").parse();
    read.map(Some)
        .with_context(|| format!("{option} {number} is no number"))
}

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

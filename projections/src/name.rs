//! The names of the views.

use std::fmt;

/// A view: what it holds stands in the module of its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ViewName {
    /// What is where now.
    Stock,
    /// What moved, and what was where on every day.
    History,
    /// Warehouses, products and variants.
    Catalogue,
    /// What orders hold, and what became of it.
    Reservations,
    /// What somebody is to see to.
    Exceptions,
    /// What went from one warehouse to another, and what is on the way.
    Transfers,
    /// What was counted, and what came of it.
    Counts,
}

impl ViewName {
    /// Every view.
    pub const ALL: [ViewName; ViewName::COUNT] = [
        ViewName::Stock,
        ViewName::History,
        ViewName::Catalogue,
        ViewName::Reservations,
        ViewName::Exceptions,
        ViewName::Transfers,
        ViewName::Counts,
    ];
    /// How many views there are.
    pub const COUNT: usize = 7;

    /// The name in files, routes and commands.
    pub const fn as_str(self) -> &'static str {
        match self {
            ViewName::Stock => "stock",
            ViewName::History => "history",
            ViewName::Catalogue => "catalogue",
            ViewName::Reservations => "reservations",
            ViewName::Exceptions => "exceptions",
            ViewName::Transfers => "transfers",
            ViewName::Counts => "counts",
        }
    }

    /// The view that `text` names.
    pub fn parse(text: &str) -> Option<ViewName> {
        ViewName::ALL.into_iter().find(|view| view.as_str() == text)
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for ViewName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

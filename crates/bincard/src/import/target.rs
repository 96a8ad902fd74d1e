//! Where an import goes: a ledger in a stopped data folder, or a running server. Both record the same events under the
//! same keys, so that one may go on where the other stopped.

mod folder;
mod server;

pub(crate) use folder::FolderTarget;
pub(crate) use server::ServerTarget;

use bincard_ledger::Position;

use super::plan::{PlannedEvent, PlannedVariant, PlannedWarehouse};

/// What became of an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// It was recorded now.
    Recorded,
    /// It was recorded before.
    Replayed,
    /// It was refused, for this reason. Its key is not used up.
    Refused(String),
    /// Its key was recorded before, with other content.
    Conflicting(String),
}

/// How many catalogue entries were made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Made {
    pub(crate) warehouses: u64,
    pub(crate) variants: u64,
}

/// Where the ledger stands.
#[derive(serde::Serialize, serde::Deserialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct HeadReport {
    pub(crate) position: u64,
    pub(crate) hash: String,
}

/// Takes what an import asks for, in order.
pub(crate) trait Target {
    /// Makes what is not there of these. What cannot be made has its reason told by the events that need it.
    fn enter(&mut self, depots: &[PlannedWarehouse], variants: &[PlannedVariant]) -> anyhow::Result<Made>;

    /// Records events, each on its own, in order, and answers for each. An error ends the import; how many of the
    /// events were recorded will be known when it goes on.
    fn record(&mut self, events: &[PlannedEvent]) -> anyhow::Result<Vec<Outcome>>;

    /// Where the ledger stands now.
    fn head(&mut self) -> anyhow::Result<HeadReport>;
}

/// What becomes of an event whose key stands with other content.
fn conflicting(position: Option<Position>) -> Outcome {
    let place = position.map_or(String::new(), |position| format!(" at position {position}"));
    Outcome::Conflicting(format!(
        "this event is recorded already{place} with other content: the file or its mapping has changed since. Nothing \
         was recorded now; put the difference right with an ADJUST"
    ))
}

/// Puts an entry in its place; a list grows by the entries that follow one another.
fn put<T>(list: &mut Vec<Result<T, String>>, index: u32, entry: Result<T, String>) {
    let index = index as usize;
    while list.len() <= index {
        list.push(Err("it was never entered".to_owned()));
    }
    list[index] = entry;
}

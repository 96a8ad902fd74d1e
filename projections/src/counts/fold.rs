//! How events become counts.

use crate::sql::Connection;
use bincard_ledger::{
    CountLine, Counting, Event, Inconsistent, Kind, Position, Recorded, StockEvent, VariantNo, WarehouseNo,
};

use super::{CountState, queries};
use crate::name::ViewName;
use crate::view::View;

/// The variant of a count of everything: no variant has this number.
pub(crate) const EVERYTHING: VariantNo = VariantNo(0);

/// The view. It carries nothing: an event says all of what it changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts;

/// Rows of a batch.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) opened: Vec<(Position, WarehouseNo)>,
    /// What is to be counted, and by which count.
    pub(crate) variants: Vec<(VariantNo, Position)>,
    /// Lines, of which count, and the events that submitted them.
    pub(crate) submitted: Vec<(Position, Position, CountLine)>,
    /// Lines as they were approved, and of which count.
    pub(crate) approved: Vec<(Position, CountLine)>,
    /// Counts, how they ended, and the events that ended them. The first one of a count ends it.
    pub(crate) ended: Vec<(Position, CountState, Position)>,
}

fn fold_event(position: Position, event: &StockEvent, rows: &mut Rows) -> Result<(), &'static str> {
    const NONE: &str = "it is about no count";
    let count = event.count.as_deref();
    match (event.kind, count) {
        (Kind::CountOpened, Some(Counting::Opened { variants, .. })) => {
            rows.opened.push((position, event.warehouse));
            let named = variants.as_deref().unwrap_or(&[EVERYTHING]);
            rows.variants.extend(named.iter().map(|no| (*no, position)));
        }
        (Kind::Counted, Some(Counting::Lines(lines))) => {
            let id = event.about.ok_or(NONE)?;
            let lines = lines.iter().map(|line| (id, position, *line));
            rows.submitted.extend(lines);
        }
        (Kind::CountApproved, Some(Counting::Lines(lines))) => {
            let id = event.about.ok_or(NONE)?;
            rows.approved.extend(lines.iter().map(|line| (id, *line)));
            rows.ended.push((id, CountState::Approved, position));
        }
        (Kind::CountCancelled, _) => {
            let id = event.about.ok_or(NONE)?;
            rows.ended.push((id, CountState::Cancelled, position));
        }
        (Kind::CountOpened | Kind::Counted | Kind::CountApproved, _) => {
            return Err("it is a count's and does not say of what");
        }
        _ => {}
    }
    Ok(())
}

impl View for Counts {
    type Rows = Rows;
    type Memory = ();

    const NAME: ViewName = ViewName::Counts;
    const SCHEMA_VERSION: i64 = 1;
    const SCHEMA: &'static [&'static str] = queries::SCHEMA;

    fn empty() -> Counts {
        Counts
    }

    async fn load(_: &mut Connection<'_>) -> Result<Counts, sqlx::Error> {
        Ok(Counts)
    }

    fn fold(&mut self, recorded: &Recorded, rows: &mut Rows) -> Result<(), Inconsistent> {
        let position = recorded.position;
        match &recorded.record.event {
            Event::Stock(event) => {
                fold_event(position, event, rows).map_err(|what| Inconsistent { position, what })
            }
            Event::Catalogue(_) => Ok(()),
        }
    }

    fn seal(&mut self, _: &mut Rows) {}

    async fn write(connection: &mut Connection<'_>, rows: &Rows) -> Result<(), sqlx::Error> {
        queries::write(connection, rows).await
    }

    fn memory(&self, _: Position) {}

    fn publish((): &(), _: &Rows, _: Position) {}
}

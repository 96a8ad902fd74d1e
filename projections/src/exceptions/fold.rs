//! How events become exceptions.

use crate::sql::Connection;
use bincard_ledger::event::ExceptionLine;
use bincard_ledger::{Event, ExceptionType, Inconsistent, Kind, Position, Recorded, WarehouseNo};

use super::queries;
use crate::name::ViewName;
use crate::view::View;

/// The view. It carries nothing: an event says all of the exception that it makes or clears.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exceptions;

/// An exception as an event made it.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) id: Position,
    pub(crate) kind: ExceptionType,
    pub(crate) warehouse: WarehouseNo,
    pub(crate) lines: Vec<ExceptionLine>,
}

/// Rows of a batch.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) made: Vec<Made>,
    /// Exceptions, and the events that cleared them.
    pub(crate) cleared: Vec<(Position, Position)>,
}

impl View for Exceptions {
    type Rows = Rows;
    type Memory = ();

    const NAME: ViewName = ViewName::Exceptions;
    const SCHEMA_VERSION: i64 = 2;
    const SCHEMA: &'static [&'static str] = queries::SCHEMA;

    fn empty() -> Exceptions {
        Exceptions
    }

    async fn load(_: &mut Connection<'_>) -> Result<Exceptions, sqlx::Error> {
        Ok(Exceptions)
    }

    fn fold(&mut self, recorded: &Recorded, rows: &mut Rows) -> Result<(), Inconsistent> {
        let Event::Stock(event) = &recorded.record.event else {
            return Ok(());
        };
        let position = recorded.position;
        if let Some(kind) = event.exception() {
            rows.made.push(Made {
                id: position,
                kind,
                warehouse: event.warehouse,
                lines: event.exception_lines(),
            });
        }
        if event.kind == Kind::ExceptionCleared {
            let what = "it clears no exception";
            let id = event.about.ok_or(Inconsistent { position, what })?;
            rows.cleared.push((id, position));
        }
        Ok(())
    }

    fn seal(&mut self, _: &mut Rows) {}

    async fn write(connection: &mut Connection<'_>, rows: &Rows) -> Result<(), sqlx::Error> {
        queries::write(connection, rows).await
    }

    fn memory(&self, _: Position) {}

    fn publish((): &(), _: &Rows, _: Position) {}
}

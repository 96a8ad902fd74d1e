//! How events become the catalogue.

use bincard_ledger::{CatalogueEvent, Event, Inconsistent, Position, Recorded, Timestamp};
use sqlx::sqlite::SqliteConnection;

use super::queries;
use crate::name::ViewName;
use crate::view::View;

/// The view. It carries nothing: an event of the catalogue says all that it changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Catalogue;

/// An event with its place.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) position: Position,
    pub(crate) recorded_at: Timestamp,
    pub(crate) event: CatalogueEvent,
}

impl View for Catalogue {
    type Rows = Vec<Change>;
    type Memory = ();

    const NAME: ViewName = ViewName::Catalogue;
    const SCHEMA_VERSION: i64 = 1;
    const SCHEMA: &'static [&'static str] = queries::SCHEMA;

    fn empty() -> Catalogue {
        Catalogue
    }

    async fn load(_: &mut SqliteConnection) -> Result<Catalogue, sqlx::Error> {
        Ok(Catalogue)
    }

    fn fold(&mut self, recorded: &Recorded, rows: &mut Vec<Change>) -> Result<(), Inconsistent> {
        if let Event::Catalogue(event) = &recorded.record.event {
            let (position, recorded_at) = (recorded.position, recorded.recorded_at);
            rows.push(Change {
                position,
                recorded_at,
                event: event.clone(),
            });
        }
        Ok(())
    }

    fn seal(&mut self, _: &mut Vec<Change>) {}

    async fn write(connection: &mut SqliteConnection, rows: &Vec<Change>) -> Result<(), sqlx::Error> {
        queries::write(connection, rows).await
    }

    fn memory(&self, _: Position) {}

    fn publish((): &(), _: &Vec<Change>, _: Position) {}
}

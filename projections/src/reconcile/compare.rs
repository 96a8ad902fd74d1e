//! The comparison of a view with a replay: digests of all rows first, then the rows of groups that differ.

use std::time::Duration;

use bincard_ledger::Position;
use bincard_store::Reader;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Postgres, Transaction};

use super::digest::Group;
use super::digested::{Digested, Fold, Kept, Wanted};
use super::part::Part;
use super::replay::{Pace, read};
use super::scan::scan;
use crate::each::Listed;
use crate::error::Error;
use crate::generation::{Folder, Home, Tables};
use crate::lane::Lane;
use crate::name::ViewName;
use crate::sql::Connection;
use crate::sqlite::open_scanner;
use crate::verify::compare::Extent;
use crate::verify::shadow::Shadow;
use crate::verify::tables;
use crate::verify::{Difference, FieldDifference, Verified, hear_of};
use crate::view::{View, checkpoint};

/// How long to wait for a view that has not come far enough, or whose generation is being replaced.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How often a file that cannot be read is tried again: it may have been replaced meanwhile.
const TRIES: u32 = 10;

/// What a comparison works on, and whom it tells how far it is.
pub(super) struct Bench<'a> {
    pub(super) home: &'a Home,
    /// Where shadows and copies are.
    pub(super) scratch: &'a Folder,
    pub(super) reader: &'a Reader,
    pub(super) part: Part,
    /// Hears of a view how many rows were compared; an error of it ends the comparison.
    pub(super) tell: &'a (dyn Fn(ViewName, u64) -> Result<(), Error> + Sync),
    /// Hears how far the log was folded; an error of it ends the comparison.
    pub(super) folded: &'a (dyn Fn(Position) -> Result<(), Error> + Sync),
}

/// A view in one read transaction.
pub(super) struct Standing {
    pub(super) at: At,
    pub(super) generation: u64,
    pub(super) position: Position,
}

/// Where a view is read.
pub(super) enum At {
    /// In a file; a transaction is begun.
    File(SqliteConnection),
    Schema(Transaction<'static, Postgres>),
}

impl Standing {
    /// Its connection, for what both databases are asked.
    pub(super) fn on(&mut self) -> Connection<'_> {
        match &mut self.at {
            At::File(connection) => Connection::Sqlite(connection),
            At::Schema(tx) => Connection::Postgres(tx),
        }
    }

    /// Ends the reading.
    pub(super) async fn close(self, view: ViewName) {
        let closed = match self.at {
            At::File(connection) => connection.close().await,
            At::Schema(tx) => tx.rollback().await,
        };
        if let Err(error) = closed {
            tracing::debug!(%view, %error, "a connection that only read did not close cleanly");
        }
    }
}

impl Bench<'_> {
    /// Begins to read the live generation of a view, as soon as it stands at `position` or behind it.
    pub(super) async fn stand<V: View>(
        &self,
        position: Position,
    ) -> Result<Result<Standing, Verified>, Error> {
        let mut tries = 0;
        loop {
            (self.tell)(V::NAME, 0)?;
            let begun = match self.home.live(V::NAME).await? {
                Some(generation) => self
                    .begin::<V>(generation)
                    .await
                    .map_err(|error| (generation, error)),
                None => Err((0, Error::Building { view: V::NAME })),
            };
            match begun {
                Ok(standing) if standing.position >= position => return Ok(Ok(standing)),
                Ok(_) | Err((_, Error::Building { .. })) => {}
                Err((generation, error)) if error.is_unreadable() => {
                    tries += 1;
                    if tries > TRIES {
                        return Ok(Err(damaged(V::NAME, generation, &error)));
                    }
                }
                Err((_, error)) => return Err(error),
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Begins to read a generation of a view.
    pub(super) async fn begin<V: View>(&self, generation: u64) -> Result<Standing, Error> {
        let begin = async {
            let at = match self.home.tables(V::NAME, generation) {
                Tables::File(path) => {
                    let mut connection = open_scanner(&path).await?;
                    sqlx::query("begin").execute(&mut connection).await?;
                    At::File(connection)
                }
                Tables::Schema(schema) => At::Schema(schema.begin_read().await?),
            };
            let mut standing = Standing {
                at,
                generation,
                position: Position(0),
            };
            standing.position = checkpoint(&mut standing.on()).await?;
            if let At::Schema(_) = standing.at {
                hear_of(self.reader, standing.position).await;
            }
            Ok(standing)
        };
        begin.await.map_err(Error::database(V::NAME))
    }

    /// Compares a view with the fold that stands at `at`.
    pub(super) async fn compare<V: Digested>(
        &self,
        mut fold: Fold<V>,
        at: Position,
    ) -> Result<Verified, Error> {
        let mut standing = match self.stand::<V>(at).await? {
            Ok(standing) => standing,
            Err(damaged) => return Ok(damaged),
        };
        let (through, checkpoint) = self.through(V::NAME, standing.position);
        read(self.reader, at, through, Pace::Polite, |batch, _| {
            (self.tell)(V::NAME, 0)?;
            fold.take(batch)
        })?;
        let mut verified = self.compare_part(&mut standing, &fold, through, |_| true).await?;
        verified.note(checkpoint);
        standing.close(V::NAME).await;
        Ok(verified)
    }

    /// Compares the part with a fold that stands at `through`, where the view does. Of groups that differ, those that
    /// `is_asked` does not want to hear of are left out.
    pub(super) async fn compare_part<V: Digested>(
        &self,
        standing: &mut Standing,
        fold: &Fold<V>,
        through: Position,
        is_asked: impl FnMut(&Group) -> bool,
    ) -> Result<Verified, Error> {
        let generation = standing.generation;
        let expected = fold.digests_of(self.part);
        let mut told = Ok(());
        let mut reading = standing.on();
        let scanned = scan::<V>(&mut reading, self.part, |rows| {
            told = (self.tell)(V::NAME, rows);
            told.is_ok()
        });
        let scanned = scanned.await.map_err(Error::database(V::NAME));
        told?;
        let (found, rows) = match scanned {
            Ok(found) => found,
            Err(error) if error.is_unreadable() => return Ok(damaged(V::NAME, generation, &error)),
            Err(error) => return Err(error),
        };
        let mut verified = Verified {
            rows,
            position: through,
            ..nothing(V::NAME, generation)
        };
        let mut groups = expected.differing(&found);
        groups.retain(is_asked);
        if !groups.is_empty() {
            let shadow = self
                .shadow_of::<V>(generation, through, &Wanted::of(&groups))
                .await?;
            self.name::<V>(&mut verified, standing, shadow, V::TABLES, Extent::Wanted)
                .await?;
        }
        Ok(verified)
    }

    /// Compares a view with the rows that are kept of a fold which stands at `at`.
    pub(super) async fn compare_kept<V: Listed>(
        &self,
        mut kept: Kept<V>,
        at: Position,
    ) -> Result<Verified, Error> {
        let mut standing = match self.stand::<V>(at).await? {
            Ok(standing) => standing,
            Err(damaged) => return Ok(damaged),
        };
        let (through, checkpoint) = self.through(V::NAME, standing.position);
        read(self.reader, at, through, Pace::Polite, |batch, _| {
            (self.tell)(V::NAME, 0)?;
            kept.take(batch)
        })?;
        kept.end();
        let generation = standing.generation;
        let shadow = Shadow::empty(self.scratch, V::NAME)?;
        let (mut lane, _) = Lane::<V>::open(shadow.tables(), generation, through).await?;
        lane.write(&kept.rows, through).await?;
        lane.close().await;
        let mut verified = Verified {
            position: through,
            ..nothing(V::NAME, generation)
        };
        verified.note(checkpoint);
        self.name::<V>(
            &mut verified,
            &mut standing,
            shadow,
            tables::of(V::NAME),
            Extent::All,
        )
        .await?;
        standing.close(V::NAME).await;
        Ok(verified)
    }

    /// Where the comparison with a view that says it stands at `position` ends, and what is wrong with that position.
    pub(super) fn through(&self, view: ViewName, position: Position) -> (Position, Option<Difference>) {
        let head = self.reader.head().position;
        let difference = (position > head).then(|| Difference {
            table: "checkpoint",
            key: "id 1".to_owned(),
            warehouse: None,
            variant: None,
            fields: vec![FieldDifference {
                field: "position",
                expected: format!("at most {head}"),
                found: position.to_string(),
            }],
            expected: Some(format!("position at most {head}")),
            found: Some(format!("position {position}")),
            first: None,
        });
        if difference.is_some() {
            tracing::warn!(%view, %position, %head, "a view stands beyond the log");
        }
        (position.min(head), difference)
    }
}

impl Verified {
    pub(super) fn note(&mut self, difference: Option<Difference>) {
        self.differing += u64::from(difference.is_some());
        self.differences.extend(difference);
    }
}

pub(super) fn nothing(view: ViewName, generation: u64) -> Verified {
    Verified {
        view,
        generation,
        damage: Vec::new(),
        position: Position(0),
        rows: 0,
        differences: Vec::new(),
        differing: 0,
    }
}

fn damaged(view: ViewName, generation: u64, error: &Error) -> Verified {
    Verified {
        damage: vec![error.chain()],
        ..nothing(view, generation)
    }
}

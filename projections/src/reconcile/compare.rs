//! The comparison of a view with a replay: digests of all rows first, then the rows of groups that differ.

use std::path::Path;
use std::time::Duration;

use bincard_ledger::Position;
use bincard_store::Reader;
use futures_util::TryStreamExt;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Connection, Row};

use super::digest::{Digests, Group, RowHash};
use super::digested::{Digested, Entry, Fold, Kept, Wanted};
use super::part::Part;
use super::replay::{Pace, read};
use crate::each::Listed;
use crate::error::Error;
use crate::generation::Folder;
use crate::lane::Lane;
use crate::name::ViewName;
use crate::sqlite::{open_reader, open_writer};
use crate::verify::compare::{Extent, Findings, compare};
use crate::verify::row::{Cell, read as read_cells};
use crate::verify::shadow::Shadow;
use crate::verify::tables::{self, Table};
use crate::verify::{Difference, FieldDifference, Verified, find_first};
use crate::view::{View, checkpoint};

/// The most differences of a view that are told one by one.
pub const KEPT_MAX: usize = 1_000;
/// How often it is told how far a comparison is.
const TELL_EVERY_ROWS: u64 = 16_384;
/// How long to wait for a view that has not come far enough, or whose generation is being replaced.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How often a file that cannot be read is tried again: it may have been replaced meanwhile.
const TRIES: u32 = 10;

/// What a comparison works on, and whom it tells how far it is.
pub(super) struct Bench<'a> {
    pub(super) folder: &'a Folder,
    pub(super) reader: &'a Reader,
    pub(super) part: Part,
    /// Hears of a view how many rows were compared; an error of it ends the comparison.
    pub(super) tell: &'a (dyn Fn(ViewName, u64) -> Result<(), Error> + Sync),
    /// Hears how far the log was folded; an error of it ends the comparison.
    pub(super) folded: &'a (dyn Fn(Position) -> Result<(), Error> + Sync),
}

/// A view in one read transaction.
pub(super) struct Standing {
    pub(super) connection: SqliteConnection,
    pub(super) generation: u64,
    pub(super) position: Position,
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
            let begun = match self.folder.live(V::NAME)? {
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
            let mut connection = open_reader(&self.folder.file(V::NAME, generation)).await?;
            sqlx::query("begin").execute(&mut connection).await?;
            let position = checkpoint(&mut connection).await?;
            Ok(Standing {
                connection,
                generation,
                position,
            })
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
            fold.take(batch.iter())
        })?;
        let mut verified = self.compare_part(&mut standing, &fold, through, |_| true).await?;
        verified.note(checkpoint);
        close(standing.connection, V::NAME).await;
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
        let scanned = scan::<V>(&mut standing.connection, self.part, |rows| {
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
            let connection = &mut standing.connection;
            self.name::<V>(&mut verified, connection, shadow, V::TABLES, Extent::Wanted)
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
            kept.take(batch.iter())
        })?;
        kept.end();
        let generation = standing.generation;
        let shadow = Shadow::empty(self.folder, V::NAME)?;
        let (mut lane, _) = Lane::<V>::open(shadow.path(), generation, through).await?;
        lane.write(&kept.rows, through).await?;
        lane.close().await;
        let mut verified = Verified {
            position: through,
            ..nothing(V::NAME, generation)
        };
        verified.note(checkpoint);
        let connection = &mut standing.connection;
        self.name::<V>(
            &mut verified,
            connection,
            shadow,
            tables::of(V::NAME),
            Extent::All,
        )
        .await?;
        close(standing.connection, V::NAME).await;
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

    /// A shadow that has the rows of groups that are wanted, and says which they are.
    async fn shadow_of<V: Digested>(
        &self,
        generation: u64,
        through: Position,
        wanted: &Wanted,
    ) -> Result<Shadow, Error> {
        let shadow = Shadow::empty(self.folder, V::NAME)?;
        let (mut lane, mut carry) = Lane::<V>::open(shadow.path(), generation, through).await?;
        let mut at = Position(0);
        while at < through {
            let mut rows = V::Rows::default();
            let until = Position(at.0.saturating_add(SHADOW_EVENTS)).min(through);
            read(self.reader, at, until, Pace::Polite, |batch, reached| {
                (self.tell)(V::NAME, 0)?;
                for event in &batch {
                    carry.fold(event, &mut rows)?;
                }
                at = reached;
                Ok(())
            })?;
            carry.seal(&mut rows);
            V::retain(&mut rows, wanted);
            lane.write(&rows, at).await?;
        }
        lane.close().await;
        let note = note_wanted(shadow.path(), wanted).await;
        note.map_err(Error::database(V::NAME))?;
        Ok(shadow)
    }

    /// Compares the rows of a view with those of a shadow, and names those that differ.
    async fn name<V: View>(
        &self,
        verified: &mut Verified,
        connection: &mut SqliteConnection,
        shadow: Shadow,
        tables: &'static [Table],
        extent: Extent,
    ) -> Result<(), Error> {
        let mut findings = Findings::new(KEPT_MAX);
        let compared = async {
            sqlx::query("attach $1 as shadow")
                .bind(shadow.path().to_string_lossy().into_owned())
                .execute(&mut *connection)
                .await?;
            for table in tables {
                if self.part.condition(table).is_some() {
                    compare(table, extent, connection, &mut findings, |_| {}).await?;
                }
            }
            Ok(())
        };
        match compared.await.map_err(Error::database(V::NAME)) {
            Ok(()) => {}
            Err(error) if error.is_unreadable() => verified.damage.push(error.chain()),
            Err(error) => return Err(error),
        }
        if extent == Extent::All {
            verified.rows = findings.rows;
        }
        verified.differing += findings.differing;
        let named = find_first(self.reader, verified.position, findings.open).await?;
        verified.differences.extend(named);
        let ended = async {
            sqlx::query("rollback").execute(&mut *connection).await?;
            sqlx::query("detach shadow").execute(&mut *connection).await
        };
        ended.await.map_err(Error::database(V::NAME))?;
        shadow.remove()
    }
}

/// The events of a transaction of the shadow.
const SHADOW_EVENTS: u64 = 65_536;

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

pub(super) async fn close(connection: SqliteConnection, view: ViewName) {
    if let Err(error) = connection.close().await {
        tracing::debug!(%view, %error, "a connection that only read did not close cleanly");
    }
}

/// Writes into a shadow which groups it is about.
async fn note_wanted(path: &Path, wanted: &Wanted) -> Result<(), sqlx::Error> {
    let mut connection = open_writer(path).await?;
    let mut tx = connection.begin().await?;
    for sql in [
        "create table wanted_keys (variant integer, warehouse integer, primary key (variant, warehouse)) without rowid",
        "create table wanted_blocks (no integer primary key)",
        "create table wanted_days (no integer primary key)",
    ] {
        sqlx::query(sql).execute(&mut *tx).await?;
    }
    for key in &wanted.keys {
        let [warehouse, variant] = key.columns();
        sqlx::query("insert into wanted_keys values ($1, $2)")
            .bind(variant)
            .bind(warehouse)
            .execute(&mut *tx)
            .await?;
    }
    for (table, numbers) in [("wanted_blocks", &wanted.blocks), ("wanted_days", &wanted.days)] {
        for no in numbers {
            sqlx::query(AssertSqlSafe(format!("insert into {table} values ($1)")))
                .bind(no)
                .execute(&mut *tx)
                .await?;
        }
    }
    tx.commit().await?;
    connection.close().await
}

/// The digests of a view's rows, and how many rows there are. `tell` hears how many so far, and may break it off.
pub(super) async fn scan<V: Digested>(
    connection: &mut SqliteConnection,
    part: Part,
    mut tell: impl FnMut(u64) -> bool,
) -> Result<(Digests, u64), sqlx::Error> {
    let (mut digests, mut count) = (Digests::default(), 0);
    for (no, table) in V::TABLES.iter().enumerate() {
        let Some(condition) = part.condition(table) else {
            continue;
        };
        let columns = table.columns();
        let sql = format!("select {} from {}{condition}", columns.join(", "), table.name);
        let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(&mut *connection);
        let mut numbers = vec![0; columns.len()];
        while let Some(row) = rows.try_next().await? {
            let number = number_of::<V>(no, table, &row, &mut numbers)?;
            digests.add(V::group(no, &numbers), number);
            count += 1;
            if count % TELL_EVERY_ROWS == 0 && !tell(count) {
                return Ok((digests, count));
            }
        }
    }
    tell(count);
    Ok((digests, count))
}

/// What a row of a view adds to its digest. Its whole numbers are left in `numbers`.
fn number_of<V: Digested>(
    no: usize,
    table: &Table,
    row: &SqliteRow,
    numbers: &mut [i64],
) -> Result<u64, sqlx::Error> {
    let width = table.key.len();
    let all_whole = numbers.iter_mut().enumerate().all(|(index, number)| {
        let read = row.try_get::<i64, _>(index);
        *number = read.as_ref().copied().unwrap_or_default();
        read.is_ok()
    });
    if all_whole {
        return Ok(match V::entry(no) {
            Entry::Whole => RowHash::of(no).wholes(numbers).end(),
            Entry::Amounts => {
                let (key, amounts) = numbers.split_at(width);
                let key = RowHash::of(no).wholes(key);
                // The log makes no row that is nothing at all.
                let foreign = amounts.iter().all(|amount| *amount == 0).then(|| key.odd().end());
                key.amounts(amounts).wrapping_add(foreign.unwrap_or_default())
            }
        });
    }
    let cells = read_cells(row, numbers.len())?;
    let mut hash = RowHash::of(no);
    for (cell, number) in cells.iter().zip(numbers) {
        *number = cell.integer();
        hash = match cell {
            Cell::Null => hash.odd(),
            Cell::Integer(value) => hash.whole(*value),
            Cell::Text(text) => hash.text(text),
            Cell::Odd(shown) => hash.odd().text(shown),
        };
    }
    Ok(hash.end())
}

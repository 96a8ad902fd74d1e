//! Verification: folds the log again and compares every row of every view with the outcome.
//!
//! A view is looked at in one read transaction, so at one position, and may go on being fed meanwhile. First SQLite checks
//! the file: what its pages say must hold together, and every index must say what its table says, because queries read
//! indexes where the comparison reads tables. Then the log is folded up to that position into a shadow of the view, beside
//! it on the disk because a history need not fit into memory, and SQLite finds the rows that differ; so it does for the
//! checkpoint, and for what it knows of tables and indexes.
//!
//! A view in PostgreSQL is copied into a file in one transaction, and the copy is what is looked at: all rows and the
//! checkpoint, but none of PostgreSQL's own indexes.
//!
//! What is damaged is not compared: reading it may fail anywhere, and only building it anew helps.

pub(crate) mod compare;
pub(crate) mod row;
pub(crate) mod shadow;
pub(crate) mod tables;

use std::time::Duration;

use bincard_ledger::{Event, Position, Recorded, VariantNo, WarehouseNo};
use bincard_store::Reader;
use futures_util::TryStreamExt;
use smallvec::SmallVec;
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use crate::each::{Listed, with_view};
use crate::error::Error;
use crate::fold::Lots;
use crate::generation::{Folder, Home, Place, Tables};
use crate::name::ViewName;
use crate::source::Source;
use crate::sqlite::open_reader;
use crate::view::checkpoint;
use compare::{Extent, Findings, Open, compare};
use row::Cell;
use shadow::Shadow;
use tables::Table;

/// The most differences of a view that are told one by one.
pub const DIFFERENCES_MAX: usize = 100;

/// What was found of one view.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// Which view.
    pub view: ViewName,
    /// Which generation of it.
    pub generation: u64,
    /// What SQLite says is damaged, line by line; empty when the file is whole. What is damaged is not compared.
    pub damage: Vec<String>,
    /// The position that it was compared at; 0 when it was not.
    pub position: Position,
    /// How many rows were compared.
    pub rows: u64,
    /// Rows that differ; empty when all is well.
    pub differences: Vec<Difference>,
    /// How many rows differ, those beyond [`DIFFERENCES_MAX`] included.
    pub differing: u64,
}

impl Verified {
    /// Whether the view is whole and what the log makes of it.
    pub fn is_well(&self) -> bool {
        self.damage.is_empty() && self.differing == 0
    }

    fn damaged(mut self, error: &Error) -> Verified {
        self.damage.push(error.chain());
        self
    }
}

/// A row that is not what the log makes of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// In which table of the view.
    pub table: &'static str,
    /// Which row, as `column value, column value`.
    pub key: String,
    /// The warehouse that the key names, where it names one.
    pub warehouse: Option<WarehouseNo>,
    /// The variant that the key names, where it names one.
    pub variant: Option<VariantNo>,
    /// Where both have the row: the fields that differ.
    pub fields: Vec<FieldDifference>,
    /// What the log says; `None` when there should be no such row.
    pub expected: Option<String>,
    /// What the view says; `None` when the row is missing.
    pub found: Option<String>,
    /// The first event from which the row differs: the first that is missing from it, or else the one that the row
    /// should have come from. `None` when no event concerns the row.
    pub first: Option<Position>,
}

/// A field of a row that is not what the log makes of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldDifference {
    /// The column.
    pub field: &'static str,
    /// What the log says.
    pub expected: String,
    /// What the view says.
    pub found: String,
}

/// How far a verification is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VerifyProgress {
    /// Which view is being verified.
    pub view: ViewName,
    /// The position that the log was folded up to.
    pub folded: Position,
    /// The position that it will be folded up to.
    pub through: Position,
    /// How many rows were compared; that begins when all is folded.
    pub rows: u64,
}

/// Verifies the live generations of `views`, in whose log everything up to their positions is. A view in PostgreSQL is
/// copied into a file first; its indexes are for PostgreSQL's own tools to check.
///
/// # Errors
/// When a view has no live generation, or the log cannot be read, or a shadow not be made. A view that is damaged or
/// differs is no error.
pub async fn verify(
    place: impl Into<Place>,
    reader: &Reader,
    views: &[ViewName],
    mut progress: impl FnMut(VerifyProgress),
) -> Result<Vec<Verified>, Error> {
    let (place, ledger) = (place.into(), reader.ledger());
    // Asking PostgreSQL which ledger it is blocks.
    let home = tokio::task::spawn_blocking(move || place.home(ledger));
    let home = home.await.map_err(|_| Error::Stopped)??;
    let scratch = home.scratch()?;
    let mut verified = Vec::new();
    for view in views {
        verified.push(with_view!(view, V => {
            verify_view::<V>(&home, &scratch, reader, tables::of(*view), &mut progress).await?
        }));
    }
    Ok(verified)
}

async fn verify_view<V: Listed>(
    home: &Home,
    scratch: &Folder,
    reader: &Reader,
    tables: &'static [Table],
    progress: &mut impl FnMut(VerifyProgress),
) -> Result<Verified, Error> {
    let generation = home
        .live(V::NAME)
        .await?
        .ok_or(Error::Building { view: V::NAME })?;
    let verified = Verified {
        view: V::NAME,
        generation,
        damage: Vec::new(),
        position: Position(0),
        rows: 0,
        differences: Vec::new(),
        differing: 0,
    };
    let database = Error::database(V::NAME);
    let mut copy = None;
    let opened = async {
        let path = match home.tables(V::NAME, generation) {
            Tables::File(path) => path,
            Tables::Schema(schema) => {
                let mut tx = schema.begin_read().await.map_err(&database)?;
                let at = checkpoint(&mut crate::sql::Connection::Postgres(&mut tx)).await;
                hear_of(reader, at.map_err(&database)?).await;
                let all = tables.iter().map(|table| (table, String::new()));
                let copied = Shadow::copy::<V>(scratch, &mut tx, all).await?;
                copy.insert(copied).path().to_owned()
            }
        };
        open_reader(&path).await.map_err(&database)
    };
    let mut live = match opened.await {
        Ok(live) => live,
        Err(error) if error.is_unreadable() => return Ok(verified.damaged(&error)),
        Err(error) => return Err(error),
    };
    let looked = look_at::<V>(&mut live, scratch, reader, tables, verified, progress).await;
    if let Err(error) = live.close().await {
        tracing::debug!(view = %V::NAME, %error, "a connection that only read did not close cleanly");
    }
    looked
}

/// Waits until this process knows the log up to a position, which whoever feeds the view knows it by; for a while only,
/// because a view may say what is not true.
pub(crate) async fn hear_of(reader: &Reader, position: Position) {
    const EVERY: Duration = Duration::from_millis(10);
    const AT_MOST: u32 = 200;
    for _ in 0..AT_MOST {
        if reader.head().position >= position {
            return;
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Looks at a view in one read transaction.
async fn look_at<V: Listed>(
    live: &mut SqliteConnection,
    scratch: &Folder,
    reader: &Reader,
    tables: &'static [Table],
    mut verified: Verified,
    progress: &mut impl FnMut(VerifyProgress),
) -> Result<Verified, Error> {
    let database = Error::database(V::NAME);
    let mut tx = live.begin().await.map_err(&database)?;
    let standing = async {
        let damage = check(&mut tx).await?;
        let at = if damage.is_empty() {
            checkpoint(&mut crate::sql::Connection::Sqlite(&mut tx)).await?
        } else {
            Position(0)
        };
        Ok::<_, sqlx::Error>((damage, at))
    };
    let at = match standing.await.map_err(&database) {
        Ok((damage, at)) => {
            verified.damage = damage;
            at
        }
        Err(error) if error.is_unreadable() => return Ok(verified.damaged(&error)),
        Err(error) => return Err(error),
    };
    if !verified.damage.is_empty() {
        return Ok(verified);
    }
    // A view that says it stands beyond the log differs by its checkpoint.
    let through = at.min(reader.head().position);
    verified.position = through;
    let mut tell = |folded, rows| {
        progress(VerifyProgress {
            view: V::NAME,
            folded,
            through,
            rows,
        })
    };
    let shadow = Shadow::fold::<V>(scratch, reader, verified.generation, through, |folded| {
        tell(folded, 0)
    })
    .await?;
    let mut findings = Findings::new(DIFFERENCES_MAX);
    let compared = compare_all(&mut tx, &shadow, tables, &mut findings, |rows| {
        tell(through, rows)
    });
    match compared.await.map_err(&database) {
        Ok(()) => {}
        // The shadow is new, and nobody else touches it: what is bad is the view.
        Err(error) if error.is_damage() => return Ok(verified.damaged(&error)),
        Err(error) => return Err(error),
    }
    tx.rollback().await.map_err(&database)?;
    sqlx::query("detach shadow")
        .execute(&mut *live)
        .await
        .map_err(&database)?;
    shadow.remove()?;
    verified.rows = findings.rows;
    verified.differing = findings.differing;
    verified.differences = find_first(reader, through, findings.open).await?;
    Ok(verified)
}

/// What SQLite finds wrong with the file, the view's own transaction included.
async fn check(connection: &mut SqliteConnection) -> Result<Vec<String>, sqlx::Error> {
    let mut said: Vec<String> = Vec::new();
    let mut saying = sqlx::query_scalar("pragma main.integrity_check").fetch(connection);
    loop {
        match saying.try_next().await {
            Ok(Some(text)) => said.push(text),
            Ok(None) => break,
            // It may break off where it cannot read on; what it said until then says more than that.
            Err(error) if said.is_empty() => return Err(error),
            Err(error) => {
                said.push(error.to_string());
                break;
            }
        }
    }
    if said == ["ok"] {
        return Ok(Vec::new());
    }
    // A line of its own says which database the others are about.
    let lines = said.iter().flat_map(|text| text.lines());
    let lines: Vec<String> = lines
        .filter(|line| !line.starts_with("***"))
        .map(str::to_owned)
        .collect();
    Ok(if lines.is_empty() { said } else { lines })
}

/// Compares all tables with the shadow's, as far as they are the same tables.
async fn compare_all(
    connection: &mut SqliteConnection,
    shadow: &Shadow,
    tables: &'static [Table],
    findings: &mut Findings,
    mut tell: impl FnMut(u64),
) -> Result<(), sqlx::Error> {
    // Its snapshot is taken by the first statement that reads it, and nobody writes it any more.
    sqlx::query("attach $1 as shadow")
        .bind(shadow.path().to_string_lossy().into_owned())
        .execute(&mut *connection)
        .await?;
    compare(&tables::SCHEMA, Extent::All, connection, findings, &mut tell).await?;
    let others: Vec<Cell> = findings
        .open
        .iter()
        .filter_map(|open| open.key.get(1))
        .cloned()
        .collect();
    for table in std::iter::once(&tables::CHECKPOINT).chain(tables) {
        if !others.contains(&Cell::Text(table.name.to_owned())) {
            compare(table, Extent::All, connection, findings, &mut tell).await?;
        }
    }
    Ok(())
}

/// Finds the first event of each difference in the log.
pub(crate) async fn find_first(
    reader: &Reader,
    through: Position,
    open: Vec<Open>,
) -> Result<Vec<Difference>, Error> {
    let reader = reader.clone();
    let searching = tokio::task::spawn_blocking(move || {
        let mut open: Vec<(usize, Open)> = open.into_iter().enumerate().collect();
        let (mut searched, mut found): (Vec<_>, Vec<_>) =
            open.drain(..).partition(|(_, one)| one.table.touches.is_some());
        if !searched.is_empty() {
            let mut source = Source::after(&reader, Position(0));
            let mut lots = Lots::default();
            source.read(u64::MAX, through, |event| {
                if let Event::Catalogue(event) = &event.record.event {
                    lots.hear(event);
                }
                found.extend(searched.extract_if(.., |(_, one)| one.look_at(&event, &lots)));
            })?;
        }
        found.append(&mut searched);
        found.sort_unstable_by_key(|(at, _)| *at);
        Ok(found.into_iter().map(|(_, one)| one.difference).collect())
    });
    searching.await.map_err(|_| Error::Stopped)?
}

impl Open {
    /// Takes an event for the first one, if it is; whether it was.
    fn look_at(&mut self, event: &Recorded, lots: &Lots) -> bool {
        let Some(touches) = self.table.touches else {
            return false;
        };
        if event.position.0.cast_signed() <= self.since {
            return false;
        }
        let key: SmallVec<[i64; 4]> = self.key.iter().map(Cell::integer).collect();
        let is_it = touches(&key, event, lots);
        if is_it {
            self.difference.first = Some(event.position);
        }
        is_it
    }
}

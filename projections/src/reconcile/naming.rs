//! The rows of groups that differ, named one by one: they are replayed once more into a shadow, and compared with that.

use std::path::Path;

use bincard_ledger::Position;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection};

use super::compare::{At, Bench, Standing};
use super::digested::{Digested, Wanted};
use super::replay::{Pace, read};
use crate::error::Error;
use crate::generation::Folder;
use crate::lane::Lane;
use crate::sqlite::{open_scanner, open_writer};
use crate::verify::compare::{Extent, Findings, compare};
use crate::verify::shadow::Shadow;
use crate::verify::tables::Table;
use crate::verify::{Verified, find_first};
use crate::view::View;

/// The most differences of a view that are told one by one.
pub const KEPT_MAX: usize = 1_000;
/// The events of a transaction of the shadow.
const SHADOW_EVENTS: u64 = 65_536;

impl Bench<'_> {
    /// A shadow that has the rows of groups that are wanted, and says which they are.
    pub(super) async fn shadow_of<V: Digested>(
        &self,
        generation: u64,
        through: Position,
        wanted: &Wanted,
    ) -> Result<Shadow, Error> {
        let shadow = Shadow::empty(self.scratch, V::NAME)?;
        let (mut lane, mut carry) = Lane::<V>::open(shadow.tables(), generation, through).await?;
        let mut at = Position(0);
        while at < through {
            let mut rows = V::Rows::default();
            let until = Position(at.0.saturating_add(SHADOW_EVENTS)).min(through);
            read(self.reader, at, until, Pace::Polite, |batch, reached| {
                (self.tell)(V::NAME, 0)?;
                for event in batch.iter() {
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
    pub(super) async fn name<V: View>(
        &self,
        verified: &mut Verified,
        standing: &mut Standing,
        shadow: Shadow,
        tables: &'static [Table],
        extent: Extent,
    ) -> Result<(), Error> {
        let mut findings = Findings::new(KEPT_MAX);
        let mut copy = None;
        let connection = match &mut standing.at {
            At::File(connection) => connection,
            At::Schema(tx) => {
                let part = self.part;
                let tables = tables
                    .iter()
                    .filter_map(|table| Some((table, part.condition(table)?)));
                let (_, connection) = copy.insert(copied::<V>(self.scratch, tx, tables).await?);
                connection
            }
        };
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

/// A copy of a view, and a transaction that reads it.
async fn copied<V: View>(
    scratch: &Folder,
    view: &mut PgConnection,
    tables: impl IntoIterator<Item = (&'static Table, String)>,
) -> Result<(Shadow, SqliteConnection), Error> {
    let copy = Shadow::copy::<V>(scratch, view, tables).await?;
    let begun = async {
        let mut connection = open_scanner(copy.path()).await?;
        sqlx::query("begin").execute(&mut connection).await?;
        Ok(connection)
    };
    let connection = begun.await.map_err(Error::database(V::NAME))?;
    Ok((copy, connection))
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

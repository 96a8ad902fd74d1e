//! Taking the reconciliations of a ledger along where the ledger moves.

use std::fmt::Write as _;
use std::path::Path;

use bincard_ledger::LedgerId;
use sqlx::AssertSqlSafe;

use super::Runs;
use crate::error::Error;
use crate::postgres::Database;
use crate::sql::{Insert, Row, Tx, Value, query};

/// Where the reconciliations of a ledger are.
#[derive(Clone, Copy, Debug)]
pub enum Kept<'a> {
    /// In the ledger's folder.
    Folder(&'a Path),
    /// In a database, by the ledger's id.
    Postgres(&'a Database, LedgerId),
}

/// What a column has.
#[derive(Clone, Copy)]
enum Has {
    Integer,
    Text,
}
use Has::{Integer, Text};

/// A table without the column that says which ledger: its name, the column that says which run, and all columns.
type Table = (&'static str, &'static str, &'static [(&'static str, Has)]);

/// What belongs to a run.
const OF_RUNS: [Table; 5] = [
    (
        "runs",
        "id",
        &[
            ("id", Integer),
            ("state", Integer),
            ("author", Text),
            ("asked_at", Integer),
            ("started_at", Integer),
            ("ended_at", Integer),
            ("position", Integer),
            ("as_of", Integer),
            ("known_at", Integer),
            ("warehouse", Integer),
            ("variant", Integer),
            ("differing", Integer),
            ("error", Text),
            ("cancel_asked", Integer),
            ("applies", Integer),
            ("is_compared", Integer),
            ("phase", Text),
            ("folded", Integer),
            ("rows", Integer),
        ],
    ),
    (
        "compared",
        "run",
        &[
            ("run", Integer),
            ("view", Text),
            ("generation", Integer),
            ("position", Integer),
            ("rows", Integer),
            ("differing", Integer),
            ("damage", Text),
            ("unnamed", Integer),
        ],
    ),
    (
        "differences",
        "run",
        &[
            ("run", Integer),
            ("no", Integer),
            ("view", Text),
            ("tbl", Text),
            ("key", Text),
            ("warehouse", Integer),
            ("variant", Integer),
            ("field", Text),
            ("expected", Text),
            ("found", Text),
            ("first", Integer),
        ],
    ),
    (
        "sources",
        "run",
        &[
            ("run", Integer),
            ("name", Text),
            ("reported_at", Integer),
            ("measures", Integer),
        ],
    ),
    (
        "lines",
        "run",
        &[
            ("run", Integer),
            ("no", Integer),
            ("named", Text),
            ("warehouse", Integer),
            ("variant", Integer),
            ("problem", Text),
            ("quantity", Integer),
            ("at_report", Integer),
            ("now", Integer),
            ("reserved", Integer),
            ("picked", Integer),
            ("packed", Integer),
            ("held", Integer),
            ("unexplained", Integer),
            ("agreed_run", Integer),
            ("agreed_at", Integer),
            ("in_transit", Integer),
            ("correction", Integer),
            ("refused", Text),
        ],
    ),
];

/// It is known by its keys, and stays when the run is forgotten.
const AGREED: Table = (
    "agreed",
    "run",
    &[
        ("warehouse", Integer),
        ("variant", Integer),
        ("measures", Integer),
        ("run", Integer),
        ("at", Integer),
    ],
);

/// Copies the reconciliations of a ledger, in the place of those that are there, and answers how many there are. One that was
/// under way goes on where they are now; what is still done where they were is left behind.
///
/// # Errors
/// When either cannot be read or written; what was there is then still there.
pub async fn copy(from: Kept<'_>, to: Kept<'_>) -> Result<u64, Error> {
    if let Kept::Folder(path) = from
        && !Runs::file(path).is_file()
    {
        return Ok(0);
    }
    let (from, to) = (from.open().await?, to.open().await?);
    let copied = copy_all(&from, &to).await;
    from.close().await;
    to.close().await;
    copied
}

impl Kept<'_> {
    async fn open(self) -> Result<Runs, Error> {
        match self {
            Kept::Folder(path) => Runs::open(&Runs::file(path)).await,
            Kept::Postgres(database, ledger) => Runs::in_postgres(database, ledger).await,
        }
    }
}

async fn copy_all(from: &Runs, to: &Runs) -> Result<u64, Error> {
    let reading = from.failing();
    let mut source = from.read().await.map_err(&reading)?;
    let runs = async {
        let all = query("select id from runs where ledger = $1 order by id").bind(from.ledger);
        let rows = all.fetch_all(&mut source.on()).await?;
        rows.iter()
            .map(|row| row.try_get(0))
            .collect::<Result<Vec<i64>, _>>()
    };
    let runs = runs.await.map_err(&reading)?;
    let mut target = to.write().await.map_err(to.failing())?;
    let emptied = async {
        for (table, ..) in OF_RUNS.into_iter().chain([AGREED]) {
            let sql = format!("delete from {table} where ledger = $1");
            let emptied = query(AssertSqlSafe(sql)).bind(to.ledger);
            emptied.execute(&mut target.on()).await?;
        }
        Ok(())
    };
    emptied.await.map_err(to.failing())?;
    let ledgers = (from.ledger, to.ledger);
    let of_each = runs
        .iter()
        .flat_map(|run| OF_RUNS.map(|table| (table, Some(*run))));
    for (table, run) in of_each.chain([(AGREED, None)]) {
        let rows = read_rows(&mut source, table, ledgers, run).await;
        let added = add_rows(&mut target, table, &rows.map_err(&reading)?).await;
        added.map_err(to.failing())?;
    }
    target.commit().await.map_err(to.failing())?;
    Ok(runs.len() as u64)
}

/// The rows of one run, or of all, as the other ledger's.
async fn read_rows(
    source: &mut Tx<'static>,
    (table, of, columns): Table,
    (ledger, other): (i64, i64),
    run: Option<i64>,
) -> Result<Vec<Value>, sqlx::Error> {
    let names = names(columns);
    let mut sql = format!("select {names} from {table} where ledger = $1");
    if run.is_some() {
        let written = write!(sql, " and {of} = $2");
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
    }
    let mut all = query(AssertSqlSafe(sql)).bind(ledger);
    if let Some(run) = run {
        all = all.bind(run);
    }
    let rows = all.fetch_all(&mut source.on()).await?;
    let mut values = Vec::with_capacity(rows.len() * (columns.len() + 1));
    for row in &rows {
        values.push(Value::from(other));
        for (index, (_, has)) in columns.iter().enumerate() {
            values.push(value(row, index, *has)?);
        }
    }
    Ok(values)
}

fn value(row: &Row, index: usize, has: Has) -> Result<Value, sqlx::Error> {
    Ok(match has {
        Integer => row.try_get::<Option<i64>>(index)?.into(),
        Text => row.try_get::<Option<String>>(index)?.into(),
    })
}

async fn add_rows(
    target: &mut Tx<'static>,
    (table, _, columns): Table,
    rows: &[Value],
) -> Result<(), sqlx::Error> {
    let into = format!("{table} (ledger, {})", names(columns));
    let insert = Insert::new(&into, columns.len() + 1, "");
    insert.run(&mut target.on(), rows).await
}

fn names(columns: &[(&str, Has)]) -> String {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

//! The comparison: SQLite goes over a table of the view and of its shadow side by side, and answers the rows that differ.
//!
//! The shadow is attached to the view's connection. `EXCEPT`, in the order of the primary key that both tables are
//! clustered by, is a merge of two scans: no row is looked up or kept. It finds the rows of the shadow that the view does
//! not have. It converts no value, so text is never a number to it; only an integer and a real number may be equal, and
//! no table has real numbers, so those are looked for apart.
//!
//! Whether the view has rows of its own, too, only has to be looked for when something differs or the tables are of
//! different lengths, because keys are unique.

use bincard_ledger::{VariantNo, WarehouseNo};
use futures_util::TryStreamExt;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row};

use super::row::{Cell, bound, read};
use super::tables::Table;
use super::{Difference, FieldDifference};

/// The rows of one statement: so often it is told how far the comparison is.
const ROWS_AT_ONCE: u64 = 16_384;

/// What was found of the tables so far.
pub(crate) struct Findings {
    /// The most differences that are kept.
    max: usize,
    pub(crate) rows: u64,
    pub(crate) differing: u64,
    /// The first of them.
    pub(crate) open: Vec<Open>,
}

impl Findings {
    pub(crate) fn new(max: usize) -> Findings {
        Findings {
            max,
            rows: 0,
            differing: 0,
            open: Vec::new(),
        }
    }
}

/// A difference whose first event is still to be found.
pub(crate) struct Open {
    pub(super) table: &'static Table,
    pub(super) key: Vec<Cell>,
    /// The event is behind this position.
    pub(super) since: i64,
    pub(super) difference: Difference,
}

/// Which rows of a table are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Extent {
    All,
    /// Those that [`Table::wanted`] picks; the shadow has no others.
    Wanted,
}

impl Extent {
    /// The condition on a row of the view, after `before`.
    fn condition(self, table: &Table, before: &str) -> String {
        match self {
            Extent::All => String::new(),
            Extent::Wanted => format!("{before}{}", table.wanted),
        }
    }
}

/// A row that differs, as it should be and as it is.
struct Pair {
    key: Vec<Cell>,
    expected: Option<Vec<Cell>>,
    found: Option<Vec<Cell>>,
}

/// Compares a table of the view `main` with that of the attached `shadow`.
pub(crate) async fn compare(
    table: &'static Table,
    extent: Extent,
    connection: &mut SqliteConnection,
    findings: &mut Findings,
    mut tell: impl FnMut(u64),
) -> Result<(), sqlx::Error> {
    let before = findings.rows;
    let mut pairs = Vec::new();
    let mut wrong = 0;
    let mut after: Option<Vec<Cell>> = None;
    loop {
        let last = boundary(table, connection, after.as_deref()).await?;
        let ends = (after.as_deref(), last.as_deref());
        wrong += not_in_view(table, extent, connection, ends, findings.max, &mut pairs).await?;
        if last.is_none() {
            break;
        }
        after = last;
        findings.rows += ROWS_AT_ONCE;
        tell(findings.rows);
    }
    let [expected, found] = lengths(table, extent, connection).await?;
    let mut foreign = 0;
    if wrong > 0 || expected != found {
        for pair in &mut pairs {
            pair.found = look_up(table, connection, &pair.key).await?;
        }
        foreign = not_in_shadow(table, extent, connection, findings.max, &mut pairs).await?;
    }
    wrong += real_numbers(table, connection, findings.max, &mut pairs).await?;
    pairs.sort_by(|one, other| one.key.cmp(&other.key));
    findings.rows = before + expected + foreign;
    findings.differing += wrong + foreign;
    tell(findings.rows);
    let left = findings.max.saturating_sub(findings.open.len());
    findings
        .open
        .extend(pairs.into_iter().take(left).map(|pair| open(table, pair)));
    Ok(())
}

/// The key of the last row of the shadow that the next statement takes; `None` when it takes all that are left.
async fn boundary(
    table: &Table,
    connection: &mut SqliteConnection,
    after: Option<&[Cell]>,
) -> Result<Option<Vec<Cell>>, sqlx::Error> {
    let key = table.key.join(", ");
    let sql = format!(
        "select {key} from shadow.{}{} order by {key} limit 1 offset {}",
        table.name,
        stretch(table, after.is_some(), false),
        ROWS_AT_ONCE - 1
    );
    let row = sqlx::query_with(AssertSqlSafe(sql), bound(after.into_iter().flatten())?)
        .fetch_optional(connection)
        .await?;
    row.map(|row| read(&row, table.key.len())).transpose()
}

/// Counts the rows of the shadow between two keys that are not the same in the view, and keeps the first.
async fn not_in_view(
    table: &Table,
    extent: Extent,
    connection: &mut SqliteConnection,
    (after, last): (Option<&[Cell]>, Option<&[Cell]>),
    max: usize,
    pairs: &mut Vec<Pair>,
) -> Result<u64, sqlx::Error> {
    let columns = table.columns();
    let (list, stretch) = (
        columns.join(", "),
        stretch(table, after.is_some(), last.is_some()),
    );
    let half = |schema| format!("select {list} from {schema}.{}{stretch}", table.name);
    let before = if stretch.is_empty() { " where " } else { " and " };
    let only = extent.condition(table, before);
    let sql = format!("{} except {}{only} order by {list}", half("shadow"), half("main"));
    let ends = after.into_iter().chain(last).flatten();
    let mut rows = sqlx::query_with(AssertSqlSafe(sql), bound(ends)?).fetch(connection);
    let mut wrong = 0;
    while let Some(row) = rows.try_next().await? {
        wrong += 1;
        if pairs.len() < max {
            let expected = read(&row, columns.len())?;
            pairs.push(Pair {
                key: expected[..table.key.len()].to_vec(),
                expected: Some(expected),
                found: None,
            });
        }
    }
    Ok(wrong)
}

/// How many rows the table has in the shadow and in the view.
async fn lengths(
    table: &Table,
    extent: Extent,
    connection: &mut SqliteConnection,
) -> Result<[u64; 2], sqlx::Error> {
    let (name, only) = (table.name, extent.condition(table, " where "));
    let sql =
        format!("select (select count(*) from shadow.{name}), (select count(*) from main.{name}{only})");
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(connection).await?;
    let count = |index| Ok::<_, sqlx::Error>(row.try_get::<i64, _>(index)?.cast_unsigned());
    Ok([count(0)?, count(1)?])
}

/// The row of the view with a key.
async fn look_up(
    table: &Table,
    connection: &mut SqliteConnection,
    key: &[Cell],
) -> Result<Option<Vec<Cell>>, sqlx::Error> {
    let columns = table.columns();
    let sql = format!(
        "select {} from main.{} where ({}) = ({})",
        columns.join(", "),
        table.name,
        table.key.join(", "),
        places(1, key.len())
    );
    let row = sqlx::query_with(AssertSqlSafe(sql), bound(key)?)
        .fetch_optional(connection)
        .await?;
    row.map(|row| read(&row, columns.len())).transpose()
}

/// Counts the rows of the view whose key the shadow does not have, and keeps the first.
async fn not_in_shadow(
    table: &Table,
    extent: Extent,
    connection: &mut SqliteConnection,
    max: usize,
    pairs: &mut Vec<Pair>,
) -> Result<u64, sqlx::Error> {
    let columns = table.columns();
    let same: Vec<String> = table
        .key
        .iter()
        .map(|column| format!("expected.{column} = found.{column}"))
        .collect();
    let sql = format!(
        "select {} from main.{name} found
         where not exists (select 1 from shadow.{name} expected where {}){only}
         order by {}",
        columns.join(", "),
        same.join(" and "),
        table.key.join(", "),
        name = table.name,
        only = extent.condition(table, " and "),
    );
    let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(connection);
    let mut foreign = 0;
    while let Some(row) = rows.try_next().await? {
        if foreign < max as u64 {
            let found = read(&row, columns.len())?;
            pairs.push(Pair {
                key: found[..table.key.len()].to_vec(),
                expected: None,
                found: Some(found),
            });
        }
        foreign += 1;
    }
    Ok(foreign)
}

/// Counts the rows of the view that equal the shadow's but for a real number in an integer's place, and keeps the first.
async fn real_numbers(
    table: &Table,
    connection: &mut SqliteConnection,
    max: usize,
    pairs: &mut Vec<Pair>,
) -> Result<u64, sqlx::Error> {
    let columns = table.columns();
    let each = |what: &dyn Fn(&str) -> String, between: &str| {
        let each: Vec<String> = columns.iter().map(|column| what(column)).collect();
        each.join(between)
    };
    // A sum of integers is an integer, which is asked once a row; asking every value takes twice as long.
    let sum = each(&|column| format!("found.{column} * 0"), " + ");
    let any = each(&|column| format!("typeof(found.{column}) = 'real'"), " or ");
    let same = each(&|column| format!("expected.{column} is found.{column}"), " and ");
    let list = |side: &str| each(&|column| format!("{side}.{column}"), ", ");
    let sql = format!(
        "select {}, {} from main.{name} found cross join shadow.{name} expected
         where typeof({sum}) <> 'integer' and ({any}) and {same}",
        list("expected"),
        list("found"),
        name = table.name
    );
    let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(connection);
    let mut wrong = 0;
    while let Some(row) = rows.try_next().await? {
        if wrong < max as u64 {
            let mut expected = read(&row, 2 * columns.len())?;
            let found = expected.split_off(columns.len());
            pairs.push(Pair {
                key: expected[..table.key.len()].to_vec(),
                expected: Some(expected),
                found: Some(found),
            });
        }
        wrong += 1;
    }
    Ok(wrong)
}

/// The condition that a row is behind one key and not behind another, each bound in its order.
fn stretch(table: &Table, has_first: bool, has_last: bool) -> String {
    let (key, width) = (table.key.join(", "), table.key.len());
    let mut conditions = Vec::new();
    for (bound, comparison) in [(has_first, ">"), (has_last, "<=")] {
        if bound {
            let places = places(conditions.len() * width + 1, width);
            conditions.push(format!("({key}) {comparison} ({places})"));
        }
    }
    if conditions.is_empty() {
        return String::new();
    }
    format!(" where {}", conditions.join(" and "))
}

/// Numbered places for values: the halves of a statement share them.
fn places(first: usize, count: usize) -> String {
    let places: Vec<String> = (first..first + count).map(|place| format!("?{place}")).collect();
    places.join(", ")
}

fn open(table: &'static Table, pair: Pair) -> Open {
    let width = table.key.len();
    let shown = |columns: &[&str], cells: &[Cell]| {
        let pairs: Vec<String> = columns
            .iter()
            .zip(cells)
            .map(|(column, cell)| format!("{column} {}", cell.show()))
            .collect();
        pairs.join(", ")
    };
    let changed = |row: &Option<Vec<Cell>>| Some(row.as_ref()?[width + table.changed()?].integer());
    // A row that an event is missing from says which was the last that is in it. A row that says that all are in it
    // went wrong with the last one, as far as can be told.
    let since = match (changed(&pair.expected), changed(&pair.found)) {
        (Some(expected), Some(found)) if found < expected => found,
        (Some(expected), Some(_)) => expected - 1,
        _ => 0,
    };
    let values = |row: Vec<Cell>| shown(table.values, &row[width..]);
    let fields = match (&pair.expected, &pair.found) {
        (Some(expected), Some(found)) => {
            let both = expected[width..].iter().zip(&found[width..]);
            let changed = table.values.iter().zip(both).filter(|(_, (a, b))| a != b);
            let field = |(field, (expected, found)): (&&'static str, (&Cell, &Cell))| FieldDifference {
                field,
                expected: expected.show(),
                found: found.show(),
            };
            changed.map(field).collect()
        }
        _ => Vec::new(),
    };
    let of = |name| {
        let at = table.key.iter().position(|column| *column == name)?;
        match pair.key.get(at)? {
            Cell::Integer(no) => u32::try_from(*no).ok(),
            _ => None,
        }
    };
    let difference = Difference {
        table: table.name,
        key: shown(table.key, &pair.key),
        warehouse: of("warehouse").map(WarehouseNo),
        variant: of("variant").map(VariantNo),
        fields,
        expected: pair.expected.map(values),
        found: pair.found.map(values),
        first: None,
    };
    Open {
        table,
        key: pair.key,
        since,
        difference,
    }
}

//! Verification: folds the log again and compares every row of every view with the outcome.
//!
//! A view is looked at in one read transaction, so at one position, and may go on being fed meanwhile. The log is folded
//! up to that position into a shadow of the view, beside it on the disk, because a history need not fit into memory; and
//! both are gone over in the order of their keys.

use std::path::Path;

use bincard_ledger::{Event, Position, Recorded, StockEvent};
use bincard_store::segment::Reader;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Connection, Row, TypeInfo, ValueRef};

use crate::build::{Built, feed_through};
use crate::catalogue::Catalogue;
use crate::error::Error;
use crate::fold::day_of;
use crate::generation::{Folder, remove_database};
use crate::history::{BLOCK_POSITIONS, History, reason_column};
use crate::lane::{Fed, Lane};
use crate::name::ViewName;
use crate::source::Source;
use crate::sqlite::open_reader;
use crate::stock::Stock;
use crate::view::checkpoint;

/// The most differences of a view that are told one by one.
pub const DIFFERENCES_MAX: usize = 100;
/// How often to tell how far it is, in rows compared.
const ROWS_PER_PROGRESS: u64 = 65_536;

/// What was found of one view.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// Which view.
    pub view: ViewName,
    /// Which generation of it.
    pub generation: u64,
    /// The position that it was compared at.
    pub position: Position,
    /// How many rows were compared.
    pub rows: u64,
    /// Rows that differ; empty when all is well.
    pub differences: Vec<Difference>,
    /// How many rows differ, those beyond [`DIFFERENCES_MAX`] included.
    pub differing: u64,
}

/// A row that is not what the log makes of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// In which table of the view.
    pub table: &'static str,
    /// Which row, as `column value, column value`.
    pub key: String,
    /// What the log says; `None` when there should be no such row.
    pub expected: Option<String>,
    /// What the view says; `None` when the row is missing.
    pub found: Option<String>,
    /// The first event from which the row differs: the first that is missing from it, or else the one that the row
    /// should have come from. `None` when no event concerns the row.
    pub first: Option<Position>,
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

/// Verifies the live generations of `views` in folder `path`, in whose log everything up to their positions is.
///
/// # Errors
/// When a view has no live generation, or a view or the log cannot be read. Rows that differ are no error.
pub async fn verify(
    path: &Path,
    reader: &Reader,
    views: &[ViewName],
    mut progress: impl FnMut(VerifyProgress),
) -> Result<Vec<Verified>, Error> {
    let folder = Folder::open(path)?;
    let mut verified = Vec::new();
    for view in views {
        verified.push(match view {
            ViewName::Stock => verify_view::<Stock>(&folder, reader, STOCK_TABLES, &mut progress).await?,
            ViewName::History => {
                verify_view::<History>(&folder, reader, HISTORY_TABLES, &mut progress).await?
            }
            ViewName::Catalogue => {
                verify_view::<Catalogue>(&folder, reader, CATALOGUE_TABLES, &mut progress).await?
            }
        });
    }
    Ok(verified)
}

/// A table to compare.
struct Table {
    name: &'static str,
    /// The columns of the primary key, in its order.
    key: &'static [&'static str],
    /// All other columns.
    values: &'static [&'static str],
    /// Whether an event concerns the row with a key.
    touches: fn(&[i64], &Recorded) -> bool,
}

impl Table {
    /// Where in the values the last event that wrote the row stands, if anywhere.
    fn changed(&self) -> Option<usize> {
        self.values.iter().position(|column| *column == "changed")
    }
}

const STOCK_TABLES: &[Table] = &[
    Table {
        name: "stock",
        key: &["warehouse", "variant"],
        values: &["available", "reserved", "picked", "packed", "held", "changed"],
        touches: |key, event| is_stock(event, |stock| is_at(stock, key[0]) && moves(stock, key[1])),
    },
    Table {
        name: "expiring",
        key: &["warehouse", "variant", "expires_at", "reservation"],
        values: &["quantity"],
        touches: |key, event| {
            let of_reservation = |stock: &StockEvent| {
                let named =
                    |posting: &bincard_ledger::Posting| posting.reservation.map(|id| id.0.cast_signed());
                stock
                    .postings
                    .iter()
                    .any(|posting| named(posting) == Some(key[3]))
            };
            event.position.0.cast_signed() == key[3]
                || is_stock(event, |stock| {
                    is_at(stock, key[0]) && moves(stock, key[1]) && of_reservation(stock)
                })
        },
    },
];

const HISTORY_TABLES: &[Table] = &[
    Table {
        name: "events",
        key: &["position"],
        values: &["occurred_at", "recorded_at", "warehouse", "kind", "reason"],
        touches: |key, event| event.position.0.cast_signed() == key[0],
    },
    Table {
        name: "event_days",
        key: &["slot", "warehouse", "kind", "reason"],
        values: &["events"],
        touches: |key, event| {
            is_stock(event, |stock| {
                day_of(stock.occurred_at.micros()) == key[0] && is_of(stock, &key[1..])
            })
        },
    },
    Table {
        name: "event_blocks",
        key: &["slot", "warehouse", "kind", "reason"],
        values: &["events"],
        touches: |key, event| {
            event.position.0.cast_signed() / BLOCK_POSITIONS == key[0]
                && is_stock(event, |stock| is_of(stock, &key[1..]))
        },
    },
    Table {
        name: "recorded",
        key: &["recorded_at", "position"],
        values: &[],
        touches: |key, event| event.position.0.cast_signed() == key[1],
    },
    Table {
        name: "movements",
        key: &["variant", "occurred_at", "position", "line"],
        values: &[
            "warehouse",
            "kind",
            "reason",
            "places",
            "quantity",
            "available",
            "reserved",
            "picked",
            "packed",
            "held",
        ],
        touches: |key, event| event.position.0.cast_signed() == key[2],
    },
    Table {
        name: "stock_days",
        key: &["variant", "warehouse", "day"],
        values: &["available", "reserved", "picked", "packed", "held", "events"],
        touches: |key, event| {
            is_stock(event, |stock| {
                is_at(stock, key[1]) && moves(stock, key[0]) && day_of(stock.occurred_at.micros()) == key[2]
            })
        },
    },
    Table {
        name: "keys",
        key: &["variant", "warehouse"],
        values: &[
            "available",
            "reserved",
            "picked",
            "packed",
            "held",
            "unmarked",
            "occurred_min",
            "occurred_max",
        ],
        touches: |key, event| is_stock(event, |stock| is_at(stock, key[1]) && moves(stock, key[0])),
    },
    Table {
        name: "marks",
        key: &["variant", "warehouse", "position"],
        values: &[
            "occurred_min",
            "occurred_max",
            "available",
            "reserved",
            "picked",
            "packed",
            "held",
        ],
        touches: |key, event| event.position.0.cast_signed() == key[2],
    },
];

const CATALOGUE_TABLES: &[Table] = &[
    Table {
        name: "warehouses",
        key: &["no"],
        values: &[
            "code",
            "name",
            "code_folded",
            "name_folded",
            "active",
            "created",
            "created_at",
            "changed",
            "changed_at",
        ],
        touches: |key, event| catalogue_no(event).0 == Some(key[0]),
    },
    Table {
        name: "products",
        key: &["no"],
        values: &[
            "name",
            "name_folded",
            "active",
            "created",
            "created_at",
            "changed",
            "changed_at",
        ],
        touches: |key, event| catalogue_no(event).1 == Some(key[0]),
    },
    Table {
        name: "variants",
        key: &["no"],
        values: &[
            "sku",
            "name",
            "sku_folded",
            "name_folded",
            "product",
            "expires_at",
            "active",
            "created",
            "created_at",
            "changed",
            "changed_at",
        ],
        touches: |key, event| catalogue_no(event).2 == Some(key[0]),
    },
];

fn is_stock(event: &Recorded, test: impl FnOnce(&StockEvent) -> bool) -> bool {
    matches!(&event.record.event, Event::Stock(stock) if test(stock))
}

fn is_at(stock: &StockEvent, warehouse: i64) -> bool {
    i64::from(stock.warehouse.0) == warehouse
}

fn moves(stock: &StockEvent, variant: i64) -> bool {
    stock
        .postings
        .iter()
        .any(|posting| i64::from(posting.variant.0) == variant)
}

/// Whether an event is of the warehouse, kind and reason in `key`.
fn is_of(stock: &StockEvent, key: &[i64]) -> bool {
    key == [
        i64::from(stock.warehouse.0),
        i64::from(stock.kind.code()),
        reason_column(stock.reason),
    ]
}

/// The warehouse, product or variant that an event of the catalogue is about.
fn catalogue_no(event: &Recorded) -> (Option<i64>, Option<i64>, Option<i64>) {
    use bincard_ledger::CatalogueEvent as E;
    let Event::Catalogue(event) = &event.record.event else {
        return (None, None, None);
    };
    match event {
        E::WarehouseCreated { no, .. }
        | E::WarehouseChanged { no, .. }
        | E::WarehouseActivated(no)
        | E::WarehouseDeactivated(no) => (Some(i64::from(no.0)), None, None),
        E::ProductCreated { no, .. }
        | E::ProductChanged { no, .. }
        | E::ProductActivated(no)
        | E::ProductDeactivated(no) => (None, Some(i64::from(no.0)), None),
        E::VariantCreated { no, .. }
        | E::VariantChanged { no, .. }
        | E::VariantActivated(no)
        | E::VariantDeactivated(no) => (None, None, Some(i64::from(no.0))),
    }
}

/// A value of a row.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Cell {
    Null,
    Integer(i64),
    Text(String),
}

impl Cell {
    fn integer(&self) -> i64 {
        if let Cell::Integer(value) = self {
            *value
        } else {
            0
        }
    }

    fn show(&self) -> String {
        match self {
            Cell::Null => "null".into(),
            Cell::Integer(value) => value.to_string(),
            Cell::Text(text) => format!("{text:?}"),
        }
    }
}

/// A difference whose first event is still to be found.
struct Open {
    table: &'static Table,
    key: Vec<i64>,
    /// The event is behind this position.
    since: i64,
    difference: Difference,
}

async fn verify_view<V: Fed>(
    folder: &Folder,
    reader: &Reader,
    tables: &'static [Table],
    progress: &mut impl FnMut(VerifyProgress),
) -> Result<Verified, Error> {
    let database = Error::database(V::NAME);
    let generation = folder.live(V::NAME)?.ok_or(Error::Building { view: V::NAME })?;
    let mut live = open_reader(&folder.file(V::NAME, generation))
        .await
        .map_err(&database)?;
    let mut tx = live.begin().await.map_err(&database)?;
    let through = checkpoint(&mut tx).await.map_err(&database)?;

    let shadow = folder.shadow(V::NAME);
    remove_database(&shadow)?;
    let (lane, carry) = Lane::<V>::open(&shadow, generation, through).await?;
    let mut tell = |folded, rows| {
        progress(VerifyProgress {
            view: V::NAME,
            folded,
            through,
            rows,
        })
    };
    let built = feed_through(reader, Built { lane, carry }, through, |folded| tell(folded, 0)).await?;
    built.lane.close().await;
    let mut shadowed = open_reader(&shadow).await.map_err(&database)?;

    let mut verified = Verified {
        view: V::NAME,
        generation,
        position: through,
        rows: 0,
        differences: Vec::new(),
        differing: 0,
    };
    let mut open = Vec::new();
    for table in tables {
        let compare = compare(table, &mut shadowed, &mut tx, &mut verified, &mut open, |rows| {
            tell(through, rows)
        });
        compare.await.map_err(&database)?;
    }
    shadowed.close().await.map_err(&database)?;
    remove_database(&shadow)?;
    find_first(reader, through, &mut open).await?;
    verified.differences = open.into_iter().map(|open| open.difference).collect();
    Ok(verified)
}

fn rows_of<'c>(
    table: &Table,
    connection: &'c mut SqliteConnection,
) -> BoxStream<'c, Result<Vec<Cell>, sqlx::Error>> {
    let columns: Vec<&str> = table.key.iter().chain(table.values).copied().collect();
    let (columns, key) = (columns.join(", "), table.key.join(", "));
    let sql = format!("select {columns} from {} order by {key}", table.name);
    sqlx::query(AssertSqlSafe(sql))
        .fetch(connection)
        .map(|row| read(&row?))
        .boxed()
}

fn read(row: &SqliteRow) -> Result<Vec<Cell>, sqlx::Error> {
    let mut cells = Vec::with_capacity(row.len());
    for index in 0..row.len() {
        let value = row.try_get_raw(index)?;
        cells.push(if value.is_null() {
            Cell::Null
        } else if value.type_info().name() == "TEXT" {
            Cell::Text(row.try_get(index)?)
        } else {
            Cell::Integer(row.try_get(index)?)
        });
    }
    Ok(cells)
}

/// Goes over the table in both databases at once.
async fn compare(
    table: &'static Table,
    expected: &mut SqliteConnection,
    found: &mut SqliteConnection,
    verified: &mut Verified,
    open: &mut Vec<Open>,
    mut tell: impl FnMut(u64),
) -> Result<(), sqlx::Error> {
    let width = table.key.len();
    let (mut expected, mut found) = (rows_of(table, expected), rows_of(table, found));
    let (mut left, mut right) = (expected.try_next().await?, found.try_next().await?);
    loop {
        let order = match (&left, &right) {
            (None, None) => return Ok(()),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(left), Some(right)) => left[..width].cmp(&right[..width]),
        };
        let (ours, theirs) = match order {
            std::cmp::Ordering::Less => (std::mem::replace(&mut left, expected.try_next().await?), None),
            std::cmp::Ordering::Greater => (None, std::mem::replace(&mut right, found.try_next().await?)),
            std::cmp::Ordering::Equal => (
                std::mem::replace(&mut left, expected.try_next().await?),
                std::mem::replace(&mut right, found.try_next().await?),
            ),
        };
        verified.rows += 1;
        if verified.rows.is_multiple_of(ROWS_PER_PROGRESS) {
            tell(verified.rows);
        }
        if ours != theirs {
            verified.differing += 1;
            if open.len() < DIFFERENCES_MAX {
                open.extend(difference(table, ours.as_deref(), theirs.as_deref()));
            }
        }
    }
}

fn difference(table: &'static Table, expected: Option<&[Cell]>, found: Option<&[Cell]>) -> Option<Open> {
    let width = table.key.len();
    let key = &expected.or(found)?[..width];
    let shown = |columns: &[&str], cells: &[Cell]| {
        let pairs: Vec<String> = columns
            .iter()
            .zip(cells)
            .map(|(column, cell)| format!("{column} {}", cell.show()))
            .collect();
        pairs.join(", ")
    };
    let changed = |row: Option<&[Cell]>| Some(row?[width + table.changed()?].integer());
    // A row that an event is missing from says which was the last that is in it. A row that says that all are in it
    // went wrong with the last one, as far as can be told.
    let since = match (changed(expected), changed(found)) {
        (Some(expected), Some(found)) if found < expected => found,
        (Some(expected), Some(_)) => expected - 1,
        _ => 0,
    };
    let values = |row: &[Cell]| shown(table.values, &row[width..]);
    let difference = Difference {
        table: table.name,
        key: shown(table.key, key),
        expected: expected.map(values),
        found: found.map(values),
        first: None,
    };
    Some(Open {
        table,
        key: key.iter().map(Cell::integer).collect(),
        since,
        difference,
    })
}

/// Finds the first event of each difference in the log.
async fn find_first(reader: &Reader, through: Position, open: &mut Vec<Open>) -> Result<(), Error> {
    if open.is_empty() {
        return Ok(());
    }
    let mut all = std::mem::take(open);
    let reader = reader.clone();
    let searching = tokio::task::spawn_blocking(move || {
        let mut source = Source::open(&reader, Position(0))?;
        source.read(u64::MAX, through, |event| {
            for one in all.iter_mut().filter(|one| one.difference.first.is_none()) {
                if event.position.0.cast_signed() > one.since && (one.table.touches)(&one.key, event) {
                    one.difference.first = Some(event.position);
                }
            }
        })?;
        Ok::<_, Error>(all)
    });
    *open = searching.await.map_err(|_| Error::Stopped)??;
    Ok(())
}

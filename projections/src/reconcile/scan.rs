//! The digests of the rows that a view has.

use std::time::Duration;

use futures_util::StreamExt;
use sqlx::AssertSqlSafe;

use super::digest::{Digests, RowHash};
use super::digested::{Digested, Entry};
use super::part::Part;
use crate::sql::{Connection, Row, query};
use crate::sqlite::SCAN_ROWS;
use crate::verify::row::{Cell, read_any as read_cells};
use crate::verify::tables::Table;

/// How often it is told how far a comparison is.
const TELL_EVERY_ROWS: u64 = 16_384;
/// How long the thread that reads rows goes on before what it has read is taken.
const LET_ROWS_COME: Duration = Duration::from_micros(500);

/// The digests of a view's rows, and how many rows there are. `tell` hears how many so far, and may break it off.
pub(super) async fn scan<V: Digested>(
    connection: &mut Connection<'_>,
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
        let rows = query(AssertSqlSafe(sql)).fetch(connection);
        let mut chunks = rows.ready_chunks(SCAN_ROWS);
        let mut numbers = vec![0; columns.len()];
        while let Some(chunk) = chunks.next().await {
            let is_small = chunk.len() < SCAN_ROWS / 2;
            for row in chunk {
                let number = number_of::<V>(no, table, &row?, &mut numbers)?;
                digests.add(V::group(no, &numbers), number);
                count += 1;
                if count % TELL_EVERY_ROWS == 0 && !tell(count) {
                    return Ok((digests, count));
                }
            }
            if is_small {
                // Whoever waits for a row is woken for each one, which costs more than the row does.
                tokio::time::sleep(LET_ROWS_COME).await;
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
    row: &Row,
    numbers: &mut [i64],
) -> Result<u64, sqlx::Error> {
    let width = table.key.len();
    let all_whole = numbers.iter_mut().enumerate().all(|(index, number)| {
        let read = row.try_get::<i64>(index);
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

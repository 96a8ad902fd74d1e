//! Rows as verification reads and shows them: any value in any column, whatever type the table wants there.

use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, Row, TypeInfo, ValueRef};

use crate::sql;

/// A value of a row.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Cell {
    Null,
    Integer(i64),
    Text(String),
    /// A value of a type that no table has, as it is shown.
    Odd(String),
}

impl Cell {
    pub(crate) fn integer(&self) -> i64 {
        if let Cell::Integer(value) = self {
            *value
        } else {
            0
        }
    }

    pub(crate) fn show(&self) -> String {
        match self {
            Cell::Null => "null".into(),
            Cell::Integer(value) => value.to_string(),
            Cell::Text(text) => format!("{text:?}"),
            Cell::Odd(shown) => shown.clone(),
        }
    }
}

/// Reads the first `columns` of a row.
pub(crate) fn read(row: &SqliteRow, columns: usize) -> Result<Vec<Cell>, sqlx::Error> {
    let mut cells = Vec::with_capacity(columns);
    for index in 0..columns {
        let value = row.try_get_raw(index)?;
        let text = |row: &SqliteRow| -> Result<String, sqlx::Error> {
            // Damaged text need not be text any more.
            let bytes: Vec<u8> = row.try_get_unchecked(index)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        cells.push(if value.is_null() {
            Cell::Null
        } else {
            match value.type_info().name() {
                "INTEGER" => Cell::Integer(row.try_get(index)?),
                "TEXT" => Cell::Text(text(row)?),
                "REAL" => Cell::Odd(format!("{:?} (a real number)", row.try_get::<f64, _>(index)?)),
                _ => Cell::Odd(format!("{:?} (bytes)", text(row)?)),
            }
        });
    }
    Ok(cells)
}

/// Reads the first `columns` of a row of either database. PostgreSQL keeps to the types of its columns.
pub(crate) fn read_any(row: &sql::Row, columns: usize) -> Result<Vec<Cell>, sqlx::Error> {
    let row = match row {
        sql::Row::Sqlite(row) => return read(row, columns),
        sql::Row::Postgres(row) => row,
    };
    let cell = |index| {
        Ok(match row.try_get_raw(index)?.type_info().name() {
            "TEXT" => row.try_get::<Option<String>, _>(index)?.map(Cell::Text),
            _ => row.try_get::<Option<i64>, _>(index)?.map(Cell::Integer),
        }
        .unwrap_or(Cell::Null))
    };
    (0..columns).map(cell).collect()
}

/// The cells as arguments of a statement. None is odd: they come from a shadow, whose values have the types they should.
pub(crate) fn bound<'c>(cells: impl IntoIterator<Item = &'c Cell>) -> Result<SqliteArguments, sqlx::Error> {
    let mut arguments = SqliteArguments::default();
    for cell in cells {
        let added = match cell {
            Cell::Null => arguments.add(None::<i64>),
            Cell::Integer(value) => arguments.add(*value),
            Cell::Text(text) | Cell::Odd(text) => arguments.add(text.clone()),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

//! Filters, composed of those conditions that are set.

use std::fmt::Write as _;

use crate::sql::{Query, Value};

/// Conditions that all hold, and their values. Column names are this crate's own, never a caller's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    text: String,
    values: Vec<Value>,
}

impl Conditions {
    /// How many values there are: the number of the last parameter.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// The conditions as a `where` clause, or nothing.
    pub(crate) fn clause(&self) -> String {
        if self.text.is_empty() {
            String::new()
        } else {
            format!(" where {}", self.text)
        }
    }

    pub(crate) fn equals(&mut self, column: &str, value: i64) {
        self.compare(column, "=", value);
    }

    pub(crate) fn compare(&mut self, column: &str, operator: &str, value: i64) {
        self.begin();
        self.values.push(value.into());
        self.write(format_args!("{column} {operator} ${}", self.values.len()));
    }

    pub(crate) fn compare_text(&mut self, column: &str, operator: &str, value: String) {
        self.begin();
        self.values.push(value.into());
        self.write(format_args!("{column} {operator} ${}", self.values.len()));
    }

    pub(crate) fn one_of(&mut self, column: &str, values: impl IntoIterator<Item = i64>) {
        let first = self.values.len() + 1;
        self.values.extend(values.into_iter().map(Value::from));
        let last = self.values.len();
        self.begin();
        if first > last {
            // `in ()` is not SQL everywhere; and nothing is in an empty list.
            self.write(format_args!("1 = 0"));
            return;
        }
        if first == last {
            self.write(format_args!("{column} = ${first}"));
            return;
        }
        self.write(format_args!("{column} in (${first}"));
        for parameter in first + 1..=last {
            self.write(format_args!(", ${parameter}"));
        }
        self.write(format_args!(")"));
    }

    /// The value of `column` is among those that `query` finds for `value`, whose parameter follows it.
    pub(crate) fn is_found(&mut self, column: &str, query: &str, value: i64) {
        self.begin();
        self.values.push(value.into());
        self.write(format_args!("{column} in ({query} ${})", self.values.len()));
    }

    /// The value of `column` is among those that `query` finds for any of `values`, which stand behind it in brackets.
    pub(crate) fn is_found_for_any(
        &mut self,
        column: &str,
        query: &str,
        values: impl IntoIterator<Item = i64>,
    ) {
        let first = self.values.len() + 1;
        self.values.extend(values.into_iter().map(Value::from));
        let last = self.values.len();
        self.begin();
        if first > last {
            self.write(format_args!("1 = 0"));
            return;
        }
        self.write(format_args!("{column} in ({query} (${first}"));
        for parameter in first + 1..=last {
            self.write(format_args!(", ${parameter}"));
        }
        self.write(format_args!("))"));
    }

    /// `column` is `value`, or `condition` holds of `other`, whose parameter follows it.
    pub(crate) fn equals_or(&mut self, column: &str, value: i64, condition: &str, other: i64) {
        self.begin();
        self.values.extend([Value::from(value), Value::from(other)]);
        let last = self.values.len();
        self.write(format_args!(
            "({column} = ${} or ({condition} ${last}))",
            last - 1
        ));
    }

    /// `condition` holds, which has no parameter.
    pub(crate) fn says(&mut self, condition: &str) {
        self.begin();
        self.write(format_args!("{condition}"));
    }

    /// `condition` does not hold of `value`, whose parameter follows it.
    pub(crate) fn unless(&mut self, condition: &str, value: i64) {
        self.begin();
        self.values.push(value.into());
        self.write(format_args!("not ({condition} ${})", self.values.len()));
    }

    /// One of several texts matches a pattern of `like`.
    pub(crate) fn any_like(&mut self, columns: &[&str], pattern: String) {
        self.begin();
        self.values.push(pattern.into());
        let parameter = self.values.len();
        for (index, column) in columns.iter().enumerate() {
            let open = if index == 0 { "(" } else { " or " };
            self.write(format_args!("{open}{column} like ${parameter} escape '\\'"));
        }
        self.write(format_args!(")"));
    }

    /// The pair of columns stands after a pair of values.
    pub(crate) fn after(&mut self, column_a: &str, a: i64, column_b: &str, b: i64) {
        self.pair(column_a, ">", a, column_b, b);
    }

    /// The pair of columns stands before a pair of values.
    pub(crate) fn before(&mut self, column_a: &str, a: i64, column_b: &str, b: i64) {
        self.pair(column_a, "<", a, column_b, b);
    }

    /// The columns together compare with as many values.
    pub(crate) fn compare_row(&mut self, row: &[(&str, i64)], operator: &str) {
        self.begin();
        let first = self.values.len() + 1;
        for (index, (column, value)) in row.iter().enumerate() {
            self.values.push(Value::from(*value));
            let open = if index == 0 { "(" } else { ", " };
            self.write(format_args!("{open}{column}"));
        }
        self.write(format_args!(") {operator} (${first}"));
        for parameter in first + 1..=self.values.len() {
            self.write(format_args!(", ${parameter}"));
        }
        self.write(format_args!(")"));
    }

    fn pair(&mut self, column_a: &str, operator: &str, a: i64, column_b: &str, b: i64) {
        self.begin();
        self.values.extend([Value::from(a), Value::from(b)]);
        let parameter = self.values.len();
        self.write(format_args!(
            "({column_a}, {column_b}) {operator} (${}, ${parameter})",
            parameter - 1
        ));
    }

    /// The end of a query that takes `limit` rows after leaving `skip` out. To be called last.
    pub(crate) fn page(&mut self, limit: i64, skip: i64) -> String {
        self.values.extend([Value::from(limit), Value::from(skip)]);
        format!(" limit ${} offset ${}", self.values.len() - 1, self.values.len())
    }

    /// Binds the values in the order of their parameters, which begin at `$1`.
    pub(crate) fn bind(&self, mut query: Query) -> Query {
        for value in &self.values {
            query = query.bind(value.clone());
        }
        query
    }

    fn begin(&mut self) {
        if !self.text.is_empty() {
            self.text.push_str(" and ");
        }
    }

    fn write(&mut self, what: std::fmt::Arguments<'_>) {
        let written = self.text.write_fmt(what);
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
    }
}

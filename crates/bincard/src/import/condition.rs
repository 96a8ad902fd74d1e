//! Conditions of a mapping's rules: what must hold of a row's columns.

use serde::Deserialize;

use super::columns::{Column, Columns};
use super::decimal::{Decimal, NumberFormat};
use super::row::{Row, RowError};

/// A condition as the mapping's TOML writes it: everything that is given must hold.
#[derive(Deserialize, Clone, Default, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConditionText {
    /// All of these hold.
    all: Option<Vec<ConditionText>>,
    /// At least one of these holds.
    any: Option<Vec<ConditionText>>,
    /// This does not hold.
    not: Option<Box<ConditionText>>,
    /// The column that the tests below look at.
    column: Option<String>,
    equals: Option<String>,
    #[serde(rename = "in")]
    is_in: Option<Vec<String>>,
    starts_with: Option<String>,
    ends_with: Option<String>,
    contains: Option<String>,
    blank: Option<bool>,
    number_equals: Option<NumberText>,
    less_than: Option<NumberText>,
    at_most: Option<NumberText>,
    more_than: Option<NumberText>,
    at_least: Option<NumberText>,
}

/// A number in a mapping: a whole one as it is, one with a point between quotes, so that it stays exact.
#[derive(Deserialize, Clone, Debug)]
#[serde(
    untagged,
    expecting = "a whole number, or a decimal between quotes (\"0.05\")"
)]
enum NumberText {
    Whole(i64),
    Text(String),
}

impl NumberText {
    fn parse(&self) -> Result<Decimal, String> {
        let format = NumberFormat::default();
        match self {
            NumberText::Whole(number) => format.parse(&number.to_string()),
            NumberText::Text(text) => format.parse(text),
        }
        .map_err(|error| format!("{self:?} {error}"))
    }
}

/// A condition that rows can be held against.
#[derive(Debug)]
pub(crate) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Text(Column, TextTest),
    Number(Column, NumberTest, Decimal),
}

#[derive(Debug)]
pub(crate) enum TextTest {
    In(Vec<String>),
    StartsWith(String),
    EndsWith(String),
    Contains(String),
    Blank(bool),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum NumberTest {
    Equals,
    LessThan,
    AtMost,
    MoreThan,
    AtLeast,
}

impl ConditionText {
    /// Checks the condition, and names its columns to `columns`.
    pub(crate) fn compile(self, columns: &mut Columns) -> Result<Condition, String> {
        let mut parts = Vec::new();
        if let Some(all) = self.all.clone() {
            parts.push(Condition::All(compile_list("all", all, columns)?));
        }
        if let Some(any) = self.any.clone() {
            parts.push(Condition::Any(compile_list("any", any, columns)?));
        }
        if let Some(not) = self.not.clone() {
            parts.push(Condition::Not(Box::new(not.compile(columns)?)));
        }
        let tests = self.compile_tests(columns)?;
        match (&self.column, tests.is_empty()) {
            (Some(column), true) => return Err(format!("a condition on column {column:?} tests nothing")),
            (None, false) => return Err("a condition tests a column: give `column`".to_owned()),
            _ => parts.extend(tests),
        }
        match parts.len() {
            0 => Err("a condition is empty: leave `when` out of a rule that takes every row".to_owned()),
            1 => Ok(parts.remove(0)),
            _ => Ok(Condition::All(parts)),
        }
    }

    fn compile_tests(&self, columns: &mut Columns) -> Result<Vec<Condition>, String> {
        let column = self
            .column
            .as_deref()
            .map_or(Column::default(), |name| columns.name(name));
        let trimmed = |text: &String| text.trim().to_owned();
        let texts = [
            self.equals.as_ref().map(|text| TextTest::In(vec![trimmed(text)])),
            self.is_in
                .as_ref()
                .map(|texts| TextTest::In(texts.iter().map(trimmed).collect())),
            self.starts_with.clone().map(TextTest::StartsWith),
            self.ends_with.clone().map(TextTest::EndsWith),
            self.contains.clone().map(TextTest::Contains),
            self.blank.map(TextTest::Blank),
        ];
        let numbers = [
            (NumberTest::Equals, &self.number_equals),
            (NumberTest::LessThan, &self.less_than),
            (NumberTest::AtMost, &self.at_most),
            (NumberTest::MoreThan, &self.more_than),
            (NumberTest::AtLeast, &self.at_least),
        ];
        let mut tests: Vec<Condition> = texts
            .into_iter()
            .flatten()
            .map(|test| Condition::Text(column, test))
            .collect();
        for (test, number) in numbers {
            if let Some(number) = number {
                tests.push(Condition::Number(column, test, number.parse()?));
            }
        }
        Ok(tests)
    }
}

fn compile_list(
    name: &str,
    list: Vec<ConditionText>,
    columns: &mut Columns,
) -> Result<Vec<Condition>, String> {
    if list.is_empty() {
        return Err(format!("`{name}` lists no condition"));
    }
    list.into_iter()
        .map(|condition| condition.compile(columns))
        .collect()
}

impl Condition {
    /// Whether it holds of `row`. A number test of a blank field does not; of a field that is no number it is an
    /// error, so that no row takes a wrong way unnoticed.
    pub(crate) fn holds(&self, row: &Row<'_>, numbers: NumberFormat) -> Result<bool, RowError> {
        match self {
            Condition::All(parts) => {
                for part in parts {
                    if !part.holds(row, numbers)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Condition::Any(parts) => {
                for part in parts {
                    if part.holds(row, numbers)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Condition::Not(part) => Ok(!part.holds(row, numbers)?),
            Condition::Text(column, test) => Ok(test.holds(row.text(*column))),
            Condition::Number(column, test, bound) => {
                if row.text(*column).is_empty() {
                    return Ok(false);
                }
                Ok(test.holds(row.number(*column, numbers)?, *bound))
            }
        }
    }
}

impl TextTest {
    fn holds(&self, text: &str) -> bool {
        match self {
            TextTest::In(texts) => texts.iter().any(|one| one == text),
            TextTest::StartsWith(start) => text.starts_with(start.as_str()),
            TextTest::EndsWith(end) => text.ends_with(end.as_str()),
            TextTest::Contains(part) => text.contains(part.as_str()),
            TextTest::Blank(blank) => text.is_empty() == *blank,
        }
    }
}

impl NumberTest {
    fn holds(self, number: Decimal, bound: Decimal) -> bool {
        match self {
            NumberTest::Equals => number == bound,
            NumberTest::LessThan => number < bound,
            NumberTest::AtMost => number <= bound,
            NumberTest::MoreThan => number > bound,
            NumberTest::AtLeast => number >= bound,
        }
    }
}

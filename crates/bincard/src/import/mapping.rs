//! A mapping: how rows of a file of any origin become stock events. Read from TOML, checked as a whole, and turned
//! into what rows are held against.

use std::path::Path;

use bincard_ledger::{Kind, Reason};
use chrono_tz::Tz;
use serde::Deserialize;

use super::columns::{Column, Columns};
use super::condition::{Condition, ConditionText};
use super::decimal::NumberFormat;
use super::marks;
use super::template::Template;
use super::when::{Clock, Moment, TimeFormat};

/// How rows become stock events.
#[derive(Debug)]
pub(crate) struct Mapping {
    /// What the data is called, for ever: the keys of its events derive from it.
    pub(crate) source: String,
    pub(crate) file: FileText,
    pub(crate) delimiter: u8,
    pub(crate) numbers: NumberFormat,
    /// Every column that anything below names.
    pub(crate) columns: Columns,
    pub(crate) sku: Column,
    pub(crate) name: Option<Column>,
    pub(crate) quantity: Column,
    pub(crate) reference: Option<Column>,
    pub(crate) price: Option<Column>,
    pub(crate) time: TimeSource,
    pub(crate) warehouse: WarehouseSource,
    pub(crate) notes: Option<Template>,
    pub(crate) rules: Vec<Rule>,
    time_format: TimeFormat,
    zone: Tz,
}

/// Where the time of a row comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TimeSource {
    Column(Column),
    Constant(Moment),
}

/// Where the warehouse of a row comes from.
#[derive(Clone, Debug)]
pub(crate) enum WarehouseSource {
    Constant { code: String, name: String },
    Column { code: Column, name: Option<Column> },
}

/// What becomes of the rows that it takes. Of all rules that would take a row, the first does.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) when: Option<Condition>,
    /// What kind of event; `None` skips the row.
    pub(crate) kind: Option<Kind>,
    pub(crate) reason: Option<Reason>,
    pub(crate) sign: Sign,
    /// Whether its rows make catalogue entries.
    pub(crate) catalogue: bool,
}

/// How the quantity of a row becomes the quantity of an event's line.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Sign {
    #[default]
    AsIs,
    Negate,
    Absolute,
}

/// What stands in the file.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FileFormat {
    Csv,
    Ndjson,
}

/// A mapping that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the mapping {file}: {what}")]
pub(crate) struct MappingError {
    pub(crate) file: String,
    pub(crate) what: String,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct MappingText {
    source: String,
    #[serde(default)]
    file: FileText,
    #[serde(default)]
    numbers: NumbersText,
    columns: ColumnsText,
    time: TimeText,
    warehouse: WarehouseText,
    notes: Option<String>,
    rules: Vec<RuleText>,
}

/// `[file]`: how rows stand in the file.
#[derive(Deserialize, Clone, Default, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileText {
    /// What stands in it; by the file's name when not given.
    pub(crate) format: Option<FileFormat>,
    delimiter: Option<String>,
    /// The names of the columns of a file without a header.
    pub(crate) columns: Option<Vec<String>>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields)]
struct NumbersText {
    point: Option<char>,
    group: Option<char>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct ColumnsText {
    sku: String,
    quantity: String,
    name: Option<String>,
    reference: Option<String>,
    price: Option<String>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct TimeText {
    column: Option<String>,
    value: Option<String>,
    format: Option<String>,
    zone: Option<String>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct WarehouseText {
    code: Option<String>,
    name: Option<String>,
    column: Option<String>,
    name_column: Option<String>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct RuleText {
    name: String,
    when: Option<ConditionText>,
    #[serde(default)]
    skip: bool,
    kind: Option<String>,
    reason: Option<String>,
    #[serde(default)]
    quantity: Sign,
    catalogue: Option<bool>,
}

impl Mapping {
    /// Reads and checks the mapping in `file`; `source` takes the place of the one that it gives.
    pub(crate) fn open(file: &Path, source: Option<&str>) -> Result<Mapping, MappingError> {
        let named = |what: String| MappingError {
            file: file.display().to_string(),
            what,
        };
        let text =
            std::fs::read_to_string(file).map_err(|error| named(format!("cannot be read: {error}")))?;
        Mapping::parse(&text, source).map_err(named)
    }

    /// Checks the mapping that `text` writes.
    pub(crate) fn parse(text: &str, source: Option<&str>) -> Result<Mapping, String> {
        let text: MappingText = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut columns = Columns::default();
        let name = |columns: &mut Columns, column: &Option<String>| column.as_ref().map(|c| columns.name(c));
        let zone_name = text.time.zone.as_deref().unwrap_or("UTC");
        let zone: Tz = zone_name.parse().map_err(|_| {
            format!("time.zone: {zone_name:?} is no IANA time zone such as \"Europe/London\"")
        })?;
        let time_format = TimeFormat::named(text.time.format.as_deref().unwrap_or("rfc3339"));
        let mapping = Mapping {
            source: check_source(source.unwrap_or(&text.source))?,
            delimiter: check_delimiter(text.file.delimiter.as_deref())?,
            numbers: check_numbers(&text.numbers)?,
            sku: columns.name(&text.columns.sku),
            quantity: columns.name(&text.columns.quantity),
            name: name(&mut columns, &text.columns.name),
            reference: name(&mut columns, &text.columns.reference),
            price: name(&mut columns, &text.columns.price),
            time: check_time(&text.time, &time_format, zone, &mut columns)?,
            warehouse: check_warehouse(text.warehouse, &mut columns)?,
            notes: text
                .notes
                .map(|notes| Template::parse(&notes, &mut columns))
                .transpose()?,
            rules: check_rules(text.rules, &mut columns)?,
            file: text.file,
            columns,
            time_format,
            zone,
        };
        check_columns(&mapping.columns)?;
        Ok(mapping)
    }

    /// What reads the times of one file.
    pub(crate) fn clock(&self) -> Clock {
        Clock::new(self.time_format.clone(), self.zone)
    }
}

/// Whether data may be called so.
pub(crate) fn is_source(source: &str) -> bool {
    (1..=64).contains(&source.len())
        && source
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn check_source(source: &str) -> Result<String, String> {
    if is_source(source) {
        return Ok(source.to_owned());
    }
    Err(format!(
        "source: {source:?} is not 1 to 64 letters, digits, dots, dashes and underscores"
    ))
}

fn check_columns(columns: &Columns) -> Result<(), String> {
    let is_own = |name: &&String| marks::is_mark(name) || *name == marks::TEXT;
    match columns.names().iter().find(is_own) {
        None => Ok(()),
        Some(name) => Err(format!(
            "column {name:?}: an import itself writes it beside rows that it gives back: call yours another name"
        )),
    }
}

fn check_delimiter(delimiter: Option<&str>) -> Result<u8, String> {
    match delimiter.map(str::as_bytes) {
        None => Ok(b','),
        Some([one]) if one.is_ascii() && !b"\"\r\n".contains(one) => Ok(*one),
        Some(_) => Err("file.delimiter is one ASCII character such as \";\" or \"\\t\"".to_owned()),
    }
}

fn check_numbers(text: &NumbersText) -> Result<NumberFormat, String> {
    let format = NumberFormat {
        point: text.point.unwrap_or('.'),
        group: text.group,
    };
    let is_sign = |c: char| c.is_ascii_digit() || c == '-' || c == '+';
    if is_sign(format.point) || format.group.is_some_and(is_sign) || format.group == Some(format.point) {
        return Err(
            "numbers: point and group are two different characters, neither a digit nor a sign".to_owned(),
        );
    }
    Ok(format)
}

fn check_time(
    text: &TimeText,
    format: &TimeFormat,
    zone: Tz,
    columns: &mut Columns,
) -> Result<TimeSource, String> {
    match (&text.column, &text.value) {
        (Some(column), None) => Ok(TimeSource::Column(columns.name(column))),
        (None, Some(value)) => {
            let moment = Clock::new(format.clone(), zone).constant(value);
            moment
                .map(TimeSource::Constant)
                .map_err(|error| format!("time.value: {error}"))
        }
        _ => Err("time: give `column`, or `value` for one time for all rows".to_owned()),
    }
}

fn check_warehouse(text: WarehouseText, columns: &mut Columns) -> Result<WarehouseSource, String> {
    let WarehouseText {
        code,
        name,
        column,
        name_column,
    } = text;
    match (code, column) {
        (Some(code), None) if name_column.is_none() => Ok(WarehouseSource::Constant {
            name: name.unwrap_or_else(|| code.clone()),
            code,
        }),
        (None, Some(code)) if name.is_none() => Ok(WarehouseSource::Column {
            code: columns.name(&code),
            name: name_column.map(|name| columns.name(&name)),
        }),
        _ => Err(
            "warehouse: give `code` (and `name`) for one warehouse, or `column` (and `name_column`)"
                .to_owned(),
        ),
    }
}

fn check_rules(rules: Vec<RuleText>, columns: &mut Columns) -> Result<Vec<Rule>, String> {
    if rules.is_empty() {
        return Err("rules: there is none, so every row would be rejected".to_owned());
    }
    let mut checked: Vec<Rule> = Vec::new();
    for rule in rules {
        let name = rule.name.clone();
        if let Some(all) = checked.iter().find(|one| one.when.is_none()) {
            return Err(format!(
                "rule {name:?} is never reached: {:?} before it takes every row",
                all.name
            ));
        }
        if checked.iter().any(|one| one.name == name) {
            return Err(format!("two rules are named {name:?}"));
        }
        checked.push(check_rule(rule, columns).map_err(|error| format!("rule {name:?}: {error}"))?);
    }
    Ok(checked)
}

fn check_rule(rule: RuleText, columns: &mut Columns) -> Result<Rule, String> {
    let kind = match (rule.skip, rule.kind.as_deref()) {
        (true, None) => None,
        (false, Some(kind)) => Some(check_kind(kind)?),
        _ => return Err("give `kind`, or `skip = true`".to_owned()),
    };
    let reason = rule
        .reason
        .as_deref()
        .map(|reason| check_reason(kind, reason))
        .transpose()?;
    Ok(Rule {
        name: rule.name,
        when: rule.when.map(|when| when.compile(columns)).transpose()?,
        kind,
        reason,
        sign: rule.quantity,
        catalogue: rule.catalogue.unwrap_or(kind.is_some()),
    })
}

fn check_kind(text: &str) -> Result<Kind, String> {
    match text {
        "INBOUND" => Ok(Kind::Inbound),
        "OUTBOUND" => Ok(Kind::Outbound),
        "ADJUST" => Ok(Kind::Adjust),
        _ => Err(format!("kind: {text:?} is not INBOUND, OUTBOUND or ADJUST")),
    }
}

fn check_reason(kind: Option<Kind>, text: &str) -> Result<Reason, String> {
    let (reason, kinds): (Reason, &[Kind]) = match text {
        "PURCHASE" => (Reason::Purchase, &[Kind::Inbound]),
        "SALE" => (Reason::Sale, &[Kind::Outbound]),
        "COUNT_CORRECTION" => (Reason::CountCorrection, &[Kind::Adjust]),
        "DAMAGE" => (Reason::Damage, &[Kind::Outbound, Kind::Adjust]),
        "DISCARD_EXPIRED" => (Reason::DiscardExpired, &[Kind::Outbound, Kind::Adjust]),
        "THEFT" => (Reason::Theft, &[Kind::Adjust]),
        "RETURN" => (Reason::Return, &[Kind::Adjust]),
        "OTHER" => (Reason::Other, &[Kind::Inbound, Kind::Outbound, Kind::Adjust]),
        _ => {
            return Err(format!(
                "reason: {text:?} is not PURCHASE, SALE, COUNT_CORRECTION, DAMAGE, DISCARD_EXPIRED, OTHER, THEFT or RETURN"
            ));
        }
    };
    if kind.is_some_and(|kind| kinds.contains(&kind)) {
        return Ok(reason);
    }
    Err(format!("reason {text} does not go with this kind"))
}

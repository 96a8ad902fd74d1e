//! The statement that answers for one key in the past: one text for each past, made once.
//!
//! What occurred by an instant is the sum of the days before it and of its own day's movements until then. What was
//! recorded by an instant, whenever it occurred, is what the key held behind its last movement of those. Both together
//! are the first without what was recorded later.

use std::sync::LazyLock;

use bincard_ledger::{Bucket, Buckets, Place, Position, Timestamp};

use super::SPANS;
use super::as_of::AsOf;
use super::recorded::known_table;
use crate::fold::{DAY_MICROS, day_of};
use crate::sql::{Integers, Query, query};
use crate::stock::StockKey;

/// The statement that answers for one key, and what else the view stands for at that moment: [`answer_of`] reads it. One
/// statement sees one state, and is one way to the database and back.
pub(crate) fn question(key: StockKey, past: AsOf) -> Query {
    question_of(key, past.as_of, past.known_at.map(Known::At))
}

/// What was known: at an instant, or up to the position that was found for it.
#[derive(Clone, Copy)]
pub(super) enum Known {
    At(Timestamp),
    UpTo(i64),
}

/// [`question`], where the position that was known may have been found already.
pub(super) fn question_of(key: StockKey, as_of: Option<Timestamp>, known: Option<Known>) -> Query {
    let [warehouse, variant] = key.columns();
    let of = |sql: &'static str| query(sql).bind(variant).bind(warehouse);
    match (as_of, known) {
        (None, None) => of(&PRESENT),
        (None, Some(known)) => KNOWN.ask(known, of),
        (Some(at), None) => bind_instant(of(&OCCURRED), at),
        (Some(at), Some(known)) => bind_instant(KNOWN_OF_PAST.ask(known, of), at),
    }
}

/// The parameters of [`occurred_tables`].
fn bind_instant(asked: Query, at: Timestamp) -> Query {
    let at = at.micros();
    let day = day_of(at);
    let asked = asked.bind(day).bind(day.saturating_mul(DAY_MICROS)).bind(at);
    SPANS.iter().fold(asked, |asked, days| {
        let span = day.div_euclid(*days);
        asked.bind(span).bind(span.saturating_mul(*days))
    })
}

/// The position that the view stood at, and the stock.
pub(crate) fn answer_of(row: &Integers, past: AsOf) -> (Position, Buckets) {
    let mut columns = row.iter().copied();
    let mut next = || columns.next().unwrap_or_default();
    let position = Position(next().cast_unsigned());
    let mut buckets = Buckets(std::array::from_fn(|_| next()));
    let mut change = |with: fn(i64, i64) -> i64| {
        for units in &mut buckets.0 {
            *units = with(*units, next());
        }
    };
    if past.as_of.is_some() {
        change(i64::wrapping_add);
        if past.known_at.is_some() {
            change(i64::wrapping_sub);
        }
    }
    (position, buckets)
}

/// The sums of the changes of each bucket, as columns.
pub(super) static CHANGES: LazyLock<String> = LazyLock::new(|| {
    let sums = Bucket::ALL.map(|bucket| {
        let code = Place::Bucket(bucket).code();
        format!(
            "cast(coalesce(sum(case when ((places / 16) & 15) = {code} then quantity else 0 end
                - case when (places & 15) = {code} then quantity else 0 end), 0) as bigint)"
        )
    });
    sums.join(", ")
});

const BUCKETS: usize = Bucket::ALL.len();
/// The columns of the buckets, in their order.
const COLUMNS: [&str; BUCKETS] = ["available", "reserved", "picked", "packed", "held"];
const POSITION: &str = "(select position from checkpoint where id = 1)";
const OF_KEY: &str = "variant = $1 and warehouse = $2";

/// The names of the buckets' columns, each after `table.`.
fn columns_of(table: &str) -> String {
    COLUMNS.map(|column| format!("{table}.{column}")).join(", ")
}

static PRESENT: LazyLock<String> = LazyLock::new(|| {
    let columns = COLUMNS.map(|column| format!("coalesce(keys.{column}, 0)"));
    format!(
        "select {POSITION}, {} from (select 1 as one) as always
         left join keys on keys.variant = $1 and keys.warehouse = $2",
        columns.join(", ")
    )
});

static OCCURRED: LazyLock<String> = LazyLock::new(|| {
    format!(
        "with {} select {POSITION}, {}, {} from days cross join rest",
        occurred_tables(3),
        columns_of("days"),
        columns_of("rest")
    )
});

/// The tables `days`, all that occurred before a day, and `rest`, what occurred from its beginning until an instant: a row
/// each. `first` is the number of the first parameter, the day; its beginning and the instant follow.
///
/// Of each length of spans there are two parameters more: the number of the span that the day lies in, and its first day.
/// All longest spans before that one count, the shorter ones from its first day on, and so down to days; and the key's last
/// span, if it is before the day's.
fn occurred_tables(first: usize) -> String {
    let columns = COLUMNS.join(", ");
    let (day, beginning, instant) = (first, first + 1, first + 2);
    let mut parts = Vec::new();
    let number = |index: usize| first + 3 + 2 * index;
    let mut from = String::new();
    for (index, days) in SPANS.iter().enumerate() {
        let no = number(index);
        let first_day = no + 1;
        parts.push(format!(
            "select {columns} from stock_spans where {OF_KEY} and days = {days} and no < ${no}{from}"
        ));
        from = match SPANS.get(index + 1) {
            Some(shorter) => format!(" and no >= ${first_day} / {shorter}"),
            None => format!(" and day >= ${first_day}"),
        };
    }
    let in_span = COLUMNS.map(|column| format!("span_{column}")).join(", ");
    let shortest = number(SPANS.len() - 1);
    parts.push(format!(
        "select {in_span} from keys where {OF_KEY} and span < ${shortest}"
    ));
    parts.push(format!(
        "select {columns} from stock_days where {OF_KEY} and day < ${day}{from}"
    ));
    let sums = COLUMNS.map(|column| format!("cast(coalesce(sum({column}), 0) as bigint)"));
    format!(
        "parts ({columns}) as ({}), days ({columns}) as (select {} from parts), rest ({columns}) as (
            select {} from movements
            where variant = $1 and occurred_at >= ${beginning} and occurred_at <= ${instant} and warehouse = $2
        )",
        parts.join(" union all "),
        sums.join(", "),
        *CHANGES,
    )
}

/// A statement about what was known, once for each way to say it with `$3`.
struct ByKnown {
    at: String,
    up_to: String,
}

impl ByKnown {
    /// What `rest` asks, behind the table `known`.
    fn new(rest: &str) -> ByKnown {
        ByKnown {
            at: format!("with {}, {rest}", known_table("$3")),
            up_to: format!("with known (position) as (select cast($3 as bigint)), {rest}"),
        }
    }

    fn ask(&'static self, known: Known, of: impl Fn(&'static str) -> Query) -> Query {
        match known {
            Known::At(instant) => of(&self.at).bind(instant.micros()),
            Known::UpTo(position) => of(&self.up_to).bind(position),
        }
    }
}

/// What the key held at first, behind the last mark before the position that was known, and behind each movement that may
/// have followed it until then. The last row in the order of the log tells.
///
/// The movements that matter lie between two marks, or behind the last one; and between two instants of occurrence, by
/// which they are clustered. Others that occurred between these are among the rows, and are not the last. A mark lies
/// behind every line of its event.
static KNOWN: LazyLock<ByKnown> = LazyLock::new(|| {
    let columns = COLUMNS.join(", ");
    let nothing = COLUMNS.map(|_| "0").join(", ");
    // Of the first mark behind which all that was known is, or else of the key.
    let at_mark = |column: &str| {
        format!(
            "coalesce(
                (
                    select {column} from marks where {OF_KEY} and position >= known.position
                    order by position limit 1
                ),
                (select {column} from keys where {OF_KEY})
            )"
        )
    };
    ByKnown::new(&format!(
        "held (position, line, {columns}) as (
            select 0, 0, {nothing}
            union all
            select marks.position, {LINES_MAX}, {columns} from known cross join marks
            where {OF_KEY}
                and marks.position = (select max(position) from marks where {OF_KEY} and position < known.position)
            union all
            select movements.position, line, {columns} from known cross join movements
            where variant = $1 and occurred_at >= {} and occurred_at <= {} and warehouse = $2
                and movements.position <= known.position
        )
        select {POSITION}, {columns} from held order by held.position desc, held.line desc limit 1",
        at_mark("occurred_min"),
        at_mark("occurred_max")
    ))
});

/// More than a line's number can be.
const LINES_MAX: i64 = 1 << 16;

/// What occurred by the instant, and the changes of it that were recorded later than what was known.
///
/// These are looked for from the first instant on at which anything occurred that was recorded later, as marks tell: in a
/// history that was recorded as it occurred, none is before the instant. What was known already is among them where
/// something was recorded long after it occurred, and is left out by its position.
static KNOWN_OF_PAST: LazyLock<ByKnown> = LazyLock::new(|| {
    let columns = COLUMNS.join(", ");
    // Behind `known`, as bound by `bind_instant`.
    let instant = "$6";
    ByKnown::new(&format!(
        "{}, firsts (occurred_at) as (
            select min(occurred_min) from known cross join marks where {OF_KEY} and marks.position > known.position
            union all
            select occurred_min from keys where {OF_KEY}
        ), later ({columns}) as (
            select {} from known cross join movements
            where variant = $1 and occurred_at >= (select min(occurred_at) from firsts) and occurred_at <= {instant}
                and warehouse = $2 and movements.position > known.position
        )
        select {POSITION}, {}, {}, {} from days cross join rest cross join later",
        occurred_tables(4),
        *CHANGES,
        columns_of("days"),
        columns_of("rest"),
        columns_of("later")
    ))
});

//! What an import did, for people and for programs.

use std::fmt::Write as _;
use std::time::Duration;

use bincard_ledger::Kind;
use serde::Serialize;

use super::leftovers::{Fate, Leftovers};
use super::mapping::Mapping;
use super::reading::Reading;
use super::recording::{Count, NotRecorded, Tally};
use super::run::name_of;
use super::target::HeadReport;
use super::totals::Sum;

/// What an import did. Its JSON is for programs: names stay.
#[derive(Serialize, Debug, Default)]
pub(crate) struct Report {
    pub(crate) source: String,
    pub(crate) files: Vec<FileReport>,
    /// Where the ledger stood at the end.
    pub(crate) head: Option<HeadReport>,
    /// What ended the import too early.
    pub(crate) failure: Option<String>,
}

/// What was read from one file, and what became of it.
#[derive(Serialize, Debug)]
pub(crate) struct FileReport {
    pub(crate) file: String,
    pub(crate) rows_read: u64,
    /// Rows that cannot be imported, though others of their events can.
    pub(crate) rows_rejected: u64,
    /// Where those are.
    pub(crate) rejects_file: Option<String>,
    /// The sum of what a rule took, and below it by rule and by month: whatever became of the rows.
    pub(crate) total: SumReport,
    pub(crate) rules: Vec<RuleReport>,
    pub(crate) months: Vec<MonthReport>,
    pub(crate) recorded: Count,
    pub(crate) replayed: Count,
    /// Events that the ledger refused. Their keys are not used up.
    pub(crate) refused: Count,
    /// Where their rows are.
    pub(crate) refused_file: Option<String>,
    /// Events that are recorded already, with other content.
    pub(crate) conflicts: Count,
    /// Where their rows are.
    pub(crate) conflicts_file: Option<String>,
    /// Lines left out of events because their rows sum to zero.
    pub(crate) lines_zero: u64,
    pub(crate) variants_created: u64,
    pub(crate) warehouses_created: u64,
    pub(crate) seconds: f64,
    pub(crate) rows_per_second: u64,
}

/// Rows, units and money of some rows. Money is text, so that it stays exact.
#[derive(Serialize, Debug)]
pub(crate) struct SumReport {
    rows: u64,
    quantity: i64,
    stock_change: i64,
    money: String,
}

#[derive(Serialize, Debug)]
pub(crate) struct RuleReport {
    rule: String,
    /// INBOUND, OUTBOUND, ADJUST; nothing where rows are skipped.
    kind: Option<&'static str>,
    /// What it took.
    #[serde(flatten)]
    sum: SumReport,
    /// How much of that is not in the ledger.
    #[serde(flatten)]
    not_recorded: NotRecorded,
}

#[derive(Serialize, Debug)]
pub(crate) struct MonthReport {
    /// Such as `2011-09`.
    month: String,
    #[serde(flatten)]
    sum: SumReport,
}

impl From<Sum> for SumReport {
    fn from(sum: Sum) -> SumReport {
        SumReport {
            rows: sum.rows,
            quantity: sum.quantity,
            stock_change: sum.stock_change,
            money: sum.money.to_string(),
        }
    }
}

impl FileReport {
    pub(crate) fn new(
        file: String,
        mapping: &Mapping,
        reading: &Reading,
        tally: &Tally,
        leftovers: Option<&Leftovers>,
        took: Duration,
    ) -> FileReport {
        let sums = &reading.totals.rules;
        let rules = mapping.rules.iter().enumerate().map(|(number, rule)| RuleReport {
            rule: rule.name.clone(),
            kind: rule.kind.map(|kind: Kind| name_of(kind)),
            sum: sums.get(number).copied().unwrap_or_default().into(),
            not_recorded: tally.rules.get(number).copied().unwrap_or_default(),
        });
        let file_of = |fate| Some(leftovers?.file(fate)?.display().to_string());
        let months = reading.totals.months.iter().map(|(month, sum)| MonthReport {
            month: format!("{:04}-{:02}", month / 100, month % 100),
            sum: (*sum).into(),
        });
        let seconds = took.as_secs_f64();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rate for people"
        )]
        let rows_per_second = (reading.rows as f64 / seconds.max(1e-6)) as u64;
        FileReport {
            file,
            rows_read: reading.rows,
            rows_rejected: tally.rows_rejected,
            rejects_file: file_of(Fate::Rejected),
            total: reading.totals.all.into(),
            rules: rules.collect(),
            months: months.collect(),
            recorded: tally.recorded,
            replayed: tally.replayed,
            refused: tally.refused,
            refused_file: file_of(Fate::Refused),
            conflicts: tally.conflicts,
            conflicts_file: file_of(Fate::Conflicting),
            lines_zero: reading.zero_lines,
            variants_created: tally.made.variants,
            warehouses_created: tally.made.warehouses,
            seconds,
            rows_per_second,
        }
    }

    /// Whether all its rows came into the ledger, or were skipped.
    pub(crate) fn is_whole(&self) -> bool {
        self.rows_rejected + self.refused.events + self.conflicts.events == 0
    }

    /// Whether some of its rows did not come into the ledger and none is there.
    pub(crate) fn is_fruitless(&self) -> bool {
        !self.is_whole()
            && self.recorded.events + self.replayed.events + self.variants_created + self.warehouses_created
                == 0
    }

    /// The report as people read it.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        let mut line = |what: &str, said: String| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {what:<22}{said}");
        };
        line(
            "rows read",
            format!("{}, whatever became of them; by rule:", grouped(self.rows_read)),
        );
        for rule in &self.rules {
            let kind = rule.kind.unwrap_or("skipped");
            let sum = &rule.sum;
            line(
                &format!("  {}", rule.rule),
                format!(
                    "{:>9} rows {kind:<8} {:>11} units, stock {:>+11}, money {}",
                    sum.rows, sum.quantity, sum.stock_change, sum.money
                ),
            );
            if let Some(said) = rule.not_recorded.to_text() {
                line("    not recorded", said);
            }
        }
        line(
            "units, money",
            format!("{} units, {}", self.total.quantity, self.total.money),
        );
        for (what, count, file) in [
            ("events recorded", self.recorded, &None),
            ("recorded before", self.replayed, &None),
            ("refused", self.refused, &self.refused_file),
            ("conflicts", self.conflicts, &self.conflicts_file),
        ] {
            let Count { events, lines, rows } = count;
            line(
                what,
                format!("{events} with {lines} lines from {rows} rows{}", see(file)),
            );
        }
        line(
            "rows rejected",
            format!("{}{}", grouped(self.rows_rejected), see(&self.rejects_file)),
        );
        line("lines summing to zero", grouped(self.lines_zero));
        line("variants created", grouped(self.variants_created));
        line("warehouses created", grouped(self.warehouses_created));
        line(
            "took",
            format!("{:.2} s, {} rows/s", self.seconds, grouped(self.rows_per_second)),
        );
        format!("{}\n{text}", self.file)
    }
}

impl NotRecorded {
    /// How many of a rule's rows are not in the ledger, and why; nothing when all are.
    fn to_text(self) -> Option<String> {
        let told = [
            (self.rows_refused, "refused"),
            (self.rows_rejected, "rejected"),
            (self.rows_conflicting, "in conflict"),
        ];
        let told = told.into_iter().filter(|(rows, _)| *rows > 0);
        let told: Vec<_> = told.map(|(rows, why)| format!("{rows} {why}")).collect();
        let rows = self.rows_refused + self.rows_rejected + self.rows_conflicting;
        (rows > 0).then(|| format!("{rows:>9} rows: {}", told.join(", ")))
    }
}

fn see(file: &Option<String>) -> String {
    file.as_ref()
        .map_or(String::new(), |file| format!(", see {file}"))
}

/// A number with its thousands apart: `361,762`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

//! Real input: the lines of an online shop, imported, killed halfway, resumed, and held against figures that were
//! computed apart from this program. On the excerpt always; on the whole file when `BINCARD_DATA` names its folder.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use chrono::{DateTime, NaiveDateTime, TimeZone};
use flate2::read::GzDecoder;
use serde_json::Value;

use crate::ledger::Ledger;
use crate::program::{Scratch, example};

/// Files to import, and what must come out.
struct Case {
    opening: PathBuf,
    lines: PathBuf,
    balances: BTreeMap<String, i64>,
    /// Microseconds, SKU, on hand then.
    past: Vec<(i64, String, i64)>,
    rows: u64,
    /// Rows, quantity, change of stock and money, by rule.
    rules: BTreeMap<String, Figures>,
    /// Rows, quantity and money, by month.
    months: BTreeMap<String, Figures>,
    all: Figures,
    /// Events and their lines, where known.
    events: Option<(u64, u64)>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Figures {
    rows: u64,
    quantity: i64,
    stock_change: Option<i64>,
    money: String,
}

#[test]
fn the_excerpt_comes_out_exactly_though_killed_halfway() {
    check(&excerpt());
}

#[test]
fn the_whole_file_comes_out_exactly_though_killed_halfway() {
    // Where nobody names the data, the excerpt's test is what runs.
    if let Some(folder) = std::env::var_os("BINCARD_DATA") {
        check(&whole(&Path::new(&folder).join("ledger")));
    }
}

fn check(case: &Case) {
    let scratch = Scratch::new();
    let import = |file: &Path, mapping: &str, more: &[&str]| {
        let mut command = scratch.command();
        command
            .arg("import")
            .arg(file)
            .arg("--mapping")
            .arg(example(mapping))
            .args(more);
        let rejects = scratch.path("rejects.csv");
        command
            .arg("--strict")
            .arg("--rejects")
            .arg(&rejects)
            .arg("--report")
            .arg(scratch.path("report.json"));
        crate::program::Ran::from(command.output().expect("it runs")).succeeds();
        let report: Value = serde_json::from_str(&scratch.text("report.json")).expect("the report is JSON");
        assert!(!rejects.exists(), "{}", scratch.text("rejects.csv"));
        report
    };
    import(&case.lines, "mapping.toml", &["--catalogue-only"]);
    let opening = import(&case.opening, "opening-stock.toml", &[]);
    assert_eq!(opening["files"][0]["total"]["rows"], case.balances.len());
    kill_halfway(&scratch, &case.lines);
    let killed_at = Ledger::open(&scratch.data()).head();

    let report = import(&case.lines, "mapping.toml", &[]);
    let file = &report["files"][0];
    check_totals(case, file);
    let count = |of: &str, what: &str| file[of][what].as_u64().expect("a number");
    assert!(
        count("replayed", "events") > 0 && count("recorded", "events") > 0,
        "it was not killed halfway: {file}"
    );
    if let Some((events, lines)) = case.events {
        assert_eq!(count("replayed", "events") + count("recorded", "events"), events);
        assert_eq!(count("replayed", "lines") + count("recorded", "lines"), lines);
    }

    let ledger = Ledger::open(&scratch.data());
    let head = ledger.head();
    assert!(killed_at.0 < head.0);
    assert_eq!(report["head"]["hash"], head.1);
    let moments: Vec<_> = case.past.iter().map(|(at, sku, _)| (*at, sku.clone())).collect();
    let (on_hand, past) = ledger.stock(&moments);
    for (sku, expected) in &case.balances {
        assert_eq!(
            on_hand.get(sku).copied().unwrap_or(0),
            *expected,
            "on hand of {sku}"
        );
    }
    assert!(on_hand.keys().all(|sku| case.balances.contains_key(sku)));
    for ((at, sku, expected), found) in case.past.iter().zip(past) {
        assert_eq!(found, *expected, "of {sku} at {at}");
    }
    drop(ledger);

    let again = import(&case.lines, "mapping.toml", &[]);
    assert_eq!(again["files"][0]["recorded"]["events"], 0);
    check_totals(case, &again["files"][0]);
    import(&case.opening, "opening-stock.toml", &[]);
    assert_eq!(
        Ledger::open(&scratch.data()).head(),
        head,
        "importing again changes nothing"
    );
}

/// Imports the first half of the file from standard input, waits until it says that something is recorded, and kills it.
fn kill_halfway(scratch: &Scratch, lines: &Path) {
    let mut text = Vec::new();
    open(lines).read_to_end(&mut text).expect("gzip");
    let mut child = scratch
        .command()
        .args(["import", "-", "--batch", "16", "--mapping"])
        .arg(example("mapping.toml"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(&text[..text.len() / 2]).expect("it reads");
    stdin.flush().expect("it reads");
    let said = BufReader::new(child.stderr.take().expect("a pipe"));
    let recorded = said
        .lines()
        .map_while(Result::ok)
        .find(|line| line.contains("events recorded") && !line.contains(" 0 events recorded"));
    assert!(
        recorded.is_some(),
        "it ended without saying that it had recorded anything"
    );
    child.kill().expect("SIGKILL");
    child.wait().expect("it is gone");
    drop(stdin);
}

fn check_totals(case: &Case, file: &Value) {
    assert_eq!(file["rows_read"], case.rows);
    assert_eq!(figures(&file["total"]), case.all);
    let by = |list: &str, name: &str| -> BTreeMap<String, Figures> {
        let list = file[list].as_array().expect("a list");
        list.iter()
            .map(|one| (one[name].as_str().expect("a name").to_owned(), figures(one)))
            .collect()
    };
    assert_eq!(by("rules", "rule"), case.rules);
    let known = |mut figures: Figures, as_in: &Figures| {
        figures.stock_change = figures.stock_change.filter(|_| as_in.stock_change.is_some());
        figures
    };
    let months = by("months", "month").into_iter();
    let months: BTreeMap<_, _> = months
        .map(|(month, sum)| {
            let sum = known(sum, &case.months[&month]);
            (month, sum)
        })
        .collect();
    assert_eq!(months, case.months);
}

fn figures(sum: &Value) -> Figures {
    Figures {
        rows: sum["rows"].as_u64().expect("a number"),
        quantity: sum["quantity"].as_i64().expect("a number"),
        stock_change: sum["stock_change"].as_i64(),
        money: sum["money"].as_str().expect("text").to_owned(),
    }
}

fn excerpt() -> Case {
    let totals = json(&example("expected-totals.json"));
    let past = json(&example("expected-asof.json"));
    let sums = |of: &str| {
        let sums = totals[of].as_object().expect("an object");
        sums.iter()
            .map(|(name, sum)| (name.clone(), figures(sum)))
            .collect()
    };
    let past_of = |one: &Value| {
        let at = DateTime::parse_from_rfc3339(one["asOf"].as_str().expect("text")).expect("a time");
        let sku = one["sku"].as_str().expect("text").to_owned();
        (
            at.timestamp_micros(),
            sku,
            one["onHand"].as_i64().expect("a number"),
        )
    };
    Case {
        opening: example("opening-stock.csv.gz"),
        lines: example("lines.csv.gz"),
        balances: balances(&example("expected-balances.csv"), "OnHand"),
        past: past.as_array().expect("a list").iter().map(past_of).collect(),
        rows: totals["total"]["rows"].as_u64().expect("a number"),
        rules: sums("by_kind"),
        months: sums("by_month"),
        all: figures(&totals["total"]),
        events: Some((
            totals["events"].as_u64().expect("a number"),
            totals["lines"].as_u64().expect("a number"),
        )),
    }
}

fn whole(folder: &Path) -> Case {
    let totals = json(&folder.join("expected_totals_open.json"));
    let past = json(&folder.join("expected_asof_open.json"));
    let past_of = |one: &Value| {
        let shown = one["as_of_inclusive"].as_str().expect("text");
        let shown = NaiveDateTime::parse_from_str(shown, "%Y-%m-%d %H:%M:%S").expect("a time");
        let at = chrono_tz::Europe::London
            .from_local_datetime(&shown)
            .single()
            .expect("one instant");
        let sku = one["StockCode"].as_str().expect("text").to_owned();
        (
            at.timestamp_micros(),
            sku,
            one["on_hand"].as_i64().expect("a number"),
        )
    };
    let figures_of = |sum: &Value| Figures {
        rows: sum["lines"].as_u64().expect("a number"),
        quantity: sum["sum_Quantity"].as_i64().expect("a number"),
        stock_change: sum["sum_stock_delta"].as_i64(),
        money: trimmed(sum["value"].as_str().expect("text")),
    };
    let sums = |of: &str| -> BTreeMap<String, Figures> {
        let sums = totals[of].as_object().expect("an object");
        sums.iter()
            .map(|(name, sum)| (name.clone(), figures_of(sum)))
            .collect()
    };
    let rules = sums("by_kind");
    let rows = totals["rows"].as_u64().expect("a number");
    Case {
        opening: folder.join("opening_stock.csv.gz"),
        lines: folder.join("online_retail_lines_open.csv.gz"),
        balances: balances(&folder.join("expected_balances_open.csv.gz"), "EndQty"),
        past: past.as_array().expect("a list").iter().map(past_of).collect(),
        rows,
        all: Figures {
            rows,
            quantity: totals["sum_Quantity"].as_i64().expect("a number"),
            stock_change: rules.values().map(|sum| sum.stock_change).sum(),
            money: trimmed(totals["sum_Quantity_x_UnitPrice"].as_str().expect("text")),
        },
        rules,
        months: sums("by_month"),
        events: None,
    }
}

/// A decimal without needless zeros.
fn trimmed(money: &str) -> String {
    if money.contains('.') {
        money.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        money.to_owned()
    }
}

fn balances(file: &Path, column: &str) -> BTreeMap<String, i64> {
    let mut reader = csv::Reader::from_reader(open(file));
    let rows = reader.deserialize::<BTreeMap<String, String>>();
    rows.map(|row| {
        let row = row.expect("a row");
        (row["StockCode"].clone(), row[column].parse().expect("a number"))
    })
    .collect()
}

fn open(file: &Path) -> Box<dyn Read> {
    let read = std::fs::File::open(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    if file.extension().is_some_and(|extension| extension == "gz") {
        Box::new(GzDecoder::new(read))
    } else {
        Box::new(read)
    }
}

fn json(file: &Path) -> Value {
    serde_json::from_reader(open(file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

//! What a mapping makes of rows: kinds, signs, groups, times; and what is said of a wrong one.

use bincard_ledger::{Event, Kind, StockEvent};
use flate2::{Compression, write::GzEncoder};
use std::io::Write;

use crate::ledger::Ledger;
use crate::program::{Ran, Scratch};

const MAPPING: &str = r#"
source = "shop"
notes = "Order {Order}"
[columns]
sku = "Item"
name = "Title"
quantity = "Units"
reference = "Order"
price = "Price"
[time]
column = "When"
format = "%d/%m/%Y %H:%M"
zone = "Europe/Berlin"
[warehouse]
code = "W1"
name = "Main"
[[rules]]
name = "test orders"
skip = true
when = { any = [{ column = "Order", starts_with = "TEST" }, { column = "Item", in = ["FEE", "TIP"] }] }
[[rules]]
name = "in"
kind = "INBOUND"
reason = "PURCHASE"
when = { column = "Units", more_than = 0, not = { column = "Order", equals = "COUNT" } }
[[rules]]
name = "count"
kind = "ADJUST"
reason = "COUNT_CORRECTION"
when = { column = "Order", equals = "COUNT" }
[[rules]]
name = "out"
kind = "OUTBOUND"
reason = "SALE"
quantity = "negate"
when = { column = "Units", less_than = 0 }
"#;
const HEADER: &str = "Order,Item,Title,Units,Price,When\n";

fn import(scratch: &Scratch, rows: &str) -> Ran {
    import_with(scratch, MAPPING, rows, &[])
}

fn import_with(scratch: &Scratch, mapping: &str, rows: &str, more: &[&str]) -> Ran {
    scratch.file("mapping.toml", mapping);
    scratch.file("rows.csv", format!("{HEADER}{rows}"));
    let arguments = [
        "import",
        "rows.csv",
        "--mapping",
        "mapping.toml",
        "--report",
        "report.json",
    ];
    scratch.run(arguments.iter().chain(more))
}

fn report(scratch: &Scratch) -> serde_json::Value {
    let report: serde_json::Value = serde_json::from_str(&scratch.text("report.json")).expect("JSON");
    report["files"][0].clone()
}

/// Kinds, with what each line changes on hand, in the order of recording.
fn stock_events(scratch: &Scratch) -> Vec<(Kind, Vec<i64>)> {
    stock(scratch)
        .iter()
        .map(|event| {
            (
                event.kind,
                event.postings.iter().map(|p| p.change_on_hand()).collect(),
            )
        })
        .collect()
}

fn stock(scratch: &Scratch) -> Vec<StockEvent> {
    let events = Ledger::open(&scratch.data()).events().into_iter();
    let stock = events.filter_map(|recorded| match recorded.record.event {
        Event::Stock(event) => Some(event),
        Event::Catalogue(_) => None,
    });
    stock.collect()
}

#[test]
fn the_first_rule_that_takes_a_row_decides_what_becomes_of_it() {
    let scratch = Scratch::new();
    let rows = "1,A,Apple,10,0.5,01/07/2024 10:00\n\
                TEST1,A,Apple,-5,1,01/07/2024 10:05\n\
                2,FEE,Fee,-1,9.99,01/07/2024 10:06\n\
                2,A,Apple,-3,1.25,01/07/2024 10:06\n\
                COUNT,A,Apple,-2,,01/07/2024 11:00\n";
    import(&scratch, rows).succeeds();
    use Kind::{Adjust, Inbound, Outbound};
    assert_eq!(
        stock_events(&scratch),
        [(Inbound, vec![10]), (Outbound, vec![-3]), (Adjust, vec![-2])]
    );
    let event = &stock(&scratch)[1];
    // 10:06 in Berlin in summer is 08:06 in UTC.
    assert_eq!(event.occurred_at.micros(), 1_719_821_160_000_000);
    assert_eq!(event.notes.as_deref(), Some("Order 2"));
    let report = report(&scratch);
    assert_eq!(report["rules"][0]["rows"], 2);
    assert_eq!(report["rules"][0]["money"], "-14.99");
    assert_eq!(report["rules"][3]["stock_change"], -3);
    assert_eq!(report["total"]["money"], "-13.74");
    let names = Ledger::open(&scratch.data()).variant_names();
    assert_eq!(
        names.into_iter().collect::<Vec<_>>(),
        [("A".to_owned(), "Apple".to_owned())]
    );
}

#[test]
fn rows_of_one_reference_kind_and_time_make_one_event_and_rows_of_one_sku_one_line() {
    let scratch = Scratch::new();
    let rows = "7,A,,5,1,01/07/2024 10:00\n\
                7,B,,1,1,01/07/2024 10:00\n\
                7,A,,-2,1,01/07/2024 10:00\n\
                7,A,,3,1,01/07/2024 10:00\n\
                7,C,,4,1,01/07/2024 10:01\n\
                8,A,,1,1,01/07/2024 10:00\n\
                7,D,,9,1,01/07/2024 10:00\n";
    import(&scratch, rows).succeeds();
    use Kind::{Inbound, Outbound};
    let expected = [
        (Inbound, vec![8, 1]),
        (Inbound, vec![4]),
        (Outbound, vec![-2]),
        (Inbound, vec![1]),
        (Inbound, vec![9]),
    ];
    assert_eq!(stock_events(&scratch), expected);
    let names = Ledger::open(&scratch.data()).variant_names();
    assert_eq!(names["A"], "A", "a blank name is the SKU");

    let head = Ledger::open(&scratch.data()).head();
    import(&scratch, rows).succeeds();
    assert_eq!(Ledger::open(&scratch.data()).head(), head);
    assert_eq!(report(&scratch)["replayed"]["events"], 5);
}

#[test]
fn within_a_reference_what_comes_in_is_recorded_before_what_goes_out() {
    let scratch = Scratch::new();
    // Row by row, A is never below zero; by the order of first rows, the OUTBOUND event would come first.
    let rows = "1,B,,2,1,01/07/2024 09:00\n\
                9,B,,-1,1,01/07/2024 10:00\n\
                9,A,,6,1,01/07/2024 10:00\n\
                9,A,,-6,1,01/07/2024 10:00\n";
    import_with(&scratch, MAPPING, rows, &["--strict"]).succeeds();
    assert_eq!(stock_events(&scratch).len(), 3);
}

#[test]
fn more_than_a_thousand_lines_make_several_events() {
    let scratch = Scratch::new();
    let rows: String = (0..2_500)
        .map(|sku| format!("5,S{sku},,1,1,01/07/2024 10:00\n"))
        .collect();
    import(&scratch, &rows).succeeds();
    let sizes: Vec<usize> = stock_events(&scratch)
        .iter()
        .map(|(_, lines)| lines.len())
        .collect();
    assert_eq!(sizes, [1_000, 1_000, 500]);
    let head = Ledger::open(&scratch.data()).head();
    import(&scratch, &rows).succeeds();
    assert_eq!(Ledger::open(&scratch.data()).head(), head);
}

#[test]
fn lines_that_sum_to_zero_are_left_out_and_counted() {
    let scratch = Scratch::new();
    let rows = "COUNT,A,,5,1,01/07/2024 10:00\n\
                COUNT,A,,-5,1,01/07/2024 10:00\n\
                COUNT,B,,0,1,01/07/2024 10:00\n";
    import_with(&scratch, MAPPING, rows, &["--strict"]).succeeds();
    assert_eq!(stock_events(&scratch), []);
    assert_eq!(report(&scratch)["lines_zero"], 2);
}

#[test]
fn a_file_that_is_cut_off_loses_nothing_and_goes_on_when_whole() {
    let scratch = Scratch::new();
    scratch.file("mapping.toml", MAPPING);
    // Five hundred rows an event: the cut falls within one.
    let rows: String = (0..5_000)
        .map(|row| {
            format!(
                "{},S{},Title {row},{},1,01/07/2024 10:00\n",
                row / 500,
                row % 400,
                row % 11 + 1
            )
        })
        .collect();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(format!("{HEADER}{rows}").as_bytes())
        .expect("memory");
    let gzip = gzip.finish().expect("memory");
    scratch.file("rows.csv.gz", &gzip[..gzip.len() * 2 / 3]);
    let arguments = [
        "import",
        "rows.csv.gz",
        "--mapping",
        "mapping.toml",
        "--report",
        "report.json",
    ];
    scratch
        .run(arguments)
        .fails_with(1, "rows.csv.gz is cut off after line");
    let before = Ledger::open(&scratch.data()).head().0;
    assert!(before > 402, "what came before the cut is recorded");
    scratch.file("rows.csv.gz", &gzip);
    scratch.run(arguments.iter().chain(&["--strict"])).succeeds();
    let report = report(&scratch);
    let count = |of: &str| report[of]["events"].as_u64().expect("a number");
    assert_eq!(count("recorded") + count("replayed"), 10);
    assert!(count("recorded") > 0 && count("replayed") > 0);
}

#[test]
fn ndjson_and_standard_input_import_as_csv_does() {
    let scratch = Scratch::new();
    scratch.file("mapping.toml", MAPPING);
    let rows = r#"{"Order":"1","Item":"A","Title":"Apple","Units":10,"Price":0.10,"When":"01/07/2024 10:00"}

{"Order":"1","Item":"B","Units":"3","Price":null,"When":"01/07/2024 10:00","More":{"x":1}}
{"Order":"1","Item":["B"],"Units":"3","When":"01/07/2024 10:00"}
nonsense
"#;
    scratch.file("rows.ndjson", rows);
    scratch
        .run([
            "import",
            "rows.ndjson",
            "--mapping",
            "mapping.toml",
            "--report",
            "report.json",
        ])
        .succeeds();
    assert_eq!(stock_events(&scratch), [(Kind::Inbound, vec![10, 3])]);
    assert_eq!(report(&scratch)["total"]["money"], "1");

    let head = Ledger::open(&scratch.data()).head();
    let csv = format!("{HEADER}1,A,Apple,10,0.10,01/07/2024 10:00\n1,B,,3,,01/07/2024 10:00\n");
    scratch
        .run_with(csv.as_bytes(), &["import", "-", "--mapping", "mapping.toml"])
        .succeeds();
    assert_eq!(
        Ledger::open(&scratch.data()).head(),
        head,
        "the keys do not depend on the format or the file"
    );
}

#[test]
fn a_wrong_mapping_is_wrong_use_and_says_where() {
    let scratch = Scratch::new();
    let rows = "1,A,,5,1,01/07/2024 10:00\n";
    let wrong = [
        ("source = \"shop\"", "sauce = \"shop\"", "unknown field `sauce`"),
        (
            "source = \"shop\"",
            "source = \"the shop\"",
            "source: \"the shop\" is not",
        ),
        (
            "Europe/Berlin",
            "Europe/Berlim",
            "\"Europe/Berlim\" is no IANA time zone",
        ),
        (
            "kind = \"INBOUND\"",
            "kind = \"INBOUNDS\"",
            "rule \"in\": kind: \"INBOUNDS\" is not",
        ),
        (
            "reason = \"PURCHASE\"",
            "reason = \"SALE\"",
            "rule \"in\": reason SALE does not go with this kind",
        ),
        ("more_than = 0", "more_than = 0.5", "a decimal between quotes"),
        (
            "more_than = 0,",
            "",
            "rule \"in\": a condition on column \"Units\" tests nothing",
        ),
        (
            "skip = true",
            "",
            "rule \"test orders\": give `kind`, or `skip = true`",
        ),
        ("name = \"count\"", "name = \"in\"", "two rules are named \"in\""),
        (
            "when = { column = \"Order\", equals = \"COUNT\" }",
            "",
            "rule \"out\" is never reached",
        ),
        ("Order {Order}", "Order {Order", "has a lone \"{\""),
        ("code = \"W1\"", "column = \"Depot\"", "warehouse: give `code`"),
        (
            "Order {Order}",
            "Line {import_line}",
            "column \"import_line\": an import itself writes it",
        ),
    ];
    for (right, wrong, says) in wrong {
        assert!(MAPPING.contains(right), "{right}");
        let ran = import_with(&scratch, &MAPPING.replacen(right, wrong, 1), rows, &[]);
        ran.fails_with(2, says).fails_with(2, "the mapping mapping.toml");
    }
    let ran = import_with(
        &scratch,
        &MAPPING.replace("sku = \"Item\"", "sku = \"Article\""),
        rows,
        &[],
    );
    ran.fails_with(
        2,
        "rows.csv has no column \"Article\", which the mapping names; it has: Order, Item, Title",
    );
    scratch
        .run(["import", "rows.csv", "--mapping", "none.toml"])
        .fails_with(2, "none.toml: cannot be read");
    scratch
        .run(["import", "none.csv", "--mapping", "mapping.toml"])
        .fails_with(1, "none.csv cannot be opened");
}

#[test]
fn an_unclosed_quotation_mark_does_not_fill_the_memory() {
    let scratch = Scratch::new();
    let rows = format!(
        "1,A,,5,1,01/07/2024 10:00\n2,\"{}",
        "A,,5,1,01/07/2024 10:00\n".repeat(60_000)
    );
    import(&scratch, &rows).fails_with(1, "has a row of more than 1 MiB after line 2");
}

#[test]
fn warehouses_may_come_from_a_column() {
    let scratch = Scratch::new();
    let mapping = MAPPING.replace("code = \"W1\"\nname = \"Main\"", "column = \"Title\"");
    let rows =
        "1,A,North,5,1,01/07/2024 10:00\n1,A,South,6,1,01/07/2024 10:00\n1,B,North,7,1,01/07/2024 10:00\n";
    import_with(&scratch, &mapping, rows, &["--strict"]).succeeds();
    assert_eq!(
        stock_events(&scratch),
        [(Kind::Inbound, vec![5, 7]), (Kind::Inbound, vec![6])]
    );
    assert_eq!(report(&scratch)["warehouses_created"], 2);
}

#[test]
fn a_binary_file_does_not_reach_the_terminal() {
    let scratch = Scratch::new();
    scratch.file("mapping.toml", MAPPING);
    scratch.file("rows.csv", "a\u{1b}[31m,\u{7}b\u{9b}c,d\n1,2,3\n");
    let ran = scratch
        .run(["import", "rows.csv", "--mapping", "mapping.toml"])
        .fails_with(2, "a\\u{1b}[31m, \\u{7}b\\u{9b}c, d");
    let mut said = ran.stderr.chars().chain(ran.stdout.chars());
    assert!(said.all(|c| !c.is_control() || c == '\n'), "{ran:?}");
}

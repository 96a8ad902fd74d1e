//! Rows that are not in the ledger after an import: where they are given back, what is said of them, and that no way of
//! importing them again records anything twice.

use bincard_ledger::{Event, Kind};
use serde_json::Value;

use crate::ledger::Ledger;
use crate::program::{Ran, Scratch};

const MAPPING: &str = r#"
source = "shop"
notes = "Order {Order}"
[columns]
sku = "Item"
quantity = "Units"
reference = "Order"
price = "Price"
[time]
column = "When"
format = "%d/%m/%Y %H:%M"
zone = "Europe/Berlin"
[warehouse]
code = "W1"
[[rules]]
name = "in"
kind = "INBOUND"
when = { column = "Units", more_than = 0 }
[[rules]]
name = "out"
kind = "OUTBOUND"
reason = "SALE"
quantity = "negate"
when = { column = "Units", less_than = 0 }
"#;
const HEADER: &str = "Order,Item,Units,Price,When\n";

/// A ledger, and a mapping beside it.
fn scratch(mapping: &str) -> Scratch {
    let scratch = Scratch::new();
    scratch.file("mapping.toml", mapping);
    scratch
}

fn import(scratch: &Scratch, file: &str, more: &[&str]) -> Ran {
    let arguments = [
        "import",
        file,
        "--mapping",
        "mapping.toml",
        "--report",
        "report.json",
    ];
    scratch.run(arguments.iter().chain(more))
}

/// Imports rows of CSV below the header.
fn import_rows(scratch: &Scratch, rows: &str, more: &[&str]) -> Ran {
    scratch.file("rows.csv", format!("{HEADER}{rows}"));
    import(scratch, "rows.csv", more)
}

fn report(scratch: &Scratch) -> Value {
    let report: Value = serde_json::from_str(&scratch.text("report.json")).expect("JSON");
    report["files"][0].clone()
}

/// Kinds of stock events, with what each line changes on hand, in the order of recording.
fn stock_events(scratch: &Scratch) -> Vec<(Kind, Vec<i64>)> {
    let events = Ledger::open(&scratch.data()).events().into_iter();
    let stock = events.filter_map(|recorded| match recorded.record.event {
        Event::Stock(event) => Some((
            event.kind,
            event.postings.iter().map(|p| p.change_on_hand()).collect(),
        )),
        Event::Catalogue(_) => None,
    });
    stock.collect()
}

/// Quantities of what was sold, in order.
fn sold(scratch: &Scratch) -> Vec<i64> {
    let events = stock_events(scratch).into_iter();
    let out = events.filter(|(kind, _)| *kind == Kind::Outbound);
    out.flat_map(|(_, lines)| lines).map(|change| -change).collect()
}

fn replenish(scratch: &Scratch, sku: &str, quantity: u64, reference: &str) {
    scratch.file(
        "stock.csv",
        format!("{HEADER}{reference},{sku},{quantity},,01/07/2024 00:00\n"),
    );
    let more = ["--source", "stock", "--strict"];
    import(scratch, "stock.csv", &more).succeeds();
}

fn exists(scratch: &Scratch, name: &str) -> bool {
    scratch.path(name).exists()
}

#[test]
fn rows_that_cannot_be_imported_are_given_back_with_line_and_reason() {
    let scratch = scratch(MAPPING);
    let long = "x".repeat(129);
    let rows = format!(
        "1,\"A\nB\",five,1,01/07/2024 10:00\n\
         2,A,5,1,1 July\n\
         3,A,5,1,31/03/2024 02:30\n\
         4,A\n\
         5,,5,1,01/07/2024 10:00\n\
         6,{long},5,1,01/07/2024 10:00\n\
         7,A,0,1,01/07/2024 10:00\n\
         8,A,5,cheap,01/07/2024 10:00\n\
         9,A,-1,1,01/07/2024 10:00\n\
         10,A,2,1,01/07/2024 10:00\n\
         11,A,-3,1,01/07/2124 10:00\n\
         12,A,1.5,1,01/07/2024 10:00\n"
    );
    let ran = import_rows(&scratch, &rows, &[]).succeeds();
    for says in [
        "9 rows were rejected, see rows.csv.rejects.csv: mend what stands there, unless that was done after an earlier \
         import, and import it under a source of its own, --source shop-2\n",
        "2 events were refused, see rows.csv.refused.csv: when the reason is gone, run the same import again, or \
         import what stands there in the same way; each event is recorded once, whichever you do\n",
    ] {
        assert!(ran.stderr.contains(says), "{ran:?}");
    }
    assert!(!ran.stderr.contains("conflict") && !exists(&scratch, "rows.csv.conflicts.csv"));
    let (header, found) = read_csv(&scratch, "rows.csv.rejects.csv");
    assert_eq!(header[..3], ["import_line", "import_reason", "Order"]);
    let expected = [
        ("2", "column Units: \"five\" is not a number"),
        (
            "4",
            "column When: \"1 July\" is not a time written as %d/%m/%Y %H:%M",
        ),
        (
            "5",
            "column When: \"31/03/2024 02:30\" does not exist in Europe/Berlin",
        ),
        ("6", "has 2 fields, where the header has 5"),
        ("7", "column Item: a SKU is 1 to 128 characters"),
        ("8", "column Item: a SKU is 1 to 128 characters"),
        ("9", "no rule of the mapping takes this row"),
        ("10", "column Price: \"cheap\" is not a number"),
        ("14", "column Units: \"1.5\" is not a whole number"),
    ];
    holds(&found, &expected);
    let (header, found) = read_csv(&scratch, "rows.csv.refused.csv");
    assert_eq!(
        header[..4],
        ["import_line", "import_reason", "import_key", "Order"]
    );
    holds(
        &found,
        &[
            ("11", "not enough stock: SKU A: 1 asked for, 0 there"),
            ("13", "the event lies more than 5 minutes in the future"),
        ],
    );
    assert_eq!(stock_events(&scratch), [(Kind::Inbound, vec![2])]);
}

/// The header and the rows of a file.
fn read_csv(scratch: &Scratch, name: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let text = scratch.text(name);
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .has_headers(false)
        .from_reader(text.as_bytes());
    let mut rows = reader.records().map(|row| {
        let row = row.expect("a row");
        row.iter().map(str::to_owned).collect()
    });
    (rows.next().expect("a header"), rows.collect())
}

#[track_caller]
fn holds(found: &[Vec<String>], expected: &[(&str, &str)]) {
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (row, (line, says)) in found.iter().zip(expected) {
        assert!(
            row[0] == *line && row[1].contains(says),
            "{row:?} is not {line} {says}"
        );
    }
}

#[test]
fn mended_rejects_are_imported_under_a_source_of_their_own() {
    let scratch = scratch(MAPPING);
    let rows = "1,A,5,1,01/07/2024 10:00\n1,B,many,1,01/07/2024 10:00\n1,C,1,,1 July\n";
    import_rows(&scratch, rows, &[]).succeeds();
    let mended = scratch.text("rows.csv.rejects.csv").replace(",many,", ",7,");
    scratch.file("mended.csv", mended);
    import(&scratch, "mended.csv", &["--source", "shop-2"]).succeeds();
    // What is left of it has one line number and one reason, not two.
    let (header, found) = read_csv(&scratch, "mended.csv.rejects.csv");
    assert_eq!(
        header,
        [
            "import_line",
            "import_reason",
            "Order",
            "Item",
            "Units",
            "Price",
            "When"
        ]
    );
    holds(&found, &[("3", "column When: \"1 July\"")]);
    assert_eq!(found[0][2..], ["1", "C", "1", "", "1 July"]);
    let all = [(Kind::Inbound, vec![5]), (Kind::Inbound, vec![7])];
    assert_eq!(stock_events(&scratch), all);
    import_rows(&scratch, rows, &[]).succeeds();
    assert_eq!(
        stock_events(&scratch),
        all,
        "what was mended apart stays recorded once"
    );
}

#[test]
fn a_row_that_changed_between_two_imports_is_a_conflict_and_nothing_recorded() {
    let scratch = scratch(MAPPING);
    import_rows(
        &scratch,
        "1,A,5,1,01/07/2024 10:00\n2,A,1,1,01/07/2024 10:00\n",
        &[],
    )
    .succeeds();
    let ran = import_rows(
        &scratch,
        "1,A,6,1,01/07/2024 10:00\n2,A,1,1,01/07/2024 10:00\n3,A,2,1,01/07/2024 11:00\n",
        &[],
    );
    let says = "1 event was in conflict with what is recorded already, see rows.csv.conflicts.csv: do not import what \
                stands there under any source; put the difference right with an ADJUST, unless it is meant\n";
    assert!(ran.stderr.contains(says), "{ran:?}");
    assert!(
        !ran.stderr.contains("refused") && !ran.stderr.contains("--source"),
        "{ran:?}"
    );
    assert!(!exists(&scratch, "rows.csv.rejects.csv") && !exists(&scratch, "rows.csv.refused.csv"));
    let (_, found) = read_csv(&scratch, "rows.csv.conflicts.csv");
    holds(
        &found,
        &[("2", "recorded already at position 3 with other content")],
    );
    // Who does it all the same, under whatever source, records nothing.
    import(&scratch, "rows.csv.conflicts.csv", &["--source", "shop-2"])
        .fails_with(1, "1 event was in conflict");
    assert_eq!(
        stock_events(&scratch),
        [
            (Kind::Inbound, vec![5]),
            (Kind::Inbound, vec![1]),
            (Kind::Inbound, vec![2])
        ]
    );
}

#[test]
fn importing_fails_when_nothing_could_be_imported_or_any_row_matters() {
    let scratch = scratch(MAPPING);
    import_rows(&scratch, "1,A,five,1,01/07/2024 10:00\n", &[]).fails_with(1, "1 row was rejected");
    let rows = "1,A,five,1,01/07/2024 10:00\n2,A,5,1,01/07/2024 10:00\n";
    import_rows(&scratch, rows, &["--strict"]).fails_with(1, "1 row was rejected");
    import_rows(&scratch, rows, &[]).succeeds();
    let short = "3,A,-9,1,01/07/2024 10:00\n";
    import_rows(&scratch, short, &[]).fails_with(1, "1 event was refused");
    let rows = format!("2,A,5,1,01/07/2024 10:00\n{short}");
    import_rows(&scratch, &rows, &["--strict"]).fails_with(1, "1 event was refused");
    import_rows(&scratch, &rows, &[]).succeeds();
}

/// Three events of one order with others between them, two of them alike, and one of another order: all want stock.
const PARTS: &str = "1,A,-2,1,01/07/2024 10:00\n\
                     2,B,1,1,01/07/2024 10:00\n\
                     1,A,-3,1,01/07/2024 10:00\n\
                     3,A,-4,1,01/07/2024 10:00\n\
                     1,A,-2,1,01/07/2024 10:00\n";

#[test]
fn no_order_of_importing_the_file_and_what_was_refused_of_it_records_anything_twice() {
    for order in ["orro", "roro", "rroo", "ooor"] {
        let scratch = scratch(MAPPING);
        scratch.file("sales.csv", format!("{HEADER}{PARTS}"));
        import(&scratch, "sales.csv", &[]).succeeds();
        assert_eq!(read_csv(&scratch, "sales.csv.refused.csv").1.len(), 4);
        // Stock comes bit by bit, so that each import takes some of them and is refused the others.
        for (step, which) in order.char_indices() {
            replenish(&scratch, "A", 3, &format!("{order}{step}"));
            let file = if which == 'o' {
                "sales.csv"
            } else {
                "sales.csv.refused.csv"
            };
            import(&scratch, file, &[]);
            let sold: i64 = sold(&scratch).iter().sum();
            assert!(sold <= 11, "{order}: {sold} were sold of 11");
        }
        replenish(&scratch, "A", 100, order);
        for file in ["sales.csv", "sales.csv.refused.csv", "sales.csv"] {
            let ran = import(&scratch, file, &["--strict"]).succeeds();
            assert_eq!(report(&scratch)["conflicts"]["events"], 0, "{order}: {ran:?}");
        }
        let mut sold = sold(&scratch);
        sold.sort_unstable();
        assert_eq!(sold, [2, 2, 3, 4], "{order}");
    }
}

#[test]
fn a_later_part_of_an_event_that_was_refused_keeps_its_key() {
    let scratch = scratch(MAPPING);
    replenish(&scratch, "A", 2, "0");
    scratch.file("sales.csv", format!("{HEADER}{PARTS}"));
    import(&scratch, "sales.csv", &[]).succeeds();
    assert_eq!(sold(&scratch), [2]);
    // Without its key, the second part would be taken for the first.
    replenish(&scratch, "A", 100, "1");
    import(&scratch, "sales.csv.refused.csv", &["--strict"]).succeeds();
    assert_eq!(sold(&scratch), [2, 3, 4, 2]);
    import(&scratch, "sales.csv", &["--strict"]).succeeds();
    assert_eq!(report(&scratch)["replayed"]["events"], 5);
    assert_eq!(sold(&scratch), [2, 3, 4, 2]);
}

#[test]
fn what_was_refused_is_recorded_once_however_it_is_mended_and_whatever_it_is_called() {
    // Another quantity, time, reference or SKU; another source.
    let mended: [(&str, &str, &[&str]); 5] = [
        (",-9,", ",-1,", &[]),
        ("01/07/2024 10:00", "02/07/2024 11:00", &[]),
        (",7,A,", ",8,A,", &[]),
        (",7,A,", ",7,B,", &[]),
        ("", "", &["--source", "shop-2"]),
    ];
    for (right, wrong, more) in mended {
        let scratch = scratch(MAPPING);
        replenish(&scratch, "B", 100, "0");
        let rows = "7,A,-9,1,01/07/2024 10:00\n";
        scratch.file("sales.csv", format!("{HEADER}{rows}"));
        import(&scratch, "sales.csv", &[]).succeeds();
        let refused = scratch.text("sales.csv.refused.csv");
        assert!(refused.contains(right), "{refused}");
        scratch.file("mended.csv", refused.replace(right, wrong));
        replenish(&scratch, "A", 100, "1");
        import(&scratch, "mended.csv", more).succeeds();
        let once = sold(&scratch);
        assert_eq!(once.len(), 1, "{wrong:?}");
        import(&scratch, "sales.csv", &[]);
        let report = report(&scratch);
        let known = |of: &str| report[of]["events"].as_u64().expect("a number");
        assert_eq!(known("replayed") + known("conflicts"), 1, "{wrong:?}: {report}");
        assert_eq!(sold(&scratch), once, "{wrong:?}");
    }
}

#[test]
fn an_event_that_was_refused_is_imported_whole_or_not_at_all() {
    let scratch = scratch(MAPPING);
    scratch.file(
        "sales.csv",
        format!(
            "{HEADER}1,A,-1,1,01/07/2024 10:00\n1,B,-2,1,01/07/2024 10:00\n1,C,-3,1,01/07/2024 10:00\n\
             2,D,-4,1,01/07/2024 10:00\n"
        ),
    );
    import(&scratch, "sales.csv", &[]).succeeds();
    for sku in ["A", "B", "C", "D"] {
        replenish(&scratch, sku, 10, sku);
    }
    let refused = scratch.text("sales.csv.refused.csv");
    let lines: Vec<&str> = refused.lines().collect();
    let swapped = format!(
        "{}\n{}\n{}\n{}\n{}\n",
        lines[0], lines[1], lines[2], lines[4], lines[3]
    );
    let key = lines[1]
        .split(',')
        .find(|field| field.starts_with("import:shop:"))
        .expect("a key");
    for (wrong, says) in [
        (
            refused.replace(",-2,", ",two,"),
            "line 3 is of the same event and cannot be imported",
        ),
        (
            refused.replace(",-2,", ",0,"),
            "line 3 is of the same event and cannot be imported",
        ),
        (refused.replace(",-2,", ",2,"), "no longer make one event"),
        (
            refused.replace("B,-2,1,01/07/2024 10:00", "B,-2,1,01/07/2024 10:01"),
            "no longer make one event",
        ),
        (
            refused.replace(key, "import:shop:1"),
            "its import_key is none that an import writes",
        ),
    ] {
        let scratch_file = scratch.file("mended.csv", &wrong);
        let _old = std::fs::remove_file(scratch.path("mended.csv.refused.csv"));
        import(&scratch, "mended.csv", &["--batch", "1"]);
        assert!(scratch_file.exists());
        let (_, given_back) = read_csv(&scratch, "mended.csv.refused.csv");
        assert_eq!(given_back.len(), 3, "{says}: {given_back:?}");
        assert!(
            given_back.iter().any(|row| row[1].contains(says)),
            "{says}: {given_back:?}"
        );
        let keys: Vec<&str> = given_back.iter().map(|row| row[2].as_str()).collect();
        assert!(
            keys.iter().all(|one| wrong.contains(one) && *one == keys[0]),
            "{keys:?}"
        );
        assert!(!exists(&scratch, "mended.csv.rejects.csv"), "{says}");
        assert_eq!(sold(&scratch), [4], "{says}");
    }
    // Rows of one event apart: the first of them make the event, and the others are told, not lost.
    scratch.file("mended.csv", swapped);
    import(&scratch, "mended.csv", &["--refused", "apart.csv"]).succeeds();
    holds(
        &read_csv(&scratch, "apart.csv").1,
        &[("5", "other rows with this import_key stand further up")],
    );
    assert_eq!(sold(&scratch), [4, 1, 2]);
    import(&scratch, "sales.csv", &[]).succeeds();
    assert_eq!(report(&scratch)["conflicts"]["events"], 1);
    assert_eq!(sold(&scratch), [4, 1, 2]);
}

#[test]
fn an_event_that_grew_too_large_while_it_was_mended_is_given_back_with_every_row() {
    let scratch = scratch(MAPPING);
    import_rows(&scratch, "1,A,-1,1,01/07/2024 10:00\n", &[]).succeeds();
    let refused = scratch.text("rows.csv.refused.csv");
    let (header, row) = refused.split_once('\n').expect("a header");
    let rows: String = (0..1_001)
        .map(|number| row.replace(",1,A,-1,", &format!(",1,S{number},2,")))
        .collect();
    scratch.file("mended.csv", format!("{header}\n{rows}"));
    import(&scratch, "mended.csv", &["--strict"]).fails_with(1, "refused, see mended.csv.refused.csv");
    let (_, given_back) = read_csv(&scratch, "mended.csv.refused.csv");
    assert_eq!(given_back.len(), 1_001);
    assert!(
        given_back[0][1].contains("more than one event takes"),
        "{:?}",
        given_back[0]
    );
    assert_eq!(stock_events(&scratch), []);
}

#[test]
fn a_file_that_is_there_is_never_overwritten() {
    let scratch = scratch(MAPPING);
    let rows = "1,A,five,1,01/07/2024 10:00\n2,A,-5,1,01/07/2024 10:00\n";
    for (rejects, refused) in [
        ("rows.csv.rejects.csv", "rows.csv.refused.csv"),
        ("rows.csv.rejects-2.csv", "rows.csv.refused-2.csv"),
        ("rows.csv.rejects-3.csv", "rows.csv.refused-3.csv"),
    ] {
        let ran = import_rows(&scratch, rows, &[]);
        let report = report(&scratch);
        assert_eq!(
            (&report["rejects_file"], &report["refused_file"]),
            (&rejects.into(), &refused.into())
        );
        for file in [rejects, refused] {
            assert!(ran.stdout.contains(&format!("see {file}\n")), "{ran:?}");
            assert!(ran.stderr.contains(&format!(", see {file}:")), "{ran:?}");
            assert!(exists(&scratch, file), "{file}");
            scratch.file(file, "mended by hand");
        }
    }
    scratch.file("mine", "mine");
    import_rows(&scratch, rows, &["--rejects", "mine", "--refused", "mine"]);
    assert!(scratch.text("mine-2").contains("2,\"column Units: \"\"five\"\""));
    assert!(scratch.text("mine-3").contains("3,\"not enough stock"));
    for file in [
        "mine",
        "rows.csv.rejects.csv",
        "rows.csv.rejects-2.csv",
        "rows.csv.refused-3.csv",
    ] {
        assert!(
            ["mine", "mended by hand"].contains(&scratch.text(file).as_str()),
            "{file}"
        );
    }
    import_rows(
        &scratch,
        rows,
        &["--rejects", "/dev/null", "--refused", "/dev/null"],
    );
    assert_eq!(report(&scratch)["rejects_file"], "/dev/null");
    import_rows(&scratch, rows, &["--refused", "rows.csv"])
        .fails_with(2, "rows.csv is the file to import: give --refused another name");
    import_rows(&scratch, rows, &["--rejects", "nowhere/x.csv"]).fails_with(
        1,
        "nowhere/x.csv cannot be written: give --rejects a place that can be",
    );
}

#[test]
fn what_is_given_back_of_csv_is_read_by_the_same_mapping() {
    let with = |text: &str| MAPPING.replace("[columns]", &format!("[file]\n{text}\n[columns]"));
    let columns = "columns = [\"Order\", \"Item\", \"Units\", \"Price\", \"When\"]";
    for (mapping, header, delimiter) in [
        (with("delimiter = \";\""), HEADER, ";"),
        (with(&format!("delimiter = \"\\t\"\n{columns}")), "", "\t"),
        (with(columns), "", ","),
    ] {
        let scratch = scratch(&mapping);
        let rows = "1,A,five,1,01/07/2024 10:00\n1,B,-5,1,01/07/2024 10:00\n1,C,3,1,01/07/2024 10:00\n2,C\n";
        let text = format!("{header}{rows}").replace(',', delimiter);
        scratch.file("rows.csv", &text);
        import(&scratch, "rows.csv", &[]).succeeds();
        assert_eq!(report(&scratch)["rows_read"], 4, "{delimiter:?}");
        assert_eq!(stock_events(&scratch), [(Kind::Inbound, vec![3])]);
        let rejects = scratch.text("rows.csv.rejects.csv");
        let own = format!("1{delimiter}A{delimiter}five{delimiter}1{delimiter}01/07/2024 10:00\n");
        assert!(rejects.contains(&own), "{rejects}");

        let mended = rejects.replace("five", "5").replace(
            &format!("2{delimiter}C\n"),
            &format!("2{delimiter}C{delimiter}4{delimiter}{delimiter}01/07/2024 10:00\n"),
        );
        scratch.file("mended.csv", mended);
        import(&scratch, "mended.csv", &["--source", "shop-2", "--strict"]).succeeds();
        replenish_as(
            &scratch,
            &format!("{header}9,B,9,,01/07/2024 00:00\n").replace(',', delimiter),
        );
        import(&scratch, "rows.csv.refused.csv", &["--strict"]).succeeds();
        import(&scratch, "rows.csv", &[]).succeeds();
        let report = report(&scratch);
        assert_eq!(
            (&report["replayed"]["events"], &report["rows_rejected"]),
            (&2.into(), &2.into())
        );
        let expected = [
            (Kind::Inbound, vec![3]),
            (Kind::Inbound, vec![5]),
            (Kind::Inbound, vec![4]),
            (Kind::Inbound, vec![9]),
            (Kind::Outbound, vec![-5]),
        ];
        assert_eq!(stock_events(&scratch), expected, "{delimiter:?}");
    }
}

fn replenish_as(scratch: &Scratch, text: &str) {
    scratch.file("stock.csv", text);
    import(scratch, "stock.csv", &["--source", "stock", "--strict"]).succeeds();
}

#[test]
fn what_is_given_back_of_ndjson_is_ndjson_and_read_by_the_same_mapping() {
    let scratch = scratch(MAPPING);
    let rows = r#"{"Order":"1","Item":["A"],"Units":3,"When":"01/07/2024 10:00"}
{"Order":"1","Item":"B","Units":-5,"Price":1.50,"When":"01/07/2024 10:00","More":{"x":[1, 2]}}
{"Order":"1","Item":"C","Units":"3","When":"01/07/2024 10:00"}
{"Order":"2","Item":"D","Units":4,"When":"01/07/2024 10:00"
"#;
    scratch.file("rows.ndjson", rows);
    import(&scratch, "rows.ndjson", &[]).succeeds();
    let rejects = scratch.text("rows.ndjson.rejects.ndjson");
    let lines: Vec<Value> = rejects
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object"))
        .collect();
    assert_eq!(lines[0]["import_line"], 1);
    assert_eq!(
        lines[0]["import_reason"],
        "member \"Item\" is neither text nor a number"
    );
    assert_eq!(lines[0]["Item"], serde_json::json!(["A"]));
    assert_eq!(lines[1]["import_line"], 4);
    let cut = rows.lines().last().expect("lines");
    assert_eq!(lines[1]["import_text"], cut, "what is no object is kept as text");
    let refused = scratch.text("rows.ndjson.refused.ndjson");
    let own = "\"Order\":\"1\",\"Item\":\"B\",\"Units\":-5,\"Price\":1.50,\"When\":\"01/07/2024 10:00\",\
               \"More\":{\"x\":[1, 2]}}\n";
    assert!(
        refused.starts_with("{\"import_line\":2,") && refused.ends_with(own),
        "{refused}"
    );

    // As it is, it is rejected again, and not changed by it.
    import(&scratch, "rows.ndjson.rejects.ndjson", &["--source", "shop-2"])
        .fails_with(1, "2 rows were rejected");
    let again = scratch.text("rows.ndjson.rejects.ndjson.rejects.ndjson");
    assert_eq!(again.replace("\"import_line\":2", "\"import_line\":4"), rejects);

    let mended = rejects
        .replace("[\"A\"]", "\"A\"")
        .replace("01/07/2024 10:00\\\"\"}", "01/07/2024 10:00\\\"}\"}");
    scratch.file("mended.ndjson", mended);
    import(&scratch, "mended.ndjson", &["--source", "shop-2", "--strict"]).succeeds();
    scratch.file(
        "stock.ndjson",
        "{\"Order\":9,\"Item\":\"B\",\"Units\":9,\"When\":\"01/07/2024 00:00\"}\n",
    );
    import(&scratch, "stock.ndjson", &["--source", "stock", "--strict"]).succeeds();
    import(&scratch, "rows.ndjson.refused.ndjson", &["--strict"]).succeeds();
    import(&scratch, "rows.ndjson", &[]).succeeds();
    assert_eq!(report(&scratch)["replayed"]["events"], 2);
    let expected = [
        (Kind::Inbound, vec![3]),
        (Kind::Inbound, vec![3]),
        (Kind::Inbound, vec![4]),
        (Kind::Inbound, vec![9]),
        (Kind::Outbound, vec![-5]),
    ];
    assert_eq!(stock_events(&scratch), expected);
}

#[test]
fn the_report_tells_by_rule_what_was_read_and_what_of_it_is_not_recorded() {
    let mapping = MAPPING
        .replace(
            "when = { column = \"Units\", more_than = 0 }",
            "when = { column = \"Order\", starts_with = \"IN\" }",
        )
        .replace("when = { column = \"Units\", less_than = 0 }", "");
    let scratch = scratch(&mapping);
    let first = "IN,A,4,1,01/07/2024 10:00\n6,A,-1,1,01/07/2024 11:00\n";
    import_rows(&scratch, first, &["--strict"]).succeeds();
    let rows = "IN,A,4,1,01/07/2024 10:00\n\
                6,A,-2,1,01/07/2024 11:00\n\
                7,A,-8,2,01/07/2024 12:00\n\
                7,B,-1,2,01/07/2024 12:00\n\
                8,C,3,2,01/07/2024 12:00\n\
                8,A,-1,1,01/07/2024 12:00\n\
                9,D,one,,01/07/2024 12:00\n";
    let ran = import_rows(&scratch, rows, &[]).succeeds();
    let report = report(&scratch);
    let rule = |number: usize| -> Vec<i64> {
        let of = |name: &str| report["rules"][number][name].as_i64().expect("a number");
        let names = [
            "rows",
            "quantity",
            "stock_change",
            "rows_refused",
            "rows_rejected",
            "rows_conflicting",
        ];
        names.into_iter().map(of).collect()
    };
    assert_eq!(rule(0), [1, 4, 4, 0, 0, 0]);
    assert_eq!(rule(1), [5, -9, -9, 2, 1, 1], "totals are those of the file");
    assert_eq!(report["rules"][1]["money"], "-15");
    assert_eq!(report["rows_read"], 7);
    assert_eq!(report["rows_rejected"], 2, "that which no rule took is no rule's");
    for (of, rows) in [("recorded", 1), ("replayed", 1), ("refused", 2), ("conflicts", 1)] {
        assert_eq!(
            (&report[of]["events"], &report[of]["rows"]),
            (&1.into(), &rows.into()),
            "{of}"
        );
    }
    assert_eq!(report["refused_file"], "rows.csv.refused.csv");
    assert_eq!(report["conflicts_file"], "rows.csv.conflicts.csv");
    for says in [
        "  rows read             7, whatever became of them; by rule:\n",
        "    out                         5 rows OUTBOUND          -9 units, stock          -9, money -15\n      \
         not recorded              4 rows: 2 refused, 1 rejected, 1 in conflict\n",
        "  refused               1 with 2 lines from 2 rows, see rows.csv.refused.csv\n",
        "  conflicts             1 with 1 lines from 1 rows, see rows.csv.conflicts.csv\n",
        "  rows rejected         2, see rows.csv.rejects.csv\n",
    ] {
        assert!(ran.stdout.contains(says), "{says:?} is not in {}", ran.stdout);
    }
}

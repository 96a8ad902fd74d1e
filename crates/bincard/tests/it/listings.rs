//! `bincard stock`, `history` and `export`: of a stopped folder and through a server, the same words and the same answers.

use crate::program::Scratch;
use crate::server::{key, serve};

/// Two warehouses and two variants, one of them received twice at one.
fn furnished() -> Scratch {
    let scratch = Scratch::new();
    let rows = [
        (
            "NORTH",
            "MUG,10,2025-01-01T00:00:00Z\nMUG,5,2025-02-01T00:00:00Z\n",
        ),
        ("SOUTH", "=CUP,3,2025-03-01T00:00:00Z\n"),
    ];
    for (warehouse, rows) in rows {
        let mapping = format!(
            "source = \"{warehouse}\"\n[columns]\nsku = \"sku\"\nquantity = \"units\"\n\
             [time]\ncolumn = \"at\"\nformat = \"%Y-%m-%dT%H:%M:%SZ\"\nzone = \"UTC\"\n\
             [warehouse]\ncode = \"{warehouse}\"\n\
             [[rules]]\nname = \"in\"\nkind = \"INBOUND\"\nreason = \"OTHER\"\n"
        );
        scratch.file("mapping.toml", mapping);
        scratch.file("rows.csv", format!("sku,units,at\n{rows}"));
        let import = ["import", "rows.csv", "--mapping", "mapping.toml", "--strict"];
        scratch.run(import).succeeds();
    }
    scratch
}

/// The fields of each row of CSV without quotes, by the names of these columns.
fn fields(csv: &str, names: &[&str]) -> Vec<String> {
    let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().expect("a header");
    let at = |name: &&str| header.iter().position(|column| column == name).expect("a column");
    let places: Vec<usize> = names.iter().map(at).collect();
    lines
        .map(|row| {
            places
                .iter()
                .map(|place| row[*place])
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect()
}

#[test]
fn stock_is_listed_now_and_in_the_past() {
    let scratch = furnished();
    let names = ["warehouseCode", "variantSku", "onHand"];
    let stock = |more: &[&str]| {
        let ran = scratch.run(["stock"].iter().chain(more)).succeeds();
        assert_eq!(ran.stderr, "");
        fields(&ran.stdout, &names)
    };
    assert_eq!(stock(&[]), ["NORTH MUG 15", "SOUTH '=CUP 3"]);
    assert_eq!(stock(&["--warehouse", "NORTH"]), ["NORTH MUG 15"]);
    assert_eq!(stock(&["--sku", "=CUP"]), ["SOUTH '=CUP 3"]);
    let past = stock(&["--as-of", "2025-01-15T00:00:00Z"]);
    assert_eq!(past, ["NORTH MUG 10", "SOUTH '=CUP 0"]);
    let unknown = stock(&["--known-at", "2025-01-15T00:00:00Z"]);
    assert_eq!(unknown, ["NORTH MUG 0", "SOUTH '=CUP 0"]);
    let table = scratch.run(["stock", "--format", "table"]).succeeds().stdout;
    assert_eq!(
        table,
        " warehouse  SKU   on hand  available  reserved  picked  packed  held\n \
         NORTH      MUG        15         15         0       0       0     0\n \
         SOUTH      =CUP        3          3         0       0       0     0\n"
    );
    let lines = scratch.run(["stock", "--format", "ndjson"]).succeeds().stdout;
    assert_eq!(lines.lines().count(), 2);
    assert!(
        lines.contains(r#""variantSku":"=CUP""#),
        "JSON has texts as they are: {lines}"
    );
}

#[test]
fn a_history_is_told_from_its_end() {
    let scratch = furnished();
    let names = ["occurredAt", "type", "quantity", "onHandBefore", "onHandAfter"];
    let history = |more: &[&str]| {
        let ran = scratch.run(["history", "MUG"].iter().chain(more)).succeeds();
        fields(&ran.stdout, &names)
    };
    let (first, second) = (
        "2025-01-01T00:00:00Z INBOUND 10 0 10",
        "2025-02-01T00:00:00Z INBOUND 5 10 15",
    );
    assert_eq!(history(&[]), [second, first]);
    assert_eq!(history(&["--limit", "1"]), [second]);
    assert_eq!(history(&["--limit", "0"]).len(), 0);
    assert_eq!(history(&["--to", "2025-01-31T00:00:00Z"]), [first]);
    assert_eq!(
        history(&["--from", "2025-01-31T00:00:00Z", "--warehouse", "NORTH"]),
        [second]
    );
    assert_eq!(history(&["--warehouse", "SOUTH"]).len(), 0);
    let limited = ["history", "MUG", "--limit", "1", "--format", "ndjson"];
    assert_eq!(scratch.run(limited).succeeds().stdout.lines().count(), 1);
    let table = ["history", "MUG", "--limit", "1", "--format", "table"];
    assert_eq!(scratch.run(table).succeeds().stdout.lines().count(), 2);
}

#[test]
fn exports_are_the_same_of_a_folder_and_through_a_server() {
    let scratch = furnished();
    for what in ["stock", "movements", "events"] {
        scratch
            .run(["export", what, "-o", &format!("{what}.csv")])
            .succeeds();
        scratch
            .run(["export", what, "--output", &format!("{what}.ndjson")])
            .succeeds();
        assert!(!scratch.path(&format!("{what}.csv.part")).exists());
        let told = scratch.run(["export", what]).succeeds().stdout;
        assert_eq!(told, scratch.text(&format!("{what}.csv")));
    }
    assert_eq!(scratch.text("events.csv").lines().count(), 4);
    assert_eq!(scratch.text("movements.ndjson").lines().count(), 3);
    let key = key(&scratch);
    let server = serve(&scratch);
    let url = server.url.clone();
    let through = ["--url", &url, "--key", &key];
    for what in ["stock", "movements", "events"] {
        let told = scratch
            .run(["export", what].iter().chain(&through))
            .succeeds()
            .stdout;
        assert_eq!(told, scratch.text(&format!("{what}.csv")), "{what}");
    }
    let stock = ["stock", "--warehouse", "SOUTH"];
    let told = scratch.run(stock.iter().chain(&through)).succeeds().stdout;
    assert_eq!(fields(&told, &["onHand"]), ["3"]);
    scratch.run(["stock"]).fails_with(1, "by --url and --key");
    let wrong = ["stock", "--url", &url, "--key", "bck_wrong"];
    scratch
        .run(wrong)
        .fails_with(1, "the server does not know this --key");
    assert_eq!(server.stop().0, Some(0));
    scratch
        .run(["stock"].iter().chain(&through))
        .fails_with(1, "did not answer");
}

#[test]
fn what_is_asked_wrongly_exits_with_2_and_leaves_no_file() {
    let scratch = furnished();
    scratch
        .run(["stock", "--sku", "NONE"])
        .fails_with(2, "There is no such variant: SKU \"NONE\"");
    scratch
        .run(["history", "NONE"])
        .fails_with(2, "There is no such variant");
    scratch
        .run(["stock", "--warehouse", "WEST"])
        .fails_with(2, "no warehouse with the code \"WEST\"");
    scratch
        .run(["stock", "--as-of", "yesterday"])
        .fails_with(2, "--as-of must be an instant");
    scratch.run(["history"]).fails_with(2, "<SKU>");
    scratch
        .run(["export", "everything"])
        .fails_with(2, "possible values: stock, movements, events");
    scratch
        .run(["export", "events", "--sku", "MUG"])
        .fails_with(2, "--sku goes with stock and movements");
    scratch
        .run(["export", "stock", "--format", "table"])
        .fails_with(2, "--format table goes with");
    scratch
        .run(["stock", "--url", "ftp://x", "--key", "k"])
        .fails_with(2, "is not a URL");
    let refused = ["export", "movements", "-o", "out.csv", "--from", "never"];
    scratch.run(refused).fails_with(2, "--from must be an instant");
    assert!(!scratch.path("out.csv").exists());
    let nowhere = ["export", "stock", "-o", "no/such/folder.csv"];
    scratch
        .run(nowhere)
        .fails_with(1, "no/such/folder.csv.part cannot be written");
}

//! Real input once more: errors put into a copy of the views, and into a report of stock, are found, exactly those.

use std::collections::BTreeSet;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::program::{Scratch, example};
use crate::server::view_file;

/// Some of a view's rows, by two whole numbers of each.
async fn pairs(connection: &mut SqliteConnection, query: &'static str) -> Vec<(i64, i64)> {
    sqlx::query_as(query)
        .fetch_all(connection)
        .await
        .expect("a query")
}

async fn change(connection: &mut SqliteConnection, statement: String) {
    let done = sqlx::query(AssertSqlSafe(statement.clone()))
        .execute(connection)
        .await
        .expect("a statement");
    assert_eq!(done.rows_affected(), 1, "{statement}");
}

/// Changes rows of four tables of three views, and answers the lines that are to be told of them, as far as the row and
/// what the view says, each with its end: the first event from which they differ.
async fn corrupt(scratch: &Scratch) -> BTreeSet<(String, String)> {
    let open = async |view| {
        let options = SqliteConnectOptions::new().filename(view_file(scratch, view));
        options.connect().await.expect("a view")
    };
    let mut told = BTreeSet::new();
    let from = |position: i64| format!("; from event {position} on");
    let mut stock = open("stock").await;
    let query = "select variant, available from stock order by variant limit 3 offset 700";
    for (variant, available) in pairs(&mut stock, query).await {
        let by_variant = format!("where variant = {variant}");
        change(
            &mut stock,
            format!("update stock set available = available + 7 {by_variant}"),
        )
        .await;
        let changed: i64 =
            sqlx::query_scalar(AssertSqlSafe(format!("select changed from stock {by_variant}")))
                .fetch_one(&mut stock)
                .await
                .expect("a row");
        let wrong = available + 7;
        let line = format!(
            "  stock: stock (warehouse 1, variant {variant}) available: the log says {available}, the view {wrong}"
        );
        told.insert((line, from(changed)));
    }
    stock.close().await.expect("it closes");
    let mut history = open("history").await;
    let query =
        "select position, occurred_at from movements where line = 0 order by position limit 2 offset 100";
    for (position, occurred_at) in pairs(&mut history, query).await {
        let variant: i64 =
            sqlx::query_scalar("select variant from movements where position = $1 and line = 0")
                .bind(position)
                .fetch_one(&mut history)
                .await
                .expect("a row");
        change(
            &mut history,
            format!("delete from movements where position = {position} and line = 0"),
        )
        .await;
        let line = format!(
            "  history: movements (variant {variant}, occurred_at {occurred_at}, position {position}, line 0): the log says "
        );
        told.insert((line, format!(", the view no such row{}", from(position))));
    }
    let query = "select position, reason from events order by position desc limit 2 offset 30";
    for (position, reason) in pairs(&mut history, query).await {
        change(
            &mut history,
            format!("update events set reason = reason + 1 where position = {position}"),
        )
        .await;
        let wrong = reason + 1;
        let line = format!(
            "  history: events (position {position}) reason: the log says {reason}, the view {wrong}"
        );
        told.insert((line, from(position)));
    }
    history.close().await.expect("it closes");
    let mut catalogue = open("catalogue").await;
    change(
        &mut catalogue,
        "update variants set name = 'Another' where no = 99".to_owned(),
    )
    .await;
    told.insert((
        "  catalogue: variants (no 99) name: the log says ".to_owned(),
        ", the view \"Another\"; from event ".to_owned(),
    ));
    catalogue.close().await.expect("it closes");
    told
}

#[test]
fn errors_put_into_the_views_and_into_a_report_of_stock_are_found_and_no_others() {
    let scratch = Scratch::new();
    for (file, mapping) in [
        ("lines.csv.gz", "mapping.toml"),
        ("opening-stock.csv.gz", "opening-stock.toml"),
    ] {
        let (file, mapping) = (example(file), example(mapping));
        let catalogue = [
            "import".as_ref(),
            file.as_os_str(),
            "--mapping".as_ref(),
            mapping.as_os_str(),
        ];
        if mapping.ends_with("mapping.toml") {
            scratch
                .run(catalogue.into_iter().chain(["--catalogue-only".as_ref()]))
                .succeeds();
        } else {
            scratch.run(catalogue).succeeds();
        }
    }
    let (file, mapping) = (example("lines.csv.gz"), example("mapping.toml"));
    let import = [
        "import".as_ref(),
        file.as_os_str(),
        "--mapping".as_ref(),
        mapping.as_os_str(),
    ];
    scratch.run(import).succeeds();
    let well = scratch.run(["reconcile"]).succeeds().stdout;
    assert!(!well.contains("the log says"), "{well}");

    // A report of everything, in which every three-hundredth line is wrong, and one is of what there is not.
    let balances = std::fs::read_to_string(example("expected-balances.csv")).expect("the balances");
    let (mut report, mut expected) = ("warehouse,sku,quantity\n".to_owned(), String::new());
    for (index, line) in balances.lines().skip(1).enumerate() {
        let fields: Vec<&str> = line.split(',').collect();
        let (sku, on_hand) = (fields[0], fields[2].parse::<i64>().expect("a number"));
        let error = match index % 300 {
            17 => 3,
            250 => -2,
            _ => 0,
        };
        let (no, reported) = (index + 1, on_hand + error);
        report += &format!("UK-1,{sku},{reported}\n");
        if error != 0 {
            expected += &format!(
                "line {no} (UK-1 / {sku}): {reported} reported, {on_hand} in the ledger then: {error:+} unexplained\n"
            );
        }
    }
    let last = balances.lines().count();
    report += "UK-1,NO SUCH THING,1\n";
    expected += &format!("line {last} (UK-1 / NO SUCH THING): there is no such variant\n");
    scratch.file("report.csv", report);
    let ran = scratch
        .run(["reconcile", "--source", "report.csv"])
        .fails_with(1, "");
    assert_eq!(ran.stdout, expected);
    assert!(expected.lines().count() > 10, "{expected}");

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let expected = runtime.expect("a runtime").block_on(corrupt(&scratch));
    let ran = scratch.run(["reconcile"]).fails_with(1, "puts them right");
    let found: Vec<&str> = ran.stdout.lines().filter(|line| line.starts_with("  ")).collect();
    assert_eq!(found.len(), expected.len(), "{found:#?}\n{expected:#?}");
    for (start, end) in &expected {
        let is_it = |line: &&str| line.starts_with(start.as_str()) && line.contains(end.as_str());
        assert_eq!(
            found.iter().copied().filter(|line| is_it(line)).count(),
            1,
            "{start}…{end}: {found:#?}"
        );
    }
    for (view, differing) in [("stock", 3), ("history", 4), ("catalogue", 1)] {
        assert!(
            ran.stdout.contains(&format!("{view}: {differing} of ")),
            "{}",
            ran.stdout
        );
    }
    scratch
        .run(["rebuild", "stock", "history", "catalogue"])
        .succeeds();
    scratch.run(["reconcile"]).succeeds();
}

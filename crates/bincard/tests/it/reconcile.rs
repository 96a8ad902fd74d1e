//! `bincard reconcile`, in a stopped folder and on a running server.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::program::{Scratch, example};
use crate::server::{key, serve, view_file};

fn tamper(scratch: &Scratch, view: &str, statement: &'static str) {
    let file = view_file(scratch, view);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut connection = SqliteConnectOptions::new()
            .filename(file)
            .connect()
            .await
            .expect("a view");
        let done = sqlx::query(statement)
            .execute(&mut connection)
            .await
            .expect("a statement");
        assert_eq!(done.rows_affected(), 1, "{statement}");
        connection.close().await.expect("it closes");
    });
}

#[test]
fn what_differs_is_told_with_exit_code_1_until_it_is_rebuilt() {
    let scratch = Scratch::new();
    let (mapping, file) = (example("opening-stock.toml"), example("opening-stock.csv.gz"));
    let rejects = scratch.path("rejects.csv");
    let import = [
        "import".as_ref(),
        file.as_os_str(),
        "--mapping".as_ref(),
        mapping.as_os_str(),
    ];
    scratch
        .run(
            import
                .into_iter()
                .chain(["--rejects".as_ref(), rejects.as_os_str()]),
        )
        .succeeds();
    let said = scratch.run(["reconcile"]).succeeds().stdout;
    for view in [
        "stock: ",
        "history: ",
        "catalogue: ",
        "reservations: ",
        "exceptions: ",
        "transfers: ",
        "counts: ",
    ] {
        assert!(said.contains(view), "{said}");
    }
    assert_eq!(
        said.matches(" rows are what the log makes of them at position ")
            .count(),
        7,
        "{said}"
    );
    scratch
        .run(["reconcile", "--as-of", "2020-01-01T00:00:00Z"])
        .succeeds();
    scratch
        .run(["reconcile", "--as-of", "soon"])
        .fails_with(2, "--as-of: \"soon\" is not an instant");

    tamper(
        &scratch,
        "stock",
        "update stock set available = available + 1 where variant = 7",
    );
    tamper(&scratch, "catalogue", "delete from variants where no = 9");
    let ran = scratch
        .run(["reconcile"])
        .fails_with(1, "`bincard rebuild stock catalogue`");
    assert!(ran.stdout.contains("stock: 1 of "), "{ran:?}");
    let line = ran
        .stdout
        .lines()
        .find(|line| line.starts_with("  stock: "))
        .expect("a difference");
    assert!(
        line.starts_with("  stock: stock (warehouse 1, variant 7) available: the log says "),
        "{line}"
    );
    assert!(line.contains("; from event "), "{line}");
    assert!(
        ran.stdout
            .contains("  catalogue: variants (no 9): the log says sku "),
        "{ran:?}"
    );

    let key = key(&scratch);
    let server = serve(&scratch);
    let on_server = ["reconcile", "--url", &server.url, "--key", &key];
    let there = scratch.run(on_server).fails_with(1, "puts them right");
    assert_eq!(there.stdout, ran.stdout);
    let wrong = ["reconcile", "--url", &server.url, "--key", "bck_nonsense"];
    scratch.run(wrong).fails_with(1, "401");
    scratch
        .run(["reconcile"])
        .fails_with(1, "is in use by another process");
    assert_eq!(server.stop().0, Some(0));
    scratch.run(["rebuild", "stock", "catalogue"]).succeeds();
    scratch.run(["reconcile"]).succeeds();
}

#[test]
fn a_count_in_a_file_is_held_against_the_ledger_and_corrects_it_once() {
    let scratch = Scratch::new();
    let key = key(&scratch);
    let server = serve(&scratch);
    scratch.file("in.csv", "sku,n\nA,9\nB,9\n");
    let mapping = "source = \"in\"\n[columns]\nsku = \"sku\"\nquantity = \"n\"\n[time]\nvalue = \"2024-01-01T00:00:00Z\"\n\
                   [warehouse]\ncode = \"W1\"\n[[rules]]\nname = \"in\"\nkind = \"INBOUND\"\n";
    scratch.file("in.toml", mapping);
    let through = ["--url", &server.url, "--key", &key];
    let import = ["import", "in.csv", "--mapping", "in.toml"];
    scratch.run(import.iter().chain(&through)).succeeds();
    scratch.file("count.csv", "warehouse,sku,quantity\nW1,A,9\nW1,B,7\nW1,C,1\n");
    let reconcile = ["reconcile", "--source", "count.csv"];
    let ran = scratch.run(reconcile.iter().chain(&through)).fails_with(1, "");
    let expected = "line 2 (W1 / B): 7 reported, 9 in the ledger then: -2 unexplained\n\
                    line 3 (W1 / C): there is no such variant\n";
    assert_eq!(ran.stdout, expected);
    let correct = reconcile.iter().chain(&["--apply"]).chain(&through);
    let ran = scratch.run(correct.clone()).fails_with(1, "");
    assert_eq!(ran.stdout, format!("{expected}corrected 1 lines\n"));
    // What was corrected agrees from then on, and is not corrected again.
    let ran = scratch.run(correct.clone()).fails_with(1, "");
    let left = "line 3 (W1 / C): there is no such variant\ncorrected 0 lines\n";
    assert_eq!(ran.stdout, left);
    scratch.file("count.csv", "warehouse,sku,quantity\nW1,A,9\nW1,B,7\n");
    scratch.run(reconcile.iter().chain(&through)).succeeds();
    scratch.file("count.csv", "warehouse,sku,quantity\nW1,A,nine\n");
    let wrong = scratch.run(reconcile.iter().chain(&through));
    wrong.fails_with(2, "count.csv: line 2: \"nine\" is not a whole number");
    // What only the server knows to be wrong is told with the line of the file, too.
    scratch.file("count.csv", "warehouse,sku,quantity\nW1,A,9\n\nW1,B,1000000001\n");
    let wrong = scratch.run(correct.clone());
    wrong.fails_with(
        2,
        "count.csv: line 4: quantity must lie between -1,000,000,000 and 1,000,000,000",
    );
    let far = ["--reported-at", "2999-01-01T00:00:00Z"];
    let wrong = scratch.run(reconcile.iter().chain(&far).chain(&through));
    wrong.fails_with(
        2,
        "--reported-at must lie in the years 1 to 9999, and not more than 5 minutes",
    );
    assert_eq!(server.stop().0, Some(0));

    // The same in the stopped folder.
    scratch.file("count.csv", "warehouse,sku,quantity\nW1,A,11\nW1,B,7\n");
    let ran = scratch.run(reconcile).fails_with(1, "");
    let expected = "line 1 (W1 / A): 11 reported, 9 in the ledger then: +2 unexplained\n";
    assert_eq!(ran.stdout, expected);
    let correct = reconcile.iter().chain(&["--apply"]);
    let ran = scratch.run(correct.clone()).fails_with(1, "");
    assert_eq!(ran.stdout, format!("{expected}corrected 1 lines\n"));
    assert_eq!(scratch.run(correct).succeeds().stdout, "corrected 0 lines\n");
    scratch.file("count.csv", "warehouse,sku,quantity\nW1,A,11\n");
    scratch
        .run(reconcile.iter().chain(&["--measures", "available"]))
        .succeeds();
    let wrong = reconcile.iter().chain(&["--measures", "available", "--apply"]);
    scratch.run(wrong).fails_with(2, "measures onHand");
}

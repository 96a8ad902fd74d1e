//! A ledger moves into PostgreSQL and back, killed on the way, with the same hash at its head; on the real data as well, when
//! `BINCARD_DATA` names its folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bincard_testkit::postgres::Postgres;

use crate::program::{Ran, Scratch, example};

/// A data folder with the lines of a shop in it, and a database.
struct Shop {
    scratch: Scratch,
    postgres: Postgres,
}

impl Shop {
    fn open(opening: &Path, lines: &Path) -> Shop {
        let scratch = Scratch::new();
        let postgres = Postgres::start().expect("a private PostgreSQL starts");
        let shop = Shop { scratch, postgres };
        let import = |file: &Path, mapping: &str, more: &[&str]| {
            let mut command = shop.scratch.command();
            command
                .arg("import")
                .arg(file)
                .arg("--mapping")
                .arg(example(mapping))
                .args(more);
            Ran::from(command.output().expect("it runs")).succeeds();
        };
        import(lines, "mapping.toml", &["--catalogue-only"]);
        import(opening, "opening-stock.toml", &[]);
        import(lines, "mapping.toml", &[]);
        shop
    }

    fn excerpt() -> Shop {
        Shop::open(&example("opening-stock.csv.gz"), &example("lines.csv.gz"))
    }

    fn url(&self) -> String {
        self.postgres.tcp_url("postgres")
    }

    /// The command on the folder.
    fn here(&self, arguments: &[&str]) -> Ran {
        self.scratch.run(arguments)
    }

    /// The command on the database.
    fn there(&self, arguments: &[&str]) -> Ran {
        let mut command = self.scratch.command();
        command.env("BINCARD_DATABASE_URL", self.url());
        command.env("BINCARD_DATA_DIR", self.scratch.path("node"));
        Ran::from(command.args(arguments).output().expect("it runs"))
    }

    fn move_there(&self) -> Ran {
        self.here(&["move", "--to", &self.url()])
    }

    fn move_to(&self, folder: &Path) -> Ran {
        self.there(&["move", "--to", &folder.to_string_lossy()])
    }
}

#[track_caller]
fn head(ran: Ran) -> String {
    ran.succeeds().stdout
}

#[test]
fn a_ledger_moves_over_and_back_with_its_chain() {
    there_and_back(&Shop::excerpt());
}

#[test]
fn the_real_data_moves_over_and_back_with_its_chain() {
    if let Some(folder) = std::env::var_os("BINCARD_DATA") {
        let file = |name: &str| Path::new(&folder).join("ledger").join(name);
        let lines = file("online_retail_lines_open.csv.gz");
        there_and_back(&Shop::open(&file("opening_stock.csv.gz"), &lines));
    }
}

fn there_and_back(shop: &Shop) {
    let before = head(shop.here(&["log", "head"]));
    shop.here(&["key", "create", "till", "--role", "MANAGER"])
        .succeeds();
    shop.here(&["reconcile"]).succeeds();
    kill_on_the_way(shop);
    shop.move_there().succeeds();
    let keys = shop.there(&["key", "list"]).succeeds().stdout;
    assert!(keys.contains("till"), "{keys}");
    assert_eq!(head(shop.there(&["log", "head"])), before);
    shop.here(&["log", "head"])
        .fails_with(1, "has moved to PostgreSQL");
    shop.move_there().succeeds();
    shop.there(&["verify"]).succeeds();
    shop.there(&["reconcile"]).succeeds();

    // It goes on there.
    let (file, mapping) = delivery(&shop.scratch, 7);
    let import = ["import", &file, "--mapping", &mapping];
    shop.there(&import).succeeds();
    let after = head(shop.there(&["log", "head"]));
    assert_ne!(after, before);

    // The folder that it left has a shorter history; another has none.
    let elsewhere = shop.scratch.path("elsewhere");
    // What was reconciled before went there, and comes back with what was reconciled there.
    let said = shop.move_to(&shop.scratch.data()).succeeds().stdout;
    assert!(said.contains("2 reconciliations went along"), "{said}");
    assert_eq!(head(shop.here(&["log", "head"])), after);
    shop.here(&["verify"]).succeeds();
    for command in [
        &import[..],
        &["verify"],
        &["log", "head"],
        &["ship", "--to", "backup", "--tenant", "default"],
    ] {
        shop.there(command).fails_with(1, "has moved to");
    }
    let served = shop.there(&["serve", "--listen", "127.0.0.1:0"]);
    let served = served.fails_with(1, "has moved to");
    assert_eq!(served.stdout, "", "nobody is made where nothing is served");
    let shipped = shop.there(&["ship", "--to", "backup"]).succeeds().stdout;
    assert!(shipped.contains("is not shipped from here"), "{shipped}");
    shop.move_to(&elsewhere).fails_with(1, "has moved to");
    shop.move_to(&shop.scratch.data()).succeeds();
}

/// Whoever has left a place goes on where it went, however often the places before are asked to move it again.
#[test]
fn a_ledger_that_moved_on_is_not_woken_where_it_was() {
    let shop = Shop::excerpt();
    shop.move_there().succeeds();
    let second = shop.scratch.path("second");
    shop.move_to(&second).succeeds();
    let on_second = |arguments: &[&str]| {
        let mut command = shop.scratch.command();
        command.env("BINCARD_DATA_DIR", &second);
        Ran::from(command.args(arguments).output().expect("it runs"))
    };
    let (file, mapping) = delivery(&shop.scratch, 3);
    on_second(&["import", &file, "--mapping", &mapping]).succeeds();
    let head = on_second(&["log", "head"]).succeeds().stdout;

    // The folder that it left first, and the database that it left then.
    shop.move_there().fails_with(1, "go on from there");
    shop.there(&["log", "head"]).fails_with(1, "has moved to");
    shop.move_to(&shop.scratch.data()).fails_with(1, "has moved to");
    shop.here(&["log", "head"])
        .fails_with(1, "has moved to PostgreSQL");

    // From there it goes to another database, and neither place wakes the folder.
    let other = shop.postgres.tcp_url("template1");
    on_second(&["move", "--to", &other]).succeeds();
    shop.move_to(&second).fails_with(1, "has moved to PostgreSQL");
    on_second(&["move", "--to", &shop.url()]).fails_with(1, "has moved to PostgreSQL");
    on_second(&["log", "head"]).fails_with(1, "has moved to PostgreSQL");
    let there = |arguments: &[&str]| {
        let mut command = shop.scratch.command();
        command.env("BINCARD_DATABASE_URL", &other);
        command.env("BINCARD_DATA_DIR", shop.scratch.path("node"));
        Ran::from(command.args(arguments).output().expect("it runs"))
    };
    assert_eq!(there(&["log", "head"]).succeeds().stdout, head);
}

/// A file of one line that adds to what is there, and its mapping.
fn delivery(scratch: &Scratch, quantity: u32) -> (String, String) {
    let file = scratch.file(
        "delivery.csv",
        format!("StockCode,OpeningQty\n10002,{quantity}\n"),
    );
    let mapping = std::fs::read_to_string(example("opening-stock.toml")).expect("the example's mapping");
    let mapping = scratch.file(
        "delivery.toml",
        mapping.replace("online-retail-opening-stock", "a-delivery"),
    );
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    (text(file), text(mapping))
}

/// Begins the move a few times and kills it at once, a little later, and later still.
fn kill_on_the_way(shop: &Shop) {
    for millis in [5, 60, 150, 300] {
        let mut command = shop.scratch.command();
        let mut child = command
            .args(["move", "--to", &shop.url()])
            .spawn()
            .expect("it runs");
        std::thread::sleep(Duration::from_millis(millis));
        child.kill().expect("a child of ours can be killed");
        child.wait().expect("it ends");
    }
}

#[test]
fn another_history_is_never_overwritten() {
    let shop = Shop::excerpt();
    let copy = shop.scratch.path("copy");
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(shop.scratch.data())
        .arg(&copy)
        .status();
    assert!(copied.expect("it runs").success());
    let on_copy = |arguments: &[&str]| {
        let mut command = shop.scratch.command();
        command.env("BINCARD_DATA_DIR", &copy);
        Ran::from(command.args(arguments).output().expect("it runs"))
    };
    // The two go apart.
    let (file, mapping) = delivery(&shop.scratch, 3);
    shop.here(&["import", &file, "--mapping", &mapping]).succeeds();
    let (file, mapping) = delivery(&shop.scratch, 4);
    on_copy(&["import", &file, "--mapping", &mapping]).succeeds();
    shop.move_there().succeeds();
    on_copy(&["move", "--to", &shop.url()]).fails_with(1, "another history");
    // Nor is the ledger of somebody else.
    let on_fresh = |arguments: &[&str]| {
        let mut command = shop.scratch.command();
        command.env("BINCARD_DATA_DIR", shop.scratch.path("fresh"));
        Ran::from(command.args(arguments).output().expect("it runs"))
    };
    let (lines, mapping) = (example("lines.csv.gz"), example("mapping.toml"));
    let (lines, mapping) = (lines.to_string_lossy(), mapping.to_string_lossy());
    on_fresh(&["import", &lines, "--mapping", &mapping, "--catalogue-only"]).succeeds();
    on_fresh(&["move", "--to", &shop.url()]).fails_with(1, "another ledger");
}

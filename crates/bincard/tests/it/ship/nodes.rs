//! Several processes that ship the ledgers of one database to one place.

use std::process::{Child, Command, Stdio};

use bincard_testkit::postgres::Postgres;

use super::broken_off::run_sql;
use super::bucket::Bucket;
use super::places::figure;
use super::{backup_end, head, import, load, told};
use crate::program::{Ran, Scratch, example};
use crate::server::{Running, wait_until};

const PLACE: &str = "s3://backups/shop";

/// A database with the catalogue of a shop in it, a key to it, and a bucket.
struct Shop {
    scratch: Scratch,
    postgres: Postgres,
    bucket: Bucket,
    key: String,
}

impl Shop {
    fn open() -> Shop {
        let scratch = Scratch::new();
        import(
            &scratch,
            &example("lines.csv.gz"),
            &["--catalogue-only"],
            "mapping.toml",
        );
        let key = scratch
            .run(["key", "create", "till", "--role", "ADMIN"])
            .succeeds()
            .stdout;
        let postgres = Postgres::start().expect("it starts");
        scratch
            .run(["move", "--to", &postgres.tcp_url("postgres")])
            .succeeds();
        Shop {
            scratch,
            postgres,
            bucket: Bucket::start(),
            key: key.trim().to_owned(),
        }
    }

    /// The command on the database, with a folder of its own.
    fn on(&self, node: &str, arguments: &[&str]) -> Command {
        let mut command = self.scratch.command();
        self.bucket.settings(&mut command);
        command
            .env("BINCARD_DATABASE_URL", self.postgres.tcp_url("postgres"))
            .env("BINCARD_DATA_DIR", self.scratch.path(node))
            .env("BINCARD_SHIP_EVERY_S", "1")
            .args(arguments);
        command
    }

    fn run(&self, node: &str, arguments: &[&str]) -> Ran {
        Ran::from(self.on(node, arguments).output().expect("it runs"))
    }

    fn import(&self, file: &str, mapping: &str) {
        let (file, mapping) = (example(file), example(mapping));
        let (file, mapping) = (file.to_string_lossy(), mapping.to_string_lossy());
        self.run("import", &["import", &file, "--mapping", &mapping])
            .succeeds();
    }

    /// The position that the log has come to.
    fn end(&self) -> u64 {
        let said = self.run("look", &["log", "head"]).succeeds().stdout;
        let position = said.lines().find_map(|line| line.strip_prefix("position\t"));
        position.expect("a position").parse().expect("a number")
    }

    /// One row of objects without a gap, nothing written over, and all of it the log.
    fn check_backup(&self) {
        let checked = self
            .run("look", &["ship", "--check", "--to", PLACE])
            .succeeds()
            .stdout;
        assert!(
            checked.contains("default: 0 events shipped") && checked.contains(" 0 were missing"),
            "{checked}"
        );
        assert_eq!(self.bucket.overwritten(), 0);
        let from = ["restore", "--from", PLACE, "--data-dir", "restored"];
        let mut command = self.scratch.command();
        self.bucket.settings(&mut command);
        let restored = Ran::from(command.args(from).output().expect("it runs")).succeeds();
        assert_eq!(told(&restored).0, self.end());
        let there = self.run("look", &["log", "head"]).succeeds().stdout;
        assert_eq!(head(&self.scratch, "restored"), there);
    }
}

fn background(mut command: Command) -> Child {
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("it runs")
}

fn terminate(mut child: Child) {
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is there");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn two_nodes_that_ship_leave_one_whole_backup_and_both_tell_that_it_is() {
    let shop = Shop::open();
    let nodes = ["a", "b"].map(|node| {
        let serve = ["serve", "--listen", "127.0.0.1:0", "--ship-to", PLACE];
        Running::start(&mut shop.on(node, &serve))
    });
    let import =
        |node: usize, file, mapping| load(&shop.scratch, (file, mapping), &nodes[node].url, &shop.key);
    let opened = import(0, "opening-stock.csv.gz", "opening-stock.toml").wait();
    assert!(opened.expect("it ends").success());
    // The same lines through both at once: each is recorded once.
    let imports = [0, 1].map(|node| import(node, "lines.csv.gz", "mapping.toml"));
    for mut import in imports {
        assert!(import.wait().expect("it ends").success());
    }
    let end = shop.end();
    for node in &nodes {
        let of = |name: &str| figure(node, &format!("bincard_ship_{name}{{tenant=\"default\"}}"));
        wait_until(|| of("position") == Some(end) && of("behind_events") == Some(0));
        wait_until(|| of("caught_up_timestamp_seconds") > Some(1_700_000_000));
        assert_eq!((of("failures_total"), of("failing")), (Some(0), Some(0)));
    }
    for node in nodes {
        assert_eq!(node.stop().0, Some(0));
    }
    assert!(shop.bucket.names_below("shop/ledgers/default/").len() > 1);
    shop.check_backup();
}

/// As when the database was restored to an earlier state while a node that ships runs on.
#[test]
fn a_log_that_lost_its_end_under_a_shipper_is_told_though_nothing_is_new() {
    let shop = Shop::open();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--ship-to", PLACE];
    let node = Running::start(&mut shop.on("a", &serve));
    let of = |name: &str| figure(&node, &format!("bincard_ship_{name}{{tenant=\"default\"}}"));
    let end = shop.end();
    wait_until(|| of("position") == Some(end));
    let objects = shop.bucket.names_below("shop/ledgers/");
    run_sql(
        &shop.postgres,
        "set search_path = bincard_log;
        delete from events where position >= (select max(first) from commits);
        delete from commits where first = (select max(first) from commits);
        update ledgers set position = last.first + last.count - 1, commit = last.commit, hash = last.hash,
            recorded_at = last.recorded_at
        from (select * from commits order by first desc limit 1) as last",
    );
    wait_until(|| of("failing") == Some(1));
    assert_eq!(of("position"), Some(end));
    assert_eq!(shop.bucket.names_below("shop/ledgers/"), objects);
}

/// As one that was stopped after it had looked, and goes on late.
#[test]
fn a_shipper_that_comes_late_goes_on_from_what_another_one_put() {
    let shop = Shop::open();
    let first = format!("shop/ledgers/default/{:020}.commits", 1);
    let ship = ["ship", "--to", PLACE];
    let held = shop.bucket.hold("PUT", &first);
    let late = shop
        .on("late", &ship)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    held.wait();
    shop.import("opening-stock.csv.gz", "opening-stock.toml");
    shop.run("quick", &ship).succeeds();
    let quick = shop.end();
    held.let_go();
    let late = Ran::from(late.wait_with_output().expect("it ends")).succeeds();
    assert!(
        late.stdout
            .contains(&format!("the backup ends at position {quick} ")),
        "{late:#?}"
    );
    assert_eq!(shop.bucket.names_below("shop/ledgers/default/"), [first]);

    // And while it follows.
    let next = format!("shop/ledgers/default/{:020}.commits", quick + 1);
    let held = shop.bucket.hold("PUT", &next);
    shop.import("lines.csv.gz", "mapping.toml");
    let follower = background(shop.on("late", &["ship", "--follow", "--to", PLACE]));
    held.wait();
    let end = shop.end();
    shop.run("quick", &ship).succeeds();
    held.let_go();
    terminate(follower);
    assert_eq!(shop.end(), end);
    shop.check_backup();
}

#[test]
fn a_database_is_shipped_until_the_process_is_told_to_end() {
    let shop = Shop::open();
    let scratch = &shop.scratch;
    let follower = background(shop.on("follower", &["ship", "--follow", "--to", "backup"]));
    wait_until(|| backup_end(scratch) == 1);
    shop.import("opening-stock.csv.gz", "opening-stock.toml");
    wait_until(|| backup_end(scratch) > 1);
    shop.import("lines.csv.gz", "mapping.toml");
    let end = shop.end();
    wait_until(|| {
        let status = shop.run("look", &["ship", "--status", "--to", "backup"]);
        let row = status
            .stdout
            .lines()
            .nth(1)
            .map(|row| row.split('\t').collect::<Vec<_>>());
        row.is_some_and(|row| row[1] == end.to_string() && row[3] == "0")
    });
    terminate(follower);
    scratch
        .run(["restore", "--from", "backup", "--data-dir", "restored"])
        .succeeds();
    let there = shop.run("look", &["log", "head"]).succeeds().stdout;
    assert_eq!(head(scratch, "restored"), there);

    let folder = Scratch::new();
    folder.run(["tenant", "add", "shop"]).succeeds();
    folder
        .run(["ship", "--follow", "--to", "backup"])
        .fails_with(2, "belong to the server that has it");
}

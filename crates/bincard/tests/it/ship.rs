//! Backups: shipped, looked at, damaged, lost, forked, killed, and restored with the same hash at the head.

mod broken_off;
mod bucket;
mod nodes;
mod places;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use bincard_testkit::postgres::Postgres;

use crate::program::{Ran, Scratch, example};
use bucket::Bucket;

/// A data folder with a shop's lines in it, shipped in three pieces.
fn shipped_in_pieces() -> Scratch {
    let scratch = Scratch::new();
    let lines = example("lines.csv.gz");
    import(&scratch, &lines, &["--catalogue-only"], "mapping.toml");
    ship(&scratch).succeeds();
    import(
        &scratch,
        &example("opening-stock.csv.gz"),
        &[],
        "opening-stock.toml",
    );
    ship(&scratch).succeeds();
    import(&scratch, &lines, &[], "mapping.toml");
    ship(&scratch).succeeds();
    assert_eq!(objects(&scratch).len(), 3);
    scratch
}

fn import(scratch: &Scratch, file: &std::path::Path, more: &[&str], mapping: &str) {
    let mut command = scratch.command();
    command
        .arg("import")
        .arg(file)
        .arg("--mapping")
        .arg(example(mapping));
    Ran::from(command.args(more).output().expect("it runs")).succeeds();
}

fn ship(scratch: &Scratch) -> Ran {
    scratch.run(["ship", "--to", "backup"])
}

/// The objects of the backup, in order.
fn objects(scratch: &Scratch) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(scratch.path("backup/ledgers/default")).expect("a backup");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    paths
}

fn restore(scratch: &Scratch, into: &str, more: &[&str]) -> Ran {
    let arguments = ["restore", "--from", "backup", "--data-dir", into];
    scratch.run(arguments.iter().chain(more))
}

fn head(scratch: &Scratch, folder: &str) -> String {
    scratch
        .run(["log", "head", "--data-dir", folder])
        .succeeds()
        .stdout
}

/// The position and the instant in what a restore says.
fn told(ran: &Ran) -> (u64, String) {
    let words: Vec<&str> = ran.stdout.split([' ', ',']).collect();
    let after = |word: &str| {
        let at = words.iter().position(|one| *one == word).expect("it is said");
        words[at + 1]
    };
    (
        after("position").parse().expect("a number"),
        after("at").to_owned(),
    )
}

#[test]
fn a_backup_is_restored_with_its_hash_and_its_keys() {
    let scratch = shipped_in_pieces();
    scratch
        .run(["key", "create", "shop", "--role", "ADMIN"])
        .succeeds();
    let again = ship(&scratch).succeeds();
    assert!(again.stdout.contains("default: 0 events shipped"), "{again:#?}");
    let status = scratch
        .run(["ship", "--status", "--to", "backup"])
        .succeeds()
        .stdout;
    let row: Vec<&str> = status.lines().nth(1).expect("a row").split('\t').collect();
    assert_eq!((row[0], row[3]), ("default", "0"), "{status}");

    // They hold the hashes of passwords and keys.
    let accounts = std::fs::metadata(scratch.path("backup/accounts")).expect("copies of the accounts");
    assert_eq!(accounts.permissions().mode() & 0o777, 0o700);

    restore(&scratch, "new", &[]).succeeds();
    assert_eq!(head(&scratch, "new"), head(&scratch, "data"));
    assert!(
        head(&scratch, "new").contains(row[4]),
        "the status has the head's hash"
    );
    let keys = scratch
        .run(["key", "list", "--data-dir", "new"])
        .succeeds()
        .stdout;
    assert!(keys.contains("shop"), "{keys}");
    scratch.run(["verify", "--data-dir", "new"]).succeeds();
    restore(&scratch, "new", &[]).fails_with(2, "something in it already");

    let drill = scratch
        .run(["restore", "--drill", "--from", "backup"])
        .succeeds()
        .stdout;
    assert!(
        drill.contains("the live log has the same hash") && drill.contains("the drill is passed"),
        "{drill}"
    );
    // No event is younger than that.
    let strict = ["restore", "--drill", "--from", "backup", "--age-max-s=-1"];
    scratch.run(strict).fails_with(1, "older than --age-max-s");
}

#[test]
fn a_restore_ends_where_it_is_told_to_and_never_within_a_commit() {
    let scratch = shipped_in_pieces();
    let whole = told(&restore(&scratch, "whole", &[]).succeeds()).0;
    let names = objects(&scratch);
    let second: u64 = names[1]
        .file_stem()
        .and_then(|stem| stem.to_str()?.parse().ok())
        .expect("a position");
    let before = second - 1;

    let exact = restore(&scratch, "exact", &["--to-position", &before.to_string()]).succeeds();
    let (position, at) = told(&exact);
    assert_eq!(position, before);
    assert!(!exact.stdout.contains("lies within"), "{exact:#?}");
    let across = restore(&scratch, "across", &["--to-position", &(whole - 1).to_string()]).succeeds();
    assert!(
        told(&across).0 < whole - 1 && across.stdout.contains("lies within a commit"),
        "{across:#?}"
    );
    let beyond = (whole + 1).to_string();
    let beyond_end = restore(&scratch, "beyond", &["--to-position", &beyond]).succeeds();
    let says = format!("the backup ends there, before position {beyond}");
    assert!(
        told(&beyond_end).0 == whole && beyond_end.stdout.contains(&says),
        "{beyond_end:#?}"
    );

    let by_time = restore(&scratch, "by-time", &["--to-time", &at]).succeeds();
    assert_eq!(told(&by_time), (position, at));
    assert_eq!(head(&scratch, "by-time"), head(&scratch, "exact"));
    restore(&scratch, "never", &["--to-time", "2001-01-01T00:00:00Z"]).fails_with(1, "nothing that far back");
    restore(&scratch, "never", &["--to-time", "yesterday"]).fails_with(2, "--to-time");
}

#[test]
fn damaged_and_missing_objects_are_named_and_put_again() {
    let scratch = shipped_in_pieces();
    let middle = objects(&scratch).remove(1);
    let whole = std::fs::read(&middle).expect("an object");
    let name = middle
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a name")
        .to_owned();
    for at in [0, 30, 140, 200, whole.len() - 1] {
        let mut flipped = whole.clone();
        flipped[at] ^= 4;
        std::fs::write(&middle, flipped).expect("written");
        restore(&scratch, &format!("flipped-{at}"), &[]).fails_with(1, &name);
        scratch
            .run(["ship", "--check", "--to", "backup"])
            .fails_with(1, "is damaged");
    }
    std::fs::remove_file(&middle).expect("removed");
    restore(&scratch, "gap", &[]).fails_with(1, "lacks an object");
    scratch
        .run(["restore", "--drill", "--from", "backup"])
        .fails_with(1, "lacks an object");
    let filled = scratch.run(["ship", "--check", "--to", "backup"]).succeeds();
    assert!(filled.stdout.contains("1 were missing"), "{filled:#?}");
    restore(&scratch, "again", &[]).succeeds();
    assert_eq!(head(&scratch, "again"), head(&scratch, "data"));
    // Objects that changed places are each whole, and in the wrong one.
    std::fs::copy(&objects(&scratch)[2], &objects(&scratch)[1]).expect("copied");
    restore(&scratch, "exchanged", &[]).fails_with(1, "it begins at position");
}

#[test]
fn a_damaged_segment_is_repaired_from_the_backup() {
    let scratch = shipped_in_pieces();
    let segment = scratch.path("data/ledgers/default/log/0000000001.seg");
    let whole = std::fs::read(&segment).expect("a segment");
    let before = head(&scratch, "data");
    let mut flipped = whole.clone();
    flipped[4096 + 700] ^= 1;
    flipped[20_000] ^= 128;
    std::fs::write(&segment, &flipped).expect("written");
    scratch.run(["verify"]).fails_with(1, "is damaged at byte");
    let repaired = scratch.run(["verify", "--repair-from", "backup"]).succeeds();
    assert!(
        repaired.stdout.contains("were damaged in segment 1"),
        "{repaired:#?}"
    );
    assert!(
        std::fs::read(&segment).expect("a segment") == whole,
        "it is the same, byte by byte"
    );
    let kept = scratch.path("data/ledgers/default/damaged/0000000001.seg");
    assert!(
        std::fs::read(kept).expect("kept") == flipped,
        "the damaged one is kept"
    );
    assert_eq!(head(&scratch, "data"), before);
    let again = scratch.run(["verify", "--repair-from", "backup"]).succeeds();
    assert!(again.stdout.contains("no commit is damaged"), "{again:#?}");
}

#[test]
fn another_history_is_never_shipped_over_a_backup() {
    let scratch = shipped_in_pieces();
    let before = objects(&scratch);
    let second = before[1]
        .file_stem()
        .and_then(|stem| stem.to_str())
        .expect("a name");
    let last: u64 = second.parse::<u64>().expect("a position") - 1;
    restore(&scratch, "old", &["--to-position", &last.to_string()]).succeeds();
    let from_old = ["ship", "--to", "backup", "--data-dir", "old"];
    scratch
        .run(from_old)
        .fails_with(1, "it has lost events, or was restored");
    let mut command = scratch.command();
    command
        .args(["import", "--data-dir", "old", "--mapping"])
        .arg(example("opening-stock.toml"));
    Ran::from(
        command
            .arg(example("opening-stock.csv.gz"))
            .output()
            .expect("it runs"),
    )
    .succeeds();
    scratch.run(from_old).fails_with(1, "another history");
    let drill = ["restore", "--drill", "--from", "backup", "--data-dir", "old"];
    scratch
        .run(drill)
        .fails_with(1, "before the backup: it has lost events");
    import(
        &scratch,
        &example("lines.csv.gz"),
        &["--data-dir", "old"],
        "mapping.toml",
    );
    scratch.run(drill).fails_with(1, "it is another history");

    let stranger = Scratch::new();
    import(
        &stranger,
        &example("opening-stock.csv.gz"),
        &[],
        "opening-stock.toml",
    );
    let to = scratch.path("backup");
    let refused = stranger.run(["ship", "--to", &to.to_string_lossy()]);
    refused.fails_with(1, "is of another ledger");
    assert_eq!(objects(&scratch), before, "nothing was added");
}

/// A bucket that answers as S3 does, at times that it is busy, and in short pages.
#[test]
fn a_bucket_is_shipped_to_and_restored_from() {
    let scratch = Scratch::new();
    let bucket = Bucket::start();
    let on_bucket = |arguments: &[&str]| {
        let mut command = scratch.command();
        bucket.settings(&mut command);
        Ran::from(command.args(arguments).output().expect("it runs"))
    };
    let lines = example("lines.csv.gz");
    let to = ["ship", "--to", "s3://backups/shop"];
    import(&scratch, &lines, &["--catalogue-only"], "mapping.toml");
    bucket.be_busy(2);
    on_bucket(&to).succeeds();
    import(
        &scratch,
        &example("opening-stock.csv.gz"),
        &[],
        "opening-stock.toml",
    );
    on_bucket(&to).succeeds();
    import(&scratch, &lines, &[], "mapping.toml");
    // The answer to a write is lost: what is there already is its own.
    bucket.lose_an_answer();
    on_bucket(&to).succeeds();
    let from = ["restore", "--from", "s3://backups/shop", "--data-dir", "new"];
    on_bucket(&from).succeeds();
    assert_eq!(head(&scratch, "new"), head(&scratch, "data"));
    assert_eq!(bucket.names_below("shop/ledgers/default/").len(), 3);
    assert!(bucket.overwritten() == 0 && bucket.pages_continued() > 0);

    bucket.refuse_everybody(true);
    let refused = on_bucket(&to).fails_with(1, "s3://backups/shop");
    assert!(!refused.stderr.contains(bucket::SECRET), "{refused:#?}");
    drop(bucket);
    scratch
        .run(["ship", "--to", "s3://key:secret@backups"])
        .fails_with(2, "give credentials in the environment");
}

#[test]
fn a_bucket_that_writes_over_what_is_there_is_refused() {
    let (scratch, bucket) = (Scratch::new(), Bucket::start());
    bucket.overwrite();
    import(
        &scratch,
        &example("opening-stock.csv.gz"),
        &[],
        "opening-stock.toml",
    );
    let mut command = scratch.command();
    bucket.settings(&mut command);
    let ran = command.args(["ship", "--to", "s3://backups/shop"]).output();
    Ran::from(ran.expect("it runs")).fails_with(1, "s3://backups/shop writes over objects that are there");
}

#[test]
fn a_server_that_is_killed_while_it_ships_leaves_a_backup_of_its_own_log() {
    let scratch = Scratch::new();
    scratch.begin();
    let key = scratch
        .run(["key", "create", "shop", "--role", "ADMIN"])
        .succeeds()
        .stdout
        .trim()
        .to_owned();
    let loads = [
        ("opening-stock.csv.gz", "opening-stock.toml"),
        ("lines.csv.gz", "mapping.toml"),
    ];
    for (round, (file, mapping)) in loads.into_iter().enumerate() {
        let mut server = scratch
            .command()
            .args(["serve", "--listen", "127.0.0.1:0", "--ship-to", "backup"])
            .env("BINCARD_SHIP_EVERY_S", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        let mut said = BufReader::new(server.stdout.take().expect("a pipe"));
        let mut line = String::new();
        while !line.contains("listening on ") {
            line.clear();
            assert!(said.read_line(&mut line).expect("a line") > 0, "it ends at once");
        }
        let url = line.trim().trim_start_matches("listening on ").to_owned();
        let mut load = load(&scratch, (file, mapping), &url, &key);
        let (before, mut shipped) = (backup_end(&scratch), backup_end(&scratch));
        // The first round is killed once something was shipped, the other one under load.
        while shipped == before && (round == 0 || load.try_wait().expect("it can be asked").is_none()) {
            shipped = backup_end(&scratch);
        }
        server.kill().expect("SIGKILL");
        server.wait().expect("it ends");
        load.kill().ok();
        load.wait().expect("it ends");
        let drill = scratch
            .run(["restore", "--drill", "--from", "backup"])
            .succeeds()
            .stdout;
        assert!(drill.contains("the live log has the same hash"), "{drill}");
    }
    ship(&scratch).succeeds();
    restore(&scratch, "new", &[]).succeeds();
    assert_eq!(head(&scratch, "new"), head(&scratch, "data"));
}

/// Imports through a server, in the background.
fn load(scratch: &Scratch, (file, mapping): (&str, &str), url: &str, key: &str) -> std::process::Child {
    let mut command: Command = scratch.command();
    command.arg("import").arg(example(file)).arg("--mapping");
    command.arg(example(mapping)).args(["--url", url, "--key", key]);
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs")
}

fn backup_end(scratch: &Scratch) -> usize {
    let dir = scratch.path("backup/ledgers/default");
    std::fs::read_dir(dir).map_or(0, |entries| {
        let whole = entries.filter(|entry| {
            let entry = entry.as_ref().expect("a file");
            entry.path().extension().is_some_and(|ending| ending == "commits")
        });
        whole.count()
    })
}

#[test]
fn a_database_is_shipped_and_restored_into_another() {
    let scratch = Scratch::new();
    let (here, there) = (
        Postgres::start().expect("it starts"),
        Postgres::start().expect("it starts"),
    );
    let on = |postgres: &Postgres, node: &str, arguments: &[&str]| {
        let mut command = scratch.command();
        command.env("BINCARD_DATABASE_URL", postgres.tcp_url("postgres"));
        command.env("BINCARD_DATA_DIR", scratch.path(node));
        Ran::from(command.args(arguments).output().expect("it runs"))
    };
    import(
        &scratch,
        &example("opening-stock.csv.gz"),
        &[],
        "opening-stock.toml",
    );
    scratch
        .run(["key", "create", "shop", "--role", "ADMIN"])
        .succeeds();
    scratch
        .run(["move", "--to", &here.tcp_url("postgres")])
        .succeeds();
    let head = on(&here, "a", &["log", "head"]).succeeds().stdout;
    on(&here, "a", &["ship", "--to", "backup"]).succeeds();
    on(&there, "b", &["restore", "--from", "backup"]).succeeds();
    assert_eq!(on(&there, "b", &["log", "head"]).succeeds().stdout, head);
    assert!(
        on(&there, "b", &["key", "list"])
            .succeeds()
            .stdout
            .contains("shop")
    );
    // What is there already is not touched.
    on(&there, "c", &["restore", "--from", "backup"]).fails_with(1, "has a ledger of tenant default already");
    // The restored one goes on in the same backup.
    let again = on(&there, "b", &["ship", "--to", "backup"]).succeeds().stdout;
    assert!(again.contains("default: 0 events shipped"), "{again}");
    restore(&scratch, "folder", &[]).succeeds();
    assert_eq!(self::head(&scratch, "folder"), head);
}

/// What a `ship` left in the temporary folder that was killed while it copied the accounts.
#[test]
fn copies_of_accounts_that_were_left_long_ago_are_taken_away() {
    let scratch = shipped_in_pieces();
    let folder = |name: &str| {
        let path = scratch.path("tmp").join(name);
        std::fs::create_dir_all(&path).expect("a folder");
        std::fs::write(path.join("accounts.db"), "hashes").expect("a file");
        path
    };
    let [left, recent, foreign] = ["bincard-accounts-1", "bincard-accounts-2", "others-1"].map(folder);
    for old in [&left, &foreign] {
        let made = std::fs::File::open(old).expect("a folder");
        let two_hours = Duration::from_secs(7_200);
        let long_ago = made.metadata().and_then(|made| made.modified()).expect("a time") - two_hours;
        made.set_modified(long_ago).expect("it is ours");
    }
    let mut command = scratch.command();
    command
        .args(["ship", "--to", "backup"])
        .env("TMPDIR", scratch.path("tmp"));
    Ran::from(command.output().expect("it runs")).succeeds();
    let entries = std::fs::read_dir(scratch.path("tmp")).expect("a folder");
    let mut there: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder").path()).collect();
    there.sort();
    assert_eq!(there, [recent, foreign]);
    assert!(!left.exists());
}

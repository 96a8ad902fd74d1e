//! Restores and repairs that are killed in the middle, and asked for again.

use std::process::{Command, Stdio};

use bincard_testkit::postgres::Postgres;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::bucket::Bucket;
use super::{head, import, objects, ship, shipped_in_pieces};
use crate::program::{Ran, Scratch, example};

const PLACE: &str = "s3://backups/shop";

/// A shop with a key, and its backup in a bucket, in three pieces.
struct Shop {
    scratch: Scratch,
    bucket: Bucket,
}

impl Shop {
    fn of(scratch: Scratch) -> Shop {
        let bucket = Bucket::start();
        bucket.load(&scratch.path("backup"), "shop");
        Shop { scratch, bucket }
    }

    fn open() -> Shop {
        let scratch = shipped_in_pieces();
        scratch
            .run(["key", "create", "till", "--role", "ADMIN"])
            .succeeds();
        ship(&scratch).succeeds();
        Shop::of(scratch)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.scratch.command();
        self.bucket.settings(&mut command);
        command.args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().expect("it runs"))
    }

    /// The objects below a folder of the backup, in order.
    fn objects(&self, folder: &str) -> Vec<String> {
        self.bucket.names_below(&format!("shop/{folder}/"))
    }

    /// Where an object of the default tenant's begins.
    fn begins(&self, object: usize) -> u64 {
        let names = self.objects("ledgers/default");
        let name = names[object].rsplit('/').next().expect("a name");
        name[..20].parse().expect("a position")
    }

    /// Kills it when it asks for an object.
    fn kill_at(&self, object: &str, mut command: Command) {
        let held = self.bucket.hold("GET", object);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        held.wait();
        child.kill().expect("SIGKILL");
        child.wait().expect("it ends");
    }
}

pub(crate) fn run_sql(postgres: &Postgres, sql: &str) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let url = postgres.tcp_url("postgres");
        let mut connection = PgConnection::connect(&url).await.expect("connects");
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        connection
            .execute(sql)
            .await
            .expect("the statement runs")
            .rows_affected()
    })
}

#[test]
fn a_restore_into_a_folder_goes_on_wherever_it_was_killed() {
    let shop = Shop::open();
    let restore = ["restore", "--from", PLACE, "--data-dir", "new"];
    let names = shop.objects("ledgers/default");
    shop.kill_at(&names[1], shop.command(&restore));
    // What is there is not used for anything, nor mixed with something else.
    let (file, mapping) = (example("opening-stock.csv.gz"), example("opening-stock.toml"));
    for using in [
        &["log", "head"][..],
        &[
            "import",
            &file.to_string_lossy(),
            "--mapping",
            &mapping.to_string_lossy(),
        ],
        &["verify"],
        &["ship", "--to", "other"],
    ] {
        shop.run(&[using, &["--data-dir", "new"]].concat())
            .fails_with(1, "is not whole, for a backup was being restored into it");
    }
    let earlier = (shop.begins(1) - 2).to_string();
    shop.run(&[&restore[..], &["--to-position", &earlier]].concat())
        .fails_with(1, "is no beginning of what is to be restored now");

    shop.kill_at(&names[2], shop.command(&restore));
    let accounts = shop.objects("accounts").pop().expect("a copy");
    shop.kill_at(&accounts, shop.command(&restore));
    shop.run(&["log", "head", "--data-dir", "new"])
        .fails_with(1, "is not whole");
    let restored = shop.run(&restore).succeeds().stdout;
    assert!(restored.contains("default: goes on from position"), "{restored}");
    assert_eq!(head(&shop.scratch, "new"), head(&shop.scratch, "data"));
    let keys = shop.run(&["key", "list", "--data-dir", "new"]).succeeds().stdout;
    assert_eq!(keys.matches("till").count(), 1, "{keys}");
    shop.run(&["verify", "--data-dir", "new"]).succeeds();
    shop.run(&restore).fails_with(2, "something in it already");

    // One that is killed at its very end has the accounts already; what has become of them since is in the newest copy.
    std::fs::write(shop.scratch.path("new/restoring"), "").expect("writes");
    let till = keys.lines().find(|line| line.contains("till")).expect("the key");
    let id = till.split('\t').find(|field| field.len() == 36).expect("its id");
    shop.run(&["key", "revoke", id]).succeeds();
    let revoked = shop.run(&["key", "list"]).succeeds().stdout;
    shop.run(&["ship", "--to", PLACE]).succeeds();
    shop.run(&restore).succeeds();
    let keys = shop.run(&["key", "list", "--data-dir", "new"]).succeeds().stdout;
    assert_eq!(keys, revoked);
}

#[test]
fn a_restore_of_several_ledgers_into_a_folder_ends_with_all_of_them() {
    let scratch = shipped_in_pieces();
    scratch.run(["tenant", "add", "annex"]).succeeds();
    import(
        &scratch,
        &example("opening-stock.csv.gz"),
        &["--tenant", "annex"],
        "opening-stock.toml",
    );
    ship(&scratch).succeeds();
    let shop = Shop::of(scratch);
    let restore = ["restore", "--from", PLACE, "--data-dir", "new"];
    let names = shop.objects("ledgers/default");
    // The annex, which comes first, is there by then.
    shop.kill_at(&names[1], shop.command(&restore));
    let annex = [&restore[..], &["--tenant", "annex"]].concat();
    shop.run(&annex)
        .fails_with(1, "began with the ledger of default as well");
    shop.run(&restore).succeeds();
    for tenant in ["annex", "default"] {
        let head = |folder| {
            let asked = ["log", "head", "--tenant", tenant, "--data-dir", folder];
            shop.run(&asked).succeeds().stdout
        };
        assert_eq!(head("new"), head("data"), "{tenant}");
    }
}

#[test]
fn a_restore_into_a_database_goes_on_wherever_it_was_killed() {
    let shop = Shop::open();
    let postgres = Postgres::start().expect("it starts");
    let on = |node: &str, arguments: &[&str]| {
        let mut command = shop.command(arguments);
        command.env("BINCARD_DATABASE_URL", postgres.tcp_url("postgres"));
        command.env("BINCARD_DATA_DIR", shop.scratch.path(node));
        command
    };
    let run = |node: &str, arguments: &[&str]| Ran::from(on(node, arguments).output().expect("it runs"));
    let restore = ["restore", "--from", PLACE];
    let names = shop.objects("ledgers/default");
    shop.kill_at(&names[1], on("a", &restore));
    let (lines, mapping) = (example("opening-stock.csv.gz"), example("opening-stock.toml"));
    let (lines, mapping) = (lines.to_string_lossy(), mapping.to_string_lossy());
    let import = ["import", &*lines, "--mapping", &*mapping];
    run("a", &["tenant", "list"]).succeeds();
    run("a", &import).fails_with(1, "it is being restored");
    let earlier = (shop.begins(1) - 2).to_string();
    run("a", &[&restore[..], &["--to-position", &earlier]].concat())
        .fails_with(1, "is no beginning of what is to be restored now");

    shop.kill_at(&names[2], on("b", &restore));
    let accounts = shop.objects("accounts").pop().expect("a copy");
    shop.kill_at(&accounts, on("a", &restore));
    run("a", &import).fails_with(1, "it is being restored");
    let restored = run("c", &restore).succeeds().stdout;
    assert!(restored.contains("default: goes on from position"), "{restored}");
    let there = run("a", &["log", "head"]).succeeds().stdout;
    assert_eq!(there, head(&shop.scratch, "data"));
    let keys = run("a", &["key", "list"]).succeeds().stdout;
    assert_eq!(keys.matches("till").count(), 1, "{keys}");
    run("c", &restore).fails_with(1, "has a ledger of tenant default already");
    run("a", &["ship", "--to", "backup"]).succeeds();
}

#[test]
fn a_repair_of_a_segment_goes_on_where_it_was_killed() {
    let shop = Shop::open();
    let segment = shop.scratch.path("data/ledgers/default/log/0000000001.seg");
    let whole = std::fs::read(&segment).expect("a segment");
    let last = whole.iter().rposition(|byte| *byte != 0).expect("a commit");
    let mut damaged = whole.clone();
    for at in [4096 + 700, last - 100] {
        damaged[at] ^= 4;
    }
    std::fs::write(&segment, &damaged).expect("written");
    let repair = ["verify", "--repair-from", PLACE];
    let names = shop.objects("ledgers/default");
    shop.kill_at(&names[2], shop.command(&repair));
    let halfway = std::fs::read(&segment).expect("a segment");
    let differs = |a: &[u8], b: &[u8]| a.iter().zip(b).filter(|(a, b)| a != b).count();
    assert_eq!(differs(&halfway, &whole), 1, "the first commit is right again");

    // Nothing that is not proven is written, whatever is given for a backup.
    let stranger = Scratch::new();
    import(
        &stranger,
        &example("opening-stock.csv.gz"),
        &[],
        "opening-stock.toml",
    );
    let foreign = shop.scratch.path("foreign").to_string_lossy().into_owned();
    stranger.run(["ship", "--to", &foreign]).succeeds();
    shop.run(&["verify", "--repair-from", &foreign])
        .fails_with(1, "is of another ledger");
    std::fs::remove_file(&objects(&shop.scratch)[2]).expect("removed");
    shop.run(&["verify", "--repair-from", "backup"])
        .fails_with(1, "there is no copy of it");
    shop.run(&["verify", "--repair-from", "nowhere"])
        .fails_with(1, "there is no such folder");
    assert!(std::fs::read(&segment).expect("a segment") == halfway);

    shop.run(&repair).succeeds();
    assert!(std::fs::read(&segment).expect("a segment") == whole);
    let kept = |name: &str| {
        let path = format!("data/ledgers/default/damaged/{name}");
        std::fs::read(shop.scratch.path(&path)).expect("kept")
    };
    assert!(kept("0000000001.seg") == damaged && kept("0000000001.seg-2") == halfway);
}

#[test]
fn a_repair_of_rows_goes_on_where_it_was_killed() {
    let shop = Shop::open();
    let postgres = Postgres::start().expect("it starts");
    let url = postgres.tcp_url("postgres");
    let before = head(&shop.scratch, "data");
    shop.run(&["move", "--to", &url]).succeeds();
    let on = |arguments: &[&str]| {
        let mut command = shop.command(arguments);
        command.env("BINCARD_DATABASE_URL", &url);
        command.env("BINCARD_DATA_DIR", shop.scratch.path("node"));
        command
    };
    let run = |arguments: &[&str]| Ran::from(on(arguments).output().expect("it runs"));
    let (first, third) = (shop.begins(0), shop.begins(2));
    for position in [first, third] {
        let sql = format!(
            "update bincard_log.events set record = set_byte(record, 9, get_byte(record, 9) # 4)
            where position = {position}"
        );
        assert_eq!(run_sql(&postgres, &sql), 1);
    }
    run(&["verify"]).fails_with(1, "is damaged at position 1");
    let repair = ["verify", "--repair-from", PLACE];
    let names = shop.objects("ledgers/default");
    shop.kill_at(&names[2], on(&repair));
    run(&["verify"]).fails_with(1, &format!("is damaged at position {third}"));
    std::fs::remove_file(&objects(&shop.scratch)[2]).expect("removed");
    run(&["verify", "--repair-from", "backup"]).fails_with(1, "there is no copy of it");
    let repaired = run(&repair).succeeds().stdout;
    assert_eq!(repaired.matches(" were damaged ").count(), 1, "{repaired}");
    assert_eq!(run(&["log", "head"]).succeeds().stdout, before);
    for position in [first, third] {
        let kept = format!("node/node/default/damaged/{position:020}.rows");
        let kept = shop.scratch.text(&kept);
        assert!(kept.contains(&format!("\"position\":{position},")), "{kept}");
    }
}

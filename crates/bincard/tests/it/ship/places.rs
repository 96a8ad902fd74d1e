//! Places of every kind: behind TLS, with credentials in files, away and back; and one tenant's ledger among several.

use bincard_testkit::certificates;

use super::bucket::{Bucket, SECRET};
use super::{import, ship};
use crate::program::{Ran, Scratch, example};
use crate::server::{Running, key, wait_until};

/// What a server says of itself at `/metrics`.
pub(crate) fn figure(server: &Running, name: &str) -> Option<u64> {
    // Another test of this process may have chosen already.
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    let url = format!("{}/metrics", server.url);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let text = runtime
        .expect("a runtime")
        .block_on(async { reqwest::get(url).await?.text().await });
    let text = text.expect("it answers");
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.map(|value| value.trim().parse().expect("a number"))
}

/// A server that ships to a bucket every second.
fn serve(scratch: &Scratch, bucket: &Bucket) -> Running {
    let mut command = scratch.command();
    bucket.settings(&mut command);
    command.env("BINCARD_SHIP_EVERY_S", "1");
    command.args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--ship-to",
        "s3://backups/shop",
    ]);
    Running::start(&mut command)
}

fn opening(scratch: &Scratch, more: &[&str]) {
    import(
        scratch,
        &example("opening-stock.csv.gz"),
        more,
        "opening-stock.toml",
    );
}

#[test]
fn a_bucket_behind_tls_is_asked_with_credentials_from_files() {
    let (scratch, bucket) = (Scratch::new(), Bucket::start_with_tls());
    opening(&scratch, &[]);
    let files = [
        ("AWS_ACCESS_KEY_ID_FILE", "id", "from-a-file\n"),
        ("AWS_SECRET_ACCESS_KEY_FILE", "secret", SECRET),
        ("AWS_SESSION_TOKEN_FILE", "token", "a-token\n"),
    ];
    let run = |arguments: &[&str], more: &[(&str, &str)]| {
        let mut command = scratch.command();
        bucket.address(&mut command);
        command.env("SSL_CERT_FILE", certificates::authority());
        for (variable, name, content) in files {
            command.env(variable, scratch.file(name, content));
        }
        command.args(arguments).envs(more.iter().copied());
        Ran::from(command.output().expect("it runs"))
    };
    let ship = ["ship", "--to", "s3://backups/shop"];
    run(&ship, &[]).succeeds();
    run(
        &["restore", "--from", "s3://backups/shop", "--data-dir", "new"],
        &[],
    )
    .succeeds();
    let expected = ("from-a-file".to_owned(), "a-token".to_owned());
    assert_eq!(Vec::from_iter(bucket.credentials()), [expected]);

    run(&ship, &[("AWS_SECRET_ACCESS_KEY_FILE", "nowhere")])
        .fails_with(2, "AWS_SECRET_ACCESS_KEY_FILE nowhere: ");
    // Whom the machine does not trust is not sent anything.
    let untrusted = certificates::first().certificate;
    run(&ship, &[("SSL_CERT_FILE", &untrusted.to_string_lossy())]).fails_with(1, "s3://backups/shop");
}

#[test]
fn a_bucket_is_reached_without_tls_only_where_that_is_allowed() {
    let (scratch, bucket) = (Scratch::new(), Bucket::start());
    opening(&scratch, &[]);
    let mut command = scratch.command();
    bucket.settings(&mut command);
    command.env_remove("AWS_ALLOW_HTTP");
    let ran = command.args(["ship", "--to", "s3://backups/shop"]).output();
    Ran::from(ran.expect("it runs")).fails_with(1, "s3://backups/shop");
    assert!(bucket.credentials().is_empty(), "nothing was sent");
}

#[test]
fn a_place_that_is_away_is_told_and_shipped_to_when_it_is_back() {
    let (scratch, bucket) = (Scratch::new(), Bucket::start());
    opening(&scratch, &[]);
    let key = key(&scratch);
    bucket.refuse_everybody(true);
    let server = serve(&scratch, &bucket);
    let of = |name: &str| figure(&server, &format!("bincard_ship_{name}{{tenant=\"default\"}}"));
    wait_until(|| of("failing") == Some(1));
    let (failures, behind) = (of("failures_total"), of("behind_events"));
    assert!(failures >= Some(1) && behind > Some(0));
    assert_eq!(
        (of("position"), of("caught_up_timestamp_seconds")),
        (Some(0), Some(0))
    );
    // The ledger goes on.
    let lines = ("lines.csv.gz", "mapping.toml");
    let mut load = super::load(&scratch, lines, &server.url, &key);
    assert!(load.wait().expect("it ends").success());
    assert!(of("behind_events") > behind);
    bucket.refuse_everybody(false);
    wait_until(|| of("behind_events") == Some(0) && of("failing") == Some(0));
    assert!(of("position") > behind && of("failures_total") >= failures);
    assert_eq!(server.stop().0, Some(0));
}

#[test]
fn a_server_ships_once_more_at_its_end() {
    let (scratch, bucket) = (Scratch::new(), Bucket::start());
    opening(&scratch, &[]);
    scratch.run(["tenant", "add", "unused"]).succeeds();
    bucket.refuse_everybody(true);
    let server = serve(&scratch, &bucket);
    wait_until(|| figure(&server, "bincard_ship_failures_total{tenant=\"default\"}") >= Some(2));
    bucket.refuse_everybody(false);
    assert_eq!(server.stop().0, Some(0));
    assert_eq!(bucket.names_below("shop/ledgers/").len(), 1);
    // A tenant that never recorded anything gets no ledger by that.
    assert!(!scratch.path("data/ledgers/unused").exists());
}

#[test]
fn one_tenants_ledger_is_shipped_and_restored_by_itself() {
    let scratch = Scratch::new();
    for tenant in ["annex", "shop"] {
        scratch.run(["tenant", "add", tenant]).succeeds();
        opening(&scratch, &["--tenant", tenant]);
    }
    let tenants = || {
        let entries = std::fs::read_dir(scratch.path("backup/ledgers")).expect("a backup");
        let names = entries.map(|entry| entry.expect("a folder").file_name());
        let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    scratch
        .run(["ship", "--to", "backup", "--tenant", "annex"])
        .succeeds();
    assert_eq!(tenants(), ["annex"]);
    scratch
        .run(["ship", "--to", "backup", "--tenant", "nobody"])
        .fails_with(1, "tenant nobody has no ledger here");
    let from = ["restore", "--from", "backup", "--data-dir", "new", "--tenant"];
    let restore = |tenant| scratch.run(from.into_iter().chain([tenant]));
    restore("shop").fails_with(1, "there is no backup of tenant shop");
    ship(&scratch).succeeds();
    assert_eq!(tenants(), ["annex", "shop"]);
    let status = ["ship", "--status", "--to", "backup", "--tenant", "shop"];
    let status = scratch.run(status).succeeds().stdout;
    assert!(status.contains("shop\t") && !status.contains("annex"), "{status}");

    restore("shop").succeeds();
    let head = |folder, tenant| {
        let asked = ["log", "head", "--data-dir", folder, "--tenant", tenant];
        scratch.run(asked)
    };
    assert_eq!(
        head("new", "shop").succeeds().stdout,
        head("data", "shop").succeeds().stdout
    );
    let listed = scratch
        .run(["tenant", "list", "--data-dir", "new"])
        .succeeds()
        .stdout;
    assert!(listed.contains("shop") && !listed.contains("annex"), "{listed}");
}

//! The small commands: their words, their exit codes, and what they leave behind.

use crate::program::Scratch;

#[test]
fn wrong_use_exits_with_2_and_says_what_is_right() {
    let scratch = Scratch::new();
    scratch.run(["tenant", "add", "south"]).succeeds();
    scratch.run(["imports"]).fails_with(2, "unrecognized subcommand");
    scratch.run(["import"]).fails_with(2, "--mapping");
    scratch.file("bincard.toml", "lisen = \"127.0.0.1:1\"");
    scratch
        .run(["--config", "bincard.toml", "tenant", "list"])
        .fails_with(2, "there is no setting \"lisen\"");
    scratch
        .run(["--config", "none.toml", "tenant", "list"])
        .fails_with(2, "none.toml: cannot be read");
    scratch
        .run(["log", "--tenant", "nobody", "head"])
        .fails_with(2, "bincard tenant add nobody");
    scratch
        .run(["key", "create", "till", "--role", "BOSS"])
        .fails_with(2, "must be ADMIN, MANAGER, SELLER or VIEWER");
    scratch
        .run(["key", "create", "till", "--expires-in", "0"])
        .fails_with(2, "0 is not in 1..=36500");
    scratch
        .run(["race", "--url", "ftp://x", "--key", "k"])
        .fails_with(2, "\"ftp://x\" is not a URL");
    let fresh = Scratch::new();
    fresh.run(["tenant", "add", "../evil"]).fails_with(2, "tenant");
    assert!(!fresh.data().exists(), "nothing was made for a wrong name");
}

#[test]
fn commands_that_need_a_data_folder_make_none() {
    let looking: [&[&str]; 19] = [
        &["stock"],
        &["history", "MUG"],
        &["export", "events"],
        &["verify"],
        &["reconcile"],
        &["rebuild"],
        &["snapshot"],
        &["log", "head"],
        &["log", "dump"],
        &["tenant", "list"],
        &["user", "list"],
        &["user", "add", "anna@example.com"],
        &["user", "disable", "anna"],
        &["user", "password", "anna"],
        &["key", "list"],
        &["key", "create", "till"],
        &["key", "revoke", "00000000-0000-0000-0000-000000000000"],
        &["key", "--tenant", "north", "list"],
        &["ship", "--to", "backup"],
    ];
    let scratch = Scratch::new();
    for command in looking {
        let says = format!("there is no data folder {}: ", scratch.data().display());
        scratch.run(command).fails_with(2, &says);
        assert!(!scratch.data().exists(), "{command:?} made it");
    }
    std::fs::create_dir(scratch.data()).expect("a folder");
    for command in looking {
        scratch
            .run(command)
            .fails_with(2, "is no data folder, for it has no accounts.db");
        let entries = std::fs::read_dir(scratch.data()).expect("a folder").count();
        assert_eq!(entries, 0, "{command:?} left something in it");
    }
    let made = scratch.run(["tenant", "add", "north"]).succeeds().stdout;
    let says = format!(
        "made the data folder {}\nadded tenant north\n",
        scratch.data().display()
    );
    assert_eq!(made, says);
    let added = scratch.run(["tenant", "add", "south"]).succeeds().stdout;
    assert_eq!(added, "added tenant south\n");
    scratch.run(["key", "create", "till"]).succeeds();
    scratch.run(["key", "list"]).succeeds();
}

#[test]
fn a_server_that_is_told_wrong_things_makes_nothing() {
    let scratch = Scratch::new();
    for (option, says) in [
        (["--nats-url", "foo"], "nats_url: it must be nats://host:port"),
        (
            ["--nats-url", "http://127.0.0.1:4222"],
            "nats_url: it must be nats://host:port",
        ),
        (["--roles", "boss"], "there is no role \"boss\""),
        (
            ["--ship-to", "ftp://backup"],
            "neither a folder nor of the form s3://bucket/prefix",
        ),
        (
            ["--database-url", "mysql://db"],
            "database_url: it must be of the form postgres://",
        ),
    ] {
        scratch.run(["serve", option[0], option[1]]).fails_with(2, says);
        assert!(!scratch.data().exists(), "{option:?} made a data folder");
    }
}

#[test]
fn damaged_accounts_are_told_with_what_to_do() {
    for from in [0, 4_096] {
        let scratch = Scratch::new();
        scratch.run(["tenant", "add", "north"]).succeeds();
        let file = scratch.data().join("accounts.db");
        let mut bytes = std::fs::read(&file).expect("the accounts");
        bytes[from..].fill(0xA5);
        std::fs::write(&file, bytes).expect("the accounts");
        scratch.run(["verify"]).fails_with(
            1,
            "if accounts.db is damaged, stop the server and restore the file from a backup",
        );
    }
}

#[test]
fn tenants_users_and_keys_are_added_and_listed() {
    let scratch = Scratch::new();
    scratch.run(["tenant", "add", "north"]).succeeds();
    let list = scratch.run(["tenant", "list"]).succeeds().stdout;
    let names: Vec<&str> = list
        .lines()
        .map(|line| line.split('\t').next().unwrap_or(""))
        .collect();
    assert_eq!(names, ["NAME", "default", "north"]);
    scratch
        .run(["tenant", "add", "north"])
        .fails_with(1, "tenant is taken already");

    let add = [
        "user",
        "--tenant",
        "north",
        "add",
        "anna@example.com",
        "--role",
        "MANAGER",
    ];
    scratch.run_with(b"correct horse\n", &add).succeeds();
    scratch
        .run_with(b"", &add)
        .fails_with(1, "no password came on standard input");
    scratch
        .run_with(
            b"another one\n",
            &["user", "--tenant", "north", "password", "anna"],
        )
        .succeeds();
    scratch
        .run(["user", "password", "anna"])
        .fails_with(1, "tenant default has no user \"anna\"");
    scratch
        .run(["user", "--tenant", "north", "disable", "anna@example.com"])
        .succeeds();
    let list = scratch
        .run(["user", "list", "--tenant", "north"])
        .succeeds()
        .stdout;
    let anna: Vec<&str> = list.lines().nth(1).expect("one user").split('\t').collect();
    assert_eq!(
        anna[..5],
        ["anna@example.com", "anna", "MANAGER", "standard", "no"]
    );

    scratch
        .run(["key", "create", "till", "--role", "SELLER"])
        .fails_with(2, "must name a warehouse or more");
    let key = scratch
        .run(["key", "create", "till", "--role", "VIEWER"])
        .succeeds()
        .stdout;
    assert!(key.starts_with("bck_") && key.lines().count() == 1, "{key}");
    let list = scratch.run(["key", "list"]).succeeds().stdout;
    assert!(!list.contains(key.trim()), "the secret is shown once");
    let till: Vec<&str> = list.lines().nth(1).expect("one key").split('\t').collect();
    assert_eq!(till[..3], ["till", "VIEWER", "service"]);
    scratch.run(["key", "revoke", till[7]]).succeeds();
    let list = scratch.run(["key", "list"]).succeeds().stdout;
    assert_ne!(
        list.lines().nth(1).expect("one key").split('\t').nth(6),
        Some("-")
    );
}

#[test]
fn completions_and_settings_are_written_out() {
    let scratch = Scratch::new();
    scratch.run(["tenant", "add", "north"]).succeeds();
    assert!(
        scratch
            .run(["completions", "bash"])
            .succeeds()
            .stdout
            .contains("bincard")
    );
    let settings = scratch.run(["config"]).succeeds().stdout;
    scratch.file("bincard.toml", settings);
    scratch
        .run(["--config", "bincard.toml", "tenant", "list"])
        .succeeds();
}

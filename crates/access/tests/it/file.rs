//! The SQLite file itself: its tables, what is in it and what is not, and several processes that make it at once.

use std::path::Path;

use bincard_access::*;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};

use crate::support::*;

fn migrations() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/sqlite"))
}

async fn schema_of(connection: &mut SqliteConnection) -> String {
    let statements: Vec<String> = sqlx::query_scalar(
        "select sql from sqlite_schema where sql is not null and name not like '\\_sqlx\\_%' escape '\\' order by name",
    )
    .fetch_all(connection)
    .await
    .unwrap();
    statements
        .iter()
        .map(|sql| format!("{sql};\n"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[tokio::test]
async fn the_migrations_give_the_schema_that_stands_beside_them() {
    let s = in_file().await;
    let migrated = schema_of(&mut sqlite(s.folder()).await).await;
    let file = migrations().join("schema.sql");
    if std::env::var_os("BINCARD_WRITE_SCHEMA").is_some() {
        std::fs::write(&file, &migrated).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap();
    assert_eq!(
        committed, migrated,
        "run this test with BINCARD_WRITE_SCHEMA=1 and commit the file"
    );

    let mut fresh = SqliteConnectOptions::new()
        .in_memory(true)
        .connect()
        .await
        .unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(committed))
        .execute(&mut fresh)
        .await
        .unwrap();
    assert_eq!(schema_of(&mut fresh).await, migrated);
}

#[tokio::test]
async fn a_transaction_that_sqlite_ended_by_itself_leaves_accounts_as_they_can_be_changed() {
    let s = in_file().await;
    s.run_sql(
        "create trigger no_room before insert on users begin select raise(rollback, 'as when the disk is full'); end",
    )
    .await;
    let user = |name: &'static str| {
        let accounts = &s.accounts;
        async move {
            let email = format!("{name}@example.com");
            accounts
                .user_add(&home(), new_user(name, &email, Role::Viewer))
                .await
        }
    };
    for _ in 0..2 {
        assert_refused!(user("early").await, AccessError::Database(_));
    }
    s.run_sql("drop trigger no_room").await;
    user("late").await.expect("nothing stands in the way any more");
}

#[tokio::test]
async fn no_migration_is_forgotten() {
    let s = in_file().await;
    let mut in_folder: Vec<i64> = std::fs::read_dir(migrations())
        .unwrap()
        .filter_map(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_str()
                .unwrap()
                .split_once('_')?
                .0
                .parse()
                .ok()
        })
        .collect();
    in_folder.sort_unstable();
    let applied: Vec<i64> = sqlx::query_scalar("select version from _sqlx_migrations order by version")
        .fetch_all(&mut sqlite(s.folder()).await)
        .await
        .unwrap();
    assert_eq!(applied, in_folder);
}

#[tokio::test]
async fn no_secret_stands_in_the_file() {
    let s = in_file().await;
    let user = s.user("mia", Role::Viewer).await;
    let key = s.key("k", Role::Viewer, Plan::Standard).await.secret;
    let first = s.login("mia").await;
    let second = s.accounts.refresh(first.refresh_token.reveal()).await.unwrap();
    s.caller(&second.access_token).await.unwrap();
    s.caller(&key).await.unwrap();
    s.accounts
        .user_set_password(&home(), user.id, "a new password")
        .await
        .unwrap();
    s.accounts.upkeep().await.unwrap();

    let key_secret = key.reveal().rsplit('_').next().unwrap();
    let refresh_secret = &second.refresh_token.reveal()[4..];
    let signature = second.access_token.reveal().rsplit('.').next().unwrap();
    let mut needles: Vec<Vec<u8>> = [PASSWORD, "a new password", key_secret, refresh_secret, signature]
        .map(|text| text.as_bytes().to_vec())
        .into();
    needles.push(unhex(key_secret));
    needles.push(unhex(refresh_secret));
    let bytes = all_bytes(s.folder());
    assert!(
        contains(&bytes, b"mia@example.com"),
        "the search finds what is there"
    );
    for needle in &needles {
        assert!(!contains(&bytes, needle), "{}", String::from_utf8_lossy(needle));
    }
    s.accounts.close().await.unwrap();
    let bytes = all_bytes(s.folder());
    assert!(contains(&bytes, b"mia@example.com"));
    assert!(needles.iter().all(|needle| !contains(&bytes, needle)));
}

fn all_bytes(folder: &Path) -> Vec<u8> {
    std::fs::read_dir(folder)
        .unwrap()
        .flat_map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect()
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}

#[cfg(unix)]
#[tokio::test]
async fn only_its_owner_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let s = in_file().await;
    s.user("mia", Role::Viewer).await;
    for entry in std::fs::read_dir(s.folder()).unwrap() {
        let entry = entry.unwrap();
        // The lock has nothing in it.
        if entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "lock")
        {
            continue;
        }
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} is {mode:o}", entry.path().display());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_open_a_new_file_at_once_agree() {
    // Collisions are rare: without the lock most runs would pass, too.
    for _ in 0..20 {
        open_a_new_file_at_once().await;
    }
}

async fn open_a_new_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(START);
    let open = |_| tokio::spawn(Accounts::open(folder.path().join("accounts.db"), options(&clock)));
    let mut opened = Vec::new();
    for opening in (0..8).map(open).collect::<Vec<_>>() {
        opened.push(opening.await.unwrap().unwrap());
    }
    opened[0]
        .user_add(&home(), new_user("mia", "mia@example.com", Role::Admin))
        .await
        .unwrap();
    for (n, accounts) in opened.iter().enumerate() {
        let token = accounts.login("mia", PASSWORD).await.unwrap().tokens.access_token;
        for other in &opened {
            let caller = other.authenticate(token.reveal()).await.unwrap();
            assert_eq!(&*caller.name, "mia", "signed by {n}");
        }
    }
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused() {
    let s = in_file().await;
    s.accounts.close().await.unwrap();
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (9999, 'from the future', 1, x'00', 0)",
    )
    .execute(&mut sqlite(s.folder()).await)
    .await
    .unwrap();
    let refused = Accounts::open(s.file(), options(&s.clock)).await.map(drop);
    assert_refused!(refused, AccessError::Migrate { .. });
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    let s = in_file().await;
    let path = s.folder().join("missing").join("accounts.db");
    let refused = Accounts::open(&path, options(&s.clock))
        .await
        .map(drop)
        .unwrap_err();
    assert!(matches!(refused, AccessError::Create { .. }));
    assert!(refused.to_string().contains(path.to_str().unwrap()), "{refused}");
}

#[tokio::test]
async fn what_is_no_database_is_refused() {
    let s = in_file().await;
    let path = s.folder().join("other.db");
    std::fs::write(
        &path,
        "not a database at all, but long enough to look at".repeat(100),
    )
    .unwrap();
    assert!(Accounts::open(&path, options(&s.clock)).await.is_err());
}

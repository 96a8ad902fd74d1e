//! Accounts in PostgreSQL: making the tables, a server that is away, and what must not be seen.

use std::path::Path;

use bincard_access::*;
use bincard_testkit::wire::{Fate, Wire};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use tokio::task::JoinSet;

use crate::proxy::Proxy;
use crate::support::*;

#[tokio::test]
async fn no_migration_is_forgotten() {
    let s = in_postgres().await;
    let folder = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../migrations/postgres/accounts"
    ));
    let mut in_folder: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| {
            Path::new(name)
                .extension()
                .is_some_and(|extension| extension == "sql")
        })
        .collect();
    in_folder.sort_unstable();
    let rows = sqlx::query("select version, description from _sqlx_migrations order by version")
        .fetch_all(&mut psql(s.url()).await)
        .await
        .unwrap();
    let applied: Vec<String> = rows
        .iter()
        .map(|row| format!("{:04}_{}.sql", row.get::<i64, _>(0), row.get::<String, _>(1)))
        .collect();
    assert_eq!(applied, in_folder);
}

#[tokio::test]
async fn what_is_pending_is_told_and_not_done() {
    let url = empty_database().await;
    for _ in 0..2 {
        assert_eq!(Accounts::pending_migrations(&url).await.unwrap(), ["accounts"]);
    }
    Accounts::migrate(&url).await.unwrap();
    assert!(Accounts::pending_migrations(&url).await.unwrap().is_empty());
    let accounts = Accounts::connect(&url, options(&Clock::manual(START)))
        .await
        .unwrap();
    assert_eq!(accounts.tenants().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_start_at_once_on_an_empty_database_agree() {
    for _ in 0..5 {
        start_at_once(&empty_database().await).await;
    }
}

async fn start_at_once(url: &str) {
    let clock = Clock::manual(START);
    let start = |_| {
        let (url, clock) = (url.to_owned(), clock.clone());
        tokio::spawn(async move { Accounts::connect(&url, options(&clock)).await })
    };
    let mut nodes = Vec::new();
    for starting in (0..6).map(start).collect::<Vec<_>>() {
        nodes.push(starting.await.unwrap().unwrap());
    }
    nodes[0]
        .user_add(&home(), new_user("mia", "mia@example.com", Role::Admin))
        .await
        .unwrap();
    for (n, accounts) in nodes.iter().enumerate() {
        let token = accounts.login("mia", PASSWORD).await.unwrap().tokens.access_token;
        for other in &nodes {
            let caller = other.authenticate(token.reveal()).await.unwrap();
            assert_eq!(&*caller.name, "mia", "signed by {n}");
        }
    }
    for node in nodes {
        node.close().await.unwrap();
    }
}

#[tokio::test]
async fn tables_of_a_newer_version_are_refused() {
    let s = in_postgres().await;
    s.run_sql(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (9999, 'from the future', true, '', 0)",
    )
    .await;
    let refused = Accounts::connect(s.url(), options(&s.clock)).await.map(drop);
    assert_refused!(refused, AccessError::Schema { .. });
}

#[tokio::test]
async fn a_role_that_may_not_make_schemas_uses_one_that_was_made_for_it() {
    let s = in_postgres().await;
    let name = s.url().split('/').nth(3).unwrap().split('?').next().unwrap();
    // The schema's owner, in a database where it may make no other.
    let role = format!("keeper_of_{name}");
    for statement in [
        format!("create role {role} login"),
        "drop schema bincard_accounts cascade".to_owned(),
        format!("create schema bincard_accounts authorization {role}"),
    ] {
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut psql(s.url()).await)
            .await
            .unwrap();
    }
    let url = s.url().replace("user=postgres", &format!("user={role}"));
    let accounts = Accounts::connect(&url, options(&s.clock)).await.unwrap();
    accounts
        .user_add(&home(), new_user("mia", "mia@example.com", Role::Admin))
        .await
        .unwrap();
}

/// Goes through the front door as well as the back: whoever changes rows by hand has another search path.
#[tokio::test]
async fn rows_changed_by_hand_are_noticed_whatever_the_search_path() {
    let s = in_postgres().await;
    s.user("mia", Role::Admin).await;
    let (tokens, key) = (
        s.login("mia").await,
        s.key("k", Role::Viewer, Plan::Standard).await,
    );
    let mut by_hand = PgConnection::connect(s.url()).await.unwrap();
    s.caller(&tokens.access_token).await.unwrap();
    s.caller(&key.secret).await.unwrap();
    for statement in [
        "update bincard_accounts.users set role = 'VIEWER'",
        "update bincard_accounts.api_keys set role = 'MANAGER'",
    ] {
        sqlx::query(statement).execute(&mut by_hand).await.unwrap();
    }
    s.clock.advance_ms(999);
    assert_eq!(s.caller(&tokens.access_token).await.unwrap().role, Role::Viewer);
    assert_eq!(s.caller(&key.secret).await.unwrap().role, Role::Manager);
    for statement in [
        "delete from bincard_accounts.api_keys",
        "delete from bincard_accounts.sessions",
        "delete from bincard_accounts.users",
    ] {
        sqlx::query(statement).execute(&mut by_hand).await.unwrap();
    }
    s.clock.advance_ms(999);
    assert_refused!(s.caller(&tokens.access_token).await, AuthError::Revoked);
    assert_refused!(s.caller(&key.secret).await, AuthError::Invalid);
}

#[tokio::test]
async fn while_the_server_is_away_nobody_is_taken_for_another_and_then_all_goes_on() {
    let s = in_postgres().await;
    let database = s.url().split('/').nth(3).unwrap().split('?').next().unwrap();
    let tcp = server().tcp_url("");
    let target = tcp.rsplit('@').next().unwrap().trim_end_matches('/').to_owned();
    let proxy = Proxy::to(target).await;
    let accounts = Accounts::connect(&proxy.url(server(), database), options(&s.clock))
        .await
        .unwrap();
    let user = s.user("mia", Role::Admin).await;
    let key = s.key("k", Role::Viewer, Plan::Standard).await;
    let tokens = accounts.login("mia", PASSWORD).await.unwrap().tokens;
    let (token, refresh) = (tokens.access_token.reveal(), tokens.refresh_token.reveal());
    accounts.authenticate(token).await.unwrap();

    proxy.cut().await;
    accounts.authenticate(token).await.unwrap();
    s.clock.advance_ms(1_000);
    for bearer in [token, key.secret.reveal()] {
        assert_refused!(
            accounts.authenticate(bearer).await,
            AuthError::Unavailable(AccessError::Unavailable(_))
        );
    }
    // Of those who come at once one asks, for all.
    let before = proxy.turned_away_count();
    let mut at_once = JoinSet::new();
    for _ in 0..8 {
        let (accounts, token) = (accounts.clone(), token.to_owned());
        at_once.spawn(async move { accounts.authenticate(&token).await });
    }
    for answer in at_once.join_all().await {
        assert_refused!(answer, AuthError::Unavailable(AccessError::Unavailable(_)));
    }
    assert_eq!(proxy.turned_away_count(), before + 1);
    assert_refused!(
        accounts.login("mia", PASSWORD).await,
        LoginError::Unavailable(AccessError::Unavailable(_))
    );
    assert_refused!(
        accounts.refresh(refresh).await,
        RefreshError::Unavailable(AccessError::Unavailable(_))
    );
    let changed = accounts.user_set_plan(&home(), user.id, Plan::Premium).await;
    assert_refused!(changed, AccessError::Unavailable(_));
    let listed = accounts.users(&home(), 0, 10).await;
    assert_refused!(listed, AccessError::Unavailable(_));
    assert_refused!(accounts.upkeep().await, AccessError::Unavailable(_));

    proxy.mend();
    assert_eq!(accounts.authenticate(token).await.unwrap().id, user.id);
    accounts.authenticate(key.secret.reveal()).await.unwrap();
    accounts.refresh(refresh).await.unwrap();
    accounts
        .user_set_plan(&home(), user.id, Plan::Premium)
        .await
        .unwrap();
    assert_eq!(accounts.authenticate(token).await.unwrap().plan, Plan::Premium);
}

#[tokio::test]
async fn sessions_that_the_server_ended_are_made_again() {
    let s = in_postgres().await;
    let user = s.user("mia", Role::Admin).await;
    let token = s.login("mia").await.access_token;
    s.caller(&token).await.unwrap();
    let mut beside = PgConnection::connect(s.url()).await.unwrap();
    sqlx::query(
        "select pg_terminate_backend(pid, 10000) from pg_stat_activity
         where datname = current_database() and application_name = 'bincard'",
    )
    .fetch_all(&mut beside)
    .await
    .unwrap();
    s.clock.advance_ms(999);
    s.caller(&token).await.unwrap();
    s.accounts
        .user_set_plan(&home(), user.id, Plan::Premium)
        .await
        .unwrap();
    assert_eq!(s.caller(&token).await.unwrap().plan, Plan::Premium);
}

/// There is one connection that writes: whoever comes after the silence needs another in its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_falls_silent_is_given_up_and_replaced() {
    let (wire, through) = Wire::to(&server().tcp_url(&empty_database_name().await)).unwrap();
    let accounts = Accounts::connect(&through, options(&Clock::manual(START)))
        .await
        .unwrap();
    wire.set_trap("insert into tenants", Fate::Silent);
    let asked = accounts.tenant_add("first").await;
    assert!(matches!(asked, Err(AccessError::Unavailable(_))), "{asked:?}");
    wire.wait_until_sprung();
    while let Err(error) = accounts.tenant_add("second").await {
        assert!(matches!(error, AccessError::Unavailable(_)), "{error:?}");
    }
    assert_eq!(accounts.tenants().await.unwrap().len(), 2);
}

#[tokio::test]
async fn no_secret_stands_in_the_database() {
    let s = in_postgres().await;
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

    let mut connection = psql(s.url()).await;
    let tables: Vec<String> =
        sqlx::query_scalar("select tablename::text from pg_tables where schemaname = 'bincard_accounts'")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let mut all = String::new();
    for table in tables {
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!("select t::text from {table} t")))
            .fetch_all(&mut connection)
            .await
            .unwrap();
        all.extend(rows);
    }
    assert!(all.contains("mia@example.com"), "the search finds what is there");
    // Bytes are shown in hexadecimal digits, as the secrets are.
    let needles = [
        PASSWORD,
        "a new password",
        key.reveal().rsplit('_').next().unwrap(),
        &second.refresh_token.reveal()[4..],
        second.access_token.reveal().rsplit('.').next().unwrap(),
    ];
    for needle in needles {
        assert!(!all.contains(needle), "{needle}");
    }
}

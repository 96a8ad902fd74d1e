//! What is logged while accounts connect to PostgreSQL: a program of its own, since what it hears is everything.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Write;
use std::sync::{Arc, Mutex};

use bincard_access::{AccessError, Accounts, Options};
use bincard_testkit::postgres::Postgres;

/// Everything that is logged, by whomever and at whatever level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn whole(error: &AccessError) -> String {
    let mut text = format!("{error:?}");
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        text.push_str(&format!("\n{error}"));
        cause = error.source();
    }
    text
}

async fn refusals(url: &str) -> [AccessError; 3] {
    [
        Accounts::connect(url, Options::default()).await.map(drop),
        Accounts::migrate(url).await,
        Accounts::pending_migrations(url).await.map(drop),
    ]
    .map(Result::unwrap_err)
}

#[tokio::test]
async fn a_password_in_an_address_is_in_no_error_and_no_log() {
    const NEVER: &str = "hunter2-of-the-database";
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let server = Postgres::start().unwrap();

    let right = server.tcp_url("postgres");
    let host = right.rsplit('@').next().unwrap();
    let addresses = [
        // A wrong password; no such user; nobody there; a wrong password as a parameter.
        format!("postgres://postgres:{NEVER}@{host}"),
        format!("postgres://nobody:{NEVER}@{host}"),
        format!("postgres://postgres:{NEVER}@127.0.0.1:1/x"),
        format!("postgresql://postgres@{host}?password={NEVER}"),
    ];
    let slips_of_the_pen = [
        format!("postgres://{host}?pasword={NEVER}"),
        format!("postgres://{host}?{NEVER}"),
        format!("postgres://{host}?user=postgres&passwd={NEVER}&sslmode=disable"),
        format!("postgres://postgres:12?{NEVER}@{host}"),
        format!("postgres://postgres:a#{NEVER}@{host}"),
        format!("postgres://postgres:{NEVER}@127.0.0.1:x/y"),
        format!("mysql://postgres:{NEVER}@{host}"),
        NEVER.to_owned(),
    ];
    for url in addresses {
        for error in refusals(&url).await {
            assert!(matches!(error, AccessError::Connect { .. }), "{url}: {error:?}");
            assert!(!whole(&error).contains(NEVER), "{}", whole(&error));
        }
    }
    for url in slips_of_the_pen {
        for error in refusals(&url).await {
            assert!(matches!(error, AccessError::Address { .. }), "{url}: {error:?}");
            assert!(!whole(&error).contains(NEVER), "{}", whole(&error));
        }
    }
    // And where it is right.
    let password = right.split(':').nth(2).unwrap().split('@').next().unwrap();
    let accounts = Accounts::connect(&right, Options::default()).await.unwrap();
    accounts.tenants().await.unwrap();
    accounts.close().await.unwrap();

    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        logged.contains("select name, created_at from tenants"),
        "{logged}"
    );
    assert!(!logged.contains(NEVER), "{logged}");
    assert!(!logged.contains(password), "{logged}");
}

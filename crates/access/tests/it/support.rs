//! Scratch accounts, in a file or in a private PostgreSQL, with a clock that only tests move.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use bincard_access::*;
use bincard_testkit::postgres::Postgres;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row, SqliteConnection};
use uuid::Uuid;

/// 2023-11-14T22:13:20Z.
pub(crate) const START: UnixMs = UnixMs(1_700_000_000_000);
pub(crate) const PASSWORD: &str = "correct horse";
/// As little work as argon2 allows.
pub(crate) const CHEAP: PasswordCost = PasswordCost {
    memory_kib: 8,
    passes: 1,
};

pub(crate) struct Scratch {
    place: Place,
    pub(crate) clock: Clock,
    pub(crate) accounts: Accounts,
}

enum Place {
    Folder(tempfile::TempDir),
    /// The address of a database.
    Database(String),
}

impl Place {
    async fn open(&self, options: Options) -> Result<Accounts, AccessError> {
        match self {
            Place::Folder(folder) => Accounts::open(file_in(folder.path()), options).await,
            Place::Database(url) => Accounts::connect(url, options).await,
        }
    }
}

fn file_in(folder: &Path) -> PathBuf {
    folder.join("accounts.db")
}

/// Accounts in a file.
pub(crate) async fn in_file() -> Scratch {
    scratch(Place::Folder(tempfile::tempdir().unwrap())).await
}

/// Accounts in a database of their own.
pub(crate) async fn in_postgres() -> Scratch {
    scratch(Place::Database(empty_database().await)).await
}

async fn scratch(place: Place) -> Scratch {
    let clock = Clock::manual(START);
    let accounts = place.open(options(&clock)).await.unwrap();
    Scratch {
        place,
        clock,
        accounts,
    }
}

/// One server for all tests of this program; it ends with the process. Nothing here is about a loss of power.
pub(crate) fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start_with(&[("fsync", "off"), ("max_connections", "200")]).unwrap())
}

/// The address of a database that nobody else uses and that has nothing in it.
pub(crate) async fn empty_database() -> String {
    server().socket_url(&empty_database_name().await)
}

/// The name of one.
pub(crate) async fn empty_database_name() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let name = format!("access_{}", MADE.fetch_add(1, Ordering::Relaxed));
    let mut connection = PgConnection::connect(&server().socket_url("postgres"))
        .await
        .unwrap();
    sqlx::query(AssertSqlSafe(format!("create database {name}")))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    name
}

pub(crate) fn options(clock: &Clock) -> Options {
    Options {
        password_cost: CHEAP,
        clock: clock.clone(),
        ..Options::default()
    }
}

impl Scratch {
    /// Where the accounts in a file are.
    pub(crate) fn folder(&self) -> &Path {
        match &self.place {
            Place::Folder(folder) => folder.path(),
            Place::Database(url) => panic!("not in a file: {url}"),
        }
    }

    pub(crate) fn file(&self) -> PathBuf {
        file_in(self.folder())
    }

    /// Where the accounts in PostgreSQL are.
    pub(crate) fn url(&self) -> &str {
        match &self.place {
            Place::Database(url) => url,
            Place::Folder(folder) => panic!("in a file: {}", folder.path().display()),
        }
    }

    /// A second handle on the same accounts, with nothing shared in memory: another process, another node, as far as
    /// it can tell.
    pub(crate) async fn other_process(&self) -> Accounts {
        self.open(options(&self.clock)).await
    }

    pub(crate) async fn open(&self, options: Options) -> Accounts {
        self.place.open(options).await.unwrap()
    }

    pub(crate) async fn user(&self, username: &str, role: Role) -> User {
        self.accounts
            .user_add(
                &home(),
                new_user(username, &format!("{username}@example.com"), role),
            )
            .await
            .unwrap()
    }

    pub(crate) async fn key(&self, name: &str, role: Role, plan: Plan) -> IssuedKey {
        self.accounts
            .key_create(&home(), new_key(name, role, plan))
            .await
            .unwrap()
    }

    pub(crate) async fn login(&self, username: &str) -> Tokens {
        self.accounts.login(username, PASSWORD).await.unwrap().tokens
    }

    pub(crate) async fn caller(&self, bearer: &Secret) -> Result<Arc<Caller>, AuthError> {
        self.accounts.authenticate(bearer.reveal()).await
    }

    /// Changes what is stored, past the accounts.
    pub(crate) async fn run_sql(&self, statement: &'static str) {
        match &self.place {
            Place::Folder(folder) => {
                let mut connection = sqlite(folder.path()).await;
                sqlx::query(statement).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
            Place::Database(url) => {
                let mut connection = psql(url).await;
                sqlx::query(statement).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
        }
    }

    /// Looks at what is stored, past the accounts.
    pub(crate) async fn sql_text(&self, query: &'static str) -> String {
        match &self.place {
            Place::Folder(folder) => {
                let mut connection = sqlite(folder.path()).await;
                let row = sqlx::query(query).fetch_one(&mut connection).await.unwrap();
                row.get(0)
            }
            Place::Database(url) => {
                let mut connection = psql(url).await;
                let row = sqlx::query(query).fetch_one(&mut connection).await.unwrap();
                row.get(0)
            }
        }
    }
}

pub(crate) async fn sqlite(folder: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(file_in(folder))
        .connect()
        .await
        .unwrap()
}

pub(crate) async fn psql(url: &str) -> PgConnection {
    PgConnectOptions::from_str(url)
        .unwrap()
        .options([("search_path", "bincard_accounts")])
        .connect()
        .await
        .unwrap()
}

pub(crate) fn home() -> TenantName {
    TenantName::default_tenant()
}

pub(crate) fn new_user<'a>(username: &'a str, email: &'a str, role: Role) -> NewUser<'a> {
    NewUser {
        email,
        username,
        first_name: "John",
        last_name: "Doe",
        password: PASSWORD,
        role,
        warehouses: &[],
        plan: Plan::Standard,
    }
}

pub(crate) fn new_key(name: &str, role: Role, plan: Plan) -> NewKey<'_> {
    NewKey {
        name,
        role,
        warehouses: &[],
        plan,
        expires_at: None,
        created_by: None,
    }
}

pub(crate) fn warehouse(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

/// Asserts that a result is an error of a shape, and shows it otherwise.
macro_rules! assert_refused {
    ($result:expr, $pattern:pat $(if $guard:expr)?) => {
        match $result {
            Err($pattern) $(if $guard)? => {}
            other => panic!("expected {}, got {other:?}", stringify!($pattern)),
        }
    };
}
pub(crate) use assert_refused;

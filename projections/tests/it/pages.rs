//! A view's file is damaged page by page and byte by byte: a verification says so whenever it could change an answer.

use std::fs;
use std::path::{Path, PathBuf};

use bincard_projections::{Verified, ViewName, verify};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::ledger::{Ledger, Random, runtime};

const PAGE_BYTES: usize = 1_024;
/// Bytes that are changed, one at a time: a prime, so that they lie at another place of every page.
const BYTES_APART: usize = 1021;

/// A ledger whose views have caught up and are closed, so that each is one file.
fn closed() -> Ledger {
    let mut ledger = Ledger::with_catalogue();
    ledger.grow(&mut Random::new(61), 300);
    let projector = ledger.project();
    runtime().block_on(ledger.settled(&projector));
    projector.close();
    ledger
}

fn file_of(ledger: &Ledger, view: ViewName) -> PathBuf {
    ledger.views_path().join(format!("{view}.1.db"))
}

async fn open(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(path);
    options.disable_statement_logging().connect().await
}

/// What questions to the file there are: every table in the order of its key and each index in its own, with the types
/// of all values, and every row looked up by its key and through each index.
async fn questions(path: &Path) -> Vec<String> {
    let mut connection = open(path).await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar("select name from sqlite_master where type = 'table'")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let mut questions =
        vec!["select type || name || tbl_name || coalesce(sql, '') from sqlite_master".to_owned()];
    let told = |columns: &[String]| {
        let quoted: Vec<String> = columns.iter().map(|column| format!("quote({column})")).collect();
        quoted.join(" || ' ' || ")
    };
    let same = |columns: &[String]| {
        let same: Vec<String> = columns
            .iter()
            .map(|column| format!("b.{column} is a.{column}"))
            .collect();
        same.join(" and ")
    };
    for table in tables {
        let columns: Vec<(String, i64)> = sqlx::query_as(AssertSqlSafe(format!(
            "select name, pk from pragma_table_info('{table}')"
        )))
        .fetch_all(&mut connection)
        .await
        .unwrap();
        let all: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
        let mut key: Vec<(i64, String)> = columns
            .into_iter()
            .filter(|(_, place)| *place > 0)
            .map(|(name, place)| (place, name))
            .collect();
        key.sort();
        let key: Vec<String> = key.into_iter().map(|(_, name)| name).collect();
        let by_key = key.join(", ");
        questions.push(format!("select {} from {table} order by {by_key}", told(&all)));
        questions.push(format!(
            "select cast(count(*) as text) from {table} a cross join {table} b where {}",
            same(&key)
        ));
        let indexes: Vec<String> = sqlx::query_scalar(
            "select name from sqlite_master where type = 'index' and tbl_name = $1 and sql is not null",
        )
        .bind(&table)
        .fetch_all(&mut connection)
        .await
        .unwrap();
        for index in indexes {
            let columns: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!(
                "select name from pragma_index_info('{index}')"
            )))
            .fetch_all(&mut connection)
            .await
            .unwrap();
            let list = columns.join(", ");
            questions.push(format!(
                "select {} from {table} indexed by {index} order by {list}, {by_key}",
                told(&columns)
            ));
            let mut both = columns.clone();
            both.extend(key.iter().filter(|column| !columns.contains(column)).cloned());
            questions.push(format!(
                "select cast(count(*) as text) from {table} a cross join {table} b indexed by {index} where {}",
                same(&both)
            ));
        }
    }
    connection.close().await.unwrap();
    questions
}

/// What the file answers; `None` when it does not answer everything.
async fn answers(path: &Path, questions: &[String]) -> Option<Vec<Vec<String>>> {
    let mut connection = open(path).await.ok()?;
    let mut answers = Vec::new();
    for question in questions {
        let rows: Result<Vec<String>, _> = sqlx::query_scalar(AssertSqlSafe(question.clone()))
            .fetch_all(&mut connection)
            .await;
        answers.push(rows.ok()?);
    }
    let _closed = connection.close().await;
    Some(answers)
}

async fn look(ledger: &Ledger, view: ViewName) -> Verified {
    let mut verified = verify(&ledger.views_path(), &ledger.reader, &[view], |_| {})
        .await
        .unwrap();
    verified.remove(0)
}

/// The pages that tables and indexes are on, and whether each is one of those that say what tables there are.
async fn pages_in_use(path: &Path) -> Vec<(usize, bool)> {
    let mut connection = open(path).await.unwrap();
    let pages: Vec<(i64, bool)> =
        sqlx::query_as("select pageno, name = 'sqlite_schema' from dbstat order by pageno")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    connection.close().await.unwrap();
    let pages = pages.into_iter();
    pages.map(|(page, says)| (page as usize - 1, says)).collect()
}

/// Writes a view's file, and nothing beside it.
fn write(path: &Path, bytes: &[u8]) {
    for suffix in ["-wal", "-shm"] {
        let mut beside = path.as_os_str().to_owned();
        beside.push(suffix);
        let _not_there = fs::remove_file(beside);
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_page_of_garbage_is_told_wherever_it_is() {
    let ledger = closed();
    runtime().block_on(async {
        for view in ViewName::ALL {
            let path = file_of(&ledger, view);
            let whole = fs::read(&path).unwrap();
            let pages = pages_in_use(&path).await;
            assert!(pages.len() > 4, "{view}: {pages:?}");
            let (mut all, mut named) = (0, 0);
            for (page, says_tables) in pages {
                for garbage in [0x00, 0x0A, 0xA5] {
                    let mut bytes = whole.clone();
                    bytes[page * PAGE_BYTES..][..PAGE_BYTES].fill(garbage);
                    write(&path, &bytes);
                    let verified = look(&ledger, view).await;
                    assert!(
                        !verified.damage.is_empty(),
                        "{view}, page {page} of {garbage}: {verified:?}"
                    );
                    // Without what says which tables there are, there is nothing to check by number.
                    if !says_tables {
                        let page = format!("page {}: ", page + 1);
                        let names = |line: &String| line.to_lowercase().contains(&page);
                        all += 1;
                        named += u32::from(verified.damage.iter().any(names));
                    }
                }
            }
            assert!(named * 3 > all * 2, "{view}: {named} of {all}");
            write(&path, &whole);
            assert!(look(&ledger, view).await.is_well());
        }
    });
}

#[test]
fn a_changed_byte_is_told_unless_no_answer_changes() {
    let ledger = closed();
    runtime().block_on(async {
        for view in ViewName::ALL {
            let path = file_of(&ledger, view);
            let whole = fs::read(&path).unwrap();
            let questions = questions(&path).await;
            let right = answers(&path, &questions).await.unwrap();
            let header = 0..100;
            let others = (100..whole.len()).step_by(BYTES_APART);
            let (mut told, mut without_effect) = (0, 0);
            for at in header.chain(others) {
                let mut bytes = whole.clone();
                bytes[at] ^= 0xFF;
                write(&path, &bytes);
                if look(&ledger, view).await.is_well() {
                    without_effect += 1;
                    write(&path, &bytes);
                    let now = answers(&path, &questions).await;
                    assert!(now.as_ref() == Some(&right), "{view}, byte {at}");
                } else {
                    told += 1;
                }
            }
            write(&path, &whole);
            assert!(told > 0 && without_effect > 0, "{view}: {told}, {without_effect}");
        }
    });
}

#[test]
fn what_opening_a_damaged_view_replaced_is_told() {
    let ledger = closed();
    let views = ledger.views_path();
    let kept: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(&views)
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    let runtime = runtime();
    for view in ViewName::ALL {
        let path = file_of(&ledger, view);
        let mut replaced = 0;
        for (page, _) in runtime.block_on(pages_in_use(&path)) {
            let mut bytes = fs::read(&path).unwrap();
            bytes[page * PAGE_BYTES..][..PAGE_BYTES].fill(0xA5);
            write(&path, &bytes);
            let projector = ledger.project();
            let status = runtime.block_on(ledger.settled(&projector)).status();
            projector.close();
            let status = &status[view as usize];
            match &status.replaced {
                Some(old) => {
                    replaced += 1;
                    assert_eq!((old.generation, old.outdated), (1, false), "{view}, page {page}");
                    assert_eq!(status.generation, Some(2), "{view}, page {page}");
                    assert!(runtime.block_on(look(&ledger, view)).is_well());
                }
                None => {
                    let verified = runtime.block_on(look(&ledger, view));
                    assert!(!verified.damage.is_empty(), "{view}, page {page}: {verified:?}");
                }
            }
            fs::remove_dir_all(&views).unwrap();
            fs::create_dir(&views).unwrap();
            for (path, bytes) in &kept {
                fs::write(path, bytes).unwrap();
            }
        }
        assert!(replaced > 0, "{view}");
    }
}

#[test]
fn a_live_file_that_is_gone_or_empty_is_told() {
    let ledger = closed();
    let runtime = runtime();
    fs::remove_file(file_of(&ledger, ViewName::Stock)).unwrap();
    fs::write(file_of(&ledger, ViewName::Catalogue), []).unwrap();
    runtime.block_on(async {
        for view in [ViewName::Stock, ViewName::Catalogue] {
            let verified = look(&ledger, view).await;
            assert!(!verified.damage.is_empty(), "{verified:?}");
        }
    });
    let projector = ledger.project();
    let status = runtime.block_on(ledger.settled(&projector)).status();
    let replaced = status.map(|one| one.replaced.map(|old| (old.generation, old.outdated)));
    assert_eq!(replaced[..3], [Some((1, false)), None, Some((1, false))]);
    assert!(replaced[3..].iter().all(Option::is_none), "{replaced:?}");
    projector.close();
}

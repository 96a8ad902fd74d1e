//! Rows that somebody changed are written again from a copy, column by column what they were, or not at all.

use std::path::Path;

use bincard_store::postgres::Repaired;
use bincard_store::{ReadError, Reader, RepairError};

use super::*;

/// A ledger of four commits of two records each, and the copies of their bodies.
fn ledger() -> (Database, Vec<(Position, Vec<u8>)>) {
    let (database, mut a, _, _) = two_nodes();
    let mut copies = Vec::new();
    for commit in 0..4 {
        let first = 2 * commit + 1;
        let key = format!("key-{commit}");
        let body = body(&[product(first, None), product(first + 1, Some(&key))]);
        copies.push((Position(first), body.as_bytes().to_vec()));
        a.begin().expect("begins");
        a.commit(&body).expect("commits");
    }
    (database, copies)
}

/// Every row, as text.
fn rows(database: &Database) -> Vec<String> {
    let url = url_of(database);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut connection = PgConnection::connect(&url).await.expect("connects");
        let sql = "select row_to_json(c)::text as t from bincard_log.commits c union all
            select row_to_json(e)::text from bincard_log.events e union all
            select row_to_json(l)::text from bincard_log.ledgers l order by t";
        let rows = sqlx::query_scalar(sql).fetch_all(&mut connection).await;
        rows.expect("the rows")
    })
}

fn damage(database: &Database, sql: &str) {
    let sql = format!("set search_path = bincard_log; {sql}");
    assert_eq!(run_sql(&url_of(database), &sql), 1, "{sql}");
}

fn repair(
    database: &Database,
    dir: &Path,
    copies: &[(Position, Vec<u8>)],
) -> Result<Vec<Repaired>, RepairError> {
    let mut repaired = Vec::new();
    let copy = |_, first| {
        let found = copies.iter().find(|copy| copy.0 == first);
        Ok(found.map(|copy| copy.1.clone()))
    };
    database.repair("shop", dir, copy, |one| repaired.push(one))?;
    Ok(repaired)
}

/// Whether a check of the whole log finds nothing wrong.
fn is_whole(database: &Database) -> bool {
    let reader = Reader::Postgres(database.reader("shop").expect("a reader"));
    match reader.verify(|_| {}) {
        Ok(_) => true,
        Err(ReadError::Damaged { .. }) => false,
        Err(error) => panic!("it cannot be read: {error}"),
    }
}

const DAMAGES: [&str; 14] = [
    "update events set record = set_byte(record, 9, get_byte(record, 9) # 4) where position = 3",
    "update events set record = record || '\\x00' where position = 8",
    "update events set crc = crc + 1 where position = 5",
    "update events set stream = 77 where position = 4",
    "update events set version = 99 where position = 1",
    "update events set key = null where position = 2",
    "update events set key = gen_random_uuid() where position = 8",
    "delete from events where position = 6",
    "update commits set hash = set_byte(hash, 0, get_byte(hash, 0) # 1) where first = 3",
    "update commits set hash = set_byte(hash, 0, get_byte(hash, 0) # 1) where first = 7",
    "update commits set count = 1 where first = 3",
    "update commits set commit = 9 where first = 5",
    "update commits set recorded_at = recorded_at + 1 where first = 1",
    "delete from commits where first = 5",
];

#[test]
fn what_was_changed_in_a_row_is_put_right_and_kept() {
    let (database, copies) = ledger();
    let folder = tempfile::tempdir().expect("a folder");
    let whole = rows(&database);
    assert!(
        repair(&database, folder.path(), &[])
            .expect("all is well")
            .is_empty()
    );
    for sql in DAMAGES {
        damage(&database, sql);
        let damaged = rows(&database);
        assert!(!is_whole(&database), "{sql}");
        let repaired =
            repair(&database, folder.path(), &copies).unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(repaired.len(), 1, "{sql}");
        assert_eq!(rows(&database), whole, "{sql}");
        assert!(is_whole(&database), "{sql}");
        // The row that was, unless it was gone.
        let Repaired::Commit { kept, .. } = &repaired[0] else {
            panic!("{sql}: {repaired:?}");
        };
        let kept = std::fs::read_to_string(kept).expect("kept");
        let changed: Vec<_> = damaged.iter().filter(|row| !whole.contains(row)).collect();
        assert_eq!(changed.len(), usize::from(!sql.starts_with("delete")), "{sql}");
        assert!(
            changed.iter().all(|row| kept.contains(row.as_str())),
            "{sql}: {kept}"
        );
    }
    let kept = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(kept, DAMAGES.len(), "none is kept in the place of another");
    assert!(
        repair(&database, folder.path(), &copies)
            .expect("all is well")
            .is_empty()
    );
}

/// Two commits at once: the one that follows is whole for the second only, so the first is proven by its own row.
#[test]
fn several_commits_are_put_right_from_the_first_on() {
    let (database, copies) = ledger();
    let folder = tempfile::tempdir().expect("a folder");
    let whole = rows(&database);
    damage(&database, DAMAGES[0]);
    damage(&database, DAMAGES[2]);
    damage(&database, DAMAGES[1]);
    let repaired = repair(&database, folder.path(), &copies).expect("all are proven");
    let first = |one: &Repaired| match one {
        Repaired::Commit { first, .. } => first.0,
        Repaired::Outside { .. } => panic!("{one:?}"),
    };
    let firsts: Vec<u64> = repaired.iter().map(first).collect();
    assert_eq!(firsts, [3, 5, 7]);
    assert_eq!(rows(&database), whole);
}

#[test]
fn a_copy_that_is_missing_or_another_one_changes_nothing() {
    let (database, copies) = ledger();
    let folder = tempfile::tempdir().expect("a folder");
    damage(&database, DAMAGES[0]);
    let damaged = rows(&database);
    let without = [copies[0].clone(), copies[2].clone()];
    let refused = repair(&database, folder.path(), &without);
    assert!(
        matches!(
            refused,
            Err(RepairError::NoCopy {
                position: Position(3)
            })
        ),
        "{refused:?}"
    );
    let other = [(Position(3), copies[2].1.clone())];
    let long = [(
        Position(3),
        body(&(3..12).map(|version| product(version, None)).collect::<Vec<_>>())
            .as_bytes()
            .to_vec(),
    )];
    for wrong in [&other, &long] {
        let refused = repair(&database, folder.path(), wrong);
        assert!(
            matches!(
                refused,
                Err(RepairError::Unproven {
                    position: Position(3),
                    ..
                })
            ),
            "{refused:?}"
        );
    }
    // With its hash gone in its own row and in the next one, nobody can tell any more.
    damage(&database, DAMAGES[8]);
    damage(
        &database,
        "update commits set hash = set_byte(hash, 0, get_byte(hash, 0) # 1) where first = 5",
    );
    let refused = repair(&database, folder.path(), &copies);
    assert!(
        matches!(
            refused,
            Err(RepairError::Unproven {
                position: Position(3),
                ..
            })
        ),
        "{refused:?}"
    );
    assert_eq!(rows(&database).len(), damaged.len());
    assert!(
        std::fs::read_dir(folder.path())
            .expect("a folder")
            .next()
            .is_none()
    );
}

#[test]
fn an_end_that_the_ledgers_row_does_not_know_is_told() {
    let (database, copies) = ledger();
    let folder = tempfile::tempdir().expect("a folder");
    damage(
        &database,
        "update ledgers set hash = set_byte(hash, 0, get_byte(hash, 0) # 1)",
    );
    assert!(!is_whole(&database));
    let refused = repair(&database, folder.path(), &copies);
    assert!(
        matches!(
            refused,
            Err(RepairError::Unproven {
                position: Position(8),
                ..
            })
        ),
        "{refused:?}"
    );
}

#[test]
fn rows_outside_of_the_log_are_kept_and_taken_out_of_the_way() {
    let (database, copies) = ledger();
    let folder = tempfile::tempdir().expect("a folder");
    let whole = rows(&database);
    damage(
        &database,
        "insert into events (ledger, position, stream, version, crc, record)
         select ledger, 9, stream, 109, crc, record from events where position = 8",
    );
    damage(
        &database,
        "insert into commits (ledger, first, count, commit, recorded_at, hash)
         select ledger, 20, count, 20, recorded_at, hash from commits where first = 7",
    );
    damage(
        &database,
        "insert into events (ledger, position, stream, version, crc, record)
         select ledger, -5, stream, 110, crc, record from events where position = 8",
    );
    assert!(!is_whole(&database));
    let append = || {
        let mut appender = database.open("shop").expect("opens").appender;
        appender.begin().expect("begins");
        appender.commit(&body(&[product(9, None)]))
    };
    append().expect_err("the place is taken");
    let repaired = repair(&database, folder.path(), &copies).expect("all is proven");
    let [
        Repaired::Outside {
            end: Position(8),
            rows: 3,
            kept,
        },
    ] = &repaired[..]
    else {
        panic!("{repaired:?}");
    };
    let kept = std::fs::read_to_string(kept).expect("kept");
    assert!(
        kept.contains("\"position\":9,") && kept.contains("\"first\":20,"),
        "{kept}"
    );
    assert_eq!(rows(&database), whole);
    assert!(is_whole(&database));
    append().expect("nothing is in the way");
}

#[test]
fn commits_that_go_on_from_the_end_are_no_strays() {
    let (database, copies) = ledger();
    let folder = tempfile::tempdir().expect("a folder");
    damage(
        &database,
        "update ledgers set (position, commit, recorded_at, hash) =
         (select first + count - 1, commit, recorded_at, hash from commits where first = 5)",
    );
    let whole = rows(&database);
    assert!(!is_whole(&database));
    let refused = repair(&database, folder.path(), &copies);
    assert!(
        matches!(
            refused,
            Err(RepairError::Unproven {
                position: Position(7),
                ..
            })
        ),
        "{refused:?}"
    );
    assert_eq!(rows(&database), whole);
}

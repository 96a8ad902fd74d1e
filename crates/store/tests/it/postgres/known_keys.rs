//! Appenders answer for keys mostly from memory: whatever one learns of the log in whatever order, it denies no key that is
//! there.

use std::collections::HashMap;

use bincard_ledger::codec::BodyRef;
use bincard_store::Commits;
use bincard_store::postgres::Followed;

use super::*;

/// More than a filter that was made for an empty log has room for, so that it is read again meanwhile.
const KEYS: u64 = 80_000;

/// A node that appends, and what is true.
struct Node {
    appender: Appender,
    reader: bincard_store::postgres::Reader,
    seen: Position,
}

impl Node {
    fn open(database: &Database) -> Node {
        let Opened { appender, reader, .. } = database.open("shop").expect("opens");
        let seen = reader.head().position;
        Node {
            appender,
            reader,
            seen,
        }
    }

    fn begin(&mut self) {
        let missed = self.appender.begin().expect("begins");
        self.seen = missed.last().map_or(self.seen, |last| last.position);
    }

    fn commit(&mut self, count: u64, known: &mut HashMap<String, Position>) {
        self.begin();
        let mut records = Vec::new();
        for version in self.seen.0 + 1..=self.seen.0 + count {
            let key = format!("key-{version}");
            // Some have none.
            let key = (version % 7 != 0).then_some(key);
            records.push(product(version, key.as_deref()));
            known.extend(key.map(|key| (key, Position(version))));
        }
        self.seen = self.appender.commit(&body(&records)).expect("commits").position;
    }

    /// Reads on beside the appender, as a node does between two batches.
    fn follow(&mut self) {
        let head = self.reader.look_ahead().expect("looks");
        let mut followed = Followed::default();
        let mut commits = Commits::Postgres(self.reader.commits_up_to(self.seen, head.position));
        while let Some(commit) = commits.next().expect("reads") {
            let records = BodyRef::parse(commit.body).expect("a body").records();
            for record in records {
                record.and_then(|raw| followed.note(raw)).expect("a record");
            }
        }
        self.appender.follow(self.seen, head, followed);
        self.seen = head.position;
    }

    fn check(&mut self, known: &HashMap<String, Position>, turn: u64) {
        self.begin();
        let asked: Vec<String> = (0..40)
            .map(|n| format!("key-{}", (turn * 7_919 + n * 6_007) % (self.seen.0 + 20) + 1))
            .collect();
        let digests: Vec<Uuid> = asked.iter().map(|text| key_digest(&key_of(text))).collect();
        let found = self.appender.find_keys(&digests);
        let expected: Vec<_> = asked.iter().map(|text| known.get(text).copied()).collect();
        assert_eq!(found.expect("asks"), expected, "in turn {turn}");
        self.appender.release();
    }
}

#[test]
fn no_key_that_is_there_is_denied() {
    let database = database();
    let (mut a, mut b) = (Node::open(&database), Node::open(&database));
    let mut known = HashMap::new();
    let mut turn = 0_u64;
    while a.seen.0.max(b.seen.0) < KEYS {
        turn += 1;
        let node = if turn.is_multiple_of(3) { &mut b } else { &mut a };
        match turn * 2_654_435_761 % 11 {
            0..=4 => node.commit(turn * 31 % 2_800 + 1, &mut known),
            5..=6 => node.follow(),
            7 => {
                // It knows the log up to there, and none of its keys.
                node.seen = node.reader.look_ahead().expect("looks").position;
                node.appender.skip_to(node.seen);
            }
            8 => *node = Node::open(&database),
            _ => node.check(&known, turn),
        }
    }
    for node in [&mut a, &mut b] {
        for turn in 0..100 {
            node.check(&known, turn);
        }
    }
}

#[test]
fn who_has_not_read_what_came_between_does_not_know_its_keys() {
    for is_told_from_elsewhere in [false, true] {
        let database = database();
        let (mut a, mut b) = (Node::open(&database), Node::open(&database));
        let mut known = HashMap::new();
        // The log is empty: it knows all keys, which are none.
        a.check(&known, 0);
        b.commit(10, &mut known);
        let head = a.reader.look_ahead().expect("looks");
        if is_told_from_elsewhere {
            a.appender.follow(Position(5), head, Followed::default());
        } else {
            a.appender.skip_to(head.position);
        }
        a.seen = head.position;
        for turn in 0..10 {
            a.check(&known, turn);
        }
    }
}

#[test]
fn who_could_not_be_told_all_is_told_all_the_next_time() {
    let database = database();
    let (mut a, mut b) = (Node::open(&database), Node::open(&database));
    // More commits than are read at once.
    for _ in 0..300 {
        b.commit(1, &mut HashMap::new());
    }
    let url = url_of(&database);
    let hide = |from: i64, to: i64| {
        let sql = format!("update bincard_log.events set position = {to} where position = {from}");
        run_sql(&url, &sql);
    };
    hide(290, 1_000);
    a.appender.begin().expect_err("an event is missing");
    hide(1_000, 290);
    assert_eq!(a.appender.begin().expect("begins").len(), 300);
}

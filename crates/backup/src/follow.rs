//! Shipping for as long as a server runs: every so often, whatever happens at the place.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bincard_ledger::Position;
use bincard_store::Reader;
use bincard_store::postgres::Database;

use crate::backup::Backup;
use crate::error::BackupError;
use crate::place::Place;
use crate::ship::Shipper;

/// Between two attempts after a failure, at the most.
const RETRY_MAX: Duration = Duration::from_secs(60);
/// How long the last attempt may take when the server stops.
const LAST_MAX: Duration = Duration::from_secs(5);

/// Where to ship, and how often.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to.
    pub place: Place,
    /// How long to wait between two looks at the logs.
    pub every: Duration,
}

/// How far a ledger is shipped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Whose it is.
    pub tenant: String,
    /// The last position that the backup is known to have; 0 before it was looked at.
    pub position: Position,
    /// The end of the log.
    pub head: Position,
    /// When the backup had all there was, last; `None` when it never had since this began.
    pub caught_up_at: Option<SystemTime>,
    /// How many attempts failed.
    pub failures: u64,
    /// Whether the last attempt failed.
    pub is_failing: bool,
}

#[derive(Debug)]
struct Followed {
    reader: Reader,
    position: Position,
    caught_up_at: Option<SystemTime>,
    failures: u64,
    is_failing: bool,
}

/// Ships every ledger that it is told of.
#[derive(Debug)]
pub struct Following {
    options: Options,
    database: Option<Database>,
    followed: Mutex<BTreeMap<String, Followed>>,
}

impl Following {
    /// Ships ledgers that are named by [`Following::follow`], and all of a database.
    pub fn new(options: Options, database: Option<Database>) -> Following {
        Following {
            options,
            database,
            followed: Mutex::default(),
        }
    }

    // A panic in a holder leaves the map whole: every change to it is a plain store.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Followed>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ships a tenant's ledger from now on. One that is followed already is left alone.
    pub fn follow(&self, tenant: &str, reader: Reader) {
        self.lock().entry(tenant.to_owned()).or_insert(Followed {
            reader,
            position: Position(0),
            caught_up_at: None,
            failures: 0,
            is_failing: false,
        });
    }

    /// How far each ledger is.
    pub fn standings(&self) -> Vec<Standing> {
        let standing = |(tenant, one): (&String, &Followed)| Standing {
            tenant: tenant.clone(),
            position: one.position,
            head: one.reader.head().position,
            caught_up_at: one.caught_up_at,
            failures: one.failures,
            is_failing: one.is_failing,
        };
        self.lock().iter().map(standing).collect()
    }

    /// Ships until `stop` ends, and then once more what came last.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        let mut turns = BTreeMap::new();
        tokio::select! {
            () = stop => {}
            () = self.go(&mut turns) => {}
        }
        for turn in turns.values_mut() {
            turn.due_at = Instant::now();
        }
        if tokio::time::timeout(LAST_MAX, self.round(&mut turns))
            .await
            .is_err()
        {
            tracing::warn!(place = %self.options.place, "the last events were not shipped before the end; the next start ships them");
        }
        self.lock().clear();
    }

    async fn go(&self, turns: &mut BTreeMap<String, Turn>) {
        loop {
            self.find_ledgers().await;
            self.round(turns).await;
            tokio::time::sleep(self.options.every).await;
        }
    }

    /// Follows what a database has.
    async fn find_ledgers(&self) {
        let Some(database) = self.database.clone() else {
            return;
        };
        let known: Vec<String> = self.lock().keys().cloned().collect();
        let found = tokio::task::spawn_blocking(
            move || -> Result<Vec<_>, bincard_store::postgres::DatabaseError> {
                let mut readers = Vec::new();
                for listed in database.ledgers()? {
                    if listed.moved_to.is_none() && !known.contains(&listed.tenant) {
                        let reader = database.reader(&listed.tenant)?;
                        readers.push((listed.tenant, Reader::Postgres(reader)));
                    }
                }
                Ok(readers)
            },
        );
        // A database that does not answer is told of by whoever serves from it.
        if let Ok(Ok(readers)) = found.await {
            for (tenant, reader) in readers {
                self.follow(&tenant, reader);
            }
        }
    }

    /// Every ledger whose turn it is, once.
    async fn round(&self, turns: &mut BTreeMap<String, Turn>) {
        let all: Vec<(String, Reader)> = {
            let followed = self.lock();
            let pairs = followed
                .iter()
                .map(|(tenant, one)| (tenant.clone(), one.reader.clone()));
            pairs.collect()
        };
        for (tenant, reader) in all {
            let turn = turns.entry(tenant.clone()).or_insert_with(|| Turn {
                shipper: Shipper::new(Backup::new(&self.options.place, &tenant), reader),
                due_at: Instant::now(),
                wait: self.options.every,
                told: None,
            });
            if turn.due_at > Instant::now() {
                continue;
            }
            let began_at = now();
            let shipped = turn
                .shipper
                .ship(|position| self.reached(&tenant, position))
                .await;
            turn.over(&tenant, &self.options, &shipped);
            let mut followed = self.lock();
            let Some(one) = followed.get_mut(&tenant) else {
                continue;
            };
            one.is_failing = shipped.is_err();
            match shipped {
                Ok(head) => {
                    one.position = head.position;
                    one.caught_up_at = Some(began_at);
                }
                Err(_) => one.failures += 1,
            }
        }
    }

    fn reached(&self, tenant: &str, position: Position) {
        if let Some(one) = self.lock().get_mut(tenant) {
            one.position = position;
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "shipping is at the edge: when a backup was whole is told to people, and nothing is decided by it"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

#[derive(Debug)]
struct Turn {
    shipper: Shipper,
    due_at: Instant,
    wait: Duration,
    /// What failed last, as it was told.
    told: Option<String>,
}

impl Turn {
    /// Tells what is news, and says when it is tried again: of a place that is away it is told once, and once that it is back.
    fn over(&mut self, tenant: &str, options: &Options, shipped: &Result<bincard_store::Head, BackupError>) {
        match shipped {
            Ok(head) => {
                if self.told.take().is_some() {
                    tracing::info!(tenant, place = %options.place, position = head.position.0, "shipping again");
                }
                self.wait = options.every;
            }
            Err(error) => {
                let behind = self.shipper.end().map_or(0, |end| end.position.0);
                let kind = format!("{:?}", std::mem::discriminant(error));
                if self.told.as_ref() != Some(&kind) {
                    tracing::warn!(
                        tenant, place = %options.place, shipped_to = behind, error = error as &dyn std::error::Error,
                        "the ledger cannot be shipped; it goes on, and shipping is tried again"
                    );
                    self.told = Some(kind);
                }
                self.wait = self
                    .wait
                    .saturating_mul(2)
                    .clamp(options.every, RETRY_MAX.max(options.every));
            }
        }
        self.due_at = Instant::now() + self.wait.saturating_sub(options.every);
    }
}

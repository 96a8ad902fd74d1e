//! Which node relays: the one that holds a row of the database, for some seconds at a time.
//!
//! A node reckons its time from before it asked, so it stops before the database lets another take over. Where its clock
//! stood still with it (a machine that was suspended), the stream's own check refuses what it sends.

use std::time::Duration;

use bincard_store::postgres::Database;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

/// How long the right lasts when it is not renewed.
const LASTS: Duration = Duration::from_secs(5);
/// How long before that its holder lets go.
const MARGIN: Duration = Duration::from_secs(1);
/// How often it is renewed, or asked for.
const EVERY: Duration = Duration::from_secs(1);

/// The right to relay.
#[derive(Debug)]
pub(crate) enum Lease {
    /// Nobody else can read the ledgers.
    Sole,
    /// One of several nodes has it.
    Shared {
        database: Database,
        owner: Uuid,
        until: watch::Sender<Option<Instant>>,
    },
}

impl Lease {
    pub(crate) fn new(database: Option<Database>) -> Lease {
        match database {
            None => Lease::Sole,
            Some(database) => Lease::Shared {
                database,
                owner: Uuid::new_v4(),
                until: watch::Sender::new(None),
            },
        }
    }

    /// Whether this node has it, at this moment.
    pub(crate) fn is_held(&self) -> bool {
        match self {
            Lease::Sole => true,
            Lease::Shared { until, .. } => until.borrow().is_some_and(|until| Instant::now() < until),
        }
    }

    /// Waits until this node has it.
    pub(crate) async fn held(&self) {
        if let Lease::Shared { until, .. } = self {
            let mut until = until.subscribe();
            // The sender lives as long as this.
            drop(
                until
                    .wait_for(|until| until.is_some_and(|until| Instant::now() < until))
                    .await,
            );
        }
    }

    /// Asks for it and renews it, for ever.
    pub(crate) async fn keep(&self) {
        let Lease::Shared {
            database,
            owner,
            until,
        } = self
        else {
            return std::future::pending().await;
        };
        loop {
            let asked = Instant::now();
            match database.take_relay(*owner, LASTS).await {
                Ok(true) => {
                    until.send_replace(Some(asked + LASTS - MARGIN));
                }
                Ok(false) => {
                    until.send_replace(None);
                }
                // What was granted before still holds.
                Err(error) => tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "the right to relay cannot be asked for"
                ),
            }
            tokio::time::sleep_until(asked + EVERY).await;
        }
    }

    /// Lets another node go on at once.
    pub(crate) async fn give_back(&self) {
        if let Lease::Shared {
            database,
            owner,
            until,
        } = self
        {
            until.send_replace(None);
            if let Err(error) = database.give_relay_back(*owner).await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "the right to relay runs out instead of being given back"
                );
            }
        }
    }
}

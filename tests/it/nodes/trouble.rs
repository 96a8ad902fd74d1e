//! What befalls nodes, their database and NATS.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};

use super::cluster::{Nodes, send_signal};
use super::proxy::Mood;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Trouble {
    /// A node is killed.
    KillNode(usize),
    /// A node stops for longer than it may hold the head, and wakes up late.
    StopNode(usize),
    /// The node that feeds the views is killed; another one takes over.
    KillProjector,
    /// The node that feeds the views stops for longer than its leases, and wakes up late.
    StopProjector,
    /// The node that relays stops for longer than its lease, and wakes up late.
    StopRelay,
    /// Every session of the nodes ends.
    EndSessions,
    /// The database crashes and recovers.
    CrashDatabase,
    /// The process that all of the database's descend from is killed, and started again by whoever looks after it.
    KillDatabase,
    /// Connections to the database break in all ways, in the middle of commits too.
    CutConnections,
    /// Connections to the database fall silent and never break.
    SilentConnections,
    /// Sessions of others hold the head, abort, and stay idle in old transactions.
    OtherSessions,
    /// NATS is killed.
    KillNats,
    /// Every view of every node is built anew.
    Rebuild,
}

/// Each once.
pub(super) const ALL: [Trouble; 14] = [
    Trouble::KillNode(0),
    Trouble::StopNode(1),
    Trouble::StopProjector,
    Trouble::EndSessions,
    Trouble::CrashDatabase,
    Trouble::KillDatabase,
    Trouble::CutConnections,
    Trouble::KillNats,
    Trouble::OtherSessions,
    Trouble::Rebuild,
    Trouble::KillProjector,
    Trouble::StopRelay,
    Trouble::SilentConnections,
    Trouble::KillNode(1),
];

const VIEWS: [&str; 7] = [
    "stock",
    "history",
    "catalogue",
    "reservations",
    "exceptions",
    "transfers",
    "counts",
];

/// What a node logs of a commit that broke at its end.
const MET: &str = "\"was_asked\":true";
/// So many are met in the middle.
const MET_MIN: usize = 4;
/// Far longer than it takes.
const CUTTING_MAX: Duration = Duration::from_secs(60);

impl Trouble {
    /// Whether a node is not there for a while, so that requests may come to nothing.
    pub(super) fn kills_a_node(self) -> bool {
        matches!(self, Trouble::KillNode(_))
    }

    /// Lets it happen. What is to be mended afterwards is [`Trouble::is_over`]'s.
    pub(super) async fn begin(self, nodes: &mut Nodes) -> Result<()> {
        match self {
            Trouble::KillNode(node) => nodes.servers[node].kill_9()?,
            Trouble::StopNode(node) => stop_for(nodes, node, Duration::from_secs(3)).await?,
            Trouble::KillProjector => nodes.projector.kill_9()?,
            // It stands behind those that answer.
            Trouble::StopProjector => stop_for(nodes, nodes.servers.len(), Duration::from_secs(7)).await?,
            Trouble::StopRelay => {
                let node = nodes.relaying().await?;
                stop_for(nodes, node, Duration::from_secs(7)).await?;
            }
            Trouble::EndSessions => {
                for session in nodes.sessions()? {
                    // One that ended by itself meanwhile is as good.
                    drop(send_signal("TERM", session));
                }
            }
            Trouble::CrashDatabase => {
                let session = *nodes.sessions()?.first().context("nodes have sessions")?;
                send_signal("KILL", session)?;
            }
            Trouble::KillDatabase => send_signal("KILL", nodes.postgres.pid()?)?,
            Trouble::CutConnections => {
                // Anything anywhere, for a while; in between the node is let come back.
                for _ in 0..5 {
                    nodes.proxy.is_to_be(Mood::Cutting);
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    nodes.proxy.is_to_be(Mood::Passing);
                    tokio::time::sleep(Duration::from_millis(300)).await;
                }
                // Then commits whose end was asked for, so that only looking tells what became of them.
                let node = nodes.servers.last().context("there are nodes")?;
                let met = || {
                    let log = node.stderr();
                    log.lines().filter(|line| line.contains(MET)).count()
                };
                let enough = met() + MET_MIN;
                nodes.proxy.is_to_be(Mood::AtCommits);
                let met_enough = tokio::time::timeout(CUTTING_MAX, async {
                    while met() < enough {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                });
                met_enough.await.context("no commit was met in the middle")?;
                nodes.proxy.is_to_be(Mood::Passing);
            }
            Trouble::SilentConnections => nodes.proxy.is_to_be(Mood::Silent),
            Trouble::OtherSessions => others(&nodes.postgres.tcp_url("postgres")).await?,
            Trouble::KillNats => nodes.nats.kill()?,
            Trouble::Rebuild => {
                for admin in &nodes.admins {
                    for view in VIEWS {
                        let answer = admin
                            .post(&format!("/api/v1/views/{view}/rebuild"), &json!({}), None)
                            .await?;
                        ensure!(answer.status == 202, "{answer:?}");
                    }
                }
            }
        }
        Ok(())
    }

    /// Puts right what does not come right by itself.
    pub(super) async fn end(self, nodes: &mut Nodes) -> Result<()> {
        match self {
            Trouble::KillNode(node) => nodes.start_again(node).await,
            Trouble::KillProjector => Ok(nodes.projector.start_again()?),
            Trouble::KillNats => Ok(nodes.nats.start_again()?),
            Trouble::SilentConnections => {
                // The node had to come back with what was silent still silent.
                nodes.served(nodes.servers.len() - 1).await?;
                nodes.proxy.is_to_be(Mood::Passing);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

async fn stop_for(nodes: &Nodes, node: usize, time: Duration) -> Result<()> {
    nodes.signal_node(node, "STOP")?;
    tokio::time::sleep(time).await;
    nodes.signal_node(node, "CONT")
}

/// Sessions that are no node's: an old snapshot that stays, one that holds the head and lets it go, one that holds it and
/// breaks, and one that would have written.
async fn others(url: &str) -> Result<()> {
    let mut idle = PgConnection::connect(url).await?;
    idle.execute("begin transaction isolation level repeatable read")
        .await?;
    idle.execute("select count(*) from bincard_log.events").await?;
    let mut slow = PgConnection::connect(url).await?;
    for _ in 0..3 {
        slow.execute("begin").await?;
        slow.execute("select no from bincard_log.ledgers for update")
            .await?;
        tokio::time::sleep(Duration::from_millis(200)).await;
        slow.execute("commit").await?;
    }
    let mut aborted = PgConnection::connect(url).await?;
    aborted.execute("begin").await?;
    aborted
        .execute("update bincard_log.ledgers set position = position + 1000")
        .await?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    aborted.execute("rollback").await?;
    aborted.execute("begin").await?;
    aborted
        .execute("update bincard_log.ledgers set position = position + 1000")
        .await?;
    // Its end is not in order.
    drop(aborted);
    slow.execute("begin").await?;
    slow.execute("select no from bincard_log.ledgers for update")
        .await?;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    slow.execute("rollback").await?;
    idle.execute("commit").await?;
    Ok(())
}

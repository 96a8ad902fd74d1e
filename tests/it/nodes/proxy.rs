//! A network between a node and its database that can be told to misbehave.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// How a transaction's end is asked for: PostgreSQL's message `Query`, its length, its text.
const COMMIT: &[u8] = b"Q\0\0\0\x0bcommit\0";

/// What becomes of what is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Mood {
    /// It arrives.
    Passing,
    /// Some of it arrives late, some not at all; connections break in the one direction, or in both, or after a silence.
    Cutting,
    /// Of every two commits the end is asked for and the connection breaks: now after all of it arrived, now before any did.
    AtCommits,
    /// Nothing arrives any more, and no connection breaks. Those that are made later are as they should be.
    Silent,
}

/// A proxy on this machine. Its connections end with it.
pub(super) struct Proxy {
    pub(super) port: u16,
    mood: Arc<AtomicU8>,
    accepting: AbortHandle,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proxy {
    pub(super) async fn start(to: SocketAddr) -> Result<Proxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let mood = Arc::new(AtomicU8::new(Mood::Passing as u8));
        let of_all = mood.clone();
        let accepting = tokio::spawn(async move {
            let (dice, commits) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicU64::new(0)));
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(to).await else {
                    continue;
                };
                let way = Way {
                    mood: of_all.clone(),
                    dice: dice.clone(),
                    commits: commits.clone(),
                    is_spared: of_all.load(Ordering::SeqCst) == Mood::Silent as u8,
                    broken: Arc::new(Notify::new()),
                };
                tokio::spawn(async move {
                    let broken = way.broken.clone();
                    let [(near_in, near_out), (far_in, far_out)] = [near, far].map(TcpStream::into_split);
                    tokio::select! {
                        () = both(way.carry(near_in, far_out), way.carry(far_in, near_out)) => {}
                        () = broken.notified() => {}
                    }
                });
            }
        });
        Ok(Proxy {
            port,
            mood,
            accepting: accepting.abort_handle(),
        })
    }

    pub(super) fn is_to_be(&self, mood: Mood) {
        self.mood.store(mood as u8, Ordering::SeqCst);
    }
}

async fn both(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    tokio::join!(one, other);
}

/// What both directions of a connection go by.
struct Way {
    mood: Arc<AtomicU8>,
    /// The same numbers in every run; which of them meets which packet is up to the nodes.
    dice: Arc<AtomicU64>,
    /// How many commits were asked for while they were being met.
    commits: Arc<AtomicU64>,
    /// Whether it was made while others were silent.
    is_spared: bool,
    /// Told when both directions are to end.
    broken: Arc<Notify>,
}

impl Way {
    async fn carry(&self, mut from: OwnedReadHalf, mut into: OwnedWriteHalf) {
        let mut bytes = vec![0; 64 << 10];
        loop {
            let count = match from.read(&mut bytes).await {
                Ok(count) if count > 0 => count,
                _ => break,
            };
            let mood = self.mood.load(Ordering::SeqCst);
            if mood == Mood::Silent as u8 && !self.is_spared {
                // Both ends stay open for as long as the node cares.
                std::future::pending::<()>().await;
            }
            if mood == Mood::AtCommits as u8 && bytes[..count] == *COMMIT {
                match self.commits.fetch_add(1, Ordering::SeqCst) % 4 {
                    0 => {
                        self.broken.notify_one();
                        std::future::pending::<()>().await;
                    }
                    2 => {
                        drop(into.write_all(COMMIT).await);
                        self.broken.notify_one();
                        std::future::pending::<()>().await;
                    }
                    _ => {}
                }
            }
            if mood == Mood::Cutting as u8 {
                // Rarely enough for commits to come about.
                match self.roll() % 64 {
                    8..16 => tokio::time::sleep(Duration::from_millis(20)).await,
                    // This way ends, the other goes on.
                    0..3 => break,
                    // What was sent is lost, and only later it shows.
                    3..5 => {
                        tokio::time::sleep(Duration::from_millis(300)).await;
                        self.broken.notify_one();
                        std::future::pending::<()>().await;
                    }
                    // All of it arrives, and then nobody is there.
                    5..8 => {
                        drop(into.write_all(&bytes[..count]).await);
                        self.broken.notify_one();
                        std::future::pending::<()>().await;
                    }
                    _ => {}
                }
            }
            if into.write_all(&bytes[..count]).await.is_err() {
                break;
            }
        }
        drop(into.shutdown().await);
    }

    fn roll(&self) -> u64 {
        // SplitMix64, by Steele, Lea and Flood.
        let mut z = self
            .dice
            .fetch_add(1, Ordering::SeqCst)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

//! Who follows the feed, by HTTP and from NATS: every event in order, none twice and none left out.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use async_nats::jetstream;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::support::Client;

/// Far longer than it takes to catch up.
const WITHIN: Duration = Duration::from_secs(60);

/// Follows a node's feed until the node breaks off or the end that is asked for at last.
pub(super) struct Follower {
    end: tokio::sync::watch::Sender<u64>,
    task: JoinHandle<Result<()>>,
}

impl Follower {
    pub(super) fn start(admin: Client) -> Follower {
        let (end, mut ends) = tokio::sync::watch::channel(u64::MAX);
        let task = tokio::spawn(async move {
            let mut lines = admin.follow().await?;
            let (mut last, mut rest) = (0, Vec::new());
            while last < *ends.borrow_and_update() {
                let piece = tokio::select! {
                    piece = lines.next() => piece,
                    _ = ends.changed() => continue,
                };
                // A node that was killed ends what it was telling.
                let Some(Ok(piece)) = piece else { return Ok(()) };
                rest.extend_from_slice(&piece);
                while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = rest.drain(..=end).collect();
                    if line.len() > 1 {
                        let event: Value = serde_json::from_slice(&line)?;
                        let position = event["position"].as_u64().context("an event without position")?;
                        ensure!(position == last + 1, "{last} is followed by {event}");
                        last = position;
                    }
                }
            }
            Ok(())
        });
        Follower { end, task }
    }

    /// Waits until it has come to `position`.
    pub(super) async fn finish(self, position: u64) -> Result<()> {
        self.end.send_replace(position);
        tokio::time::timeout(WITHIN, self.task)
            .await
            .context("the feed stands still")??
    }
}

/// NATS has every event up to `head`, in order, each once.
pub(super) async fn check_nats(url: &str, head: u64) -> Result<()> {
    let context = jetstream::new(async_nats::connect(url).await?);
    let stream = context.get_stream("BINCARD_EVENTS").await?;
    let consumer = stream.create_consumer(OrderedConfig::default()).await?;
    let mut messages = consumer.messages().await?;
    let mut last = 0;
    while last < head {
        let message = tokio::time::timeout(WITHIN, messages.next()).await;
        let message = message.with_context(|| format!("NATS has {last} of {head} events"))?;
        let message = message.context("the consumer has ended")??;
        let event: Value = serde_json::from_slice(&message.payload)?;
        let position: u64 = event["position"].as_str().context("no position")?.parse()?;
        ensure!(position == last + 1, "in NATS {last} is followed by {event}");
        last = position;
    }
    Ok(())
}

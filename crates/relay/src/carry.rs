//! One run of the relay: from looking where the stream stands to the first thing that goes wrong.
//!
//! Messages are sent without waiting for the ones before to be acknowledged, up to a window. Each names the sequence *and*
//! the id of the message that must stand before it. The sequence alone would not do: when a foreign message takes the
//! place of one that is refused, the next one's sequence fits again, and an event would be missing.

use std::collections::{HashSet, VecDeque};
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::{NATS_EXPECTED_LAST_MESSAGE_ID, NATS_EXPECTED_LAST_SEQUENCE, NATS_MESSAGE_ID};
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::publish::PublishAck;
use bincard_ledger::Position;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

use crate::course::{self, Course, Message};
use crate::error::RelayError;
use crate::followed::{Followed, Ledgers};
use crate::jetstream::{Carrier, Warned};
use crate::lease::Lease;
use crate::{Options, Render};

/// Messages that were sent and are not acknowledged yet, at most.
pub(crate) const WINDOW: usize = 2_048;
/// More is read when fewer messages than this wait to be sent.
const READ_AHEAD: usize = 1_024;
/// How often checkpoints are kept, and ledgers that could not be read are tried again.
const UPKEEP_EVERY: Duration = Duration::from_secs(1);

/// How often a stream that nothing is sent to is asked whether it still has all: in a cluster it may lose its end without
/// the connection breaking.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The message that stands last in the stream.
struct Last {
    sequence: u64,
    /// Known once this run has sent one.
    id: Option<String>,
}

/// A message that is not acknowledged yet.
struct Sent {
    ledger: Arc<Followed>,
    position: Position,
    sequence: u64,
    answer: Pin<Box<dyn Future<Output = Result<PublishAck, PublishError>> + Send>>,
}

pub(crate) struct Run<'a> {
    render: Render,
    lease: &'a Lease,
    ledgers: &'a Arc<Ledgers>,
    warned: &'a mut Warned,
    carrier: Carrier,
    last: Last,
    /// The tenants whose ledgers are under way.
    joined: HashSet<String>,
    /// Their ledgers, but for the one that is being read.
    courses: VecDeque<Course>,
    reading: Option<JoinHandle<(Course, Vec<Message>)>>,
    waiting: VecDeque<Message>,
    window: VecDeque<Sent>,
    checkpoint: Option<JoinHandle<()>>,
    looked_at: Instant,
}

impl<'a> Run<'a> {
    /// Connects, and looks where the stream stands.
    pub(crate) async fn begin(
        options: &Options,
        lease: &'a Lease,
        ledgers: &'a Arc<Ledgers>,
        warned: &'a mut Warned,
    ) -> Result<Run<'a>, RelayError> {
        let carrier = Carrier::open(options, warned).await?;
        // Before the ledgers' own messages are looked for: whatever comes in between makes the first message refused.
        let sequence = carrier.last_sequence(warned).await?;
        let mut run = Run {
            render: options.render,
            lease,
            ledgers,
            warned,
            carrier,
            last: Last { sequence, id: None },
            joined: HashSet::new(),
            courses: VecDeque::new(),
            reading: None,
            waiting: VecDeque::new(),
            window: VecDeque::new(),
            checkpoint: None,
            looked_at: Instant::now(),
        };
        run.join_ledgers().await?;
        Ok(run)
    }

    /// Sends what there is and what comes, until something goes wrong.
    pub(crate) async fn go(mut self) -> RelayError {
        let mut upkeep = tokio::time::interval(UPKEEP_EVERY);
        upkeep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let news = self.ledgers.news.clone();
        let mut lost = self.carrier.lost.clone();
        loop {
            if let Err(error) = self.send().await {
                return error;
            }
            self.read_on();
            let (window, reading) = (&mut self.window, &mut self.reading);
            let ended = tokio::select! {
                biased;
                () = breaks(&mut lost) => Err(RelayError::Lost),
                read = chunk(reading) => self.was_read(read),
                answer = first_answer(window) => self.answered(answer),
                () = news.notified() => self.join_ledgers().await,
                _ = upkeep.tick() => self.upkeep().await,
            };
            if let Err(error) = ended {
                return error;
            }
        }
    }

    /// Sends what waits, as far as the window allows.
    async fn send(&mut self) -> Result<(), RelayError> {
        while self.window.len() < WINDOW
            && let Some(message) = self.waiting.pop_front()
        {
            if !self.lease.is_held() {
                return Err(RelayError::LeaseLost);
            }
            let mut headers = HeaderMap::new();
            headers.insert("Content-Type", "application/cloudevents+json");
            headers.insert(NATS_MESSAGE_ID, message.id.as_str());
            headers.insert(NATS_EXPECTED_LAST_SEQUENCE, self.last.sequence.to_string());
            if let Some(id) = &self.last.id {
                headers.insert(NATS_EXPECTED_LAST_MESSAGE_ID, id.as_str());
            }
            let Message {
                ledger,
                position,
                subject,
                id,
                body,
            } = message;
            let publishing = self.carrier.context.publish_with_headers(subject, headers, body);
            let answer = match publishing.await {
                Ok(answer) => answer.into_future(),
                Err(source) => return Err(not_acknowledged(&ledger, position, source)),
            };
            self.last = Last {
                sequence: self.last.sequence.saturating_add(1),
                id: Some(id),
            };
            self.window.push_back(Sent {
                ledger,
                position,
                sequence: self.last.sequence,
                answer,
            });
        }
        Ok(())
    }

    /// Takes the answer to the oldest message in the window.
    fn answered(&mut self, answer: Result<PublishAck, PublishError>) -> Result<(), RelayError> {
        let Some(sent) = self.window.pop_front() else {
            return Ok(());
        };
        let ack = answer.map_err(|source| not_acknowledged(&sent.ledger, sent.position, source))?;
        if ack.duplicate {
            // Either another relay has just sent it, or it was deleted from the stream: looking tells.
            return Err(RelayError::TakenForKnown {
                tenant: sent.ledger.tenant.clone(),
                position: sent.position,
            });
        }
        if ack.sequence != sent.sequence {
            return Err(RelayError::Refused);
        }
        sent.ledger.acknowledged(sent.position);
        Ok(())
    }

    /// Reads on for the next ledger that has more, unless enough waits to be sent.
    fn read_on(&mut self) {
        if self.reading.is_some() || self.waiting.len() >= READ_AHEAD {
            return;
        }
        let more = self.courses.iter().position(Course::has_more);
        if let Some(mut course) = more.and_then(|at| self.courses.remove(at)) {
            let render = self.render;
            self.reading = Some(tokio::task::spawn_blocking(move || {
                let messages = course.read(render);
                (course, messages)
            }));
        }
    }

    fn was_read(&mut self, read: Result<(Course, Vec<Message>), JoinError>) -> Result<(), RelayError> {
        self.reading = None;
        let (course, messages) = read.map_err(RelayError::Reading)?;
        // Behind all others: each has its turn.
        self.courses.push_back(course);
        self.waiting.extend(messages);
        Ok(())
    }

    /// Takes in ledgers that are new.
    async fn join_ledgers(&mut self) -> Result<(), RelayError> {
        if self.ledgers.count() == self.joined.len() {
            return Ok(());
        }
        for ledger in self.ledgers.all() {
            if !self.joined.contains(&ledger.tenant) {
                let after = self.place_of(&ledger).await?;
                ledger.found(after);
                self.joined.insert(ledger.tenant.clone());
                self.courses.push_back(Course::new(ledger, after));
            }
        }
        Ok(())
    }

    /// Where to go on for a ledger: after its last event in the stream, or, when that has none, where it was relayed to as
    /// far as is known.
    async fn place_of(&mut self, ledger: &Followed) -> Result<Position, RelayError> {
        let found = self.carrier.position_of(ledger, self.warned).await?;
        let reader = ledger.reader.clone();
        let kept = tokio::task::spawn_blocking(move || course::kept(&reader));
        let kept = kept.await.map_err(RelayError::Reading)?;
        let kept = kept.map_err(|source| RelayError::Kept {
            tenant: ledger.tenant.clone(),
            source,
        })?;
        let place = found.unwrap_or_else(|| ledger.position().max(kept.relayed.unwrap_or_default()));
        tracing::debug!(
            tenant = ledger.tenant,
            place = place.0,
            in_stream = found.is_some(),
            "relaying goes on"
        );
        if (self.carrier.is_new || self.last.sequence == 0) && place.0 > 0 {
            tracing::warn!(
                tenant = ledger.tenant,
                relayed = place.0,
                "the stream is new, or was lost: what was relayed before is not relayed again. Consumers that have not read up \
                 to that position must read on from the ledger"
            );
        }
        if place > kept.head && self.warned.is_news(format!("ahead {place} of {}", ledger.tenant)) {
            tracing::warn!(
                tenant = ledger.tenant,
                relayed = place.0,
                head = kept.head.0,
                "more was relayed than the log has: it was restored from an older copy. What is recorded up to that \
                 position is not relayed again; consumers must read it from the ledger"
            );
        }
        Ok(place)
    }

    async fn upkeep(&mut self) -> Result<(), RelayError> {
        if !self.lease.is_held() {
            return Err(RelayError::LeaseLost);
        }
        if self.checkpoint.as_ref().is_none_or(JoinHandle::is_finished) {
            let ledgers = self.ledgers.clone();
            self.checkpoint = Some(tokio::spawn(async move { ledgers.keep_checkpoints().await }));
        }
        if self.window.is_empty() && self.looked_at.elapsed() >= LOOK_EVERY {
            self.looked_at = Instant::now();
            if self.carrier.last_sequence(self.warned).await? != self.last.sequence {
                return Err(RelayError::Refused);
            }
        }
        Ok(())
    }
}

/// Ends when the connection breaks.
async fn breaks(lost: &mut watch::Receiver<bool>) {
    // An error says that the connection is gone altogether, which is the same.
    drop(lost.wait_for(|lost| *lost).await);
}

/// The answer to the oldest message in the window; none ever, when nothing is in it.
async fn first_answer(window: &mut VecDeque<Sent>) -> Result<PublishAck, PublishError> {
    match window.front_mut() {
        Some(sent) => (&mut sent.answer).await,
        None => std::future::pending().await,
    }
}

/// What was read; nothing ever, when nothing is being read.
async fn chunk(
    reading: &mut Option<JoinHandle<(Course, Vec<Message>)>>,
) -> Result<(Course, Vec<Message>), JoinError> {
    match reading {
        Some(reading) => reading.await,
        None => std::future::pending().await,
    }
}

fn not_acknowledged(ledger: &Followed, position: Position, source: PublishError) -> RelayError {
    match source.kind() {
        PublishErrorKind::WrongLastMessageId | PublishErrorKind::WrongLastSequence => RelayError::Refused,
        _ => RelayError::Publish {
            tenant: ledger.tenant.clone(),
            position,
            source,
        },
    }
}

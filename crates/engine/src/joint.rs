//! A log in PostgreSQL, which other nodes append to as well.
//!
//! The writer takes the log's head before it decides, and first folds in what others appended since. So what it decides
//! rests on everything, and nobody comes between the decision and the commit. Between two batches it reads along without
//! holding anything, so that there is little to fold in when it counts.

use std::sync::{Arc, Mutex, PoisonError};

use bincard_ledger::codec::Body;
use bincard_ledger::{CatalogueEvent, Event, Position, Recorded, State};
use bincard_store::postgres::{self, Appender, Followed};
use bincard_store::{BeginError, CommitError, Commits, Head, Reader};
use uuid::Uuid;

use crate::ledger::{Refusal, Shared};
use crate::recovery::{self, Folding, RecoveryError};

pub(crate) struct JointLog {
    shared: Arc<Shared>,
    appender: Appender,
    reader: postgres::Reader,
    /// The end of the log as it was heard of last.
    news: Arc<Mutex<Head>>,
    /// Whether the state has events that were not appended: then it is read again before it decides anything.
    is_spoilt: bool,
}

impl JointLog {
    /// The state is as of a head that `shared` has announced.
    pub(crate) fn new(shared: Arc<Shared>, appender: Appender, reader: postgres::Reader) -> JointLog {
        let news = Arc::new(Mutex::new(reader.head()));
        // The reader is a part of what is shared: it must not hold on to the whole.
        let (writer, heard) = (Arc::downgrade(&shared), news.clone());
        reader.keep_gate(move |head| {
            *heard.lock().unwrap_or_else(PoisonError::into_inner) = head;
            if let Some(shared) = writer.upgrade() {
                shared.queue.bring_news();
            }
        });
        JointLog {
            shared,
            appender,
            reader,
            news,
            is_spoilt: false,
        }
    }

    /// Reads along, as far as there is news. Nothing is held, and a failure costs nothing but the time that taking the head
    /// then takes.
    pub(crate) fn read_along(&mut self, state: &mut State) {
        if self.is_spoilt {
            // Whoever only reads here waits for what others append: that must not wait for the next request.
            if let Err(refusal) = self.read_again(state) {
                tracing::debug!(%refusal, "the log cannot be read again yet");
            }
            return;
        }
        let head = *self.news.lock().unwrap_or_else(PoisonError::into_inner);
        if head.position <= state.head() {
            return;
        }
        let before = state.head();
        let (mut catalogue, mut followed) = (Vec::new(), Followed::default());
        let commits = self.reader.commits_up_to(before, head.position);
        let folded = recovery::fold(Commits::Postgres(commits), state, |raw, event| {
            if let Event::Catalogue(event) = event {
                catalogue.push(event.clone());
            }
            followed.note(raw)
        });
        match folded {
            Ok(()) if state.head() == head.position => {
                self.shared.names.apply(&catalogue);
                self.appender.follow(before, head, followed);
                self.reader.announce(head);
            }
            Ok(()) => {
                self.shared.names.apply(&catalogue);
                self.appender.skip_to(state.head());
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the log cannot be read along"
                );
                // What could not be read is read later; what could not be folded in may be there in part.
                self.is_spoilt = !matches!(error, RecoveryError::Read(_));
                self.shared.names.apply(&catalogue);
                self.appender.skip_to(state.head());
            }
        }
    }

    /// Takes the head and folds in what others appended; `key` is told of the digest of every idempotency key among that.
    pub(crate) fn begin(
        &mut self,
        state: &mut State,
        mut key: impl FnMut(Uuid, Position),
    ) -> Result<(), Refusal> {
        if self.is_spoilt {
            self.read_again(state)?;
        }
        let before = state.head();
        let mut catalogue = Vec::new();
        let mut folding = Folding::new(state);
        let begun = self.appender.begin_with(|position, leading, digest| {
            if let Some(digest) = digest {
                key(digest, position);
            }
            if let Event::Catalogue(event) = &leading.bare.event {
                catalogue.push(event.clone());
            }
            folding.take(Recorded {
                position,
                recorded_at: leading.raw.recorded_at(),
                record: leading.bare,
            });
            Ok(())
        });
        let folded = folding.finish();
        if let Err(error) = begun {
            // What was folded in does not count.
            self.is_spoilt = state.head() != before || folded.is_err();
            return Err(self.refusal_of_begin(error));
        }
        if let Err(error) = folded {
            self.appender.release();
            self.is_spoilt = true;
            return Err(unavailable(&error));
        }
        self.shared.names.apply(&catalogue);
        self.reader.announce(self.appender.head());
        Ok(())
    }

    /// Where the keys with these digests stand; the head is held.
    pub(crate) fn find_keys(&mut self, digests: &[Uuid]) -> Result<Vec<Option<Position>>, Refusal> {
        self.appender
            .find_keys(digests)
            .map_err(|error| unavailable(&error))
    }

    /// Lets go of the head with nothing appended.
    pub(crate) fn release(&mut self) {
        self.appender.release();
    }

    /// Appends what was decided since [`JointLog::begin`], and lets go of the head. `digests` are those of its keys, in
    /// order; `catalogue` is what of it is of the catalogue. After a failure the state is read again before the next decision.
    pub(crate) fn commit(
        &mut self,
        body: &Body,
        digests: &[Uuid],
        catalogue: &[CatalogueEvent],
    ) -> Result<(), Refusal> {
        match self.appender.commit_keyed(body, digests) {
            Ok(head) => {
                self.shared.names.apply(catalogue);
                self.reader.announce(head);
                Ok(())
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a commit was not made");
                self.is_spoilt = true;
                Err(match error {
                    CommitError::Unknown { .. } => Refusal::OutcomeUnknown,
                    other => unavailable(&other),
                })
            }
        }
    }

    /// What a request is told when the head could not be taken. A ledger that has moved away does not come back to a node
    /// that runs.
    fn refusal_of_begin(&self, error: BeginError) -> Refusal {
        if let BeginError::Read(error) = &error {
            return unavailable(error);
        }
        let stopped = Refusal::Stopped {
            why: error.to_string().into(),
        };
        if self.shared.stopped.set(stopped.clone()).is_ok() {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the ledger takes no more events"
            );
        }
        stopped
    }

    fn read_again(&mut self, state: &mut State) -> Result<(), Refusal> {
        let read = || -> Result<State, RecoveryError> {
            let head = self.reader.look_ahead()?;
            let mut state = recovery::from_snapshot(&Reader::Postgres(self.reader.clone()))?;
            let commits = self.reader.commits_up_to(state.head(), head.position);
            recovery::fold(Commits::Postgres(commits), &mut state, |_, _| Ok(()))?;
            self.shared.names.replace(&state);
            self.reader.announce(head);
            Ok(state)
        };
        *state = read().map_err(|error| unavailable(&error))?;
        self.appender.skip_to(state.head());
        self.is_spoilt = false;
        Ok(())
    }
}

/// Nothing was recorded, and it is worth trying again.
fn unavailable(error: &dyn std::error::Error) -> Refusal {
    let mut why = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        why = format!("{why}: {cause}");
        source = cause.source();
    }
    Refusal::Unavailable { why: why.into() }
}

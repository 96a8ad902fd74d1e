//! The one thread that decides.
//!
//! It owns the state, and alone puts keys into their index. Each round takes what waits and decides it into the batch at hand; the
//! batch goes to the committer as soon as that is free, so that batches grow by themselves while a commit is under way.
//! Where other nodes append as well there is no committer: the writer holds the log's head while it decides a batch, and
//! commits it itself.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

use bincard_ledger::codec::Body;
use bincard_ledger::event::RecordedKey;
use bincard_ledger::{
    CatalogueEvent, Command, Decision, Event, Position, RecallCommand, Record, Recorded, Request, State,
    Timestamp, Version, decide, expire_due, set_aside,
};
use bincard_store::keys::Candidates;
use hashbrown::HashMap;
use smallvec::SmallVec;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::committer;
use crate::engine::Clock;
use crate::figures::BatchFigures;
use crate::joint::JointLog;
use crate::keys::{chose_lots, hash_of_digest, says_more, subject_of};
use crate::ledger::{Answer, Answers, Receipt, Refusal, Shared};
use crate::queue::{Answered, AnsweredBatch, Asked, Gathering, Submission};

/// A batch is handed over once its body is this large, however many requests wait.
const BODY_BYTES_HANDOVER: usize = 1 << 20;
/// How many reservations that ran out are recorded as such between two rounds.
const EXPIRIES_PER_ROUND: usize = 256;
/// How many requests are looked at together before they are decided one by one.
const CHUNK_REQUESTS: usize = 256;
/// How long requests are gathered for a commit to a joint log, at the most, and no longer than the last commit took: whoever
/// leaves without the others is answered sooner by less than that, and who is left behind waits for longer.
const JOINT_GATHER_MAX: Duration = Duration::from_millis(1);
/// How requests are gathered for the committer. Where few call, each of them would only wait. Where many do, the machine is
/// busy with their requests, and a commit less is time for more of them.
const GATHERING: Gathering = Gathering {
    callers_min: 32,
    requests_enough: CHUNK_REQUESTS,
    at_most: Duration::from_micros(500),
};
/// The longest sleep between two looks at the clock.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Whom a batch answers, once it is durable.
pub(crate) enum Reply {
    One(oneshot::Sender<Answered>, Answered),
    Many(oneshot::Sender<AnsweredBatch>, AnsweredBatch),
}

/// What is made durable, and answered, together.
pub(crate) struct Batch {
    pub(crate) body: Body,
    pub(crate) replies: Vec<Reply>,
    pub(crate) catalogue: Vec<CatalogueEvent>,
    pub(crate) figures: BatchFigures,
    /// The digests of the body's keys, in order, for a joint log.
    digests: Vec<Uuid>,
    /// Whether the head of a joint log is held for it.
    is_begun: bool,
}

/// Where batches go.
pub(crate) enum Sink {
    /// To the committer, whose bodies come back to be filled again.
    Committer {
        to_committer: SyncSender<Batch>,
        spare_bodies: Receiver<Body>,
    },
    /// Into a log that others append to as well.
    Joint(Box<JointLog>),
}

impl Batch {
    fn new(body: Body) -> Batch {
        Batch {
            body,
            replies: Vec::new(),
            catalogue: Vec::new(),
            figures: BatchFigures::default(),
            digests: Vec::new(),
            is_begun: false,
        }
    }

    fn is_empty(&self) -> bool {
        self.body.is_empty() && self.replies.is_empty()
    }
}

pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) state: State,
    pub(crate) clock: Clock,
    pub(crate) batch_requests_max: usize,
    pub(crate) sink: Sink,
    pub(crate) chunk: Chunk,
    /// Why nothing more of this round can be decided: a joint log that cannot be reached.
    pub(crate) refusal: Option<Refusal>,
    /// How long the last commit to a joint log took.
    pub(crate) joint_commit_took: Duration,
}

/// What was found out about the chunk of requests being decided.
#[derive(Default)]
pub(crate) struct Chunk {
    /// The key of each request: whether it may be known. "No" is certain, but for `repeated`.
    maybe_known: Vec<bool>,
    /// Hashes that occur twice in the chunk.
    repeated: Vec<u64>,
    hashes: Vec<u64>,
    /// Keys recorded by now that the index does not have yet: it is locked once for all of them.
    recorded: Vec<(u64, Position)>,
    /// Where each request's key stands in a joint log.
    found: Vec<Option<Position>>,
    /// Whether the keys of this chunk were looked up in a joint log.
    is_looked_up: bool,
    /// Keys of a joint log that were appended since, or are about to be.
    fresh: HashMap<u64, SmallVec<[Position; 1]>>,
}

impl Chunk {
    /// Whether a request's key may be known. "No" is certain.
    fn may_know(&self, index: usize, hash: u64) -> bool {
        self.maybe_known[index] || self.repeated.contains(&hash) || self.fresh.contains_key(&hash)
    }

    /// Where a key with this hash stands in a joint log.
    fn known(&self, index: usize, hash: u64) -> Candidates {
        let fresh = self.fresh.get(&hash).into_iter().flatten();
        self.found[index].iter().chain(fresh).copied().collect()
    }
}

impl Writer {
    /// Decides until the queue is closed and empty; answers the state it ended with.
    pub(crate) fn run(mut self) -> State {
        let mut batch = self.begin();
        loop {
            let signs = self.shared.queue.await_work(!batch.is_empty(), self.sleep_max());
            let is_free = signs.committer_is_free;
            self.refusal = None;
            // What others append before the next chunk is seen when that is looked up.
            self.chunk.is_looked_up = false;
            match &mut self.sink {
                Sink::Committer { .. } => {
                    if signs.has_requests && is_free && batch.is_empty() {
                        self.shared.queue.gather(GATHERING);
                    }
                }
                Sink::Joint(log) => {
                    log.read_along(&mut self.state);
                    if signs.has_requests {
                        // What comes while the head is waited for goes with the same batch.
                        self.shared.queue.gather(Gathering {
                            callers_min: 2,
                            requests_enough: self.batch_requests_max,
                            at_most: self.joint_commit_took.min(JOINT_GATHER_MAX),
                        });
                        // Whoever asked is told.
                        let _refused = self.ready(&mut batch);
                    }
                }
            }
            let submissions = self.shared.queue.take();
            let is_last = signs.is_closed && submissions.is_empty();
            self.expire(&mut batch);
            self.decide_all(submissions, &mut batch);
            if !batch.is_empty() && (is_free || is_last || self.is_full(&batch)) {
                // Whoever waits for this batch was told.
                let _refused = self.hand_over(&mut batch);
            }
            if let (Sink::Joint(log), true) = (&mut self.sink, batch.is_begun) {
                log.release();
                batch.is_begun = false;
            }
            if is_last && batch.is_empty() {
                return self.state;
            }
        }
    }

    fn begin(&mut self) -> Batch {
        let now = self.now();
        let spare = match &self.sink {
            Sink::Committer { spare_bodies, .. } => spare_bodies.try_recv().ok(),
            Sink::Joint(_) => None,
        };
        let mut body = spare.unwrap_or_else(|| Body::new(now));
        body.clear(now);
        Batch::new(body)
    }

    /// The clock, which for the ledger never goes back.
    fn now(&self) -> Timestamp {
        (self.clock)().max(self.state.recorded_at())
    }

    fn sleep_max(&self) -> Duration {
        match self.state.next_expiry() {
            None => SLEEP_MAX,
            Some(at) => {
                let micros = at.micros().saturating_sub((self.clock)().micros());
                Duration::from_micros(micros.max(1_000).unsigned_abs()).min(SLEEP_MAX)
            }
        }
    }

    fn is_full(&self, batch: &Batch) -> bool {
        batch.body.as_bytes().len() >= BODY_BYTES_HANDOVER
            || batch.figures.requests >= self.batch_requests_max as u64
    }

    /// Has a batch made durable and answered. Of a joint log, what became of it; the committer's is not known yet.
    fn hand_over(&mut self, batch: &mut Batch) -> Result<(), Refusal> {
        self.index_keys();
        if !matches!(self.sink, Sink::Committer { .. }) {
            let next = self.begin();
            let full = std::mem::replace(batch, next);
            return self.commit(full);
        }
        self.shared.queue.await_committer();
        self.shared.queue.occupy_committer();
        let head = self.shared.reader.head().position;
        if let Some(Err(backlog)) = self.shared.keys().map(|mut keys| keys.maintain(head)) {
            // The log has every key: what cannot be moved to disk now stays in memory and is tried again.
            tracing::warn!(error = &backlog as &dyn std::error::Error, "keys stay in memory");
        }
        let next = self.begin();
        let full = std::mem::replace(batch, next);
        if let Sink::Committer { to_committer, .. } = &self.sink {
            // The committer lives until this sender is dropped: it cannot be gone.
            to_committer
                .send(full)
                .expect("the committer outlives the writer");
        }
        Ok(())
    }

    /// Commits a batch to a joint log, and answers. After a failure nothing more of this round is decided: what was found
    /// out about its keys may rest on what was not appended.
    fn commit(&mut self, batch: Batch) -> Result<(), Refusal> {
        let Sink::Joint(log) = &mut self.sink else {
            return Ok(());
        };
        let Batch {
            body,
            replies,
            catalogue,
            figures,
            digests,
            is_begun,
        } = batch;
        let (started, before) = (Instant::now(), self.shared.reader.head().position);
        if body.is_empty() {
            if is_begun {
                log.release();
            }
            self.shared.figures.committed(&figures, started.elapsed(), 0);
            self.shared.queue.answer(replies.len());
            committer::answer_all(replies);
            return Ok(());
        }
        let committed = log.commit(&body, &digests, &catalogue);
        self.joint_commit_took = started.elapsed();
        self.shared.queue.answer(replies.len());
        match &committed {
            Ok(()) => {
                let bytes = body.as_bytes().len();
                self.shared.figures.committed(&figures, started.elapsed(), bytes);
                committer::answer_all(replies);
            }
            Err(refusal) => {
                self.refusal = Some(refusal.clone());
                committer::refuse_all(replies, refusal, before);
            }
        }
        committed
    }

    /// Makes sure that what is decided next rests on all that was appended, where others append as well.
    fn ready(&mut self, batch: &mut Batch) -> Result<(), Refusal> {
        let Sink::Joint(log) = &mut self.sink else {
            return Ok(());
        };
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        if batch.is_begun {
            return Ok(());
        }
        let chunk = &mut self.chunk;
        let begun = log.begin(&mut self.state, |digest, position| {
            // Whoever looks keys up after this finds these as well.
            if chunk.is_looked_up {
                chunk
                    .fresh
                    .entry(hash_of_digest(digest))
                    .or_default()
                    .push(position);
            }
        });
        match &begun {
            Ok(()) => batch.is_begun = true,
            Err(refusal) => self.refusal = Some(refusal.clone()),
        }
        begun
    }

    /// An empty batch takes the time of its first decision.
    fn stamp(&self, batch: &mut Batch) -> Timestamp {
        if batch.body.is_empty() {
            batch.body.clear(self.now());
        }
        batch.body.recorded_at()
    }

    fn expire(&mut self, batch: &mut Batch) {
        if self.state.next_expiry().is_none_or(|at| at > (self.clock)()) {
            return;
        }
        if self.ready(batch).is_err() {
            return;
        }
        let now = self.stamp(batch);
        let decision = expire_due(&self.state, now, EXPIRIES_PER_ROUND);
        let held = set_aside(&self.state, &decision, now);
        let request = Request {
            command: Command::ExpireDue { reservations_max: 0 },
            author: Uuid::nil(),
            on_behalf_of: None,
            key: None,
        };
        for event in decision.into_iter().chain(held) {
            self.record(event, &request, None, now, batch);
        }
    }

    /// Decides what waited, in order. Requests are looked at in chunks first: what a chunk needs from memory is fetched
    /// together, where one decision after another would wait for each.
    fn decide_all(&mut self, submissions: Vec<Submission>, batch: &mut Batch) {
        let mut singles = Vec::new();
        for submission in submissions {
            match submission {
                Submission::One(asked, sender) => {
                    singles.push((asked, sender));
                    if singles.len() == CHUNK_REQUESTS {
                        self.decide_singles(&mut singles, batch);
                    }
                }
                Submission::Many(all, sender) => {
                    self.decide_singles(&mut singles, batch);
                    self.decide_many(all, sender, batch);
                }
            }
        }
        self.decide_singles(&mut singles, batch);
    }

    fn decide_singles(
        &mut self,
        singles: &mut Vec<(Box<Asked>, oneshot::Sender<Answered>)>,
        batch: &mut Batch,
    ) {
        if singles.is_empty() {
            return;
        }
        self.look_at(singles.iter().map(|(asked, _)| &**asked), batch);
        let mut answers = Answers::default();
        for (index, (mut asked, sender)) in singles.drain(..).enumerate() {
            self.decide_asked(&mut asked, index, batch, &mut answers);
            let answer = answers.drain().next().expect("a request is answered once");
            batch.replies.push(Reply::One(sender, (asked, answer)));
            if self.is_full(batch) {
                let _refused = self.hand_over(batch);
            }
        }
        self.index_keys();
    }

    /// Answers once all is decided: what is answered last waits for what is recorded first, as commits are durable in
    /// order.
    fn decide_many(
        &mut self,
        mut all: Vec<Asked>,
        sender: oneshot::Sender<AnsweredBatch>,
        batch: &mut Batch,
    ) {
        let mut answers = Answers::with_capacity(all.len());
        // Where the answers begin that rest on the batch at hand.
        let mut of_batch = 0;
        for chunk in all.chunks_mut(CHUNK_REQUESTS) {
            self.look_at(chunk.iter(), batch);
            for (index, asked) in chunk.iter_mut().enumerate() {
                if self.is_full(batch) {
                    if let Err(refusal) = self.hand_over(batch) {
                        answers.refuse_from(of_batch, &refusal);
                    }
                    of_batch = answers.len();
                }
                self.decide_asked(asked, index, batch, &mut answers);
            }
            self.index_keys();
        }
        batch.replies.push(Reply::Many(sender, (all, answers)));
        if self.is_full(batch) {
            let _refused = self.hand_over(batch);
        }
    }

    /// Finds out which keys of a chunk may be known, earlier or within it, and warms what deciding it will look up.
    fn look_at<'a>(&mut self, chunk: impl Iterator<Item = &'a Asked> + Clone, batch: &mut Batch) {
        let hashes = &mut self.chunk.hashes;
        hashes.clear();
        for asked in chunk.clone() {
            // A request without a key takes a place, and its answer is not looked at.
            hashes.push(asked.key_hash.unwrap_or_default());
            self.state.warm(&asked.request.command);
        }
        self.chunk.maybe_known.clear();
        if let Some(keys) = self.shared.keys() {
            keys.screen(&self.chunk.hashes, &mut self.chunk.maybe_known);
        }
        if matches!(self.sink, Sink::Joint(_)) {
            self.find_keys(chunk, batch);
        }
        let Chunk { hashes, repeated, .. } = &mut self.chunk;
        hashes.sort_unstable();
        repeated.clear();
        repeated.extend(
            hashes
                .windows(2)
                .filter(|pair| pair[0] == pair[1])
                .map(|pair| pair[0]),
        );
    }

    /// Asks a joint log which keys of a chunk are known.
    fn find_keys<'a>(&mut self, chunk: impl Iterator<Item = &'a Asked> + Clone, batch: &mut Batch) {
        self.chunk.found.clear();
        if batch.body.is_empty() {
            // All that was appended is to be seen there.
            self.chunk.fresh.clear();
        }
        self.chunk.is_looked_up = false;
        let places = chunk.clone().count();
        self.chunk.maybe_known.resize(places, false);
        self.chunk.found.resize(places, None);
        if self.ready(batch).is_err() {
            return;
        }
        let Sink::Joint(log) = &mut self.sink else { return };
        let keyed = chunk.enumerate();
        let (of, digests): (Vec<usize>, Vec<Uuid>) = keyed
            .filter_map(|(place, asked)| Some((place, asked.key_digest?)))
            .unzip();
        match log.find_keys(&digests) {
            Ok(found) => {
                self.chunk.is_looked_up = true;
                for (place, position) in of.into_iter().zip(found) {
                    self.chunk.found[place] = position;
                    self.chunk.maybe_known[place] = position.is_some();
                }
            }
            Err(refusal) => self.refusal = Some(refusal),
        }
    }

    /// Puts the keys of what was recorded into the index.
    fn index_keys(&mut self) {
        if self.chunk.recorded.is_empty() {
            return;
        }
        let Chunk { recorded, fresh, .. } = &mut self.chunk;
        match self.shared.keys() {
            Some(mut keys) => {
                for (hash, position) in recorded.drain(..) {
                    keys.insert(hash, position);
                }
            }
            None => {
                for (hash, position) in recorded.drain(..) {
                    fresh.entry(hash).or_default().push(position);
                }
            }
        }
    }

    fn decide_asked(&mut self, asked: &mut Asked, index: usize, batch: &mut Batch, answers: &mut Answers) {
        batch.figures.requests += 1;
        if let Err(refusal) = self.ready(batch) {
            return answers.other(Answer::Failed(refusal));
        }
        if let Some(hash) = asked.key_hash
            && self.chunk.may_know(index, hash)
            && let Some(known) = self.look_up(hash, index, asked, batch)
        {
            return answers.other(known);
        }
        let now = self.stamp(batch);
        match decide(&self.state, &asked.request.command, now) {
            Ok(decision) => {
                batch.figures.accepted += 1;
                let says_more = decision
                    .last()
                    .is_some_and(|event| says_more(event) || chose_lots(&asked.request.command, event));
                let held = set_aside(&self.state, &decision, now);
                let (subject, version) = self.record_decision(decision, asked, now, batch);
                let position = self.state.head();
                for event in held {
                    self.record(event, &asked.request, None, now, batch);
                }
                answers.recorded(Receipt {
                    position,
                    version,
                    recorded_at: now,
                    subject,
                    replayed: false,
                    says_more,
                });
            }
            Err(rejection) => {
                batch.figures.reject(&rejection);
                answers.other(Answer::Rejected(rejection));
            }
        }
    }

    /// The answer for a key whose hash is known at positions that the caller has not looked at yet.
    #[cold]
    fn look_up(&self, hash: u64, index: usize, asked: &Asked, batch: &mut Batch) -> Option<Answer> {
        let probe = self.shared.keys().map(|keys| keys.probe(hash));
        let mut known =
            match probe.map_or_else(|| Ok(self.chunk.known(index, hash)), |probe| probe.candidates()) {
                Ok(known) => known,
                // Without the index nobody can say whether this happened already.
                Err(error) => {
                    return Some(Answer::Failed(Refusal::Unreadable {
                        why: error.to_string().into(),
                    }));
                }
            };
        let recorded = self.chunk.recorded.iter();
        known.extend(
            recorded
                .filter(|(other, _)| *other == hash)
                .map(|(_, position)| *position),
        );
        known.retain(|position| !asked.other_keys.contains(position));
        if known.is_empty() {
            return None;
        }
        batch.figures.known += 1;
        Some(Answer::Known(known.into_iter().collect()))
    }

    /// Records all events of a decision; answers the number of what it is about, and the last one's version.
    fn record_decision(
        &mut self,
        decision: Decision,
        asked: &mut Asked,
        now: Timestamp,
        batch: &mut Batch,
    ) -> (u32, Version) {
        let mut version = Version(0);
        let mut subject = subject_of_command(&asked.request.command);
        let mut left = decision.len();
        for event in decision {
            left -= 1;
            subject = subject.max(subject_of(&event));
            // The key stands with the command's own event, which is the last. It is lent to the record.
            let lent = if left == 0 { asked.request.key.take() } else { None };
            let key = lent.map(|key| RecordedKey {
                key,
                fingerprint: asked.fingerprint,
            });
            let (at, key) = self.record(event, &asked.request, key, now, batch);
            version = at;
            if let (Some(key), Some(hash)) = (key, asked.key_hash) {
                self.chunk.recorded.push((hash, self.state.head()));
                batch.digests.extend(asked.key_digest);
                asked.request.key = Some(key.key);
            }
        }
        (subject, version)
    }

    /// Records an event; answers its version, and gives its key back.
    fn record(
        &mut self,
        event: Event,
        request: &Request,
        key: Option<RecordedKey>,
        now: Timestamp,
        batch: &mut Batch,
    ) -> (Version, Option<RecordedKey>) {
        let recorded = Recorded {
            position: self.state.head().next(),
            recorded_at: now,
            record: Record {
                version: self.state.next_version(event.stream()),
                author: request.author,
                on_behalf_of: request.on_behalf_of,
                key,
                event,
            },
        };
        batch.body.push(&recorded.record);
        self.state
            .apply(&recorded)
            .expect("what is decided can be applied");
        batch.figures.events += 1;
        if let Event::Catalogue(event) = recorded.record.event {
            batch.catalogue.push(event);
        }
        (recorded.record.version, recorded.record.key)
    }
}

/// The number that a change names, for a change that had nothing to record.
fn subject_of_command(command: &Command) -> u32 {
    use bincard_ledger::CatalogueCommand as C;
    match command {
        Command::Catalogue(change) | Command::CatalogueAt(_, change) => match change {
            C::ChangeWarehouse { no, .. } => no.0,
            C::ChangeProduct { no, .. } => no.0,
            C::ChangeVariant { no, .. } | C::ChangeLot { no, .. } => no.0,
            C::ChangeSlot { variant, .. } => variant.0,
            C::CreateWarehouse { .. } | C::CreateProduct { .. } | C::CreateVariant { .. } => 0,
        },
        Command::Recall(RecallCommand { lot, .. }) => lot.0,
        Command::Stock(_)
        | Command::Extend(_)
        | Command::Reverse(_)
        | Command::Receive(_)
        | Command::Close(_)
        | Command::Clear(_)
        | Command::Count(_)
        | Command::ExpireDue { .. } => 0,
    }
}

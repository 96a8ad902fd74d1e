//! What the thread that reconciles does: a run from its beginning to its end, and the audit in between.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bincard_ledger::{Position, Timestamp};
use bincard_store::Reader;

use super::audit::Audit;
use super::compare::Bench;
use super::outside::compare_outside;
use super::part::Part;
use super::past::compare_past;
use super::replay::{Pace, Replay};
use super::runs::{Hold, Renewed, Run, RunState, Runs};
use super::worker::{Correct, Phase, RunProgress, Shared};
use crate::error::Error;
use crate::generation::{Folder, Home};
use crate::history::AsOf;
use crate::name::ViewName;
use crate::verify::Verified;
use crate::views::Slice;

/// How long to leave the database of runs alone when it cannot be used.
const RETRY: Duration = Duration::from_secs(5);
/// How often to look whether this node has heard of what it is to compare.
const HEAR_EVERY: Duration = Duration::from_millis(20);
/// So many new events a second, and more, mean that callers want all there is of the processor.
const BUSY_EVENTS_A_SECOND: u128 = 2_000;
/// How many times in a row the audit makes way for them.
const PASSES_MAX: u32 = 30;
/// The most differences of a view that the log of the program is told.
const TOLD_MAX: usize = 10;

/// Lines that are corrected between two looks at the next.
const LINES_AT_ONCE: usize = 500;

// A run compares every view: one that is new has its place in the replay, and is compared like the others.
const _: () = assert!(ViewName::COUNT == 7);

/// What a run found.
enum Found {
    /// Of views.
    Views(Vec<Verified>),
    /// Of the lines of a source, which are written down.
    Outside,
}

pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) runs: Runs,
    pub(super) home: Home,
    /// Where shadows and copies are.
    pub(super) scratch: Folder,
    pub(super) reader: Reader,
    pub(super) correct: Option<Correct>,
}

/// Whether it is the audit's turn.
struct Turn {
    looked_at: Instant,
    head: Position,
    passed: u32,
}

impl Turn {
    fn new(head: Position) -> Turn {
        Turn {
            looked_at: Instant::now(),
            head,
            passed: 0,
        }
    }

    /// Whether little was recorded since the last time this was asked, or the audit has made way often enough.
    fn is_on(&mut self, now: Instant, head: Position) -> bool {
        let elapsed = now.saturating_duration_since(std::mem::replace(&mut self.looked_at, now));
        let events = head.0.saturating_sub(std::mem::replace(&mut self.head, head).0);
        let is_busy = u128::from(events) * 1_000_000 > BUSY_EVENTS_A_SECOND * elapsed.as_micros();
        if is_busy && self.passed < PASSES_MAX {
            self.passed += 1;
            return false;
        }
        self.passed = 0;
        true
    }
}

impl Worker {
    fn now(&self) -> Timestamp {
        (self.shared.clock)()
    }

    pub(super) async fn work(self, audit_every: Option<Duration>) -> Result<(), Error> {
        let mut audit = Audit::new();
        let (mut audit_at, mut turn) = (Instant::now(), Turn::new(self.reader.head().position));
        while !self.shared.stop.load(Ordering::Relaxed) {
            self.shared.is_asked.store(false, Ordering::Relaxed);
            match self.runs.next(self.correct.is_some()).await {
                // Boxed, as is the audit: what all views' futures take together would fill the stack.
                Ok(Some((hold, run))) => Box::pin(self.take_up(hold, run)).await,
                Ok(None) => {
                    if let Some(every) = audit_every
                        && Instant::now() >= audit_at
                    {
                        let took = match turn.is_on(Instant::now(), self.reader.head().position) {
                            true => Box::pin(self.audit(&mut audit)).await,
                            false => Duration::ZERO,
                        };
                        // At least as long as it took.
                        audit_at = Instant::now() + every.saturating_add(took);
                    }
                    let until_audit = audit_every.map(|_| audit_at.saturating_duration_since(Instant::now()));
                    self.rest(until_audit).await;
                }
                Err(error) => self.wait(error).await,
            }
        }
        self.runs.close().await;
        Ok(())
    }

    /// Looks at the next parts of the views, and answers how long that took.
    async fn audit(&self, audit: &mut Audit) -> Duration {
        let began_at = Instant::now();
        let go_on = || {
            let is_over =
                self.shared.stop.load(Ordering::Relaxed) || self.shared.is_asked.load(Ordering::Relaxed);
            if is_over { Err(Error::Stopped) } else { Ok(()) }
        };
        for found in audit.look(&self.home, &self.scratch, &self.reader, &go_on).await {
            tell(None, &found);
            self.count(&found);
        }
        self.shared.audited.fetch_add(1, Ordering::Relaxed);
        began_at.elapsed()
    }

    /// Rests until somebody asks, for so long at the most; and where other nodes ask too, until it is time to look.
    async fn rest(&self, long: Option<Duration>) {
        let asked = self.shared.asked.notified();
        match [long, self.runs.look_every()].into_iter().flatten().min() {
            Some(long) => drop(tokio::time::timeout(long, asked).await),
            None => asked.await,
        }
    }

    fn count(&self, found: &Verified) {
        // A view that cannot be read differs, too.
        let differing = found.differing.max(u64::from(!found.is_well()));
        self.shared.diverged[found.view.index()].fetch_add(differing, Ordering::Relaxed);
    }

    async fn wait(&self, error: Error) {
        tracing::error!(error = %error.chain(), "the reconciliations cannot be read or written");
        let _told = tokio::time::timeout(RETRY, self.shared.asked.notified()).await;
    }

    /// Does a run, and gives back the right to do it.
    async fn take_up(&self, hold: Hold, run: Run) {
        self.shared.is_lost.store(false, Ordering::Relaxed);
        let kept = {
            let (here, told) = (self.shared.clone(), self.shared.clone());
            let id = run.id;
            let progress = move || *here.progress.lock().unwrap_or_else(PoisonError::into_inner);
            self.runs.keep(hold, id, progress, move |renewed| match renewed {
                Renewed::GoesOn => {}
                Renewed::Cancelled => told.cancelled.store(id, Ordering::Relaxed),
                Renewed::Lost => told.is_lost.store(true, Ordering::Relaxed),
            })
        };
        let done = Box::pin(self.run(hold, &run)).await;
        self.shared.set_progress(None);
        let noted = self.note(hold, &run, done).await;
        drop(kept);
        let released = self.runs.release(hold).await;
        match noted.and(released) {
            Ok(()) => {}
            Err(Error::ReconciledElsewhere) => {
                tracing::info!(run = run.id, "another node goes on with a reconciliation");
            }
            Err(error) => self.wait(error).await,
        }
    }

    /// Writes down how a run ended.
    async fn note(&self, hold: Hold, run: &Run, done: Result<Option<Found>, Error>) -> Result<(), Error> {
        let runs = &self.runs;
        match done {
            Ok(Some(Found::Outside)) => runs.end_compared(hold, run.id, self.now()).await,
            Ok(Some(Found::Views(found))) => {
                for one in found.iter().filter(|one| !one.is_well()) {
                    tell(Some(run), one);
                    self.count(one);
                }
                runs.end(hold, run.id, &found, self.now()).await
            }
            Err(Error::Stopped) if self.shared.stop.load(Ordering::Relaxed) => Ok(()),
            // Before it began, or went on, or since then.
            Ok(None) | Err(Error::Cancelled) => {
                runs.give_up(hold, run.id, RunState::Cancelled, None, self.now())
                    .await
            }
            Err(
                error @ (Error::Reconciliations { .. }
                | Error::ReconciliationsAway { .. }
                | Error::ReconciliationsFull { .. }
                | Error::ReconciledElsewhere),
            ) => Err(error),
            Err(error) => {
                let why = error.chain();
                tracing::error!(run = run.id, error = %why, "a reconciliation failed");
                runs.give_up(hold, run.id, RunState::Failed, Some(&why), self.now())
                    .await
            }
        }
    }

    /// Does a run. `None` when it was cancelled before it began.
    async fn run(&self, hold: Hold, run: &Run) -> Result<Option<Found>, Error> {
        let position = run.position.unwrap_or_else(|| self.reader.head().position);
        if !self.runs.begin(hold, run.id, position, self.now()).await? {
            return Ok(None);
        }
        // The node that began it may have heard of more than this one.
        while self.reader.head().position < position {
            self.shared.go_on(run.id)?;
            tokio::time::sleep(HEAR_EVERY).await;
        }
        let progress = Mutex::new(RunProgress {
            run: run.id,
            phase: Phase::Replaying,
            folded: Position(0),
            through: position,
            rows: 0,
        });
        // Rows of views that are done.
        let rows_before = AtomicU64::new(0);
        let advance = |change: &dyn Fn(&mut RunProgress)| {
            let mut now = progress.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut now);
            self.shared.set_progress(Some(*now));
            self.shared.go_on(run.id)
        };
        let folded = |at| advance(&|now| now.folded = at);
        let compared = |view, rows| {
            advance(&|now| {
                now.phase = Phase::Comparing(view);
                now.rows = rows_before.load(Ordering::Relaxed) + rows;
            })
        };
        let bench = Bench {
            home: &self.home,
            scratch: &self.scratch,
            reader: &self.reader,
            part: Part::of(run.asked.filter),
            tell: &compared,
            folded: &folded,
        };
        if let Some(source) = &run.asked.source {
            // Once: what it corrects would be explained otherwise the second time.
            if !run.is_compared {
                let agreed = self.runs.agreed(source.measures).await?;
                let explained = compare_outside(&bench, source, &agreed, position, self.now()).await?;
                self.runs
                    .note_source(hold, run.id, source, &explained, self.now())
                    .await?;
            }
            if run.asked.applies {
                self.correct(run, &|| advance(&|now| now.phase = Phase::Correcting))
                    .await?;
            }
            return Ok(Some(Found::Outside));
        }
        if run.asked.past != AsOf::default() {
            let found = compare_past(&bench, run.asked.filter, run.asked.past, position).await?;
            return Ok(Some(Found::Views(vec![found])));
        }
        let mut replay = Replay::empty();
        replay.run(&self.reader, position, Pace::Polite, folded)?;
        let Replay {
            stock,
            history,
            reservations,
            catalogue,
            exceptions,
            transfers,
            counts,
            ..
        } = replay;
        let mut found = Vec::new();
        let mut note = |one: Verified| {
            rows_before.fetch_add(one.rows, Ordering::Relaxed);
            found.push(one);
        };
        note(bench.compare(stock, position).await?);
        note(bench.compare(history, position).await?);
        if !run.asked.filter.is_set() {
            note(bench.compare_kept(catalogue, position).await?);
            note(bench.compare(reservations, position).await?);
            note(bench.compare_kept(exceptions, position).await?);
            note(bench.compare_kept(transfers, position).await?);
            note(bench.compare_kept(counts, position).await?);
        }
        Ok(Some(Found::Views(found)))
    }
}

impl Worker {
    /// Corrects the ledger by every line of a run that asks for it and is not corrected yet.
    async fn correct(&self, run: &Run, go_on: &(dyn Fn() -> Result<(), Error> + Sync)) -> Result<(), Error> {
        let correct = self.correct.as_ref().ok_or(Error::NobodyCorrects)?;
        let mut slice = Slice {
            after: None,
            skip: 0,
            limit: LINES_AT_ONCE,
            with_total: false,
        };
        loop {
            let page = self.runs.variances(run.id, slice).await?;
            for line in page.rows.iter().filter(|line| line.corrected.is_none()) {
                go_on()?;
                let Some(correction) = line.correction(run) else {
                    continue;
                };
                let corrected = correct(correction).await.map_err(Error::Correcting)?;
                self.runs.note_correction(run.id, line.no, &corrected).await?;
            }
            slice.after = page.rows.last().map(|line| line.no);
            if !page.more {
                return Ok(());
            }
        }
    }
}

/// Tells the log of the program what was found by a run, or by the audit.
fn tell(run: Option<&Run>, found: &Verified) {
    let run = run.map_or_else(|| "audit".to_owned(), |run| format!("reconciliation {}", run.id));
    for damage in &found.damage {
        tracing::error!(by = run, view = %found.view, damage, "a view cannot be read");
    }
    for one in found.differences.iter().take(TOLD_MAX) {
        tracing::error!(
            by = run,
            view = %found.view,
            table = one.table,
            key = one.key,
            expected = one.expected.as_deref().unwrap_or("no such row"),
            found = one.found.as_deref().unwrap_or("no such row"),
            first_event = one.first.map(|at| at.0),
            differing = found.differing,
            "a row of a view is not what the log makes of it; build the view anew"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_audit_makes_way_for_those_who_record_but_not_for_ever() {
        let mut turn = Turn::new(Position(0));
        let (mut now, mut head) = (turn.looked_at, 0);
        let mut second = |events: u64| {
            now += Duration::from_secs(1);
            head += events;
            turn.is_on(now, Position(head))
        };
        assert!(second(2_000));
        for _ in 0..2 {
            for _ in 0..PASSES_MAX {
                assert!(!second(2_001));
            }
            assert!(second(30_000));
        }
        assert!(!second(2_001));
        assert!(second(0));
    }
}

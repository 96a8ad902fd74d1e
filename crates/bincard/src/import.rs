//! Import: files of any origin to stock events, by a mapping.
//!
//! One thread reads rows, decides by the mapping what they mean, and groups them into events; another asks the ledger
//! for them, a chunk at a time. Memory is that of two chunks and the catalogue, whatever the file's size.
//!
//! An event's key derives from what it is: importing again answers "recorded before" for what is there and goes on with
//! what is not. So there is nothing to remember about an import, and nothing to repair after one that was killed.
//! Rows that are not in the ledger afterwards are given back in files, by what is to be done about them.

mod advice;
mod catalogue;
mod classify;
mod columns;
mod condition;
mod decimal;
mod group;
mod input;
mod key;
mod leftovers;
mod mapping;
mod marks;
mod object;
mod plan;
mod reading;
mod recording;
mod report;
mod row;
mod run;
mod target;
mod template;
mod totals;
mod when;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

pub(crate) use advice::advice;
pub(crate) use input::{InputError, format_of};
pub(crate) use leftovers::Outlets;
pub(crate) use mapping::{FileFormat, Mapping, MappingError};
pub(crate) use reading::ReadOptions;
pub(crate) use report::{FileReport, Report, grouped};
pub(crate) use target::{FolderTarget, ServerTarget, Target};

use crate::progress::Progress;
use leftovers::Leftovers;
use reading::{Message, Reading};
use recording::Tally;

/// How many chunks wait between reading and recording.
const CHUNKS_WAITING_MAX: usize = 2;
const SHOW_EVERY: Duration = Duration::from_millis(100);

/// A file to import.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Job {
    pub(crate) file: PathBuf,
    /// Where rows go that are not in the ledger afterwards.
    pub(crate) outlets: Outlets,
}

/// Imports one file. What was done is reported even when a failure ended it.
pub(crate) fn import(
    job: &Job,
    mapping: &Mapping,
    options: ReadOptions,
    target: &mut dyn Target,
) -> (FileReport, Option<anyhow::Error>) {
    let started_at = Instant::now();
    let bytes_read = Arc::new(AtomicU64::new(0));
    let mut recorder = Recorder {
        job,
        target,
        leftovers: None,
        tally: Tally::default(),
        rows: 0,
    };
    let (reading, recorded) = std::thread::scope(|scope| {
        let (to, from) = sync_channel(CHUNKS_WAITING_MAX);
        let bytes = Arc::clone(&bytes_read);
        let reader = scope.spawn(move || reading::read(&job.file, mapping, options, bytes, &to));
        let recorded = recorder.run(from, &bytes_read);
        let reading = reader.join().expect("reading does not panic");
        (reading, recorded)
    });
    let closed = recorder.close();
    let report = FileReport::new(
        name_of(&job.file),
        mapping,
        &reading,
        &recorder.tally,
        recorder.leftovers.as_ref(),
        started_at.elapsed(),
    );
    (report, failure_of(reading, recorded, closed))
}

fn failure_of(
    reading: Reading,
    recorded: anyhow::Result<()>,
    closed: anyhow::Result<()>,
) -> Option<anyhow::Error> {
    recorded
        .err()
        .or(reading.failure.map(Into::into))
        .or(closed.err())
}

fn name_of(file: &Path) -> String {
    if file == Path::new("-") {
        "standard input".to_owned()
    } else {
        file.display().to_string()
    }
}

struct Recorder<'a> {
    job: &'a Job,
    target: &'a mut dyn Target,
    leftovers: Option<Leftovers>,
    tally: Tally,
    rows: u64,
}

impl Recorder<'_> {
    /// Records until the reader is done. Leaving early (by an error) hangs up on the reader, which then stops.
    fn run(&mut self, from: Receiver<Message>, bytes_read: &AtomicU64) -> anyhow::Result<()> {
        let size_bytes = std::fs::metadata(&self.job.file)
            .ok()
            .filter(std::fs::Metadata::is_file);
        let mut progress = Progress::start(&name_of(&self.job.file), size_bytes.map(|data| data.len()));
        loop {
            match from.recv_timeout(SHOW_EVERY) {
                Ok(Message::Opened(shape)) => {
                    self.leftovers = Some(Leftovers::new(self.job.outlets.clone(), shape));
                }
                Ok(Message::Chunk(chunk)) => {
                    self.rows += chunk.rows;
                    if let Some(leftovers) = &mut self.leftovers {
                        recording::record(chunk, self.target, leftovers, &mut self.tally)?;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let Tally {
                recorded, replayed, ..
            } = &self.tally;
            let more = format!(
                ", {} events recorded, {} before",
                recorded.events, replayed.events
            );
            progress.show(bytes_read.load(Ordering::Relaxed), self.rows, "rows", &more);
        }
        progress.finish();
        Ok(())
    }

    fn close(&mut self) -> anyhow::Result<()> {
        if let Some(leftovers) = &mut self.leftovers {
            leftovers.finish()?;
        }
        Ok(())
    }
}

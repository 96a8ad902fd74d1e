//! Progress of long work: a bar with rate and time left on a terminal, a line every two seconds elsewhere. On standard
//! error, so that standard output is for results.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::import::grouped;

const LINE_EVERY: Duration = Duration::from_secs(2);

/// Shows how far some work is.
pub(crate) struct Progress {
    what: String,
    /// How much there is to do, in whatever is counted; nothing when nobody knows.
    whole: Option<u64>,
    started_at: Instant,
    shown: Shown,
}

enum Shown {
    Bar(ProgressBar),
    Lines { next_at: Instant },
}

impl Progress {
    /// Begins to show progress of `what` towards `whole`.
    pub(crate) fn start(what: &str, whole: Option<u64>) -> Progress {
        let started_at = Instant::now();
        let shown = if io::stderr().is_terminal() {
            let bar = whole.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
            let style = match whole {
                Some(_) => "{prefix} {wide_bar} {percent:>3}%  {msg}  {eta} left",
                None => "{prefix} {spinner}  {msg}  {elapsed}",
            };
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style);
            }
            bar.set_prefix(what.to_owned());
            Shown::Bar(bar)
        } else {
            Shown::Lines {
                next_at: started_at + LINE_EVERY,
            }
        };
        Progress {
            what: what.to_owned(),
            whole,
            started_at,
            shown,
        }
    }

    /// Shows that `done` of the whole is done: `count` of `things`, and what else there is to say.
    pub(crate) fn show(&mut self, done: u64, count: u64, things: &str, more: &str) {
        match &mut self.shown {
            Shown::Bar(bar) => {
                bar.set_position(done);
                bar.set_message(message(self.started_at, count, things, more));
            }
            Shown::Lines { next_at } => {
                let now = Instant::now();
                if now < *next_at {
                    return;
                }
                *next_at = now + LINE_EVERY;
                let elapsed = now - self.started_at;
                let left = self.whole.and_then(|whole| time_left(elapsed, done, whole));
                let left = left.map_or(String::new(), |left| format!(", {} s left", left.as_secs()));
                let said = message(self.started_at, count, things, more);
                // Progress is a courtesy: a closed standard error does not end the work.
                let _ = writeln!(io::stderr(), "{}: {said}{left}", self.what);
            }
        }
    }

    /// Ends it; nothing of a bar remains.
    pub(crate) fn finish(self) {
        if let Shown::Bar(bar) = self.shown {
            bar.finish_and_clear();
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a rate for people"
)]
fn message(started_at: Instant, count: u64, things: &str, more: &str) -> String {
    let rate = (count as f64 / started_at.elapsed().as_secs_f64().max(1e-3)) as u64;
    format!("{} {things}, {}/s{more}", grouped(count), grouped(rate))
}

fn time_left(elapsed: Duration, done: u64, whole: u64) -> Option<Duration> {
    let left = u128::from(whole.saturating_sub(done));
    let millis = elapsed
        .as_millis()
        .checked_mul(left)?
        .checked_div(u128::from(done))?;
    Some(Duration::from_millis(u64::try_from(millis).ok()?))
}

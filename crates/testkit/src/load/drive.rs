//! The driver's loop: sends what is due, waits for the sockets, counts what comes back.

mod timer;

use super::connection::{Connection, InFlight, Progress};
use super::{Answer, Draft, Load, LoadError, Outcome, Pace, Until};
use crate::process;
use mio::{Events, Poll, Token};
use std::collections::VecDeque;
use std::io::Write as _;
use std::time::{Duration, Instant};
use timer::Timer;

const READ_BYTES: usize = 64 * 1024;
/// A server that answers nothing for so long will not answer any more.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Open loop: for so long after the end of the schedule are late requests still sent.
const LATE_MAX: Duration = Duration::from_secs(10);
const TIMER: Token = Token(usize::MAX);

pub(super) struct Drive<'a, F, A> {
    load: &'a Load,
    fill: F,
    answered: A,
    poll: Poll,
    timer: Timer,
    connections: Vec<Option<Connection>>,
    idle: VecDeque<usize>,
    in_flight: usize,
    /// The number of the next request.
    next: u64,
    draft: Draft,
    /// The head's fields that are the same in every request.
    fields: Vec<u8>,
    scratch: Vec<u8>,
    started_at: Instant,
    last_answer_at: Instant,
    outcome: Outcome,
}

impl<'a, F, A> Drive<'a, F, A>
where
    F: FnMut(usize, u64, &mut Draft),
    A: FnMut(Answer<'_>),
{
    pub(super) fn begin(load: &'a Load, fill: F, answered: A) -> Result<Self, LoadError> {
        allow_open_files(load.connections);
        let poll = Poll::new().map_err(io("watch sockets"))?;
        let timer = Timer::new(poll.registry(), TIMER).map_err(io("make a timer"))?;
        let mut connections = Vec::with_capacity(load.connections);
        for connection in 0..load.connections {
            let opened =
                Connection::open(load.address, poll.registry(), Token(connection)).map_err(|source| {
                    LoadError::Connect {
                        address: load.address,
                        connection,
                        source,
                    }
                })?;
            connections.push(Some(opened));
        }
        let now = Instant::now();
        Ok(Drive {
            load,
            fill,
            answered,
            poll,
            timer,
            connections,
            idle: (0..load.connections).collect(),
            in_flight: 0,
            next: 0,
            draft: Draft::default(),
            fields: fixed_fields(load),
            scratch: vec![0; READ_BYTES],
            started_at: now,
            last_answer_at: now,
            outcome: Outcome::new(),
        })
    }

    pub(super) fn run(mut self) -> Result<Outcome, LoadError> {
        let mut events = Events::with_capacity(self.load.connections.clamp(16, 1024));
        let server_before = process::cpu(&self.load.server_pids);
        let loader_before = process::thread_cpu();
        self.started_at = Instant::now();
        self.last_answer_at = self.started_at;

        self.send_due(self.started_at);
        while !self.is_over() {
            let timeout = self.wait_max()?;
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => {
                    return Err(io("wait for sockets")(error));
                }
                _ => {}
            }
            for event in &events {
                if event.token() != TIMER {
                    self.advance(event.token().0, event.is_readable() || event.is_error())?;
                }
            }
            self.send_due(Instant::now());
        }

        self.outcome.wall = self.last_answer_at - self.started_at;
        self.outcome.loader_cpu = process::thread_cpu().saturating_sub(loader_before);
        self.outcome.server_cpu = match (server_before, process::cpu(&self.load.server_pids)) {
            (Some(before), Some(after)) if !self.load.server_pids.is_empty() => {
                Some(after.saturating_sub(before))
            }
            _ => None,
        };
        self.outcome.lost += self.in_flight as u64;
        self.outcome.unsent = self
            .planned()
            .map_or(0, |planned| planned.saturating_sub(self.next));
        Ok(self.outcome)
    }

    fn is_over(&self) -> bool {
        let now = Instant::now();
        let is_silent = now.duration_since(self.last_answer_at) > SILENCE_MAX && self.in_flight > 0;
        let is_deserted = self.connections.iter().all(Option::is_none);
        is_silent || is_deserted || (self.in_flight == 0 && !self.has_more(now))
    }

    /// Whether any request is still to be sent, now or later.
    fn has_more(&self, now: Instant) -> bool {
        match (self.load.pace, self.load.until) {
            (Pace::ClosedLoop, Until::Requests(count)) => self.next < count,
            (Pace::ClosedLoop, Until::Elapsed(time)) => now.duration_since(self.started_at) < time,
            (Pace::OpenLoop { .. }, _) => self
                .planned()
                .is_some_and(|planned| self.next < planned && now < self.due_at(planned) + LATE_MAX),
        }
    }

    /// Open loop: how many requests the schedule holds.
    fn planned(&self) -> Option<u64> {
        let Pace::OpenLoop { per_second } = self.load.pace else {
            return None;
        };
        Some(match self.load.until {
            Until::Requests(count) => count,
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "rate and time are above zero, and a float too large becomes the largest count"
            )]
            Until::Elapsed(time) => (time.as_secs_f64() * per_second) as u64,
        })
    }

    fn due_at(&self, request: u64) -> Instant {
        match self.load.pace {
            Pace::ClosedLoop => self.started_at,
            #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
            Pace::OpenLoop { per_second } => {
                self.started_at + Duration::from_secs_f64(request as f64 / per_second)
            }
        }
    }

    /// How long to wait for sockets at most; sets the timer when a request is due before that.
    fn wait_max(&mut self) -> Result<Duration, LoadError> {
        let now = Instant::now();
        if matches!(self.load.pace, Pace::OpenLoop { .. }) && !self.idle.is_empty() && self.has_more(now) {
            let left = self.due_at(self.next).saturating_duration_since(now);
            return self.timer.wait(left).map_err(io("set the timer"));
        }
        Ok(Duration::from_secs(1))
    }

    fn send_due(&mut self, now: Instant) {
        while !self.idle.is_empty() && self.has_more(now) && self.due_at(self.next) <= now {
            let Some(index) = self.idle.pop_front() else {
                return;
            };
            self.send(index, now);
        }
    }

    fn send(&mut self, index: usize, now: Instant) {
        let due = match self.load.pace {
            Pace::ClosedLoop => now,
            Pace::OpenLoop { .. } => self.due_at(self.next),
        };
        let Some(Some(connection)) = self.connections.get_mut(index) else {
            return;
        };
        let request = self.next;
        self.next += 1;
        self.in_flight += 1;
        self.draft.target.clear();
        self.draft.headers.clear();
        self.draft.body.clear();
        (self.fill)(index, request, &mut self.draft);
        write_request(self.load, &self.fields, &self.draft, &mut connection.out);
        if connection.send(request, due) == Progress::Lost {
            self.lose(index);
        }
    }

    fn advance(&mut self, index: usize, can_read: bool) -> Result<(), LoadError> {
        let Some(Some(connection)) = self.connections.get_mut(index) else {
            return Ok(());
        };
        if connection.is_sending() && connection.write_on() == Progress::Lost {
            self.lose(index);
            return Ok(());
        }
        if !can_read {
            return Ok(());
        }
        let progress = connection
            .read_on(&mut self.scratch)
            .map_err(|malformed| LoadError::Malformed {
                request: connection.in_flight.map_or(self.next, |flight| flight.request),
                what: malformed.0,
            })?;
        match progress {
            Progress::Waiting => {}
            Progress::Lost => self.lose(index),
            Progress::Answered => self.finish(index),
        }
        Ok(())
    }

    /// Counts an answer, and sends the connection's next request at once when one is due.
    fn finish(&mut self, index: usize) {
        let Some(Some(connection)) = self.connections.get_mut(index) else {
            return;
        };
        let Some(InFlight { request, due }) = connection.in_flight.take() else {
            return;
        };
        let now = Instant::now();
        self.in_flight -= 1;
        self.last_answer_at = now;
        let reader = &connection.reader;
        self.outcome
            .record(reader.status, now.saturating_duration_since(due));
        (self.answered)(Answer {
            connection: index,
            request,
            status: Some(reader.status),
            body: &reader.body,
        });
        if connection.can_go_on() {
            self.idle.push_back(index);
        } else {
            self.reopen(index);
        }
        self.send_due(now);
    }

    fn lose(&mut self, index: usize) {
        let Some(Some(connection)) = self.connections.get_mut(index) else {
            return;
        };
        let was_idle = connection.in_flight.is_none();
        if let Some(InFlight { request, .. }) = connection.in_flight.take() {
            self.in_flight -= 1;
            self.outcome.lost += 1;
            (self.answered)(Answer {
                connection: index,
                request,
                status: None,
                body: &[],
            });
        }
        if was_idle {
            self.idle.retain(|other| *other != index);
        }
        self.reopen(index);
    }

    /// Replaces a connection that is over. One that cannot be replaced is given up.
    fn reopen(&mut self, index: usize) {
        let opened = Connection::open(self.load.address, self.poll.registry(), Token(index)).ok();
        if opened.is_some() {
            self.idle.push_back(index);
        }
        if let Some(slot) = self.connections.get_mut(index) {
            *slot = opened;
        }
    }
}

fn fixed_fields(load: &Load) -> Vec<u8> {
    let mut fields = format!(" HTTP/1.1\r\nhost: {}\r\n", load.address);
    for (name, value) in &load.headers {
        fields.push_str(&format!("{name}: {value}\r\n"));
    }
    fields.into_bytes()
}

fn write_request(load: &Load, fields: &[u8], draft: &Draft, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(load.method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(if draft.target.is_empty() {
        load.target.as_bytes()
    } else {
        &draft.target
    });
    out.extend_from_slice(fields);
    out.extend_from_slice(&draft.headers);
    if !draft.body.is_empty() || load.method != "GET" {
        write!(out, "content-length: {}\r\n", draft.body.len()).expect("a Vec takes every write");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&draft.body);
}

/// Raises the limit of open files as far as needed and allowed. When it is not allowed, connecting fails and
/// says so.
fn allow_open_files(connections: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = connections as u64 + 256;
    let limit = getrlimit(Resource::Nofile);
    let is_enough = limit.current.is_none_or(|current| current >= wanted);
    if !is_enough {
        let current = Some(limit.maximum.map_or(wanted, |maximum| wanted.min(maximum)));
        let raised = setrlimit(
            Resource::Nofile,
            Rlimit {
                current,
                maximum: limit.maximum,
            },
        );
        debug_assert!(
            raised.is_ok(),
            "raising a soft limit up to the hard one is always allowed"
        );
    }
}

fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> LoadError {
    move |source| LoadError::Io { what, source }
}

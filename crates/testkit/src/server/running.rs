//! One run of a server: the child, what it prints, where it listens.

use super::{ServerError, ServerOptions};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Of what a server prints, at least this much of the end is kept.
const KEPT_BYTES: usize = 1024 * 1024;
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// A stream that is open for so long after its server's end is held by somebody else.
const LEFT_OPEN_MAX: Duration = Duration::from_secs(2);
/// The lines by which a server says where it listens.
const LISTENING: [&str; 2] = ["listening on http://", "listening on https://"];

#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    pub(super) address: SocketAddr,
    stdout: Captured,
    stderr: Captured,
}

/// What one of the child's streams has brought, read by a thread of its own so that the child never waits.
#[derive(Debug)]
struct Captured {
    text: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Running {
    pub(super) fn start(options: &ServerOptions) -> Result<Running, ServerError> {
        let mut child = Command::new(&options.binary)
            .args(&options.arguments)
            .envs(options.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| ServerError::Io {
                what: format!("start {}", options.binary.display()),
                source,
            })?;
        let (said, listening) = sync_channel(1);
        let stdout = Captured::of(child.stdout.take().expect("stdout is piped"), Some(said));
        let stderr = Captured::of(child.stderr.take().expect("stderr is piped"), None);
        let mut running = Running {
            child,
            address: unknown_address(),
            stdout,
            stderr,
        };
        let deadline = Instant::now() + options.ready_within;
        match running.wait_until_ready(options, &listening, deadline) {
            Ok(()) => Ok(running),
            Err(error) => {
                running.kill_9()?;
                Err(error)
            }
        }
    }

    fn wait_until_ready(
        &mut self,
        options: &ServerOptions,
        listening: &Receiver<SocketAddr>,
        deadline: Instant,
    ) -> Result<(), ServerError> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.address = match listening.recv_timeout(left) {
            Ok(address) => address,
            Err(RecvTimeoutError::Timeout) => return Err(self.not_ready(options)),
            // Its standard output has ended, so it has ended too, or is about to.
            Err(RecvTimeoutError::Disconnected) => unknown_address(),
        };
        let is_ready = |address: SocketAddr| match &options.ready_path {
            Some(path) => answers_ok(address, path),
            None => true,
        };
        while self.address == unknown_address() || !is_ready(self.address) {
            if let Some(status) = self.ended()? {
                return Err(ServerError::Ended {
                    status,
                    stderr: self.stderr.finished(),
                });
            }
            if Instant::now() > deadline {
                return Err(self.not_ready(options));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    fn not_ready(&self, options: &ServerOptions) -> ServerError {
        ServerError::NotReady {
            within: options.ready_within,
            stderr: self.stderr(),
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn stderr(&self) -> String {
        self.stderr.so_far()
    }

    pub(super) fn stdout(&self) -> String {
        self.stdout.so_far()
    }

    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>, ServerError> {
        self.child.try_wait().map_err(io("look after the server"))
    }

    /// Kills it and answers what it said.
    pub(super) fn kill_9(mut self) -> Result<String, ServerError> {
        self.child.kill().map_err(io("kill the server"))?;
        self.child.wait().map_err(io("wait for the server"))?;
        Ok(self.stderr.finished())
    }

    /// Asks it to stop, waits, and answers how it ended and what it said.
    pub(super) fn stop(mut self, within: Duration) -> Result<(ExitStatus, String), ServerError> {
        let deadline = Instant::now() + within;
        if self.ended()?.is_none() {
            kill_process(Pid::from_child(&self.child), Signal::TERM)
                .map_err(|errno| io("send SIGTERM")(errno.into()))?;
        }
        loop {
            if let Some(status) = self.ended()? {
                return Ok((status, self.stderr.finished()));
            }
            if Instant::now() > deadline {
                return Err(ServerError::NotStopped {
                    within,
                    stderr: self.kill_9()?,
                });
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Killing what is gone already is no error, and there is nobody to tell of another.
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

impl Captured {
    fn of(stream: impl Read + Send + 'static, listening: Option<SyncSender<SocketAddr>>) -> Captured {
        let text = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&text);
        let reader = std::thread::spawn(move || capture(stream, &kept, listening));
        Captured {
            text,
            reader: Some(reader),
        }
    }

    fn so_far(&self) -> String {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// All of it, once the child has ended. A child of the child's that still holds the stream is not waited
    /// for: it may live for ever.
    fn finished(&mut self) -> String {
        let deadline = Instant::now() + LEFT_OPEN_MAX;
        if let Some(reader) = self.reader.take() {
            while !reader.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        self.so_far()
    }
}

fn capture(stream: impl Read, kept: &Mutex<Vec<u8>>, mut listening: Option<SyncSender<SocketAddr>>) {
    let mut lines = BufReader::new(stream);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        if let Some(address) = listening_address(&line)
            && let Some(listening) = listening.take()
        {
            // There is room for the one address; when the start was given up, nobody wants it.
            let _ = listening.try_send(address);
        } else {
            let mut text = kept.lock().unwrap_or_else(PoisonError::into_inner);
            text.extend_from_slice(&line);
            if text.len() > 2 * KEPT_BYTES {
                let surplus = text.len() - KEPT_BYTES;
                text.drain(..surplus);
            }
        }
        line.clear();
    }
}

/// What stands for an address until the server has said where it listens.
fn unknown_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn listening_address(line: &[u8]) -> Option<SocketAddr> {
    let line = std::str::from_utf8(line).ok()?.trim();
    LISTENING
        .iter()
        .find_map(|says| line.strip_prefix(says))?
        .parse()
        .ok()
}

/// Whether a GET of a path is answered by 200 now.
fn answers_ok(address: SocketAddr, path: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
        )?;
        let mut head = [0u8; 12];
        stream.read_exact(&mut head)?;
        Ok(&head == b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

fn io(what: &str) -> impl FnOnce(std::io::Error) -> ServerError {
    let what = what.to_owned();
    move |source| ServerError::Io { what, source }
}

//! The product's binary as a child process: found or built, started on a data folder and a free port, waited
//! for until it is ready, stopped politely or by `kill -9`, and started again on the same folder.

mod binary;
mod running;

pub use binary::{BinaryError, bincard_binary};

use running::Running;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// How a server is started.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The program.
    pub binary: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Environment variables beside our own.
    pub environment: Vec<(String, OsString)>,
    /// How long it may take to say where it listens and to be ready.
    pub ready_within: Duration,
    /// The path that answers 200 when the server is ready; `None` where listening is ready enough.
    pub ready_path: Option<String>,
}

impl ServerOptions {
    /// `bincard serve` on a data folder and a free loopback port, with a first ADMIN.
    #[must_use]
    pub fn bincard(
        binary: PathBuf,
        data_folder: impl Into<OsString>,
        admin_email: &str,
        admin_password: &str,
    ) -> ServerOptions {
        ServerOptions {
            binary,
            arguments: vec![
                "serve".into(),
                "--data-dir".into(),
                data_folder.into(),
                "--listen".into(),
                "127.0.0.1:0".into(),
            ],
            environment: vec![
                ("BINCARD_ADMIN_EMAIL".to_owned(), admin_email.into()),
                ("BINCARD_ADMIN_PASSWORD".to_owned(), admin_password.into()),
            ],
            ready_within: Duration::from_secs(60),
            ready_path: Some("/readyz".to_owned()),
        }
    }
}

/// Why a server is not running.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The system refused what running it needs.
    #[error("cannot {what}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It ended by itself.
    #[error("the server ended by itself ({status}) and said:\n{stderr}")]
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote on standard error.
        stderr: String,
    },
    /// It did not get ready.
    #[error("the server was not ready within {within:?} and said:\n{stderr}")]
    NotReady {
        /// How long we waited.
        within: Duration,
        /// The end of what it wrote on standard error.
        stderr: String,
    },
    /// It did not stop when asked, and was killed.
    #[error("the server did not stop within {within:?} of SIGTERM and was killed; it said:\n{stderr}")]
    NotStopped {
        /// How long we waited.
        within: Duration,
        /// The end of what it wrote on standard error.
        stderr: String,
    },
    /// It was used while it was down.
    #[error("the server is not running")]
    Down,
}

/// A server as a child process. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    options: ServerOptions,
    running: Option<Running>,
    /// What earlier runs wrote on standard error.
    stderr_before: String,
}

impl Server {
    /// Starts a server and waits until it is ready.
    ///
    /// # Errors
    /// When it cannot be started, ends by itself or is not ready in time.
    pub fn start(options: ServerOptions) -> Result<Server, ServerError> {
        let running = Running::start(&options)?;
        Ok(Server {
            options,
            running: Some(running),
            stderr_before: String::new(),
        })
    }

    /// Starts it again on the same folder, on a port that may be another; a running one is killed first.
    ///
    /// # Errors
    /// As `start`.
    pub fn start_again(&mut self) -> Result<(), ServerError> {
        self.kill_9()?;
        self.running = Some(Running::start(&self.options)?);
        Ok(())
    }

    /// Where it listens.
    ///
    /// # Errors
    /// `Down` when it is not running.
    pub fn address(&self) -> Result<SocketAddr, ServerError> {
        Ok(self.running.as_ref().ok_or(ServerError::Down)?.address)
    }

    /// A URL of its, for a path that begins with a slash.
    ///
    /// # Errors
    /// `Down` when it is not running.
    pub fn url(&self, path: &str) -> Result<String, ServerError> {
        Ok(format!("http://{}{path}", self.address()?))
    }

    /// Its process.
    ///
    /// # Errors
    /// `Down` when it is not running.
    pub fn pid(&self) -> Result<u32, ServerError> {
        Ok(self.running.as_ref().ok_or(ServerError::Down)?.pid())
    }

    /// What it wrote on standard error, in all its runs; of very much, the end.
    #[must_use]
    pub fn stderr(&self) -> String {
        let now = self.running.as_ref().map(Running::stderr).unwrap_or_default();
        format!("{}{now}", self.stderr_before)
    }

    /// What this run wrote on standard output so far, but for the line that says where it listens.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.running.as_ref().map(Running::stdout).unwrap_or_default()
    }

    /// How it ended, when it has ended by itself.
    ///
    /// # Errors
    /// `Down` when it was not running at all.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, ServerError> {
        self.running.as_mut().ok_or(ServerError::Down)?.ended()
    }

    /// Kills it with SIGKILL and waits until it is gone. Nothing happens when it is down already.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill_9(&mut self) -> Result<(), ServerError> {
        if let Some(running) = self.running.take() {
            self.stderr_before.push_str(&running.kill_9()?);
        }
        Ok(())
    }

    /// Asks it to stop with SIGTERM and waits for its end.
    ///
    /// # Errors
    /// `Down` when it is not running; `NotStopped` when it had to be killed in the end.
    pub fn stop(&mut self, within: Duration) -> Result<ExitStatus, ServerError> {
        let running = self.running.take().ok_or(ServerError::Down)?;
        let (status, stderr) = running.stop(within)?;
        self.stderr_before.push_str(&stderr);
        Ok(status)
    }
}

//! A private NATS with JetStream: a server of its own on a free loopback port, its streams in a scratch folder. It can be
//! stopped, killed and started again over the same folder, or over an older copy of it. It goes away with its handle, and
//! also when the process that holds the handle is killed.
//!
//! As with PostgreSQL, a small shell between us and the server waits on a pipe: a word there says how the server is to end,
//! and when the pipe just closes, the folder goes as well.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to answer: far more than it needs.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Ports are free when they are looked for and may be taken when the server binds them.
const PORT_ATTEMPTS_MAX: u32 = 5;

/// Why there is no private NATS.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    /// The program is not on this machine.
    #[error(
        "the program nats-server was not found on PATH or in the usual folders. Install it (Debian, Ubuntu: apt-get \
         install nats-server; macOS: brew install nats-server) or name it in BINCARD_NATS_SERVER"
    )]
    NotInstalled,
    /// A program could not be run or a folder not be made.
    #[error("cannot {what}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The server did not get ready.
    #[error("nats-server did not get ready: {log}")]
    NotReady {
        /// What it logged.
        log: String,
    },
}

/// A private NATS. Dropping it stops the server and removes its folder.
#[derive(Debug)]
pub struct Nats {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    /// Where it tells how it is, by HTTP.
    monitor_port: u16,
    /// How it is started beside what every one is.
    options: String,
    keeper: Option<Child>,
}

impl Nats {
    /// Starts a server with JetStream.
    ///
    /// # Errors
    /// When NATS is not installed or does not start; the text says what to do.
    pub fn start() -> Result<Nats, NatsError> {
        Nats::start_with(String::new())
    }

    /// Starts a server with JetStream that speaks TLS only, with the first of [`crate::certificates`], and takes one user,
    /// `relay`, with a password.
    ///
    /// # Errors
    /// As `start`.
    pub fn start_with_tls(password: &str) -> Result<Nats, NatsError> {
        let pair = crate::certificates::first();
        Nats::start_with(format!(
            " --tls --tlscert {} --tlskey {} --user relay --pass {}",
            quoted(&pair.certificate),
            quoted(&pair.key),
            quoted(Path::new(password)),
        ))
    }

    fn start_with(options: String) -> Result<Nats, NatsError> {
        let program = program()?;
        let mut attempt = 1;
        loop {
            let scratch = crate::scratch::folder("bincard-nats-").map_err(io("make a scratch folder"))?;
            let mut nats = Nats {
                program: program.clone(),
                folder: scratch.keep(),
                port: free_port().map_err(io("find a free port"))?,
                monitor_port: free_port().map_err(io("find a free port"))?,
                options: options.clone(),
                keeper: None,
            };
            match nats.start_again() {
                Err(NatsError::NotReady { log })
                    if log.contains("address already in use") && attempt < PORT_ATTEMPTS_MAX =>
                {
                    attempt += 1;
                }
                started => return started.map(|()| nats),
            }
        }
    }

    /// Its port on this machine.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Where it tells how it is, by HTTP.
    #[must_use]
    pub fn monitor_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.monitor_port)
    }

    /// Starts a server that was stopped or killed, over what lies in its folder.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_again(&mut self) -> Result<(), NatsError> {
        let script = format!(
            "exec 3<&0
{program} -a 127.0.0.1 -p {port} -m {monitor} -js -sd {folder}/data -l {folder}/log{options} </dev/null >/dev/null 2>&1 3<&- &
server=$!
word=
read -r word <&3
case $word in stop) kill -TERM $server ;; *) kill -KILL $server ;; esac
wait $server
[ -n \"$word\" ] && exit
cd /
rm -rf {folder}",
            program = quoted(&self.program),
            port = self.port,
            monitor = self.monitor_port,
            folder = quoted(&self.folder),
            options = self.options,
        );
        // A process group of its own, so that Ctrl-C reaches us first and the keeper can do its work.
        let keeper = Command::new("/bin/sh")
            .arg("-c")
            .arg(script)
            .current_dir(&self.folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(io("start the shell that keeps nats-server"))?;
        self.keeper = Some(keeper);
        self.wait_until_ready()
    }

    /// Stops it in order: it writes out what it has.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn stop(&mut self) -> Result<(), NatsError> {
        self.end("stop\n")
    }

    /// Kills it where it stands.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(&mut self) -> Result<(), NatsError> {
        self.end("kill\n")
    }

    /// Keeps a copy of what it has stored, for [`Nats::restore`]. It is to be stopped.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn keep_copy(&self) -> Result<(), NatsError> {
        self.copy("data", "copy")
    }

    /// Puts what was copied in the place of what it has stored since. It is to be stopped.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn restore(&self) -> Result<(), NatsError> {
        self.copy("copy", "data")
    }

    fn copy(&self, from: &str, to: &str) -> Result<(), NatsError> {
        let script = format!("rm -rf {to} && cp -R {from} {to}");
        let mut shell = Command::new("/bin/sh");
        let status = shell.arg("-c").arg(script).current_dir(&self.folder).status();
        let is_copied = status.map_err(io("copy the streams"))?.success();
        if is_copied {
            return Ok(());
        }
        Err(io("copy the streams")(std::io::ErrorKind::Other.into()))
    }

    fn end(&mut self, word: &str) -> Result<(), NatsError> {
        let Some(mut keeper) = self.keeper.take() else {
            return Ok(());
        };
        if let Some(mut pipe) = keeper.stdin.take() {
            pipe.write_all(word.as_bytes())
                .map_err(io("tell nats-server to end"))?;
        }
        keeper.wait().map_err(io("wait for nats-server's end")).map(drop)
    }

    /// Waits until the server greets whoever connects.
    fn wait_until_ready(&mut self) -> Result<(), NatsError> {
        let deadline = Instant::now() + READY_WITHIN;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        loop {
            if greets(address) {
                return Ok(());
            }
            let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            if log.contains("[FTL]") || Instant::now() > deadline {
                return Err(NatsError::NotReady { log });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let ended = self.keeper.take().map(|mut keeper| {
            drop(keeper.stdin.take());
            keeper.wait()
        });
        // The keeper has removed the folder, unless the server was stopped before.
        if self.folder.exists() {
            let removed = std::fs::remove_dir_all(&self.folder);
            if !std::thread::panicking() {
                removed.expect("a scratch folder of our own can be removed");
            }
        }
        if !std::thread::panicking() {
            ended
                .transpose()
                .expect("a child that nobody else waits for can be waited for");
        }
    }
}

fn greets(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else {
        return false;
    };
    let mut greeting = [0; 4];
    stream.set_read_timeout(Some(Duration::from_secs(5))).is_ok()
        && stream.read_exact(&mut greeting).is_ok()
        && greeting == *b"INFO"
}

/// The program `nats-server`.
///
/// # Errors
/// When it is not installed.
pub fn program() -> Result<PathBuf, NatsError> {
    if let Some(named) = std::env::var_os("BINCARD_NATS_SERVER") {
        let named = PathBuf::from(named);
        return if is_executable(&named) {
            Ok(named)
        } else {
            Err(NatsError::NotInstalled)
        };
    }
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&on_path).collect();
    folders.extend(["/usr/sbin", "/usr/local/bin", "/opt/homebrew/bin"].map(PathBuf::from));
    let programs = folders.iter().map(|folder| folder.join("nats-server"));
    let found = programs.into_iter().find(|program| is_executable(program));
    found.ok_or(NatsError::NotInstalled)
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A path as one word of a shell's.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> NatsError {
    move |source| NatsError::Io { what, source }
}

//! A private PostgreSQL: a cluster of its own in a scratch folder, on a Unix socket there and a free
//! loopback port, with the server's own durable settings. It goes away with its handle, and also when the
//! process that holds the handle is killed.
//!
//! Between us and the server stands a small shell that waits on a pipe from this process: when the pipe
//! closes, for whatever reason, it stops the server and removes the folder.

mod programs;

use programs::{Account, Programs};
use std::fs::Permissions;
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to accept connections: far more than it needs, so that only a server that
/// hangs runs into it.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Ports are free when they are looked for and may be taken when the server binds them.
const PORT_ATTEMPTS_MAX: u32 = 5;

/// Why there is no private PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The server's programs are not on this machine.
    #[error(
        "PostgreSQL's programs initdb and postgres were not found ({looked}). Install them \
         (Debian, Ubuntu: apt-get install postgresql; macOS: brew install postgresql@17) or name their \
         folder in BINCARD_POSTGRES_BIN"
    )]
    NotInstalled {
        /// Where they were looked for.
        looked: String,
    },
    /// PostgreSQL refuses to run as root and there is nobody else to run it as.
    #[error(
        "PostgreSQL does not run as root, and {missing}. Run the tests as an ordinary user, or install it"
    )]
    NoAccount {
        /// What was not found.
        missing: String,
    },
    /// A program could not be run or a folder not be made.
    #[error("cannot {what}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A program of PostgreSQL's failed.
    #[error("{what} failed: {output}")]
    Failed {
        /// What was run.
        what: &'static str,
        /// What it printed.
        output: String,
    },
    /// The server did not get ready.
    #[error("PostgreSQL in {folder} was not ready within {READY_WITHIN:?}")]
    NotReady {
        /// Its folder.
        folder: PathBuf,
    },
}

/// A running private PostgreSQL. Dropping it stops the server and removes its folder.
#[derive(Debug)]
pub struct Postgres {
    folder: PathBuf,
    /// Where its programs lie.
    programs: PathBuf,
    port: u16,
    password: String,
    keeper: Child,
}

impl Postgres {
    /// Starts a server with default settings (`fsync` and `synchronous_commit` are on).
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start; the text says what to do.
    pub fn start() -> Result<Postgres, PostgresError> {
        Postgres::start_with(&[])
    }

    /// Starts a server that also speaks TLS, with the first of [`crate::certificates`].
    ///
    /// # Errors
    /// As `start`.
    pub fn start_with_tls() -> Result<Postgres, PostgresError> {
        // As seen from the folder of its data.
        Postgres::start_with(&[
            ("ssl", "on"),
            ("ssl_cert_file", "../certificate.pem"),
            ("ssl_key_file", "../key.pem"),
        ])
    }

    /// Starts a server with some settings of its own, as in `("shared_buffers", "1GB")`.
    ///
    /// # Errors
    /// As `start`.
    pub fn start_with(settings: &[(&str, &str)]) -> Result<Postgres, PostgresError> {
        let programs = Programs::find()?;
        let account = Account::choose()?;
        let mut attempt = 1;
        loop {
            match start_once(&programs, account.as_ref(), settings) {
                Err(PostgresError::Failed { output, .. })
                    if output.contains("Address already in use") && attempt < PORT_ATTEMPTS_MAX =>
                {
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// The address of one of its databases by the Unix socket; `postgres` is always there.
    #[must_use]
    pub fn socket_url(&self, database: &str) -> String {
        let folder = percent_encoded(&self.folder.to_string_lossy());
        format!(
            "postgres:///{database}?host={folder}&port={}&user=postgres",
            self.port
        )
    }

    /// The address of one of its databases by TCP, with the password that it takes there.
    #[must_use]
    pub fn tcp_url(&self, database: &str) -> String {
        format!(
            "postgres://postgres:{}@127.0.0.1:{}/{database}",
            self.password, self.port
        )
    }

    /// Its port on this machine.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The password that its superuser `postgres` has by TCP.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The folder of its programs, `psql` among them where a client is installed.
    #[must_use]
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// The process that all of the server's processes descend from. One that is killed is started again, as another process.
    ///
    /// # Errors
    /// When there is none at the moment.
    pub fn pid(&self) -> Result<u32, PostgresError> {
        let file = self.folder.join("data/postmaster.pid");
        let text = std::fs::read_to_string(file).map_err(io("read PostgreSQL's process id"))?;
        let pid = text.lines().next().and_then(|pid| pid.trim().parse().ok());
        pid.ok_or_else(|| io("understand PostgreSQL's process id")(std::io::ErrorKind::InvalidData.into()))
    }

    /// The folder that holds the cluster and the socket.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let ended = self.keeper.wait();
        // The keeper has removed the folder, unless somebody killed it.
        if self.folder.exists() {
            let removed = std::fs::remove_dir_all(&self.folder);
            if !std::thread::panicking() {
                removed.expect("a scratch folder of our own can be removed");
            }
        }
        if !std::thread::panicking() {
            ended.expect("a child that nobody else waits for can be waited for");
        }
    }
}

fn start_once(
    programs: &Programs,
    account: Option<&Account>,
    settings: &[(&str, &str)],
) -> Result<Postgres, PostgresError> {
    let scratch = crate::scratch::folder("bincard-pg-").map_err(io("make a scratch folder"))?;
    let folder = scratch.path().to_owned();
    let password = random_password().map_err(io("read random bytes"))?;
    std::fs::write(folder.join("password"), &password).map_err(io("write the scratch folder"))?;
    let pair = crate::certificates::first();
    for (from, to) in [(&pair.certificate, "certificate.pem"), (&pair.key, "key.pem")] {
        let to = folder.join(to);
        std::fs::copy(from, &to).map_err(io("copy a certificate"))?;
        std::fs::set_permissions(&to, Permissions::from_mode(0o600)).map_err(io("guard a key"))?;
    }
    if let Some(account) = account {
        for path in ["", "password", "certificate.pem", "key.pem"] {
            account
                .give(&folder.join(path))
                .map_err(io("hand the scratch folder to PostgreSQL's account"))?;
        }
    }
    init_cluster(programs, account, &folder)?;

    let port = free_port().map_err(io("find a free port"))?;
    let script = keeper_script(programs, &folder, port, settings);
    let mut keeper = shell(account, &script, &folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(io("start the shell that keeps PostgreSQL"))?;
    // From here on the keeper removes the folder.
    let folder = scratch.keep();
    match wait_until_ready(&mut keeper, &folder) {
        Ok(()) => Ok(Postgres {
            folder,
            programs: programs.folder(),
            port,
            password,
            keeper,
        }),
        Err(error) => {
            drop(keeper.stdin.take());
            keeper.wait().map_err(io("wait for PostgreSQL's end"))?;
            Err(error)
        }
    }
}

fn init_cluster(programs: &Programs, account: Option<&Account>, folder: &Path) -> Result<(), PostgresError> {
    // --no-sync skips only the sync of the fresh files; the server itself runs with fsync on.
    // The socket is guarded by its folder, the port by the password.
    let script = format!(
        "exec {initdb} -D {data} -U postgres --pwfile={password} --auth-local=trust \
         --auth-host=scram-sha-256 --encoding=UTF8 --locale=C --no-sync",
        initdb = quoted(&programs.initdb),
        data = quoted(&folder.join("data")),
        password = quoted(&folder.join("password")),
    );
    let output = shell(account, &script, folder)
        .output()
        .map_err(io("run initdb"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    Err(PostgresError::Failed {
        what: "initdb",
        output: String::from_utf8_lossy(&text).into_owned(),
    })
}

fn keeper_script(programs: &Programs, folder: &Path, port: u16, settings: &[(&str, &str)]) -> String {
    let mut options = String::new();
    for (name, value) in settings {
        options.push_str(" -c ");
        options.push_str(&quoted(Path::new(&format!("{name}={value}"))));
    }
    // One that was killed is started again, as whoever looks after a database would see to; not before the last of the processes
    // that it left has gone, which is why that may fail at first.
    format!(
        "exec 3<&0
killed=
while :; do
{postgres} -D {folder}/data -k {folder} -p {port} -h 127.0.0.1{options} </dev/null >>{folder}/log 2>&1 3<&- &
postgres=$!
(read -r _ <&3; kill -QUIT $postgres) &
watch=$!
wait $postgres
status=$?
kill $watch 2>/dev/null
case $status in
137) killed=yes ;;
1) [ $killed ] || break; sleep 0.1 ;;
*) break ;;
esac
done
[ $status = 0 ] || tail -n 20 {folder}/log >&2
cd /
rm -rf {folder}
exit $status",
        postgres = quoted(&programs.postgres),
        folder = quoted(folder),
    )
}

/// A shell that runs a script as PostgreSQL's account. It has a process group of its own, so that Ctrl-C
/// reaches us first and the keeper can do its work.
fn shell(account: Option<&Account>, script: &str, folder: &Path) -> Command {
    let mut command = match account {
        Some(account) => account.shell(script),
        None => programs::plain_shell(script),
    };
    command.current_dir(folder).env("LC_ALL", "C").process_group(0);
    command
}

/// Waits until the server says in its pid file that it takes connections.
fn wait_until_ready(keeper: &mut Child, folder: &Path) -> Result<(), PostgresError> {
    let deadline = Instant::now() + READY_WITHIN;
    let pid_file = folder.join("data/postmaster.pid");
    loop {
        if let Ok(text) = std::fs::read_to_string(&pid_file)
            && text.lines().nth(7).is_some_and(|state| state.trim() == "ready")
        {
            return Ok(());
        }
        if keeper.try_wait().map_err(io("look after PostgreSQL"))?.is_some() {
            let mut output = String::new();
            if let Some(stderr) = &mut keeper.stderr {
                stderr
                    .read_to_string(&mut output)
                    .map_err(io("read what PostgreSQL said"))?;
            }
            return Err(PostgresError::Failed {
                what: "postgres",
                output,
            });
        }
        if Instant::now() > deadline {
            return Err(PostgresError::NotReady {
                folder: folder.to_owned(),
            });
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn random_password() -> std::io::Result<String> {
    let mut bytes = [0u8; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A path as one word of a shell's.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

fn io(what: &str) -> impl FnOnce(std::io::Error) -> PostgresError {
    let what = what.to_owned();
    move |source| PostgresError::Io { what, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_in_a_path_stays_one_word() {
        assert_eq!(quoted(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}

//! Where PostgreSQL's programs lie on this machine, and as whom they can be run.

use super::PostgresError;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The programs that a private cluster needs, from one folder: versions must not be mixed.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) initdb: PathBuf,
    pub(super) postgres: PathBuf,
}

impl Programs {
    pub(super) fn find() -> Result<Programs, PostgresError> {
        if let Some(named) = std::env::var_os("BINCARD_POSTGRES_BIN") {
            let folder = PathBuf::from(named);
            let looked = format!("looked in BINCARD_POSTGRES_BIN={}", folder.display());
            return Programs::in_folder(&folder).ok_or(PostgresError::NotInstalled { looked });
        }
        let on_path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> = std::env::split_paths(&on_path).collect();
        folders.extend(versioned("/usr/lib/postgresql", "", "bin"));
        folders.extend(versioned("/usr", "pgsql-", "bin"));
        folders.extend(versioned("/opt/homebrew/opt", "postgresql", "bin"));
        folders.extend(versioned("/usr/local/opt", "postgresql", "bin"));
        folders
            .iter()
            .find_map(|folder| Programs::in_folder(folder))
            .ok_or(PostgresError::NotInstalled {
                looked: "looked on PATH, in /usr/lib/postgresql and in Homebrew's folders".to_owned(),
            })
    }

    /// Where they lie.
    pub(super) fn folder(&self) -> PathBuf {
        self.postgres.parent().map(Path::to_owned).unwrap_or_default()
    }

    fn in_folder(folder: &Path) -> Option<Programs> {
        let programs = Programs {
            initdb: folder.join("initdb"),
            postgres: folder.join("postgres"),
        };
        (is_executable(&programs.initdb) && is_executable(&programs.postgres)).then_some(programs)
    }
}

/// The folders `parent/<prefix><anything>/<below>`, the highest version first.
fn versioned(parent: &str, prefix: &str, below: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return Vec::new();
    };
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            let rest = name.strip_prefix(prefix)?;
            let digits: String = rest
                .trim_start_matches('@')
                .chars()
                .take_while(char::is_ascii_digit)
                .collect();
            Some((digits.parse().unwrap_or(0), entry.path().join(below)))
        })
        .collect();
    found.sort_by(|left, right| right.cmp(left));
    found.into_iter().map(|(_, folder)| folder).collect()
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// A shell that runs a script as we are.
pub(super) fn plain_shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(script);
    command
}

/// The ordinary user as whom root runs PostgreSQL, and the program that makes the change.
#[derive(Debug)]
pub(super) struct Account {
    user: String,
    uid: u32,
    gid: u32,
    switch: Switch,
}

#[derive(Debug, Clone, Copy)]
enum Switch {
    Setpriv,
    Runuser,
    Su,
}

impl Account {
    /// `None` when we are an ordinary user ourselves.
    pub(super) fn choose() -> Result<Option<Account>, PostgresError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let switches = [
            ("setpriv", Switch::Setpriv),
            ("runuser", Switch::Runuser),
            ("su", Switch::Su),
        ];
        let Some((_, switch)) = switches.into_iter().find(|(name, _)| is_on_path(name)) else {
            let missing = "none of setpriv, runuser and su is installed".to_owned();
            return Err(PostgresError::NoAccount { missing });
        };
        for user in ["postgres", "nobody"] {
            if let (Some(uid), Some(gid)) = (id("-u", user), id("-g", user)) {
                return Ok(Some(Account {
                    user: user.to_owned(),
                    uid,
                    gid,
                    switch,
                }));
            }
        }
        let missing = "there is neither a user postgres nor a user nobody".to_owned();
        Err(PostgresError::NoAccount { missing })
    }

    pub(super) fn give(&self, path: &Path) -> std::io::Result<()> {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
    }

    /// A shell that runs a script as this user.
    pub(super) fn shell(&self, script: &str) -> Command {
        match self.switch {
            Switch::Setpriv => {
                let mut command = Command::new("setpriv");
                command
                    .arg(format!("--reuid={}", self.uid))
                    .arg(format!("--regid={}", self.gid));
                command.args(["--clear-groups", "/bin/sh", "-c", script]);
                command
            }
            Switch::Runuser => {
                let mut command = Command::new("runuser");
                command.args(["-u", &self.user, "--", "/bin/sh", "-c", script]);
                command
            }
            Switch::Su => {
                let mut command = Command::new("su");
                command.args([&self.user, "-s", "/bin/sh", "-c", script]);
                command
            }
        }
    }
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| is_executable(&folder.join(program)))
}

fn id(which: &str, user: &str) -> Option<u32> {
    let output = Command::new("id").args([which, user]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

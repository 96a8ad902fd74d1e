//! Where the product's binary is: named by `BINCARD_BIN`, or built once a process in the profile that the
//! running test was built in.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Why there is no binary.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BinaryError {
    /// `BINCARD_BIN` names what is not there.
    #[error("BINCARD_BIN names {path}, which is not a file")]
    Missing {
        /// What it names.
        path: PathBuf,
    },
    /// The running program does not lie in a target folder of cargo's.
    #[error("cannot tell the profile: the running program {program} does not lie in a target folder")]
    NoProfile {
        /// The running program.
        program: PathBuf,
    },
    /// Cargo did not build it.
    #[error("cargo build -p bincard failed:\n{output}")]
    NotBuilt {
        /// What cargo printed.
        output: String,
    },
}

/// The `bincard` binary of the current profile. Builds it first, which takes a moment when it is up to date;
/// `BINCARD_BIN` names one that is taken as it is.
///
/// # Errors
/// When it is not where it is said to be or cannot be built.
pub fn bincard_binary() -> Result<PathBuf, BinaryError> {
    static BUILT: OnceLock<Result<PathBuf, BinaryError>> = OnceLock::new();
    BUILT.get_or_init(find_or_build).clone()
}

fn find_or_build() -> Result<PathBuf, BinaryError> {
    if let Some(named) = std::env::var_os("BINCARD_BIN") {
        let path = PathBuf::from(named);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(BinaryError::Missing { path })
        };
    }
    let profile_folder = profile_folder()?;
    build(&profile_folder)?;
    Ok(profile_folder.join("bincard"))
}

/// `target/<profile>`, from the running program in it or in its `deps`.
fn profile_folder() -> Result<PathBuf, BinaryError> {
    let program = std::env::current_exe().unwrap_or_default();
    let mut folder = program.parent().unwrap_or(Path::new("")).to_owned();
    if folder.ends_with("deps") || folder.ends_with("examples") {
        folder.pop();
    }
    if folder.parent().is_some_and(Path::is_dir) {
        return Ok(folder);
    }
    Err(BinaryError::NoProfile { program })
}

fn build(profile_folder: &Path) -> Result<(), BinaryError> {
    let profile = match profile_folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(named) => named,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--package",
            "bincard",
            "--bin",
            "bincard",
            "--profile",
            profile,
        ])
        .arg("--target-dir")
        .arg(profile_folder.parent().unwrap_or(profile_folder))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(BinaryError::NotBuilt {
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        }),
        Err(error) => Err(BinaryError::NotBuilt {
            output: error.to_string(),
        }),
    }
}

//! Checks of the tree that a compiler does not make. Each finding says where it is and what to do about it.

mod arrows;
mod links;
mod sources;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// What was found. Warnings do not fail.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) problems: Vec<String>,
    pub(crate) warnings: Vec<String>,
    pub(crate) files: usize,
}

impl Findings {
    fn problem(&mut self, place: &str, what: &str) {
        self.problems.push(format!("{place}: {what}"));
    }

    fn warning(&mut self, place: &str, what: &str) {
        self.warnings.push(format!("{place}: {what}"));
    }
}

/// Checks the workspace that cargo was started in.
pub(crate) fn run() -> Result<Findings> {
    let metadata = metadata()?;
    let root = metadata["workspace_root"]
        .as_str()
        .context("cargo metadata names no root")?;
    let root = Path::new(root);
    let mut findings = Findings::default();
    arrows::check(&metadata, &mut findings)?;
    let mut files = Vec::new();
    list(root, &mut files)?;
    files.sort();
    for file in &files {
        let name = file.strip_prefix(root)?.display().to_string();
        // What is not text has no words to check.
        let Ok(text) = fs::read_to_string(file) else {
            continue;
        };
        findings.files += 1;
        sources::check_paths(&name, &text, &mut findings);
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => sources::check_rust(&name, &text, &mut findings),
            Some("md") => links::check(&name, &text, file.parent().unwrap_or(root), &mut findings),
            _ => {}
        }
    }
    Ok(findings)
}

/// What is resolved for this machine's platform. `--offline`: it was downloaded to build this very program, and nobody
/// waits for a network.
fn metadata() -> Result<serde_json::Value> {
    let rustc = Command::new("rustc").arg("-vV").output();
    let rustc = rustc.context("rustc does not start: is it on the PATH?")?;
    let version = String::from_utf8_lossy(&rustc.stdout);
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("`rustc -vV` names no host")?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let output = cargo
        .args([
            "metadata",
            "--format-version",
            "1",
            "--offline",
            "--filter-platform",
            host,
        ])
        .output()
        .context("cargo does not start: is it on the PATH?")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "cargo metadata failed (run `cargo fetch` once): {complaint}"
    );
    serde_json::from_slice(&output.stdout).context("cargo metadata is not JSON")
}

/// All files below `folder` but what is built and what is hidden.
fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_hidden = name.starts_with('.') && name != ".ci" && name != ".cargo" && name != ".github";
        if is_hidden || name == "target" || name == "node_modules" {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            list(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

//! The project's chores: `cargo run -p bincard-xtask -- tidy`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a chore tells what it found"
)]

mod tidy;

use std::process::ExitCode;

use anyhow::Result;

const USAGE: &str = "usage: cargo run -p bincard-xtask -- tidy

tidy  checks what the compiler does not: arrows between crates, sizes and openings of files, names, links";

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let ["tidy"] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] else {
        eprintln!("{USAGE}");
        return Ok(ExitCode::from(2));
    };
    let findings = tidy::run()?;
    for finding in &findings.warnings {
        println!("warning: {finding}");
    }
    for finding in &findings.problems {
        println!("{finding}");
    }
    let (problems, warnings) = (findings.problems.len(), findings.warnings.len());
    println!(
        "tidy: {problems} problems, {warnings} warnings in {} files",
        findings.files
    );
    Ok(if problems == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

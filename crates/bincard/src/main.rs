//! Bincard, the binary: configuration, wiring, command line.

mod cli;
mod commands;
mod config;
mod exit;
mod folder;
mod import;
mod logging;
mod output;
mod progress;
mod serving;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    exit::code_of(cli::Cli::parse().run())
}

//! Bincard, the binary: configuration, wiring, command line.

// The help texts of the command line are doc comments, and `[default: …]` in them is no link.
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "help texts have brackets that are no links"
)]

mod asking;
mod cli;
mod commands;
mod config;
mod exit;
mod folder;
mod import;
mod listing;
mod logging;
mod output;
mod progress;
mod serving;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    exit::code_of(cli::Cli::parse().run())
}

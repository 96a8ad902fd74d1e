//! `bincard completions`: a script by which a shell completes what is typed.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use crate::cli::Cli;

/// See the command line's own words.
#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// The shell: bash, zsh, fish, elvish or powershell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut script = Vec::new();
        generate(self.shell, &mut Cli::command(), "bincard", &mut script);
        super::write_out(&String::from_utf8_lossy(&script))
    }
}

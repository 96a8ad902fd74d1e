//! The command line, as clap reads it. What each command does stands in its module under `commands`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands;
use crate::config::{Config, Overrides};
use crate::logging;

/// An event-sourced inventory ledger: cannot oversell, loses nothing it acknowledged, explains every number.
#[derive(Parser, Debug)]
#[command(name = "bincard", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Settings")]
struct Settings {
    /// The folder that holds everything [env: BINCARD_DATA_DIR] [default: ./bincard-data]
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// A PostgreSQL database that keeps the ledgers instead, for any number of nodes [env: BINCARD_DATABASE_URL]
    #[arg(long, global = true, value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,
    /// A file of settings (`bincard config` writes one with every default)
    #[arg(long, global = true, env = "BINCARD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// How log lines are written: auto, plain or json [env: BINCARD_LOG_FORMAT]
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<String>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Serve the ledgers of a data folder
    Serve(commands::serve::Serve),
    /// Serve a scratch folder with a sample warehouse in it, and print what to try
    Demo(commands::demo::Demo),
    /// Import files into the ledger of a stopped data folder, or through a running server
    Import(commands::import::Import),
    /// Show what lies where, now or at an instant
    Stock(commands::stock::Stock),
    /// Show the movements of a variant, the newest first
    History(commands::history::History),
    /// Write stock, movements or events to a file
    Export(commands::export::Export),
    /// Hold the log against its hashes, and the views against the log
    Verify(commands::verify::Verify),
    /// Replay the log and compare every view with it, in a stopped folder or on a running server
    Reconcile(commands::reconcile::Reconcile),
    /// Build views anew from the log
    Rebuild(commands::rebuild::Rebuild),
    /// Look at the log itself
    Log(commands::log::Log),
    /// Move ledgers from a stopped data folder into PostgreSQL, or back
    Move(commands::moving::Move),
    /// Ship what is new in the ledgers to a backup, in a folder or an S3-compatible bucket
    Ship(commands::ship::Ship),
    /// Restore ledgers from a backup, or try whether it can be done
    Restore(commands::restore::Restore),
    /// Make the tables that PostgreSQL needs
    Migrate(commands::migrate::Migrate),
    /// Write a ledger's state down, so that the next start replays nothing
    Snapshot(commands::snapshot::Snapshot),
    /// Add and list tenants
    #[command(subcommand)]
    Tenant(commands::tenant::Tenant),
    /// Add, list and disable users, and set their passwords
    User(commands::user::User),
    /// Make, list and revoke API keys
    Key(commands::key::Key),
    /// Let many clients take the same stock of a running server, and check every unit
    Race(commands::race::Race),
    /// Write every setting with its default and meaning
    Config,
    /// Write a completion script for a shell
    Completions(commands::completions::Completions),
}

impl Cli {
    /// Does what was asked for.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let overrides = Overrides {
            data_dir: self.settings.data_dir,
            database_url: self.settings.database_url,
            log_format: self.settings.log_format,
            roles: match &self.command {
                Command::Serve(serve) => serve.roles.clone(),
                _ => None,
            },
            nats_url: match &self.command {
                Command::Serve(serve) => serve.nats_url.clone(),
                _ => None,
            },
            ship_to: match &self.command {
                Command::Serve(serve) => serve.ship_to.clone(),
                _ => None,
            },
            listen: match &self.command {
                Command::Serve(serve) => serve.listen.clone(),
                _ => None,
            },
        };
        let is_server = matches!(self.command, Command::Serve(_) | Command::Demo(_));
        let config = || -> anyhow::Result<Config> {
            let config = Config::open(self.settings.config.as_deref(), &overrides)?;
            logging::start(&config, is_server)?;
            Ok(config)
        };
        match self.command {
            Command::Serve(serve) => serve.run(&config()?),
            Command::Demo(demo) => demo.run(&config()?),
            Command::Verify(verify) => verify.run(&config()?),
            Command::Rebuild(rebuild) => rebuild.run(&config()?),
            Command::Reconcile(reconcile) => reconcile.run(&config()?),
            Command::Import(import) => import.run(&config()?),
            Command::Stock(stock) => stock.run(&config()?),
            Command::History(history) => history.run(&config()?),
            Command::Export(export) => export.run(&config()?),
            Command::Log(log) => log.run(&config()?),
            Command::Move(moving) => moving.run(&config()?),
            Command::Ship(ship) => ship.run(&config()?),
            Command::Restore(restore) => restore.run(&config()?),
            Command::Migrate(migrate) => migrate.run(&config()?),
            Command::Snapshot(snapshot) => snapshot.run(&config()?),
            Command::Tenant(tenant) => tenant.run(&config()?),
            Command::User(user) => user.run(&config()?),
            Command::Key(key) => key.run(&config()?),
            Command::Race(race) => race.run(),
            Command::Config => commands::write_out(crate::config::DEFAULTS),
            Command::Completions(completions) => completions.run(),
        }
    }
}

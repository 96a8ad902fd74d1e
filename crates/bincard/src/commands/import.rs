//! `bincard import`: files to stock events, by a mapping.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use uuid::Uuid;

use crate::config::Config;
use crate::exit::{SaidAlready, WrongUse, chain_of, shown};
use crate::folder::DataFolder;
use crate::import::{self, FolderTarget, Job, Mapping, Outlets, ReadOptions, Report, ServerTarget, Target};

/// See the command line's own words.
#[derive(Args, Debug)]
pub(crate) struct Import {
    /// The files, in the order in which they are imported: CSV or NDJSON, also gzip, or - for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The mapping that says how rows become stock events
    #[arg(long, value_name = "MAPPING.toml")]
    mapping: PathBuf,
    /// What the data is called, instead of the mapping's `source`: the keys of its events derive from it
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Make the warehouses and variants that the rows name, and record no event
    #[arg(long)]
    catalogue_only: bool,
    /// Where rows go that cannot be imported; a file that is there is kept, and the next free name taken [default:
    /// FILE.rejects.csv, or as FILE ends]
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Where rows of events go that the ledger refused [default: FILE.refused.csv]
    #[arg(long, value_name = "FILE")]
    refused: Option<PathBuf>,
    /// Where rows of events go that are recorded already with other content [default: FILE.conflicts.csv]
    #[arg(long, value_name = "FILE")]
    conflicts: Option<PathBuf>,
    /// Fail when any row was not imported
    #[arg(long)]
    strict: bool,
    /// Write the report as JSON to this file, too
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
    /// Import through the server at this address, instead of into a stopped data folder
    #[arg(long, requires = "key", value_name = "URL")]
    url: Option<String>,
    /// The API key to show the server
    #[arg(long, env = "BINCARD_KEY", hide_env_values = true, value_name = "KEY")]
    key: Option<String>,
    /// The tenant whose ledger it is (without --url)
    #[arg(long, default_value = "default", value_name = "NAME", conflicts_with = "url")]
    tenant: String,
    /// In whose name, by e-mail address or username (without --url) [default: nobody's]
    #[arg(long = "as", value_name = "LOGIN", conflicts_with = "url")]
    as_user: Option<String>,
    /// How many events are handed over at once
    #[arg(long, default_value_t = 1_024, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    batch: u16,
}

impl Import {
    pub(crate) fn run(self, config: &Config) -> anyhow::Result<()> {
        let mapping = Mapping::open(&self.mapping, self.source.as_deref())?;
        let jobs = self.jobs(&mapping)?;
        let mut report = Report {
            source: mapping.source.clone(),
            ..Report::default()
        };
        let done = match (&self.url, &self.key) {
            (Some(url), Some(key)) => {
                let mut target = ServerTarget::new(url, key)?;
                self.import_all(&mapping, &jobs, &mut target, &mut report)
            }
            _ => self.import_into_folder(config, &mapping, &jobs, &mut report),
        };
        let failure = done.err();
        report.failure = failure.as_ref().map(chain_of);
        self.write_report(&report)?;
        for sentence in import::advice(&report) {
            let _ = writeln!(std::io::stderr(), "bincard: {}", shown(&sentence));
        }
        match failure {
            Some(failure) => Err(failure),
            None => self.judge(&report),
        }
    }

    fn import_into_folder(
        &self,
        config: &Config,
        mapping: &Mapping,
        jobs: &[Job],
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let folder = DataFolder::of(config)?;
        let _claim = folder.claim()?;
        let (tenant, author) = super::block_on(async {
            let accounts = folder.accounts(config).await?;
            let tenant = folder.tenant(&accounts, &self.tenant).await?;
            let author = match &self.as_user {
                None => Uuid::nil(),
                Some(login) => {
                    let user = accounts
                        .user_find(login)
                        .await?
                        .filter(|user| user.tenant == tenant);
                    user.ok_or_else(|| WrongUse(format!("tenant {tenant} has no user {login:?}")))?
                        .id
                }
            };
            accounts.close().await?;
            Ok((tenant, author))
        })?;
        let engine = folder.engine(config, &tenant)?;
        let mut target = FolderTarget::new(engine.ledger(), author);
        let done = self.import_all(mapping, jobs, &mut target, report);
        engine.close();
        done
    }

    fn import_all(
        &self,
        mapping: &Mapping,
        jobs: &[Job],
        target: &mut dyn Target,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let options = ReadOptions {
            events_max: usize::from(self.batch),
            catalogue_only: self.catalogue_only,
        };
        for job in jobs {
            let (file, failure) = import::import(job, mapping, options, target);
            report.files.push(file);
            report.head = target.head().ok();
            if let Some(failure) = failure {
                return Err(failure);
            }
        }
        Ok(())
    }

    fn jobs(&self, mapping: &Mapping) -> anyhow::Result<Vec<Job>> {
        let given = [
            ("--rejects", &self.rejects),
            ("--refused", &self.refused),
            ("--conflicts", &self.conflicts),
        ];
        let job = |file: &PathBuf| {
            for (option, path) in given {
                if path.is_some() && self.files.len() > 1 {
                    return Err(WrongUse(format!(
                        "{option} goes with one FILE: rows of different files do not mix"
                    )));
                }
                if path.as_ref() == Some(file) {
                    return Err(WrongUse(format!(
                        "{} is the file to import: give {option} another name",
                        file.display()
                    )));
                }
            }
            let beside = Outlets::beside(file, import::format_of(file, mapping));
            Ok(Job {
                file: file.clone(),
                outlets: Outlets {
                    rejects: self.rejects.clone().unwrap_or(beside.rejects),
                    refused: self.refused.clone().unwrap_or(beside.refused),
                    conflicts: self.conflicts.clone().unwrap_or(beside.conflicts),
                },
            })
        };
        Ok(self.files.iter().map(job).collect::<Result<_, _>>()?)
    }

    fn write_report(&self, report: &Report) -> anyhow::Result<()> {
        let mut text: String = report.files.iter().map(import::FileReport::to_text).collect();
        if let Some(head) = &report.head {
            text.push_str(&format!(
                "ledger: position {}, hash {}\n",
                head.position, head.hash
            ));
        }
        super::write_out(&text)?;
        let Some(file) = &self.report else {
            return Ok(());
        };
        let json = serde_json::to_vec_pretty(report)?;
        let written = std::fs::File::create(file).and_then(|mut file| file.write_all(&json));
        written.with_context(|| format!("the report {} cannot be written", file.display()))
    }

    /// An import succeeds when it came to its end and brought something, whatever rows were not imported; with
    /// `--strict` only when all were.
    fn judge(&self, report: &Report) -> anyhow::Result<()> {
        let is_whole = report.files.iter().all(import::FileReport::is_whole);
        let is_fruitless = report.files.iter().any(import::FileReport::is_fruitless);
        if is_fruitless || (self.strict && !is_whole) {
            return Err(SaidAlready.into());
        }
        Ok(())
    }
}

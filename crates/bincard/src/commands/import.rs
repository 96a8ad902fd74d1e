//! `bincard import`: files to stock events, by a mapping.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use uuid::Uuid;

use crate::config::Config;
use crate::exit::{SaidAlready, WrongUse, chain_of};
use crate::folder::DataFolder;
use crate::import::{self, FolderTarget, Job, Mapping, ReadOptions, Report, ServerTarget, Target};

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
    /// Where rows go that cannot be imported [default: FILE.rejects.csv]
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Fail when any row was rejected
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
        let jobs = self.jobs()?;
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
        let folder = DataFolder::of(config);
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

    fn jobs(&self) -> anyhow::Result<Vec<Job>> {
        if self.rejects.is_some() && self.files.len() > 1 {
            return Err(WrongUse(
                "--rejects goes with one FILE: rows of different files do not mix".to_owned(),
            )
            .into());
        }
        let rejects_of = |file: &Path| match (&self.rejects, file == Path::new("-")) {
            (Some(rejects), _) => rejects.clone(),
            (None, true) => PathBuf::from("import.rejects.csv"),
            (None, false) => {
                let mut name = file.as_os_str().to_owned();
                name.push(".rejects.csv");
                PathBuf::from(name)
            }
        };
        let job = |file: &PathBuf| {
            let rejects = rejects_of(file);
            if rejects == *file {
                let file = file.display();
                return Err(WrongUse(format!(
                    "{file} cannot take its own rejects: give --rejects another name"
                ))
                .into());
            }
            Ok(Job {
                file: file.clone(),
                rejects,
            })
        };
        self.files.iter().map(job).collect()
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

    /// An import succeeds when it came to its end and brought something, whatever rows were rejected; with `--strict`
    /// only when none was.
    fn judge(&self, report: &Report) -> anyhow::Result<()> {
        let rejected: u64 = report.files.iter().map(|file| file.rows_rejected).sum();
        if rejected == 0 {
            return Ok(());
        }
        let fruitless = report.files.iter().any(import::FileReport::is_fruitless);
        let files: Vec<_> = report
            .files
            .iter()
            .filter_map(|file| file.rejects_file.as_deref())
            .collect();
        let _ = writeln!(
            std::io::stderr(),
            "bincard: {} rows were rejected. {} says why; mend them there and import that file with --source {}-2",
            import::grouped(rejected),
            files.join(", "),
            report.source,
        );
        if self.strict || fruitless {
            Err(SaidAlready.into())
        } else {
            Ok(())
        }
    }
}

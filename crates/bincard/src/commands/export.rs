//! `bincard export`: stock, movements or events as a file, to their end.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};

use crate::asking::{Answer, Where};
use crate::config::Config;
use crate::exit::WrongUse;
use crate::listing::{self, Format};

/// See the command line's own words.
#[derive(Args, Debug)]
pub(crate) struct Export {
    /// What to export
    #[arg(value_name = "WHAT")]
    what: What,
    /// The file to write; standard output when left out
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// csv or ndjson [default: as FILE ends, csv elsewhere]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Only at the warehouse with this code
    #[arg(long, value_name = "CODE")]
    warehouse: Option<String>,
    /// Only of the variant with this SKU (stock, movements)
    #[arg(long, value_name = "SKU")]
    sku: Option<String>,
    /// By what had occurred by this instant (stock)
    #[arg(long, value_name = "INSTANT")]
    as_of: Option<String>,
    /// By what had been recorded by this instant (stock)
    #[arg(long, value_name = "INSTANT")]
    known_at: Option<String>,
    /// Only what occurred at this instant or later (movements, events)
    #[arg(long, value_name = "INSTANT")]
    from: Option<String>,
    /// Only what occurred at this instant or earlier (movements, events)
    #[arg(long, value_name = "INSTANT")]
    to: Option<String>,
    #[command(flatten)]
    at: Where,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    /// What lies where
    Stock,
    /// What changed, with what there was before and after
    Movements,
    /// Stock events; in CSV a row a line of an event
    Events,
}

impl Export {
    pub(crate) fn run(self, config: &Config) -> anyhow::Result<()> {
        self.check()?;
        super::block_on(self.write(config))
    }

    /// Refuses options that do not go with what is exported, instead of passing over them.
    fn check(&self) -> Result<(), WrongUse> {
        let (is_stock, is_events) = (self.what == What::Stock, self.what == What::Events);
        let wrong = [
            ("--sku", self.sku.is_some() && is_events, "stock and movements"),
            ("--as-of", self.as_of.is_some() && !is_stock, "stock"),
            ("--known-at", self.known_at.is_some() && !is_stock, "stock"),
            ("--from", self.from.is_some() && is_stock, "movements and events"),
            ("--to", self.to.is_some() && is_stock, "movements and events"),
            (
                "--format table",
                self.format == Some(Format::Table),
                "`bincard stock` and `history`",
            ),
        ];
        match wrong.iter().find(|(_, is_wrong, _)| *is_wrong) {
            Some((option, _, with)) => Err(WrongUse(format!("{option} goes with {with}"))),
            None => Ok(()),
        }
    }

    fn format(&self) -> Format {
        let ending = self.output.as_deref().and_then(Path::extension);
        let is_lines = ending.is_some_and(|ending| ["ndjson", "jsonl"].iter().any(|one| ending == *one));
        self.format
            .unwrap_or(if is_lines { Format::Ndjson } else { Format::Csv })
    }

    async fn write(&self, config: &Config) -> anyhow::Result<()> {
        let source = self.at.open(config).await?;
        let written = async {
            let (path, query) = match self.what {
                What::Stock => (
                    "/api/v1/stock",
                    vec![
                        ("sku", &self.sku),
                        ("asOf", &self.as_of),
                        ("knownAt", &self.known_at),
                    ],
                ),
                What::Movements => (
                    "/api/v1/movements",
                    vec![
                        ("sku", &self.sku),
                        ("occurredFrom", &self.from),
                        ("occurredTo", &self.to),
                    ],
                ),
                What::Events => (
                    "/api/v1/stock-events",
                    vec![("occurredFrom", &self.from), ("occurredTo", &self.to)],
                ),
            };
            let warehouse = match &self.warehouse {
                Some(code) => Some(source.warehouse(code).await?),
                None => None,
            };
            let mut query: Vec<(&str, &str)> = query
                .into_iter()
                .filter_map(|(name, value)| Some((name, value.as_deref()?)))
                .collect();
            query.extend(warehouse.as_deref().map(|id| ("warehouseId", id)));
            let answer = source.get(path, &query, self.format().accept()).await?;
            match &self.output {
                Some(file) => into_file(answer, file).await,
                None => listing::copy(answer, usize::MAX).await,
            }
        }
        .await;
        source.close().await?;
        written
    }
}

/// Writes beside the file first: what broke off never stands under its name.
async fn into_file(mut answer: Answer, file: &Path) -> anyhow::Result<()> {
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let cannot = || format!("{} cannot be written", part.display());
    let mut out = std::fs::File::create(&part).with_context(cannot)?;
    let written = async {
        while let Some(bytes) = answer.chunk().await? {
            out.write_all(bytes.as_ref()).with_context(cannot)?;
        }
        out.sync_all().with_context(cannot)?;
        std::fs::rename(&part, file).with_context(|| format!("{} cannot be replaced", file.display()))
    }
    .await;
    if written.is_err() {
        // What went wrong is told; that the rest of it stays is not worse.
        let _ = std::fs::remove_file(&part);
    }
    written
}

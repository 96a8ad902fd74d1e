//! `bincard demo`: a server on a scratch folder, with two days of an online shop's warehouse already in it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use bincard_access::{FirstAdmin, NewKey, Plan, Role, TenantName};
use bincard_ledger::PublicIds;
use bincard_projections::ViewName;
use clap::Args;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::config::{Config, Secret};
use crate::folder::DataFolder;
use crate::import::{self, FileFormat, FolderTarget, Job, Mapping, Outlets, ReadOptions};
use crate::serving;

const LINES: &[u8] = include_bytes!("../../../../examples/online-retail/lines.csv.gz");
const LINES_MAPPING: &str = include_str!("../../../../examples/online-retail/mapping.toml");
const OPENING: &[u8] = include_bytes!("../../../../examples/online-retail/opening-stock.csv.gz");
const OPENING_MAPPING: &str = include_str!("../../../../examples/online-retail/opening-stock.toml");
/// What the commands to try are about: it sells well.
const SKU: &str = "85123A";
const WAREHOUSE: &str = "UK-1";
/// How long the views of the sample may take before something is wrong.
const VIEWS_MAX: Duration = Duration::from_secs(60);

/// See the command line's own words.
#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// Where to listen; port 0 takes any free one [default: 127.0.0.1:8080, or any free one when that is taken]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Keep the scratch folder at the end
    #[arg(long)]
    keep: bool,
}

impl Demo {
    pub(crate) fn run(self, config: &Config) -> anyhow::Result<()> {
        let scratch = tempfile::Builder::new()
            .prefix("bincard-demo-")
            .disable_cleanup(self.keep)
            .tempdir();
        let scratch = scratch.context("a scratch folder cannot be made")?;
        let config = Config {
            data_dir: scratch.path().join("data"),
            // What is made up belongs in no database, and is nobody else's news.
            database_url: Secret(String::new()),
            database_url_file: String::new(),
            nats_url: Secret(String::new()),
            ..config.clone()
        };
        let folder = DataFolder::of(&config)?;
        let _claim = folder.claim()?;
        let sample = load(&folder, &config, scratch.path())?;
        serving::runtime(&config)?.block_on(async {
            let listener = self.listen(&config).await?;
            let accounts = folder.accounts(&config).await?;
            let admin = match accounts.ensure_first_admin(None, None).await? {
                FirstAdmin::Created {
                    user,
                    password: Some(password),
                } => {
                    format!("{}  password {}", user.email, password.reveal())
                }
                FirstAdmin::Created { .. } | FirstAdmin::NotNeeded => "there is one already".to_owned(),
            };
            let new = NewKey {
                name: "demo",
                role: Role::Admin,
                warehouses: &[],
                plan: Plan::Service,
                expires_at: None,
                created_by: None,
            };
            let key = accounts
                .key_create(&TenantName::default_tenant(), new)
                .await?
                .secret;
            let app = serving::open(accounts, serving::options(&folder, &config)?).await?;
            let url = serving::base_url(&config, &listener)?;
            let kept = if self.keep {
                "kept"
            } else {
                "removed at the end; --keep keeps it"
            };
            let more = format!(
                "\n{}\n  data     {} ({kept})\n  ADMIN    {admin}\n  API key  {}\n\n{}",
                sample.about,
                config.data_dir.display(),
                key.reveal(),
                to_try(&url, key.reveal(), &sample),
            );
            let open = app.ledgers().open(&TenantName::default_tenant()).await?;
            let head = open.ledger.reader().head().position;
            open.views.wait_for(&ViewName::ALL, head, VIEWS_MAX).await?;
            drop(open);
            serving::serve(listener, app, &config, &more).await
        })
    }

    async fn listen(&self, config: &Config) -> anyhow::Result<TcpListener> {
        match &self.listen {
            Some(address) => serving::listen(address).await,
            None => match serving::listen(&config.listen).await {
                Ok(listener) => Ok(listener),
                Err(_) => serving::listen("127.0.0.1:0").await,
            },
        }
    }
}

/// What was loaded, and what to ask about.
struct Sample {
    about: String,
    warehouse: Uuid,
    variant: Uuid,
}

/// Loads the sample as `import` would: names first, then what lay there, then what was sold.
fn load(folder: &DataFolder, config: &Config, scratch: &Path) -> anyhow::Result<Sample> {
    let lines = scratch.join("lines.csv.gz");
    let opening = scratch.join("opening-stock.csv.gz");
    fs::write(&lines, LINES)?;
    fs::write(&opening, OPENING)?;
    let engine = folder.engine(config, &TenantName::default_tenant())?;
    let ledger = engine.ledger();
    let mut target = FolderTarget::new(ledger.clone(), Uuid::nil());
    let mut events = 0;
    for (file, mapping, catalogue_only) in [
        (&lines, LINES_MAPPING, true),
        (&opening, OPENING_MAPPING, false),
        (&lines, LINES_MAPPING, false),
    ] {
        let mapping = Mapping::parse(mapping, None).map_err(anyhow::Error::msg)?;
        let job = Job {
            file: file.clone(),
            outlets: Outlets::beside(file, FileFormat::Csv),
        };
        let options = ReadOptions {
            events_max: 1_024,
            catalogue_only,
        };
        let (report, failure) = import::import(&job, &mapping, options, &mut target);
        if let Some(failure) = failure {
            return Err(failure.context("the sample cannot be loaded"));
        }
        events += report.recorded.events;
    }
    let (names, ids) = (ledger.names(), PublicIds::new(ledger.id()));
    let variant = names
        .variant_by_sku(SKU)
        .context("the sample lacks what the commands to try are about")?;
    let warehouse = names
        .warehouse_by_code(WAREHOUSE)
        .context("the sample lacks its warehouse")?;
    let (_, variants) = names.counts();
    engine.close();
    Ok(Sample {
        about: format!("Two days of an online shop: {variants} articles, {events} stock events."),
        warehouse: ids.warehouse(warehouse),
        variant: ids.variant(variant),
    })
}

/// Commands to paste, each with what it shows.
fn to_try(url: &str, key: &str, sample: &Sample) -> String {
    let Sample {
        warehouse, variant, ..
    } = sample;
    let post = format!(
        "curl -s {url}/api/v1/stock-events -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json'"
    );
    let get = format!("curl -s -H 'Authorization: Bearer {key}'");
    let sale = |quantity: u64| {
        format!(
            r#"{{"type":"OUTBOUND","reasonCode":"SALE","warehouseId":"{warehouse}","lines":[{{"variantId":"{variant}","quantity":{quantity}}}]}}"#
        )
    };
    format!(
        "Try, by pasting:\n\n\
         # What is on hand of {SKU}, the white hanging heart\n{get} '{url}/api/v1/stock?sku={SKU}'\n\n\
         # The same at noon of 1 December 2010\n{get} '{url}/api/v1/stock?sku={SKU}&asOf=2010-12-01T12:00:00Z'\n\n\
         # Sell three. Twice: the second time it is the same sale, not another\n\
         {post} -H 'Idempotency-Key: my-first-sale' -d '{}'\n\n\
         # Sell a million: 409, with what there is\n{post} -d '{}'\n\n\
         # Its latest events\n{get} '{url}/api/v1/stock-events?variantId={variant}&size=3'\n\n\
         # The ledger's head, whose hash commits to everything before it\n{get} '{url}/api/v1/ledger'\n\n\
         Every route: {url}/docs\nEnd: Ctrl-C\n",
        sale(3),
        sale(1_000_000),
    )
}

//! Requests to a ledger: through a running server, or in a stopped data folder by a server within this process. Both are
//! asked in the same words.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use bincard_access::{Accounts, TenantName};
use bincard_api::{App, Local, LocalAnswer};
use clap::Args;
use reqwest::{Client, Response, Url};
use serde_json::Value;

use crate::config::Config;
use crate::exit::WrongUse;
use crate::folder::{Claim, DataFolder, engine_options};

/// A view of a stopped folder is brought up to the log first, which takes its time after an import or another version.
const VIEW_WAIT_MAX: Duration = Duration::from_secs(3_600);
/// A server says something at least so often while it works.
const SILENCE_MAX: Duration = Duration::from_secs(120);
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Where to ask.
#[derive(Args, Debug)]
pub(crate) struct Where {
    /// Ask the server at this address, instead of a stopped data folder
    #[arg(long, requires = "key", value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The API key to show the server
    #[arg(long, env = "BINCARD_KEY", hide_env_values = true, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// The tenant whose ledger it is (without --url)
    #[arg(long, default_value = "default", value_name = "NAME", conflicts_with = "url")]
    pub(crate) tenant: String,
}

/// What is asked: opened, and to be closed.
pub(crate) struct Source {
    kind: Kind,
    /// Where the log stood when this was opened: what is read is at least as new.
    position: String,
}

enum Kind {
    Server { base: Url, key: String, client: Client },
    Folder(Box<Folder>),
}

struct Folder {
    local: Local,
    app: Arc<App>,
    accounts: Accounts,
    _claim: Claim,
}

/// An answer whose body is read as it comes.
pub(crate) enum Answer {
    Server(Response),
    Folder(LocalAnswer),
}

impl Where {
    /// Opens what is to be asked.
    pub(crate) async fn open(&self, config: &Config) -> anyhow::Result<Source> {
        let kind = match (&self.url, &self.key) {
            (Some(url), Some(key)) => open_server(url, key)?,
            _ => Kind::Folder(Box::new(open_folder(config, &self.tenant).await?)),
        };
        let mut source = Source {
            kind,
            position: String::new(),
        };
        let ledger = source.json("/api/v1/ledger").await?;
        source.position = ledger["head"]["position"].to_string();
        Ok(source)
    }
}

fn open_server(url: &str, key: &str) -> anyhow::Result<Kind> {
    let base = crate::commands::parse_url(url)?;
    // An error says that one is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .connect_timeout(CONNECT_MAX)
        .read_timeout(SILENCE_MAX)
        .build()?;
    Ok(Kind::Server {
        base,
        key: key.to_owned(),
        client,
    })
}

async fn open_folder(config: &Config, tenant: &str) -> anyhow::Result<Folder> {
    let folder = DataFolder::existing(config)?;
    let claim = folder.claim()?;
    let accounts = folder.accounts(config).await?;
    let tenant: TenantName = folder.tenant(&accounts, tenant).await?;
    if !folder.has_ledger(&tenant)? {
        return Err(anyhow!("tenant {tenant} has no ledger: nothing was recorded yet"));
    }
    let options = bincard_api::Options {
        engine: engine_options(config),
        read_wait_max: VIEW_WAIT_MAX,
        database: folder.database().cloned(),
        views: folder.views_database().cloned(),
        ..bincard_api::Options::new(folder.ledgers_path())
    };
    let app = Arc::new(App::new(accounts.clone(), options));
    app.ledgers().open(&tenant).await?;
    Ok(Folder {
        local: Local::new(app.clone(), tenant),
        app,
        accounts,
        _claim: claim,
    })
}

impl Source {
    /// Asks for a list in a format; fails with the problem where that is the answer.
    pub(crate) async fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
        accept: &str,
    ) -> anyhow::Result<Answer> {
        let mut url = match &self.kind {
            Kind::Server { base, .. } => {
                Url::parse(&format!("{}{path}", base.as_str().trim_end_matches('/')))?
            }
            Kind::Folder(_) => Url::parse("http://folder")?.join(path)?,
        };
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut fields = vec![("accept", accept)];
        if !self.position.is_empty() {
            fields.push(("ledger-min-position", &self.position));
        }
        let (status, mut answer) = match &self.kind {
            Kind::Server { base, key, client } => {
                let mut request = client.get(url).bearer_auth(key);
                for (name, value) in fields {
                    request = request.header(name, value);
                }
                let sent = request.send().await;
                let response = sent.with_context(|| format!("the server at {base} did not answer"))?;
                (response.status().as_u16(), Answer::Server(response))
            }
            Kind::Folder(folder) => {
                let target = match url.query() {
                    Some(query) => format!("{}?{query}", url.path()),
                    None => url.path().to_owned(),
                };
                let answer = folder.local.get(&target, &fields).await?;
                (answer.status, Answer::Folder(answer))
            }
        };
        if (200..300).contains(&status) {
            return Ok(answer);
        }
        Err(problem(status, &answer.whole().await?, query, |_| None))
    }

    /// A whole answer of JSON.
    pub(crate) async fn json(&self, path: &str) -> anyhow::Result<Value> {
        self.json_of(path, &[]).await
    }

    /// Posts JSON, and answers what comes of it. `name_of` says what is called by a JSON pointer, where the user knows it by
    /// another name.
    pub(crate) async fn post(
        &self,
        path: &str,
        json: &Value,
        name_of: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Value> {
        let (status, mut answer) = match &self.kind {
            Kind::Server { base, key, client } => {
                let url = Url::parse(&format!("{}{path}", base.as_str().trim_end_matches('/')))?;
                let request = client.post(url).bearer_auth(key);
                let request = request.header("content-type", "application/json");
                let sent = request.body(json.to_string()).send().await;
                let response = sent.with_context(|| format!("the server at {base} did not answer"))?;
                (response.status().as_u16(), Answer::Server(response))
            }
            Kind::Folder(folder) => {
                let answer = folder.local.post(path, json.to_string()).await?;
                (answer.status, Answer::Folder(answer))
            }
        };
        let bytes = answer.whole().await?;
        if !(200..300).contains(&status) {
            return Err(problem(status, &bytes, &[], name_of));
        }
        serde_json::from_slice(&bytes)
            .with_context(|| format!("{path} answered what this program does not know"))
    }

    pub(crate) async fn json_of(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Value> {
        let mut answer = self.get(path, query, "application/json").await?;
        let bytes = answer.whole().await?;
        serde_json::from_slice(&bytes)
            .with_context(|| format!("{path} answered what this program does not know"))
    }

    /// The id of the warehouse with this code.
    pub(crate) async fn warehouse(&self, code: &str) -> anyhow::Result<String> {
        let found = self.json_of("/api/v1/warehouses", &[("code", code)]).await?;
        match found["content"][0]["id"].as_str() {
            Some(id) => Ok(id.to_owned()),
            None => Err(WrongUse(format!(
                "--warehouse: there is no warehouse with the code {code:?}"
            ))
            .into()),
        }
    }

    /// Lets go of what was opened.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        if let Kind::Folder(folder) = self.kind {
            let Folder {
                local, app, accounts, ..
            } = *folder;
            drop(local);
            app.close().await;
            accounts.close().await?;
        }
        Ok(())
    }
}

impl Answer {
    /// The next bytes; `None` at the end.
    pub(crate) async fn chunk(&mut self) -> anyhow::Result<Option<impl AsRef<[u8]>>> {
        let broke_off = "the answer broke off before its end: what was written is not all";
        Ok(match self {
            Answer::Server(response) => response.chunk().await.context(broke_off)?,
            Answer::Folder(answer) => answer.chunk().await.context(broke_off)?,
        })
    }

    async fn whole(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut whole = Vec::new();
        while let Some(bytes) = self.chunk().await? {
            whole.extend_from_slice(bytes.as_ref());
        }
        Ok(whole)
    }
}

/// What a problem says, and what to do about it.
fn problem(
    status: u16,
    body: &[u8],
    query: &[(&str, &str)],
    name_of: impl Fn(&str) -> Option<String>,
) -> anyhow::Error {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let title = body["title"].as_str().unwrap_or("it does not say why");
    let errors = body["errors"].as_array().into_iter().flatten();
    let errors: Vec<String> = errors
        .map(|error| {
            let at = ["parameter", "header", "pointer"]
                .iter()
                .find_map(|at| error[*at].as_str());
            let at = at.unwrap_or_default();
            let name = name_of(at).unwrap_or_else(|| option_of(at).to_owned());
            format!("{name} {}", error["detail"].as_str().unwrap_or_default())
        })
        .collect();
    let errors = if errors.is_empty() {
        String::new()
    } else {
        format!(" ({})", errors.join("; "))
    };
    let said = format!("{title}{errors}");
    match status {
        401 => anyhow!("{said}: the server does not know this --key; make one with `bincard key create`"),
        403 => anyhow!("{said}: a key of a SELLER reads its own warehouses only; name one by --warehouse"),
        404 => {
            let asked = query
                .iter()
                .map(|(name, value)| format!("{} {value:?}", option_of(name)));
            WrongUse(format!("{said}: {}", asked.collect::<Vec<_>>().join(", "))).into()
        }
        400 => WrongUse(said).into(),
        429 => anyhow!("{said}: wait, or use a key on the plan `service`"),
        503 => anyhow!("{said}: try again; `GET /api/v1/ledger` tells how far the views are"),
        _ => anyhow!("the answer was {status}: {said}"),
    }
}

/// The option, or the argument, by which a parameter is given.
fn option_of(parameter: &str) -> &str {
    match parameter {
        "warehouseId" => "--warehouse",
        "sku" => "SKU",
        "lot" => "--lot",
        "lots" => "--lots",
        "asOf" => "--as-of",
        "knownAt" => "--known-at",
        "occurredFrom" => "--from",
        "occurredTo" => "--to",
        other => other,
    }
}

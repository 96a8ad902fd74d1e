//! A server on a folder of its own, and a client that is its ADMIN.

use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bincard_testkit::server::{Server, ServerOptions, bincard_binary};
use serde_json::{Value, json};

pub(crate) const EMAIL: &str = "admin@example.com";
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// A data folder that goes away at the end, and the server on it.
pub(crate) struct Site {
    pub(crate) server: Server,
    pub(crate) folder: tempfile::TempDir,
}

impl Site {
    pub(crate) fn start() -> Result<Site> {
        let folder = bincard_testkit::scratch::folder("site")?;
        let options = ServerOptions::bincard(bincard_binary()?, folder.path(), EMAIL, PASSWORD);
        Ok(Site {
            server: Server::start(options)?,
            folder,
        })
    }

    /// Logs the first ADMIN in.
    pub(crate) async fn admin(&self) -> Result<Client> {
        Client::log_in(&self.server.url("")?).await
    }

    /// Runs the binary with these arguments on this folder.
    pub(crate) fn bincard(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(bincard_binary()?);
        command.args(arguments).arg("--data-dir").arg(self.folder.path());
        command.output().context("the binary could not be run")
    }
}

/// An answer: its status and its JSON.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) replayed: bool,
}

impl Answer {
    /// Whether what was asked for is recorded: something was made, or a lot recalled or released.
    pub(crate) fn is_taken(&self) -> bool {
        matches!(self.status, 200 | 201)
    }

    /// The id of what was made, or of the lot.
    pub(crate) fn id(&self) -> Option<&str> {
        self.body["id"].as_str().or(self.body["lot"]["id"].as_str())
    }
}

/// Talks to one server as its ADMIN.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Client {
    pub(crate) async fn log_in(url: &str) -> Result<Client> {
        // An error says that one is installed already, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = reqwest::Client::builder().build()?;
        let credentials = json!({ "email": EMAIL, "password": PASSWORD });
        let answer = http
            .post(format!("{url}/api/auth/login"))
            .json(&credentials)
            .send()
            .await?;
        let status = answer.status();
        let body: Value = answer.json().await?;
        ensure!(status == 200, "the login answered {status}: {body}");
        let token = body["data"]["access_token"]
            .as_str()
            .context("a login without access_token")?
            .to_owned();
        Ok(Client {
            http,
            url: url.to_owned(),
            token,
        })
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(crate) async fn post(&self, path: &str, body: &Value, key: Option<&str>) -> Result<Answer> {
        let mut request = self
            .http
            .post(format!("{}{path}", self.url))
            .bearer_auth(&self.token)
            .json(body);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        answered(request).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Result<Answer> {
        let request = self.http.patch(format!("{}{path}", self.url));
        answered(request.bearer_auth(&self.token).json(body)).await
    }

    pub(crate) async fn get(&self, path: &str, min_position: u64) -> Result<Answer> {
        let request = self
            .http
            .get(format!("{}{path}", self.url))
            .bearer_auth(&self.token);
        answered(request.header("Ledger-Min-Position", min_position)).await
    }

    /// The raw feed from a ledger that has come to `min_position`, a JSON value a line.
    pub(crate) async fn feed(&self, min_position: u64) -> Result<Vec<Value>> {
        let url = format!("{}/api/v1/ledger/events?after=0&limit=1000000", self.url);
        let text = self
            .http
            .get(url)
            .bearer_auth(&self.token)
            .header("Ledger-Min-Position", min_position)
            .send()
            .await?
            .error_for_status()?
            .text()
            .await?;
        text.lines()
            .filter(|line| !line.is_empty())
            .map(|line| Ok(serde_json::from_str(line)?))
            .collect()
    }

    /// The raw feed from its beginning on and on, as it comes.
    pub(crate) async fn follow(
        &self,
    ) -> Result<impl futures_util::Stream<Item = reqwest::Result<bytes::Bytes>> + Unpin + use<>> {
        let url = format!("{}/api/v1/ledger/events?after=0&follow=true", self.url);
        let response = self.http.get(url).bearer_auth(&self.token).send().await?;
        Ok(Box::pin(response.error_for_status()?.bytes_stream()))
    }

    /// The position that the ledger has come to, as this server knows it.
    pub(crate) async fn head(&self) -> Result<u64> {
        let head = self.get("/api/v1/ledger", 0).await?;
        head.body["head"]["position"]
            .as_u64()
            .with_context(|| format!("no head in {head:?}"))
    }

    /// Creates something and answers its id.
    pub(crate) async fn create(&self, path: &str, body: &Value) -> Result<String> {
        let answer = self.post(path, body, None).await?;
        ensure!(answer.status == 201, "POST {path} answered {answer:?}");
        Ok(answer.body["id"]
            .as_str()
            .context("a created thing without id")?
            .to_owned())
    }
}

/// Sends a request, again and again while it is one too many.
async fn answered(request: reqwest::RequestBuilder) -> Result<Answer> {
    loop {
        let again = request
            .try_clone()
            .context("a request that can be sent once only")?;
        let response = again.send().await?;
        if response.status() != 429 {
            return read(response).await;
        }
        let wait = response.headers().get("retry-after").context("no Retry-After")?;
        tokio::time::sleep(Duration::from_secs(wait.to_str()?.parse()?)).await;
    }
}

async fn read(response: reqwest::Response) -> Result<Answer> {
    let status = response.status().as_u16();
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let replayed = header("idempotency-replayed") == Some("true");

    let text = response.text().await?;
    let body = serde_json::from_str(&text).with_context(|| format!("{status} with no JSON: {text}"))?;
    Ok(Answer {
        status,
        body,
        replayed,
    })
}

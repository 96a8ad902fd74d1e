//! The race's HTTP client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

/// How much of the log is read at once.
const EVENTS_AT_ONCE: u32 = 10_000;

/// A status and a JSON body.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
    /// The version that the warehouse has come to, as `If-Match` takes it.
    pub(super) tag: Option<String>,
    /// Where in the log it is, or was found to be so.
    pub(super) position: Option<u64>,
}

impl Answer {
    /// The id in the body.
    pub(super) fn id(&self) -> Result<String> {
        Ok(self.body["id"]
            .as_str()
            .with_context(|| format!("no id in {}", self.body))?
            .to_owned())
    }

    /// The problem's code.
    pub(super) fn code(&self) -> &str {
        let kind = self.body["type"].as_str().unwrap_or_default();
        kind.strip_prefix("/problems/").unwrap_or(kind)
    }
}

/// Talks to one server as one caller, and remembers the highest position it was answered. Cheap to clone.
#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    url: String,
    key: String,
    position: Arc<AtomicU64>,
}

impl Client {
    pub(super) fn new(url: &str, key: &str) -> Result<Client> {
        let url = crate::commands::parse_url(url)?;
        // An error says that one is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .build()
            .context("the HTTP client could not be made")?;
        let url = url.as_str().trim_end_matches('/').to_owned();
        Ok(Client {
            http,
            url,
            key: key.to_owned(),
            position: Arc::default(),
        })
    }

    /// The highest position that a write was answered.
    pub(super) fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    /// Creates something and answers its id.
    pub(super) async fn create(&self, path: &str, body: &Value) -> Result<String> {
        let answer = self.post(path, body, None, None).await?;
        ensure!(
            answer.status == 201,
            "POST {path} answered {}: {}",
            answer.status,
            answer.body
        );
        answer.id()
    }

    pub(super) async fn post(
        &self,
        path: &str,
        body: &Value,
        key: Option<&str>,
        version: Option<&str>,
    ) -> Result<Answer> {
        let mut request = self.request(Method::POST, path).json(body);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(version) = version {
            request = request.header("If-Match", version);
        }
        self.send(request).await
    }

    pub(super) async fn patch(&self, path: &str, body: &Value) -> Result<()> {
        let answer = self.send(self.request(Method::PATCH, path).json(body)).await?;
        ensure!(
            answer.status == 200,
            "PATCH {path} answered {}: {}",
            answer.status,
            answer.body
        );
        Ok(())
    }

    /// Reads from views that have reached `position`.
    pub(super) async fn read(&self, path: &str, position: u64) -> Result<Answer> {
        let request = self
            .request(Method::GET, path)
            .header("Ledger-Min-Position", position);
        let answer = self.send(request).await?;
        ensure!(
            answer.status == 200,
            "GET {path} answered {}: {}",
            answer.status,
            answer.body
        );
        Ok(answer)
    }

    /// Some events of the log after a position, in their order; none when there are no more.
    pub(super) async fn events(&self, after: u64) -> Result<Vec<Value>> {
        let path = format!("/api/v1/ledger/events?after={after}&limit={EVENTS_AT_ONCE}");
        let response = self.request(Method::GET, &path).send().await;
        let response = response.context("the server did not answer")?;
        let status = response.status().as_u16();
        let text = response.text().await.context("the answer broke off")?;
        ensure!(status == 200, "GET {path} answered {status}: {text}");
        let lines = text.lines().filter(|line| !line.is_empty());
        lines
            .map(|line| serde_json::from_str(line).with_context(|| format!("no event: {line}")))
            .collect()
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(&self.key)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Answer> {
        let response = request.send().await.context("the server did not answer")?;
        let status = response.status().as_u16();
        let position = response
            .headers()
            .get("ledger-position")
            .and_then(|value| value.to_str().ok());
        let position = position.and_then(|text| text.parse().ok());
        if let Some(position) = position {
            self.position.fetch_max(position, Ordering::Relaxed);
        }
        let tag = response.headers().get("etag");
        let tag = tag.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let text = response.text().await.context("the answer broke off")?;
        let body = serde_json::from_str(&text)
            .with_context(|| format!("{status} with a body that is no JSON: {text}"))?;
        Ok(Answer {
            status,
            body,
            tag,
            position,
        })
    }
}

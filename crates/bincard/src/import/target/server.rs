//! Imports through a running server, by its bulk routes.

mod wire;

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use chrono::{DateTime, SecondsFormat};
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;
use tokio::runtime::Runtime;
use uuid::Uuid;

use self::wire::{
    Answer, LedgerAnswer, Listed, NewEvent, NewLine, NewVariant, NewWarehouse, PageOf, Problem,
    parse_answers, reason_name, said,
};
use super::{HeadReport, Made, Outcome, Target, put};
use crate::import::plan::{PlannedEvent, PlannedVariant, PlannedWarehouse};
use crate::import::run::name_of;

/// How often something is tried that fails for now, and how long to wait after the first time; twice as long each
/// time after it.
const TRIES_MAX: u32 = 7;
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// A server says something at least so often while it works.
const SILENCE_MAX: Duration = Duration::from_secs(120);
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Catalogue entries a request.
const ENTRIES_MAX: usize = 2_000;
const WAREHOUSES: &str = "/api/v1/warehouses";
const VARIANTS: &str = "/api/v1/variants";

/// A running server.
pub(crate) struct ServerTarget {
    base: Url,
    key: String,
    client: Client,
    runtime: Runtime,
    /// By the number within the import: the server's id, or why there is none.
    variants: Vec<Result<Uuid, String>>,
    skus: Vec<Box<str>>,
    depots: Vec<Result<Uuid, String>>,
}

/// Why an attempt brought nothing.
enum Attempt {
    /// It may do so later.
    Again(anyhow::Error, Option<Duration>),
    Never(anyhow::Error),
}

impl ServerTarget {
    /// Imports through the server at `url`, as the holder of `key`.
    pub(crate) fn new(url: &str, key: &str) -> anyhow::Result<ServerTarget> {
        let base = crate::commands::parse_url(url)?;
        // An error says that one is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .connect_timeout(CONNECT_MAX)
            .read_timeout(SILENCE_MAX)
            .build()?;
        Ok(ServerTarget {
            base,
            key: key.to_owned(),
            client,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
            variants: Vec::new(),
            skus: Vec::new(),
            depots: Vec::new(),
        })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base.as_str().trim_end_matches('/'))
    }

    /// Sends lines to a bulk route until each has an answer that is more than "not now". Lines are sent again as they
    /// were: with their keys, at most one of the attempts records them.
    fn bulk(&self, path: &str, lines: &[Vec<u8>]) -> anyhow::Result<Vec<Answer>> {
        let mut body = Vec::new();
        for line in lines {
            body.extend_from_slice(line);
            body.push(b'\n');
        }
        let first: std::cell::RefCell<Vec<Answer>> = std::cell::RefCell::default();
        self.patiently(async || {
            let request = self.client.post(self.url(path)).bearer_auth(&self.key);
            let request = request
                .header("content-type", "application/x-ndjson")
                .body(body.clone());
            let text = read(request.send().await, path).await?;
            let answers = parse_answers(&text, lines.len()).map_err(Attempt::Never)?;
            let later = answers
                .iter()
                .find(|answer| answer.status == 503 || answer.status == 429);
            if let Some(later) = later {
                let why = anyhow!(
                    "the server did not take line {}: {}",
                    later.line,
                    said(later.problem.as_ref())
                );
                keep_recorded(&mut first.borrow_mut(), answers);
                return Err(Attempt::Again(why, None));
            }
            Ok(answers)
        })
        .map(|mut answers| {
            // What the first attempt recorded, a later one calls replayed.
            for answer in first.into_inner() {
                if let Some(again) = answers.get_mut(answer.line.saturating_sub(1)) {
                    again.replayed = answer.replayed;
                }
            }
            answers
        })
    }

    fn get<T: for<'de> Deserialize<'de>>(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<T> {
        let text = self.patiently(async || {
            let mut url = Url::parse(&self.url(path)).map_err(|error| Attempt::Never(error.into()))?;
            url.query_pairs_mut().extend_pairs(query);
            read(self.client.get(url).bearer_auth(&self.key).send().await, path).await
        })?;
        serde_json::from_slice(&text)
            .with_context(|| format!("{path} answered what this program does not know"))
    }

    /// Tries until it succeeds or there is no hope.
    fn patiently<T>(&self, mut attempt: impl AsyncFnMut() -> Result<T, Attempt>) -> anyhow::Result<T> {
        self.runtime.block_on(async {
            let mut pause = RETRY_AFTER;
            for _ in 1..TRIES_MAX {
                match attempt().await {
                    Ok(done) => return Ok(done),
                    Err(Attempt::Never(error)) => return Err(error),
                    Err(Attempt::Again(error, after)) => {
                        let after = after.unwrap_or(pause).min(Duration::from_secs(60));
                        tracing::warn!("{error:#}; trying again in {} ms", after.as_millis());
                        tokio::time::sleep(after).await;
                        pause *= 2;
                    }
                }
            }
            match attempt().await {
                Ok(done) => Ok(done),
                Err(Attempt::Never(error) | Attempt::Again(error, _)) => {
                    Err(error.context("importing the file again goes on where this stopped"))
                }
            }
        })
    }

    /// Makes entries by a bulk route. Answers the id of each, with whether it was made now.
    fn make(&self, path: &str, lines: &[Vec<u8>]) -> anyhow::Result<Vec<Result<(Uuid, bool), String>>> {
        let mut entries = Vec::with_capacity(lines.len());
        for lines in lines.chunks(ENTRIES_MAX) {
            let answers = self.bulk(&format!("{path}/bulk"), lines)?;
            entries.extend(
                answers
                    .into_iter()
                    .map(|answer| match (answer.id, answer.problem) {
                        (Some(id), None) => Ok((id, !answer.replayed)),
                        (
                            _,
                            Some(Problem {
                                taken_by: Some(id), ..
                            }),
                        ) => Ok((id, false)),
                        (_, problem) => Err(said(problem.as_ref())),
                    }),
            );
        }
        Ok(entries)
    }

    fn find_variant(&self, sku: &str) -> anyhow::Result<Result<Uuid, String>> {
        let found: PageOf<Listed> = self.get(VARIANTS, &[("sku", sku), ("size", "500")])?;
        let exact = found.content.into_iter().find(|listed| listed.sku == sku);
        Ok(exact
            .map(|listed| listed.id)
            .ok_or_else(|| format!("there is no variant with SKU {sku}")))
    }

    fn write(&self, event: &PlannedEvent) -> Result<Vec<u8>, String> {
        let line = |(sku, quantity): &(crate::import::plan::SkuNo, i64)| -> Result<NewLine, String> {
            Ok(NewLine {
                variant_id: self.variants[sku.0 as usize].clone()?,
                quantity: *quantity,
            })
        };
        let at = DateTime::from_timestamp_micros(event.occurred_at.micros())
            .ok_or("its time cannot be written")?;
        let event = NewEvent {
            r#type: name_of(event.kind),
            warehouse_id: self.depots[event.depot.0 as usize].clone()?,
            occurred_at: at.to_rfc3339_opts(SecondsFormat::Micros, true),
            reason_code: event.reason.map(reason_name),
            notes: event.notes.as_deref(),
            lines: event.lines.iter().map(line).collect::<Result<_, _>>()?,
            idempotency_key: &event.key,
        };
        serde_json::to_vec(&event).map_err(|error| error.to_string())
    }

    /// What becomes of an event that the server did not take.
    fn refusal(&self, problem: Option<&Problem>, event: &PlannedEvent) -> Outcome {
        if problem.is_some_and(|problem| problem.detail.as_deref() == Some("stock-idempotency-conflict")) {
            return super::conflicting(None);
        }
        Outcome::Refused(self.explain(problem, event))
    }

    /// Why an event was refused, with SKUs instead of ids where the rows tell them.
    fn explain(&self, problem: Option<&Problem>, event: &PlannedEvent) -> String {
        let Some(problem) = problem.filter(|problem| !problem.shortages.is_empty()) else {
            return said(problem);
        };
        let short = problem.shortages.iter().map(|short| {
            let is_short = |no: &usize| self.variants[*no].as_ref().is_ok_and(|id| *id == short.variant);
            let which = event.lines.iter().map(|(sku, _)| sku.0 as usize).find(is_short);
            let which = which.map_or_else(
                || format!("variant {}", short.variant),
                |no| format!("SKU {}", self.skus[no]),
            );
            format!(
                "{which}: {} asked for, {} there",
                short.requested, short.available
            )
        });
        format!("not enough stock: {}", short.collect::<Vec<_>>().join("; "))
    }
}

impl Target for ServerTarget {
    fn enter(&mut self, depots: &[PlannedWarehouse], variants: &[PlannedVariant]) -> anyhow::Result<Made> {
        let mut made = Made::default();
        let lines = depots.iter().map(|depot| NewWarehouse {
            code: &depot.code,
            name: &depot.name,
        });
        let lines: Vec<_> = lines
            .map(|line| serde_json::to_vec(&line))
            .collect::<Result<_, _>>()?;
        for (depot, entry) in depots.iter().zip(self.make(WAREHOUSES, &lines)?) {
            made.warehouses += u64::from(entry.as_ref().is_ok_and(|(_, is_made)| *is_made));
            let entry = entry
                .map(|(id, _)| id)
                .map_err(|why| format!("warehouse {}: {why}", depot.code));
            put(&mut self.depots, depot.no.0, entry);
        }
        for variant in variants {
            // A variant may be planned twice: to be looked for, and then to be made.
            if variant.no.0 as usize == self.skus.len() {
                self.skus.push(variant.sku.clone());
            }
        }
        let asked: Vec<_> = variants.iter().filter(|variant| variant.create).collect();
        let lines = asked.iter().map(|variant| NewVariant {
            sku: &variant.sku,
            name: &variant.name,
        });
        let lines: Vec<_> = lines
            .map(|line| serde_json::to_vec(&line))
            .collect::<Result<_, _>>()?;
        for (variant, entry) in asked.into_iter().zip(self.make(VARIANTS, &lines)?) {
            made.variants += u64::from(entry.as_ref().is_ok_and(|(_, is_made)| *is_made));
            let entry = entry
                .map(|(id, _)| id)
                .map_err(|why| format!("SKU {}: {why}", variant.sku));
            put(&mut self.variants, variant.no.0, entry);
        }
        for variant in variants.iter().filter(|variant| !variant.create) {
            let entry = self.find_variant(&variant.sku)?;
            put(&mut self.variants, variant.no.0, entry);
        }
        Ok(made)
    }

    fn record(&mut self, events: &[PlannedEvent]) -> anyhow::Result<Vec<Outcome>> {
        let written: Vec<_> = events.iter().map(|event| self.write(event)).collect();
        let lines: Vec<Vec<u8>> = written
            .iter()
            .filter_map(|line| line.as_ref().ok().cloned())
            .collect();
        let answers = if lines.is_empty() {
            Vec::new()
        } else {
            self.bulk("/api/v1/stock-events/bulk", &lines)?
        };
        let mut answers = answers.into_iter();
        let mut outcomes = Vec::with_capacity(events.len());
        for (event, line) in events.iter().zip(written) {
            outcomes.push(match line {
                Err(reason) => Outcome::Refused(reason),
                Ok(_) => match answers
                    .next()
                    .context("the server answered fewer lines than it was sent")?
                {
                    Answer {
                        status: 507, problem, ..
                    } => bail!("{}", said(problem.as_ref())),
                    Answer {
                        status: 200..=299,
                        replayed: true,
                        ..
                    } => Outcome::Replayed,
                    Answer {
                        status: 200..=299, ..
                    } => Outcome::Recorded,
                    Answer { problem, .. } => self.refusal(problem.as_ref(), event),
                },
            });
        }
        Ok(outcomes)
    }

    fn head(&mut self) -> anyhow::Result<HeadReport> {
        let ledger: LedgerAnswer = self.get("/api/v1/ledger", &[])?;
        Ok(ledger.head)
    }
}

/// The body of an answer that is one.
async fn read(sent: reqwest::Result<Response>, path: &str) -> Result<Vec<u8>, Attempt> {
    let again = |error: reqwest::Error| {
        Attempt::Again(
            anyhow::Error::new(error).context(format!("the server did not answer {path}")),
            None,
        )
    };
    let response = sent.map_err(again)?;
    let status = response.status();
    let after = response
        .headers()
        .get("retry-after")
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let body = response.bytes().await.map_err(again)?.to_vec();
    if status.is_success() {
        return Ok(body);
    }
    let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
    let why = anyhow!(
        "the server answered {path} with {status}: {}",
        said(Some(&problem))
    );
    match status {
        StatusCode::UNAUTHORIZED => Err(Attempt::Never(why.context("the server does not know this --key"))),
        StatusCode::FORBIDDEN => Err(Attempt::Never(
            why.context("this --key may not import: it needs role MANAGER or ADMIN"),
        )),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY => {
            Err(Attempt::Again(why, after.map(Duration::from_secs)))
        }
        _ => Err(Attempt::Never(why)),
    }
}

/// Keeps the answers that say that something was recorded now, unless an earlier attempt had them.
fn keep_recorded(kept: &mut Vec<Answer>, answers: Vec<Answer>) {
    let is_done = |answer: &Answer| (200..300).contains(&answer.status);
    for answer in answers.into_iter().filter(is_done) {
        if !kept.iter().any(|one| one.line == answer.line) {
            kept.push(answer);
        }
    }
}

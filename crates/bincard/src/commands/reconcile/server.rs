//! A reconciliation on a running server.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Client, RequestBuilder};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{LOOK_EVERY, Outcome, PAGE, Steps, Told, ViewOutcome, check, conclude, tell, tell_views};
use bincard_projections::reconcile::RunState;

pub(super) const PATH: &str = "/api/v1/reconciliations";
const CONNECT_MAX: Duration = Duration::from_secs(10);
const ANSWER_MAX: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunAnswer {
    pub(super) id: u64,
    pub(super) state: State,
    pub(super) progress: Option<ProgressAnswer>,
    views: Vec<ViewAnswer>,
    pub(super) differing: u64,
    pub(super) error: Option<String>,
}

impl RunAnswer {
    pub(super) fn is_under_way(&self) -> bool {
        matches!(self.state, State::Waiting | State::Running)
    }

    pub(super) fn show(&self, steps: &mut Steps) {
        if let Some(at) = &self.progress {
            steps.show(at.view.as_deref(), at.replayed, at.through, at.rows);
        }
    }
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum State {
    Waiting,
    Running,
    Agrees,
    Differs,
    Cancelled,
    Failed,
}

impl From<State> for RunState {
    fn from(state: State) -> RunState {
        match state {
            State::Waiting => RunState::Waiting,
            State::Running => RunState::Running,
            State::Agrees => RunState::Agrees,
            State::Differs => RunState::Differs,
            State::Cancelled => RunState::Cancelled,
            State::Failed => RunState::Failed,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct ProgressAnswer {
    pub(super) view: Option<String>,
    pub(super) replayed: u64,
    pub(super) through: u64,
    pub(super) rows: u64,
}

#[derive(Deserialize)]
struct ViewAnswer {
    view: String,
    position: u64,
    rows: u64,
    differing: u64,
    unnamed: u64,
    damage: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageAnswer {
    content: Vec<DifferenceAnswer>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DifferenceAnswer {
    view: String,
    table: String,
    key: String,
    field: Option<String>,
    expected: Option<String>,
    found: Option<String>,
    first_event: Option<FirstAnswer>,
}

#[derive(Deserialize)]
struct FirstAnswer {
    position: u64,
}

struct Server {
    base: String,
    key: String,
    client: Client,
}

impl Server {
    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.base))
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        let answer = request.bearer_auth(&self.key).send().await;
        let answer = answer.context("the server did not answer")?;
        let (status, body) = (answer.status(), answer.bytes().await?);
        if !status.is_success() {
            let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
            let why = problem["title"]
                .as_str()
                .unwrap_or("it said nothing more")
                .to_owned();
            bail!("the server answered with {status}: {why}");
        }
        serde_json::from_slice(&body).context("the server answered what this program does not know")
    }
}

impl Server {
    fn open(url: &str, key: &str) -> anyhow::Result<Server> {
        let base = crate::commands::parse_url(url)?;
        // An error says that one is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .connect_timeout(CONNECT_MAX)
            .timeout(ANSWER_MAX)
            .build()?;
        Ok(Server {
            base: base.as_str().trim_end_matches('/').to_owned(),
            key: key.to_owned(),
            client,
        })
    }

    /// Asks for a run and waits for its end.
    async fn run(&self, asked: &Value) -> anyhow::Result<RunAnswer> {
        let begin = self
            .client
            .post(format!("{}{PATH}", self.base))
            .header("content-type", "application/json")
            .body(asked.to_string());
        let mut run: RunAnswer = self.ask(begin).await?;
        let id = run.id;
        let mut steps = Steps::default();
        while run.is_under_way() {
            run.show(&mut steps);
            tokio::time::sleep(LOOK_EVERY).await;
            run = self.ask(self.get(&format!("{PATH}/{id}"))).await?;
        }
        steps.finish();
        check(id, run.state.into(), run.error.as_deref())?;
        Ok(run)
    }
}

pub(super) fn reconcile(
    url: &str,
    key: &str,
    as_of: Option<&str>,
    known_at: Option<&str>,
) -> anyhow::Result<()> {
    let server = Server::open(url, key)?;
    crate::commands::block_on(async {
        let mut asked = json!({});
        for (field, text) in [("asOf", as_of), ("knownAt", known_at)] {
            if let Some(text) = text {
                asked[field] = text.into();
            }
        }
        let run = server.run(&asked).await?;
        let id = run.id;
        let views = run.views.into_iter();
        let outcome = Outcome {
            id,
            views: views
                .map(|one| ViewOutcome {
                    view: one.view,
                    rows: one.rows,
                    differing: one.differing,
                    unnamed: one.unnamed,
                    position: one.position,
                    damage: one.damage,
                })
                .collect(),
            differing: run.differing,
        };
        tell_views(&outcome)?;
        let mut cursor = None;
        loop {
            let mut path = format!("{PATH}/{id}/differences?size={PAGE}");
            if let Some(cursor) = &cursor {
                path += &format!("&cursor={cursor}");
            }
            let page: PageAnswer = server.ask(server.get(&path)).await?;
            for one in page.content {
                tell(&Told {
                    view: one.view,
                    table: one.table,
                    key: one.key,
                    field: one.field,
                    expected: one.expected,
                    found: one.found,
                    first: one.first_event.map(|first| first.position),
                })?;
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        conclude(&outcome)
    })
}

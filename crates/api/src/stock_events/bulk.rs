//! `POST /api/v1/stock-events/bulk`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use bincard_access::Caller;
use bincard_engine::{Ledger, Receipt};
use bincard_ledger::command::KeySpace;
use bincard_ledger::{Command, IdempotencyKey, Request};
use uuid::Uuid;

use super::create::check_warehouse;
use super::draft::{Draft, Form};
use crate::app::App;
use crate::asker::Asker;
use crate::bulk::{self, LineRead, LineReader, Sender};
use crate::docs::schema::{BulkEvent, BulkResult, Problem};
use crate::failure::{Failure, Forbidden};
use crate::ledgers::OpenLedger;
use crate::wire::json::Json;

/// Records many events, one a line.
///
/// Every line is a request as `POST /api/v1/stock-events` takes it, optionally with an `idempotencyKey` of its own.
/// Lines are decided one by one in their order: one that is refused costs only itself. Results come back while lines
/// are still being sent, one a line and in the same order; read them while you send. Blank lines are passed over (and
/// counted). There may be any number of lines; none may have more than 1 MiB.
#[utoipa::path(
    post,
    path = "/api/v1/stock-events/bulk",
    tag = "Stock events",
    request_body(content = BulkEvent, description = "One a line", content_type = "application/x-ndjson"),
    responses(
        (status = 200, description = "One result a line", body = BulkResult, content_type = "application/x-ndjson"),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn bulk(
    State(app): State<Arc<App>>,
    asker: Asker,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.may_write_stock())?;
    let reader = EventLines {
        ledger: asker.open.ledger.clone(),
        caller: asker.caller.clone(),
    };
    let sender = Sender {
        app,
        caller: asker.caller,
        open: asker.open,
    };
    bulk::answer(sender, &headers, body, reader)
}

struct EventLines {
    ledger: Ledger,
    caller: Arc<Caller>,
}

impl LineReader for EventLines {
    fn read(&mut self, line: &[u8], knows: &[Uuid]) -> Result<LineRead, Failure> {
        let mut draft = Draft::parse(line, Form::Line)?;
        check_warehouse(&self.caller, &self.ledger, draft.warehouse)?;
        let on_behalf_of = draft.user.filter(|user| *user != self.caller.id);
        if let Some(user) = on_behalf_of {
            if !self.caller.may_act_for_others() {
                return Err(Failure::Forbidden(Forbidden::OnBehalf));
            }
            if !knows.contains(&user) {
                return Ok(LineRead::Names(user));
            }
        }
        let key = draft.key.take().map(|key| key_of_line(&key)).transpose()?;
        let command = Command::Stock(draft.into_command(self.ledger.ids(), None)?);
        Ok(LineRead::Asks(Request {
            command,
            author: self.caller.id,
            on_behalf_of,
            key,
        }))
    }

    fn write_id(json: &mut Json, open: &OpenLedger, receipt: &Receipt) {
        json.uuid(open.ledger.ids().event(receipt.position));
    }
}

/// The key that a line has of its own.
pub(crate) fn key_of_line(key: &str) -> Result<IdempotencyKey, Failure> {
    IdempotencyKey::parse(KeySpace::Caller, key)
        .map_err(|_| Failure::at_pointer("/idempotencyKey", "must be 1 to 255 visible ASCII characters"))
}

//! Who asks: from the credentials of a request to a caller within its rate, and that caller's ledger.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use bincard_access::{Caller, Decision};
use bincard_engine::Receipt;
use bincard_ledger::{Command, IdempotencyKey, Position, Request, WarehouseNo};
use uuid::Uuid;

use crate::app::App;
use crate::failure::{Failure, Forbidden, Missing, Unproven};
use crate::ledgers::OpenLedger;
use crate::local::Standing;
use crate::rejected::Shape;
use crate::stock_events::key_of;
use crate::trace::Trace;

/// The cookie that stands for a bearer token.
pub(crate) const SESSION_COOKIE: &str = "session_token";

/// A caller, with its ledger.
pub(crate) struct Asker {
    pub(crate) caller: Arc<Caller>,
    pub(crate) open: Arc<OpenLedger>,
}

impl FromRequestParts<Arc<App>> for Asker {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Asker, Failure> {
        let Identified(caller) = Identified::from_request_parts(parts, app).await?;
        let open = app.ledgers.open(&caller.tenant).await?;
        Ok(Asker { caller, open })
    }
}

/// A caller, whose ledger does not matter.
pub(crate) struct Identified(pub(crate) Arc<Caller>);

impl FromRequestParts<Arc<App>> for Identified {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Identified, Failure> {
        if let Some(Standing(caller)) = parts.extensions.get() {
            return Ok(Identified(caller.clone()));
        }
        let trace = parts.extensions.get::<Arc<Trace>>().cloned();
        let trace = trace.ok_or_else(|| Failure::internal("the request has no trace"))?;
        identify(app, &parts.method, &parts.headers, &trace)
            .await
            .map(Identified)
    }
}

/// The position that a read waits for, from `Ledger-Min-Position`; 0 where none is named.
pub(crate) struct MinPosition(pub(crate) Position);

impl FromRequestParts<Arc<App>> for MinPosition {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<MinPosition, Failure> {
        let Some(value) = parts.headers.get("ledger-min-position") else {
            return Ok(MinPosition(Position(0)));
        };
        let number = value.to_str().ok().and_then(|text| text.parse().ok());
        let position = number.ok_or(Failure::at_header(
            "Ledger-Min-Position",
            "must be a whole number, as a Ledger-Position says it",
        ))?;
        Ok(MinPosition(Position(position)))
    }
}

/// The caller that a request's credentials prove, if it may go on now.
pub(crate) async fn identify(
    app: &App,
    method: &Method,
    headers: &HeaderMap,
    trace: &Trace,
) -> Result<Arc<Caller>, Failure> {
    let Some((token, is_cookie)) = credentials(headers) else {
        app.count_anonymous(trace)?;
        return Err(Failure::Unauthenticated(Unproven::Missing));
    };
    let found = match app.accounts.authenticate_in_memory(token) {
        Some(found) => found,
        // Boxed, like everything on the way of the hottest route that is seldom waited for: its future is moved with every
        // request.
        None => Box::pin(app.accounts.authenticate(token)).await,
    };
    let caller = match found {
        Ok(caller) => caller,
        Err(error) => {
            let failure = Failure::from(error);
            // Credentials that nobody could look at are no guess at any.
            if matches!(failure, Failure::Unauthenticated(_)) {
                app.count_anonymous(trace)?;
            }
            return Err(failure);
        }
    };
    if is_cookie && !matches!(*method, Method::GET | Method::HEAD) && !has_own_origin(headers) {
        return Err(Failure::Forbidden(Forbidden::Origin));
    }
    let decision = app.limits.check(&caller, app.now());
    note_decision(decision, trace)?;
    Ok(caller)
}

/// Keeps for the answer's headers what a decision tells, and fails where it refuses.
pub(crate) fn note_decision(decision: Decision, trace: &Trace) -> Result<(), Failure> {
    if let Some(quota) = decision.quota() {
        // A request that was counted before keeps what it was told first.
        trace.quota.get_or_init(|| quota);
    }
    match decision {
        Decision::Refused { quota, retry_after_s } => Err(Failure::RateLimited { quota, retry_after_s }),
        Decision::Unlimited | Decision::Allowed(_) => Ok(()),
    }
}

/// The token of a request, and whether it came as a cookie.
fn credentials(headers: &HeaderMap) -> Option<(&str, bool)> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme
            .eq_ignore_ascii_case("bearer")
            .then_some((token.trim(), false));
    }
    let cookies = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut pairs = cookies
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(name, _)| *name == SESSION_COOKIE)
        .map(|(_, token)| (token, true))
}

/// How the client's request came: whoever speaks TLS with the client, a proxy or the listener, says so.
pub(crate) fn scheme_of(headers: &HeaderMap) -> &'static str {
    match headers.get("x-forwarded-proto") {
        Some(proto) if proto.as_bytes().eq_ignore_ascii_case(b"https") => "https",
        _ => "http",
    }
}

/// Whether the page that sends this is one of this server's.
pub(crate) fn has_own_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match (text(ORIGIN), text(HOST)) {
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(scheme, authority)| {
            scheme.eq_ignore_ascii_case(scheme_of(headers)) && authority.eq_ignore_ascii_case(host)
        }),
        _ => false,
    }
}

impl Asker {
    /// Fails unless its role allows what it asks for.
    pub(crate) fn must(&self, is_allowed: bool) -> Result<(), Failure> {
        must(is_allowed)
    }

    /// Sends a command under the key of the request's head, in the name of `user` where the body names one.
    pub(crate) async fn submit_for(
        &self,
        app: &App,
        headers: &HeaderMap,
        user: Option<Uuid>,
        command: Command,
        shape: Shape,
    ) -> Result<Receipt, Failure> {
        let on_behalf_of = on_behalf_of(app, &self.caller, user).await?;
        let key = key_of(headers)?;
        self.submit(command, on_behalf_of, key, shape).await
    }

    /// Sends a command of a request of this shape to the ledger.
    pub(crate) async fn submit(
        &self,
        command: Command,
        on_behalf_of: Option<Uuid>,
        key: Option<IdempotencyKey>,
        shape: Shape,
    ) -> Result<Receipt, Failure> {
        let ledger = &self.open.ledger;
        let request = Request {
            command,
            author: self.caller.id,
            on_behalf_of,
            key,
        };
        let decided = ledger.submit(request).await;
        decided.map_err(|refusal| Failure::of_refusal(refusal, ledger, shape))
    }

    /// The warehouse that a list is about. A SELLER names one, and one of its own.
    pub(crate) fn warehouse_to_list(&self, id: Option<Uuid>) -> Result<Option<WarehouseNo>, Failure> {
        match id {
            None if self.caller.is_bound_to_warehouses() => {
                Err(Failure::Forbidden(Forbidden::WarehouseRequired))
            }
            None => Ok(None),
            Some(id) => self.warehouse_to_see(id).map(Some),
        }
    }

    /// The warehouse `id`, if there is one and the caller may see it.
    pub(crate) fn warehouse_to_see(&self, id: Uuid) -> Result<WarehouseNo, Failure> {
        let ledger = &self.open.ledger;
        let no = ledger
            .ids()
            .resolve_warehouse(id)
            .filter(|no| ledger.names().warehouse(*no).is_some());
        let no = no.ok_or(Failure::NotFound(Missing::Warehouse))?;
        if self.caller.may_see_warehouse(id) {
            Ok(no)
        } else {
            Err(Failure::Forbidden(Forbidden::Warehouse))
        }
    }
}

pub(crate) fn must(is_allowed: bool) -> Result<(), Failure> {
    if is_allowed {
        Ok(())
    } else {
        Err(Failure::Forbidden(Forbidden::Role))
    }
}

/// In whose name a command is sent: only an ADMIN names somebody else, and somebody of its tenant.
pub(crate) async fn on_behalf_of(
    app: &App,
    caller: &Caller,
    user: Option<Uuid>,
) -> Result<Option<Uuid>, Failure> {
    let Some(user) = user.filter(|user| *user != caller.id) else {
        return Ok(None);
    };
    if !caller.may_act_for_others() {
        return Err(Failure::Forbidden(Forbidden::OnBehalf));
    }
    match app.accounts.user(&caller.tenant, user).await? {
        Some(_) => Ok(Some(user)),
        None => Err(Failure::at_pointer("/userId", "there is no such user")),
    }
}

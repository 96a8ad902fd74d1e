//! `GET /api/v1/ledger/events`: the log itself, as lines of JSON, to its head or on and on.
//!
//! Events are read some hundred at a time, when the client has taken those before: whoever reads slowly slows nobody
//! else down.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response};
use bincard_ledger::event::SlotChange;
use bincard_ledger::{
    CatalogueEvent, Counting, Event, Kind, Position, Posting, PublicIds, Recorded, StockEvent, Stream,
    VariantNo,
};
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::watch;

use super::cloud_event::of_catalogue;
use crate::answer::LEDGER_POSITION;
use crate::app::App;
use crate::asker::{Asker, MinPosition};
use crate::docs::schema::{FeedEvent, Problem, ReadAfter};
use crate::failure::Failure;
use crate::ledgers::OpenLedger;
use crate::stock_events::write_noted;
use crate::wire::json::Json;
use crate::wire::query::Query;
use crate::wire::spelling;

/// How many events are read at once.
const CHUNK_EVENTS: usize = 256;
const EVENT_BYTES: usize = 512;
/// An empty line is sent after so much silence, so that a connection that has died is noticed.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);

/// The raw feed, one event a line, in the order of positions.
///
/// Not for a SELLER: it has everything. `follow=true` keeps it open and streams on; empty lines keep it alive. Go on
/// where a feed ended by `after` = the last `position` that was read.
#[utoipa::path(
    get,
    path = "/api/v1/ledger/events",
    tag = "Ledger",
    params(
        ("after" = Option<u64>, Query, description = "Only events after this position; from the first when left out"),
        ("limit" = Option<u64>, Query, description = "At most so many; all when left out"),
        ("follow" = Option<bool>, Query, description = "Stay open for what comes"),
        ReadAfter,
    ),
    responses(
        (status = 200, description = "One event a line", body = FeedEvent, content_type = "application/x-ndjson"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn events(
    State(app): State<Arc<App>>,
    asker: Asker,
    MinPosition(min): MinPosition,
    RawQuery(query): RawQuery,
) -> Result<Response<Body>, Failure> {
    asker.must(!asker.caller.is_bound_to_warehouses())?;
    let mut query = Query::parse(query.as_deref());
    let after = Position(query.whole("after").unwrap_or_default());
    let limit = query.whole("limit").unwrap_or(u64::MAX);
    let follow = query.flag("follow").unwrap_or_default();
    query.finish()?;
    asker.open.wait_for_head(min).await?;
    let head = asker.open.ledger.reader().head().position;
    let feed = Feed {
        end: if follow { Position(u64::MAX) } else { head },
        head: asker.open.head.clone(),
        open: asker.open,
        stopping: app.stopping.subscribe(),
        after,
        left: limit,
    };
    let lines = stream::unfold(feed, |mut feed| async {
        let lines = feed.next_lines().await?;
        Some((lines, feed))
    });
    let mut response = Response::new(Body::from_stream(lines));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(LEDGER_POSITION, HeaderValue::from(head.0));
    Ok(response)
}

/// Ends when the server is told to stop.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error says that the server is gone, which is as good.
    drop(stopping.wait_for(|stopping| *stopping).await);
}

/// A feed under way.
struct Feed {
    open: Arc<OpenLedger>,
    head: watch::Receiver<Position>,
    stopping: watch::Receiver<bool>,
    /// The last position that was given.
    after: Position,
    /// Where it ends.
    end: Position,
    /// How many events may still be given.
    left: u64,
}

impl Feed {
    async fn next_lines(&mut self) -> Option<Result<Bytes, io::Error>> {
        if self.left == 0 || self.after >= self.end || *self.stopping.borrow() {
            return None;
        }
        if *self.head.borrow_and_update() <= self.after {
            let after = self.after;
            let moved = tokio::time::timeout(HEARTBEAT_EVERY, self.head.wait_for(|head| *head > after));
            let waited = tokio::select! {
                moved = moved => moved.is_ok(),
                () = stopped(&mut self.stopping) => return None,
            };
            if !waited {
                return Some(Ok(Bytes::from_static(b"\n")));
            }
        }
        Some(self.read().await.inspect_err(|_| self.left = 0))
    }

    /// The next lines. Where the log cannot be read on, the answer breaks off: its status has been sent.
    async fn read(&mut self) -> io::Result<Bytes> {
        let limit = usize::try_from(self.left)
            .unwrap_or(CHUNK_EVENTS)
            .min(CHUNK_EVENTS);
        let (reader, after, end) = (self.open.ledger.reader().clone(), self.after, self.end);
        let ids = self.open.ledger.ids();
        let read = tokio::task::spawn_blocking(move || {
            let events = reader.read(after, limit)?;
            let mut json = Json::with_capacity(events.len() * EVENT_BYTES);
            let given = events.iter().take_while(|event| event.position <= end);
            let mut last = None;
            for (count, event) in (1..).zip(given) {
                write(&mut json, ids, event);
                json.raw("\n");
                last = Some((event.position, count));
            }
            Ok((json, last))
        });
        let read: Result<_, bincard_store::ReadError> = read.await.map_err(io::Error::other)?;
        match read {
            Ok((json, Some((position, count)))) => {
                self.after = position;
                self.left -= count;
                Ok(Bytes::from(json.into_bytes()))
            }
            Ok((_, None)) => Err(io::Error::other("the log ends before its head")),
            Err(error) => {
                tracing::error!(
                    position = after.0,
                    error = &error as &dyn std::error::Error,
                    "the feed cannot be read on"
                );
                Err(io::Error::other(error))
            }
        }
    }
}

/// An event as the feed has it: a line with its end. For whoever reads a log without a server.
pub fn feed_line(ids: PublicIds, recorded: &Recorded) -> Vec<u8> {
    let mut json = Json::with_capacity(EVENT_BYTES);
    write(&mut json, ids, recorded);
    json.raw("\n");
    json.into_bytes()
}

/// One event.
pub(super) fn write(json: &mut Json, ids: PublicIds, recorded: &Recorded) {
    let record = &recorded.record;
    json.raw(r#"{"position":"#).whole(recorded.position.0);
    json.raw(r#","recordedAt":"#).instant(recorded.recorded_at);
    json.raw(r#","stream":"#);
    match record.event.stream() {
        Stream::Catalogue => json.text("catalogue"),
        Stream::Warehouse(no) => json.uuid(ids.warehouse(no)),
    };
    json.raw(r#","version":"#).whole(record.version.0);
    json.raw(r#","authorId":"#).uuid(record.author);
    if let Some(user) = record.on_behalf_of {
        json.raw(r#","onBehalfOfId":"#).uuid(user);
    }
    if let Some(key) = &record.key {
        json.raw(r#","idempotencyKey":"#).text(&key.key.text);
    }
    json.raw(r#","type":"#);
    match &record.event {
        Event::Stock(event) => write_stock(json, ids, recorded.position, event),
        Event::Catalogue(event) => write_catalogue(json, ids, event),
    }
    json.raw("}");
}

fn write_stock(json: &mut Json, ids: PublicIds, position: Position, event: &StockEvent) {
    json.text(spelling::of_kind(event.kind));
    json.raw(r#","id":"#).uuid(ids.event(position));
    json.raw(r#","warehouseId":"#)
        .uuid(ids.warehouse(event.warehouse));
    json.raw(r#","occurredAt":"#).instant(event.occurred_at);
    if let Some(reason) = event.reason {
        json.raw(r#","reasonCode":"#).text(spelling::of_reason(reason));
    }
    if let Some(order) = &event.order {
        json.raw(r#","orderId":"#).text(order);
    }
    if let Some(transfer) = &event.transfer {
        json.raw(r#","transferId":"#).text(transfer);
    }
    if let Some(expires_at) = event.expires_at {
        json.raw(r#","expiresAt":"#).instant(expires_at);
    }
    if let Some(counterpart) = event.counterpart {
        json.raw(r#","counterpartWarehouseId":"#)
            .uuid(ids.warehouse(counterpart));
    }
    if let Some(about) = event.about {
        json.raw(r#","aboutId":"#).uuid(ids.event(about));
    }
    if let Some(notes) = &event.notes {
        json.raw(r#","notes":"#).text(notes);
    }
    write_noted(json, ids, event);
    if let Some(count) = event.count.as_deref() {
        write_count(json, ids, event.kind, count);
    }
    json.raw(r#","postings":["#);
    for (index, posting) in event.postings.iter().enumerate() {
        json.raw(if index == 0 { "" } else { "," });
        write_posting(json, ids, posting);
    }
    json.raw("]");
}

/// What an event has to do with counting. What was expected is told when the count is approved, and not to those who count.
fn write_count(json: &mut Json, ids: PublicIds, kind: Kind, count: &Counting) {
    let variants = |json: &mut Json, variants: &[VariantNo]| {
        json.raw("[");
        for (index, variant) in variants.iter().enumerate() {
            json.raw(if index == 0 { "" } else { "," });
            json.uuid(ids.variant(*variant));
        }
        json.raw("]");
    };
    match count {
        Counting::Opened {
            is_blind,
            variants: of,
        } => {
            json.raw(r#","blind":"#).flag(*is_blind);
            if let Some(of) = of {
                json.raw(r#","variantIds":"#);
                variants(json, of);
            }
        }
        Counting::Seen(of) => {
            json.raw(r#","seenByCount":"#);
            variants(json, of);
        }
        Counting::Undone { at, seen } => {
            json.raw(r#","undoneOccurredAt":"#).instant(*at);
            if !seen.is_empty() {
                json.raw(r#","seenByCount":"#);
                variants(json, seen);
            }
        }
        Counting::Lines(lines) => {
            json.raw(r#","counted":["#);
            for (index, line) in lines.iter().enumerate() {
                json.raw(if index == 0 {
                    r#"{"variantId":"#
                } else {
                    r#",{"variantId":"#
                });
                json.uuid(ids.variant(line.variant));
                json.raw(r#","countedAt":"#).instant(line.at);
                json.raw(r#","counted":"#).whole(line.counted);
                if kind == Kind::CountApproved {
                    json.raw(r#","expected":"#).whole(line.expected);
                }
                json.raw("}");
            }
            json.raw("]");
        }
    }
}

fn write_posting(json: &mut Json, ids: PublicIds, posting: &Posting) {
    json.raw(r#"{"variantId":"#).uuid(ids.variant(posting.variant));
    json.raw(r#","from":"#).text(spelling::of_place(posting.from));
    json.raw(r#","to":"#).text(spelling::of_place(posting.to));
    json.raw(r#","quantity":"#).whole(posting.quantity);
    if let Some(reservation) = posting.reservation {
        json.raw(r#","reservationId":"#).uuid(ids.event(reservation));
    }
    json.raw("}");
}

fn write_catalogue(json: &mut Json, ids: PublicIds, event: &CatalogueEvent) {
    use CatalogueEvent as E;
    json.text(of_catalogue(event));
    match event {
        E::WarehouseCreated { no, code, name } => {
            json.raw(r#","warehouseId":"#).uuid(ids.warehouse(*no));
            write_texts(json, "code", Some(code), Some(name));
        }
        E::WarehouseChanged { no, code, name } => {
            json.raw(r#","warehouseId":"#).uuid(ids.warehouse(*no));
            write_texts(json, "code", code.as_deref(), name.as_deref());
        }
        E::WarehousePolicyChanged { no, negative_stock } => {
            json.raw(r#","warehouseId":"#).uuid(ids.warehouse(*no));
            json.raw(r#","negativeStock":"#)
                .text(spelling::of_policy(*negative_stock));
        }
        E::WarehouseActivated(no) => {
            json.raw(r#","warehouseId":"#).uuid(ids.warehouse(*no));
        }
        E::WarehouseDeactivated(no) => {
            json.raw(r#","warehouseId":"#).uuid(ids.warehouse(*no));
        }
        E::ProductCreated { no, name } => {
            json.raw(r#","productId":"#).whole(no.0);
            write_texts(json, "", None, Some(name));
        }
        E::ProductChanged { no, name } => {
            json.raw(r#","productId":"#).whole(no.0);
            write_texts(json, "", None, Some(name));
        }
        E::ProductActivated(no) => {
            json.raw(r#","productId":"#).whole(no.0);
        }
        E::ProductDeactivated(no) => {
            json.raw(r#","productId":"#).whole(no.0);
        }
        E::VariantCreated {
            no,
            sku,
            name,
            product,
            expires_at,
            tracks_lots,
        } => {
            json.raw(r#","variantId":"#).uuid(ids.variant(*no));
            write_texts(json, "sku", Some(sku), Some(name));
            if let Some(product) = product {
                json.raw(r#","productId":"#).whole(product.0);
            }
            if let Some(expires_at) = expires_at {
                json.raw(r#","expiresAt":"#).instant(*expires_at);
            }
            if *tracks_lots {
                json.raw(r#","tracksLots":true"#);
            }
        }
        E::LotCreated {
            no,
            of,
            code,
            expires_at,
        } => {
            json.raw(r#","lotId":"#).uuid(ids.variant(*no));
            json.raw(r#","variantId":"#).uuid(ids.variant(*of));
            json.raw(r#","lot":"#).text(code);
            json.raw(r#","expiresAt":"#).instant_or_null(*expires_at);
        }
        E::LotChanged { no, expires_at } => {
            json.raw(r#","lotId":"#).uuid(ids.variant(*no));
            json.raw(r#","expiresAt":"#).instant_or_null(*expires_at);
        }
        E::VariantChanged {
            no,
            sku,
            name,
            product,
            expires_at,
            tracks_lots,
        } => {
            json.raw(r#","variantId":"#).uuid(ids.variant(*no));
            write_texts(json, "sku", sku.as_deref(), name.as_deref());
            match product {
                Some(Some(product)) => drop(json.raw(r#","productId":"#).whole(product.0)),
                Some(None) => drop(json.raw(r#","productId":null"#)),
                None => {}
            }
            if let Some(expires_at) = expires_at {
                json.raw(r#","expiresAt":"#).instant_or_null(*expires_at);
            }
            if let Some(tracks_lots) = tracks_lots {
                json.raw(if *tracks_lots {
                    r#","tracksLots":true"#
                } else {
                    r#","tracksLots":false"#
                });
            }
        }
        E::VariantActivated(no) => {
            json.raw(r#","variantId":"#).uuid(ids.variant(*no));
        }
        E::SlotChanged {
            warehouse,
            variant,
            change,
        } => {
            json.raw(r#","warehouseId":"#).uuid(ids.warehouse(*warehouse));
            json.raw(r#","variantId":"#).uuid(ids.variant(*variant));
            write_slot_change(json, change);
        }
        E::VariantDeactivated(no) => {
            json.raw(r#","variantId":"#).uuid(ids.variant(*no));
        }
    }
}

fn write_slot_change(json: &mut Json, change: &SlotChange) {
    if let Some(bin) = &change.bin {
        json.raw(r#","bin":"#).text_or_null(bin.as_deref());
    }
    if let Some(units) = change.reorder_point {
        json.raw(r#","reorderPoint":"#).whole_or_null(units);
    }
    if let Some(units) = change.max_level {
        json.raw(r#","maxLevel":"#).whole_or_null(units);
    }
    if let Some(order) = &change.pick_order {
        let order = order.as_ref();
        json.raw(r#","pickOrder":"#)
            .whole_or_null(order.map(|order| order.number));
        json.raw(r#","pickOrderReason":"#)
            .text_or_null(order.and_then(|order| order.reason.as_deref()));
    }
}

fn write_texts(json: &mut Json, code_name: &str, code: Option<&str>, name: Option<&str>) {
    if let Some(code) = code {
        json.raw(r#",""#).raw(code_name).raw(r#"":"#).text(code);
    }
    if let Some(name) = name {
        json.raw(r#","name":"#).text(name);
    }
}

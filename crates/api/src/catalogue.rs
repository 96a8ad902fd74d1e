//! The catalogue: products, warehouses and variants, each with its list, its bulk, its creation and its changes; and slots
//! and lots, which need not be created.
//!
//! Here stands what they have in common; what tells them apart stands in a module each.

mod lots;
mod products;
mod recall;
mod slots;
mod variants;
mod warehouses;

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Response, StatusCode};
use bincard_engine::Receipt;
use bincard_ledger::{CatalogueCommand, Command, IdempotencyKey, Position, Request, Timestamp, Version};
use bincard_projections::catalogue::{CatalogueFilter, Search};
use bincard_projections::{Answer, Page, Slice, ViewName};
use utoipa_axum::router::OpenApiRouter;

use crate::answer;
use crate::app::App;
use crate::asker::Asker;
use crate::body;
use crate::bulk::{self, LineReader, Sender};
use crate::failure::Failure;
use crate::rejected::Shape;
use crate::stock_events::{key_of, key_of_line};
use crate::wire::json::Json;
use crate::wire::page::{self, Extent, Paging};
use crate::wire::query::Query;
use crate::wire::tree::{self, Faults, Fields};

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    products::routes()
        .merge(warehouses::routes())
        .merge(variants::routes())
        .merge(lots::routes())
        .merge(recall::routes())
        .merge(slots::routes())
}

/// What a row takes, about.
const ROW_BYTES: usize = 256;

/// When something was created and changed.
#[derive(Clone, Copy)]
struct Stamps {
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl Stamps {
    fn fresh(receipt: &Receipt) -> Stamps {
        Stamps {
            created_at: receipt.recorded_at,
            updated_at: receipt.recorded_at,
        }
    }

    fn write(self, json: &mut Json) {
        json.raw(r#","createdAt":"#).instant(self.created_at);
        json.raw(r#","updatedAt":"#).instant(self.updated_at).raw("}");
    }
}

/// A command as it is asked for, with the key of a line.
struct Asked {
    command: CatalogueCommand,
    key: Option<IdempotencyKey>,
}

/// Reads a body or a line by `read`, which answers nothing where it found faults.
fn parse<T>(
    bytes: &[u8],
    read: impl FnOnce(&mut Fields<'_, '_>, &mut Faults) -> Option<T>,
) -> Result<T, Failure> {
    Ok(tree::object(bytes, read)?)
}

/// The JSON body of a request.
async fn read_body(headers: &HeaderMap, body: Body) -> Result<Bytes, Failure> {
    body::require_json(headers)?;
    body::read(body).await
}

/// Whether a line has a key of its own is decided by where it stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Body,
    Line,
}

/// The key of a line; a body has none.
fn read_key<'t>(fields: &mut Fields<'t, '_>, form: Form, faults: &mut Faults) -> Option<&'t str> {
    match form {
        Form::Body => None,
        Form::Line => fields.optional("idempotencyKey", faults, tree::text),
    }
}

/// Sends a creation to the ledger.
async fn create(asker: &Asker, headers: &HeaderMap, command: CatalogueCommand) -> Result<Receipt, Failure> {
    let command = Command::Catalogue(command);
    asker.submit(command, None, key_of(headers)?, Shape::Event).await
}

/// Sends a change to the ledger, perhaps of the catalogue at a version only.
pub(crate) async fn change(
    asker: &Asker,
    command: CatalogueCommand,
    version: Option<Version>,
) -> Result<Receipt, Failure> {
    let command = match version {
        None => Command::Catalogue(command),
        Some(version) => Command::CatalogueAt(version, command),
    };
    asker.submit(command, None, None, Shape::Change).await
}

/// Answers a change with what `show` finds once the catalogue has come so far. A change that is recorded is not told as a
/// failure: where the catalogue cannot show it in time, the answer says at which position it stands, and no more.
async fn answer_change(
    asker: &Asker,
    receipt: &Receipt,
    show: impl Future<Output = Result<Response<Body>, Failure>>,
) -> Result<Response<Body>, Failure> {
    let shown = async {
        asker
            .open
            .wait_for_view(ViewName::Catalogue, receipt.position)
            .await?;
        show.await
    };
    let failure = match shown.await {
        Ok(answer) => return Ok(answer),
        Err(failure) => failure,
    };
    if let Some(cause) = failure.cause() {
        tracing::warn!(
            cause,
            "a change of the catalogue is recorded and cannot be shown yet"
        );
    }
    let mut json = Json::with_capacity(64);
    json.raw(r#"{"status":"recorded","position":"#)
        .whole(receipt.position.0)
        .raw("}");
    let (status, is_replay) = (StatusCode::ACCEPTED, receipt.replayed);
    Ok(answer::written(status, receipt.position, is_replay, json))
}

/// The answer to a creation.
fn created(receipt: &Receipt, json: Json, path: String) -> Response<Body> {
    let mut response = answer::written(StatusCode::CREATED, receipt.position, receipt.replayed, json);
    answer::locate(&mut response, path);
    response
}

/// Answers a bulk creation whose lines `R` reads.
fn answer_bulk<R: LineReader>(
    app: Arc<App>,
    asker: Asker,
    headers: &HeaderMap,
    body: Body,
    reader: R,
) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.may_write_catalogue())?;
    bulk::answer(
        Sender {
            app,
            caller: asker.caller,
            open: asker.open,
        },
        headers,
        body,
        reader,
    )
}

/// What a line asks the ledger.
fn request_of_line(author: uuid::Uuid, asked: Asked) -> bulk::LineRead {
    let Asked { command, key } = asked;
    bulk::LineRead::Asks(Request {
        command: Command::Catalogue(command),
        author,
        on_behalf_of: None,
        key,
    })
}

fn parse_key(key: Option<&str>) -> Result<Option<IdempotencyKey>, Failure> {
    key.map(key_of_line).transpose()
}

/// A list as it is asked for.
struct List {
    filter: CatalogueFilter,
    paging: Paging,
    question: String,
    number: u64,
    slice: Slice<u32>,
    known_total: Option<u64>,
}

impl List {
    /// Reads `search`, `active` and the page; `filter` has what one list alone takes.
    fn read(mut query: Query<'_>, what: &str, mut filter: CatalogueFilter) -> Result<List, Failure> {
        filter.search = query.text("search").map(Search::Anywhere);
        filter.active = query.flag("active");
        let question = format!("{what} {filter:?}");
        let paging = Paging::read(&mut query, &question);
        query.finish()?;
        let size = paging.size;
        let (after, number, known_total) = match paging.cursor.as_deref() {
            None => (None, paging.number, None),
            Some(&[total, number, after]) => {
                let after = u32::try_from(after).map_err(|_| page::wrong_cursor())?;
                let number = page::count_of(number).ok_or_else(page::wrong_cursor)?;
                let total = page::count_of(total).ok_or_else(page::wrong_cursor)?;
                (Some(after), number, Some(total))
            }
            Some(_) => return Err(page::wrong_cursor()),
        };
        let slice = Slice {
            after,
            skip: if after.is_some() {
                0
            } else {
                number.saturating_mul(u64::from(size))
            },
            limit: size as usize,
            with_total: known_total.is_none(),
        };
        Ok(List {
            filter,
            paging,
            question,
            number,
            slice,
            known_total,
        })
    }

    /// The answer with the rows that were found, each written by `write`; `number_of` is what they are sorted by.
    fn answer<T>(
        &self,
        found: Answer<Page<T>>,
        number_of: impl Fn(&T) -> u32,
        write: impl Fn(&mut Json, &T),
    ) -> Response<Body> {
        let Answer {
            position,
            value: Page { rows, more, total },
        } = found;
        let total = self.known_total.or(total).unwrap_or_default();
        let next = rows.last().filter(|_| more).map(|last| {
            let words = [
                page::word_of(total),
                page::word_of(self.number.saturating_add(1)),
                i64::from(number_of(last)),
            ];
            page::cursor_text(&words, &self.question)
        });
        let mut json = Json::with_capacity(96 + rows.len() * ROW_BYTES);
        json.raw(r#"{"content":["#);
        for (index, row) in rows.iter().enumerate() {
            json.raw(if index == 0 { "" } else { "," });
            write(&mut json, row);
        }
        page::finish(
            &mut json,
            Extent {
                number: self.number,
                size: self.paging.size,
                total,
            },
            next,
        );
        answer::read(position, json)
    }
}

/// The filter and the slice that find one row by its number.
fn one(no: u32) -> (CatalogueFilter, Slice<u32>) {
    let filter = CatalogueFilter {
        numbers: Some(vec![no]),
        ..CatalogueFilter::default()
    };
    (
        filter,
        Slice {
            after: None,
            skip: 0,
            limit: 1,
            with_total: false,
        },
    )
}

/// The one row that was looked for, and where the view stood.
fn first<T>(found: Answer<Page<T>>, missing: Failure) -> Result<(Position, T), Failure> {
    let row = found.value.rows.into_iter().next().ok_or(missing)?;
    Ok((found.position, row))
}

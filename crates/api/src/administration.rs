//! Administration by an ADMIN, within its own tenant: users and API keys: `/api/v1/users`, `/api/v1/keys`.

mod keys;
mod users;

use std::sync::Arc;

use axum::body::Body;
use axum::http::Response;
use bincard_access::{Plan, Role, UnixMs};
use bincard_ledger::Timestamp;
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

use crate::answer;
use crate::app::App;
use crate::asker::Asker;
use crate::failure::Failure;
use crate::wire::json::Json;
use crate::wire::page::{self, Extent, Paging};
use crate::wire::query::Query;
use crate::wire::tree::{self, Faults, Fields, Reading, Tree};

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    users::routes().merge(keys::routes())
}

const ROW_BYTES: usize = 384;

fn instant_of(at: UnixMs) -> Timestamp {
    Timestamp::from_micros(at.0.saturating_mul(1_000))
}

fn read_role(tree: &Tree<'_>) -> Reading<Role> {
    let word = tree::text(tree).unwrap_or_default();
    let role = Role::parse(word).ok().filter(|role| role.as_str() == word);
    role.ok_or("must be ADMIN, MANAGER, SELLER or VIEWER")
}

fn read_plan(tree: &Tree<'_>) -> Reading<Plan> {
    let word = tree::text(tree).unwrap_or_default();
    let plan = Plan::parse(word).ok().filter(|plan| plan.as_str() == word);
    plan.ok_or("must be standard, premium or service")
}

/// The warehouses of a SELLER.
fn read_warehouses(fields: &mut Fields<'_, '_>, faults: &mut Faults) -> Option<Vec<Uuid>> {
    let list = fields.optional("warehouseIds", faults, tree::list)?;
    let mut ids = Vec::with_capacity(list.len());
    for (index, item) in list.iter().enumerate() {
        match tree::uuid(item) {
            Ok(id) => ids.push(id),
            Err(must_be) => {
                let pointer = format!("{}/{index}", fields.pointer_to("warehouseIds"));
                faults.add(tree::At::Pointer(pointer), must_be);
            }
        }
    }
    Some(ids)
}

/// Fails where a warehouse is not one of the tenant's.
fn check_warehouses(asker: &Asker, warehouses: &[Uuid]) -> Result<(), Failure> {
    let ledger = &asker.open.ledger;
    for (index, id) in warehouses.iter().enumerate() {
        let known = ledger
            .ids()
            .resolve_warehouse(*id)
            .and_then(|no| ledger.names().warehouse(no));
        if known.is_none() {
            return Err(Failure::at_pointer(
                format!("/warehouseIds/{index}"),
                "there is no such warehouse",
            ));
        }
    }
    Ok(())
}

fn write_warehouses(json: &mut Json, warehouses: &[Uuid]) {
    json.raw(r#","warehouseIds":["#);
    for (index, id) in warehouses.iter().enumerate() {
        json.raw(if index == 0 { "" } else { "," }).uuid(*id);
    }
    json.raw("]");
}

/// Page and size of a list; these lists are short and have no cursors but their page numbers.
fn read_page(query: Option<&str>, what: &str) -> Result<(u32, u32), Failure> {
    let mut query = Query::parse(query);
    let paging = Paging::read(&mut query, what);
    query.finish()?;
    let number = match paging.cursor.as_deref() {
        None => paging.number,
        Some(&[number]) => u64::from(u32::try_from(number).map_err(|_| page::wrong_cursor())?),
        Some(_) => return Err(page::wrong_cursor()),
    };
    let number =
        u32::try_from(number).map_err(|_| Failure::at_parameter("page", "must be at most 4294967295"))?;
    Ok((number, paging.size))
}

fn answer_page<T>(
    what: &str,
    (number, size): (u32, u32),
    page: &bincard_access::Page<T>,
    write: impl Fn(&mut Json, &T),
) -> Response<Body> {
    let mut json = Json::with_capacity(96 + page.content.len() * ROW_BYTES);
    json.raw(r#"{"content":["#);
    for (index, row) in page.content.iter().enumerate() {
        json.raw(if index == 0 { "" } else { "," });
        write(&mut json, row);
    }
    let seen = (u64::from(number) + 1) * u64::from(size);
    let next = (seen < page.total_count).then(|| page::cursor_text(&[i64::from(number) + 1], what));
    page::finish(
        &mut json,
        Extent {
            number: u64::from(number),
            size,
            total: page.total_count,
        },
        next,
    );
    answer::json(axum::http::StatusCode::OK, json)
}

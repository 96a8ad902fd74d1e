//! What was counted or reported outside: how it is read, what became of its lines, and the corrections that follow.

use std::collections::HashMap;

use axum::body::Body;
use axum::extract::RawQuery;
use axum::http::{Response, StatusCode};
use bincard_ledger::{
    CODE_LENGTH_MAX, Position, QUANTITY_MAX, SKU_LENGTH_MAX, Timestamp, check_occurred, is_name,
};
use bincard_projections::Slice;
use bincard_projections::reconcile::{Measures, Run, RunState, Source, SourceLine};
use bincard_projections::stock::StockKey;
use uuid::Uuid;

use super::correct::{Outcome, correct};
use super::{NONE, number, page_of, read_paging, render, slice_of};
use crate::answer;
use crate::asker::Asker;
use crate::docs::schema::{Paged, Problem, ReconciliationApplied, ReconciliationVariancePage};
use crate::failure::Failure;
use crate::segment::Segment;
use crate::wire::json::Json;
use crate::wire::tree::{self, Faults, Reading, Tree};

/// The most lines of a source.
const LINES_MAX: usize = 10_000;
/// The most units of a line that is compared.
const REPORTED_MAX: i64 = 1_000_000_000_000;
/// The most characters of its name.
const NAME_CHARS_MAX: usize = 200;
/// Lines that are corrected between two looks at the next.
const PAGE: usize = 500;

/// A source as it was sent.
pub(super) struct DraftSource {
    name: String,
    reported_at: Option<Timestamp>,
    pub(super) measures: Measures,
    lines: Vec<DraftLine>,
}

struct DraftLine {
    warehouse: Named,
    variant: Named,
    quantity: i64,
}

/// A thing by its id, or by its code or SKU.
enum Named {
    Id(Uuid),
    Text(String),
}

impl Named {
    fn shown(&self) -> String {
        match self {
            Named::Id(id) => id.to_string(),
            Named::Text(text) => text.clone(),
        }
    }
}

/// Reads the source at `/source`. What could never be corrected is refused where it is to be.
pub(super) fn read_source(
    tree: &Tree<'_>,
    now: Timestamp,
    applies: bool,
    faults: &mut Faults,
) -> Option<DraftSource> {
    let mut fields = tree.fields("/source", faults)?;
    let name = fields.required("name", faults, read_name);
    let reported_at = fields.optional("reportedAt", faults, |tree| read_reported_at(tree, now));
    let measures = fields.optional("measures", faults, read_measures);
    let lines = fields.required("lines", faults, read_lines);
    fields.finish(faults);
    let mut read = Vec::new();
    for (index, line) in lines.unwrap_or_default().iter().enumerate() {
        let Some(mut fields) = line.fields(&format!("/source/lines/{index}"), faults) else {
            continue;
        };
        let mut named = |id: &'static str,
                         text: &'static str,
                         read: fn(&Tree<'_>) -> Reading<String>,
                         faults: &mut Faults| {
            let (by_id, by_text) = (fields.optional(id, faults, Ok), fields.optional(text, faults, Ok));
            let (at, named) = match (by_id, by_text) {
                (Some(_), Some(_)) => (text, Err("does not go with the id")),
                (None, None) => {
                    faults.add(fields.at(id), format!("is required, or {text}"));
                    return None;
                }
                (Some(by_id), None) => (id, tree::uuid(by_id).map(Named::Id)),
                (None, Some(by_text)) => (text, read(by_text).map(Named::Text)),
            };
            named.map_err(|why| faults.add(fields.at(at), why)).ok()
        };
        let warehouse = named("warehouseId", "warehouseCode", read_code, faults);
        let variant = named("variantId", "sku", read_sku, faults);
        let quantity = fields.required("quantity", faults, |tree| read_quantity(tree, applies));
        fields.finish(faults);
        if let (Some(warehouse), Some(variant), Some(quantity)) = (warehouse, variant, quantity) {
            read.push(DraftLine {
                warehouse,
                variant,
                quantity,
            });
        }
    }
    Some(DraftSource {
        name: name?,
        reported_at,
        measures: measures.unwrap_or_default(),
        lines: read,
    })
}

fn read_name(tree: &Tree<'_>) -> Reading<String> {
    let text = tree::text(tree)?;
    let is_fit =
        !text.trim().is_empty() && text.chars().count() <= NAME_CHARS_MAX && !text.contains(char::is_control);
    is_fit
        .then(|| text.to_owned())
        .ok_or("must have 1 to 200 characters, none of them a control character")
}

fn read_measures(tree: &Tree<'_>) -> Reading<Measures> {
    match tree::text(tree).unwrap_or_default() {
        "onHand" => Ok(Measures::OnHand),
        "available" => Ok(Measures::Available),
        _ => Err("must be onHand or available"),
    }
}

fn read_lines<'t, 'a>(tree: &'t Tree<'a>) -> Reading<&'t [Tree<'a>]> {
    match tree::list(tree)? {
        [] => Err("must have a line"),
        lines if lines.len() > LINES_MAX => Err("must have at most 10,000 lines"),
        lines => Ok(lines),
    }
}

fn read_reported_at(tree: &Tree<'_>, now: Timestamp) -> Reading<Timestamp> {
    let at = tree::instant(tree)?;
    check_occurred(Some(at), now)
        .map_err(|_| "must lie in the years 1 to 9999, and not more than 5 minutes in the future")
}

fn read_code(tree: &Tree<'_>) -> Reading<String> {
    let code = tree::text(tree)?;
    let is_one = is_name(code, CODE_LENGTH_MAX);
    is_one
        .then(|| code.to_owned())
        .ok_or("must have 1 to 64 characters, without control characters and without blanks at its ends")
}

fn read_sku(tree: &Tree<'_>) -> Reading<String> {
    let sku = tree::text(tree)?;
    let is_one = is_name(sku, SKU_LENGTH_MAX);
    is_one
        .then(|| sku.to_owned())
        .ok_or("must have 1 to 128 characters, without control characters and without blanks at its ends")
}

/// A correction has at most as many units as a line of an event.
fn read_quantity(tree: &Tree<'_>, applies: bool) -> Reading<i64> {
    let quantity = tree::whole(tree)?;
    let (max, else_wrong) = if applies {
        (
            QUANTITY_MAX,
            "must lie between -1,000,000,000 and 1,000,000,000, because it is to be applied",
        )
    } else {
        (
            REPORTED_MAX,
            "must lie between -1,000,000,000,000 and 1,000,000,000,000",
        )
    };
    (-max..=max)
        .contains(&quantity)
        .then_some(quantity)
        .ok_or(else_wrong)
}

impl DraftSource {
    /// The source with the ledger's numbers; lines that name what is not there say so.
    pub(super) fn resolve(self, asker: &Asker) -> Source {
        let ledger = &asker.open.ledger;
        let (ids, names) = (ledger.ids(), ledger.names());
        let mut seen: HashMap<StockKey, usize> = HashMap::new();
        let mut resolve = |index: usize, line: &DraftLine| {
            let warehouse = match &line.warehouse {
                Named::Id(id) => ids
                    .resolve_warehouse(*id)
                    .filter(|no| names.warehouse(*no).is_some()),
                Named::Text(code) => names.warehouse_by_code(code),
            };
            let variant = match &line.variant {
                Named::Id(id) => ids.resolve_variant(*id).filter(|no| names.variant(*no).is_some()),
                Named::Text(sku) => names.variant_by_sku(sku),
            };
            let key = match (warehouse, variant) {
                (Some(warehouse), Some(variant)) => StockKey { warehouse, variant },
                (None, _) => return Err("there is no such warehouse".to_owned()),
                (_, None) => return Err("there is no such variant".to_owned()),
            };
            match seen.get(&key) {
                Some(first) => Err(format!(
                    "line {first} is of the same variant at the same warehouse"
                )),
                None => {
                    seen.insert(key, index + 1);
                    Ok(key)
                }
            }
        };
        let lines = self.lines.iter().enumerate().map(|(index, line)| SourceLine {
            named: format!("{} / {}", line.warehouse.shown(), line.variant.shown()),
            key: resolve(index, line),
            quantity: line.quantity,
        });
        let lines = lines.collect();
        Source {
            name: self.name,
            reported_at: self.reported_at,
            measures: self.measures,
            lines,
        }
    }
}

/// List what became of the lines of a source.
///
/// For an ADMIN or MANAGER. In the order of the source. `variance` is what was reported, less what the ledger said as of
/// the report; it is the sum of what explains it and `unexplained`.
#[utoipa::path(
    get,
    path = "/api/v1/reconciliations/{id}/variances",
    tag = "Reconciliations",
    params(
        ("id" = u64, Path, description = "The reconciliation's number"),
        Paged,
    ),
    responses(
        (status = 200, body = ReconciliationVariancePage),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn variances(
    asker: Asker,
    Segment(id): Segment,
    RawQuery(query): RawQuery,
) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.may_reconcile())?;
    let id = number(&id)?;
    let (paging, question) = read_paging(query.as_deref(), format!("variances {id}"))?;
    let (slice, number) = slice_of(&paging)?;
    let reconciliations = &asker.open.reconciliations;
    reconciliations.run(id).await?.ok_or(NONE)?;
    let page = reconciliations.variances(id, slice).await?;
    let last = page.rows.last().map(|one| one.no);
    Ok(page_of(&page, (&paging, number), last, &question, |json, one| {
        render::write_variance(json, &asker, one);
    }))
}

/// Correct the ledger by a count.
///
/// For an ADMIN or MANAGER. For every line of a reconciliation that is over, what is unexplained is recorded as an ADJUST
/// with reason COUNT_CORRECTION, as of the report. Each line is corrected once, however often this is asked for.
#[utoipa::path(
    post,
    path = "/api/v1/reconciliations/{id}/apply",
    tag = "Reconciliations",
    params(("id" = u64, Path, description = "The reconciliation's number")),
    responses(
        (status = 200, body = ReconciliationApplied),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "There is nothing to be applied", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Try again", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn apply(asker: Asker, Segment(id): Segment) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.may_reconcile())?;
    let id = number(&id)?;
    let reconciliations = &asker.open.reconciliations;
    let (run, _) = reconciliations.run(id).await?.ok_or(NONE)?;
    must_apply(&run)?;
    let mut applied = Applied::default();
    let mut after = None;
    loop {
        let slice = Slice {
            after,
            skip: 0,
            limit: PAGE,
            with_total: false,
        };
        let page = reconciliations.variances(id, slice).await?;
        for one in &page.rows {
            let Some(correction) = one.correction(&run) else {
                continue;
            };
            let outcome = correct(&asker.open.ledger, correction, asker.caller.id).await?;
            reconciliations
                .note_correction(id, one.no, &outcome.corrected())
                .await?;
            applied.note(one.no, outcome);
        }
        after = page.rows.last().map(|one| one.no);
        if !page.more {
            break;
        }
    }
    let mut json = Json::with_capacity(128 + applied.refused.len() * 160);
    json.raw(r#"{"corrected":"#).whole(applied.corrected);
    json.raw(r#","correctedBefore":"#).whole(applied.corrected_before);
    json.raw(r#","refused":["#);
    for (index, (no, failure)) in applied.refused.iter().enumerate() {
        json.raw(if index == 0 { r#"{"no":"# } else { r#",{"no":"# })
            .whole(*no);
        json.raw(r#","type":"#).text(failure.code().path());
        json.raw(r#","title":"#).text(failure.code().title()).raw("}");
    }
    json.raw("]}");
    let mut response = answer::json(StatusCode::OK, json);
    if applied.position.0 > 0 {
        response
            .headers_mut()
            .insert(answer::LEDGER_POSITION, applied.position.0.into());
    }
    Ok(response)
}

/// Fails unless the run is over, and counted what is on hand.
fn must_apply(run: &Run) -> Result<(), Failure> {
    let is_done = matches!(run.state, RunState::Agrees | RunState::Differs);
    let source = run.asked.source.as_ref().filter(|_| is_done);
    source
        .filter(|source| source.measures == Measures::OnHand)
        .map(|_| ())
        .ok_or(Failure::NothingToApply)
}

/// What was done about the lines so far.
#[derive(Default)]
struct Applied {
    corrected: u64,
    corrected_before: u64,
    refused: Vec<(u64, Failure)>,
    position: Position,
}

impl Applied {
    fn note(&mut self, no: u64, outcome: Outcome) {
        match outcome {
            Outcome::Now(position) => {
                self.corrected += 1;
                self.position = self.position.max(position);
            }
            Outcome::Before(position) => {
                self.corrected_before += 1;
                self.position = self.position.max(position.unwrap_or_default());
            }
            Outcome::Refused(failure) => self.refused.push((no, failure)),
        }
    }
}

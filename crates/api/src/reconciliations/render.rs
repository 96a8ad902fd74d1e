//! Reconciliations as JSON.

use bincard_ledger::{Position, VariantNo, WarehouseNo};
use bincard_projections::ViewName;
use bincard_projections::reconcile::{
    Compared, Corrected, Measures, Phase, Run, RunDifference, RunProgress, RunState, Source, Variance,
};
use uuid::Uuid;

use crate::asker::Asker;
use crate::wire::json::Json;

/// What a run takes, about.
pub(super) const RUN_BYTES: usize = 900;

const fn state_word(state: RunState) -> &'static str {
    match state {
        RunState::Waiting => "WAITING",
        RunState::Running => "RUNNING",
        RunState::Agrees => "AGREES",
        RunState::Differs => "DIFFERS",
        RunState::Cancelled => "CANCELLED",
        RunState::Failed => "FAILED",
    }
}

/// What puts a view right.
fn repair_of(view: ViewName) -> String {
    format!("POST /api/v1/views/{view}/rebuild")
}

pub(super) fn write_run(json: &mut Json, asker: &Asker, run: &Run, progress: Option<RunProgress>) {
    let ids = asker.open.ledger.ids();
    json.raw(r#"{"id":"#).whole(run.id);
    json.raw(r#","state":"#).text(state_word(run.state));
    let author = Uuid::try_parse(&run.asked.author).ok();
    json.raw(r#","createdById":"#);
    uuid_or_null(json, author);
    json.raw(r#","createdAt":"#).instant(run.asked_at);
    json.raw(r#","startedAt":"#).instant_or_null(run.started_at);
    json.raw(r#","endedAt":"#).instant_or_null(run.ended_at);
    json.raw(r#","asOf":"#).instant_or_null(run.asked.past.as_of);
    json.raw(r#","knownAt":"#)
        .instant_or_null(run.asked.past.known_at);
    json.raw(r#","warehouseId":"#);
    uuid_or_null(json, run.asked.filter.warehouse.map(|no| ids.warehouse(no)));
    json.raw(r#","variantId":"#);
    uuid_or_null(json, run.asked.filter.variant.map(|no| ids.variant(no)));
    json.raw(r#","source":"#);
    match &run.asked.source {
        Some(source) => write_source(json, source),
        None => _ = json.raw("null"),
    }
    json.raw(r#","apply":"#).flag(run.asked.applies);
    json.raw(r#","position":"#);
    match run.position {
        Some(position) => json.whole(position.0),
        None => json.raw("null"),
    };
    json.raw(r#","progress":"#);
    match progress {
        Some(progress) => write_progress(json, progress),
        None => _ = json.raw("null"),
    }
    json.raw(r#","views":["#);
    for (index, view) in run.compared.iter().enumerate() {
        json.raw(if index == 0 { "" } else { "," });
        write_view(json, view);
    }
    json.raw(r#"],"differing":"#).whole(run.differing);
    json.raw(r#","error":"#)
        .text_or_null(run.error.as_deref())
        .raw("}");
}

fn write_source(json: &mut Json, source: &Source) {
    json.raw(r#"{"name":"#).text(&source.name);
    json.raw(r#","reportedAt":"#).instant_or_null(source.reported_at);
    let measures = match source.measures {
        Measures::OnHand => "onHand",
        Measures::Available => "available",
    };
    json.raw(r#","measures":"#).text(measures).raw("}");
}

pub(super) fn write_variance(json: &mut Json, asker: &Asker, one: &Variance) {
    json.raw(r#"{"no":"#).whole(one.no);
    json.raw(r#","named":"#).text(&one.line.named);
    let key = one.line.key.as_ref().ok();
    write_key(
        json,
        asker,
        key.map(|key| key.warehouse),
        key.map(|key| key.variant),
    );
    let problem = one.line.key.as_ref().err();
    json.raw(r#","problem":"#)
        .text_or_null(problem.map(|text| &**text));
    json.raw(r#","reported":"#).whole(one.line.quantity);
    json.raw(r#","variance":"#);
    match one.variance() {
        Some(units) => json.whole(units),
        None => json.raw("null"),
    };
    json.raw(r#","explained":"#);
    let Some(explained) = &one.explained else {
        json.raw(r#"null,"correction":null}"#);
        return;
    };
    json.raw(r#"{"ledgerAtReport":"#).whole(explained.at_report);
    json.raw(r#","ledgerNow":"#).whole(explained.now);
    let moved = explained.now.saturating_sub(explained.at_report);
    json.raw(r#","movedSince":"#).whole(moved);
    json.raw(r#","reserved":"#).whole(explained.reserved);
    json.raw(r#","picked":"#).whole(explained.picked);
    json.raw(r#","packed":"#).whole(explained.packed);
    json.raw(r#","held":"#).whole(explained.held);
    json.raw(r#","inTransit":"#).whole(explained.in_transit);
    json.raw(r#","unexplained":"#).whole(explained.unexplained);
    json.raw(r#","lastAgreed":"#);
    match explained.agreed {
        Some(agreed) => json
            .raw(r#"{"reconciliation":"#)
            .whole(agreed.run)
            .raw(r#","at":"#)
            .instant(agreed.at)
            .raw("}"),
        None => json.raw("null"),
    };
    json.raw(r#"},"correction":"#);
    write_correction(json, asker, one.corrected.as_ref());
    json.raw("}");
}

fn write_correction(json: &mut Json, asker: &Asker, corrected: Option<&Corrected>) {
    let (position, refused) = match corrected {
        None => {
            json.raw("null");
            return;
        }
        Some(Corrected::Recorded(position)) => (Some(*position), None),
        Some(Corrected::Before) => (None, None),
        Some(Corrected::Refused(why)) => (None, Some(why)),
    };
    json.raw(r#"{"event":"#);
    write_event(json, asker, position);
    json.raw(r#","refused":"#)
        .text_or_null(refused.map(|why| &**why))
        .raw("}");
}

fn write_event(json: &mut Json, asker: &Asker, position: Option<Position>) {
    match position {
        Some(position) => json
            .raw(r#"{"position":"#)
            .whole(position.0)
            .raw(r#","id":"#)
            .uuid(asker.open.ledger.ids().event(position))
            .raw("}"),
        None => json.raw("null"),
    };
}

fn write_progress(json: &mut Json, progress: RunProgress) {
    let (phase, view) = match progress.phase {
        Phase::Replaying => ("REPLAYING", None),
        Phase::Comparing(view) => ("COMPARING", Some(view.as_str())),
        Phase::Correcting => ("CORRECTING", None),
    };
    json.raw(r#"{"phase":"#).text(phase);
    json.raw(r#","view":"#).text_or_null(view);
    json.raw(r#","replayed":"#).whole(progress.folded.0);
    json.raw(r#","through":"#).whole(progress.through.0);
    json.raw(r#","rows":"#).whole(progress.rows).raw("}");
}

fn write_view(json: &mut Json, one: &Compared) {
    json.raw(r#"{"view":"#).text(one.view.as_str());
    json.raw(r#","generation":"#).whole(one.generation);
    json.raw(r#","position":"#).whole(one.position.0);
    json.raw(r#","rows":"#).whole(one.rows);
    json.raw(r#","differing":"#).whole(one.differing);
    json.raw(r#","unnamed":"#).whole(one.unnamed);
    json.raw(r#","damage":"#).text_or_null(one.damage.as_deref());
    let is_bad = one.differing > 0 || one.damage.is_some();
    let repair = is_bad.then(|| repair_of(one.view));
    json.raw(r#","repair":"#).text_or_null(repair.as_deref()).raw("}");
}

pub(super) fn write_difference(json: &mut Json, asker: &Asker, one: &RunDifference) {
    json.raw(r#"{"no":"#).whole(one.no);
    json.raw(r#","view":"#).text(one.view.as_str());
    json.raw(r#","table":"#).text(&one.table);
    json.raw(r#","key":"#).text(&one.key);
    write_key(json, asker, one.warehouse, one.variant);
    json.raw(r#","field":"#).text_or_null(one.field.as_deref());
    json.raw(r#","expected":"#).text_or_null(one.expected.as_deref());
    json.raw(r#","found":"#).text_or_null(one.found.as_deref());
    json.raw(r#","firstEvent":"#);
    write_event(json, asker, one.first);
    json.raw(r#","repair":"#).text(&repair_of(one.view)).raw("}");
}

fn write_key(json: &mut Json, asker: &Asker, warehouse: Option<WarehouseNo>, variant: Option<VariantNo>) {
    let ledger = &asker.open.ledger;
    let (ids, names) = (ledger.ids(), ledger.names());
    json.raw(r#","warehouseId":"#);
    uuid_or_null(json, warehouse.map(|no| ids.warehouse(no)));
    let name = warehouse.and_then(|no| names.warehouse(no));
    json.raw(r#","warehouseCode":"#)
        .text_or_null(name.as_ref().map(|name| &*name.code));
    json.raw(r#","variantId":"#);
    uuid_or_null(json, variant.map(|no| ids.variant(no)));
    let name = variant.and_then(|no| names.variant(no));
    json.raw(r#","variantSku":"#)
        .text_or_null(name.as_ref().map(|name| &*name.sku));
}

fn uuid_or_null(json: &mut Json, id: Option<Uuid>) {
    match id {
        Some(id) => json.uuid(id),
        None => json.raw("null"),
    };
}

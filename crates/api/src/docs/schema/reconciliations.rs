//! Reconciliations and what they found.

use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::page::{PageOf, pages};

/// What to compare. With nothing set: every view, as it is.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct NewReconciliation {
    /// Compare what the stock was at this instant.
    #[schema(format = DateTime)]
    pub(crate) as_of: Option<String>,
    /// Compare what was known at this instant.
    #[schema(format = DateTime)]
    pub(crate) known_at: Option<String>,
    /// Only stock at this warehouse.
    pub(crate) warehouse_id: Option<Uuid>,
    /// Only stock of this variant.
    pub(crate) variant_id: Option<Uuid>,
    /// What was counted or reported outside: compared with the ledger instead of the views.
    pub(crate) source: Option<NewSource>,
    /// Record what is unexplained of a source that measures `onHand` as corrections, each line once.
    pub(crate) apply: Option<bool>,
}

/// What was counted or reported outside.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct NewSource {
    /// What it is called: 1 to 200 characters.
    pub(crate) name: String,
    /// When it was so, at most 5 minutes in the future; now, when left out.
    #[schema(format = DateTime)]
    pub(crate) reported_at: Option<String>,
    /// Which figure the quantities are; `onHand` when left out.
    pub(crate) measures: Option<SourceMeasures>,
    /// 1 to 10,000.
    pub(crate) lines: Vec<NewSourceLine>,
}

/// `onHand` is what a count finds, `available` what a channel reports.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
pub(crate) enum SourceMeasures {
    OnHand,
    Available,
}

/// A line of a source, with a warehouse and a variant by id, or by code and SKU.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct NewSourceLine {
    pub(crate) warehouse_id: Option<Uuid>,
    #[schema(min_length = 1, max_length = 64)]
    pub(crate) warehouse_code: Option<String>,
    pub(crate) variant_id: Option<Uuid>,
    #[schema(min_length = 1, max_length = 128)]
    pub(crate) sku: Option<String>,
    /// With `apply`, at most 1,000,000,000 either way.
    #[schema(minimum = -1_000_000_000_000_i64, maximum = 1_000_000_000_000_i64)]
    pub(crate) quantity: i64,
}

/// The source of a reconciliation.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ReconciliationSource {
    pub(crate) name: String,
    #[schema(format = DateTime)]
    pub(crate) reported_at: Option<String>,
    pub(crate) measures: SourceMeasures,
}

/// A line of a source, with what became of it.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ReconciliationVariance {
    /// The line's number, from 1.
    pub(crate) no: u64,
    /// Warehouse and variant in the source's own words.
    pub(crate) named: String,
    pub(crate) warehouse_id: Option<Uuid>,
    pub(crate) warehouse_code: Option<String>,
    pub(crate) variant_id: Option<Uuid>,
    pub(crate) variant_sku: Option<String>,
    /// Why the line could not be compared.
    pub(crate) problem: Option<String>,
    pub(crate) reported: i64,
    /// What was reported, less what the ledger said as of the report; null until that is known.
    pub(crate) variance: Option<i64>,
    pub(crate) explained: Option<VarianceExplained>,
    /// What became of its correction; null where there was none, or not yet.
    pub(crate) correction: Option<VarianceCorrection>,
}

/// What became of the correction of a line.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct VarianceCorrection {
    /// The event that corrects it, where it is known which.
    pub(crate) event: Option<FirstEvent>,
    /// The type of the problem for which the ledger did not take it.
    pub(crate) refused: Option<String>,
}

/// What explains a variance, with its sign. `reserved`, `picked`, `packed`, `held`, `inTransit` and
/// `unexplained` sum to it.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct VarianceExplained {
    pub(crate) ledger_at_report: i64,
    pub(crate) ledger_now: i64,
    /// What moved after the report: no part of the variance.
    pub(crate) moved_since: i64,
    /// Held by orders, which a channel may take for available.
    pub(crate) reserved: i64,
    /// Picked and not packed: off the shelf.
    pub(crate) picked: i64,
    /// Packed and not shipped: off the shelf.
    pub(crate) packed: i64,
    /// On hold.
    pub(crate) held: i64,
    /// On the way from or to the warehouse by a transfer: it may stand there still, or already.
    pub(crate) in_transit: i64,
    /// What nothing here explains.
    pub(crate) unexplained: i64,
    /// When it last agreed: what is unexplained came after it.
    pub(crate) last_agreed: Option<LastAgreed>,
}

/// When a variant at a warehouse last agreed with a source.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct LastAgreed {
    pub(crate) reconciliation: u64,
    #[schema(format = DateTime)]
    pub(crate) at: String,
}

/// What became of the corrections.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ReconciliationApplied {
    /// Lines that were corrected now.
    pub(crate) corrected: u64,
    /// Lines that had been corrected before.
    pub(crate) corrected_before: u64,
    pub(crate) refused: Vec<RefusedCorrection>,
}

/// A correction that the ledger refused.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefusedCorrection {
    /// The line's number.
    pub(crate) no: u64,
    /// The problem's type.
    pub(crate) r#type: String,
    pub(crate) title: String,
}

/// How a reconciliation stands.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum ReconciliationState {
    Waiting,
    Running,
    Agrees,
    Differs,
    Cancelled,
    Failed,
}

/// What a reconciliation under way does.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum ReconciliationPhase {
    Replaying,
    Comparing,
    Correcting,
}

/// A reconciliation.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Reconciliation {
    /// Its number.
    pub(crate) id: u64,
    pub(crate) state: ReconciliationState,
    /// Who asked for it.
    pub(crate) created_by_id: Option<Uuid>,
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
    #[schema(format = DateTime)]
    pub(crate) started_at: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) ended_at: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) as_of: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) known_at: Option<String>,
    pub(crate) warehouse_id: Option<Uuid>,
    pub(crate) variant_id: Option<Uuid>,
    /// What was counted or reported outside, where it is about that.
    pub(crate) source: Option<ReconciliationSource>,
    /// Whether what is unexplained of the source is to correct the ledger.
    pub(crate) apply: bool,
    /// The position in the log that it is for; null until it begins.
    pub(crate) position: Option<u64>,
    /// How far it is, while it is under way.
    pub(crate) progress: Option<ReconciliationProgress>,
    /// The views it compared, once it is over.
    pub(crate) views: Vec<ReconciledView>,
    /// How many rows of views differ (at most 1,000 of a view are named), or lines of the source.
    pub(crate) differing: u64,
    /// Why it failed.
    pub(crate) error: Option<String>,
}

/// How far a reconciliation is.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ReconciliationProgress {
    pub(crate) phase: ReconciliationPhase,
    /// The view that is compared.
    pub(crate) view: Option<String>,
    /// The position that the log was replayed up to.
    pub(crate) replayed: u64,
    /// The position that it will be replayed up to.
    pub(crate) through: u64,
    /// How many rows were compared.
    pub(crate) rows: u64,
}

/// A view as it was compared.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ReconciledView {
    pub(crate) view: String,
    pub(crate) generation: u64,
    /// The position that it was compared at: that of the reconciliation, or a later one.
    pub(crate) position: u64,
    pub(crate) rows: u64,
    pub(crate) differing: u64,
    /// How many of those are not among the differences: at most 1,000 rows of a view are.
    pub(crate) unnamed: u64,
    /// What is wrong with its file, where it could not be read.
    pub(crate) damage: Option<String>,
    /// What puts it right, where anything is wrong.
    pub(crate) repair: Option<String>,
}

/// A field of a view that is not what the log makes of it, or a whole row that only one of them has.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ReconciliationDifference {
    /// Its number within the reconciliation, from 1.
    pub(crate) no: u64,
    pub(crate) view: String,
    pub(crate) table: String,
    /// The row, by the columns of its key.
    pub(crate) key: String,
    pub(crate) warehouse_id: Option<Uuid>,
    pub(crate) warehouse_code: Option<String>,
    pub(crate) variant_id: Option<Uuid>,
    pub(crate) variant_sku: Option<String>,
    /// Null when it is the whole row.
    pub(crate) field: Option<String>,
    /// What the log says; null when there should be no such row.
    pub(crate) expected: Option<String>,
    /// What the view says; null when the row is missing.
    pub(crate) found: Option<String>,
    /// The first event from which they differ, where one concerns the row.
    pub(crate) first_event: Option<FirstEvent>,
    /// What puts it right.
    pub(crate) repair: String,
}

/// An event by its place and its id.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct FirstEvent {
    pub(crate) position: u64,
    pub(crate) id: Uuid,
}

pages! {
    /// A page of reconciliations, the latest first.
    ReconciliationPage of Reconciliation,
    /// A page of what a reconciliation found.
    ReconciliationDifferencePage of ReconciliationDifference,
    /// A page of what became of a source's lines.
    ReconciliationVariancePage of ReconciliationVariance,
}

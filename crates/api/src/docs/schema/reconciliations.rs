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
    /// The position in the log that it is for; null until it begins.
    pub(crate) position: Option<u64>,
    /// How far it is, while it is under way.
    pub(crate) progress: Option<ReconciliationProgress>,
    /// The views it compared, once it is over.
    pub(crate) views: Vec<ReconciledView>,
    /// How many rows differ. At most 1,000 of a view are named.
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
}

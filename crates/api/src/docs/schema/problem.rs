//! What went wrong.

use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"type": "/problems/warehouse-not-found", "title": "There is no such warehouse", "status": 404, "detail": "stock-warehouse-not-found", "requestId": "req_9h2k4m7p0q3sx"}))]
pub(crate) struct Problem {
    /// Where the problem is explained.
    pub(crate) r#type: String,
    /// What it is, in one line.
    pub(crate) title: String,
    /// The status of the answer.
    pub(crate) status: u16,
    /// A code to branch on.
    pub(crate) detail: String,
    /// What is wrong with the request, where.
    pub(crate) errors: Option<Vec<ProblemError>>,
    /// The lines that ask for more than there is, or tell of more than is on the way.
    pub(crate) shortages: Option<Vec<Shortage>>,
    /// The warehouse that the transfer goes to.
    pub(crate) to_warehouse_id: Option<Uuid>,
    /// The version that the warehouse was to have come to.
    pub(crate) expected: Option<u64>,
    /// The version that it has come to.
    pub(crate) present: Option<u64>,
    /// The variants of which another quantity is available than was expected.
    pub(crate) lines: Option<Vec<Mismatch>>,
    /// Why exactly, where there are several reasons.
    pub(crate) reason: Option<String>,
    /// What was recorded under the idempotency key.
    pub(crate) event_id: Option<Uuid>,
    /// The event that undid it already.
    pub(crate) reversed_by_id: Option<Uuid>,
    /// The open count that is of the same stock.
    pub(crate) count_id: Option<Uuid>,
    /// Who has the code, the SKU or the transfer's id.
    pub(crate) taken_by: Option<Uuid>,
    /// The type of body that is taken.
    pub(crate) wanted: Option<String>,
    /// The request's id, as in the header X-Request-Id and in the server's log.
    pub(crate) request_id: Option<String>,
}

/// One thing that is wrong with a request. One of `pointer`, `parameter` and `header` says where.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProblemError {
    /// A JSON pointer into the body.
    pub(crate) pointer: Option<String>,
    /// A query parameter.
    pub(crate) parameter: Option<String>,
    /// A header field.
    pub(crate) header: Option<String>,
    /// What is wrong.
    pub(crate) detail: String,
}

/// A line that asks for more than there is.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Shortage {
    pub(crate) variant_id: Uuid,
    pub(crate) variant_sku: Option<String>,
    /// Of a lot: its id.
    pub(crate) lot_id: Option<Uuid>,
    /// Of a lot: its code.
    pub(crate) lot: Option<String>,
    /// Where it was to be taken from, if that is not what is available: `held`, `reserved`, `picked`, `packed` or `transit`.
    pub(crate) from: Option<String>,
    pub(crate) requested: i64,
    /// How many there were to take.
    pub(crate) available: i64,
}

/// A variant of which another quantity is available than was expected.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Mismatch {
    pub(crate) variant_id: Uuid,
    pub(crate) variant_sku: Option<String>,
    /// Of a lot: its id.
    pub(crate) lot_id: Option<Uuid>,
    /// Of a lot: its code.
    pub(crate) lot: Option<String>,
    pub(crate) expected: i64,
    pub(crate) available: i64,
}

//! The stock events API as a team would type it for itself: what the rival and the bare handler parse,
//! check and answer. (The product has types of its own; sharing them would not be a comparison.)

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use uuid::Uuid;

const LINES_MAX: usize = 1000;
const NOTES_CHARS_MAX: usize = 500;
const QUANTITY_MAX: u64 = 1_000_000_000;

/// The kind of a stock event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names are the API's")]
pub enum Kind {
    Inbound,
    Outbound,
    Adjust,
}

impl Kind {
    /// As it is spelt on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Inbound => "INBOUND",
            Kind::Outbound => "OUTBOUND",
            Kind::Adjust => "ADJUST",
        }
    }
}

/// Why stock moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the names are the API's")]
pub enum Reason {
    Purchase,
    Sale,
    CountCorrection,
    Damage,
    DiscardExpired,
    Other,
}

impl Reason {
    /// As it is spelt on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Purchase => "PURCHASE",
            Reason::Sale => "SALE",
            Reason::CountCorrection => "COUNT_CORRECTION",
            Reason::Damage => "DAMAGE",
            Reason::DiscardExpired => "DISCARD_EXPIRED",
            Reason::Other => "OTHER",
        }
    }
}

/// One line of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewLine {
    /// The variant.
    pub variant_id: Uuid,
    /// Units; of either sign for ADJUST, above zero otherwise.
    pub quantity: i64,
}

/// A request to create a stock event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are the API's")]
pub struct CreateStockEvent {
    #[serde(rename = "type")]
    pub kind: Kind,
    pub warehouse_id: Uuid,
    pub occurred_at: Option<DateTime<Utc>>,
    pub reason_code: Option<Reason>,
    pub notes: Option<String>,
    pub lines: Vec<NewLine>,
}

/// One line of a recorded stock event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are the API's")]
pub struct Line {
    pub id: Uuid,
    pub variant_id: Uuid,
    pub variant_sku: String,
    /// Signed: what left is negative.
    pub quantity: i64,
}

/// A recorded stock event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are the API's")]
pub struct StockEvent {
    pub id: Uuid,
    #[serde(rename = "type")]
    pub kind: Kind,
    pub warehouse_id: Uuid,
    pub warehouse_code: String,
    pub occurred_at: DateTime<Utc>,
    pub reason_code: Option<Reason>,
    pub notes: Option<String>,
    pub created_by_id: Uuid,
    pub created_by_username: String,
    pub created_at: DateTime<Utc>,
    pub lines: Vec<Line>,
}

/// What is where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are the API's")]
pub struct StockRow {
    pub warehouse_id: Uuid,
    pub warehouse_code: String,
    pub variant_id: Uuid,
    pub variant_sku: String,
    pub on_hand: i64,
    pub available: i64,
    pub reserved: i64,
    pub picked: i64,
    pub packed: i64,
    pub held: i64,
}

/// A page of stock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are the API's")]
pub struct StockPage {
    pub content: Vec<StockRow>,
    pub page: PageInfo,
    pub next_cursor: Option<String>,
}

/// Which page it is, and of how many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are the API's")]
pub struct PageInfo {
    pub number: u64,
    pub size: u64,
    pub total_elements: u64,
    pub total_pages: u64,
}

impl StockPage {
    /// The only page of a list of one row.
    #[must_use]
    pub fn of(row: StockRow) -> StockPage {
        StockPage {
            content: vec![row],
            page: PageInfo {
                number: 0,
                size: 20,
                total_elements: 1,
                total_pages: 1,
            },
            next_cursor: None,
        }
    }
}

/// A request that was refused, as `application/problem+json` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the answer.
    pub status: StatusCode,
    /// The documented code.
    pub detail: &'static str,
}

impl Refusal {
    /// A refusal with a status and its documented code.
    #[must_use]
    pub const fn new(status: StatusCode, detail: &'static str) -> Refusal {
        Refusal { status, detail }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = serde_json::json!({
            "type": "about:blank",
            "title": self.status.canonical_reason(),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let content_type = [("content-type", "application/problem+json")];
        (self.status, content_type, problem.to_string()).into_response()
    }
}

impl CreateStockEvent {
    /// Parses and checks a body, as far as that goes without looking anything up.
    ///
    /// # Errors
    /// The refusal to answer with.
    pub fn parse(body: &[u8]) -> Result<CreateStockEvent, Refusal> {
        let request: CreateStockEvent = serde_json::from_slice(body)
            .map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "invalid payload"))?;
        request.validate()?;
        Ok(request)
    }

    /// The rules that need no look-up.
    ///
    /// # Errors
    /// The refusal to answer with.
    pub fn validate(&self) -> Result<(), Refusal> {
        let notes_fit = self
            .notes
            .as_ref()
            .is_none_or(|notes| notes.chars().count() <= NOTES_CHARS_MAX);
        let is_valid = (1..=LINES_MAX).contains(&self.lines.len())
            && notes_fit
            && self.lines.iter().all(|line| self.takes_quantity(line.quantity))
            && self.reason_code.is_none_or(|reason| self.goes_with(reason))
            && self.has_distinct_variants();
        if is_valid {
            Ok(())
        } else {
            Err(Refusal::new(StatusCode::BAD_REQUEST, "invalid payload"))
        }
    }

    /// By how much a line changes what is on hand.
    #[must_use]
    pub fn signed(&self, line: &NewLine) -> i64 {
        if self.kind == Kind::Outbound {
            -line.quantity
        } else {
            line.quantity
        }
    }

    fn takes_quantity(&self, quantity: i64) -> bool {
        let has_sign = quantity > 0 || (self.kind == Kind::Adjust && quantity < 0);
        has_sign && quantity.unsigned_abs() <= QUANTITY_MAX
    }

    fn goes_with(&self, reason: Reason) -> bool {
        let takes_out = self.lines.iter().all(|line| self.signed(line) < 0);
        match reason {
            Reason::Purchase => self.kind == Kind::Inbound,
            Reason::Sale => self.kind == Kind::Outbound,
            Reason::CountCorrection => self.kind == Kind::Adjust,
            Reason::Damage | Reason::DiscardExpired => takes_out,
            Reason::Other => true,
        }
    }

    fn has_distinct_variants(&self) -> bool {
        if let [_] = self.lines.as_slice() {
            return true;
        }
        let mut seen = HashSet::with_capacity(self.lines.len());
        self.lines.iter().all(|line| seen.insert(line.variant_id))
    }
}

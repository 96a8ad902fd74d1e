//! What goes to a server and what comes back, as JSON.

use anyhow::{Context, bail};
use bincard_ledger::Reason;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::import::target::HeadReport;

/// A line of a bulk answer.
#[derive(Deserialize, Debug)]
pub(super) struct Answer {
    pub(super) line: usize,
    pub(super) status: u16,
    pub(super) id: Option<Uuid>,
    #[serde(default)]
    pub(super) replayed: bool,
    pub(super) problem: Option<Problem>,
}

/// What the server says of something that it did not do.
#[derive(Deserialize, Debug, Default)]
pub(super) struct Problem {
    #[serde(default)]
    pub(super) title: String,
    pub(super) detail: Option<String>,
    #[serde(rename = "takenBy")]
    pub(super) taken_by: Option<Uuid>,
    #[serde(default)]
    pub(super) shortages: Vec<Short>,
    #[serde(default)]
    pub(super) errors: Vec<Fault>,
}

#[derive(Deserialize, Debug)]
pub(super) struct Short {
    #[serde(rename = "variantId")]
    pub(super) variant: Uuid,
    pub(super) requested: i64,
    pub(super) available: i64,
}

#[derive(Deserialize, Debug)]
pub(super) struct Fault {
    pub(super) pointer: Option<String>,
    pub(super) detail: Option<String>,
}

#[derive(Serialize)]
pub(super) struct NewWarehouse<'a> {
    pub(super) code: &'a str,
    pub(super) name: &'a str,
}

#[derive(Serialize)]
pub(super) struct NewVariant<'a> {
    pub(super) sku: &'a str,
    pub(super) name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewEvent<'a> {
    pub(super) r#type: &'static str,
    pub(super) warehouse_id: Uuid,
    pub(super) occurred_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason_code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) notes: Option<&'a str>,
    pub(super) lines: Vec<NewLine>,
    pub(super) idempotency_key: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewLine {
    pub(super) variant_id: Uuid,
    pub(super) quantity: i64,
}

#[derive(Deserialize)]
pub(super) struct PageOf<T> {
    pub(super) content: Vec<T>,
}

#[derive(Deserialize)]
pub(super) struct Listed {
    pub(super) id: Uuid,
    #[serde(alias = "code")]
    pub(super) sku: String,
}

#[derive(Deserialize)]
pub(super) struct LedgerAnswer {
    pub(super) head: HeadReport,
}

/// The answers to `count` lines, in order.
pub(super) fn parse_answers(text: &[u8], count: usize) -> anyhow::Result<Vec<Answer>> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let answers: Vec<Answer> = lines
        .map(serde_json::from_slice)
        .collect::<Result<_, _>>()
        .context("the server's answer to a bulk request is not one that this program knows")?;
    if answers.len() != count
        || answers
            .iter()
            .enumerate()
            .any(|(index, answer)| answer.line != index + 1)
    {
        bail!(
            "the server answered {} lines of {count}: importing again goes on there",
            answers.len()
        );
    }
    Ok(answers)
}

/// A problem in one line.
pub(super) fn said(problem: Option<&Problem>) -> String {
    let Some(problem) = problem else {
        return "it gave no reason".to_owned();
    };
    let mut text = problem.title.clone();
    if let Some(detail) = problem.detail.as_ref().filter(|detail| **detail != text) {
        text.push_str(&format!(" ({detail})"));
    }
    for fault in &problem.errors {
        let (pointer, detail) = (
            fault.pointer.as_deref().unwrap_or(""),
            fault.detail.as_deref().unwrap_or(""),
        );
        text.push_str(&format!("; {pointer} {detail}"));
    }
    text
}

/// A reason as the API spells it.
pub(super) fn reason_name(reason: Reason) -> &'static str {
    match reason {
        Reason::Purchase => "PURCHASE",
        Reason::Sale => "SALE",
        Reason::CountCorrection => "COUNT_CORRECTION",
        Reason::Damage => "DAMAGE",
        Reason::DiscardExpired => "DISCARD_EXPIRED",
        Reason::Other => "OTHER",
        Reason::Theft => "THEFT",
        Reason::Return => "RETURN",
    }
}

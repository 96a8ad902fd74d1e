//! What a request about transfers says, before the ledger's numbers take the place of ids.

use bincard_ledger::{LineLot, Reason, Timestamp};
use uuid::Uuid;

use crate::failure::Failure;
use crate::line_lot;
use crate::wire::spelling;
use crate::wire::tree::{self, Faults, Fields, Reading, Tree};

/// A line to dispatch: what, how much, and how much is to be available before.
pub(super) struct DraftLine {
    pub(super) variant: Uuid,
    pub(super) quantity: i64,
    pub(super) expected: Option<i64>,
    pub(super) lot: Option<LineLot>,
}

/// A transfer as it is asked for.
pub(super) struct NewTransfer {
    pub(super) name: Option<Box<str>>,
    pub(super) source: Uuid,
    pub(super) destination: Uuid,
    pub(super) lines: Vec<DraftLine>,
    pub(super) occurred_at: Option<Timestamp>,
    pub(super) notes: Option<Box<str>>,
    /// In whose name.
    pub(super) user: Option<Uuid>,
}

/// What was found of one variant.
pub(super) struct FoundLine {
    pub(super) variant: Uuid,
    pub(super) received: i64,
    pub(super) damaged: i64,
    pub(super) short: i64,
    pub(super) lot: Option<LineLot>,
}

/// A receipt as it is asked for.
pub(super) struct Receipt {
    /// Where it says that it arrived.
    pub(super) warehouse: Option<Uuid>,
    /// None: everything arrived.
    pub(super) lines: Vec<FoundLine>,
    pub(super) occurred_at: Option<Timestamp>,
    pub(super) notes: Option<Box<str>>,
    pub(super) user: Option<Uuid>,
}

/// The end of a transfer as it is asked for.
pub(super) struct Closing {
    pub(super) reason: Reason,
    pub(super) notes: Option<Box<str>>,
    pub(super) user: Option<Uuid>,
}

pub(super) fn read_new(json: &[u8]) -> Result<NewTransfer, Failure> {
    let asked = tree::object(json, |fields, faults| {
        let name = fields.optional("transferId", faults, tree::text);
        let source = fields.required("fromWarehouseId", faults, tree::uuid);
        let destination = fields.required("toWarehouseId", faults, tree::uuid);
        let lines = fields.required("lines", faults, tree::list);
        let lines = read_lines(lines.unwrap_or_default(), faults, |line, fields, faults| {
            let variant = fields.required("variantId", faults, tree::uuid);
            let quantity = fields.required("quantity", faults, tree::whole);
            let expected = fields.optional("expectedAvailable", faults, tree::whole);
            let lot = line_lot::read(fields, line, faults);
            Some(DraftLine {
                variant: variant?,
                quantity: quantity?,
                expected,
                lot,
            })
        });
        let occurred_at = fields.optional("occurredAt", faults, tree::instant);
        let notes = fields.optional("notes", faults, tree::text);
        let user = fields.optional("userId", faults, tree::uuid);
        Some(NewTransfer {
            name: name.map(Box::from),
            source: source?,
            destination: destination?,
            lines,
            occurred_at,
            notes: notes.map(Box::from),
            user,
        })
    });
    Ok(asked?)
}

/// A receipt. No body at all tells that everything arrived.
pub(super) fn read_receipt(json: &[u8]) -> Result<Receipt, Failure> {
    let json = if json.iter().all(u8::is_ascii_whitespace) {
        b"{}"
    } else {
        json
    };
    let asked = tree::object(json, |fields, faults| {
        let warehouse = fields.optional("warehouseId", faults, tree::uuid);
        let lines = fields.optional("lines", faults, read_some_lines);
        let lines = read_lines(lines.unwrap_or_default(), faults, |line, fields, faults| {
            let variant = fields.required("variantId", faults, tree::uuid);
            let received = fields.required("received", faults, tree::whole);
            let damaged = fields.optional("damaged", faults, tree::whole);
            let short = fields.optional("short", faults, tree::whole);
            let lot = line_lot::read(fields, line, faults);
            Some(FoundLine {
                variant: variant?,
                received: received?,
                damaged: damaged.unwrap_or_default(),
                short: short.unwrap_or_default(),
                lot,
            })
        });
        let occurred_at = fields.optional("occurredAt", faults, tree::instant);
        let notes = fields.optional("notes", faults, tree::text);
        let user = fields.optional("userId", faults, tree::uuid);
        Some(Receipt {
            warehouse,
            lines,
            occurred_at,
            notes: notes.map(Box::from),
            user,
        })
    });
    Ok(asked?)
}

pub(super) fn read_closing(json: &[u8]) -> Result<Closing, Failure> {
    let asked = tree::object(json, |fields, faults| {
        let reason = fields.required("reasonCode", faults, read_reason);
        let notes = fields.optional("notes", faults, tree::text);
        let user = fields.optional("userId", faults, tree::uuid);
        Some(Closing {
            reason: reason?,
            notes: notes.map(Box::from),
            user,
        })
    });
    Ok(asked?)
}

fn read_lines<T>(
    lines: &[Tree<'_>],
    faults: &mut Faults,
    mut read: impl FnMut(usize, &mut Fields<'_, '_>, &mut Faults) -> Option<T>,
) -> Vec<T> {
    let mut all = Vec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        let Some(mut fields) = line.fields(&format!("/lines/{index}"), faults) else {
            continue;
        };
        all.extend(read(index, &mut fields, faults));
        fields.finish(faults);
    }
    all
}

/// Lines of a receipt: none would tell that everything arrived, which is said by leaving them out.
fn read_some_lines<'t, 'a>(tree: &'t Tree<'a>) -> Reading<&'t [Tree<'a>]> {
    match tree::list(tree)? {
        [] => Err("must have a line; leave it out when everything arrived"),
        lines => Ok(lines),
    }
}

fn read_reason(tree: &Tree<'_>) -> Reading<Reason> {
    let word = tree::text(tree).unwrap_or_default();
    spelling::reason(word.as_bytes())
        .ok_or("must be COUNT_CORRECTION, DAMAGE, DISCARD_EXPIRED, THEFT, RETURN or OTHER")
}

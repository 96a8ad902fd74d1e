//! A stock event as a caller asks for it, before the ledger's numbers take the place of ids.
//!
//! This is the strict reader: it takes anything that is right in whatever spelling JSON allows, and names everything
//! that is wrong. [`super::fast`] reads the usual spelling in a fraction of the time and leaves the rest to this one.

use std::borrow::Cow;

use bincard_ledger::{Conditions, Kind, Line, LineLot, PublicIds, Reason, StockCommand, Timestamp, Version};
use smallvec::SmallVec;
use uuid::Uuid;

use crate::failure::{Failure, Missing};
use crate::line_lot;
use crate::wire::spelling;
use crate::wire::tree::{self, Faults, Reading, Tree};

/// Where a draft stands: alone in a body, or in a line of a bulk body, which may have a key of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    Body,
    Line,
}

/// A stock event as it is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Draft<'a> {
    pub(super) kind: Kind,
    pub(super) warehouse: Uuid,
    pub(super) occurred_at: Option<Timestamp>,
    pub(super) reason: Option<Reason>,
    pub(super) notes: Option<Cow<'a, str>>,
    /// Variants and quantities.
    pub(super) lines: SmallVec<[(Uuid, i64); 1]>,
    /// How many units are to be available before it, by the number of the line.
    pub(super) expected: Vec<(usize, i64)>,
    /// The lots that lines name.
    pub(super) lots: Vec<LineLot>,
    /// In whose name.
    pub(super) user: Option<Uuid>,
    /// The line's own idempotency key.
    pub(super) key: Option<Cow<'a, str>>,
}

impl<'a> Draft<'a> {
    /// Reads a draft, by the fast reader where it can.
    pub(super) fn parse(json: &'a [u8], form: Form) -> Result<Draft<'a>, Failure> {
        match super::fast::parse(json, form) {
            Some(draft) => Ok(draft),
            None => Ok(parse_strictly(json, form)?),
        }
    }

    /// The command that this asks for. Which warehouse and variants exist is for the ledger to say; here their ids
    /// must be this ledger's. `version` is the one that the warehouse is to have come to.
    pub(super) fn into_command(
        self,
        ids: PublicIds,
        version: Option<Version>,
    ) -> Result<StockCommand, Failure> {
        let warehouse = ids
            .resolve_warehouse(self.warehouse)
            .ok_or(Failure::NotFound(Missing::WarehouseIn { field: "warehouseId" }))?;
        let mut command = StockCommand::new(self.kind, warehouse, []);
        command.lines.reserve_exact(self.lines.len());
        for (line, (variant, quantity)) in self.lines.into_iter().enumerate() {
            let variant = ids
                .resolve_variant(variant)
                .ok_or(Failure::NotFound(Missing::Variant { line: Some(line) }))?;
            command.lines.push(Line { variant, quantity });
        }
        if version.is_some() || !self.expected.is_empty() {
            let variant = |line: usize| command.lines.get(line).map(|line| line.variant);
            let expected = self.expected.into_iter();
            let available = expected.filter_map(|(line, units)| Some((variant(line)?, units)));
            command.conditions = Some(Box::new(Conditions {
                version,
                available: available.collect(),
            }));
        }
        command.lots = self.lots;
        command.occurred_at = self.occurred_at;
        command.reason = self.reason;
        command.notes = self.notes.map(Box::from);
        Ok(command)
    }
}

/// The kinds that are created under `/api/v1/stock-events`.
pub(super) fn kind_of(word: &[u8]) -> Option<Kind> {
    match word {
        b"INBOUND" => Some(Kind::Inbound),
        b"OUTBOUND" => Some(Kind::Outbound),
        b"ADJUST" => Some(Kind::Adjust),
        b"HOLD" => Some(Kind::Hold),
        b"UNHOLD" => Some(Kind::Unhold),
        _ => None,
    }
}

pub(super) fn parse_strictly(json: &[u8], form: Form) -> Result<Draft<'static>, Faults> {
    let mut faults = Faults::default();
    let tree = Tree::parse(json)?;
    let draft = read(&tree, form, &mut faults);
    faults.or(draft)
}

fn read(tree: &Tree<'_>, form: Form, faults: &mut Faults) -> Option<Draft<'static>> {
    let mut fields = tree.fields("", faults)?;
    let kind = fields.required("type", faults, read_kind);
    let warehouse = fields.required("warehouseId", faults, tree::uuid);
    let occurred_at = fields.optional("occurredAt", faults, tree::instant);
    let reason = fields.optional("reasonCode", faults, read_reason);
    let notes = fields.optional("notes", faults, tree::text);
    let lines = fields.required("lines", faults, tree::list);
    let user = fields.optional("userId", faults, tree::uuid);
    let key = match form {
        Form::Body => None,
        Form::Line => fields.optional("idempotencyKey", faults, tree::text),
    };
    fields.finish(faults);
    let mut more = (Vec::new(), Vec::new());
    let lines = lines.map(|lines| read_lines(lines, &mut more, faults));
    let (expected, lots) = more;
    Some(Draft {
        kind: kind?,
        warehouse: warehouse?,
        occurred_at,
        reason,
        notes: notes.map(|notes| Cow::Owned(notes.to_owned())),
        lines: lines?,
        expected,
        lots,
        user,
        key: key.map(|key| Cow::Owned(key.to_owned())),
    })
}

fn read_kind(tree: &Tree<'_>) -> Reading<Kind> {
    kind_of(tree::text(tree).unwrap_or_default().as_bytes())
        .ok_or("must be INBOUND, OUTBOUND, ADJUST, HOLD or UNHOLD")
}

fn read_reason(tree: &Tree<'_>) -> Reading<Reason> {
    spelling::reason(tree::text(tree).unwrap_or_default().as_bytes())
        .ok_or("must be PURCHASE, SALE, COUNT_CORRECTION, DAMAGE, DISCARD_EXPIRED, OTHER, THEFT or RETURN")
}

fn read_lines(
    lines: &[Tree<'_>],
    (expected, lots): &mut (Vec<(usize, i64)>, Vec<LineLot>),
    faults: &mut Faults,
) -> SmallVec<[(Uuid, i64); 1]> {
    let mut read = SmallVec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        let Some(mut fields) = line.fields(&format!("/lines/{index}"), faults) else {
            continue;
        };
        let variant = fields.required("variantId", faults, tree::uuid);
        let quantity = fields.required("quantity", faults, tree::whole);
        let available = fields.optional("expectedAvailable", faults, tree::whole);
        expected.extend(available.map(|units| (index, units)));
        lots.extend(line_lot::read(&mut fields, index, faults));
        fields.finish(faults);
        read.extend(variant.zip(quantity));
    }
    read
}

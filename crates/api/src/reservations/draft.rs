//! What a request about reservations says, before the ledger's numbers take the place of ids.

use bincard_ledger::{Bucket, Conditions, Line, LineLot, PublicIds, StockCommand, Timestamp, Version};
use uuid::Uuid;

use crate::failure::{Failure, Missing};
use crate::line_lot;
use crate::wire::tree::{self, Faults, Fields, Reading, Tree};

/// A line: what, how much, how much is to be available before, and of which lot.
pub(super) struct DraftLine {
    pub(super) variant: Uuid,
    pub(super) quantity: i64,
    pub(super) expected: Option<i64>,
    pub(super) lot: Option<LineLot>,
}

/// A reservation as it is asked for.
pub(super) struct NewReservation {
    pub(super) order: Box<str>,
    pub(super) warehouse: Uuid,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) is_partial: bool,
    pub(super) more: More,
}

/// What every step may say.
pub(super) struct More {
    pub(super) lines: Vec<DraftLine>,
    pub(super) occurred_at: Option<Timestamp>,
    pub(super) notes: Option<Box<str>>,
    /// In whose name.
    pub(super) user: Option<Uuid>,
}

/// A step as it is asked for.
pub(super) struct Step {
    /// Which bucket a release empties.
    pub(super) from: Option<Bucket>,
    pub(super) more: More,
}

/// Another expiry, or none.
pub(super) struct Extension {
    pub(super) expires_at: Option<Timestamp>,
    pub(super) notes: Option<Box<str>>,
    pub(super) user: Option<Uuid>,
}

pub(super) fn read_new(json: &[u8]) -> Result<NewReservation, Failure> {
    parse(json, |fields, faults| {
        let order = fields.required("orderId", faults, tree::text);
        let warehouse = fields.required("warehouseId", faults, tree::uuid);
        let expires_at = fields.optional("expiresAt", faults, tree::instant);
        let is_partial = fields.optional("partial", faults, tree::flag);
        let lines = fields.required("lines", faults, tree::list);
        let more = read_more(fields, lines, faults);
        Some(NewReservation {
            order: order?.into(),
            warehouse: warehouse?,
            expires_at,
            is_partial: is_partial.unwrap_or_default(),
            more,
        })
    })
}

/// A step that may name lines; of a release (`is_release`) also a bucket. No body at all asks for everything.
pub(super) fn read_step(json: &[u8], is_release: bool) -> Result<Step, Failure> {
    let step = tree::object_or_nothing(json, |fields, faults| {
        let from = if is_release {
            fields.optional("from", faults, read_bucket)
        } else {
            None
        };
        let lines = fields.optional("lines", faults, read_some_lines);
        let more = read_more(fields, lines, faults);
        Some(Step { from, more })
    });
    Ok(step?)
}

pub(super) fn read_extension(json: &[u8]) -> Result<Extension, Failure> {
    parse(json, |fields, faults| {
        let expires_at = fields.change("expiresAt", faults, tree::instant);
        if expires_at.is_none() && faults.is_empty() {
            faults.add(
                fields.at("expiresAt"),
                "is required: an instant, or null for never",
            );
        }
        let notes = fields.optional("notes", faults, tree::text);
        let user = fields.optional("userId", faults, tree::uuid);
        Some(Extension {
            expires_at: expires_at?,
            notes: notes.map(Box::from),
            user,
        })
    })
}

/// Reads a body by `read`, which answers nothing where it found faults.
fn parse<T>(
    bytes: &[u8],
    read: impl FnOnce(&mut Fields<'_, '_>, &mut Faults) -> Option<T>,
) -> Result<T, Failure> {
    Ok(tree::object(bytes, read)?)
}

fn read_more(fields: &mut Fields<'_, '_>, lines: Option<&[Tree<'_>]>, faults: &mut Faults) -> More {
    let occurred_at = fields.optional("occurredAt", faults, tree::instant);
    let notes = fields.optional("notes", faults, tree::text);
    let user = fields.optional("userId", faults, tree::uuid);
    More {
        lines: read_lines(lines.unwrap_or_default(), faults),
        occurred_at,
        notes: notes.map(Box::from),
        user,
    }
}

fn read_lines(lines: &[Tree<'_>], faults: &mut Faults) -> Vec<DraftLine> {
    let mut read = Vec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        let Some(mut fields) = line.fields(&format!("/lines/{index}"), faults) else {
            continue;
        };
        let variant = fields.required("variantId", faults, tree::uuid);
        let quantity = fields.required("quantity", faults, tree::whole);
        let expected = fields.optional("expectedAvailable", faults, tree::whole);
        let lot = line_lot::read(&mut fields, index, faults);
        fields.finish(faults);
        if let (Some(variant), Some(quantity)) = (variant, quantity) {
            read.push(DraftLine {
                variant,
                quantity,
                expected,
                lot,
            });
        }
    }
    read
}

/// Lines of a step: none would ask for everything, which is said by leaving them out.
fn read_some_lines<'t, 'a>(tree: &'t Tree<'a>) -> Reading<&'t [Tree<'a>]> {
    match tree::list(tree)? {
        [] => Err("must have a line; leave it out to ask for everything"),
        lines => Ok(lines),
    }
}

fn read_bucket(tree: &Tree<'_>) -> Reading<Bucket> {
    match tree::text(tree).unwrap_or_default() {
        "RESERVED" => Ok(Bucket::Reserved),
        "PICKED" => Ok(Bucket::Picked),
        "PACKED" => Ok(Bucket::Packed),
        _ => Err("must be RESERVED, PICKED or PACKED"),
    }
}

impl More {
    /// Puts what is said here into a command, and the version that the warehouse is to have come to.
    pub(super) fn fill(
        self,
        command: &mut StockCommand,
        ids: PublicIds,
        version: Option<Version>,
    ) -> Result<(), Failure> {
        let mut expected = Vec::new();
        command.lines.reserve_exact(self.lines.len());
        for (line, draft) in self.lines.into_iter().enumerate() {
            let variant = ids
                .resolve_variant(draft.variant)
                .ok_or(Failure::NotFound(Missing::Variant { line: Some(line) }))?;
            command.lines.push(Line {
                variant,
                quantity: draft.quantity,
            });
            expected.extend(draft.expected.map(|units| (variant, units)));
            command.lots.extend(draft.lot);
        }
        if version.is_some() || !expected.is_empty() {
            command.conditions = Some(Box::new(Conditions {
                version,
                available: expected,
            }));
        }
        command.occurred_at = self.occurred_at;
        command.notes = self.notes;
        Ok(())
    }
}

//! What a request about counts says.

use bincard_ledger::{FoundLine, PublicIds};
use uuid::Uuid;

use crate::failure::{Failure, Missing};
use crate::wire::tree::{self, At};

/// A count as it is asked for.
pub(super) struct NewCount {
    pub(super) warehouse: Uuid,
    pub(super) variants: Option<Vec<Uuid>>,
    pub(super) is_blind: bool,
    pub(super) notes: Option<Box<str>>,
    pub(super) user: Option<Uuid>,
}

/// What was counted.
pub(super) struct Counted {
    pub(super) lines: Vec<FoundLine>,
    pub(super) notes: Option<Box<str>>,
    pub(super) user: Option<Uuid>,
}

pub(super) fn read_new(json: &[u8]) -> Result<NewCount, Failure> {
    Ok(tree::object(json, |fields, faults| {
        let warehouse = fields.required("warehouseId", faults, tree::uuid);
        let listed = fields.optional("variantIds", faults, tree::list);
        let is_blind = fields.optional("blind", faults, tree::flag);
        let notes = fields.optional("notes", faults, tree::text);
        let user = fields.optional("userId", faults, tree::uuid);
        let variants = listed.map(|listed| {
            let mut variants = Vec::with_capacity(listed.len());
            for (index, one) in listed.iter().enumerate() {
                match tree::uuid(one) {
                    Ok(id) => variants.push(id),
                    Err(why) => faults.add(At::Pointer(format!("/variantIds/{index}")), why),
                }
            }
            variants
        });
        Some(NewCount {
            warehouse: warehouse?,
            variants,
            is_blind: is_blind.unwrap_or_default(),
            notes: notes.map(Box::from),
            user,
        })
    })?)
}

pub(super) fn read_counted(json: &[u8], ids: PublicIds) -> Result<Counted, Failure> {
    let (lines, notes, user) = tree::object(json, |fields, faults| {
        let listed = fields.required("lines", faults, tree::list);
        let notes = fields.optional("notes", faults, tree::text);
        let user = fields.optional("userId", faults, tree::uuid);
        let mut lines = Vec::new();
        for (index, line) in listed?.iter().enumerate() {
            let Some(mut fields) = line.fields(&format!("/lines/{index}"), faults) else {
                continue;
            };
            let variant = fields.required("variantId", faults, tree::uuid);
            let counted = fields.required("counted", faults, tree::whole);
            let at = fields.optional("countedAt", faults, tree::instant);
            fields.finish(faults);
            if let (Some(variant), Some(counted)) = (variant, counted) {
                lines.push((variant, counted, at));
            }
        }
        Some((lines, notes.map(Box::from), user))
    })?;
    let resolve = |(line, (id, counted, at)): (usize, (Uuid, i64, _))| {
        let missing = Failure::NotFound(Missing::Variant { line: Some(line) });
        let variant = ids.resolve_variant(id).ok_or(missing)?;
        Ok(FoundLine { variant, counted, at })
    };
    let lines = lines.into_iter().enumerate().map(resolve);
    Ok(Counted {
        lines: lines.collect::<Result<_, Failure>>()?,
        notes,
        user,
    })
}

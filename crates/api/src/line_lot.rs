//! Lots in lines: how a line names one, and how one is answered.

use bincard_engine::{Names, VariantName};
use bincard_ledger::{LineLot, PublicIds, VariantNo};

use crate::wire::json::Json;
use crate::wire::tree::{self, Faults, Fields};

/// Reads the lot that the line with a number names, and when it says that it expires.
pub(crate) fn read(fields: &mut Fields<'_, '_>, line: usize, faults: &mut Faults) -> Option<LineLot> {
    let code = fields.optional("lot", faults, tree::text);
    let expires_at = fields.optional("expiresAt", faults, tree::instant);
    if code.is_none() && expires_at.is_some() {
        faults.add(
            fields.at("expiresAt"),
            "is of a lot: name the lot, or give the variant an expiry",
        );
    }
    Some(LineLot {
        line,
        code: code?.into(),
        expires_at,
    })
}

/// Writes which variant a number is of, and of a lot which: the fields `variantId`, `variantSku`, and of a lot `lotId` and
/// `lot`.
pub(crate) fn write(json: &mut Json, ids: PublicIds, names: &Names, no: VariantNo) {
    write_named(json, ids, no, names.variant(no).as_ref());
}

/// Writes the same of what is called by `name`.
pub(crate) fn write_named(json: &mut Json, ids: PublicIds, no: VariantNo, name: Option<&VariantName>) {
    let of = name.map_or(no, |name| name.of);
    json.raw(r#""variantId":"#).uuid(ids.variant(of));
    json.raw(r#","variantSku":"#)
        .text_or_null(name.map(|name| &*name.sku));
    if let Some(code) = name.and_then(|name| name.lot.as_deref()) {
        json.raw(r#","lotId":"#).uuid(ids.variant(no));
        json.raw(r#","lot":"#).text(code);
    }
}

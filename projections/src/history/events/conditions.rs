//! A filter of events as SQL conditions.

use super::EventFilter;
use crate::filter::Conditions;
use crate::history::{PLACES_REPEATED, reason_column};

/// Warehouses, kinds and reason, which the counts have too.
pub(super) fn filter_content(conditions: &mut Conditions, filter: &EventFilter, prefix: &str) {
    if let Some(warehouses) = &filter.warehouses {
        conditions.one_of(
            &format!("{prefix}warehouse"),
            warehouses.iter().map(|no| i64::from(no.0)),
        );
    }
    if let Some(kinds) = &filter.kinds {
        conditions.one_of(
            &format!("{prefix}kind"),
            kinds.iter().map(|kind| i64::from(kind.code())),
        );
    }
    if filter.reason.is_some() {
        conditions.equals(&format!("{prefix}reason"), reason_column(filter.reason));
    }
}

pub(super) fn filter_variant(conditions: &mut Conditions, filter: &EventFilter, prefix: &str) {
    if let Some(variant) = filter.variant {
        conditions.equals(&format!("{prefix}variant"), i64::from(variant.0));
        conditions.compare(&format!("({prefix}places & {PLACES_REPEATED})"), "=", 0);
    }
}

pub(super) fn filter_window(conditions: &mut Conditions, filter: &EventFilter, column: &str) {
    if let Some(from) = filter.occurred_from {
        conditions.compare(column, ">=", from.micros());
    }
    if let Some(to) = filter.occurred_to {
        conditions.compare(column, "<=", to.micros());
    }
}

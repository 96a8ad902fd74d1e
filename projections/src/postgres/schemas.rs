//! The schemas that say which views there are, and that have the reconciliations.

use bincard_store::postgres::migrate::Schema;

use super::{RECONCILIATIONS_SCHEMA, SCHEMA};

pub(super) const VIEWS: Schema = Schema {
    name: SCHEMA,
    migrations: &[(
        1,
        "views",
        include_str!("../../../migrations/postgres/views/0001_views.sql"),
    )],
    lock: 0x6269_6e63_7669_6577,
};

pub(super) const RECONCILIATIONS: Schema = Schema {
    name: RECONCILIATIONS_SCHEMA,
    migrations: &[(
        1,
        "reconciliations",
        include_str!("../../../migrations/postgres/reconciliations/0001_runs.sql"),
    )],
    lock: 0x6269_6e63_7265_636f,
};

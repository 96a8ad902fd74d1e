//! The migrations that the program carries.

use std::borrow::Cow;

use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// A version, a name, and the statements. Applied ones never change.
pub(super) type Embedded = (i64, &'static str, &'static str);

/// Applies them in order. Whoever runs it sees to it that nobody else does.
pub(super) fn migrator(migrations: &[Embedded]) -> Migrator {
    let migration = |(version, name, sql): &Embedded| {
        Migration::new(
            *version,
            Cow::Borrowed(*name),
            MigrationType::Simple,
            SqlStr::from_static(sql),
            false,
        )
    };
    let mut migrator = Migrator::with_migrations(migrations.iter().map(migration).collect());
    migrator.set_locking(false);
    migrator
}

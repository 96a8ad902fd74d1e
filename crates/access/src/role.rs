//! Roles, the warehouses that come with one, and rate plans.

use std::fmt;

use uuid::Uuid;

use crate::AccessError;

const WAREHOUSES_MAX: usize = 1000;

macro_rules! spelled {
    ($(#[$doc:meta])* $name:ident, $field:literal, $why:literal: $($(#[$vdoc:meta])* $variant:ident = $text:literal,)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
        }

        impl $name {
            /// Takes the spelling that [`as_str`](Self::as_str) gives, in upper or lower case.
            pub fn parse(text: &str) -> Result<Self, AccessError> {
                $(if text.eq_ignore_ascii_case($text) {
                    return Ok(Self::$variant);
                })*
                Err(AccessError::Invalid { field: $field, why: $why })
            }

            /// How it is spelled in the database and on the command line.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

spelled! {
    /// What a caller may do in its tenant. [`Caller`](crate::Caller) says what follows from it.
    Role, "role", "must be ADMIN, MANAGER, SELLER or VIEWER":
    /// Everything.
    Admin = "ADMIN",
    /// All stock and planning work.
    Manager = "MANAGER",
    /// Stock work and reading, at its own warehouses only.
    Seller = "SELLER",
    /// Reading.
    Viewer = "VIEWER",
}

spelled! {
    /// How many requests a caller may make. [`RateLimits`](crate::RateLimits) holds the figures.
    Plan, "plan", "must be standard, premium or service":
    /// For people.
    Standard = "standard",
    /// For people in a hurry.
    Premium = "premium",
    /// For machines: no limit.
    Service = "service",
}

/// Sorted and without duplicates. Only a SELLER has warehouses: with another role the list would promise a
/// restriction that nobody keeps.
pub(crate) fn warehouses_of(role: Role, warehouses: &[Uuid]) -> Result<Box<[Uuid]>, AccessError> {
    let invalid = |why| {
        Err(AccessError::Invalid {
            field: "warehouses",
            why,
        })
    };
    if role != Role::Seller && !warehouses.is_empty() {
        return invalid("only a SELLER is restricted to warehouses");
    }
    if warehouses.len() > WAREHOUSES_MAX {
        return invalid("must be at most 1,000");
    }
    let mut sorted = warehouses.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    Ok(sorted.into_boxed_slice())
}

/// The bytes that the database keeps.
pub(crate) fn warehouses_to_bytes(warehouses: &[Uuid]) -> Vec<u8> {
    warehouses.iter().flat_map(|id| *id.as_bytes()).collect()
}

/// The warehouses in bytes from the database.
pub(crate) fn warehouses_from_bytes(bytes: &[u8]) -> Result<Box<[Uuid]>, AccessError> {
    let (ids, rest) = bytes.as_chunks::<16>();
    if !rest.is_empty() {
        return Err(AccessError::Corrupt {
            what: "list of warehouses",
        });
    }
    Ok(ids.iter().map(|id| Uuid::from_bytes(*id)).collect())
}

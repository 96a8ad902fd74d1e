//! Users and API keys.

use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::page::{PageOf, pages};

/// A user.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct User {
    pub(crate) id: Uuid,
    pub(crate) email: String,
    pub(crate) username: String,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    pub(crate) role: Role,
    pub(crate) warehouse_ids: Vec<Uuid>,
    pub(crate) plan: Plan,
    pub(crate) active: bool,
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
}

/// What somebody may do.
#[derive(ToSchema, Deserialize, Debug, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Role {
    /// Everything.
    Admin,
    /// All stock and planning work.
    Manager,
    /// Stock events and reads at its own warehouses.
    Seller,
    /// Reads.
    Viewer,
}

/// How much somebody may do.
#[derive(ToSchema, Deserialize, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Plan {
    Standard,
    Premium,
    /// No limit; for machines.
    Service,
}

/// A user to add.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct NewUser {
    pub(crate) email: String,
    pub(crate) username: String,
    pub(crate) first_name: Option<String>,
    pub(crate) last_name: Option<String>,
    #[schema(min_length = 8)]
    pub(crate) password: String,
    pub(crate) role: Role,
    /// Of a SELLER only.
    pub(crate) warehouse_ids: Option<Vec<Uuid>>,
    /// `standard` when left out.
    pub(crate) plan: Option<Plan>,
}

/// What to change of a user; what is left out stays.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct UserChange {
    pub(crate) role: Option<Role>,
    pub(crate) warehouse_ids: Option<Vec<Uuid>>,
    pub(crate) plan: Option<Plan>,
    pub(crate) active: Option<bool>,
    pub(crate) password: Option<String>,
}

/// An API key, without its secret.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Key {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) warehouse_ids: Vec<Uuid>,
    pub(crate) plan: Plan,
    pub(crate) created_by_id: Option<Uuid>,
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
    #[schema(format = DateTime)]
    pub(crate) expires_at: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) last_used_at: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) revoked_at: Option<String>,
    /// The key itself: in the answer that creates it, and never again.
    pub(crate) secret: Option<String>,
}

/// An API key to make.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct NewKey {
    #[schema(min_length = 1, max_length = 100)]
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Of a SELLER one or more, of nobody else.
    pub(crate) warehouse_ids: Option<Vec<Uuid>>,
    /// `service` when left out.
    pub(crate) plan: Option<Plan>,
    #[schema(format = DateTime)]
    pub(crate) expires_at: Option<String>,
}

pages! {
    /// A page of users.
    UserPage of User,
    /// A page of API keys.
    KeyPage of Key,
}

//! Signing in and out.

use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::administration::Role;

/// What signs a user in.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "user@example.com", "password": "secure_password"}))]
pub(crate) struct LoginRequest {
    /// The e-mail address, or the username.
    pub(crate) email: String,
    pub(crate) password: String,
}

/// Signed in.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginAnswer {
    pub(crate) success: bool,
    pub(crate) data: LoginTokens,
    pub(crate) message: String,
}

/// What a signed-in user holds.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginTokens {
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    /// For how many seconds the access token works.
    pub(crate) expires_in: u32,
    pub(crate) user: LoginUser,
}

/// Who has signed in.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginUser {
    /// The user's number within its organisation.
    pub(crate) id: i64,
    pub(crate) email: String,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    /// In lower case.
    pub(crate) role: String,
}

/// What gives a new pair of tokens.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshRequest {
    pub(crate) refresh_token: String,
}

/// A new pair of tokens.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshAnswer {
    pub(crate) success: bool,
    pub(crate) data: RefreshTokens,
}

/// A new pair of tokens: use the new refresh token from now on.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshTokens {
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    pub(crate) expires_in: u32,
}

/// Signed out.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogoutAnswer {
    pub(crate) success: bool,
    pub(crate) message: String,
}

/// Who is signed in.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Session {
    pub(crate) user: SessionUser,
    /// When the token runs out; null for a key that does not.
    #[schema(format = DateTime)]
    pub(crate) expires: Option<String>,
}

/// Who is signed in.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct SessionUser {
    pub(crate) id: Uuid,
    /// Null for an API key.
    pub(crate) email: Option<String>,
    pub(crate) role: Role,
    pub(crate) tenant_id: String,
}

/// What went wrong, in the words of the routes of signing in.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct FamilyError {
    /// False; of all routes but the session's.
    pub(crate) success: Option<bool>,
    pub(crate) error: FamilyErrorBody,
    #[schema(format = DateTime)]
    pub(crate) timestamp: String,
    pub(crate) request_id: Option<String>,
    /// Of the session's route.
    #[serde(rename = "requestId")]
    pub(crate) session_request_id: Option<String>,
}

/// What went wrong, in the words of the routes of signing in.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct FamilyErrorBody {
    pub(crate) code: String,
    pub(crate) message: String,
    #[schema(value_type = Object)]
    pub(crate) details: serde_json::Value,
}

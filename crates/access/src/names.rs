//! Names that people choose, checked once where they come in: tenants, e-mail addresses, usernames, key names.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::AccessError;

const TENANT_CHARS_MAX: usize = 63;
const EMAIL_BYTES_MAX: usize = 254;
const USERNAME_CHARS_MAX: usize = 64;
const DISPLAY_NAME_CHARS_MAX: usize = 100;

/// The name of a tenant, which is also its id and the name of its folder: 1 to 63 of `a-z`, `0-9` and `-`,
/// starting with a letter. Cheap to clone; reads as a `&str`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TenantName(Arc<str>);

impl TenantName {
    /// The tenant that every installation has.
    pub const DEFAULT: &'static str = "default";

    /// Takes `name` if it is one.
    pub fn parse(name: &str) -> Result<TenantName, AccessError> {
        let first_is_letter = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        let plain = name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !first_is_letter || !plain || name.len() > TENANT_CHARS_MAX {
            let why = "must be 1 to 63 characters of a-z, 0-9 and -, starting with a letter";
            return Err(AccessError::Invalid { field: "tenant", why });
        }
        Ok(TenantName(name.into()))
    }

    /// The tenant that every installation has.
    pub fn default_tenant() -> TenantName {
        TenantName(TenantName::DEFAULT.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for TenantName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An e-mail address in lower case. Only its shape is checked: whether it exists, a message to it tells.
pub(crate) fn email(text: &str) -> Result<String, AccessError> {
    let why = "must be an e-mail address of at most 254 characters";
    let invalid = Err(AccessError::Invalid { field: "email", why });
    let Some((local, domain)) = text.split_once('@') else {
        return invalid;
    };
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '@';
    if local.is_empty() || domain.is_empty() || text.len() > EMAIL_BYTES_MAX {
        return invalid;
    }
    if local.contains(odd) || domain.contains(odd) {
        return invalid;
    }
    Ok(text.to_lowercase())
}

/// A username has no `@`, so that a login name is an e-mail address or a username and never both.
pub(crate) fn username(text: &str) -> Result<&str, AccessError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let starts_well = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if !starts_well || !text.bytes().all(plain) || text.len() > USERNAME_CHARS_MAX {
        let why = "must be 1 to 64 characters of a-z, A-Z, 0-9, ., _ and -, starting with a letter or digit";
        return Err(AccessError::Invalid {
            field: "username",
            why,
        });
    }
    Ok(text)
}

/// What a key is called, which people read in lists and beside stock events.
pub(crate) fn key_name(text: &str) -> Result<&str, AccessError> {
    if text.trim().is_empty() {
        return Err(AccessError::Invalid {
            field: "name",
            why: "must not be empty",
        });
    }
    display_name("name", text)
}

/// A person's first or last name; may be empty.
pub(crate) fn display_name<'a>(field: &'static str, text: &'a str) -> Result<&'a str, AccessError> {
    if text.chars().count() > DISPLAY_NAME_CHARS_MAX || text.contains(char::is_control) {
        let why = "must be at most 100 characters, none of them a control character";
        return Err(AccessError::Invalid { field, why });
    }
    Ok(text)
}

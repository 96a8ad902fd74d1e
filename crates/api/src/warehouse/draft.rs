//! What requests of the family say. What is malformed (not JSON, unknown fields, other types) is told as that; what can
//! be read and lacks something or says what cannot be, as not valid: each with every field at once.

use uuid::Uuid;

use crate::failure::Failure;
use crate::wire::tree::{Faults, Fields, Tree, parse_uuid, text};

/// The body of a request, being taken apart.
pub(super) struct Draft<'f, 't, 'a> {
    fields: &'f mut Fields<'t, 'a>,
    /// What cannot be read.
    malformed: Faults,
    /// What can, and cannot be.
    invalid: Faults,
}

/// Reads a body by `read`, which answers nothing where it found faults. No body at all is an empty one.
pub(super) fn read<T>(
    bytes: &[u8],
    read: impl FnOnce(&mut Draft<'_, '_, '_>) -> Option<T>,
) -> Result<T, Failure> {
    let bytes = if bytes.iter().all(u8::is_ascii_whitespace) {
        b"{}"
    } else {
        bytes
    };
    let tree = Tree::parse(bytes)?;
    let mut not_an_object = Faults::default();
    let Some(mut fields) = tree.fields("", &mut not_an_object) else {
        return Err(not_an_object.into());
    };
    let mut draft = Draft {
        fields: &mut fields,
        malformed: Faults::default(),
        invalid: Faults::default(),
    };
    let value = read(&mut draft);
    let Draft {
        mut malformed,
        invalid,
        ..
    } = draft;
    fields.finish(&mut malformed);
    if !malformed.is_empty() {
        return Err(malformed.into());
    }
    invalid.or(value).map_err(Failure::Unprocessable)
}

impl<'t, 'a> Draft<'_, 't, 'a> {
    /// A field that may be missing.
    pub(super) fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'t Tree<'a>) -> Result<T, &'static str>,
    ) -> Option<T> {
        self.fields.optional(name, &mut self.malformed, read)
    }

    /// A field that must be there.
    pub(super) fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'t Tree<'a>) -> Result<T, &'static str>,
    ) -> Option<T> {
        let mut malformed = Faults::default();
        let value = self.fields.optional(name, &mut malformed, read);
        if value.is_none() && malformed.is_empty() {
            self.refuse(name, "Required field");
        }
        for fault in malformed.iter() {
            self.malformed.add(fault.at.clone(), fault.detail.clone());
        }
        value
    }

    /// A text that must be there and not be empty.
    pub(super) fn required_text(&mut self, name: &'static str) -> Option<String> {
        let value = self.required(name, text)?;
        if value.trim().is_empty() {
            self.refuse(name, "Required field");
            return None;
        }
        Some(value.to_owned())
    }

    /// A field that may be missing (`None`) or `null` (`Some(None)`).
    pub(super) fn change<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'t Tree<'a>) -> Result<T, &'static str>,
    ) -> Option<Option<T>> {
        self.fields.change(name, &mut self.malformed, read)
    }

    /// A text that must be one of several.
    pub(super) fn choice<T>(
        &mut self,
        name: &'static str,
        must_be: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let word = self.required(name, text)?;
        let chosen = parse(word);
        if chosen.is_none() {
            self.refuse(name, must_be);
        }
        chosen
    }

    /// Where, if that is said.
    pub(super) fn location(&mut self) -> Option<String> {
        self.optional("location", text).map(str::to_owned)
    }

    /// In whose name, if that is said.
    pub(super) fn user(&mut self) -> Option<Uuid> {
        let id = self.optional("userId", text)?;
        let user = parse_uuid(id);
        if user.is_none() {
            self.refuse("userId", "There is no such user");
        }
        user
    }

    /// Names a field that says what cannot be.
    pub(super) fn refuse(&mut self, name: &'static str, detail: &'static str) {
        self.invalid.add(self.fields.at(name), detail);
    }
}

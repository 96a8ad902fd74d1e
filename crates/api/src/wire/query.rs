//! Query parameters, read as strictly as bodies: a filter with a slip of the pen would list everything.

use std::borrow::Cow;

use bincard_ledger::Timestamp;
use uuid::Uuid;

use super::time;
use super::tree::{At, Faults, NO_NUL, parse_uuid};

/// The parameters of a request, being taken apart.
#[derive(Debug)]
pub(crate) struct Query<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    known: Vec<&'static str>,
    faults: Faults,
}

impl<'a> Query<'a> {
    pub(crate) fn parse(query: Option<&'a str>) -> Query<'a> {
        let text = query.unwrap_or_default();
        Query {
            pairs: form_urlencoded::parse(text.as_bytes()).collect(),
            known: Vec::with_capacity(8),
            faults: Faults::default(),
        }
    }

    /// The parameter `name` as it was sent.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        self.read(name, "", |text| Some(text.to_owned()))
    }

    pub(crate) fn uuid(&mut self, name: &'static str) -> Option<Uuid> {
        self.read(name, "must be a UUID", parse_uuid)
    }

    pub(crate) fn instant(&mut self, name: &'static str) -> Option<Timestamp> {
        // A plus sign that was not escaped has become a blank.
        let parse = |text: &str| time::parse(text.replace(' ', "+").as_bytes());
        self.read(name, "must be an instant such as 2025-02-10T08:00:00Z", parse)
    }

    pub(crate) fn whole(&mut self, name: &'static str) -> Option<u64> {
        const MUST_BE: &str = "must be a whole number, 0 to 18446744073709551615";
        self.read(name, MUST_BE, |text| text.parse().ok())
    }

    pub(crate) fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.read(name, "must be true or false", |text| text.parse().ok())
    }

    /// The parameter `name`, read by `parse`; where that answers `None` the fault says what it must be. One that is empty
    /// is one whose value was lost on the way: taken for missing, it would list everything.
    pub(crate) fn read<T>(
        &mut self,
        name: &'static str,
        must_be: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        self.known.push(name);
        let mut values = self.pairs.iter().filter(|(key, _)| key == name);
        let (_, value) = values.next()?;
        if values.next().is_some() {
            self.faults
                .add(At::Parameter(name.to_owned()), "stands there twice");
            return None;
        }
        if value.is_empty() {
            self.fault(name, "is empty: give it a value, or leave it out");
            return None;
        }
        if value.contains('\0') {
            self.fault(name, NO_NUL);
            return None;
        }
        let read = parse(value);
        if read.is_none() {
            self.fault(name, must_be);
        }
        read
    }

    pub(crate) fn fault(&mut self, name: &'static str, detail: impl Into<Cow<'static, str>>) {
        self.faults.add(At::Parameter(name.to_owned()), detail);
    }

    /// Fails with everything that was wrong, parameters that nobody asked for included.
    pub(crate) fn finish(mut self) -> Result<(), Faults> {
        for (name, _) in &self.pairs {
            if !self.known.iter().any(|known| known == name) {
                let detail = format!("there is no such parameter; there are {}", self.known.join(", "));
                self.faults.add(At::Parameter(name.to_string()), detail);
            }
        }
        self.faults.or(Some(()))
    }
}

//! JSON of requests, read strictly: every field known, each once, each of its type, and whatever is wrong named by
//! JSON pointer, all of it at once.
//!
//! [`Tree`] is a document as it was sent. [`Fields`] takes its fields apart by name and collects the faults.

use std::borrow::Cow;
use std::fmt;

use bincard_ledger::Timestamp;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use uuid::Uuid;

use super::{numbers, time};

/// More faults than this are not listed: nobody reads them.
const FAULTS_MAX: usize = 50;

/// A JSON document, borrowed from its bytes where it can be.
#[derive(Debug, PartialEq)]
pub(crate) enum Tree<'a> {
    Null,
    Flag(bool),
    Whole(i64),
    /// A number that is not whole.
    Broken,
    /// A number beyond what any field takes.
    Huge,
    Text(Cow<'a, str>),
    List(Vec<Tree<'a>>),
    Object(Vec<(Cow<'a, str>, Tree<'a>)>),
}

/// Where something is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum At {
    /// In the body, by JSON pointer; empty for the whole.
    Pointer(String),
    /// In the query.
    Parameter(String),
    /// In the head.
    Header(&'static str),
}

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: At,
    /// What is wrong, or what it must be.
    pub(crate) detail: Cow<'static, str>,
}

/// What is wrong with a request, as far as it is worth telling.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn one(at: At, detail: impl Into<Cow<'static, str>>) -> Faults {
        let mut faults = Faults::default();
        faults.add(at, detail);
        faults
    }

    pub(crate) fn add(&mut self, at: At, detail: impl Into<Cow<'static, str>>) {
        if self.0.len() < FAULTS_MAX {
            let detail = detail.into();
            self.0.push(Fault { at, detail });
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }

    /// `value` if nothing is wrong.
    pub(crate) fn or<T>(self, value: Option<T>) -> Result<T, Faults> {
        match value {
            Some(value) if self.is_empty() => Ok(value),
            _ => Err(self),
        }
    }
}

impl<'a> Tree<'a> {
    /// Reads a whole document.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Tree<'a>, Faults> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(Faults::one(
                At::Pointer(String::new()),
                "a JSON object is required",
            ));
        }
        serde_json::from_slice(bytes).or_else(|error| {
            // Numbers beyond every float are JSON still: the field that has one is what is wrong.
            let tamed = numbers::tame(bytes);
            let tree = tamed
                .as_deref()
                .and_then(|bytes| serde_json::from_slice::<Tree<'_>>(bytes).ok());
            tree.map(Tree::into_owned)
                .ok_or_else(|| Faults::one(At::Pointer(String::new()), format!("not valid JSON: {error}")))
        })
    }

    fn into_owned<'b>(self) -> Tree<'b> {
        let owned = |text: Cow<'a, str>| Cow::Owned(text.into_owned());
        match self {
            Tree::Null => Tree::Null,
            Tree::Flag(flag) => Tree::Flag(flag),
            Tree::Whole(number) => Tree::Whole(number),
            Tree::Broken => Tree::Broken,
            Tree::Huge => Tree::Huge,
            Tree::Text(text) => Tree::Text(owned(text)),
            Tree::List(list) => Tree::List(list.into_iter().map(Tree::into_owned).collect()),
            Tree::Object(entries) => {
                let entries = entries
                    .into_iter()
                    .map(|(name, value)| (owned(name), value.into_owned()));
                Tree::Object(entries.collect())
            }
        }
    }

    /// The fields of the object at `pointer`; anything else is a fault.
    pub(crate) fn fields<'t>(&'t self, pointer: &str, faults: &mut Faults) -> Option<Fields<'t, 'a>> {
        match self {
            Tree::Object(entries) => Some(Fields {
                pointer: pointer.to_owned(),
                entries,
                known: Vec::with_capacity(8),
            }),
            _ => {
                faults.add(At::Pointer(pointer.to_owned()), "must be an object");
                None
            }
        }
    }
}

/// [`object`] of a body that may be left out: no body at all says nothing.
pub(crate) fn object_or_nothing<T>(
    bytes: &[u8],
    read: impl FnOnce(&mut Fields<'_, '_>, &mut Faults) -> Option<T>,
) -> Result<T, Faults> {
    let is_blank = bytes.iter().all(u8::is_ascii_whitespace);
    object(if is_blank { b"{}" } else { bytes }, read)
}

/// Reads a document that is one object by `read`, which answers nothing where it found faults.
pub(crate) fn object<T>(
    bytes: &[u8],
    read: impl FnOnce(&mut Fields<'_, '_>, &mut Faults) -> Option<T>,
) -> Result<T, Faults> {
    let mut faults = Faults::default();
    let tree = Tree::parse(bytes)?;
    let asked = tree.fields("", &mut faults).and_then(|mut fields| {
        let asked = read(&mut fields, &mut faults);
        fields.finish(&mut faults);
        asked
    });
    faults.or(asked)
}

/// Reads a value of one type, or says what it must be.
pub(crate) type Reading<T> = Result<T, &'static str>;

/// PostgreSQL keeps no text with this character, and nobody means it.
pub(crate) const NO_NUL: &str = "must not contain the character NUL";

pub(crate) fn text<'t>(tree: &'t Tree<'_>) -> Reading<&'t str> {
    match tree {
        Tree::Text(text) if text.contains('\0') => Err(NO_NUL),
        Tree::Text(text) => Ok(text),
        _ => Err("must be a string"),
    }
}

pub(crate) fn whole(tree: &Tree<'_>) -> Reading<i64> {
    match tree {
        Tree::Whole(number) => Ok(*number),
        Tree::Huge => Err("must be a whole number of at most 19 digits, -2^63 to 2^63 - 1"),
        _ => Err("must be a whole number"),
    }
}

pub(crate) fn flag(tree: &Tree<'_>) -> Reading<bool> {
    match tree {
        Tree::Flag(flag) => Ok(*flag),
        _ => Err("must be true or false"),
    }
}

pub(crate) fn uuid(tree: &Tree<'_>) -> Reading<Uuid> {
    parse_uuid(text(tree).unwrap_or_default()).ok_or("must be a UUID")
}

pub(crate) fn instant(tree: &Tree<'_>) -> Reading<Timestamp> {
    time::parse(text(tree).unwrap_or_default().as_bytes())
        .ok_or("must be an instant such as 2025-02-10T08:00:00Z")
}

pub(crate) fn list<'t, 'a>(tree: &'t Tree<'a>) -> Reading<&'t [Tree<'a>]> {
    match tree {
        Tree::List(list) => Ok(list),
        _ => Err("must be a list"),
    }
}

/// A UUID in its one usual spelling: 36 characters with hyphens, of either case.
pub(crate) fn parse_uuid(text: &str) -> Option<Uuid> {
    if text.len() != 36 {
        return None;
    }
    Uuid::try_parse_ascii(text.as_bytes()).ok()
}

/// The fields of one object, being taken apart.
#[derive(Debug)]
pub(crate) struct Fields<'t, 'a> {
    pointer: String,
    entries: &'t [(Cow<'a, str>, Tree<'a>)],
    known: Vec<&'static str>,
}

impl<'t, 'a> Fields<'t, 'a> {
    /// A field that may be missing or `null`.
    pub(crate) fn optional<T>(
        &mut self,
        name: &'static str,
        faults: &mut Faults,
        read: impl FnOnce(&'t Tree<'a>) -> Reading<T>,
    ) -> Option<T> {
        self.change(name, faults, read).flatten()
    }

    /// A field that must be there.
    pub(crate) fn required<T>(
        &mut self,
        name: &'static str,
        faults: &mut Faults,
        read: impl FnOnce(&'t Tree<'a>) -> Reading<T>,
    ) -> Option<T> {
        match self.value(name) {
            None => {
                faults.add(self.at(name), "is required");
                None
            }
            Some(value) => self.read(name, value, faults, read),
        }
    }

    /// A field that may be missing (`None`) or `null` (`Some(None)`).
    #[expect(
        clippy::option_option,
        reason = "missing and null are two things in a change, and this is what commands hold"
    )]
    pub(crate) fn change<T>(
        &mut self,
        name: &'static str,
        faults: &mut Faults,
        read: impl FnOnce(&'t Tree<'a>) -> Reading<T>,
    ) -> Option<Option<T>> {
        match self.value(name)? {
            Tree::Null => Some(None),
            value => self.read(name, value, faults, read).map(Some),
        }
    }

    /// A field that may be missing but not `null`.
    pub(crate) fn change_to<T>(
        &mut self,
        name: &'static str,
        faults: &mut Faults,
        read: impl FnOnce(&'t Tree<'a>) -> Reading<T>,
    ) -> Option<T> {
        let value = self.value(name)?;
        self.read(name, value, faults, read)
    }

    /// Where the field `name` stands.
    pub(crate) fn at(&self, name: &str) -> At {
        At::Pointer(self.pointer_to(name))
    }

    /// The JSON pointer of the field `name`.
    pub(crate) fn pointer_to(&self, name: &str) -> String {
        let name = name.replace('~', "~0").replace('/', "~1");
        format!("{}/{name}", self.pointer)
    }

    /// Names what was not asked for and what stands there twice.
    pub(crate) fn finish(self, faults: &mut Faults) {
        for (index, (name, _)) in self.entries.iter().enumerate() {
            if !self.known.iter().any(|known| known == name) {
                faults.add(self.at(name), "there is no such field");
            } else if self.entries[..index].iter().any(|(earlier, _)| earlier == name) {
                faults.add(self.at(name), "stands there twice");
            }
        }
    }

    fn value(&mut self, name: &'static str) -> Option<&'t Tree<'a>> {
        self.known.push(name);
        self.entries
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    fn read<T>(
        &self,
        name: &'static str,
        value: &'t Tree<'a>,
        faults: &mut Faults,
        read: impl FnOnce(&'t Tree<'a>) -> Reading<T>,
    ) -> Option<T> {
        match read(value) {
            Ok(value) => Some(value),
            Err(must_be) => {
                faults.add(self.at(name), must_be);
                None
            }
        }
    }
}

struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Tree::deserialize(deserializer)? {
            Tree::Text(text) => Ok(Key(text)),
            _ => Err(serde::de::Error::custom("a key is a string")),
        }
    }
}

struct TreeVisitor;

impl<'de: 'a, 'a> Deserialize<'de> for Tree<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Tree<'de>, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Tree<'de>, E> {
        Ok(Tree::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Tree<'de>, E> {
        Ok(Tree::Whole(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Tree<'de>, E> {
        Ok(i64::try_from(number).map_or(Tree::Huge, Tree::Whole))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Tree<'de>, E> {
        Ok(match number.abs() {
            // 2^63: so large a float has no fraction.
            9_223_372_036_854_775_808.0.. => Tree::Huge,
            _ => Tree::Broken,
        })
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Tree<'de>, E> {
        Ok(Tree::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree<'de>, E> {
        Ok(Tree::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = seq.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree<'de>, A::Error> {
        let mut entries = Vec::new();
        while let Some((Key(key), value)) = map.next_entry()? {
            entries.push((key, value));
        }
        Ok(Tree::Object(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(json: &str) -> Vec<(String, String)> {
        let mut faults = Faults::default();
        let tree = match Tree::parse(json.as_bytes()) {
            Ok(tree) => tree,
            Err(faults) => return listed(&faults),
        };
        if let Some(mut fields) = tree.fields("", &mut faults) {
            fields.required("code", &mut faults, text);
            fields.optional("count", &mut faults, whole);
            fields.change_to("active", &mut faults, flag);
            fields.finish(&mut faults);
        }
        listed(&faults)
    }

    fn listed(faults: &Faults) -> Vec<(String, String)> {
        let pointer = |fault: &Fault| match &fault.at {
            At::Pointer(pointer) => pointer.clone(),
            other => panic!("{other:?}"),
        };
        faults
            .iter()
            .map(|fault| (pointer(fault), fault.detail.to_string()))
            .collect()
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let faults = faults_of(r#"{"count":1.5,"a/b~c":1,"active":null,"count":2}"#);
        let expected = [
            ("/code", "is required"),
            ("/count", "must be a whole number"),
            ("/active", "must be true or false"),
            ("/a~1b~0c", "there is no such field"),
            ("/count", "stands there twice"),
        ];
        assert_eq!(
            faults,
            expected.map(|(at, what)| (at.to_owned(), what.to_owned()))
        );
    }

    #[test]
    fn a_number_that_is_too_large_is_told_from_one_that_is_not_whole() {
        for (number, has_limit) in [
            ("0.5", false),
            ("1.0", false),
            ("9223372036854775808", true),
            ("-9223372036854775809", true),
            ("1e300", true),
            ("1e999", true),
            ("-1e999", true),
        ] {
            let faults = faults_of(&format!("{{\"code\":\"\",\"count\":{number}}}"));
            assert_eq!(faults.len(), 1, "{number}");
            assert!(faults[0].1.starts_with("must be a whole number"), "{number}");
            assert_eq!(faults[0].1.contains("2^63"), has_limit, "{number}");
        }
    }

    #[test]
    fn what_is_right_has_no_fault() {
        assert_eq!(faults_of(r#" {"code":"A\u0042","count":null} "#), []);
    }

    #[test]
    fn what_is_not_json_is_named_with_its_place() {
        assert_eq!(faults_of("")[0].1, "a JSON object is required");
        assert_eq!(faults_of("[]")[0].1, "must be an object");
        let [(at, what)] = &faults_of("{\"code\": }")[..] else {
            panic!("one fault")
        };
        assert_eq!(at, "");
        assert!(what.contains("line 1 column 10"), "{what}");
        assert!(faults_of(&"[".repeat(100_000))[0].1.contains("recursion"));
    }
}

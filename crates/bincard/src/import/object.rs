//! One line of NDJSON: the fields of its object that the mapping names, and the line as it is given back.

use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use super::columns::Columns;
use super::marks;

/// What a line says.
pub(crate) struct Line {
    /// The row as text: the line, or what a line that was given back holds in its place.
    pub(crate) text: Box<str>,
    /// The key of its event, where the line was given back with one.
    pub(crate) key: Option<Box<str>>,
    /// In the order of the mapping's columns, or why they cannot be read.
    pub(crate) fields: Result<csv::StringRecord, String>,
}

/// The members of an object, in their order, as they are written.
struct Members<'a>(Vec<(String, &'a RawValue)>);

/// Reads a line.
pub(crate) fn read(bytes: &[u8], columns: &Columns) -> Line {
    let Ok(line) = std::str::from_utf8(bytes) else {
        return Line {
            text: String::from_utf8_lossy(bytes).into(),
            key: None,
            fields: Err("is not UTF-8 text".to_owned()),
        };
    };
    let (text, key, fields) = match Members::parse(line) {
        Err(reason) => (line.into(), None, Err(reason)),
        Ok(members) => {
            let key = members.find(marks::KEY).map(text_of).unwrap_or_default();
            let key = Some(key.trim()).filter(|key| !key.is_empty()).map(Into::into);
            match members.find(marks::TEXT).map(text_of) {
                None => (line.into(), key, members.fields(columns)),
                Some(text) => {
                    let fields = Members::parse(&text).and_then(|members| members.fields(columns));
                    (text.into(), key, fields)
                }
            }
        }
    };
    Line { text, key, fields }
}

/// The line that gives a row back: its own members after those that say why; a text that is no object as the text that
/// it is.
pub(crate) fn given_back(
    text: &str,
    line: u64,
    reason: &str,
    key: Option<&str>,
) -> serde_json::Result<String> {
    let quoted = |text: &str| serde_json::to_string(text);
    let mut object = format!(
        "{{\"{}\":{line},\"{}\":{}",
        marks::LINE,
        marks::REASON,
        quoted(reason)?
    );
    if let Some(key) = key {
        object.push_str(&format!(",\"{}\":{}", marks::KEY, quoted(key)?));
    }
    // A line break within an object would make two lines of it.
    match Members::parse(text).ok().filter(|_| !text.contains('\n')) {
        Some(members) => {
            for (name, value) in members.0 {
                if !marks::is_mark(&name) && name != marks::TEXT {
                    object.push_str(&format!(",{}:{}", quoted(&name)?, value.get()));
                }
            }
        }
        None => object.push_str(&format!(",\"{}\":{}", marks::TEXT, quoted(text)?)),
    }
    object.push('}');
    Ok(object)
}

impl<'a> Members<'a> {
    fn parse(text: &'a str) -> Result<Members<'a>, String> {
        serde_json::from_str(text).map_err(|error| format!("is not a JSON object: {error}"))
    }

    /// The value of a member; of several with this name, the last.
    fn find(&self, name: &str) -> Option<&'a RawValue> {
        let found = self.0.iter().rev().find(|(one, _)| one == name);
        found.map(|(_, value)| *value)
    }

    /// In the order of `columns`; a field that the object lacks is blank. Numbers stay as written.
    fn fields(&self, columns: &Columns) -> Result<csv::StringRecord, String> {
        let mut fields = csv::StringRecord::new();
        for name in columns.names() {
            match self.find(name) {
                Some(value) if value.get().starts_with(['{', '[']) => {
                    return Err(format!("member {name:?} is neither text nor a number"));
                }
                Some(value) => fields.push_field(&text_of(value)),
                None => fields.push_field(""),
            }
        }
        Ok(fields)
    }
}

/// A value as text: of a text what it says, of everything else how it is written; null is blank.
fn text_of(value: &RawValue) -> String {
    match value.get() {
        "null" => String::new(),
        raw => serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned()),
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Members<'de>, D::Error> {
        struct Ordered;
        impl<'de> Visitor<'de> for Ordered {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Ordered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Columns {
        let mut columns = Columns::default();
        columns.name("a");
        columns.name("b");
        columns
    }

    fn fields(line: &str) -> Result<Vec<String>, String> {
        let fields = read(line.as_bytes(), &columns()).fields?;
        Ok(fields.iter().map(str::to_owned).collect())
    }

    #[test]
    fn a_line_that_was_given_back_reads_as_it_did() {
        for line in [
            r#"{"a":1.50,"b":"x\"y","more":{"c":[1, 2]}}"#,
            r#"{"b":null}"#,
            "nonsense",
            r#"{"a":"cut o"#,
        ] {
            let read_first = read(line.as_bytes(), &columns());
            let once = given_back(&read_first.text, 7, "why", Some("k")).expect("text");
            assert!(
                once.starts_with(r#"{"import_line":7,"import_reason":"why","import_key":"k""#),
                "{once}"
            );
            let again = read(once.as_bytes(), &columns());
            assert_eq!(again.fields, read_first.fields, "{once}");
            assert_eq!(again.key.as_deref(), Some("k"));
            let twice = given_back(&again.text, 7, "why", Some("k")).expect("text");
            assert_eq!(twice, once, "marks do not pile up");
        }
    }

    #[test]
    fn numbers_and_members_that_the_mapping_does_not_name_are_given_back_as_written() {
        let line = given_back(r#"{ "n": 1.50e3, "o": {"x": 1} }"#, 1, "", None).expect("text");
        assert_eq!(
            line,
            r#"{"import_line":1,"import_reason":"","n":1.50e3,"o":{"x": 1}}"#
        );
    }

    #[test]
    fn what_stands_for_a_line_may_be_mended_as_text_or_as_an_object() {
        let mended = Ok(vec!["1".to_owned(), "x".to_owned()]);
        assert_eq!(fields(r#"{"import_text":"{\"a\":1,\"b\":\"x\"}"}"#), mended);
        assert_eq!(fields(r#"{"import_text":{"a":1,"b":"x"}}"#), mended);
        assert_eq!(
            fields(r#"{"a":0,"a":1,"b":"x"}"#),
            mended,
            "the last of two counts"
        );
        assert!(fields(r#"{"import_text":"a: 1","a":1}"#).is_err());
    }

    #[test]
    fn a_line_break_within_an_object_does_not_break_the_line() {
        let read = read(br#"{"import_text":"{\n\"a\":[]}"}"#, &columns());
        assert!(read.fields.is_err());
        let line = given_back(&read.text, 1, "", None).expect("text");
        assert!(!line.contains('\n'), "{line}");
    }
}

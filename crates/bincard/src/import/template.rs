//! Notes of events: a text with columns in it, such as `Invoice {InvoiceNo}, {Country}`.

use super::columns::{Column, Columns};
use super::row::Row;

/// The longest notes that an event takes, in characters.
const LENGTH_MAX: usize = 500;

/// A text with columns in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Text(String),
    Field(Column),
}

impl Template {
    /// A template as the mapping writes it. `{{` and `}}` stand for braces.
    pub(crate) fn parse(text: &str, columns: &mut Columns) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            let after = &rest[at + 1..];
            if let Some(after) = after.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
                continue;
            }
            let Some((name, after)) = after.split_once('}').filter(|_| brace == "{") else {
                return Err(format!(
                    "{text:?} has a lone {brace:?}: columns stand as {{Name}}, braces as {{{{ and }}}}"
                ));
            };
            parts.push(Part::Text(std::mem::take(&mut plain)));
            parts.push(Part::Field(columns.name(name)));
            rest = after;
        }
        plain.push_str(rest);
        parts.push(Part::Text(plain));
        Ok(Template { parts })
    }

    /// The text for `row`, cut at what an event takes; nothing when it is blank.
    pub(crate) fn fill(&self, row: &Row<'_>) -> Option<Box<str>> {
        let mut text = String::new();
        for part in &self.parts {
            text.push_str(match part {
                Part::Text(text) => text,
                Part::Field(column) => row.text(*column),
            });
        }
        let text = tidy(&text, LENGTH_MAX);
        (!text.is_empty()).then_some(text)
    }
}

/// `text` as the catalogue and notes take it: control characters become blanks, none at the ends, at most
/// `length_max` characters.
pub(crate) fn tidy(text: &str, length_max: usize) -> Box<str> {
    let text = text.trim();
    if text.len() <= length_max && !text.chars().any(char::is_control) {
        return text.into();
    }
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(length_max)
        .collect();
    clean.trim().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_name_columns_and_double_braces_are_braces() {
        let mut columns = Columns::default();
        let template = Template::parse("No {A}, {{{B}}}", &mut columns).expect("well formed");
        assert_eq!(columns.names(), ["A", "B"]);
        let fields = template
            .parts
            .iter()
            .filter(|part| matches!(part, Part::Field(_)))
            .count();
        assert_eq!(fields, 2);
        for wrong in ["{A", "A}", "{"] {
            assert!(Template::parse(wrong, &mut columns).is_err(), "{wrong}");
        }
    }

    #[test]
    fn texts_are_cut_and_cleaned() {
        assert_eq!(&*tidy(" a\tb\u{7} ", 10), "a b");
        assert_eq!(tidy(&"é".repeat(300), 200).chars().count(), 200);
        assert_eq!(&*tidy("ab cd", 3), "ab");
    }
}

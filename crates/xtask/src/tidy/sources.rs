//! What the style page asks of source files, as far as reading lines can tell.

use super::Findings;

const LINES_MAX: usize = 1_000;
const LINES_WANTED_MAX: usize = 400;

/// Words that say nothing, or the wrong thing, in a name; and what to do instead.
const BANNED: [(&str, &str); 9] = [
    ("aggregate", "name the thing: a stream, a state, a view"),
    ("entity", "name the thing: a warehouse, a variant, an order"),
    ("dto", "name what is sent: a request, an answer, a row"),
    ("manager", "say what it does"),
    ("helper", "name the idea, and put it where it is used"),
    ("helpers", "name the idea, and put it where it is used"),
    ("util", "name the idea, and put it where it is used"),
    ("utils", "name the idea, and put it where it is used"),
    ("common", "name what is common"),
];

/// Marks of unfinished work, in two pieces so that this file has none.
const UNFINISHED: [&str; 5] = [
    concat!("to", "do!("),
    concat!("FIX", "ME"),
    concat!("TO", "DO"),
    concat!("unimpl", "emented!("),
    concat!("#[ig", "nore"),
];

/// Beginnings of absolute paths that are somebody's machine, in two pieces for the same reason.
const MACHINE_PATHS: [&str; 5] = [
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/sha", "red/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
];

pub(super) fn check_rust(name: &str, text: &str, findings: &mut Findings) {
    let first = text
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    if !first.starts_with("//!") {
        findings.problem(
            &format!("{name}:1"),
            "a module begins with `//!` and what it is about: say it",
        );
    }
    let count = text.lines().count();
    if count > LINES_MAX {
        findings.problem(
            name,
            &format!("{count} lines, {LINES_MAX} at most: find its second subject and move that out"),
        );
    } else if count > LINES_WANTED_MAX && !is_test(name) {
        findings.warning(
            name,
            &format!("{count} lines: over {LINES_WANTED_MAX} a file nearly always has two subjects"),
        );
    }
    for (line, number) in text.lines().zip(1..) {
        let place = || format!("{name}:{number}");
        for mark in UNFINISHED.iter().filter(|mark| line.contains(**mark)) {
            findings.problem(
                &place(),
                &format!("{mark} marks unfinished work: finish it, or file it and delete the mark"),
            );
        }
        if let Some(identifier) = declared(line) {
            check_identifier(&place(), identifier, findings);
        }
    }
    let file = name.rsplit('/').next().unwrap_or(name).trim_end_matches(".rs");
    check_words(name, file, findings);
}

pub(super) fn check_paths(name: &str, text: &str, findings: &mut Findings) {
    for (line, number) in text.lines().zip(1..) {
        for path in MACHINE_PATHS {
            let is_absolute = |at: usize| {
                let before = line.get(..at).and_then(|before| before.chars().next_back());
                before.is_none_or(|before| !before.is_alphanumeric() && !"./_-~}>)$*".contains(before))
            };
            if line.match_indices(path).any(|(at, _)| is_absolute(at)) {
                let what = format!("`{path}` is one machine's path: make it relative, or an option");
                findings.problem(&format!("{name}:{number}"), &what);
            }
        }
    }
}

fn is_test(name: &str) -> bool {
    name.split('/')
        .any(|folder| folder == "tests" || folder == "benches")
}

fn check_identifier(place: &str, identifier: &str, findings: &mut Findings) {
    if identifier.starts_with("get_") {
        findings.problem(
            place,
            &format!("`{identifier}`: drop `get_`; a question is named after its answer"),
        );
    }
    if identifier.starts_with("test_") {
        findings.problem(
            place,
            &format!("`{identifier}`: a test's name is a sentence without `test_`"),
        );
    }
    check_words(place, identifier, findings);
}

fn check_words(place: &str, identifier: &str, findings: &mut Findings) {
    // The role of that name, alone, is the documents' own word.
    if identifier.eq_ignore_ascii_case("manager") {
        return;
    }
    for word in words(identifier) {
        if let Some((word, instead)) = BANNED.iter().find(|(banned, _)| *banned == word) {
            findings.problem(
                place,
                &format!("`{identifier}`: `{word}` says nothing: {instead}"),
            );
        }
    }
}

/// The name that a line declares, if it declares one.
fn declared(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace().peekable();
    let qualifiers = ["pub", "async", "unsafe", "const", "extern", "static", "mut"];
    let is_qualifier =
        |word: &&str| qualifiers.contains(word) || word.starts_with("pub(") || word.starts_with('"');
    let mut qualified = false;
    while words.next_if(is_qualifier).is_some() {
        qualified = true;
    }
    let first = words.next()?;
    let name = match first {
        "fn" | "struct" | "enum" | "trait" | "mod" | "type" | "union" | "macro_rules!" => words.next()?,
        _ if qualified && first.ends_with(':') => first,
        _ => return None,
    };
    let end = name
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(name.len());
    name.get(..end).filter(|name| !name.is_empty())
}

/// The words of a name in snake or camel case, in lower case.
fn words(identifier: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before_is_lower = false;
    for letter in identifier.chars() {
        if letter == '_' || letter == '-' || letter.is_uppercase() && before_is_lower {
            words.push(String::new());
        }
        if letter.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_lowercase());
        }
        before_is_lower = letter.is_lowercase();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, text: &str, problems: &[&str]) {
        let mut findings = Findings::default();
        check_rust(name, text, &mut findings);
        check_paths(name, text, &mut findings);
        let found = findings.problems;
        assert_eq!(found.len(), problems.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(problems) {
            assert!(found.contains(expected), "{found} has no {expected}");
        }
    }

    #[test]
    fn a_tidy_file_has_no_problems() {
        check(
            "src/stock.rs",
            "//! Stock.\npub(crate) fn on_hand() {}\n// a helper is not a name here\nlet commonly = 1;",
            &[],
        );
    }

    #[test]
    fn a_module_says_what_it_is_about() {
        check(
            "src/stock.rs",
            "use std::fs;\n",
            &["src/stock.rs:1: a module begins"],
        );
    }

    #[test]
    fn empty_words_in_names_are_found() {
        check(
            "src/a.rs",
            "//! A.\npub struct StockManager;\n",
            &["src/a.rs:2: `StockManager`: `manager`"],
        );
        check(
            "src/a.rs",
            "//! A.\n    pub(crate) async fn order_helper() {}\n",
            &["order_helper"],
        );
        check("src/a.rs", "//! A.\npub const COMMON: u8 = 0;\n", &["`common`"]);
        check("src/a.rs", "//! A.\n    pub dto: u8,\n", &["`dto`"]);
        check("src/a.rs", "//! A.\n    pub manager: u8,\n", &[]);
        check("src/string_utils.rs", "//! A.\n", &["`utils`"]);
        check(
            "src/a.rs",
            "//! A.\nfn get_stock() {}\nfn test_stock() {}\n",
            &["drop `get_`", "without `test_`"],
        );
    }

    #[test]
    fn unfinished_work_is_found() {
        for mark in UNFINISHED {
            check("src/a.rs", &format!("//! A.\n  {mark}\n"), &[mark]);
        }
    }

    #[test]
    fn paths_of_a_machine_are_found() {
        for path in MACHINE_PATHS {
            check(
                "src/a.rs",
                &format!("//! A.\nlet a = \"{path}x\";\n"),
                &["one machine's path"],
            );
            check(
                "src/a.rs",
                &format!("//! A.\nlet a = \"..{path}x and https://x.org{path}\";\n"),
                &[],
            );
        }
    }

    #[test]
    fn a_file_of_two_subjects_is_found() {
        let long = |lines| format!("//! A.\n{}", "\n".repeat(lines));
        check("src/a.rs", &long(1_000), &["1001 lines"]);
        check("src/a.rs", &long(999), &[]);
        for (name, warnings) in [("src/a.rs", 1), ("tests/it/a.rs", 0)] {
            let mut findings = Findings::default();
            check_rust(name, &long(400), &mut findings);
            assert_eq!(findings.warnings.len(), warnings);
        }
    }
}

//! Links between documents: what is linked inside the tree exists.

use std::path::Path;

use super::Findings;

/// Checks the relative links of the document `name`, which lies in `folder`.
pub(super) fn check(name: &str, text: &str, folder: &Path, findings: &mut Findings) {
    let mut in_code = false;
    for (line, number) in text.lines().zip(1..) {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code || line.starts_with("    ") {
            continue;
        }
        for target in targets(line) {
            let path = target.split(['#', '?']).next().unwrap_or_default();
            if !path.is_empty() && !folder.join(path).exists() {
                let what = format!(
                    "links to `{target}`, which does not exist: correct the path, or remove the link"
                );
                findings.problem(&format!("{name}:{number}"), &what);
            }
        }
    }
}

/// The targets of the links of a line, `[text](target)`, that lie in the tree.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let targets = line
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', ' ']).next());
    targets.filter(|target| {
        !target.contains("://") && !target.starts_with(['/', '<']) && !target.starts_with("mailto:")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_text(text: &str, problems: &[&str]) {
        let mut findings = Findings::default();
        check(
            "docs/a.md",
            text,
            Path::new(env!("CARGO_MANIFEST_DIR")),
            &mut findings,
        );
        let expected: Vec<_> = problems
            .iter()
            .map(|one| format!("docs/a.md:1: links to `{one}`"))
            .collect();
        let found: Vec<_> = findings
            .problems
            .iter()
            .map(|one| one.split(',').next().unwrap().to_string())
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_link_to_nothing_is_found() {
        check_text(
            "see [a](Cargo.toml) and [b](src/nothing.rs#l1), [c](../nowhere/)",
            &["src/nothing.rs#l1", "../nowhere/"],
        );
    }

    #[test]
    fn what_lies_elsewhere_is_not_looked_at() {
        check_text(
            "[a](https://example.org/x) [b](#below) [c](mailto:a@example.org) [d](src/main.rs#main)",
            &[],
        );
        check_text("```\n[a](nothing)\n```", &[]);
    }
}

//! Which package may depend on which: the table of ARCHITECTURE.md, held against `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::Value;

use super::Findings;

/// The packages that a package may use, ours only. What is not listed may use all of them.
const MAY_USE: [(&str, &[&str]); 11] = [
    ("bincard-ledger", &[]),
    ("bincard-store", &["bincard-ledger"]),
    ("bincard-engine", &["bincard-ledger", "bincard-store"]),
    ("bincard-projections", &["bincard-ledger", "bincard-store"]),
    ("bincard-relay", &["bincard-ledger", "bincard-store"]),
    ("bincard-backup", &["bincard-ledger", "bincard-store"]),
    ("bincard-access", &[]),
    ("bincard-jobs", &[]),
    ("bincard-connectors", &[]),
    ("bincard-planning", &[]),
    (
        "bincard-api",
        &[
            "bincard-ledger",
            "bincard-store",
            "bincard-engine",
            "bincard-projections",
            "bincard-relay",
            "bincard-backup",
            "bincard-access",
            "bincard-jobs",
            "bincard-connectors",
            "bincard-planning",
        ],
    ),
];

/// Outside crates that only these packages may use, and why.
const ONLY_IN: [(&str, &[&str], &str); 4] = [
    (
        "axum",
        &["bincard-api", "bincard-tests", "bincard-benches"],
        "HTTP is the API's subject: put the code there",
    ),
    (
        "async-nats",
        &["bincard-relay"],
        "the relay is the only place that names it",
    ),
    (
        "object_store",
        &["bincard-backup"],
        "backups are the only place that names it",
    ),
    (
        "anyhow",
        &[
            "bincard",
            "bincard-xtask",
            "bincard-testkit",
            "bincard-tests",
            "bincard-benches",
        ],
        "a library's callers branch on its errors: use thiserror",
    ),
];

/// Development packages: they and whoever stands on top may use them; others under [dev-dependencies] only.
const DEVELOPMENT: [&str; 3] = ["bincard-testkit", "bincard-tests", "bincard-benches"];

/// What the ledger must never reach, not even through others: it is pure.
const NOT_UNDER_LEDGER: [&str; 7] = [
    "tokio",
    "sqlx",
    "sqlx-core",
    "axum",
    "chrono",
    "hyper",
    "async-nats",
];

/// What nothing of ours may reach: a second C crypto, or one that needs the machine's own.
const NOWHERE: [&str; 3] = ["aws-lc-sys", "openssl-sys", "native-tls"];

pub(super) fn check(metadata: &Value, findings: &mut Findings) -> Result<()> {
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists no packages")?;
    let members: BTreeSet<_> = list(&metadata["workspace_members"])
        .filter_map(Value::as_str)
        .collect();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        if NOWHERE.contains(&name) {
            findings.problem("Cargo.lock", &format!("{name} came in: find with `cargo tree -i {name}` whose default feature brings it and switch that off"));
        }
        if package["id"].as_str().is_some_and(|id| members.contains(id)) {
            for dependency in list(&package["dependencies"]) {
                check_dependency(name, dependency, findings);
            }
        }
    }
    check_purity(metadata, findings);
    Ok(())
}

fn check_dependency(package: &str, dependency: &Value, findings: &mut Findings) {
    let name = dependency["name"].as_str().unwrap_or_default();
    let place = format!("{package}/Cargo.toml");
    if dependency["kind"].as_str() == Some("dev") {
        return;
    }
    if DEVELOPMENT.contains(&name) && !DEVELOPMENT.contains(&package) {
        findings.problem(
            &place,
            &format!("{name} is for development only: move it to [dev-dependencies]"),
        );
        return;
    }
    let allowed = MAY_USE.iter().find(|(one, _)| *one == package);
    if let Some((_, allowed)) = allowed.filter(|_| name.starts_with("bincard"))
        && !allowed.contains(&name)
    {
        let what = format!(
            "{package} may not use {name}: move what is shared to a crate below both, or turn the arrow"
        );
        findings.problem(&place, &what);
    }
    let only_in = ONLY_IN.iter().find(|(one, ..)| *one == name);
    if let Some((_, packages, why)) = only_in
        && !packages.contains(&package)
    {
        findings.problem(&place, &format!("{package} may not use {name}: {why}"));
    }
}

/// Follows what is resolved from the ledger on, without what is for its tests.
fn check_purity(metadata: &Value, findings: &mut Findings) {
    let nodes: BTreeMap<_, _> = list(&metadata["resolve"]["nodes"])
        .filter_map(|node| Some((node["id"].as_str()?, node)))
        .collect();
    let names: BTreeMap<_, _> = list(&metadata["packages"])
        .filter_map(|package| Some((package["id"].as_str()?, package["name"].as_str()?)))
        .collect();
    let mut seen = BTreeSet::new();
    let mut open: Vec<&str> = names
        .iter()
        .filter(|(_, name)| **name == "bincard-ledger")
        .map(|(id, _)| *id)
        .collect();
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        let normal = |dependency: &&Value| list(&dependency["dep_kinds"]).any(|kind| kind["kind"].is_null());
        let next = nodes
            .get(id)
            .into_iter()
            .flat_map(|node| list(&node["deps"]))
            .filter(normal);
        open.extend(next.filter_map(|dependency| dependency["pkg"].as_str()));
    }
    for name in seen.iter().filter_map(|id| names.get(id)) {
        if NOT_UNDER_LEDGER.contains(name) {
            let what = format!(
                "the ledger is pure and reaches {name}: find the way with `cargo tree -p bincard-ledger -i {name}` and cut it"
            );
            findings.problem("bincard-ledger/Cargo.toml", &what);
        }
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems_of(package: &str, dependency: &str, kind: Option<&str>) -> Vec<String> {
        let metadata = json!({
            "workspace_members": ["ours"],
            "packages": [{ "id": "ours", "name": package, "dependencies": [{ "name": dependency, "kind": kind }] }],
            "resolve": { "nodes": [] },
        });
        let mut findings = Findings::default();
        check(&metadata, &mut findings).unwrap();
        findings.problems
    }

    #[test]
    fn an_arrow_back_up_is_found() {
        for (package, dependency) in [
            ("bincard-engine", "bincard-projections"),
            ("bincard-projections", "bincard-engine"),
            ("bincard-ledger", "bincard-store"),
            ("bincard-access", "bincard-api"),
            ("bincard-engine", "axum"),
            ("bincard", "axum"),
            ("bincard-api", "anyhow"),
            ("bincard", "bincard-testkit"),
        ] {
            assert_eq!(
                problems_of(package, dependency, None).len(),
                1,
                "{package} -> {dependency}"
            );
            assert_eq!(
                problems_of(package, dependency, Some("build")).len(),
                1,
                "{package} -> {dependency}"
            );
            assert!(problems_of(package, dependency, Some("dev")).is_empty());
        }
    }

    #[test]
    fn an_arrow_down_is_not() {
        for (package, dependency) in [
            ("bincard-engine", "bincard-ledger"),
            ("bincard-api", "axum"),
            ("bincard", "anyhow"),
            ("bincard", "bincard-api"),
            ("bincard-tests", "bincard-testkit"),
        ] {
            assert!(
                problems_of(package, dependency, None).is_empty(),
                "{package} -> {dependency}"
            );
        }
    }

    #[test]
    fn what_the_ledger_reaches_through_others_is_found() {
        let arrow = |to: &str, kind: Option<&str>| json!({ "pkg": to, "dep_kinds": [{ "kind": kind }] });
        let metadata = |kind| {
            json!({
                "workspace_members": [],
                "packages": [
                    { "id": "l", "name": "bincard-ledger" }, { "id": "x", "name": "x" }, { "id": "t", "name": "tokio" },
                ],
                "resolve": { "nodes": [
                    { "id": "l", "deps": [arrow("x", kind)] }, { "id": "x", "deps": [arrow("t", None)] },
                ] },
            })
        };
        for (kind, count) in [(None, 1), (Some("dev"), 0)] {
            let mut findings = Findings::default();
            check(&metadata(kind), &mut findings).unwrap();
            assert_eq!(findings.problems.len(), count, "{:?}", findings.problems);
        }
    }
}

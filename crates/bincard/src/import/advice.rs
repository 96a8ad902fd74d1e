//! What to do about rows that are not in the ledger after an import: one sentence for each thing that may have become of
//! them. Whoever follows it never records anything twice.

use super::report::{FileReport, Report, grouped};

/// A sentence for each outcome that there was.
pub(crate) fn advice(report: &Report) -> Vec<String> {
    let sum = |of: fn(&FileReport) -> u64| -> u64 { report.files.iter().map(of).sum() };
    let files = |of: fn(&FileReport) -> Option<&String>| -> String {
        let files: Vec<_> = report.files.iter().filter_map(of).map(String::as_str).collect();
        files.join(", ")
    };
    let mut sentences = Vec::new();
    let rejected = sum(|file| file.rows_rejected);
    if rejected > 0 {
        sentences.push(format!(
            "{} rejected, see {}: mend what stands there, unless that was done after an earlier import, and import it \
             under a source of its own, --source {}-2",
            were(rejected, "row"),
            files(|file| file.rejects_file.as_ref()),
            report.source,
        ));
    }
    let refused = sum(|file| file.refused.events);
    if refused > 0 {
        sentences.push(format!(
            "{} refused, see {}: when the reason is gone, run the same import again, or import what stands there in the \
             same way; each event is recorded once, whichever you do",
            were(refused, "event"),
            files(|file| file.refused_file.as_ref()),
        ));
    }
    let conflicts = sum(|file| file.conflicts.events);
    if conflicts > 0 {
        sentences.push(format!(
            "{} in conflict with what is recorded already, see {}: do not import what stands there under any source; put \
             the difference right with an ADJUST, unless it is meant",
            were(conflicts, "event"),
            files(|file| file.conflicts_file.as_ref()),
        ));
    }
    sentences
}

/// `1 row was`, `2 rows were`.
fn were(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what} was"),
        _ => format!("{} {what}s were", grouped(count)),
    }
}

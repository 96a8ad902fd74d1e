//! A reconciliation with what was counted or reported outside, on a running server or in a stopped folder.

use serde::Deserialize;
use serde_json::json;

use super::server::{PATH, RunAnswer};
use super::source::File;
use super::{LOOK_EVERY, PAGE, Steps, check};
use crate::asking::{Source, Where};
use crate::config::Config;
use crate::exit::{SaidAlready, shown};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VariancesAnswer {
    content: Vec<VarianceAnswer>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct VarianceAnswer {
    no: u64,
    named: String,
    problem: Option<String>,
    reported: i64,
    variance: Option<i64>,
    explained: Option<ExplainedAnswer>,
    correction: Option<CorrectionAnswer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExplainedAnswer {
    ledger_at_report: i64,
    reserved: i64,
    picked: i64,
    packed: i64,
    held: i64,
    in_transit: i64,
    unexplained: i64,
}

#[derive(Deserialize)]
struct CorrectionAnswer {
    refused: Option<String>,
}

/// Compares a source with the ledger, and corrects that where it is to be.
pub(super) fn reconcile(place: &Where, config: &Config, source: &File, apply: bool) -> anyhow::Result<()> {
    crate::commands::block_on(async {
        let ledger = place.open(config).await?;
        let differing = compare(&ledger, source, apply).await;
        let closed = ledger.close().await;
        let differing = differing?;
        closed?;
        if differing == 0 {
            Ok(())
        } else {
            Err(SaidAlready.into())
        }
    })
}

/// How many lines differ.
async fn compare(ledger: &Source, source: &File, apply: bool) -> anyhow::Result<u64> {
    let asked = json!({ "source": source.source, "apply": apply });
    let begun = ledger
        .post(PATH, &asked, |pointer| source.name_of(pointer))
        .await?;
    let mut run: RunAnswer = serde_json::from_value(begun)?;
    let path = format!("{PATH}/{}", run.id);
    let mut steps = Steps::default();
    while run.is_under_way() {
        run.show(&mut steps);
        tokio::time::sleep(LOOK_EVERY).await;
        run = serde_json::from_value(ledger.json(&path).await?)?;
    }
    steps.finish();
    check(run.id, run.state.into(), run.error.as_deref())?;
    let (path, size) = (format!("{path}/variances"), PAGE.to_string());
    let (mut cursor, mut corrected): (Option<String>, u64) = (None, 0);
    loop {
        let mut query = vec![("size", size.as_str())];
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page: VariancesAnswer = serde_json::from_value(ledger.json_of(&path, &query).await?)?;
        for one in &page.content {
            tell(one)?;
            corrected += u64::from(one.correction.as_ref().is_some_and(|one| one.refused.is_none()));
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    if apply {
        crate::commands::write_out(&format!("corrected {corrected} lines\n"))?;
    }
    Ok(run.differing)
}

fn tell(one: &VarianceAnswer) -> anyhow::Result<()> {
    let (no, named, reported) = (one.no, shown(&one.named), one.reported);
    let text = match (&one.problem, &one.explained, one.variance) {
        (Some(problem), ..) => format!("line {no} ({named}): {}\n", shown(problem)),
        (None, Some(explained), Some(variance)) if variance != 0 => {
            let parts = [
                ("reserved", explained.reserved),
                ("picked", explained.picked),
                ("packed", explained.packed),
                ("held", explained.held),
                ("in transit", explained.in_transit),
                ("unexplained", explained.unexplained),
            ];
            let parts = parts.iter().filter(|(_, units)| *units != 0);
            let parts: Vec<String> = parts.map(|(what, units)| format!("{units:+} {what}")).collect();
            format!(
                "line {no} ({named}): {reported} reported, {} in the ledger then: {}\n",
                explained.ledger_at_report,
                parts.join(", ")
            )
        }
        _ => return Ok(()),
    };
    crate::commands::write_out(&text)?;
    if let Some(refused) = one.correction.as_ref().and_then(|one| one.refused.as_deref()) {
        let why = refused.rsplit('/').next().unwrap_or(refused);
        crate::commands::write_out(&format!("line {no} is not corrected: {}\n", shown(why)))?;
    }
    Ok(())
}

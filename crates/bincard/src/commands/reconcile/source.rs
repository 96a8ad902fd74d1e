//! What was counted or reported outside, read from a file.

use std::path::Path;

use anyhow::Context;
use serde_json::{Map, Value, json};

use super::Reconcile;
use crate::exit::WrongUse;

/// A file, read.
pub(super) struct File {
    name: String,
    /// The source as the server takes it.
    pub(super) source: Value,
    /// The line of the file that each of its lines begins at.
    at: Vec<usize>,
}

impl File {
    /// What the user calls what stands at a pointer of the request.
    pub(super) fn name_of(&self, pointer: &str) -> Option<String> {
        let field = match pointer.strip_prefix("/source/")? {
            "reportedAt" => return Some("--reported-at".to_owned()),
            "measures" => return Some("--measures".to_owned()),
            "lines" => return Some(format!("{}:", self.name)),
            field => field.strip_prefix("lines/")?,
        };
        let (index, field) = field.split_once('/').unwrap_or((field, ""));
        let line = self.at.get(index.parse::<usize>().ok()?)?;
        let blank = if field.is_empty() { "" } else { " " };
        Some(format!("{}: line {line}:{blank}{field}", self.name))
    }
}

pub(super) fn read(asked: &Reconcile) -> anyhow::Result<File> {
    let path = asked.source.as_deref().unwrap_or(Path::new(""));
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let is_json = text.trim_start().starts_with('{');
    let lines = if is_json { ndjson(&text) } else { table(&text) };
    let lines = lines.map_err(|what| WrongUse(format!("{}: {what}", path.display())))?;
    let (at, lines): (Vec<usize>, Vec<Value>) = lines.into_iter().unzip();
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let mut source = json!({
        "name": name.unwrap_or_default(),
        "measures": asked.measures,
        "lines": lines,
    });
    if let Some(at) = &asked.reported_at {
        source["reportedAt"] = at.as_str().into();
    }
    Ok(File {
        name: path.display().to_string(),
        source,
        at,
    })
}

/// Lines, each with where in the file it begins.
type Numbered = Vec<(usize, Value)>;

fn ndjson(text: &str) -> Result<Numbered, String> {
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            let at = index + 1;
            let line = serde_json::from_str(line).map_err(|error| format!("line {at}: {error}"))?;
            check(&line, at)?;
            Ok((at, line))
        })
        .collect()
}

/// The line says what it is of and how much: told here, where it is known which line of the file it is.
fn check(line: &Value, at: usize) -> Result<(), String> {
    let is_given = |name: &&str| !line[*name].is_null() && line[*name] != "";
    for names in [
        &["warehouseCode", "warehouseId"][..],
        &["sku", "variantId"],
        &["quantity"],
    ] {
        if !names.iter().any(is_given) {
            return Err(format!("line {at}: {} is missing or empty", names.join(" or ")));
        }
    }
    Ok(())
}

fn table(text: &str) -> Result<Numbered, String> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| error.to_string())?.clone();
    let fields: Vec<&str> = header
        .iter()
        .map(|column| match column.trim_start_matches('\u{FEFF}') {
            "warehouse" | "warehouseCode" => Ok("warehouseCode"),
            "warehouseId" => Ok("warehouseId"),
            "sku" => Ok("sku"),
            "variantId" => Ok("variantId"),
            "quantity" => Ok("quantity"),
            other => Err(format!(
                "there is no column {other:?}; there are warehouse, warehouseId, sku, variantId and quantity"
            )),
        })
        .collect::<Result<_, _>>()?;
    if let Some(twice) = (1..fields.len()).find(|at| fields[..*at].contains(&fields[*at])) {
        return Err(format!(
            "the column {:?} says what another column says already: leave one of them out",
            &header[twice]
        ));
    }
    let text_lines: Vec<&str> = text.lines().collect();
    let mut lines = Vec::new();
    for (index, row) in reader.records().enumerate() {
        let row = row.map_err(|error| format!("line {}: {error}", index + 2))?;
        // Blank lines stand before rows, and a value may have several lines.
        let at = row.position().map_or(index + 2, |at| at.line() as usize);
        let before = text_lines.iter().skip(at.saturating_sub(1));
        let at = at + before.take_while(|line| line.trim().is_empty()).count();
        let mut line = Map::new();
        for (field, value) in fields.iter().zip(&row).filter(|(_, value)| !value.is_empty()) {
            let value = if *field == "quantity" {
                let units: i64 = value.parse().map_err(|_| {
                    format!("line {at}: {value:?} is not a whole number, or is too large a one")
                })?;
                units.into()
            } else {
                value.into()
            };
            line.insert((*field).to_owned(), value);
        }
        let line = line.into();
        check(&line, at)?;
        lines.push((at, line));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_and_lines_of_json_say_the_same() {
        let expected = vec![
            json!({"warehouseCode": "A", "sku": "S, red", "quantity": 5}),
            json!({"warehouseCode": "A", "sku": "T", "quantity": -1}),
        ];
        let numbered = |first| Ok((first..).zip(expected.clone()).collect());
        assert_eq!(
            table("warehouse,sku,quantity\nA,\"S, red\",5\nA, T ,-1\n"),
            numbered(2)
        );
        let text: String = expected.iter().map(|line| format!("{line}\n")).collect();
        assert_eq!(ndjson(&text), numbered(1));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        assert!(table("place,sku\n").is_err_and(|what| what.contains("\"place\"")));
        assert!(table("sku,quantity,quantity\n").is_err_and(|what| what.contains("\"quantity\"")));
        assert!(table("warehouse,sku,warehouseCode\n").is_err_and(|what| what.contains("\"warehouseCode\"")));
        assert!(
            table("sku,quantity\nS,many\n")
                .is_err_and(|what| what.contains("line 2") && what.contains("many"))
        );
        let whole = r#"{"warehouseCode": "A", "sku": "S", "quantity": 5}"#;
        assert!(ndjson(&format!("{whole}\n{{\n")).is_err_and(|what| what.starts_with("line 2: ")));
        for (text, what) in [
            (
                "warehouse,sku,quantity\nA,S,5\n\nA,,5\n",
                "line 4: sku or variantId is missing or empty",
            ),
            (
                "sku,variantId,warehouseId,quantity\n,V,W,5\nS,,,5\n",
                "line 3: warehouseCode or warehouseId is missing or empty",
            ),
            ("warehouse,sku\nA,S\n", "line 2: quantity is missing or empty"),
        ] {
            assert_eq!(table(text), Err(what.to_owned()));
        }
        let text = format!("{whole}\n{}\n", whole.replace("\"S\"", "\"\""));
        assert_eq!(
            ndjson(&text),
            Err("line 2: sku or variantId is missing or empty".to_owned())
        );
    }
}

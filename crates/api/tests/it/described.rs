//! Holds answers against the OpenAPI document: whatever a route answers, its description has said.

use std::sync::LazyLock;

use axum::http::Method;
use serde_json::Value;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(bincard_api::openapi()).unwrap());

/// Every path and method that is described.
pub(crate) fn operations() -> Vec<(Method, String)> {
    let mut all = Vec::new();
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            if let Ok(method) = Method::from_bytes(method.to_uppercase().as_bytes())
                && item[method.as_str().to_lowercase()].is_object()
            {
                all.push((method, path.clone()));
            }
        }
    }
    all
}

/// Panics unless the document describes this answer.
#[track_caller]
pub(crate) fn check(method: &Method, path: &str, status: u16, content_type: &str, bytes: &[u8]) {
    let Some(operation) = operation(method, path.split('?').next().unwrap()) else {
        return;
    };
    let response = &operation["responses"][status.to_string()];
    assert!(
        !response.is_null(),
        "{method} {path} does not say that it answers {status}"
    );
    let essence = content_type.split(';').next().unwrap();
    let schema = &response["content"][essence]["schema"];
    if schema.is_null() {
        assert!(bytes.is_empty(), "{method} {path} does not say {essence}");
        return;
    }
    let values: Vec<Value> = match essence {
        "application/x-ndjson" => bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect(),
        "text/plain" | "text/csv" => return,
        _ => vec![serde_json::from_slice(bytes).unwrap()],
    };
    for value in values {
        let mut faults = Vec::new();
        compare(&value, schema, "", &mut faults);
        assert!(
            faults.is_empty(),
            "{method} {path} answers what it does not say: {faults:#?}\n{value:#}"
        );
    }
}

/// The schema that a reference leads to.
pub(crate) fn schema(reference: &str) -> &'static Value {
    &DOCUMENT["components"]["schemas"][reference.rsplit('/').next().unwrap()]
}

/// The operation at a path, or at its template.
pub(crate) fn operation(method: &Method, path: &str) -> Option<&'static Value> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let fits = |template: &str| {
        let (wanted, parts): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
        wanted.len() == parts.len()
            && wanted
                .iter()
                .zip(&parts)
                .all(|(w, p)| w == p || w.starts_with('{'))
    };
    let exact = paths.get(path).or_else(|| {
        paths
            .iter()
            .find(|(template, _)| fits(template))
            .map(|(_, item)| item)
    })?;
    exact.get(method.as_str().to_lowercase())
}

fn compare(value: &Value, schema: &Value, at: &str, faults: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        return compare(value, self::schema(reference), at, faults);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fits = |choice: &Value| {
            let mut faults = Vec::new();
            compare(value, choice, at, &mut faults);
            faults.is_empty()
        };
        if !choices.iter().any(fits) {
            faults.push(format!("{at}: {value} fits none of {choices:?}"));
        }
        return;
    }
    if !type_fits(value, &schema["type"]) {
        faults.push(format!("{at}: {value} is not {}", schema["type"]));
        return;
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        faults.push(format!("{at}: {value} is none of {words:?}"));
    }
    if let (Some(fields), Some(known)) = (value.as_object(), schema["properties"].as_object()) {
        for (name, value) in fields {
            match known.get(name) {
                Some(schema) => compare(value, schema, &format!("{at}/{name}"), faults),
                None if schema["additionalProperties"] == false => {
                    faults.push(format!("{at}/{name} is not described"))
                }
                None => {}
            }
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            if !fields.contains_key(name.as_str().unwrap()) {
                faults.push(format!("{at}: {name} is missing"));
            }
        }
    }
    if let Some(items) = value.as_array() {
        for (index, item) in items.iter().enumerate() {
            compare(item, &schema["items"], &format!("{at}/{index}"), faults);
        }
    }
}

fn type_fits(value: &Value, wanted: &Value) -> bool {
    let fits = |name: &str| match name {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    match wanted {
        Value::String(name) => fits(name),
        Value::Array(names) => names.iter().any(|name| fits(name.as_str().unwrap_or_default())),
        _ => true,
    }
}

//! Kind `expressions`, as far as they are JSONPath.

use iot_mapping::{
    json::Document,
    jsonpath::{Path, Scope},
};
use serde_json::{Value, json};

use crate::{
    facts::{contains, equal, list},
    runner::Check,
};

pub fn check(row: &Value) -> Check {
    let fails = row.get("error").is_some_and(|error| !error.is_null()) || row["errorClass"].is_string();
    let path = match Path::parse(row["expression"].as_str().unwrap_or_default()) {
        Ok(path) => path,
        Err(error) => return if fails { Ok(()) } else { Err(error.to_string()) },
    };
    let text = row["data"].to_string();
    let document = Document::parse(text.as_bytes()).map_err(|error| error.to_string())?;
    let scope = Scope::at(&document, 0);
    match row["mode"].as_str() {
        Some("parse") => equal("valid", true, !fails),
        Some("one") => match scope.select_one(&path) {
            Err(()) => equal("more than one token", true, fails),
            Ok(None) => equal("absent", true, row["absent"] == true || row["result"].is_null()),
            Ok(Some(id)) => contains(&document.to_json(id), &row["result"]),
        },
        _ => {
            let found: Value = scope.select(&path).into_iter().map(|id| document.to_json(id)).collect();
            let wanted = row.get("results").cloned().unwrap_or_else(|| json!([]));
            equal("tokens", list(&found).count(), list(&wanted).count())?;
            list(&found)
                .zip(list(&wanted))
                .try_for_each(|(found, wanted)| contains(found, wanted))
        }
    }
}

//! Kinds `expressions`, in both languages, and `functions` of JMESPath.

use iot_mapping::{
    Compatibility,
    jmespath::{self, Query, Variable},
    json::Document,
    jsonpath::{Path, Scope},
    parse_time,
};
use serde_json::{Value, json};

use crate::{
    facts::{contains, equal, list},
    runner::Check,
};

pub fn check(row: &Value) -> Check {
    let language = row["language"].as_str().unwrap_or("JsonPath");
    if language.eq_ignore_ascii_case("JmesPath") {
        check_jmespath(row)
    } else {
        check_path(row)
    }
}

fn check_jmespath(row: &Value) -> Check {
    let fails = row.get("error").is_some_and(|error| !error.is_null()) || row["errorClass"].is_string();
    let found = Query::parse(text(row), Compatibility::Upstream).map_err(|error| error.to_string());
    let found = found.and_then(|query| query.select(&data(row)).map_err(|error| error.to_string()));
    let found = match found {
        Ok(found) => found,
        Err(error) => return if fails { Ok(()) } else { Err(error) },
    };
    let found: Vec<Value> = found.iter().map(|found| json_of(found)).collect();
    match (row["mode"].as_str(), &found[..]) {
        (Some("parse"), _) => equal("valid", true, !fails),
        (Some("one"), []) => equal("absent", true, row["absent"] == true || row["result"].is_null()),
        (Some("one"), [one]) => contains(one, &row["result"]),
        (Some("one"), _) => equal("more than one token", true, fails),
        _ => {
            let wanted = row.get("results").cloned().unwrap_or_else(|| json!([]));
            equal("tokens", found.len(), list(&wanted).count())?;
            found
                .iter()
                .zip(list(&wanted))
                .try_for_each(|(found, wanted)| contains(found, wanted))
        }
    }
}

/// A row of the table of functions: the value and its kind, or the time at which it fails.
pub fn check_function(row: &Value) -> Check {
    let kind = row["resultType"].as_str().unwrap_or_default();
    let query = match Query::parse(text(row), Compatibility::Upstream) {
        Ok(query) => query,
        Err(error) if kind == "parse-error" => return equal("an error", false, error.to_string().is_empty()),
        Err(error) => return Err(error.to_string()),
    };
    let found = match query.evaluate(&data(row)) {
        Ok(found) => json_of(&found),
        Err(_) if kind == "error" => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    let wanted = &row["result"];
    match kind {
        "integer" => equal("result", (found.is_i64(), &found), (true, wanted)),
        "float" => {
            let (found, wanted) = (found.as_f64(), wanted.as_f64());
            let tolerance = row["tolerance"].as_f64().unwrap_or(1e-9);
            let near = found
                .zip(wanted)
                .is_some_and(|(found, wanted)| (found - wanted).abs() <= tolerance);
            if near { Ok(()) } else { equal("result", found, wanted) }
        }
        "date" => {
            let time = |value: &Value| value.as_str().and_then(parse_time);
            equal("time", (true, time(&found)), (time(wanted).is_some(), time(wanted)))
        }
        "string" => equal("result", &found, wanted),
        _ => Err(format!("{found} where `{kind}` is expected")),
    }
}

fn text(row: &Value) -> &str {
    row["expression"].as_str().unwrap_or_default()
}

fn data(row: &Value) -> jmespath::Rcvar {
    let text = row["data"].to_string();
    let document = Document::parse(text.as_bytes()).unwrap();
    jmespath::variable(&document, 0)
}

fn json_of(variable: &Variable) -> Value {
    serde_json::to_value(variable).unwrap()
}

fn check_path(row: &Value) -> Check {
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

//! The single checks of an expectation: a path and what must be true of the values there.

use std::cmp::Ordering;

use anyhow::{Context, Result};
use regex::Regex;
use serde_json::{Map, Value};

use crate::path::{self, text_of};

/// `Some(what is wrong)` where a check fails. `check` has its variables already.
pub fn failure(check: &Map<String, Value>, raw: &str, body: Option<&Value>) -> Result<Option<String>> {
    let at = check
        .get("path")
        .and_then(Value::as_str)
        .context("a check needs a path")?;
    let found = Found::new(at, raw, body)?;
    for (operation, wanted) in check {
        if matches!(operation.as_str(), "path" | "strict" | "note") {
            continue;
        }
        if !found.holds(operation, wanted)? {
            let got: String = Value::Array(found.values.clone())
                .to_string()
                .chars()
                .take(160)
                .collect();
            return Ok(Some(format!("`{at}`: {operation} {wanted}, got {got}")));
        }
    }
    Ok(None)
}

struct Found {
    values: Vec<Value>,
    /// The path itself names several values, so a single list found is one of them.
    many: bool,
}

impl Found {
    fn new(at: &str, raw: &str, body: Option<&Value>) -> Result<Self> {
        let values = match body {
            _ if at == "$raw" => vec![Value::String(raw.to_owned())],
            Some(body) => path::all(body, at)?,
            None => Vec::new(),
        };
        Ok(Self {
            values,
            many: at.contains("[*]") || (at.contains('[') && at.contains('=')),
        })
    }

    fn first(&self) -> Option<&Value> {
        self.values.first()
    }

    /// The members to compare as a collection.
    fn members(&self) -> &[Value] {
        match self.values.as_slice() {
            [Value::Array(list)] if !self.many => list,
            values => values,
        }
    }

    fn length(&self) -> usize {
        match self.first() {
            Some(Value::Array(list)) if !self.many => list.len(),
            Some(Value::String(text)) if !self.many => text.chars().count(),
            _ => self.values.len(),
        }
    }

    fn exists(&self) -> bool {
        self.first().is_some_and(|value| match value {
            Value::Array(list) => !list.is_empty(),
            Value::Object(map) => !map.is_empty(),
            Value::String(text) => !text.is_empty(),
            _ => true,
        })
    }

    fn holds(&self, operation: &str, wanted: &Value) -> Result<bool> {
        let count = || {
            wanted
                .as_u64()
                .and_then(|n| usize::try_from(n).ok())
                .context("a count must be a number")
        };
        let list = || wanted.as_array().context("a list is needed");
        let pattern = || Regex::new(wanted.as_str().unwrap_or_default()).context("bad pattern");
        let lower = || text_of(wanted).to_lowercase();
        Ok(match operation {
            "exists" => Value::Bool(self.exists()) == *wanted,
            "equals" => self.first().is_some_and(|value| equal(value, wanted)),
            "notEquals" => !self.first().is_some_and(|value| equal(value, wanted)),
            "textEquals" => self.first().is_some_and(|value| text_of(value) == text_of(wanted)),
            "matches" => {
                let pattern = pattern()?;
                self.values.iter().any(|value| pattern.is_match(&text_of(value)))
            }
            "allMatch" => {
                let pattern = pattern()?;
                !self.values.is_empty() && self.values.iter().all(|value| pattern.is_match(&text_of(value)))
            }
            "contains" => self
                .values
                .iter()
                .any(|value| text_of(value).to_lowercase().contains(&lower())),
            "notContains" => !self
                .values
                .iter()
                .any(|value| text_of(value).to_lowercase().contains(&lower())),
            "length" => self.length() == count()?,
            "count" => self.values.len() == count()?,
            "minCount" => self.values.len() >= count()?,
            "maxCount" => self.values.len() <= count()?,
            "min" => self.first().and_then(|v| order(v, wanted)).is_some_and(Ordering::is_ge),
            "max" => self.first().and_then(|v| order(v, wanted)).is_some_and(Ordering::is_le),
            "setEquals" => sorted(self.members()) == sorted(list()?),
            "listEquals" => {
                let wanted = list()?;
                self.members().len() == wanted.len() && self.members().iter().zip(wanted).all(|(a, b)| equal(a, b))
            }
            "includes" => list()?.iter().all(|w| self.members().iter().any(|v| equal(v, w))),
            "excludes" => !list()?.iter().any(|w| self.members().iter().any(|v| equal(v, w))),
            "oneOf" => self
                .first()
                .is_some_and(|value| list().is_ok_and(|l| l.iter().any(|w| equal(value, w)))),
            "sorted" => {
                let texts: Vec<_> = self.values.iter().map(text_of).collect();
                if wanted == "desc" {
                    texts.is_sorted_by(|a, b| a >= b)
                } else {
                    texts.is_sorted()
                }
            }
            other => anyhow::bail!("unknown check `{other}`"),
        })
    }
}

fn sorted(values: &[Value]) -> Vec<String> {
    let mut texts: Vec<_> = values.iter().map(text_of).collect();
    texts.sort();
    texts
}

/// Equal as JSON values; numbers by value, so that 1.0 is 1.
pub fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Number(n), Value::String(text)) | (Value::String(text), Value::Number(n)) => n.to_string() == *text,
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, value)| b.get(key).is_some_and(|other| equal(value, other)))
        }
        _ => a == b,
    }
}

fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64()?.partial_cmp(&b.as_f64()?),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_check_can_hold_and_can_fail() {
        let body = serde_json::from_str(r#"{"n": 2.50, "s": "Abc", "l": ["b", "a"], "e": []}"#).unwrap();
        for (check, holds) in [
            (json!({"path": "n", "equals": 2.5}), true),
            (json!({"path": "n", "textEquals": "2.50"}), true),
            (json!({"path": "n", "textEquals": "2.5"}), false),
            (json!({"path": "s", "contains": "BC"}), true),
            (json!({"path": "s", "notContains": "BC"}), false),
            (json!({"path": "s", "matches": "^A"}), true),
            (json!({"path": "l", "setEquals": ["a", "b"]}), true),
            (json!({"path": "l", "listEquals": ["a", "b"]}), false),
            (json!({"path": "l", "length": 2}), true),
            (json!({"path": "l[*]", "count": 2}), true),
            (json!({"path": "l[*]", "sorted": "desc"}), true),
            (json!({"path": "l[*]", "sorted": "asc"}), false),
            (json!({"path": "e", "exists": false}), true),
            (json!({"path": "x", "exists": true}), false),
            (json!({"path": "n", "min": 3}), false),
            (json!({"path": "n", "max": 3}), true),
            (json!({"path": "l", "includes": ["a"]}), true),
            (json!({"path": "l", "excludes": ["a"]}), false),
            (json!({"path": "s", "oneOf": ["x", "Abc"]}), true),
        ] {
            let wrong = failure(check.as_object().unwrap(), "", Some(&body)).unwrap();
            assert_eq!(wrong.is_none(), holds, "{check}: {wrong:?}");
        }
    }
}

//! Only what differs from the defaults.

use serde::Serialize;
use serde_json::{Map, Value};

/// The settings file with only what differs from the defaults, so that a default may change without a new file.
pub fn minimal<T: Serialize>(settings: &T, default: &T) -> Value {
    let (Ok(own), Ok(default)) = (serde_json::to_value(settings), serde_json::to_value(default)) else {
        // Plain structs of texts and numbers with text keys always serialise.
        unreachable!("settings serialise to JSON")
    };
    difference(own, &default).unwrap_or_else(|| Value::Object(Map::new()))
}

fn difference(own: Value, default: &Value) -> Option<Value> {
    match (own, default) {
        (own, default) if own == *default => None,
        (Value::Object(own), Value::Object(default)) => Some(Value::Object(
            own.into_iter()
                .filter_map(|(name, value)| {
                    let value = difference(value, default.get(&name).unwrap_or(&Value::Null))?;
                    Some((name, value))
                })
                .collect(),
        )),
        (own, _) => Some(own),
    }
}

//! Does what is stored already say what we want? Decides whether an apply is needed at all, so that at rest nothing
//! is written.

use serde_json::Value;

/// True when every field of `wanted` is in `stored` with an equal value. What is only in `stored` (defaults, status,
/// other writers' fields) doesn't count: a field that we no longer want shows as a changed
/// [`APPLIED`](super::apply::APPLIED) annotation instead.
pub fn covers(stored: &Value, wanted: &Value) -> bool {
    match (stored, wanted) {
        (Value::Object(stored), Value::Object(wanted)) => wanted.iter().all(|(name, value)| match stored.get(name) {
            Some(found) => covers(found, value),
            // The server drops empty members: wanting nothing is covered by nothing.
            None => is_empty(value),
        }),
        (Value::Array(stored), Value::Array(wanted)) => {
            stored.len() == wanted.len() && stored.iter().zip(wanted).all(|(found, value)| covers(found, value))
        }
        (Value::Number(stored), Value::Number(wanted)) => stored.as_f64() == wanted.as_f64(),
        (stored, wanted) => stored == wanted,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::defaults_beside(json!({"a": 1, "protocol": "TCP"}), json!({"a": 1}), true)]
    #[case::another_value(json!({"a": 1}), json!({"a": 2}), false)]
    #[case::missing(json!({}), json!({"a": 1}), false)]
    #[case::nothing_wanted(json!({}), json!({"a": {}, "b": [], "c": null, "d": {"e": []}}), true)]
    #[case::items_with_defaults(json!([{"n": "x", "d": 1}]), json!([{"n": "x"}]), true)]
    #[case::an_item_more(json!([1, 2]), json!([1]), false)]
    #[case::order_of_items(json!([1, 2]), json!([2, 1]), false)]
    #[case::false_is_a_value(json!({}), json!({"a": false}), false)]
    fn compares_what_is_wanted_only(#[case] stored: Value, #[case] wanted: Value, #[case] expected: bool) {
        assert_eq!(covers(&stored, &wanted), expected);
    }
}

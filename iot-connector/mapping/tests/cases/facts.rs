//! How facts of a case are read and compared.

use iot_mapping::parse_time;
use jiff::Timestamp;
use serde_json::Value;

use crate::runner::Check;

/// Templates are pretty-printed, so that lines mean something.
pub fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => serde_json::to_string_pretty(other).unwrap(),
    }
}

/// A time that has to be one.
pub fn time(value: &Value) -> Timestamp {
    parse_time(value.as_str().unwrap_or_default()).unwrap_or_else(|| panic!("{value} isn't a time"))
}

/// The elements of a list; none of anything else.
pub fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().map_or(&[][..], Vec::as_slice).iter()
}

/// The first of these members that is there and isn't null.
pub fn first<'v>(value: &'v Value, names: &[&str]) -> Option<&'v Value> {
    names.iter().map(|name| &value[*name]).find(|member| !member.is_null())
}

/// Whether two facts are the same.
#[expect(clippy::needless_pass_by_value, reason = "callers compare what they just made")]
pub fn equal<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Check {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what}: found {found:?}, expected {expected:?}"))
    }
}

/// Whether `wanted` is a part of `found`: members present, list elements somewhere, numbers and times by what they mean.
pub fn contains(found: &Value, wanted: &Value) -> Check {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => wanted.iter().try_for_each(|(name, wanted)| {
            contains(found.get(name).unwrap_or(&Value::Null), wanted).map_err(|r| format!("{name}: {r}"))
        }),
        (Value::Array(found), Value::Array(wanted)) => wanted.iter().try_for_each(|wanted| {
            if found.iter().any(|found| contains(found, wanted).is_ok()) {
                Ok(())
            } else {
                Err(format!("{wanted} isn't in {found:?}"))
            }
        }),
        (Value::Number(found), Value::Number(wanted)) => equal("number", found.as_f64(), wanted.as_f64()),
        (Value::String(one), Value::String(two)) => {
            let same_time = matches!((parse_time(one), parse_time(two)), (Some(one), Some(two)) if one == two);
            if same_time { Ok(()) } else { equal("text", one, two) }
        }
        (found, wanted) => equal("value", found, wanted),
    }
}

//! What a record's headers say: text, or values as AMQP writes them, which is how Event Hubs hands on the properties of
//! messages that came to it by AMQP.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Map, Value};

/// What IoT Hub says of a message itself begins so; [`OF_THE_DEVICE`] doesn't belong to it.
const OF_THE_HUB: &str = "iothub-";
/// A device says in this property when it made the message.
const OF_THE_DEVICE: &str = "iothub-creation-time-utc";

/// The headers as `Properties`, and those that IoT Hub sets as `SystemProperties`.
pub(super) fn split(headers: &BTreeMap<String, Vec<u8>>) -> (Map<String, Value>, Map<String, Value>) {
    let all = headers.iter().map(|(name, bytes)| (name.clone(), value(bytes)));
    let (system, own): (Vec<_>, Vec<_>) =
        all.partition(|(name, _)| name.starts_with(OF_THE_HUB) && name != OF_THE_DEVICE);
    (own.into_iter().collect(), system.into_iter().collect())
}

/// Text where it is UTF-8. The types of AMQP that are read here begin with a byte that no UTF-8 text begins with; what
/// is neither is Base64.
fn value(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => of_amqp(bytes).unwrap_or_else(|| Value::from(STANDARD.encode(bytes))),
    }
}

/// Strings, symbols, longs, doubles and timestamps of AMQP 1.0.
fn of_amqp(bytes: &[u8]) -> Option<Value> {
    let (&kind, rest) = bytes.split_first()?;
    let eight = || <[u8; 8]>::try_from(rest).ok();
    let text = |length: usize, text: &[u8]| {
        let text = std::str::from_utf8(text).ok().filter(|text| text.len() == length)?;
        Some(Value::from(text))
    };
    match kind {
        0xa1 | 0xa3 => rest.split_first().and_then(|(&length, rest)| text(length.into(), rest)),
        0xb1 | 0xb3 => rest
            .split_first_chunk()
            .and_then(|(length, rest)| text(u32::from_be_bytes(*length) as usize, rest)),
        0x81 => Some(Value::from(i64::from_be_bytes(eight()?))),
        0x82 => Some(Value::from(f64::from_be_bytes(eight()?))),
        0x83 => {
            let time = Timestamp::from_millisecond(i64::from_be_bytes(eight()?)).ok()?;
            Some(Value::from(time.to_string()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::text(b"ward a", json!("ward a"))]
    #[case::nothing(b"", json!(""))]
    #[case::beyond_ascii("Stätion".as_bytes(), json!("Stätion"))]
    #[case::string(b"\xa1\x06ward a", json!("ward a"))]
    #[case::symbol(b"\xa3\x04ward", json!("ward"))]
    #[case::long_string(b"\xb1\x00\x00\x00\x04ward", json!("ward"))]
    #[case::long(b"\x81\x00\x00\x00\x00\x00\x00\x01\x00", json!(256))]
    #[case::double(b"\x82\x3f\xf8\x00\x00\x00\x00\x00\x00", json!(1.5))]
    #[case::timestamp(b"\x83\x00\x00\x01\x94\x1f\x29\x7c\x00", json!("2025-01-01T00:00:00Z"))]
    #[case::a_string_of_another_length(b"\xa1\x07ward a", json!("oQd3YXJkIGE="))]
    #[case::bytes(b"\xff\x00", json!("/wA="))]
    fn a_header_is_text_or_a_value_of_amqp(#[case] bytes: &[u8], #[case] expected: Value) {
        assert_eq!(value(bytes), expected);
    }

    #[test]
    fn what_the_hub_says_is_told_from_what_the_sender_says() {
        let headers = ["site", "iothub-creation-time-utc", "iothub-connection-device-id"];
        let (own, system) = split(&headers.map(|name| (name.to_owned(), b"x".to_vec())).into());
        assert_eq!(Value::from(own), json!({"site": "x", "iothub-creation-time-utc": "x"}));
        assert_eq!(Value::from(system), json!({"iothub-connection-device-id": "x"}));
    }
}

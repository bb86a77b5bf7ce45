//! What a message's envelope holds beside the body: `Properties` by the sender, `SystemProperties` by us, with the names
//! that Azure IoT Hub gives them, so that mappings written for it work unchanged.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use jiff::Timestamp;
use serde_json::{Map, Value};

/// A header that begins so is a property named by the rest (as in IoT Hub's HTTPS interface).
const PROPERTY_PREFIX: &str = "iothub-app-";
/// A device says in this header which device it is, where one key serves several.
pub const DEVICE_HEADER: &str = "x-device-id";

/// A header's text: UTF-8, as browsers and most clients write it, though HTTP has Latin-1.
pub fn header_text(value: &HeaderValue) -> Cow<'_, str> {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.into(),
        Err(_) => value.as_bytes().iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// What a sender says beside the body: the device, the query and properties, each as it came.
pub fn beside<'r>(uri: &'r Uri, headers: &'r HeaderMap) -> impl Iterator<Item = &'r [u8]> {
    let own = |name: &str| name == DEVICE_HEADER || name.starts_with(PROPERTY_PREFIX);
    let headers = headers.iter().filter(move |(name, _)| own(name.as_str()));
    let headers = headers.flat_map(|(name, value)| [name.as_str().as_bytes(), value.as_bytes()]);
    uri.query().map(str::as_bytes).into_iter().chain(headers)
}

/// JSON text of an object with `Properties` and `SystemProperties` of one request.
pub fn of_request(method: &Method, uri: &Uri, headers: &HeaderMap, device: Option<&str>, now: Timestamp) -> String {
    let mut properties = Map::new();
    for (name, value) in query_pairs(uri.query().unwrap_or_default()) {
        properties.insert(name, Value::from(value));
    }
    for (name, value) in headers {
        if let Some(name) = name.as_str().strip_prefix(PROPERTY_PREFIX) {
            properties.insert(name.to_owned(), Value::from(header_text(value)));
        }
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let mut system = Map::new();
    system.insert("method".to_owned(), Value::from(method.as_str()));
    system.insert("path".to_owned(), Value::from(uri.path()));
    if let Some(kind) = text(header::CONTENT_TYPE.as_str()) {
        system.insert("content-type".to_owned(), Value::from(kind));
    }
    of(properties, system, device, now)
}

/// JSON text of an object with these `Properties` and `SystemProperties`, and what IoT Hub adds to them.
pub fn of(
    properties: Map<String, Value>,
    mut system: Map<String, Value>,
    device: Option<&str>,
    now: Timestamp,
) -> String {
    if let Some(device) = device {
        system.insert("iothub-connection-device-id".to_owned(), Value::from(device));
    }
    // A source may hand on what IoT Hub itself said.
    system
        .entry("iothub-enqueuedtime")
        .or_insert_with(|| Value::from(now.to_string()));
    let mut context = Map::new();
    context.insert("Properties".to_owned(), Value::Object(properties));
    context.insert("SystemProperties".to_owned(), Value::Object(system));
    Value::Object(context).to_string()
}

fn query_pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

/// `application/x-www-form-urlencoded` decoding; what isn't a valid escape stays as it is.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let escaped = bytes
            .get(index + 1..index + 3)
            .and_then(|hex| std::str::from_utf8(hex).ok());
        match (bytes[index], escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                index += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        index += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use iot_mapping::json::Document;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_envelope_carries_azure_names() {
        let mut headers = HeaderMap::new();
        headers.insert(
            "iothub-app-iothub-creation-time-utc",
            "2026-01-01T00:00:00Z".parse().unwrap(),
        );
        headers.insert("content-type", "application/json".parse().unwrap());
        headers.insert("iothub-app-ort", "Zürich".parse().unwrap());
        headers.insert("iothub-app-latin", HeaderValue::from_bytes(b"Z\xfcrich").unwrap());
        let uri: Uri = "/messages?site=ward%20a&x".parse().unwrap();
        let context = of_request(&Method::POST, &uri, &headers, Some("monitor-1"), Timestamp::UNIX_EPOCH);
        let envelope = Document::envelope(b"{\"hr\": 1.50}", &context).unwrap().to_json(0);
        let expected = json!({
            "Body": {"hr": serde_json::from_str::<Value>("1.50").unwrap()},
            "Properties": {
                "site": "ward a", "x": "", "iothub-creation-time-utc": "2026-01-01T00:00:00Z", "ort": "Zürich", "latin": "Zürich"
            },
            "SystemProperties": {
                "method": "POST", "path": "/messages", "content-type": "application/json",
                "iothub-connection-device-id": "monitor-1", "iothub-enqueuedtime": "1970-01-01T00:00:00Z"
            }
        });
        assert_eq!(envelope, expected);
    }
}

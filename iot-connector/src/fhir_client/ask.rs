//! One request of the pipeline, sent by itself or as an entry of a batch bundle, and an entry's answer.

use reqwest::{Method, RequestBuilder, Url, header};
use serde_json::{Value, json};

use super::connection::{Connection, Received};

/// The media type of everything that is sent.
pub const FHIR_JSON: &str = "application/fhir+json";

/// Under which condition a resource is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// Nobody made it in the meantime.
    Absent,
    /// It still has this version.
    Version(String),
}

/// What is asked for.
#[derive(Debug)]
pub struct Ask {
    url: Url,
    write: Option<(String, Precondition)>,
}

impl Ask {
    /// A read or search.
    pub fn get(url: Url) -> Self {
        Self { url, write: None }
    }

    /// An update with the text of a resource.
    pub fn put(url: Url, resource: String, precondition: Precondition) -> Self {
        Self {
            url,
            write: Some((resource, precondition)),
        }
    }

    /// Bytes that it takes in a bundle, or about so many.
    pub fn bytes(&self) -> usize {
        256 + self.write.as_ref().map_or(0, |(resource, _)| resource.len())
    }

    /// As a request of its own.
    pub fn alone(&self, connection: &Connection) -> RequestBuilder {
        let Some((resource, precondition)) = &self.write else {
            return connection.request(Method::GET, self.url.clone());
        };
        let request = connection
            .request(Method::PUT, self.url.clone())
            .header(header::CONTENT_TYPE, FHIR_JSON)
            .body(resource.clone());
        match precondition {
            Precondition::Absent => request.header(header::IF_NONE_MATCH, "*"),
            Precondition::Version(version) => request.header(header::IF_MATCH, tag(version)),
        }
    }

    /// As an entry of a bundle, written to the end of `text`.
    fn entry(&self, base: &Url, text: &mut String) {
        let url = self.url.as_str();
        let url = url.strip_prefix(base.as_str()).unwrap_or(url);
        let request = match &self.write {
            None => json!({"method": "GET", "url": url}),
            Some((_, Precondition::Absent)) => json!({"method": "PUT", "url": url, "ifNoneMatch": "*"}),
            Some((_, Precondition::Version(version))) => json!({"method": "PUT", "url": url, "ifMatch": tag(version)}),
        };
        text.push('{');
        if let Some((resource, _)) = &self.write {
            text.push_str("\"resource\":");
            text.push_str(resource);
            text.push(',');
        }
        text.push_str("\"request\":");
        text.push_str(&request.to_string());
        text.push('}');
    }
}

/// The text of a batch of these requests.
pub fn batch<'a>(asks: impl IntoIterator<Item = &'a Ask>, base: &Url) -> String {
    let mut text = String::from(r#"{"resourceType":"Bundle","type":"batch","entry":["#);
    for (index, ask) in asks.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        ask.entry(base, &mut text);
    }
    text.push_str("]}");
    text
}

/// The answers in a bundle, in order; `None` where it isn't one that answers `count` entries.
pub fn answers(bundle: Value, count: usize) -> Option<Vec<(u16, Received)>> {
    let Value::Object(mut bundle) = bundle else {
        return None;
    };
    let Some(Value::Array(entries)) = bundle.remove("entry") else {
        return None;
    };
    let answers: Vec<_> = entries.into_iter().map(answer).collect::<Option<_>>()?;
    (answers.len() == count).then_some(answers)
}

fn answer(mut entry: Value) -> Option<(u16, Received)> {
    let mut response = entry.get_mut("response")?.take();
    // `response.status` starts with the number; text may follow (FHIR R4, Bundle).
    let status = response["status"].as_str()?.get(..3)?.parse().ok()?;
    let body = match entry.get_mut("resource").map(Value::take) {
        Some(resource) if !resource.is_null() => resource,
        _ => response.get_mut("outcome").map(Value::take).unwrap_or_default(),
    };
    let received = Received {
        etag: response["etag"].as_str().map(str::to_owned),
        retry_after: None,
        body,
    };
    Some((status, received))
}

fn tag(version: &str) -> String {
    format!("W/\"{version}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_entries_in_their_order() {
        let base = Url::parse("http://localhost/r4/").unwrap();
        let url = |path: &str| base.join(path).unwrap();
        let resource = r#"{"resourceType":"Device","id":"a"}"#;
        let asks = [
            Ask::get(url("Device?identifier=a%7Cb")),
            Ask::put(url("Device/a"), resource.to_owned(), Precondition::Absent),
            Ask::put(
                url("Device/a"),
                resource.to_owned(),
                Precondition::Version("3".to_owned()),
            ),
        ];
        let bundle: Value = serde_json::from_str(&batch(&asks, &base)).unwrap();
        let resource: Value = serde_json::from_str(resource).unwrap();
        let expected = json!({"resourceType": "Bundle", "type": "batch", "entry": [
            {"request": {"method": "GET", "url": "Device?identifier=a%7Cb"}},
            {"resource": resource, "request": {"method": "PUT", "url": "Device/a", "ifNoneMatch": "*"}},
            {"resource": resource, "request": {"method": "PUT", "url": "Device/a", "ifMatch": "W/\"3\""}}
        ]});
        assert_eq!(bundle, expected);
    }

    #[test]
    fn answers_are_told_apart() {
        let bundle = json!({"resourceType": "Bundle", "type": "batch-response", "entry": [
            {"resource": {"resourceType": "Bundle"}, "response": {"status": "200"}},
            {"response": {"status": "201 Created", "etag": "W/\"1\""}},
            {"response": {"status": "412", "outcome": {"resourceType": "OperationOutcome"}}}
        ]});
        let told: Vec<_> = answers(bundle.clone(), 3)
            .unwrap()
            .into_iter()
            .map(|(status, received)| (status, received.etag, received.body["resourceType"].clone()))
            .collect();
        assert_eq!(
            told,
            [
                (200, None, json!("Bundle")),
                (201, Some("W/\"1\"".to_owned()), Value::Null),
                (412, None, json!("OperationOutcome"))
            ]
        );
        assert!(answers(bundle, 2).is_none(), "as many answers as requests");
        assert!(answers(json!({"resourceType": "OperationOutcome"}), 1).is_none());
    }
}

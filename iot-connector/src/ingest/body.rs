//! A request body taken apart into messages: one JSON value, an array of them, or NDJSON; plain, gzip or zstd.

use std::io::{self, Read};

use bytes::Bytes;
use serde_json::value::RawValue;
use thiserror::Error;

/// Bounds of one request.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Bytes after decompression.
    pub bytes: usize,
    /// Bytes of one message.
    pub message_bytes: usize,
    /// Messages: each takes more than its bytes.
    pub messages: usize,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            bytes: 64 << 20,
            message_bytes: 8 << 20,
            messages: 50_000,
        }
    }
}

/// Why a body can't be taken.
#[derive(Debug, Error)]
pub enum BodyError {
    /// Nothing in it.
    #[error("the request holds no message: send JSON, an array of messages, or one on each line")]
    Empty,
    /// Neither gzip nor zstd.
    #[error("content encoding `{0}` isn't known: use gzip, zstd or none")]
    Encoding(String),
    /// The compressed bytes are wrong.
    #[error("the body isn't what its `Content-Encoding` says")]
    Compressed(#[source] io::Error),
    /// Too many bytes.
    #[error("the body has more than {0} bytes: send fewer messages a request")]
    TooLarge(usize),
    /// Too many messages.
    #[error("the request has more than {0} messages: send fewer a request")]
    TooMany(usize),
    /// One message is too long.
    #[error("a message has more than {0} bytes: split it")]
    MessageTooLarge(usize),
}

/// Undoes `Content-Encoding`.
pub fn decompress(body: Bytes, encoding: Option<&str>, limits: &BodyLimits) -> Result<Bytes, BodyError> {
    let reader: Box<dyn Read + '_> = match encoding.map(|name| name.trim().to_ascii_lowercase()).as_deref() {
        None | Some("" | "identity") => return Ok(body),
        Some("gzip" | "x-gzip") => Box::new(flate2::read::MultiGzDecoder::new(&body[..])),
        Some("zstd") => Box::new(zstd::stream::read::Decoder::new(&body[..]).map_err(BodyError::Compressed)?),
        Some(other) => return Err(BodyError::Encoding(other.to_owned())),
    };
    let mut plain = Vec::with_capacity((body.len() * 4).min(limits.bytes));
    // One byte more than allowed tells that there is too much, without taking all of it.
    reader
        .take(limits.bytes as u64 + 1)
        .read_to_end(&mut plain)
        .map_err(BodyError::Compressed)?;
    if plain.len() > limits.bytes {
        return Err(BodyError::TooLarge(limits.bytes));
    }
    Ok(plain.into())
}

/// The messages of a body. What isn't JSON is a message too: it becomes a dead letter and stops no other.
pub fn messages(body: &Bytes, content_type: Option<&str>, limits: &BodyLimits) -> Result<Vec<Bytes>, BodyError> {
    let messages = if is_ndjson(content_type) {
        lines(body)
    } else {
        values(body).unwrap_or_else(|| lines_or_one(body))
    };
    if messages.is_empty() {
        return Err(BodyError::Empty);
    }
    if messages.len() > limits.messages {
        return Err(BodyError::TooMany(limits.messages));
    }
    if messages.iter().any(|message| message.len() > limits.message_bytes) {
        return Err(BodyError::MessageTooLarge(limits.message_bytes));
    }
    Ok(messages)
}

fn is_ndjson(content_type: Option<&str>) -> bool {
    let kind = content_type
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    matches!(
        kind.as_str(),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines"
    )
}

/// The values of a body that is JSON: the elements of an array, or values one after the other.
fn values(body: &Bytes) -> Option<Vec<Bytes>> {
    let slice = |raw: &RawValue| body.slice_ref(raw.get().as_bytes());
    if body.trim_ascii_start().first() == Some(&b'[')
        && let Ok(elements) = serde_json::from_slice::<Vec<&RawValue>>(body)
    {
        return Some(elements.into_iter().map(slice).collect());
    }
    let values = serde_json::Deserializer::from_slice(body).into_iter::<&RawValue>();
    values.map(|value| value.map(slice).ok()).collect()
}

/// Broken JSON: line by line where at least one line is JSON by itself, else as one message.
fn lines_or_one(body: &Bytes) -> Vec<Bytes> {
    let lines = lines(body);
    let is_json = |line: &Bytes| serde_json::from_slice::<&RawValue>(line).is_ok();
    if lines.len() > 1 && lines.iter().any(is_json) {
        lines
    } else {
        vec![body.clone()]
    }
}

fn lines(body: &Bytes) -> Vec<Bytes> {
    body.split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .map(|line| body.slice_ref(line))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::one(r#" {"a": 1} "#, None, &[r#"{"a": 1}"#])]
    #[case::array("[{\"a\":1}, 2]", None, &["{\"a\":1}", "2"])]
    #[case::empty_array("[]", None, &[])]
    #[case::lines("{\"a\":1}\n\n{\"a\":2}\r\n", Some("application/x-ndjson"), &["{\"a\":1}", "{\"a\":2}"])]
    #[case::lines_as_json("{\"a\":1}\n{\"a\":2}", Some("application/json"), &["{\"a\":1}", "{\"a\":2}"])]
    #[case::a_bad_line("{\"a\":1}\n{oops\n{\"a\":3}", None, &["{\"a\":1}", "{oops", "{\"a\":3}"])]
    #[case::pretty_and_broken("{\n\"a\":,\n}", None, &["{\n\"a\":,\n}"])]
    #[case::an_array_in_ndjson("[1,2]\n[3]", Some("application/ndjson; charset=utf-8"), &["[1,2]", "[3]"])]
    #[case::not_json("hello", None, &["hello"])]
    #[case::nothing("  ", None, &[])]
    fn a_body_is_taken_apart(#[case] body: &'static str, #[case] kind: Option<&str>, #[case] expected: &[&str]) {
        let found = messages(&Bytes::from(body), kind, &BodyLimits::default());
        if expected.is_empty() {
            assert!(matches!(found, Err(BodyError::Empty)));
        } else {
            assert_eq!(
                found.unwrap(),
                expected
                    .iter()
                    .map(|text| Bytes::from(text.to_string()))
                    .collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn so_many_messages_come_at_once_and_no_more() {
        let limits = BodyLimits {
            messages: 3,
            ..BodyLimits::default()
        };
        for (body, fits) in [("1\n2\n3", true), ("1\n2\n3\n4", false), ("[1,2,3,4]", false)] {
            let found = messages(&Bytes::from(body), None, &limits);
            assert_eq!(found.is_ok(), fits, "{body}: {found:?}");
        }
    }

    #[test]
    fn compressed_bodies_are_bounded() {
        let limits = BodyLimits {
            bytes: 1000,
            message_bytes: 1000,
            ..BodyLimits::default()
        };
        let gzip = |size: usize| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&vec![b' '; size]).unwrap();
            Bytes::from(encoder.finish().unwrap())
        };
        let zstd = |size: usize| Bytes::from(zstd::encode_all(&vec![b' '; size][..], 1).unwrap());
        assert_eq!(decompress(gzip(1000), Some("gzip"), &limits).unwrap().len(), 1000);
        assert_eq!(decompress(zstd(1000), Some("zstd"), &limits).unwrap().len(), 1000);
        for (body, encoding) in [(gzip(1001), "gzip"), (zstd(5_000_000), "zstd")] {
            assert!(matches!(
                decompress(body, Some(encoding), &limits),
                Err(BodyError::TooLarge(1000))
            ));
        }
        assert!(matches!(
            decompress(Bytes::from("x"), Some("br"), &limits),
            Err(BodyError::Encoding(_))
        ));
        assert!(matches!(
            decompress(Bytes::from("x"), Some("gzip"), &limits),
            Err(BodyError::Compressed(_))
        ));
    }
}

//! Bodies of devices' requests, which may be no text: taken apart and normalised as the connector does it.

use std::io::Write;

use bytes::Bytes;
use iot_connector::ingest::body::{self, BodyLimits};
use iot_mapping::{DeviceMapping, Message};

use crate::mappings::{Corpus, WORDS, mapping};
use crate::memory;

const LIMITS: BodyLimits = BodyLimits {
    bytes: 1 << 20,
    message_bytes: 64 << 10,
    messages: 500,
};
const CONTEXT: &str = r#"{"Properties": {}, "SystemProperties": {"iothub-connection-device-id": "d"}}"#;

/// Every way to write messages, each plain, as gzip and as zstd.
fn seeds(messages: &[String]) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for some in messages.chunks(4) {
        let lines = some.join("\n");
        let array = format!("[{}]", some.join(", "));
        for plain in [some[0].as_str(), &lines, &array] {
            seeds.extend([
                plain.as_bytes().to_vec(),
                gzip(plain.as_bytes()),
                zstd(plain.as_bytes()),
            ]);
        }
    }
    // more than is taken, in few bytes
    let much = vec![b'1'; 8 << 20];
    let many = b"1\n".repeat(10_000);
    seeds.extend([gzip(&much), zstd(&much), zstd(&many), many]);
    seeds
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).expect("memory");
    encoder.finish().expect("memory")
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    zstd::encode_all(plain, 1).expect("memory")
}

#[test]
fn bodies() {
    memory::bounded();
    let corpus = Corpus::read();
    let mappings: Vec<DeviceMapping> = corpus
        .device
        .iter()
        .step_by(5)
        .filter_map(|text| mapping(text))
        .collect();
    let seeds = seeds(&corpus.messages);
    fuzz::run_bytes("bodies", &seeds, WORDS, 2_000, |bytes| {
        let sent = Bytes::copy_from_slice(bytes);
        for encoding in [None, Some("gzip"), Some("zstd")] {
            let Ok(plain) = body::decompress(sent.clone(), encoding, &LIMITS) else {
                continue;
            };
            assert!(
                encoding.is_none() || plain.len() <= LIMITS.bytes,
                "{} bytes",
                plain.len()
            );
            for kind in [None, Some("application/x-ndjson")] {
                let messages = body::messages(&plain, kind, &LIMITS).unwrap_or_default();
                assert!(messages.len() <= LIMITS.messages, "{} messages", messages.len());
                for message in &messages {
                    assert!(message.len() <= LIMITS.message_bytes, "{} bytes", message.len());
                }
                // what isn't text is a message like any other, and some are enough
                for message in messages.iter().take(8) {
                    measure(&mappings, message);
                }
            }
        }
    });
}

fn measure(mappings: &[DeviceMapping], body: &[u8]) {
    for mapping in mappings {
        let context = CONTEXT;
        let measured = mapping.normalise(Message::Body { body, context });
        if std::str::from_utf8(body).is_err() {
            assert!(measured.measurements.is_empty(), "JSON is UTF-8: {measured:?}");
            assert!(!measured.faults.is_empty(), "nothing is said of {body:?}");
        }
        mapping.normalise(Message::Whole(body));
    }
}

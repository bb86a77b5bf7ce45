//! Bodies that are compressed, in and out.

use std::io::{Read, Write};

use fhir_server_settings::{FhirVersion, Limits, Settings};
use reqwest::Method;
use rstest::rstest;

use crate::Service;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("memory")
}

const PATIENT: &[u8] = br#"{"resourceType":"Patient","active":true}"#;

#[rstest]
#[case("gzip", gzip(PATIENT), 201)]
#[case("zstd", zstd(PATIENT), 201)]
#[case("identity", PATIENT.to_vec(), 201)]
#[case("gzip", zstd(PATIENT), 400)]
#[case("br", PATIENT.to_vec(), 415)]
#[case("gzip, gzip", gzip(&gzip(PATIENT)), 415)]
#[case("gzip", gzip(&vec![b' '; 2 << 20]), 413)]
#[case("zstd", zstd(&vec![b' '; 2 << 20]), 413)]
#[tokio::test]
async fn requests(#[case] encoding: &str, #[case] body: Vec<u8>, #[case] status: u16) {
    let service = Service::start(Settings {
        fhir_version: Some(FhirVersion::R4),
        anonymous: true,
        limits: Limits {
            resource_bytes: Some(1 << 20),
            ..Limits::default()
        },
        ..Settings::default()
    })
    .await;
    let headers = [
        ("content-encoding", encoding),
        ("content-type", "application/fhir+json"),
    ];
    let answer = service.exchange(Method::POST, "Patient", &headers, Some(body)).await;
    assert_eq!(answer.status, status, "{}", answer.text());
}

#[rstest]
#[case("gzip", "gzip")]
#[case("gzip;q=0.5, zstd", "zstd")]
#[case("br", "")]
#[case("gzip;q=0", "")]
#[case("*", "zstd")]
#[tokio::test]
async fn answers(#[case] accept: &str, #[case] expected: &str) {
    let service = Service::anonymous(FhirVersion::R4).await;
    let plain = service.exchange(Method::GET, "metadata", &[], None).await;
    assert_eq!(plain.header("content-encoding"), "");
    let answer = service
        .exchange(Method::GET, "metadata", &[("accept-encoding", accept)], None)
        .await;
    assert_eq!(
        (answer.header("content-encoding"), answer.header("vary")),
        (expected, "accept-encoding")
    );
    let mut body = Vec::new();
    match expected {
        "gzip" => flate2::read::GzDecoder::new(&answer.body[..])
            .read_to_end(&mut body)
            .map(|_| ()),
        "zstd" => zstd::Decoder::new(&answer.body[..])
            .and_then(|mut decoder| decoder.read_to_end(&mut body))
            .map(|_| ()),
        _ => {
            body.clone_from(&answer.body);
            Ok(())
        }
    }
    .expect("it is what it says");
    assert!(body == plain.body);
}

#[tokio::test]
async fn short_answers_go_as_they_are() {
    let service = Service::anonymous(FhirVersion::R4).await;
    let answer = service
        .exchange(Method::GET, "$versions", &[("accept-encoding", "gzip")], None)
        .await;
    assert_eq!((answer.header("content-encoding"), answer.header("vary")), ("", ""));
}

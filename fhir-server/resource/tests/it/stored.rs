//! The stored form: nothing is lost, the server's own values are spliced in, and edits touch only what they name.

use fhir_resource::edit::Edits;
use fhir_resource::stored::{self, StoredForm, StoredFormError};
use fhir_resource::{Document, Limits};
use proptest::prelude::*;
use rstest::rstest;

fn document(text: &str) -> Document {
    Document::parse(text, Limits::default()).expect(text)
}

fn stored(text: &str, id: &str) -> Vec<u8> {
    StoredForm::of(document(text).root(), id, &Edits::NONE)
        .expect(text)
        .into_bytes()
}

fn rendered(stored: &[u8]) -> String {
    let mut out = Vec::new();
    stored::render(stored, 12, 1_423_330_097_000_001, &mut out);
    String::from_utf8(out).expect("UTF-8")
}

const META: &str = r#""meta":{"versionId":"12","lastUpdated":"2015-02-07T17:28:17.000001Z""#;

#[rstest]
#[case(r#"{"resourceType":"Patient"}"#, r#"{"resourceType":"Patient","id":"x",META}}"#)]
#[case(
    r#"{ "resourceType" : "Patient" , "active" : true }"#,
    r#"{"resourceType":"Patient","id":"x",META},"active":true}"#
)]
#[case(
    r#"{"id":"old","resourceType":"Patient"}"#,
    r#"{"id":"x",META},"resourceType":"Patient"}"#
)]
#[case(
    r#"{"resourceType":"Patient","meta":{"versionId":"9","lastUpdated":"2001-01-01T00:00:00Z","profile":["http://p"]},"id":"y"}"#,
    r#"{"resourceType":"Patient",META,"profile":["http://p"]},"id":"x"}"#
)]
#[case(
    r#"{"resourceType":"Patient","meta":{"versionId":"9"}}"#,
    r#"{"resourceType":"Patient","id":"x",META}}"#
)]
#[case(
    r#"{"resourceType":"Basic","extension":[{"url":"http://u","valueDecimal":1.10}],"x":"\u00e9 \/"}"#,
    r#"{"resourceType":"Basic","id":"x",META},"extension":[{"url":"http://u","valueDecimal":1.10}],"x":"\u00e9 \/"}"#
)]
fn forms(#[case] input: &str, #[case] expected: &str) {
    let bytes = stored(input, "x");
    assert_eq!(rendered(&bytes), expected.replace("META", META));
    let again = stored(&rendered(&bytes), "x");
    assert!(stored::same(&bytes, &again));
    assert!(stored::parse(&bytes).is_ok());
}

#[rstest]
#[case("[]", StoredFormError::NotAResource)]
#[case(r#"{"resourceType":1}"#, StoredFormError::NotAResource)]
#[case(r#"{"resourceType":"Patient","meta":[]}"#, StoredFormError::Meta)]
fn refusals(#[case] input: &str, #[case] expected: StoredFormError) {
    assert_eq!(StoredForm::of(document(input).root(), "x", &Edits::NONE), Err(expected));
}

#[rstest]
#[case(
    r#"{"resourceType":"Patient","a":1,"b":[2,3]}"#,
    r#"{"b":[2,3],"a":1,"resourceType":"Patient"}"#,
    true
)]
#[case(
    r#"{"resourceType":"Patient","a":"é"}"#,
    r#"{"resourceType":"Patient","a":"\u00e9"}"#,
    true
)]
#[case(
    r#"{"resourceType":"Patient","a":1.0}"#,
    r#"{"resourceType":"Patient","a":1.00}"#,
    false
)]
#[case(
    r#"{"resourceType":"Patient","b":[2,3]}"#,
    r#"{"resourceType":"Patient","b":[3,2]}"#,
    false
)]
#[case(
    r#"{"resourceType":"Patient"}"#,
    r#"{"resourceType":"Patient","meta":{"tag":[{"code":"t"}]}}"#,
    false
)]
#[case(
    r#"{"resourceType":"Patient"}"#,
    r#"{"resourceType":"Patient","meta":{"versionId":"5"}}"#,
    true
)]
fn sameness(#[case] a: &str, #[case] b: &str, #[case] expected: bool) {
    assert_eq!(stored::same(&stored(a, "x"), &stored(b, "x")), expected);
}

#[test]
fn edits_touch_only_what_they_name() {
    let bundle = document(
        r#"{"entry": [{"resource": {"resourceType":"Observation", "subject": {"reference": "urn:uuid:1"}, "n": 1.0}}]}"#,
    );
    let resource = bundle
        .root()
        .get("entry")
        .and_then(|list| list.item(0))
        .and_then(|entry| entry.get("resource"));
    let resource = resource.expect("resource");
    let reference = resource
        .get("subject")
        .and_then(|subject| subject.get("reference"))
        .expect("reference");
    let mut edits = Edits::default();
    assert!(!edits.touches(resource));
    edits.replace(reference, "Patient/\"1\"");
    assert!(edits.touches(resource) && edits.len() == 1);
    let form = StoredForm::of(resource, "o", &edits).expect("resource");
    let expected = format!(
        r#"{{"resourceType":"Observation","id":"o",{META}}},"subject":{{"reference":"Patient/\"1\""}},"n":1.0}}"#
    );
    assert_eq!(rendered(form.bytes()), expected);
    let text = String::from_utf8(edits.apply(bundle.text())).expect("UTF-8");
    assert_eq!(text, bundle.text().replace("\"urn:uuid:1\"", r#""Patient/\"1\"""#));
}

proptest! {
    #[test]
    fn rendering_any_bytes_never_panics(bytes: Vec<u8>) {
        let mut out = Vec::new();
        stored::render(&bytes, 1, 0, &mut out);
        let _ = stored::same(&bytes, &out);
        let _ = stored::parse(&bytes);
    }
}

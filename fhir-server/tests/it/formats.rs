//! JSON and XML, in and out, in both FHIR versions.

use fhir_server_settings::FhirVersion;
use reqwest::Method;
use rstest::rstest;

use crate::Service;

const XML: &str = "application/fhir+xml";

fn patient(inside: &str) -> String {
    format!("<Patient xmlns=\"http://hl7.org/fhir\">{inside}</Patient>")
}

async fn send(service: &Service, method: Method, path: &str, body: &str) -> crate::service::RawAnswer {
    let headers = [("content-type", XML), ("accept", XML)];
    service
        .exchange(method, path, &headers, Some(body.as_bytes().to_vec()))
        .await
}

/// The text between the first `before` and what follows it up to `after`.
fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("{before} in {text}"));
    rest.split_once(after).unwrap_or_else(|| panic!("{after} in {text}")).0
}

#[rstest]
#[tokio::test]
async fn a_resource_lives_in_xml(#[values(FhirVersion::R4, FhirVersion::Stu3)] version: FhirVersion) {
    let service = Service::anonymous(version).await;
    let sent = "<extension url=\"http://e\"><valueDecimal value=\"1.10\"/></extension><active value=\"true\"/>";
    let created = send(&service, Method::POST, "Patient", &patient(sent)).await;
    assert_eq!(created.status, 201, "{}", created.text());
    assert_eq!(created.header("content-type"), "application/fhir+xml; charset=utf-8");
    let id = between(created.text(), "<id value=\"", "\"").to_owned();
    assert!(
        created.text().ends_with(&format!("</meta>{sent}</Patient>")),
        "{}",
        created.text()
    );

    let json = service.get(&format!("Patient/{id}")).await;
    assert_eq!(json.body["extension"][0]["valueDecimal"].to_string(), "1.10");

    let changed = patient(&format!("<id value=\"{id}\"/><active value=\"false\"/>"));
    let changed = send(&service, Method::PUT, &format!("Patient/{id}"), &changed).await;
    assert_eq!((changed.status.as_u16(), changed.header("etag")), (200, "W/\"2\""));

    let patch = "<Parameters xmlns=\"http://hl7.org/fhir\"><parameter><name value=\"operation\"/>\
        <part><name value=\"type\"/><valueCode value=\"replace\"/></part>\
        <part><name value=\"path\"/><valueString value=\"Patient.active\"/></part>\
        <part><name value=\"value\"/><valueBoolean value=\"true\"/></part></parameter></Parameters>";
    let patched = send(&service, Method::PATCH, &format!("Patient/{id}"), patch).await;
    assert_eq!(patched.status, 200, "{}", patched.text());
    assert!(
        patched.text().contains("<active value=\"true\"/>"),
        "{}",
        patched.text()
    );

    for path in ["Patient", "Patient/_history", &format!("Patient/{id}/_history")] {
        let bundle = service.exchange(Method::GET, path, &[("accept", XML)], None).await;
        assert_eq!(bundle.status, 200, "{path}");
        let resource = between(bundle.text(), "<resource>", "</resource>");
        assert!(resource.starts_with("<Patient><id value="), "{path}: {resource}");
    }
    let gone = service.delete(&format!("Patient/{id}")).await;
    assert_eq!(gone.status, 204);
    let gone = service
        .exchange(Method::GET, &format!("Patient/{id}?_format=xml"), &[], None)
        .await;
    assert_eq!((gone.status.as_u16(), gone.header("etag")), (410, "W/\"4\""));
    assert!(
        gone.text().contains("<OperationOutcome xmlns=\"http://hl7.org/fhir\">"),
        "{}",
        gone.text()
    );
}

#[rstest]
#[case::batch("batch", "201")]
#[case::transaction("transaction", "201")]
#[tokio::test]
async fn bundles_come_and_go_in_xml(
    #[case] kind: &str,
    #[case] status: &str,
    #[values(FhirVersion::R4, FhirVersion::Stu3)] version: FhirVersion,
) {
    let service = Service::anonymous(version).await;
    let bundle = format!(
        "<Bundle xmlns=\"http://hl7.org/fhir\"><type value=\"{kind}\"/>\
         <entry><fullUrl value=\"urn:uuid:6f9b5b1e-0000-4000-8000-000000000001\"/><resource><Patient><active value=\"true\"/></Patient></resource>\
         <request><method value=\"POST\"/><url value=\"Patient\"/></request></entry></Bundle>"
    );
    let answer = send(&service, Method::POST, "", &bundle).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains(&format!("<type value=\"{kind}-response\"/>")));
    assert!(between(answer.text(), "<status value=\"", "\"").starts_with(status));
    assert_eq!(
        service.get("Patient").await.body["entry"].as_array().map(Vec::len),
        Some(1)
    );
}

#[rstest]
#[case::broken("<Patient", "structure")]
#[case::unknown(
    "<Patient xmlns=\"http://hl7.org/fhir\">\n<nme/></Patient>",
    "invalid XML at line 2, position 1: Encountered unknown element 'nme' while parsing. (in `Patient`)"
)]
#[case::doctype(
    "<!DOCTYPE x [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><Patient>&a;</Patient>",
    "document type declarations are not allowed"
)]
#[case::value(
    "<Patient xmlns=\"http://hl7.org/fhir\"><gender value=\"x\"/></Patient>",
    "Patient.gender"
)]
#[tokio::test]
async fn bad_xml_is_told_so(#[case] body: &str, #[case] expected: &str) {
    let service = Service::anonymous(FhirVersion::R4).await;
    let refused = send(&service, Method::POST, "Patient", body).await;
    assert_eq!(refused.status, 400);
    let text = refused.text().replace("&apos;", "'");
    assert!(text.contains("<OperationOutcome ") && text.contains(expected), "{text}");
}

#[rstest]
#[tokio::test]
async fn content_types_are_asked_for(#[values(FhirVersion::R4, FhirVersion::Stu3)] version: FhirVersion) {
    let service = Service::anonymous(version).await;
    for (content_type, status) in [
        ("application/fhir+xml", 201),
        ("application/xml", 201),
        ("text/xml", 201),
        ("application/xml+fhir", 201),
        ("application/fhir+json", 400),
        ("text/plain", 415),
        ("application/json-patch+json", 415),
    ] {
        let body = patient("<active value=\"true\"/>").into_bytes();
        let headers = [("content-type", content_type)];
        let answer = service.exchange(Method::POST, "Patient", &headers, Some(body)).await;
        assert_eq!(answer.status, status, "{content_type}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_form_says_how_its_answer_looks() {
    let service = Service::anonymous(FhirVersion::R4).await;
    let form = |form: &'static str| {
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("accept", "text/turtle"),
        ];
        let service = &service;
        async move {
            let body = Some(form.as_bytes().to_vec());
            service.exchange(Method::POST, "Patient/_search", &headers, body).await
        }
    };
    let answer = form("_format=application%2Ffhir%2Bxml&_pretty=true").await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("\n<Bundle xmlns"), "{}", answer.text());
    assert_eq!(form("active=true").await.status, 406);
}

#[rstest]
#[tokio::test]
async fn the_server_speaks_of_itself_in_xml(#[values(FhirVersion::R4, FhirVersion::Stu3)] version: FhirVersion) {
    let service = Service::anonymous(version).await;
    let get = |path: &'static str, accept: &'static str| {
        let service = &service;
        async move { service.exchange(Method::GET, path, &[("accept", accept)], None).await }
    };
    let statement = get("metadata", "application/xml").await;
    assert_eq!(statement.header("content-type"), "application/xml; charset=utf-8");
    assert!(
        statement.text().contains("<format value=\"application/fhir+xml\"/>"),
        "{}",
        statement.text()
    );
    let short = version.release().rsplit_once('.').expect("three parts").0;
    let plain = get("$versions", "text/xml").await;
    assert!(
        plain.text().contains(&format!("<versions><version>{short}</version>")),
        "{}",
        plain.text()
    );
    let resource = get("$versions", "application/fhir+xml").await;
    assert!(
        resource.text().contains("<Parameters xmlns=\"http://hl7.org/fhir\">"),
        "{}",
        resource.text()
    );
    assert_eq!(service.get("$versions").await.text("/parameter/0/valueString"), short);
    assert!(
        get("$versions", "application/json")
            .await
            .text()
            .starts_with("{\"versions\":[")
    );
    let refused = get("$versions", "applicaiton/xml").await;
    assert_eq!(refused.status, 406);
    assert!(
        refused
            .text()
            .contains(r#"Value supplied for the \"Accept\" header is not supported."#)
    );
}

/// Narrative as browsers read it, and characters that XML lacks, are no reason to refuse.
#[tokio::test]
async fn what_json_holds_is_written_somehow() {
    let service = Service::anonymous(FhirVersion::R4).await;
    let json = r#"{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">a<br>b</div>"},"name":[{"family":"a\uffffb"}]}"#;
    let created = service.post("Patient", json).await;
    assert_eq!(created.status, 201, "{}", created.body);
    let xml = service
        .exchange(
            Method::GET,
            &format!("Patient/{}", created.text("/id")),
            &[("accept", XML)],
            None,
        )
        .await;
    assert!(xml.text().contains(">a<br/>b</div>"), "{}", xml.text());
    assert!(xml.text().contains("<family value=\"a\u{fffd}b\"/>"), "{}", xml.text());
}

//! What the CapabilityStatement lists answers, and what it doesn't list is refused.

use fhir_server_settings::FhirVersion;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::Service;

fn texts<'v>(list: &'v Value, member: &str) -> Vec<&'v str> {
    let items = list.as_array().into_iter().flatten();
    items.map(|item| item[member].as_str().unwrap_or_default()).collect()
}

/// The statuses of many GETs, strictly handled, in the order of their URLs.
async fn statuses(service: &Service, urls: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for part in urls.chunks(1000) {
        let entries: Vec<Value> = part
            .iter()
            .map(|url| json!({"request": {"method": "GET", "url": url}}))
            .collect();
        let bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": entries}).to_string();
        let answer = service
            .send(Method::POST, "", &[("prefer", "handling=strict")], Some(&bundle))
            .await;
        assert_eq!(answer.status, 200);
        let entries = answer.body["entry"].as_array().cloned().unwrap_or_default();
        found.extend(
            entries
                .iter()
                .map(|entry| entry["response"]["status"].as_str().unwrap_or_default().to_owned()),
        );
    }
    assert_eq!(found.len(), urls.len());
    found
}

async fn assert_all(service: &Service, urls: &[String], expected: &str) {
    let statuses = statuses(service, urls).await;
    let wrong: Vec<_> = urls
        .iter()
        .zip(&statuses)
        .filter(|(_, status)| *status != expected)
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {} aren't {expected}: {:?}",
        wrong.len(),
        urls.len(),
        wrong.iter().take(20).collect::<Vec<_>>()
    );
}

/// A value that a parameter of this type can be asked for.
fn value_of(kind: &str) -> &'static str {
    match kind {
        "number" | "quantity" => "1",
        "date" => "2020-01-01",
        "reference" => "Patient/a",
        "uri" => "http://example.org",
        _ => "a",
    }
}

#[rstest]
#[tokio::test]
async fn every_parameter_and_include_answers(#[values(FhirVersion::R4, FhirVersion::Stu3)] version: FhirVersion) {
    let service = Service::anonymous(version).await;
    let statement = service.get("metadata").await.body;
    let rest = &statement["rest"][0];
    let (mut searches, mut includes, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for resource in rest["resource"].as_array().expect("resources") {
        let of = resource["type"].as_str().expect("type");
        for parameter in resource["searchParam"].as_array().expect("parameters") {
            let (name, kind) = (
                parameter["name"].as_str().expect("name"),
                parameter["type"].as_str().expect("type"),
            );
            assert!(
                parameter["definition"]
                    .as_str()
                    .is_some_and(|url| url.starts_with("http")),
                "{of} {name}"
            );
            // composites have parts, and special ones (`near`, which STU3 calls a token) forms of their own
            if !matches!(kind, "composite" | "special") && !name.starts_with("near") {
                searches.push(format!("{of}?_count=1&{name}={}", value_of(kind)));
            }
        }
        for (member, parameter) in [("searchInclude", "_include"), ("searchRevInclude", "_revinclude")] {
            for value in resource[member].as_array().into_iter().flatten() {
                includes.push(format!("{of}?_count=1&{parameter}={}", value.as_str().expect("text")));
            }
        }
        unknown.push(format!("{of}?not-listed=1"));
    }
    assert!(
        searches.len() > 1000 && includes.len() > 1000,
        "{} {}",
        searches.len(),
        includes.len()
    );
    assert_all(&service, &searches, "200").await;
    assert_all(&service, &includes, "200").await;
    assert_all(&service, &unknown, "400").await;
}

#[rstest]
#[tokio::test]
async fn every_interaction_answers(#[values(FhirVersion::R4, FhirVersion::Stu3)] version: FhirVersion) {
    let service = Service::anonymous(version).await;
    let statement = service.get("metadata").await.body;
    let rest = &statement["rest"][0];
    let system = texts(&rest["interaction"], "code");
    assert_eq!(system, ["batch", "transaction", "history-system", "search-system"]);
    assert_all(&service, &["_history".to_owned(), "?_type=Patient".to_owned()], "200").await;
    for resource in rest["resource"].as_array().expect("resources") {
        let of = resource["type"].as_str().expect("type");
        let body = format!("{{\"resourceType\":\"{of}\",\"id\":\"listed\",\"not\":1}}");
        for code in texts(&resource["interaction"], "code") {
            let (method, path, expected) = match code {
                "read" => (Method::GET, format!("{of}/a"), 404),
                "vread" => (Method::GET, format!("{of}/a/_history/1"), 404),
                "history-instance" => (Method::GET, format!("{of}/a/_history"), 404),
                "history-type" => (Method::GET, format!("{of}/_history"), 200),
                "search-type" => (Method::GET, of.to_owned(), 200),
                "update" => (Method::PUT, format!("{of}/listed"), 400),
                "create" => (Method::POST, of.to_owned(), 400),
                "patch" => (Method::PATCH, format!("{of}/a"), 404),
                "delete" => (Method::DELETE, format!("{of}/a"), 204),
                other => panic!("{other}"),
            };
            let (content_type, body) = match method {
                Method::PATCH => ("application/json-patch+json", Some("[]")),
                Method::PUT | Method::POST => ("application/fhir+json", Some(body.as_str())),
                _ => ("application/fhir+json", None),
            };
            let answer = service
                .send(method, &path, &[("content-type", content_type)], body)
                .await;
            assert_eq!(answer.status, expected, "{code} {path}: {}", answer.body);
            // it is the resource that isn't there or isn't right, not the interaction
            assert!(
                !matches!(answer.text("/issue/0/code"), "not-supported"),
                "{code} {path}: {}",
                answer.body
            );
        }
    }
    assert_eq!(service.get("Clinic/a").await.status, 404);
}

#[rstest]
#[tokio::test]
async fn every_operation_answers_and_no_other(#[values(FhirVersion::R4, FhirVersion::Stu3)] version: FhirVersion) {
    let service = Service::anonymous(version).await;
    let statement = service.get("metadata").await.body;
    let listed = texts(&statement["rest"][0]["operation"], "name");
    let document = service.get("openapi.json").await.body;
    let mut routed = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        let Some((_, code)) = path.split_once('$').filter(|(_, code)| *code != "versions") else {
            continue;
        };
        routed.push(code);
        assert!(listed.contains(&code), "{path}");
        for method in item.as_object().expect("methods").keys() {
            let method: Method = method.to_uppercase().parse().expect("method");
            let path = path.replace("{type}", "Patient").replace("{id}", "a");
            let answer = service.send(method, &path[1..], &[], None).await;
            assert_ne!(answer.status, 405, "{path}");
            assert_ne!(
                answer.text("/issue/0/diagnostics"),
                "The requested route was not found.",
                "{path}"
            );
        }
    }
    assert!(listed.iter().all(|code| routed.contains(code)), "{listed:?} {routed:?}");
    for code in [
        "apply",
        "graphql",
        "convert",
        "document",
        "process-message",
        "find-matches",
    ] {
        assert!(!listed.contains(&code), "{code}");
        for path in [
            format!("${code}"),
            format!("Patient/${code}"),
            format!("Patient/a/${code}"),
        ] {
            let answer = service.get(&path).await;
            assert_eq!(
                (answer.status.as_u16(), answer.text("/issue/0/code")),
                (404, "not-found"),
                "{path}"
            );
        }
    }
}

/// The statements are valid resources of their version.
#[rstest]
#[case(FhirVersion::R4, "metadata")]
#[case(FhirVersion::R4, "metadata?mode=terminology")]
#[case(FhirVersion::Stu3, "metadata")]
#[tokio::test]
async fn statements_are_valid(#[case] version: FhirVersion, #[case] path: &str) {
    let service = Service::anonymous(version).await;
    let statement = service.get(path).await;
    assert_eq!(statement.status, 200);
    let created = service
        .post(statement.text("/resourceType"), &statement.body.to_string())
        .await;
    assert_eq!(created.status, 201, "{}", created.body);
    let xml = service
        .exchange(Method::GET, path, &[("accept", "application/fhir+xml")], None)
        .await;
    assert_eq!(
        (xml.status.as_u16(), xml.header("content-type")),
        (200, "application/fhir+xml; charset=utf-8")
    );
}

#[tokio::test]
async fn modes() {
    let stu3 = Service::anonymous(FhirVersion::Stu3).await;
    assert_eq!(stu3.get("metadata?mode=terminology").await.status, 400);
    let r4 = Service::anonymous(FhirVersion::R4).await;
    assert_eq!(r4.get("metadata?mode=nothing").await.status, 400);
    let statement = r4.get("metadata?mode=full").await.body;
    assert_eq!(
        statement["patchFormat"],
        json!([
            "application/json-patch+json",
            "application/fhir+json",
            "application/fhir+xml"
        ])
    );
    assert_eq!(
        statement["format"],
        json!(["application/fhir+json", "json", "application/fhir+xml", "xml"])
    );
    let terminology = r4.get("metadata?mode=terminology").await.body;
    let known = texts(&terminology["codeSystem"], "uri");
    assert!(
        known.contains(&"http://hl7.org/fhir/administrative-gender"),
        "{} systems",
        known.len()
    );
}

#[rstest]
#[case::r4(FhirVersion::R4, "/rest/0/resource", "supportedProfile")]
#[case::stu3(FhirVersion::Stu3, "", "profile")]
#[tokio::test]
async fn stored_profiles_are_named(#[case] version: FhirVersion, #[case] place: &str, #[case] member: &str) {
    let service = Service::anonymous(version).await;
    let named = async || {
        let statement = service.get("metadata").await.body;
        let holder = statement.pointer(place).unwrap();
        let holder = match holder.as_array() {
            Some(types) => types.iter().find(|of| of["type"] == "Patient").unwrap(),
            None => holder,
        };
        holder[member].clone()
    };
    assert_eq!(named().await, Value::Null);
    let url = "http://example.org/StructureDefinition/our-patient";
    let profile = json!({
        "resourceType": "StructureDefinition", "url": url, "name": "OurPatient", "status": "active", "kind": "resource",
        "abstract": false, "type": "Patient", "derivation": "constraint",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "differential": {"element": [{"id": "Patient", "path": "Patient"}]},
    });
    let posted = service.post("StructureDefinition", &profile.to_string()).await;
    assert_eq!(posted.status, 201, "{}", posted.body);
    let expected = match version {
        FhirVersion::R4 => json!([url]),
        FhirVersion::Stu3 => json!([{"reference": url}]),
    };
    assert_eq!(named().await, expected);
    assert_eq!(named().await, expected, "and again, of what is known");

    let id = posted.body["id"].as_str().unwrap();
    let moved = profile.to_string().replace("our-patient", "their-patient");
    let moved = moved.replacen('{', &format!("{{\"id\": \"{id}\", "), 1);
    let path = format!("StructureDefinition/{id}");
    assert_eq!(service.put(&path, &moved).await.status, 200);
    let expected: Value = serde_json::from_str(&expected.to_string().replace("our-patient", "their-patient")).unwrap();
    assert_eq!(named().await, expected);

    // without a trace in the history, where something else was changed last
    let other = profile
        .to_string()
        .replace("Patient", "Device")
        .replace("our-patient", "our-device");
    assert_eq!(service.post("StructureDefinition", &other).await.status, 201);
    assert!(named().await.to_string().contains("their-patient"));
    assert_eq!(service.delete(&format!("{path}?hardDelete=true")).await.status, 204);
    assert!(!named().await.to_string().contains("their-patient"));
}

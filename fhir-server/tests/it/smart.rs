//! SMART apps over HTTP: what scopes grant, and that nothing else is there for them.

use fhir_server_settings::{FhirVersion, Role, Settings, Smart};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::service::{Answer, Service};
use crate::tokens::{Signer, access};

/// A clinic with two patients, and tokens for its apps.
struct Clinic {
    service: Service,
    signer: Signer,
    _folder: TempDir,
}

const RECORDS: &[(&str, &str)] = &[
    (
        "Organization/o",
        r#"{"resourceType":"Organization","id":"o","name":"Clinic"}"#,
    ),
    ("Practitioner/d", r#"{"resourceType":"Practitioner","id":"d"}"#),
    (
        "Patient/a",
        r#"{"resourceType":"Patient","id":"a","name":[{"family":"A"}],"managingOrganization":{"reference":"Organization/o"}}"#,
    ),
    (
        "Patient/b",
        r#"{"resourceType":"Patient","id":"b","name":[{"family":"B"}]}"#,
    ),
    (
        "Observation/a1",
        r#"{"resourceType":"Observation","id":"a1","status":"final","category":[{"coding":[{"code":"laboratory"}]}],"code":{"text":"x"},"subject":{"reference":"Patient/a"},"performer":[{"reference":"Practitioner/d"}]}"#,
    ),
    (
        "Observation/a2",
        r#"{"resourceType":"Observation","id":"a2","status":"final","category":[{"coding":[{"code":"vital-signs"}]}],"code":{"text":"x"},"subject":{"reference":"Patient/a"}}"#,
    ),
    (
        "Observation/b1",
        r#"{"resourceType":"Observation","id":"b1","status":"final","category":[{"coding":[{"code":"laboratory"}]}],"code":{"text":"x"},"subject":{"reference":"Patient/b"}}"#,
    ),
    (
        "ValueSet/v",
        r#"{"resourceType":"ValueSet","id":"v","status":"active"}"#,
    ),
];

impl Clinic {
    async fn new(smart: bool) -> Self {
        let (signer, folder) = (Signer::new(), TempDir::new().expect("folder"));
        let keys = folder.path().join("jwks.json");
        signer.publish(&keys);
        let roles = [
            ("app", Role::SmartUser),
            ("reader", Role::SmartUser),
            ("reader", Role::Reader),
            ("admin", Role::Contributor),
        ];
        let service = Service::start(Settings {
            fhir_version: Some(FhirVersion::R4),
            access: Some(access(&keys, &roles)),
            smart: Smart {
                enabled: smart,
                authorization_endpoint: Some("https://idp.example.org/authorize".to_owned()),
                token_endpoint: Some("https://idp.example.org/token".to_owned()),
            },
            ..Settings::default()
        })
        .await;
        let clinic = Self {
            service,
            signer,
            _folder: folder,
        };
        let admin = clinic.signer.bearer("admin", &json!({}));
        for (path, body) in RECORDS {
            assert_eq!(clinic.send(&admin, "PUT", path, body).await.status, 201, "{path}");
        }
        clinic
    }

    async fn send(&self, bearer: &str, method: &str, path: &str, body: &str) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let body = (!body.is_empty()).then_some(body);
        self.service
            .send(method, path, &[("authorization", bearer)], body)
            .await
    }

    /// What an app with these scopes, used by patient a, is answered.
    async fn app(&self, scope: &str, method: &str, path: &str, body: &str) -> Answer {
        let bearer = self.bearer("app", scope, "Patient/a");
        self.send(&bearer, method, path, body).await
    }

    fn bearer(&self, subject: &str, scope: &str, user: &str) -> String {
        self.signer.bearer(subject, &json!({"scope": scope, "fhirUser": user}))
    }
}

/// Scope, method, path, body; status, and the ids in the answer to a GET.
type Case<'a> = (&'a str, &'a str, &'a str, &'a str, u16, &'a [&'a str]);

/// The ids of a bundle's entries.
fn ids(answer: &Answer) -> Vec<String> {
    let entries = answer.body["entry"].as_array().cloned().unwrap_or_default();
    let resources = entries.iter().map(|entry| &entry["resource"]);
    let mut ids: Vec<_> = resources
        .filter(|resource| resource["resourceType"] != "OperationOutcome")
        .map(|resource| resource["id"].as_str().unwrap_or_default().to_owned())
        .collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn scopes_grant_what_they_say() {
    let clinic = Clinic::new(true).await;
    let lab = "patient/Observation.rs?category=laboratory";
    let observation = RECORDS[4].1;
    let of_b = RECORDS[6].1;
    let table: &[Case] = &[
        ("patient/*.rs", "GET", "Patient", "", 200, &["a"]),
        ("patient/*.rs", "GET", "Observation", "", 200, &["a1", "a2"]),
        (
            "patient/*.read",
            "GET",
            "Observation?_summary=false",
            "",
            200,
            &["a1", "a2"],
        ),
        ("patient/*.rs", "GET", "Organization", "", 200, &["o"]),
        ("patient/*.rs", "GET", "ValueSet", "", 403, &[]),
        (
            "patient/*.rs",
            "GET",
            "?_type=Patient,Observation",
            "",
            200,
            &["a", "a1", "a2"],
        ),
        ("patient/*.rs", "GET", "", "", 200, &["a", "a1", "a2", "d", "o"]),
        ("system/*.rs", "GET", "Observation", "", 200, &["a1", "a2", "b1"]),
        (lab, "GET", "Observation", "", 200, &["a1"]),
        (
            "patient/Observation.rs?category=laboratory patient/Observation.rs?category=vital-signs",
            "GET",
            "Observation",
            "",
            200,
            &["a1", "a2"],
        ),
        (lab, "GET", "Observation/a1", "", 200, &[]),
        (lab, "GET", "Observation/a2", "", 404, &[]),
        (lab, "GET", "Observation/a2/_history/1", "", 404, &[]),
        (lab, "GET", "Observation/b1", "", 404, &[]),
        (lab, "GET", "Patient/a", "", 403, &[]),
        ("patient/*.rs", "GET", "Patient/b", "", 404, &[]),
        ("patient/*.rs", "GET", "Patient/b/_history", "", 404, &[]),
        ("patient/*.rs", "GET", "Patient/b/Observation", "", 200, &[]),
        ("patient/*.rs", "GET", "Patient/a/Observation", "", 200, &["a1", "a2"]),
        ("patient/*.rs", "GET", "Patient/b/$everything", "", 200, &[]),
        (
            "patient/*.rs",
            "GET",
            "Patient/a/$everything?_type=Observation,Patient",
            "",
            200,
            &["a", "a1", "a2"],
        ),
        ("patient/*.rs", "GET", "_history", "", 200, &["a", "a1", "a2", "d", "o"]),
        (
            "patient/*.rs",
            "GET",
            "Practitioner?_revinclude=Observation:performer",
            "",
            200,
            &["a1", "d"],
        ),
        (lab, "GET", "Observation?_include=Observation:subject", "", 200, &["a1"]),
        (
            "patient/*.rs",
            "GET",
            "Observation?_include=Observation:subject",
            "",
            200,
            &["a", "a1", "a2"],
        ),
        (lab, "GET", "Observation?subject:Patient.family=A", "", 200, &[]),
        (
            "patient/*.rs",
            "GET",
            "Observation?subject:Patient.family=A",
            "",
            200,
            &["a1", "a2"],
        ),
        (
            "patient/*.rs",
            "GET",
            "Observation?subject:Patient.family=B",
            "",
            200,
            &[],
        ),
        (
            "patient/*.rs",
            "GET",
            "Patient?_has:Observation:subject:status=final",
            "",
            200,
            &["a"],
        ),
        ("patient/Observation.r", "GET", "Observation/a1", "", 200, &[]),
        ("patient/Observation.r", "GET", "Observation", "", 403, &[]),
        ("patient/Observation.s", "GET", "Observation/a1", "", 403, &[]),
        ("patient/*.read", "PUT", "Observation/a1", observation, 403, &[]),
        ("patient/*.write", "PUT", "Observation/a1", observation, 200, &[]),
        ("patient/*.write", "PUT", "Observation/b1", of_b, 404, &[]),
        (
            "patient/*.write",
            "PUT",
            "Observation/nobody",
            &of_b.replace("b1", "nobody"),
            404,
            &[],
        ),
        (
            "patient/*.write",
            "PUT",
            "Observation/a1",
            &of_b.replace("b1", "a1"),
            403,
            &[],
        ),
        ("patient/*.write", "POST", "Observation", of_b, 403, &[]),
        ("patient/*.write", "POST", "Observation", observation, 201, &[]),
        ("patient/*.write", "PUT", "Organization/o", RECORDS[0].1, 403, &[]),
        ("patient/Observation.u", "POST", "Observation", observation, 403, &[]),
        ("patient/Observation.d", "DELETE", "Observation/b1", "", 204, &[]),
        (
            "system/Observation.cruds",
            "DELETE",
            "Observation/b1?_hardDelete=true",
            "",
            403,
            &[],
        ),
        ("system/Observation.rs", "GET", "Observation/b1", "", 200, &[]),
        ("openid", "GET", "Patient", "", 403, &[]),
        ("patient/Observation.sr", "GET", "Observation", "", 400, &[]),
    ];
    let mut wrong = Vec::new();
    for (scope, method, path, body, status, expected) in table {
        let answer = clinic.app(scope, method, path, body).await;
        let found = ids(&answer);
        if answer.status != *status || (*method == "GET" && found != *expected) {
            wrong.push(format!("{scope}: {method} {path}: {} {found:?}", answer.status));
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[tokio::test]
async fn a_user_is_kept_to_their_compartment_and_roles() {
    let clinic = Clinic::new(true).await;
    let doctor = clinic.bearer("app", "user/*.cruds", "Practitioner/d");
    let found = clinic.send(&doctor, "GET", "Observation", "").await;
    assert_eq!(ids(&found), ["a1"]);
    assert_eq!(clinic.send(&doctor, "GET", "Patient/a", "").await.status, 404);
    // a role beside SmartUser is the upper bound
    let reader = clinic.bearer("reader", "user/*.cruds", "Patient/a");
    assert_eq!(ids(&clinic.send(&reader, "GET", "Observation", "").await), ["a1", "a2"]);
    let refused = clinic.send(&reader, "PUT", "Observation/a1", RECORDS[4].1).await;
    assert_eq!(refused.status, 403);
}

#[tokio::test]
async fn old_versions_are_seen_if_they_would_be_by_themselves() {
    let clinic = Clinic::new(true).await;
    let admin = clinic.signer.bearer("admin", &json!({}));
    let moved = RECORDS[6].1.replace("Patient/b", "Patient/a");
    clinic.send(&admin, "PUT", "Observation/b1", &moved).await;
    let versions = async |scope: &str| {
        let answer = clinic.app(scope, "GET", "Observation/b1/_history", "").await;
        let entries = answer.body["entry"].as_array().cloned().unwrap_or_default();
        let versions = entries
            .iter()
            .map(|entry| entry["resource"]["meta"]["versionId"].clone());
        versions.collect::<Vec<Value>>()
    };
    assert_eq!(versions("patient/*.rs").await, ["2"]);
    assert_eq!(versions("system/*.rs").await, ["2", "1"]);
    let status = async |version: &str| {
        let path = format!("Observation/b1/_history/{version}");
        clinic.app("patient/*.rs", "GET", &path, "").await.status.as_u16()
    };
    assert_eq!((status("1").await, status("2").await), (404, 200));
}

#[tokio::test]
async fn without_the_setting_scopes_grant_nothing() {
    let clinic = Clinic::new(false).await;
    assert_eq!(clinic.app("system/*.rs", "GET", "Patient", "").await.status, 403);
    let reader = clinic.bearer("reader", "patient/Observation.rs", "Patient/a");
    assert_eq!(ids(&clinic.send(&reader, "GET", "Patient", "").await), ["a", "b"]);
}

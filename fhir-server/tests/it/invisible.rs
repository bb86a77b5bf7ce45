//! Nothing that is answered depends on what the caller doesn't see: the same requests are made where hidden resources
//! are there, and where there are none, and the answers are the same but for what every service has of its own (times,
//! ids that it gives, places of pages).
//!
//! `LONG_TESTS=1` tries up to a hundred times as many worlds.

use fhir_server_settings::{FhirVersion, Role, Settings, Smart};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::service::{Answer, Service};
use crate::tokens::{Signer, access};

/// A resource of the world, and whether who asks sees it.
#[derive(Debug, Clone)]
struct Thing {
    kind: Kind,
    /// Of patient a, who sees it; of b otherwise.
    own: bool,
    laboratory: bool,
    code: u8,
    deleted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Observation,
    Condition,
    List,
    ValueSet,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
enum Who {
    /// An app with `patient/*`.
    Patient,
    /// An app with `patient/Observation?category=…`.
    Laboratory,
    /// The role of connectors, which knows types only.
    Connector,
}

impl Who {
    /// A deleted thing is in no compartment, so that only who sees all of its type sees that it was there.
    fn sees(self, thing: &Thing) -> bool {
        if thing.deleted && !matches!(self, Self::Connector) {
            return false;
        }
        match (self, thing.kind) {
            (_, Kind::ValueSet) => false,
            (Self::Patient, _) => thing.own,
            (Self::Laboratory, Kind::Observation) => thing.own && thing.laboratory,
            (Self::Connector, Kind::Observation) => true,
            (Self::Laboratory | Self::Connector, _) => false,
        }
    }

    fn scope(self) -> &'static str {
        match self {
            Self::Patient => "patient/*.cruds",
            Self::Laboratory => "patient/Observation.cruds?category=laboratory patient/Patient.rs",
            Self::Connector => "",
        }
    }

    fn subject(self) -> &'static str {
        match self {
            Self::Patient | Self::Laboratory => "app",
            Self::Connector => "connector",
        }
    }
}

impl Thing {
    fn name(&self, index: usize) -> String {
        let of = match self.kind {
            Kind::Observation => "Observation",
            Kind::Condition => "Condition",
            Kind::List => "List",
            Kind::ValueSet => "ValueSet",
        };
        format!("{of}/t{index}")
    }

    fn body(&self, index: usize) -> Value {
        let patient = if self.own { "Patient/a" } else { "Patient/b" };
        let category = if self.laboratory { "laboratory" } else { "vital-signs" };
        let code = json!({"coding": [{"system": "http://loinc.org", "code": format!("c{}", self.code)}]});
        let id = format!("t{index}");
        match self.kind {
            Kind::Observation => json!({
                "resourceType": "Observation", "id": id, "status": "final", "code": code,
                "identifier": [{"system": "urn:x", "value": format!("i{}", self.code)}],
                "category": [{"coding": [{"code": category}]}], "subject": {"reference": patient},
                "performer": [{"reference": "Practitioner/d"}], "effectiveDateTime": format!("2024-01-0{}", 1 + self.code % 9),
                "hasMember": [{"reference": format!("Observation/t{}", index.wrapping_sub(1))}],
            }),
            Kind::Condition => json!({
                "resourceType": "Condition", "id": id, "code": code, "subject": {"reference": patient},
                "evidence": [{"detail": [{"reference": format!("Observation/t{}", index.wrapping_sub(1))}]}],
            }),
            Kind::List => json!({
                "resourceType": "List", "id": id, "status": "current", "mode": "working", "subject": {"reference": patient},
                "entry": [{"item": {"reference": format!("Observation/t{}", index.wrapping_sub(1))}}],
            }),
            Kind::ValueSet => json!({
                "resourceType": "ValueSet", "id": id, "status": "active", "url": format!("http://example.org/vs{}", self.code),
                "compose": {"include": [{"system": "http://loinc.org", "concept": [{"code": format!("c{}", self.code)}]}]},
            }),
        }
    }
}

/// Codes and identifiers that things have.
const CODES: u8 = 3;

fn thing() -> impl Strategy<Value = Thing> {
    let kind = prop_oneof![
        4 => Just(Kind::Observation),
        2 => Just(Kind::Condition),
        1 => Just(Kind::List),
        1 => Just(Kind::ValueSet),
    ];
    (kind, any::<bool>(), any::<bool>(), 0..CODES, prop::bool::weighted(0.15)).prop_map(
        |(kind, own, laboratory, code, deleted)| Thing {
            kind,
            own,
            laboratory,
            code,
            deleted,
        },
    )
}

/// A request: method, path, a header or the kind of a bundle, body. `N` stands for a number of a thing.
type Request = (&'static str, &'static str, &'static str, &'static str);

const OBSERVATION: &str = r#"{"resourceType":"Observation","id":"tN","status":"final","code":{"text":"new"},"identifier":[{"system":"urn:x","value":"iN"}],"category":[{"coding":[{"code":"laboratory"}]}],"subject":{"reference":"Patient/a"}}"#;
const REFERRING: &str = r#"{"resourceType":"Observation","status":"final","code":{"text":"new"},"category":[{"coding":[{"code":"laboratory"}]}],"subject":{"reference":"Patient/a"},"hasMember":[{"reference":"Observation?identifier=urn:x|iN"}]}"#;
const PATCH: &str = r#"{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"replace"},{"name":"path","valueString":"Observation.status"},{"name":"value","valueCode":"amended"}]}]}"#;
const BUNDLE: &str = r#"{"resourceType":"Bundle","type":"KIND","entry":[
    {"request":{"method":"GET","url":"Observation/tN"}},
    {"request":{"method":"DELETE","url":"Observation?identifier=urn:x|iN"}},
    {"resource":{"resourceType":"Observation","status":"final","code":{"text":"new"},"category":[{"coding":[{"code":"laboratory"}]}],"subject":{"reference":"Patient/a"}},"request":{"method":"POST","url":"Observation","ifNoneExist":"code=cN"}}]}"#;

const REQUESTS: &[Request] = &[
    ("GET", "Observation?_total=accurate&_count=2", "", ""),
    ("GET", "Observation?code=cN&_sort=-date&_total=accurate", "", ""),
    ("GET", "Observation?_summary=count", "", ""),
    ("GET", "$meta", "", ""),
    ("GET", "Observation/$meta", "", ""),
    ("GET", "Observation?_include=*&_revinclude=*&_total=estimate", "", ""),
    (
        "GET",
        "Observation?_include:iterate=Observation:has-member&_revinclude:iterate=Observation:has-member:Observation",
        "",
        "",
    ),
    (
        "GET",
        "Observation?_revinclude=Condition:evidence-detail&_revinclude=List:item",
        "",
        "",
    ),
    ("GET", "Observation?has-member.code=cN", "", ""),
    ("GET", "Observation?has-member.has-member.code=cN", "", ""),
    ("GET", "Observation?_has:Observation:has-member:code=cN", "", ""),
    ("GET", "Observation?_has:List:item:status=current", "", ""),
    ("GET", "Observation?_not-referenced=Condition:evidence-detail", "", ""),
    ("GET", "Observation?_not-referenced=*:*", "", ""),
    ("GET", "Observation?_list=tN", "", ""),
    ("GET", "Observation?_filter=has-member.code eq cN", "", ""),
    ("GET", "Observation?subject.name=b", "", ""),
    ("GET", "Observation?patient=b", "", ""),
    ("GET", "Observation?code:in=http://example.org/vsN", "", ""),
    (
        "GET",
        "Patient?_has:Observation:patient:code=cN&_total=accurate",
        "",
        "",
    ),
    ("GET", "Patient?_has:Condition:patient:code=cN", "", ""),
    ("GET", "Patient", "", ""),
    ("GET", "Practitioner?_revinclude=Observation:performer", "", ""),
    ("GET", "Condition?evidence-detail:Observation.code=cN", "", ""),
    (
        "GET",
        "?_type=Observation,Condition,List,Patient&_total=accurate",
        "",
        "",
    ),
    ("GET", "?_count=100", "", ""),
    ("GET", "Patient/a/*", "", ""),
    ("GET", "Patient/b/*", "", ""),
    ("GET", "Patient/b/Observation?_total=accurate", "", ""),
    ("GET", "Patient/a/$everything", "", ""),
    ("GET", "Patient/b/$everything", "", ""),
    (
        "GET",
        "Patient/a/$everything?start=2024-01-02&_type=Observation,Condition",
        "",
        "",
    ),
    ("GET", "_history?_count=3", "", ""),
    ("GET", "Observation/_history", "", ""),
    ("GET", "Observation/tN", "", ""),
    ("GET", "Observation/tN/_history", "", ""),
    ("GET", "Observation/tN/_history/1", "", ""),
    ("GET", "Observation/tN/_history/2", "", ""),
    ("GET", "Observation/tN/$validate", "", ""),
    ("GET", "Patient/b", "", ""),
    ("GET", "Patient/b/_history", "", ""),
    ("GET", "ValueSet/tN", "", ""),
    ("GET", "ValueSet/$expand?url=http://example.org/vsN", "", ""),
    ("PUT", "Observation/tN", "", OBSERVATION),
    ("PUT", "Observation/tN", "IF-MATCH", OBSERVATION),
    ("PATCH", "Observation/tN", "", PATCH),
    ("DELETE", "Observation/tN", "", ""),
    ("DELETE", "Observation/tN", "IF-MATCH", ""),
    ("PUT", "Observation?identifier=urn:x|iN", "", OBSERVATION),
    ("PATCH", "Observation?identifier=urn:x|iN", "", PATCH),
    ("DELETE", "Observation?identifier=urn:x|iN&_count=3", "", ""),
    ("POST", "Observation", "IF-NONE-EXIST", OBSERVATION),
    ("POST", "Observation", "", REFERRING),
    ("POST", "", "batch", BUNDLE),
    ("POST", "", "transaction", BUNDLE),
];

/// A service with the things that somebody sees, or with all of them.
async fn service(signer: &Signer, folder: &TempDir, things: &[Thing], only: Option<Who>) -> Service {
    let keys = folder.path().join("jwks.json");
    signer.publish(&keys);
    let roles = [
        ("app", Role::SmartUser),
        ("connector", Role::Connector),
        ("admin", Role::Contributor),
    ];
    let service = Service::start(Settings {
        fhir_version: Some(FhirVersion::R4),
        base_url: Some("https://clinic.example.org".to_owned()),
        access: Some(access(&keys, &roles)),
        smart: Smart {
            enabled: true,
            ..Smart::default()
        },
        ..Settings::default()
    })
    .await;
    let admin = signer.bearer("admin", &json!({}));
    let put = async |name: &str, body: &Value| {
        let headers = [("authorization", admin.as_str())];
        let body = body.to_string();
        let answer = service.send(Method::PUT, name, &headers, Some(&body)).await;
        assert!(answer.status.is_success(), "{name}: {}", answer.body);
    };
    put("Practitioner/d", &json!({"resourceType": "Practitioner", "id": "d"})).await;
    put(
        "Patient/a",
        &json!({"resourceType": "Patient", "id": "a", "name": [{"family": "a"}]}),
    )
    .await;
    if only.is_none_or(|who| matches!(who, Who::Connector)) {
        let link = json!([{"other": {"reference": "Patient/a"}, "type": "seealso"}]);
        put(
            "Patient/b",
            &json!({"resourceType": "Patient", "id": "b", "name": [{"family": "b"}], "link": link}),
        )
        .await;
    }
    let kept = |thing: &Thing| only.is_none_or(|who| who.sees(thing));
    for (index, thing) in things.iter().enumerate().filter(|(_, thing)| kept(thing)) {
        put(&thing.name(index), &thing.body(index)).await;
        if thing.deleted {
            let headers = [("authorization", admin.as_str())];
            service.send(Method::DELETE, &thing.name(index), &headers, None).await;
        }
    }
    service
}

async fn ask(service: &Service, bearer: &str, (method, path, option, body): Request, number: u8) -> Answer {
    let filled = |text: &str| {
        let (things, codes) = (["/t", "=t", "\"t"], ["|i", "\"i", "=c", " c", "/vs"]);
        let things = things.iter().map(|letter| (letter, number));
        let numbers = things.chain(codes.iter().map(|letter| (letter, number % CODES)));
        numbers.fold(text.to_owned(), |text, (letter, number)| {
            text.replace(&format!("{letter}N"), &format!("{letter}{number}"))
        })
    };
    let (path, body) = (filled(path), filled(body).replace("KIND", option));
    let mut headers = vec![("authorization", bearer)];
    let criteria = filled("identifier=urn:x|iN");
    match option {
        "IF-MATCH" => headers.push(("if-match", "W/\"1\"")),
        "IF-NONE-EXIST" => headers.push(("if-none-exist", &criteria)),
        _ => {}
    }
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    service
        .send(method, &path, &headers, (!body.is_empty()).then_some(&body))
        .await
}

/// What an answer says, without what every service has of its own.
fn said(answer: &Answer) -> Value {
    let header = |name: &str| plain(answer.header(name));
    let mut body = answer.body.clone();
    settle(&mut body);
    json!({
        "status": answer.status.as_u16(), "etag": header("etag"), "location": header("location"),
        "deleted": header("items-deleted"), "body": body,
    })
}

fn settle(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                if matches!(name.as_str(), "lastUpdated" | "lastModified") {
                    *value = Value::Null;
                }
                settle(value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(settle),
        Value::String(text) => *text = plain(text),
        _ => {}
    }
}

/// Without ids that the service gave, and without the place where a page begins.
fn plain(text: &str) -> String {
    let text = match text.split_once("ct=") {
        Some((before, after)) => {
            let after = after.split_once('&').map_or("", |(_, after)| after);
            format!("{before}ct={after}")
        }
        None => text.to_owned(),
    };
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(first) = rest.chars().next() {
        if rest.get(..36).is_some_and(is_uuid) {
            plain.push_str("UUID");
            rest = &rest[36..];
        } else {
            plain.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    plain
}

fn is_uuid(text: &str) -> bool {
    text.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

/// Rounds of a long run, each of a few worlds.
const ROUNDS: u32 = 100;

#[test]
fn no_answer_depends_on_what_is_not_seen() {
    let config = Config {
        cases: 6,
        failure_persistence: None,
        max_shrink_iters: 40,
        ..Config::default()
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let world = prop::collection::vec(thing(), 4..14);
    let who = prop_oneof![3 => Just(Who::Patient), 2 => Just(Who::Laboratory), 1 => Just(Who::Connector)];
    let requests = prop::collection::vec((0..REQUESTS.len(), 0..14u8), 40..90);
    let signer = Signer::new();
    let input = (world, who, requests);
    for _ in test_length::rounds("what is hidden", 1, ROUNDS) {
        let result = TestRunner::new(config.clone()).run(&input, |(things, who, requests)| {
            runtime.block_on(async {
                let folder = TempDir::new().expect("folder");
                let without = service(&signer, &folder, &things, Some(who)).await;
                let with = service(&signer, &folder, &things, None).await;
                let mut differs = None;
                let bearer = signer.bearer(who.subject(), &json!({"scope": who.scope(), "fhirUser": "Patient/a"}));
                for (index, number) in requests {
                    let request = REQUESTS[index];
                    let expected = said(&ask(&without, &bearer, request, number).await);
                    let found = said(&ask(&with, &bearer, request, number).await);
                    if expected != found {
                        let text =
                            format!("{who:?} {request:?} {number}:\n{expected:#}\nis with what is hidden\n{found:#}");
                        differs = Some(text);
                        break;
                    }
                }
                without.close().await;
                with.close().await;
                differs.map_or(Ok(()), |text| Err(TestCaseError::fail(text)))
            })
        });
        match result {
            Ok(()) => {}
            Err(TestError::Fail(reason, (things, ..))) => panic!("{reason}\nin {things:?}"),
            Err(error) => panic!("{error}"),
        }
    }
}

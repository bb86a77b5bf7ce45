//! What each search finds, as a table; paging; a property against a naive evaluation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fhir_storage::{Cursor, Effort};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use crate::fixture::{Engine, Fixture};

fn data() -> Vec<Value> {
    vec![
        json!({"resourceType": "Patient", "id": "p1", "active": true, "gender": "female", "birthDate": "1980-05-11",
            "meta": {"tag": [{"system": "http://t", "code": "x"}], "profile": ["http://profiles/a|1"]},
            "identifier": [{"system": "http://mrn", "value": "A,1"}], "telecom": [{"system": "phone", "value": "555"}],
            "name": [{"family": "Müller", "given": ["Ann", "Bea"]}], "generalPractitioner": [{"reference": "Practitioner/d1"}]}),
        json!({"resourceType": "Patient", "id": "p2", "gender": "male", "birthDate": "1980-06",
            "name": [{"family": "Muller-Smith"}], "managingOrganization": {"reference": "http://own.example/fhir/Organization/o1/_history/3"}}),
        json!({"resourceType": "Observation", "id": "o1", "status": "final", "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}, {"code": "hr"}]},
            "subject": {"reference": "Patient/p1"}, "effectiveDateTime": "2020-01-01T10:00:00Z",
            "valueQuantity": {"value": 5.00, "unit": "beats", "system": "http://unitsofmeasure.org", "code": "/min"}}),
        json!({"resourceType": "Observation", "id": "o2", "status": "amended", "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]},
            "subject": {"reference": "Patient/p1"}, "effectivePeriod": {"start": "2019-12-01", "end": "2020-02-01"},
            "valueQuantity": {"value": -0.5, "unit": "mm"}}),
        json!({"resourceType": "Observation", "id": "bp", "status": "final", "code": {"coding": [{"code": "85354-9"}]}, "component": [
            {"code": {"coding": [{"code": "sys"}]}, "valueQuantity": {"value": 120, "code": "mm[Hg]"}},
            {"code": {"coding": [{"code": "dia"}]}, "valueQuantity": {"value": 80, "code": "mm[Hg]"}}]}),
        json!({"resourceType": "Practitioner", "id": "d1", "name": [{"family": "Doc"}]}),
        json!({"resourceType": "DocumentReference", "id": "d1", "status": "current", "relatesTo": [
            {"code": "appends", "target": {"reference": "DocumentReference/x"}},
            {"code": "replaces", "target": {"reference": "DocumentReference/y"}}]}),
        json!({"resourceType": "RiskAssessment", "id": "r1", "status": "final", "subject": {"reference": "Patient/p2"}, "prediction": [{"probabilityDecimal": 0.25}]}),
        json!({"resourceType": "ValueSet", "id": "v1", "status": "draft", "url": "http://example.org/vs/1"}),
        json!({"resourceType": "Basic", "id": "b1", "code": {"text": "custom"}, "extension": [{"url": "http://x", "valueString": "kept"}]}),
    ]
}

#[rstest]
#[case("Patient", "", "p1 p2")]
#[case("Patient", "gender=female", "p1")]
#[case("Patient", "gender:not=female", "p2")]
#[case("Patient", "gender=female,male", "p1 p2")]
#[case("Patient", "active:missing=true", "p2")]
#[case("Patient", "active:missing=false", "p1")]
#[case("Patient", "identifier=http://mrn|A\\,1", "p1")]
#[case("Patient", "identifier=http://mrn|", "p1")]
#[case("Patient", "identifier=|A\\,1", "")]
#[case("Patient", "telecom=555", "p1")]
#[case("Patient", "email=555", "")]
#[case("Patient", "family=mull", "p1 p2")]
#[case("Patient", "family:exact=Müller", "p1")]
#[case("Patient", "family:exact=müller", "")]
#[case("Patient", "family:contains=SMITH", "p2")]
#[case("Patient", "name=ann&name=bea", "p1")]
#[case("Patient", "birthdate=1980", "p1 p2")]
#[case("Patient", "birthdate=lt1980-06", "p1")]
#[case("Patient", "birthdate=gt1980-05-11", "p2")]
#[case("Patient", "birthdate=ne1980-06", "p1")]
#[case("Patient", "general-practitioner=Practitioner/d1", "p1")]
#[case("Patient", "general-practitioner:Practitioner=d1", "p1")]
#[case("Patient", "general-practitioner:Organization=d1", "")]
#[case("Patient", "organization=Organization/o1", "p2")]
#[case("Patient", "organization=o1", "p2")]
#[case("Patient", "organization=http://own.example/fhir/Organization/o1", "p2")]
#[case("Patient", "_id=p1,p2,nobody", "p1 p2")]
#[case("Patient", "_id=o1", "")]
#[case("Patient", "_tag=x&gender=female", "p1")]
#[case("Patient", "_tag=http://t|x", "p1")]
#[case("Patient", "_profile=http://profiles/a", "p1")]
#[case("Patient", "_profile=http://profiles/a|1", "p1")]
#[case("Patient", "_profile=http://profiles/a|2", "")]
#[case("", "_tag=x", "p1")]
#[case("", "_type=Observation,ValueSet", "o1 o2 bp v1")]
#[case("", "_id=o1,p1", "p1 o1")]
#[case("Observation", "code=8867-4", "o1")]
#[case("Observation", "code=|hr", "o1")]
#[case("Observation", "code=http://loinc.org|", "o1 o2")]
#[case("Observation", "patient=p1&code=8480-6", "o2")]
#[case("Observation", "date=2020-01-01", "o1 o2")]
#[case("Observation", "date=sa2019-12-31", "o1")]
#[case("Observation", "date=eb2020-01-02", "o1")]
#[case("Observation", "value-quantity=5", "o1")]
#[case("Observation", "value-quantity=5.1", "")]
#[case("Observation", "value-quantity=lt0", "o2")]
#[case("Observation", "value-quantity=ge-0.5", "o1 o2")]
#[case("Observation", "value-quantity=5|http://unitsofmeasure.org|/min", "o1")]
#[case("Observation", "value-quantity=gt-1||mm", "o2")]
#[case("Observation", "value-quantity=ne5", "o2")]
// along references and back
#[case("Observation", "subject:Patient.family=mull", "o1 o2")]
#[case("Observation", "patient.name=ann", "o1 o2")]
#[case("Observation", "patient.name=ann&patient.gender=male", "")]
#[case("Observation", "patient.gender:not=male", "o1 o2")]
#[case("Observation", "patient.birthdate=lt1980-06&code=hr", "o1")]
#[case("Observation", "patient._id=p1", "o1 o2")]
#[case("Observation", "patient._tag=x", "o1 o2")]
#[case("Observation", "patient._lastUpdated=lt2000-01-01", "")]
#[case("Observation", "patient.active:missing=true", "")]
#[case("RiskAssessment", "patient._id=p2", "r1")]
#[case("RiskAssessment", "subject:Patient._id=p1", "")]
#[case("RiskAssessment", "subject:Group._id=p2", "")]
#[case("Observation", "patient.general-practitioner:Practitioner.family=doc", "o1 o2")]
#[case("Observation", "patient.general-practitioner:Practitioner.family=other", "")]
#[case("Patient", "_has:Observation:patient:code=8867-4", "p1")]
#[case("Patient", "_has:Observation:patient:code=nothing", "")]
#[case("Patient", "_has:Observation:patient:status=amended&gender=female", "p1")]
#[case("Patient", "_has:Observation:patient:status=amended&gender=male", "")]
#[case("Patient", "_has:Observation:patient:_id=o1", "p1")]
#[case("Patient", "_has:Observation:patient:_type=Observation", "p1")]
#[case("Patient", "_has:Observation:patient:_type=Patient", "")]
#[case("Patient", "_has:RiskAssessment:patient:probability=gt0.2", "p2")]
#[case(
    "Practitioner",
    "_has:Patient:general-practitioner:_has:Observation:patient:code=hr",
    "d1"
)]
#[case("Practitioner", "_has:Patient:general-practitioner:gender=male", "")]
#[case("Patient", "_not-referenced=Observation:subject", "p2")]
#[case("Patient", "_not-referenced=*", "")]
#[case("Observation", "_not-referenced=*:*", "o1 o2 bp")]
// values of one element, never of two
#[case("Observation", "code-value-quantity=8867-4$5", "o1")]
#[case("Observation", "code-value-quantity=8867-4$gt5", "")]
#[case("Observation", "code-value-quantity=85354-9$120", "")]
#[case("Observation", "component-code-value-quantity=sys$120", "bp")]
#[case("Observation", "component-code-value-quantity=sys$80", "")]
#[case("Observation", "component-code-value-quantity=sys$80,dia$80", "bp")]
#[case("Observation", "component-code-value-quantity=dia$ne120", "bp")]
#[case("Observation", "component-code-value-quantity=dia$ne80", "")]
#[case("Observation", "combo-code-value-quantity=dia$lt100||mm[Hg]", "bp")]
#[case("Observation", "combo-code-value-quantity=8867-4$5", "o1")]
#[case("Observation", "combo-code-value-quantity=85354-9$80", "")]
#[case("Observation", "component-code-value-quantity:missing=false", "bp")]
#[case("Observation", "code-value-quantity:missing=true", "bp")]
#[case("DocumentReference", "relationship=DocumentReference/x$appends", "d1")]
#[case("DocumentReference", "relationship=DocumentReference/x$replaces", "")]
#[case("RiskAssessment", "probability=0.25", "r1")]
#[case("RiskAssessment", "probability=gt0.25", "")]
#[case("ValueSet", "url=http://example.org/vs/1", "v1")]
#[case("ValueSet", "url:below=http://example.org/", "v1")]
#[case("ValueSet", "url:above=http://example.org/vs/1/x", "v1")]
#[case("Patient/p1/*", "", "o1 o2")]
#[case("Patient/p1/Observation", "code=hr", "o1")]
#[case("Patient/p1/*", "_type=RiskAssessment", "")]
#[case("Patient/p2/*", "", "r1")]
#[tokio::test]
async fn finds(
    #[case] target: &str,
    #[case] query: &str,
    #[case] ids: &str,
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let fixture = Fixture::new(engine).await;
    fixture.put_all(&data()).await;
    let wanted: Vec<_> = ids.split_whitespace().collect();
    assert_eq!(fixture.found(target, query).await, wanted, "{target}?{query}");
    let paged = format!("{query}{}_count=1", if query.is_empty() { "" } else { "&" });
    assert_eq!(fixture.found(target, &paged).await, wanted, "{target}?{paged}");
}

#[rstest]
#[tokio::test]
async fn sorts_by_the_last_change(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let fixture = Fixture::new(engine).await;
    fixture.put_all(&data()).await;
    fixture
        .put_all(&[json!({"resourceType": "Patient", "id": "p1", "gender": "male"})])
        .await;
    assert_eq!(
        fixture.found("Patient", "_sort=_lastUpdated&_count=1").await,
        ["p2", "p1"]
    );
    assert_eq!(
        fixture.found("Patient", "_sort=-_lastUpdated&_count=1").await,
        ["p1", "p2"]
    );
    assert_eq!(
        fixture.found("Patient", "gender=male&_sort=-_lastUpdated").await,
        ["p1", "p2"]
    );
    // creation order is what it was
    assert_eq!(fixture.found("Patient", "").await, ["p1", "p2"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn pages_neither_repeat_nor_skip_while_others_write(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let fixture = Arc::new(Fixture::new(engine).await);
    let patient = |n: usize| {
        let name = json!([{"family": format!("f{n:04}")}]);
        json!({"resourceType": "Patient", "id": format!("p{n:04}"), "gender": "female", "name": name})
    };
    fixture.put_all(&(0..200).map(patient).collect::<Vec<_>>()).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (fixture, stop) = (Arc::clone(&fixture), Arc::clone(&stop));
        async move {
            for n in 200..2_000 {
                fixture.put_all(&[patient(n)]).await;
                let mut changed = patient(n % 200);
                changed["active"] = json!(n % 2 == 0);
                fixture.put_all(&[changed]).await;
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        }
    });
    // what was there from the begin and keeps its place is found exactly once, whichever way the pages go
    for (query, down, from_the_end) in [
        ("gender=female&_count=7", false, false),
        ("gender=female&_count=7", false, true),
        ("gender=female&_sort=family&_count=7", false, false),
        ("gender=female&_sort=family&_count=7", false, true),
        ("gender=female&_sort=-family&_count=7", true, false),
        ("_sort=gender,-family&_count=7", true, true),
    ] {
        let search = fixture.search("Patient", query);
        let (mut ids, mut after) = (Vec::new(), from_the_end.then(Cursor::last));
        while ids.len() < 200 {
            let page = fixture
                .store
                .search(&search.plan, search.count, after.as_ref(), Effort::Any);
            let page = page.await.unwrap();
            let found = page.entries.into_iter().map(|entry| entry.id);
            let found = found.filter(|id| id.as_str() < "p0200");
            if from_the_end {
                ids.splice(0..0, found);
                after = page.previous;
            } else {
                ids.extend(found);
                after = page.next;
            }
            assert!(after.is_some() || ids.len() >= 200, "{query} skipped: {}", ids.len());
        }
        let mut wanted: Vec<_> = (0..200).map(|n| format!("p{n:04}")).collect();
        if down {
            wanted.reverse();
        }
        assert_eq!(ids, wanted, "{query}");
    }
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
}

#[derive(Debug, Clone)]
struct Subject {
    gender: Option<usize>,
    family: Option<usize>,
    birth: Option<u32>,
}

const GENDERS: [&str; 3] = ["male", "female", "other"];
const FAMILIES: [&str; 4] = ["Ash", "ashley", "Áshton", "Birch"];

fn subject() -> impl Strategy<Value = Subject> {
    (
        proptest::option::of(0..3usize),
        proptest::option::of(0..4usize),
        proptest::option::of(1950..1960u32),
    )
        .prop_map(|(gender, family, birth)| Subject { gender, family, birth })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn agrees_with_a_naive_evaluation(
        subjects in proptest::collection::vec(subject(), 1..30),
        gender in 0..3usize, family in 0..4usize, year in 1950..1960u32, negate in any::<bool>(), compare in 0..3usize,
        on_postgres in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let engine = if on_postgres { Engine::Postgres } else { Engine::Sqlite };
        let fixture = runtime.block_on(Fixture::new(engine));
        let resources: Vec<_> = subjects.iter().enumerate().map(|(n, subject)| {
            let mut resource = json!({"resourceType": "Patient", "id": format!("p{n:02}")});
            if let Some(gender) = subject.gender { resource["gender"] = json!(GENDERS[gender]); }
            if let Some(family) = subject.family { resource["name"] = json!([{"family": FAMILIES[family]}]); }
            if let Some(year) = subject.birth { resource["birthDate"] = json!(year.to_string()); }
            resource
        }).collect();
        runtime.block_on(fixture.put_all(&resources));
        let fold = |text: &str| text.to_lowercase().replace('á', "a");
        let prefix = ["lt", "ge", ""][compare];
        let query = format!("gender{}={}&family={}&birthdate={prefix}{year}", if negate { ":not" } else { "" }, GENDERS[gender], FAMILIES[family]);
        let wanted: Vec<_> = subjects.iter().enumerate().filter(|(_, subject)| {
            let same = subject.gender == Some(gender);
            let named = subject.family.is_some_and(|f| fold(FAMILIES[f]).starts_with(&fold(FAMILIES[family])));
            let born = subject.birth.is_some_and(|b| match compare { 0 => b < year, 1 => b >= year, _ => b == year });
            same != negate && named && born
        }).map(|(n, _)| format!("p{n:02}")).collect();
        let found = runtime.block_on(fixture.found("Patient", &query));
        prop_assert_eq!(found, wanted, "{}", query);
    }
}

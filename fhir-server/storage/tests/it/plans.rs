//! No search of this slice scans a table, however large it is.

use std::time::Instant;

use fhir_storage::{Effort, ReadError};
use serde_json::json;

use crate::fixture::{Engine, Fixture};

/// Resources in the database whose plans are looked at. The rows are copied inside SQLite, so that it takes seconds.
const RESOURCES: i64 = 200_000;

const SEARCHES: &[(&str, &str)] = &[
    ("Observation", ""),
    ("Observation", "code=8867-4"),
    ("Observation", "code:not=8867-4"),
    ("Observation", "code=http://loinc.org|8867-4&patient=p1"),
    ("Observation", "code=8867-4,other&status=final"),
    ("Observation", "date=2020-01-01"),
    ("Observation", "date=ge2020-01-01&patient=p1"),
    ("Observation", "value-quantity=gt4"),
    ("Observation", "value-quantity=5||/min"),
    ("Observation", "category:missing=true"),
    ("Observation", "_lastUpdated=gt2020-01-01&_sort=_lastUpdated"),
    ("Observation", "code=8867-4&_sort=-_lastUpdated"),
    ("Observation", "patient=p1&_sort=-date,code"),
    ("Patient", "family=mull&_sort=family,-birthdate"),
    ("Observation", "component-code-value-quantity=8867-4$5"),
    ("Observation", "combo-code-value-quantity=8867-4$gt4"),
    ("Observation", "patient.family=mull"),
    ("Observation", "patient._id=p1"),
    ("Observation", "patient.family=nobody&code=8867-4"),
    ("Patient", "_has:Observation:patient:code=8867-4"),
    ("Patient", "_has:Observation:patient:_id=o1"),
    ("Patient", "_not-referenced=Observation:subject"),
    ("Observation", "_id=o1"),
    ("Observation", "_tag=x"),
    ("Patient", "family=mull"),
    ("Patient", "family:exact=Müller"),
    ("Patient", "family:contains=mull"),
    ("ValueSet", "url=http://example.org/vs/1"),
    ("ValueSet", "url:below=http://example.org/"),
    ("Patient/p1/*", ""),
    ("Patient/p1/Observation", "code=8867-4"),
    ("", "_tag=x"),
    ("Observation", "code:text=heart"),
    ("Observation", "code:text=nothing&patient=p1"),
    ("Observation", "subject:identifier=http://mrn|1"),
    ("Patient", "identifier:of-type=http://t|MR|1"),
    ("Observation", "value-quantity=5|http://unitsofmeasure.org|/s"),
    (
        "Observation",
        "value-quantity=gt4|http://unitsofmeasure.org|/min&patient=p1",
    ),
    ("Location", "near=42|-83|5|km"),
    ("Location", "near=42|179.99|500|km&status=active"),
    ("Patient", "_list=l1"),
    ("Patient", "_list=l1&family=mull"),
    ("", "_list=l1"),
    ("", "_type=Patient,Group&_list=l1"),
    ("Patient", "family=mull,meier"),
    ("Patient", "family=nobody,no-one&gender=male"),
    ("Observation", "date=2020-01-01,2021-01-01"),
    ("Patient", "_filter=family co mull"),
    ("Patient", "_filter=family eq mull and gender eq male"),
    ("Patient", "_filter=family eq nobody or identifier eq http://mrn|none"),
    ("Patient", "_filter=not (family sw mull)"),
    ("Observation", "_filter=patient.family eq nobody or date gt 2100"),
    ("Patient", "identifier=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18"),
    ("Patient", "_id=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18"),
    ("Encounter", "_source=http://feed/1"),
    ("QuestionnaireResponse", "questionnaire.title=intake"),
    ("QuestionnaireResponse", "questionnaire.title:contains=intake"),
    (
        "Questionnaire",
        "_has:QuestionnaireResponse:questionnaire:status=completed",
    ),
    (
        "Questionnaire",
        "_has:QuestionnaireResponse:questionnaire:status:not=completed",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_plan_searches_an_index() {
    let mut fixture = Fixture::new(Engine::Sqlite).await;
    fixture
        .put_all(&[
            json!({"resourceType": "Observation", "id": "o1", "status": "final", "meta": {"tag": [{"code": "x"}]},
                "code": {"text": "Heart rate", "coding": [{"system": "http://loinc.org", "code": "8867-4"}, {"code": "other"}]},
                "subject": {"reference": "Patient/p1"}, "effectiveDateTime": "2020-01-01T10:00:00Z",
                "valueQuantity": {"value": 5, "system": "http://unitsofmeasure.org", "code": "/min"}}),
            json!({"resourceType": "Patient", "id": "p1", "name": [{"family": "Müller"}]}),
            json!({"resourceType": "ValueSet", "id": "v1", "status": "draft", "url": "http://example.org/vs/1"}),
        ])
        .await;
    fixture.store.close().await;
    grow(&fixture.folder.path().join("test.db"));
    fixture.reopen().await;
    let mut scans = Vec::new();
    for (target, query) in SEARCHES {
        let plan = fixture
            .store
            .explain(&fixture.search(target, query).plan)
            .await
            .unwrap();
        println!("{target}?{query}\n    {}", plan.join("\n    "));
        let whole = |line: &&String| {
            line.starts_with("SCAN")
                && !line.contains("(subquery")
                // results of a part of the statement
                && !["SCAN d", "SCAN i", "SCAN n", "SCAN o", "SCAN u"].contains(&line.as_str())
                && !line.contains("CONSTANT ROW")
                // the values of the query itself
                && !line.contains("json_each")
        };
        scans.extend(
            plan.iter()
                .filter(whole)
                .map(|line| format!("{target}?{query}: {line}")),
        );
    }
    assert_eq!(scans, [""; 0]);
    a_long_search_stops(&fixture).await;
}

/// No name has this text, which only a look at every name can tell.
async fn a_long_search_stops(fixture: &Fixture) {
    let long = fixture.search("Patient", "family:contains=nobody").plan;
    let ask = |effort| fixture.store.search(&long, 10, None, effort);
    assert!(matches!(
        ask(Effort::Until(Instant::now())).await,
        Err(ReadError::TooMuch)
    ));
    // the connection that was stopped has forgotten it
    assert!(ask(Effort::Any).await.unwrap().entries.is_empty());
}

/// Copies each resource and its rows under new numbers.
fn grow(path: &std::path::Path) {
    let database = rusqlite::Connection::open(path).unwrap();
    let copies = RESOURCES / 3;
    database
        .execute_batch(&format!(
            "PRAGMA synchronous = OFF; BEGIN;
             CREATE TEMP TABLE n AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {copies}) SELECT i FROM n;
             INSERT INTO res SELECT pk + i * 10, type, id || i, ver, upd + i * 10, kind, dict, body FROM res, n;
             INSERT INTO ix_exact SELECT param, val, pk + i * 10, elem FROM ix_exact, n;
             INSERT INTO ix_date SELECT param, long, lo + i, hi + i, pk + i * 10, elem FROM ix_date, n;
             INSERT INTO ix_number SELECT param, lo, hi, pk + i * 10, system, code, elem FROM ix_number, n;
             INSERT INTO ix_string SELECT param, folded, pk + i * 10, elem, exact FROM ix_string, n;
             UPDATE service SET next_pk = {copies} * 10 + 10, clock = (SELECT max(upd) FROM res); COMMIT; PRAGMA synchronous = FULL;"
        ))
        .unwrap();
}

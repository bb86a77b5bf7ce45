//! No search of this slice scans a table, however large it is.

use std::time::Instant;

use fhir_storage::{Database, Effort, ReadError, Url};
use serde_json::json;
use test_postgres::PostgresServer;

use crate::fixture::{Engine, Fixture, open};

/// Resources in the database whose plans are looked at. The rows are copied inside SQLite, so that it takes seconds.
const RESOURCES: i64 = 200_000;

const SEARCHES: &[(&str, &str)] = &[
    ("Observation", ""),
    ("Observation", "code=8867-4"),
    ("Observation", "code=http://loinc.org|"),
    ("Observation", "code=http://loinc.org|&patient=p1"),
    ("Observation", "code:not=http://loinc.org|"),
    ("Observation", "component-code-value-quantity=http://loinc.org|$5"),
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
    ("Observation", "patient=p1&_sort=-date"),
    ("Observation", "subject=Patient/p1&_sort=date"),
    ("Observation", "patient=p1&date=ge2019&date=lt2021"),
    ("Observation", "patient=p1&date=ge2019&_sort=-date&status=final"),
    ("Observation", "patient=p1&code=8867-4&date=ge2019&date=lt2021"),
    ("Observation", "patient=p1&code=8867-4,other&_sort=-date"),
    ("Patient/p1/Observation", "code=8867-4&_sort=-date"),
    ("Patient/p1/Observation", "_lastUpdated=gt2020-01-01&_sort=-date"),
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

/// One resource of a kind, and everything that the searches look for.
fn data() -> Vec<serde_json::Value> {
    vec![
        json!({"resourceType": "Observation", "id": "o1", "status": "final", "meta": {"tag": [{"code": "x"}]},
            "code": {"text": "Heart rate", "coding": [{"system": "http://loinc.org", "code": "8867-4"}, {"code": "other"}]},
            "subject": {"reference": "Patient/p1"}, "effectiveDateTime": "2020-01-01T10:00:00Z",
            "valueQuantity": {"value": 5, "system": "http://unitsofmeasure.org", "code": "/min"}}),
        json!({"resourceType": "Patient", "id": "p1", "name": [{"family": "Müller"}]}),
        json!({"resourceType": "ValueSet", "id": "v1", "status": "draft", "url": "http://example.org/vs/1"}),
    ]
}

/// Plans that scan, among those of all searches.
async fn faults(fixture: &Fixture, is_fault: impl Fn(&str) -> bool) -> Vec<String> {
    let mut faults = Vec::new();
    for (target, query) in SEARCHES {
        let plan = fixture.search(target, query).plan;
        let plan = fixture.store.explain(&plan).await.unwrap();
        println!("{target}?{query}\n    {}", plan.join("\n    "));
        let found = plan.iter().filter(|line| is_fault(line));
        faults.extend(found.map(|line| format!("{target}?{query}: {line}")));
    }
    faults
}

#[tokio::test(flavor = "multi_thread")]
async fn every_plan_of_sqlite_searches_an_index() {
    let mut fixture = Fixture::new(Engine::Sqlite).await;
    fixture.put_all(&data()).await;
    fixture.store.close().await;
    grow(&fixture.folder.path().join("test.db"));
    fixture.reopen().await;
    let whole = |line: &str| {
        line.starts_with("SCAN")
            && !line.contains("(subquery")
            // results of a part of the statement
            && !["SCAN a", "SCAN d", "SCAN i", "SCAN n", "SCAN o", "SCAN u"].contains(&line)
            && !line.contains("CONSTANT ROW")
            // the values of the query itself
            && !line.contains("json_each")
    };
    assert_eq!(faults(&fixture, whole).await, [""; 0]);
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
             INSERT INTO ix_owner_date SELECT param, owner, long, hi + i, pk + i * 10, lo + i, via FROM ix_owner_date, n;
             INSERT INTO ix_owner_exact SELECT param, val, owner, pk + i * 10, via FROM ix_owner_exact, n;
             UPDATE service SET next_pk = {copies} * 10 + 10, clock = (SELECT max(upd) FROM res); COMMIT; PRAGMA synchronous = FULL;"
        ))
        .unwrap();
}

/// The columns that a test of PostgreSQL's index has to have at least, and all that it has.
fn columns(index: &str) -> Option<(usize, &'static [&'static str])> {
    Some(match index {
        "res_pkey" | "ix_exact_pk" | "ix_date_pk" | "ix_number_pk" | "ix_string_pk" | "ix_place_pk" => (1, &["pk"]),
        "res_id" => (2, &["type", "id"]),
        "res_live" => (1, &["type", "pk"]),
        "res_type_upd" => (1, &["type", "upd"]),
        "res_upd" => (1, &["upd"]),
        "val_pkey" => (1, &["id"]),
        "val_text" => (1, &["text", "sys"]),
        "val_sys" => (1, &["sys", "id"]),
        "ix_exact_key" => (2, &["param", "val", "pk"]),
        "ix_owner_date_key" => (3, &["param", "owner", "long", "hi"]),
        "ix_owner_exact_key" => (2, &["param", "val", "owner", "pk"]),
        "ix_date_key" => (3, &["param", "long", "lo", "hi"]),
        "ix_number_key" => (2, &["param", "lo", "hi"]),
        "ix_string_key" => (2, &["param", "left"]),
        "ix_place_key" => (2, &["param", "latitude", "longitude"]),
        _ => return None,
    })
}

/// Whether a condition of a plan tests a column: `(x.pk = $1)`, `("left"(folded, 200) >= $2)`.
fn tests(condition: &str, column: &str) -> bool {
    ["", ".", "\""].iter().any(|before| {
        [" ", "\"("].iter().any(|behind| {
            let written = format!("{before}{column}{behind}");
            condition.match_indices(&written).any(|(at, _)| {
                let before = condition[..at].chars().next_back();
                before.is_none_or(|c| !c.is_alphanumeric() && c != '_')
            })
        })
    })
}

/// What is wrong with a plan of PostgreSQL: a table that is read whole, a join in the other order, an index that is used by
/// less of its columns than it could be, resources that are sorted however many there are.
fn faults_of_postgres(plan: &[String]) -> Vec<String> {
    let mut faults = Vec::new();
    for (at, line) in plan.iter().enumerate() {
        if line.contains("Seq Scan")
            || line.contains("Join Filter")
            || line.contains("Hash Join")
            || line.contains("Merge Join")
        {
            faults.push(line.clone());
        }
        let Some((_, scan)) = line.split_once(" using ") else {
            continue;
        };
        let index = scan.split(' ').next().unwrap();
        // names of types, of which there are few
        if index == "type_pkey" {
            continue;
        }
        let (least, columns) = columns(index).unwrap_or_else(|| panic!("an unknown index: {line}"));
        let rest = &plan[at + 1..];
        let condition = rest.first().and_then(|line| line.split_once("Index Cond: "));
        let condition = condition.map_or("", |(_, condition)| condition);
        let used = columns.iter().take_while(|column| tests(condition, column)).count();
        // periods may be open at one end
        let open = ["lo", "hi"].iter().any(|end| tests(condition, end));
        if used < least && !(open && used + 1 == least) {
            faults.push(format!("{line} by {condition}"));
        }
        if index == "ix_exact_pk"
            && rest
                .get(1)
                .is_some_and(|line| line.contains("(param = ") && line.contains("(val = "))
        {
            faults.push(format!("{line} could use the whole key"));
        }
    }
    faults
}

/// Whether a plan sorts more than a list of its own, what an id or a chain leads to.
fn sorts(plan: &[String], at: usize) -> bool {
    let depth = |line: &str| line.len() - line.trim_start().len();
    if !plan[at].trim_start_matches([' ', '-', '>']).starts_with("Sort  (") {
        return false;
    }
    let below = plan[at + 1..].iter().take_while(|line| depth(line) > depth(&plan[at]));
    let first = below.into_iter().find(|line| line.contains("Scan"));
    let is_bounded = first.is_some_and(|scan| scan.contains("Function Scan") || scan.contains("using res_id"));
    !is_bounded && !plan[at - 1].contains("Unique")
}

/// Every search of a database as it is.
async fn faults_in(fixture: &Fixture, when: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (target, query) in SEARCHES {
        let plan = fixture
            .store
            .explain(&fixture.search(target, query).plan)
            .await
            .unwrap();
        println!("{when}: {target}?{query}\n    {}", plan.join("\n    "));
        let mut found = faults_of_postgres(&plan);
        // other orders read the values of every match
        if !query.contains("_sort=") {
            found.extend(
                (0..plan.len())
                    .filter(|at| sorts(&plan, *at))
                    .map(|at| plan[at].clone()),
            );
        }
        let found = found.into_iter();
        faults.extend(found.map(|fault| format!("{when}: {target}?{query}: {fault}")));
    }
    faults
}

/// Plans are kept for a connection, so they have to be good before anything is known of the tables, too.
#[tokio::test(flavor = "multi_thread")]
async fn every_plan_of_postgres_searches_an_index() {
    let server = PostgresServer::shared();
    let url = server.database();
    let name = url.rsplit('/').next().unwrap().to_owned();
    let database = Database::Postgres(Url::new(url));
    let fixture = Fixture::on(database.clone(), open(&database).await);
    let mut faults = faults_in(&fixture, "empty").await;
    fixture.put_all(&data()).await;
    faults.extend(faults_in(&fixture, "three resources").await);
    let copies = RESOURCES / 10;
    server.sql(
        &name,
        &format!(
            "SET synchronous_commit = off; SET fhir.schema = '99';
             CREATE TEMP TABLE n AS SELECT i FROM generate_series(1, {copies}) i;
             INSERT INTO res SELECT pk + i * 10, upd + i * 10, ver, type, kind, dict, id || i, body FROM res, n;
             INSERT INTO ix_exact SELECT pk + i * 10, param, val, elem FROM ix_exact, n;
             INSERT INTO ix_date SELECT pk + i * 10, lo + i, hi + i, param, long, elem FROM ix_date, n;
             INSERT INTO ix_number SELECT pk + i * 10, param, system, code, elem, lo, hi FROM ix_number, n;
             INSERT INTO ix_string SELECT pk + i * 10, param, elem, folded, exact FROM ix_string, n;
             INSERT INTO ix_owner_date SELECT pk + i * 10, hi + i, lo + i, param, owner, long, via FROM ix_owner_date, n;
             INSERT INTO ix_owner_exact SELECT pk + i * 10, param, val, owner, via FROM ix_owner_exact, n"
        ),
    );
    faults.extend(faults_in(&fixture, "many resources").await);
    server.sql(&name, "VACUUM ANALYZE");
    faults.extend(faults_in(&fixture, "many resources, counted").await);
    assert_eq!(faults, [""; 0]);
    a_long_search_stops(&fixture).await;
}

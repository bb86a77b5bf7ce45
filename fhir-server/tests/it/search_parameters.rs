//! Custom search parameters: validated, indexed by the server itself, then searched; writes go on meanwhile.

use fhir_server_settings::{FhirVersion, Settings};
use fhir_storage::{JobChange, NewJob, Store, StoreOptions};
use std::time::Duration;

use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use test_postgres::PostgresServer;

use crate::Service;
use crate::service::Answer;

/// A SearchParameter for extensions of Patient.
pub fn parameter(id: &str, kind: &str) -> Value {
    json!({
        "resourceType": "SearchParameter", "id": id, "url": format!("http://e/{id}"), "name": id, "status": "active",
        "description": "d", "code": id, "base": ["Patient"], "type": kind,
        "expression": format!("Patient.extension('http://e/{id}').value"), "xpathUsage": "normal",
    })
}

/// Waits until no index is in the making: asks for one, which is done when all is.
pub async fn reindexed(service: &Service) -> Answer {
    let begun = service.send(Method::POST, "$reindex", &[], None).await;
    assert_eq!(begun.status, 201, "{}", begun.body);
    let location = begun.header("content-location").to_owned();
    let path = location
        .strip_prefix(&service.base)
        .expect("here")
        .trim_start_matches('/');
    loop {
        let job = service.get(path).await;
        assert_eq!(job.status, 200, "{}", job.body);
        match value(&job, "status").as_str() {
            Some("Queued" | "Running") => tokio::task::yield_now().await,
            _ => return job,
        }
    }
}

/// The value of a parameter of a Parameters resource.
pub fn value(answer: &Answer, name: &str) -> Value {
    let parameters = answer.body["parameter"].as_array().cloned().unwrap_or_default();
    let found = parameters.iter().find(|parameter| parameter["name"] == name);
    let members = found.and_then(Value::as_object).into_iter().flatten();
    members
        .filter(|(name, _)| name.starts_with("value"))
        .map(|(_, value)| value.clone())
        .next()
        .unwrap_or_default()
}

async fn ids(service: &Service, query: &str) -> Vec<String> {
    let found = service.get(query).await;
    assert_eq!(found.status, 200, "{query}: {}", found.body);
    let entries = found.body["entry"].as_array().cloned().unwrap_or_default();
    let of = |entry: &Value| entry["resource"]["id"].as_str().unwrap_or_default().to_owned();
    entries.iter().map(of).collect()
}

async fn patient(service: &Service, id: &str, extension: &str, value: Value) {
    let mut extension = json!({"url": format!("http://e/{extension}")});
    for (name, value) in value.as_object().expect("an object") {
        extension[name] = value.clone();
    }
    let body = json!({"resourceType": "Patient", "id": id, "extension": [extension]});
    let answer = service.put(&format!("Patient/{id}"), &body.to_string()).await;
    assert!(answer.status.is_success(), "{}", answer.body);
}

#[rstest]
#[case::string("string", json!({"valueString": "Gold"}), json!({"valueString": "Silver"}), "gol", "silver")]
#[case::token("token", json!({"valueCode": "a"}), json!({"valueCoding": {"system": "http://s", "code": "b"}}), "a", "http://s|b")]
#[case::date("date", json!({"valueDate": "2020-05-01"}), json!({"valueDate": "2021-05-01"}), "lt2021", "ge2021")]
#[case::number("number", json!({"valueDecimal": 1.5}), json!({"valueInteger": 7}), "1.5", "gt6")]
#[case::quantity("quantity", json!({"valueQuantity": {"value": 1.5, "unit": "kg"}}), json!({"valueQuantity": {"value": 70}}), "lt2", "gt2")]
#[case::uri("uri", json!({"valueUri": "http://x/1"}), json!({"valueUri": "http://x/2"}), "http://x/1", "http://x/2")]
#[case::reference("reference", json!({"valueReference": {"reference": "Patient/x"}}), json!({"valueReference": {"reference": "Patient/y"}}), "Patient/x", "Patient/y")]
#[tokio::test]
async fn every_kind_is_searched_and_sorted(
    #[values(FhirVersion::R4, FhirVersion::Stu3)] version: FhirVersion,
    #[case] kind: &str,
    #[case] low: Value,
    #[case] high: Value,
    #[case] finds_low: &str,
    #[case] finds_high: &str,
) {
    let service = Service::anonymous(version).await;
    patient(&service, "x", "tier", low).await;
    let stored = service
        .put("SearchParameter/tier", &parameter("tier", kind).to_string())
        .await;
    assert_eq!(stored.status, 201, "{}", stored.body);
    patient(&service, "y", "tier", high).await;
    let job = reindexed(&service).await;
    assert_eq!(value(&job, "status"), "Completed", "{}", job.body);
    assert_eq!(ids(&service, &format!("Patient?tier={finds_low}")).await, ["x"]);
    assert_eq!(ids(&service, &format!("Patient?tier={finds_high}")).await, ["y"]);
    assert_eq!(ids(&service, "Patient?_sort=-tier").await, ["y", "x"]);
    assert_eq!(ids(&service, "Patient?tier:missing=true").await, [""; 0]);
    let shown = service.get("metadata").await;
    let shown = shown.body["rest"][0]["resource"].as_array().cloned().expect("types");
    let patient = shown.iter().find(|of| of["type"] == "Patient").expect("patients");
    let parameters = patient["searchParam"].as_array().expect("parameters");
    assert!(parameters.iter().any(|parameter| parameter["name"] == "tier"));
}

#[tokio::test]
async fn a_reference_is_chained_and_included() {
    let service = Service::anonymous(FhirVersion::R4).await;
    patient(
        &service,
        "x",
        "tier",
        json!({"valueReference": {"reference": "Patient/y"}}),
    )
    .await;
    service
        .put("Patient/y", r#"{"resourceType":"Patient","id":"y","gender":"female"}"#)
        .await;
    service
        .put("SearchParameter/tier", &parameter("tier", "reference").to_string())
        .await;
    reindexed(&service).await;
    assert_eq!(ids(&service, "Patient?tier:Patient.gender=female").await, ["x"]);
    assert_eq!(ids(&service, "Patient?_has:Patient:tier:_id=x").await, ["y"]);
    assert_eq!(ids(&service, "Patient?_id=x&_include=Patient:tier").await, ["x", "y"]);
    assert_eq!(
        ids(&service, "Patient?_id=y&_revinclude=Patient:tier").await,
        ["y", "x"]
    );
}

#[tokio::test]
async fn a_changed_definition_takes_the_place_of_the_old_one() {
    let service = Service::anonymous(FhirVersion::R4).await;
    patient(&service, "x", "tier", json!({"valueString": "gold"})).await;
    patient(&service, "y", "other", json!({"valueString": "gold"})).await;
    let mut definition = parameter("tier", "string");
    service.put("SearchParameter/tier", &definition.to_string()).await;
    reindexed(&service).await;
    assert_eq!(ids(&service, "Patient?tier=gold").await, ["x"]);
    // a change of anything else is none of the definition
    definition["description"] = json!("what it is for");
    service.put("SearchParameter/tier", &definition.to_string()).await;
    assert_eq!(ids(&service, "Patient?tier=gold").await, ["x"]);
    definition["expression"] = json!("Patient.extension('http://e/other').value");
    service.put("SearchParameter/tier", &definition.to_string()).await;
    reindexed(&service).await;
    assert_eq!(ids(&service, "Patient?tier=gold").await, ["y"]);
    assert_eq!(service.delete("SearchParameter/tier").await.status, 204);
    let ignored = service.get("Patient?tier=gold&_id=x,y").await;
    assert_eq!(
        ignored.text("/entry/0/resource/resourceType"),
        "OperationOutcome",
        "{}",
        ignored.body
    );
    assert_eq!(ignored.body["entry"].as_array().map(Vec::len), Some(3));
    // its URL and code are free again
    let again = parameter("tier", "token").to_string();
    assert_eq!(service.post("SearchParameter", &again).await.status, 201);
}

#[tokio::test]
async fn a_parameter_that_is_not_filled_is_ignored_unless_it_is_tried() {
    let service = Service::anonymous(FhirVersion::R4).await;
    patient(&service, "x", "tier", json!({"valueString": "gold"})).await;
    patient(&service, "y", "tier", json!({"valueString": "gold"})).await;
    // a job that waits long between its pages keeps the parameter from being ready
    let slow = json!({"resourceType": "Parameters", "parameter": [
        {"name": "queryDelayIntervalInMilliseconds", "valueInteger": 500_000},
        {"name": "targetResourceTypes", "valueString": "Patient"},
    ]});
    let begun = service.post("$reindex", &slow.to_string()).await;
    assert_eq!(begun.status, 201, "{}", begun.body);
    let id = begun.text("/id").to_owned();
    let path = format!("_operations/reindex/{id}");
    // it waits once its first page is done
    while value(&service.get(&path).await, "resourcesSuccessfullyReindexed") == json!(0) {
        tokio::task::yield_now().await;
    }
    let second = service.post("$reindex", &slow.to_string()).await;
    let text =
        format!("Only one active or paused reindex job allowed. Cancel job with id: {id} before submitting a new job.");
    assert_eq!(
        (second.status.as_u16(), second.text("/issue/0/diagnostics")),
        (409, text.as_str())
    );
    let definition = parameter("tier", "string").to_string();
    let refused = service.put("SearchParameter/tier", &definition).await;
    assert_eq!(
        (refused.status.as_u16(), refused.text("/issue/0/code")),
        (409, "conflict")
    );
    let text = format!(
        "Changes to search parameters are not allowed while a reindex job is in progress. Wait for the reindex job with \
         Id: {id} to finish, or cancel it."
    );
    assert_eq!(refused.text("/issue/0/diagnostics"), text);
    let cancelled = service.delete(&path).await;
    assert_eq!(
        (cancelled.status.as_u16(), value(&cancelled, "status")),
        (202, json!("Canceled"))
    );
    assert_eq!(service.delete(&path).await.status, 400);
    assert_eq!(service.get("_operations/reindex/nothing").await.status, 404);
    assert_eq!(service.put("SearchParameter/tier", &definition).await.status, 201);

    // the worker is still asleep: the parameter is written, not searched
    let ignored = service.get("Patient?tier=gold&_id=x").await;
    assert_eq!(ignored.text("/entry/0/search/mode"), "outcome", "{}", ignored.body);
    let strict = service
        .send(Method::GET, "Patient?tier=gold", &[("prefer", "handling=strict")], None)
        .await;
    assert_eq!(strict.status, 400);
    let one = service.send(Method::POST, "Patient/x/$reindex", &[], None).await;
    assert_eq!((one.status.as_u16(), value(&one, "tier")), (200, json!("gold")));
    let partial = [("x-ms-use-partial-indices", "true")];
    let found = service.send(Method::GET, "Patient?tier=gold", &partial, None).await;
    assert_eq!(found.text("/entry/0/resource/id"), "x", "{}", found.body);
    assert_eq!(found.body["entry"].as_array().map(Vec::len), Some(1));

    // whoever is cancelled doesn't sleep until his delay is over, and the parameter gets its turn
    let in_force = async {
        let strict = [("prefer", "handling=strict")];
        while service
            .send(Method::GET, "Patient?tier=gold", &strict, None)
            .await
            .status
            != 200
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let soon = tokio::time::timeout(Duration::from_mins(2), in_force).await;
    soon.expect("the cancelled job makes room");
}

#[rstest]
#[case(json!([{"name": "foo", "valueString": "x"}]), "Reindex job does not support the following parameter foo for a POST operation.")]
#[case(json!([{"name": "maximumConcurrency", "valueInteger": 11}]),
    "Reindex operation parameter 'maximumConcurrency' was out of the range of valid values. Please specify different value within a range '1' - '10'.")]
#[case(json!([{"name": "queryDelayIntervalInMilliseconds", "valueString": "5"}]),
    "Reindex operation parameter 'queryDelayIntervalInMilliseconds' was out of the range of valid values. Please specify different value within a range '50' - '500000'.")]
#[case(json!([{"name": "targetResourceTypes", "valueString": "Patient,Foo"}]), "Resource type 'Foo' is not supported.")]
#[case(json!([{"name": "targetSearchParameterTypes", "valueString": "http://e/no"}]), "There is no search parameter 'http://e/no'.")]
#[tokio::test]
async fn a_reindex_is_asked_for_in_bounds(#[case] parameters: Value, #[case] text: &str) {
    let service = Service::anonymous(FhirVersion::R4).await;
    let body = json!({"resourceType": "Parameters", "parameter": parameters});
    let refused = service.post("$reindex", &body.to_string()).await;
    assert_eq!(
        (refused.status.as_u16(), refused.text("/issue/0/diagnostics")),
        (400, text)
    );
}

#[tokio::test]
async fn a_transaction_defines_and_uses_what_it_defines_as_one() {
    let service = Service::anonymous(FhirVersion::R4).await;
    let mut bad = parameter("bad", "string");
    bad["expression"] = json!("Patient.name.matches('x')");
    let entry = |resource: &Value| {
        let (of, id) = (resource["resourceType"].as_str(), resource["id"].as_str());
        let url = format!("{}/{}", of.unwrap_or_default(), id.unwrap_or_default());
        json!({"resource": resource, "request": {"method": "PUT", "url": url}})
    };
    let bundle =
        |entries: Vec<Value>| json!({"resourceType": "Bundle", "type": "transaction", "entry": entries}).to_string();
    let refused = service
        .post("", &bundle(vec![entry(&parameter("tier", "string")), entry(&bad)]))
        .await;
    assert_eq!(refused.status, 400, "{}", refused.body);
    assert_eq!(service.get("SearchParameter?_summary=count").await.body["total"], 0);
    let twice = vec![entry(&parameter("one", "string")), entry(&parameter("two", "string"))];
    assert_eq!(service.post("", &bundle(twice)).await.status, 200);
    patient(&service, "x", "two", json!({"valueString": "a"})).await;
    reindexed(&service).await;
    assert_eq!(ids(&service, "Patient?two=a").await, ["x"]);
    let mut same = parameter("three", "string");
    same["url"] = json!("http://e/one");
    let refused = service.post("", &bundle(vec![entry(&same)])).await;
    assert_eq!(refused.status, 400);
    assert!(
        refused
            .body
            .to_string()
            .contains("same definition URL 'http://e/one' already exists"),
        "{}",
        refused.body
    );
}

#[tokio::test]
async fn all_rows_of_a_type_are_made_again_when_asked_for() {
    let service = Service::anonymous(FhirVersion::R4).await;
    service
        .put("Patient/x", r#"{"resourceType":"Patient","id":"x","gender":"female"}"#)
        .await;
    let body =
        json!({"resourceType": "Parameters", "parameter": [{"name": "targetResourceTypes", "valueString": "Patient"}]});
    let begun = service.post("$reindex", &body.to_string()).await;
    let job = completed(&service, begun.text("/id")).await;
    assert_eq!(value(&job, "resourcesSuccessfullyReindexed"), 1);
    assert_eq!(ids(&service, "Patient?gender=female").await, ["x"]);
}

/// The job, once it is done.
async fn completed(service: &Service, id: &str) -> Answer {
    let path = format!("_operations/reindex/{id}");
    loop {
        let job = service.get(&path).await;
        if value(&job, "status") == "Completed" {
            return job;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_asked_for_is_not_lost_in_a_reindex_that_waits() {
    let database = PostgresServer::shared().database();
    let service = Service::of(FhirVersion::R4, &database).await;
    service
        .put("Patient/x", r#"{"resourceType":"Patient","id":"x","gender":"female"}"#)
        .await;
    // what a new database begins by itself is done
    reindexed(&service).await;
    let options = StoreOptions {
        database: fhir_storage::Database::Postgres(fhir_storage::Url::new(database)),
        version: fhir_definitions::FhirVersion::R4,
        readers: 1,
        statement: Duration::from_secs(30),
    };
    let waiting = JobChange::Add(NewJob {
        id: "waiting".to_owned(),
        kind: "reindex",
        input: "{}".to_owned(),
        after: Duration::from_hours(1),
        merges: true,
    });
    let another = Store::open(&options).await.expect("open");
    another.change_job(waiting).await.expect("added");
    let body =
        json!({"resourceType": "Parameters", "parameter": [{"name": "targetResourceTypes", "valueString": "Patient"}]});
    let begun = service.post("$reindex", &body.to_string()).await;
    assert_ne!(begun.text("/id"), "waiting");
    let job = completed(&service, begun.text("/id")).await;
    assert_eq!(value(&job, "resourcesSuccessfullyReindexed"), 1);
}

/// A reindex that pauses after each resource, for as long as it takes to look at it.
#[rstest]
#[tokio::test]
async fn the_status_page_says_how_far_a_reindex_is(#[values(false, true)] postgres: bool) {
    let database = postgres.then(|| PostgresServer::shared().database());
    let settings = Settings {
        fhir_version: Some(FhirVersion::R4),
        anonymous: true,
        management: Some("127.0.0.1:0".to_owned()),
        ..Settings::default()
    };
    let service = match database {
        Some(database) => Service::on(Settings { database, ..settings }).await,
        None => Service::start(settings).await,
    };
    let page = format!("{}/status", service.management.as_deref().expect("management"));
    let status = async || -> Value {
        let page = service.client.get(&page).send().await.expect("answer");
        page.json().await.expect("JSON")
    };
    for id in ["a", "b", "c"] {
        patient(&service, id, "tier", json!({"valueString": "Gold"})).await;
    }
    // what a new database begins by itself is done, too
    reindexed(&service).await;
    assert_eq!(status().await.get("reindex"), None, "nothing to do");
    let slow = json!({"resourceType": "Parameters", "parameter": [
        {"name": "maximumNumberOfResourcesPerQuery", "valueInteger": 1},
        {"name": "queryDelayIntervalInMilliseconds", "valueInteger": 500_000},
        {"name": "targetResourceTypes", "valueString": "Patient"}]});
    let begun = service.post("$reindex", &slow.to_string()).await;
    assert_eq!(begun.status, 201, "{}", begun.body);
    let id = begun.text("/id").to_owned();
    let shown = loop {
        let shown = status().await["reindex"].clone();
        if shown["done"] == 1 {
            break shown;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(shown, json!({"id": id, "done": 1, "total": 3}));
    assert_eq!(service.delete(&format!("_operations/reindex/{id}")).await.status, 202);
    assert_eq!(status().await.get("reindex"), None, "it was stopped");
}

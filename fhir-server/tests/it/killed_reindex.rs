//! A reindex that is killed again and again, with writes beside it: every resource is found in the end.

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{Program, check, database};
use crate::search_parameters::parameter;

const RESOURCES: usize = 600;

fn patient(id: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "extension": [{"url": "http://e/tier", "valueString": "gold"}]})
}

async fn put(client: &Client, base: &str, path: &str, body: &Value) -> Option<StatusCode> {
    let request = client.put(format!("{base}/{path}"));
    let request = request.header("content-type", "application/fhir+json");
    let answer = request.body(body.to_string()).send().await.ok()?;
    Some(answer.status())
}

/// Resources that the open reindex is through with; `None`: there is none.
async fn done(program: &Program, id: &str) -> Option<u64> {
    let job = program.json(&format!("_operations/reindex/{id}")).await;
    let parameters = job["parameter"].as_array().cloned().unwrap_or_default();
    let value = |name: &str| parameters.iter().find(|parameter| parameter["name"] == name).cloned();
    let status = value("status")?["valueString"].as_str()?.to_owned();
    let open = matches!(status.as_str(), "Queued" | "Running");
    open.then(|| value("resourcesSuccessfullyReindexed")?["valueDecimal"].as_u64())
        .flatten()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_reindex_goes_on_and_misses_nothing() {
    let folder = TempDir::new().expect("folder");
    let mut program = Program::start(folder.path()).await;
    let entries: Vec<Value> = (0..RESOURCES)
        .map(|n| json!({"resource": patient(&format!("p{n}")), "request": {"method": "PUT", "url": format!("Patient/p{n}")}}))
        .collect();
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
    let request = program
        .client
        .post(&program.base)
        .header("content-type", "application/fhir+json");
    assert_eq!(
        request
            .body(bundle.to_string())
            .send()
            .await
            .expect("answered")
            .status(),
        StatusCode::OK
    );
    let stored = put(
        &program.client,
        &program.base,
        "SearchParameter/tier",
        &parameter("tier", "string"),
    )
    .await;
    assert_eq!(stored, Some(StatusCode::CREATED));
    // what the server has begun by itself goes on in small steps
    let slow = json!({"resourceType": "Parameters", "parameter": [
        {"name": "maximumNumberOfResourcesPerQuery", "valueInteger": 7},
        {"name": "queryDelayIntervalInMilliseconds", "valueInteger": 50},
        {"name": "targetResourceTypes", "valueString": "Patient"},
    ]});
    let request = program.client.post(format!("{}/$reindex", program.base));
    let request = request.header("content-type", "application/fhir+json");
    let begun: Value = request
        .body(slow.to_string())
        .send()
        .await
        .expect("answered")
        .json()
        .await
        .expect("JSON");
    let id = begun["id"].as_str().expect("a job").to_owned();
    let mut acknowledged = RESOURCES;
    for round in 1..4_u64 {
        // writes go on, and the kill comes somewhere in the middle
        for n in 0.. {
            let written = format!("w{round}-{n}");
            let answer = put(
                &program.client,
                &program.base,
                &format!("Patient/{written}"),
                &patient(&written),
            )
            .await;
            assert_eq!(answer, Some(StatusCode::CREATED));
            acknowledged += 1;
            if done(&program, &id).await.is_none_or(|done| done >= round * 70) {
                break;
            }
        }
        program.child.kill().expect("killed");
        program.child.wait().expect("its end");
        program = Program::start(folder.path()).await;
    }
    while done(&program, &id).await.is_some() {
        tokio::task::yield_now().await;
    }
    let found = program.json("Patient?tier=gold&_summary=count").await;
    assert_eq!(found["total"].as_u64(), Some(acknowledged as u64), "{found}");
    drop(program);
    check(&database(folder.path()));
}

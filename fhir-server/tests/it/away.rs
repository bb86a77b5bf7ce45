//! PostgreSQL goes away and comes back: nobody waits for ever, nobody is told what isn't so, and nothing has to be started
//! again.

use std::time::Duration;

use fhir_server_settings::{FhirVersion, Settings};
use reqwest::Method;
use serde_json::json;
use test_postgres::PostgresServer;

use crate::Service;
use crate::service::Answer;

/// Asks until the probe says this.
async fn ready(service: &Service, status: u16) {
    let asked = async { while service.exchange(Method::GET, "health/ready", &[], None).await.status != status {} };
    tokio::time::timeout(Duration::from_mins(2), asked)
        .await
        .expect("the probe says so");
}

fn settings(postgres: &PostgresServer) -> Settings {
    Settings {
        fhir_version: Some(FhirVersion::R4),
        database: postgres.database(),
        anonymous: true,
        ..Settings::default()
    }
}

fn patient(id: &str) -> String {
    json!({"resourceType": "Patient", "id": id, "active": true}).to_string()
}

fn assert_away(what: &str, answer: &Answer) {
    assert_eq!(answer.status, 503, "{what}: {}", answer.body);
    assert_eq!(answer.text("/resourceType"), "OperationOutcome", "{what}");
    assert_eq!(answer.text("/issue/0/code"), "transient", "{what}");
    assert!(!answer.header("retry-after").is_empty(), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_refused_while_the_database_is_away() {
    let postgres = PostgresServer::start();
    let service = Service::on(settings(&postgres)).await;
    for n in 0..5 {
        let created = service.put(&format!("Patient/p{n}"), &patient(&format!("p{n}"))).await;
        assert_eq!(created.status, 201, "{}", created.body);
    }
    ready(&service, 200).await;
    let first = service.get("Patient?active=true&_count=2").await;
    let links = first.body["link"].as_array().cloned().unwrap_or_default();
    let next = links
        .iter()
        .find(|link| link["relation"] == "next")
        .expect("a next page");
    let next = next["url"]
        .as_str()
        .and_then(|url| url.strip_prefix(&service.base))
        .expect("here");
    let next = next.trim_start_matches('/').to_owned();

    postgres.crash();
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}}]})
    .to_string();
    // twice: the first ones find their connections broken, the others find none
    for _ in 0..2 {
        for path in [
            "Patient/p0",
            "Patient/p0/_history/1",
            "Patient/p0/_history",
            "Patient?active=true",
            "Patient?_summary=count",
            &next,
        ] {
            assert_away(path, &service.get(path).await);
        }
        assert_away(
            "PUT",
            &service.put("Patient/p0", &patient("p0").replace("true", "false")).await,
        );
        assert_away("POST", &service.post("Patient", &patient("x")).await);
        assert_away("POST /", &service.post("", &bundle).await);
        assert_away("DELETE", &service.delete("Patient/p0").await);
        let condition = [("If-None-Exist", "_id=none")];
        let created = service
            .send(Method::POST, "Patient", &condition, Some(&patient("x")))
            .await;
        assert_away("POST if none exists", &created);
    }
    ready(&service, 503).await;
    assert_eq!(
        service.exchange(Method::GET, "health/live", &[], None).await.status,
        200
    );

    postgres.restart();
    ready(&service, 200).await;
    let second = service.get(&next).await;
    assert_eq!(second.status, 200, "{}", second.body);
    assert_eq!(second.text("/entry/0/resource/id"), "p2", "{}", second.body);
    assert_eq!(service.get("Patient/p0").await.status, 200);
    assert_eq!(service.get("Patient?active=true&_summary=count").await.body["total"], 5);
    let created = service.put("Patient/new", &patient("new")).await;
    assert_eq!(created.status, 201, "{}", created.body);
}

/// Whoever finds every connection in use is told to come again, and doesn't wait for those who have them.
#[tokio::test(flavor = "multi_thread")]
async fn too_few_connections_are_no_reason_to_wait_for_ever() {
    let postgres = PostgresServer::start();
    let settings = Settings {
        database_connections: 1,
        limits: serde_json::from_value(json!({"requestSeconds": 8})).expect("limits"),
        ..settings(&postgres)
    };
    let service = Service::on(settings.clone()).await;
    service.put("Patient/p", &patient("p")).await;
    let name = settings.database.rsplit('/').next().unwrap_or_default().to_owned();
    let postgres = std::sync::Arc::new(postgres);
    let (blocking, blocked) = (std::sync::Arc::clone(&postgres), name.clone());
    let lock = std::thread::spawn(move || {
        // nobody reads while it is held; cancelled below
        blocking.try_sql(
            &blocked,
            "BEGIN; LOCK TABLE res IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600)",
        );
    });
    let is_locked =
        "SELECT 1 / count(*) FROM pg_locks WHERE relation = 'res'::regclass AND mode = 'AccessExclusiveLock'";
    while !postgres.try_sql(&name, is_locked) {}
    let answers = futures::future::join_all((0..4).map(|_| service.get("Patient/p"))).await;
    let mut refused = 0;
    for answer in answers {
        match answer.status.as_u16() {
            429 => {
                assert_eq!(answer.text("/issue/0/code"), "throttled", "{}", answer.body);
                assert!(!answer.header("retry-after").is_empty());
                refused += 1;
            }
            status => assert_eq!(status, 408, "{}", answer.body),
        }
    }
    assert!(refused > 0);
    postgres.sql(&name, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()");
    lock.join().expect("no panic");
    let free = async { while service.get("Patient/p").await.status != 200 {} };
    tokio::time::timeout(Duration::from_mins(1), free)
        .await
        .expect("connections are free again");
}

//! Two servers on one PostgreSQL, and a PostgreSQL that goes away.

use std::collections::BTreeSet;
use std::sync::Arc;

use fhir_definitions::FhirVersion;
use fhir_storage::{
    Change, CommitError, Database, Effort, Guard, HistoryQuery, OpenError, Outcome, ReadError, Scope, Store,
    StoreOptions, Url, WriteSet,
};
use serde_json::{Value, json};
use test_postgres::PostgresServer;

use crate::fixture::{Engine, Fixture, open};

fn patient(id: &str, mrn: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "name": [{"family": "Ash"}],
        "identifier": [{"system": "http://mrn", "value": mrn}]})
}

/// The same criteria, written differently.
const SPELLINGS: [&str; 4] = [
    "identifier=http://mrn|7",
    "identifier=7",
    "identifier=http://mrn|7&family=ash",
    "family=ash&identifier=http://mrn|7,http://mrn|8",
];

#[tokio::test(flavor = "multi_thread")]
async fn conditional_creates_over_two_replicas_leave_one_resource() {
    let fixture = Arc::new(Fixture::new(Engine::Postgres).await);
    let other = open(&fixture.database).await;
    let mut creates = Vec::new();
    for n in 0..64 {
        let store = if n % 2 == 0 {
            Arc::clone(&fixture.store)
        } else {
            Arc::clone(&other)
        };
        let guard = Guard {
            plan: fixture.search("Patient", SPELLINGS[n / 2 % SPELLINGS.len()]).plan,
        };
        let set = WriteSet {
            guard: Some(guard),
            changes: vec![Change::Create {
                resource: fixture.prepare(&patient(&format!("p{n}"), "7")),
            }],
            ..WriteSet::default()
        };
        creates.push(tokio::spawn(async move { store.commit(set).await }));
    }
    let mut created = 0;
    for create in creates {
        match create.await.unwrap() {
            Ok(_) => created += 1,
            Err(CommitError::Exists(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(created, 1);
    assert_eq!(fixture.found("Patient", "").await.len(), 1);
}

/// Whoever asks for what is newer than the newest that it saw gets everything, in order, while two replicas write.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_polls_by_time_misses_nothing() {
    let fixture = Arc::new(Fixture::new(Engine::Postgres).await);
    let other = open(&fixture.database).await;
    let writers: Vec<_> = (0..6)
        .map(|writer| {
            let fixture = Arc::clone(&fixture);
            let store = if writer % 2 == 0 {
                Arc::clone(&fixture.store)
            } else {
                Arc::clone(&other)
            };
            tokio::spawn(async move {
                for n in 0..20 {
                    let change = if n % 3 == 0 {
                        fixture.put(&patient(&format!("shared{n}"), &format!("{writer}-{n}")))
                    } else {
                        let resource = fixture.prepare(&patient(&format!("w{writer}-{n}"), "1"));
                        Change::Create { resource }
                    };
                    let set = WriteSet {
                        changes: vec![change],
                        ..WriteSet::default()
                    };
                    store.commit(set).await.unwrap();
                }
            })
        })
        .collect();
    let mut seen = Vec::new();
    let mut last = 0;
    loop {
        let done = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let query = HistoryQuery {
            scope: Scope::System,
            access: fhir_search::Access::All,
            since: Some(last + 1),
            before: None,
            order: fhir_storage::Order::NewestFirst,
            count: 1_000,
            after: None,
        };
        let mut page = other.history(&query, Effort::Any).await.unwrap().entries;
        page.reverse();
        seen.extend(page.iter().map(|version| version.last_updated));
        last = seen.last().copied().unwrap_or_default();
        if done {
            break;
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(seen.len(), 6 * 20);
    assert!(seen.is_sorted());
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len());
    assert_eq!(fixture.check().await.problems, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_agree_and_see_each_others_writes() {
    let database = Database::Postgres(Url::new(PostgresServer::shared().database()));
    // both find it empty
    let (one, two) = tokio::join!(open(&database), open(&database));
    let fixture = Fixture::on(database, one);
    for n in 0..20 {
        let (first, second) = (&fixture.store, &two);
        let (writer, reader) = if n % 2 == 0 { (first, second) } else { (second, first) };
        let changes = vec![fixture.put(&patient("a", &n.to_string()))];
        let outcomes = writer
            .commit(WriteSet {
                changes,
                ..WriteSet::default()
            })
            .await
            .unwrap();
        let (Outcome::Created(written) | Outcome::Updated(written)) = outcomes[0] else {
            panic!("{outcomes:?}")
        };
        let read = reader.read("Patient", "a").await.unwrap().unwrap();
        assert_eq!(read.version, written.version);
        let plan = fixture
            .search("Patient", &format!("identifier=http://mrn|{n}&family=ash"))
            .plan;
        assert_eq!(reader.count(&plan, Effort::Any).await.unwrap(), 1);
        let plan = fixture.search("Patient", &format!("identifier={}", n - 1)).plan;
        assert_eq!(reader.count(&plan, Effort::Any).await.unwrap(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_version_or_a_newer_one_is_refused() {
    let server = PostgresServer::shared();
    let url = server.database();
    let name = url.rsplit('/').next().unwrap().to_owned();
    let options = |version| StoreOptions {
        database: Database::Postgres(Url::new(url.clone())),
        version,
        readers: 1,
        statement: std::time::Duration::from_mins(1),
    };
    Store::open(&options(FhirVersion::R4)).await.unwrap().close().await;
    let other = Store::open(&options(FhirVersion::Stu3)).await;
    assert!(matches!(other, Err(OpenError::OtherVersion { .. })), "{other:?}");
    let older = Fixture::on(
        Database::Postgres(Url::new(url.clone())),
        open(&Database::Postgres(Url::new(url.clone()))).await,
    );
    older.put_all(&[patient("before", "1")]).await;
    server.sql(&name, "SET fhir.schema = '99'; UPDATE service SET schema = 99");
    // it doesn't know what there is to write
    let refused = older.commit(vec![older.put(&patient("after", "1"))]).await;
    assert!(
        matches!(&refused, Err(CommitError::Storage(text)) if text.contains("newer schema")),
        "{refused:?}"
    );
    let newer = Store::open(&options(FhirVersion::R4)).await;
    assert!(matches!(newer, Err(OpenError::Newer { found: 99, .. })), "{newer:?}");
    let secret = Url::new("postgres://me:secret@host/x");
    assert!(!format!("{secret:?}").contains("secret"));
}

/// A set that the database itself refuses takes nobody with it.
#[tokio::test(flavor = "multi_thread")]
async fn texts_of_any_length_and_with_any_character_are_kept() {
    let fixture = Fixture::new(Engine::Postgres).await;
    let long = "ab".repeat(20_000);
    let resource = json!({"resourceType": "Patient", "id": "long", "name": [{"family": long}],
        "identifier": [{"system": "http://mrn", "value": long}]});
    let nul = json!({"resourceType": "Patient", "id": "nul", "name": [{"family": "a\0b"}],
        "identifier": [{"value": "c\0d"}]});
    fixture
        .put_all(&[resource.clone(), nul.clone(), patient("other", "1")])
        .await;
    assert_eq!(fixture.found("Patient", &format!("family={long}")).await, ["long"]);
    assert_eq!(
        fixture.found("Patient", &format!("family={}", &long[..300])).await,
        ["long"]
    );
    assert_eq!(
        fixture.found("Patient", &format!("family:exact={long}")).await,
        ["long"]
    );
    assert_eq!(fixture.found("Patient", &format!("identifier={long}")).await, ["long"]);
    assert_eq!(
        fixture.found("Patient", &format!("identifier={}x", &long[1..])).await,
        [""; 0]
    );
    let body = fixture.store.read("Patient", "nul").await.unwrap().unwrap().body;
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["name"], nul["name"]);
    let changed = json!({"resourceType": "Patient", "id": "nul", "name": [{"family": "a\0b", "given": ["d\0e"]}],
        "identifier": [{"value": "c\0d"}]});
    fixture.put_all(&[changed]).await;
    fixture.commit(vec![Fixture::delete("Patient", "long")]).await.unwrap();
    assert_eq!(fixture.found("Patient", &format!("identifier={long}")).await, [""; 0]);
    assert_eq!(fixture.check().await.problems, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_comes_back_is_used_again() {
    let server = PostgresServer::start();
    let database = Database::Postgres(Url::new(server.database()));
    let store = open(&database).await;
    let fixture = Fixture::on(database, store);
    fixture.put_all(&[patient("before", "1")]).await;
    assert_eq!(fixture.found("Patient", "family=ash").await, ["before"]);
    server.crash();
    let read = fixture.store.read("Patient", "before").await;
    assert!(matches!(read, Err(ReadError::Lost(_))), "{read:?}");
    let written = fixture.commit(vec![fixture.put(&patient("during", "2"))]).await;
    assert!(matches!(written, Err(CommitError::Lost(_))), "{written:?}");
    assert!(fixture.store.generation().await.is_err());
    server.restart();
    assert!(fixture.store.generation().await.is_ok());
    fixture.put_all(&[patient("after", "1")]).await;
    assert_eq!(
        fixture.found("Patient", "identifier=http://mrn|1").await,
        ["before", "after"]
    );
    // connections that wait for their next use break, too
    server.crash();
    server.restart();
    assert_eq!(
        fixture.found("Patient", "identifier=http://mrn|1").await,
        ["before", "after"]
    );
    assert_eq!(fixture.check().await.problems, [""; 0]);
}

//! Versions, preconditions, sets, the lock, what a restart finds.

use fhir_definitions::FhirVersion;
use fhir_storage::{
    Change, CommitError, Database, Expected, Guard, Kept, Kind, OpenError, Outcome, Store, StoreOptions, WriteSet,
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::fixture::{Engine, Fixture};

fn patient(id: &str, family: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "name": [{"family": family}]})
}

#[rstest]
#[tokio::test]
async fn a_resource_lives_changes_dies_and_comes_back(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let put = async |family: &str| fixture.commit(vec![fixture.put(&patient("a", family))]).await.unwrap()[0];
    assert!(matches!(put("One").await, Outcome::Created(w) if w.version == 1));
    assert!(matches!(put("Two").await, Outcome::Updated(w) if w.version == 2));
    assert!(matches!(put("Two").await, Outcome::Unchanged(w) if w.version == 2));
    assert_eq!(fixture.found("Patient", "family=one").await, [""; 0]);
    assert_eq!(fixture.found("Patient", "family=two").await, ["a"]);
    let deleted = fixture.commit(vec![Fixture::delete("Patient", "a")]).await.unwrap()[0];
    assert!(matches!(deleted, Outcome::Deleted(w) if w.version == 3));
    assert_eq!(fixture.found("Patient", "family=two").await, [""; 0]);
    assert_eq!(fixture.found("Patient", "").await, [""; 0]);
    assert_eq!(
        fixture.store.read("Patient", "a").await.unwrap().unwrap().kind,
        Kind::Deleted
    );
    assert_eq!(
        fixture.commit(vec![Fixture::delete("Patient", "a")]).await.unwrap()[0],
        Outcome::AlreadyDeleted
    );
    assert!(matches!(put("Three").await, Outcome::Created(w) if w.version == 4));
    let first: Value =
        serde_json::from_slice(&fixture.store.version("Patient", "a", 1).await.unwrap().unwrap().body).unwrap();
    assert_eq!(first["name"][0]["family"], "One");
    assert_eq!(first["meta"]["versionId"], "1");
    assert_eq!(fixture.check().await.problems, [""; 0]);

    let purge = Change::Delete {
        resource_type: "Patient".into(),
        id: "a".into(),
        expected: Expected::Any,
        hard: true,
        kept: Kept::Always,
    };
    assert_eq!(fixture.commit(vec![purge]).await.unwrap()[0], Outcome::Purged);
    assert!(fixture.store.read("Patient", "a").await.unwrap().is_none());
    assert!(fixture.store.version("Patient", "a", 1).await.unwrap().is_none());
    let report = fixture.check().await;
    assert_eq!((report.resources, report.superseded, report.problems.len()), (0, 0, 0));
}

#[rstest]
#[tokio::test]
async fn a_set_is_all_or_nothing(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let fixture = Fixture::new(engine).await;
    fixture.put_all(&[patient("taken", "Old")]).await;
    let changes = vec![
        fixture.put(&patient("new", "New")),
        fixture.put(&patient("taken", "Changed")),
        Change::Create {
            resource: fixture.prepare(&patient("taken", "Again")),
        },
    ];
    let error = fixture.commit(changes).await.unwrap_err();
    assert!(matches!(error, CommitError::IdTaken { id, .. } if id == "taken"));
    assert!(fixture.store.read("Patient", "new").await.unwrap().is_none());
    assert_eq!(
        fixture.store.read("Patient", "taken").await.unwrap().unwrap().version,
        1
    );
    // texts that the lost set brought are indexed again when they come back
    fixture.put_all(&[patient("new", "New")]).await;
    assert_eq!(fixture.found("Patient", "family=new").await, ["new"]);
    assert_eq!(fixture.check().await.problems, [""; 0]);
}

#[rstest]
#[tokio::test]
async fn a_stale_version_is_refused_and_a_neighbour_is_not(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let fixture = Fixture::new(engine).await;
    fixture.put_all(&[patient("a", "One"), patient("a", "Two")]).await;
    let stale = Change::Update {
        resource: fixture.prepare(&patient("a", "Three")),
        expected: Expected::Version(1),
        may_create: true,
    };
    let (refused, fine) = tokio::join!(
        fixture.commit(vec![stale]),
        fixture.commit(vec![fixture.put(&patient("b", "Other"))])
    );
    assert!(matches!(
        refused.unwrap_err(),
        CommitError::Conflict { current: Some(2), .. }
    ));
    assert!(matches!(fine.unwrap()[0], Outcome::Created(_)));
    let missing = Change::Update {
        resource: fixture.prepare(&patient("c", "None")),
        expected: Expected::Any,
        may_create: false,
    };
    assert!(matches!(
        fixture.commit(vec![missing]).await.unwrap_err(),
        CommitError::NotFound { .. }
    ));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn many_conditional_creates_of_one_thing_make_one(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let fixture = std::sync::Arc::new(Fixture::new(engine).await);
    let creates = (0..64).map(|n| {
        let fixture = std::sync::Arc::clone(&fixture);
        tokio::spawn(async move {
            let resource = json!({"resourceType": "Patient", "id": format!("p{n}"), "identifier": [{"system": "http://s", "value": "v"}]});
            let spelling = ["identifier=http://s|v", "identifier=v", "identifier=v,v", "identifier=v&active:missing=true"][n % 4];
            let guard = Some(Guard { plan: fixture.search("Patient", spelling).plan });
            let changes = vec![Change::Create { resource: fixture.prepare(&resource) }];
            fixture.store.commit(WriteSet {
                guard,
                changes,
                ..WriteSet::default()
            }).await
        })
    });
    let (mut created, mut existed) = (0, 0);
    for create in creates.collect::<Vec<_>>() {
        match create.await.unwrap() {
            Ok(_) => created += 1,
            Err(CommitError::Exists(_)) => existed += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((created, existed), (1, 63));
}

#[rstest]
#[tokio::test]
async fn times_are_unique_and_in_commit_order_over_restarts(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let mut fixture = Fixture::new(engine).await;
    let mut times = Vec::new();
    for round in 0..3 {
        for n in 0..50 {
            let outcome = fixture
                .commit(vec![fixture.put(&patient(&format!("p{n}"), &format!("Family{round}")))])
                .await
                .unwrap()[0];
            let (Outcome::Created(written) | Outcome::Updated(written)) = outcome else {
                panic!("{outcome:?}")
            };
            times.push(written.last_updated);
        }
        fixture.store.close().await;
        fixture.reopen().await;
    }
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
}

#[tokio::test]
async fn a_database_has_one_server_one_version_and_no_future() {
    let fixture = Fixture::new(Engine::Sqlite).await;
    let path = fixture.folder.path().join("test.db");
    let options = |version| StoreOptions {
        database: Database::Sqlite(path.clone()),
        version,
        readers: 1,
        statement: std::time::Duration::MAX,
    };
    assert!(matches!(
        Store::open(&options(FhirVersion::R4)).await,
        Err(OpenError::Locked(_))
    ));
    drop(fixture.store);
    assert!(matches!(
        Store::open(&options(FhirVersion::Stu3)).await,
        Err(OpenError::OtherVersion { .. })
    ));
    drop(Store::open(&options(FhirVersion::R4)).await.unwrap());
    let database = rusqlite::Connection::open(&path).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(
        Store::open(&options(FhirVersion::R4)).await,
        Err(OpenError::Newer { found: 99, .. })
    ));
}

#[tokio::test]
async fn a_database_of_something_else_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    let options = StoreOptions {
        database: Database::Sqlite(path.clone()),
        version: FhirVersion::R4,
        readers: 1,
        statement: std::time::Duration::MAX,
    };
    let database = rusqlite::Connection::open(&path).unwrap();
    for script in [
        "CREATE TABLE people (name TEXT)",
        "DROP TABLE people; PRAGMA application_id = 1",
    ] {
        database.execute_batch(script).unwrap();
        let opened = Store::open(&options).await;
        assert!(matches!(opened, Err(OpenError::Foreign(_))), "{script}");
        let mode: String = database.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
        assert_eq!(mode, "delete", "{script}");
    }
    database.execute_batch("PRAGMA application_id = 0").unwrap();
    drop(database);
    drop(Store::open(&options).await.unwrap());
}

#[tokio::test]
async fn the_log_is_folded_into_the_database_while_writes_go_on() {
    let fixture = Fixture::new(Engine::Sqlite).await;
    // text that doesn't compress: 40 MB of it
    let mut noise = 1_u64;
    for n in 0..200 {
        let text: String = std::iter::repeat_with(|| {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            format!("{noise:016x}")
        })
        .take(25_000)
        .collect();
        let resource = json!({"resourceType": "Basic", "id": format!("b{n}"), "extension": [{"url": "http://e/n", "valueString": text}]});
        fixture.put_all(&[resource]).await;
    }
    let size = |name: &str| std::fs::metadata(fixture.folder.path().join(name)).unwrap().len();
    let (database, log) = (size("test.db"), size("test.db-wal"));
    assert!(database > 16 << 20, "the database has {database} bytes");
    assert!(log < 24 << 20, "the log has {log} bytes");
}

#[tokio::test]
async fn a_closed_database_is_one_file() {
    let fixture = Fixture::new(Engine::Sqlite).await;
    fixture.put_all(&[json!({"resourceType": "Patient", "id": "p"})]).await;
    // whoever still holds the store doesn't hold the database
    fixture.store.close().await;
    assert!(!fixture.folder.path().join("test.db-wal").exists());
}

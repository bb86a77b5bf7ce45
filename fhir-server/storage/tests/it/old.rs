//! Databases of earlier layouts open, and everything in them is found.
//!
//! `old/rows.sql` are the rows that a server with the schemas SQLite 3 and PostgreSQL 1 wrote for a few resources.

use fhir_storage::{Database, Url};
use rstest::rstest;
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;
use test_postgres::PostgresServer;

use crate::fixture::{Engine, Fixture, open};

const ROWS: &str = include_str!("old/rows.sql");
const SQLITE: [&str; 3] = [
    include_str!("../../src/sqlite/schema/0001.sql"),
    include_str!("../../src/sqlite/schema/0002.sql"),
    include_str!("../../src/sqlite/schema/0003.sql"),
];
const POSTGRES: &str = include_str!("../../src/postgres/schema/0001.sql");

fn old(engine: Engine, folder: &TempDir) -> Database {
    match engine {
        Engine::Sqlite => {
            let path = folder.path().join("old.db");
            let database = Connection::open(&path).expect("a file");
            for script in SQLITE {
                database.execute_batch(script).expect("the schema");
            }
            let service = "INSERT INTO service (one, fhir_version, clock, next_pk) VALUES (1, 'R4', 0, 1);";
            let rows = ROWS.replace("chr(31)", "char(31)");
            database.execute_batch(&format!("{service}{rows}")).expect("the rows");
            database.pragma_update(None, "user_version", 3).expect("a number");
            Database::Sqlite(path)
        }
        Engine::Postgres => {
            let server = PostgresServer::shared();
            let url = server.database();
            let name = url.rsplit('/').next().and_then(|name| name.split('?').next());
            let service = "INSERT INTO service VALUES (1, 1, 'R4', 0, 1, 0, 1);";
            let rows = ROWS.replace(" x'", " '\\x").replace(
                "INTO val (id, text) VALUES",
                "INTO val (id, text) OVERRIDING SYSTEM VALUE VALUES",
            );
            let next = "SELECT setval('val_id_seq', (SELECT max(id) FROM val));";
            let sql = format!("{POSTGRES}{service}{rows}{next}");
            server.sql(name.expect("a name"), &sql);
            Database::Postgres(Url::new(url))
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_the_first_layout_opens_and_finds(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(false, true)] again: bool,
) {
    let folder = tempfile::tempdir().expect("a folder");
    let database = old(engine, &folder);
    let store = open(&database).await;
    let mut fixture = Fixture::on(database, store);
    if again {
        fixture.store.close().await;
        fixture.reopen().await;
    }
    let jobs = fixture.store.jobs("reindex").await.expect("jobs");
    assert_eq!(jobs.len(), 1, "what nobody reads any more is taken away");
    assert!(jobs[0].input.contains("Observation"), "{}", jobs[0].input);
    if again {
        fixture.refill().await;
        assert_eq!(fixture.check().await.problems, [""; 0]);
    }
    let everything = ["o1", "o2", "o3", "o4", "o5"];
    for (of, query, expected) in [
        ("Observation", "", &everything[..]),
        ("Observation", "code=8867-4", &["o1", "o2"]),
        ("Observation", "code=http://loinc.org|8867-4", &["o1"]),
        ("Observation", "code=http://s|", &["o2", "o3"]),
        ("Observation", "code=http://only|", &["o4"]),
        ("Observation", "code=|H", &["o3"]),
        ("Observation", "code=H", &["o3"]),
        ("Observation", "code=m,s", &["o3", "o4"]),
        ("Observation", "combo-code=http://s|", &["o1", "o2", "o3"]),
        ("Observation", "combo-code:not=8867-4", &["o3", "o4", "o5"]),
        ("Observation", "combo-value-quantity=5||pH", &["o1"]),
        ("Observation", "combo-code-value-quantity=b$5", &["o1"]),
        ("Observation", "combo-code-value-quantity=new$2", &["o5"]),
        ("Observation", "code:not=8867-4", &["o3", "o4", "o5"]),
        ("Observation", "code=new", &["o5"]),
        ("Observation", "code=old,gone", &[]),
        ("Observation", "code:text=heart", &everything),
        ("Observation", "value-quantity=7.4||pH", &["o2"]),
        ("Observation", "value-quantity=3||cm", &["o4"]),
        ("Observation", "component-code-value-quantity=http://s|$5", &["o1"]),
        ("Observation", "code-value-quantity=H$3", &["o3"]),
        ("Observation", "subject:identifier=http://mrn|7", &["o4"]),
        ("Observation", "subject:identifier=7", &["o4"]),
        (
            "Observation",
            "patient.identifier=http://empty|",
            &["o1", "o2", "o3", "o5"],
        ),
        ("Observation", "_sort=-code", &["o3", "o5", "o4", "o1", "o2"]),
        ("Patient", "identifier=7", &["p1"]),
        ("Patient", "identifier=http://mrn|", &["p1"]),
        ("Patient", "_tag=bare", &["p2"]),
        ("Patient", "_tag=http://tags|", &["p2"]),
        ("Patient", "gender=male", &["p1"]),
        ("Patient/p1/Observation", "", &["o1", "o2", "o3", "o5"]),
    ] {
        assert_eq!(fixture.found(of, query).await, expected, "{of}?{query}");
    }
    let changed = json!({"resourceType": "Observation", "id": "o2", "status": "final",
        "code": {"coding": [{"system": "http://s", "code": "later"}]}});
    fixture.put_all(&[changed]).await;
    assert_eq!(fixture.found("Observation", "code=8867-4").await, ["o1"]);
    assert_eq!(fixture.found("Observation", "code=http://s|").await, ["o2", "o3"]);
    fixture.refill().await;
    assert_eq!(fixture.check().await.problems, [""; 0]);
}

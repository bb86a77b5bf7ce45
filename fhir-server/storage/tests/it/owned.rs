//! What is kept together with a resource's owner: always what the other rows say.

use fhir_storage::{Change, Database, Expected, Kept};
use rstest::rstest;
use serde_json::{Value, json};
use test_postgres::PostgresServer;

use crate::fixture::{Engine, Fixture};

fn observation(id: &str, subject: &str, rest: &Value) -> Value {
    let mut observation = json!({"resourceType": "Observation", "id": id, "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}, {"code": "pulse"}]},
        "subject": {"reference": subject}});
    for (name, value) in rest.as_object().into_iter().flatten() {
        observation[name] = value.clone();
    }
    observation
}

/// Of one owner and of several, with one date, none, a long one and two.
fn resources() -> Vec<Value> {
    vec![
        observation("a", "Patient/p", &json!({"effectiveDateTime": "2020-01-01T10:00:00Z"})),
        observation("b", "Patient/p", &json!({})),
        observation(
            "c",
            "Patient/q",
            &json!({"effectivePeriod": {"start": "2019-05-01"},
            "performer": [{"reference": "Patient/p"}]}),
        ),
        observation(
            "d",
            "Patient/p",
            &json!({"effectiveTiming": {"event": ["2018-01-01", "2018-03-01"],
            "repeat": {"boundsPeriod": {"start": "2021-01-01", "end": "2021-02-01"}}}}),
        ),
        observation("e", "Group/g", &json!({"effectiveDateTime": "2017"})),
        json!({"resourceType": "Coverage", "id": "f", "status": "active", "beneficiary": {"reference": "Patient/p"},
            "type": {"coding": [{"code": "PAY"}]}, "payor": [{"reference": "Patient/q"}]}),
        json!({"resourceType": "Patient", "id": "p", "link": [{"other": {"reference": "Patient/q"}, "type": "seealso"}]}),
    ]
}

/// Runs SQL beside the store, which is closed.
fn sql(fixture: &Fixture, text: &str) {
    match &fixture.database {
        Database::Sqlite(path) => rusqlite::Connection::open(path).unwrap().execute_batch(text).unwrap(),
        Database::Postgres(_) => PostgresServer::shared().sql(&fixture.name, text),
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn rows_of_owners_follow_every_change(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let agree = async |what: &str| assert_eq!(fixture.check().await.problems, [""; 0], "{what}");
    fixture.put_all(&resources()).await;
    agree("creates").await;
    let of_p = async |query: &str| fixture.found("Observation", query).await;
    assert_eq!(of_p("patient=p&code=pulse").await, ["a", "b", "d"]);
    let changed = [
        observation("a", "Patient/q", &json!({"effectiveDateTime": "2020-01-01T10:00:00Z"})),
        observation("b", "Patient/p", &json!({"effectiveDateTime": "2022"})),
        observation(
            "d",
            "Patient/p",
            &json!({"effectiveDateTime": "2018-01-01", "code": {"coding": [{"code": "x"}]}}),
        ),
    ];
    fixture.put_all(&changed).await;
    agree("updates").await;
    assert_eq!(of_p("patient=p&code=pulse").await, ["b"]);
    assert_eq!(of_p("patient=q&code=pulse").await, ["a", "c"]);
    fixture.commit(vec![Fixture::delete("Observation", "a")]).await.unwrap();
    agree("a delete").await;
    fixture.put_all(&[observation("a", "Patient/p", &json!({}))]).await;
    agree("one who is there again").await;
    let hard = |id: &str| Change::Delete {
        resource_type: "Observation".to_owned(),
        id: id.to_owned(),
        expected: Expected::Any,
        hard: true,
        kept: Kept::Always,
    };
    fixture.commit(vec![hard("a"), hard("c")]).await.unwrap();
    agree("hard deletes").await;
    assert_eq!(of_p("patient=p&code=pulse").await, ["b"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_rows_of_owners_gets_them_when_it_opens(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let mut fixture = Fixture::new(engine).await;
    fixture.put_all(&resources()).await;
    fixture.commit(vec![Fixture::delete("Observation", "b")]).await.unwrap();
    fixture.store.close().await;
    // as it was before there were any
    sql(
        &fixture,
        "DELETE FROM ix_owner_date; DELETE FROM ix_owner_exact; DELETE FROM owned",
    );
    fixture.reopen().await;
    assert_eq!(fixture.check().await.problems, [""; 0]);
    fixture.store.close().await;
    // as other parameters made them
    sql(
        &fixture,
        "UPDATE owned SET patient = 0; UPDATE ix_owner_exact SET via = 5; UPDATE ix_owner_date SET via = 5",
    );
    fixture.reopen().await;
    assert_eq!(fixture.check().await.problems, [""; 0]);
}

#[rstest]
#[case::one_is_missing("DELETE FROM ix_owner_date WHERE pk = 1")]
#[case::one_is_wrong("UPDATE ix_owner_exact SET via = 1 WHERE pk = 1")]
#[case::one_too_many("INSERT INTO ix_owner_exact (param, val, owner, pk, via) VALUES (1, 1, 1, 1, 1)")]
#[tokio::test(flavor = "multi_thread")]
async fn check_finds_rows_of_owners_that_disagree(
    #[case] damage: &str,
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let mut fixture = Fixture::new(engine).await;
    fixture.put_all(&resources()).await;
    fixture.store.close().await;
    sql(&fixture, damage);
    fixture.reopen().await;
    assert_ne!(fixture.check().await.problems, [""; 0]);
}

/// However many there are, and wherever they are among the resources of their type.
#[rstest]
#[case::few(0, 4)]
#[case::most_of_all(5, 100)]
#[case::behind_many_others(600, 70)]
#[tokio::test(flavor = "multi_thread")]
async fn owners_are_found_in_their_own_order(
    #[case] others: usize,
    #[case] owners: usize,
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let fixture = Fixture::new(engine).await;
    let id = |n: usize| format!("p{n:03}");
    let people = (0..others + owners).map(|n| fixture.put(&json!({"resourceType": "Patient", "id": id(n)})));
    fixture.commit(people.collect()).await.unwrap();
    // rows of owners begin with the last one
    let owned = (others..others + owners).rev().flat_map(|n| {
        let subject = format!("Patient/{}", id(n));
        [0, 1].map(|k| fixture.put(&observation(&format!("o{n}-{k}"), &subject, &json!({}))))
    });
    fixture.commit(owned.collect()).await.unwrap();
    let (stays, goes) = (id(others), id(others + owners - 1));
    let performer =
        json!({"performer": [{"reference": format!("Patient/{stays}")}], "code": {"coding": [{"code": "x"}]}});
    fixture
        .put_all(&[observation("performed", "Group/g", &performer)])
        .await;
    fixture.commit(vec![Fixture::delete("Patient", &goes)]).await.unwrap();
    let wanted: Vec<_> = (others..others + owners - 1).map(id).collect();
    for query in [
        "_has:Observation:patient:code=pulse&_count=7",
        "_has:Observation:subject:code=http://loinc.org|8867-4,pulse&_count=100",
        "_has:Observation:patient:code=pulse&_has:Observation:patient:status=final&_count=40",
    ] {
        assert_eq!(fixture.found("Patient", query).await, wanted, "{query}");
    }
    for nobody in ["code=none", "code=x"] {
        let found = fixture
            .found("Patient", &format!("_has:Observation:patient:{nobody}"))
            .await;
        assert_eq!(found, [""; 0], "{nobody}");
    }
}

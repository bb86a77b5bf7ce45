//! Index rows that are made after their resources, definitions by generation, jobs.

use std::time::Duration;

use fhir_definitions::{ParamKind, SearchParameter, StoredParameter};
use fhir_resource::stored;
use fhir_search::{Extractor, InForce, ParamId, Parameters, Readiness};
use fhir_storage::{
    CommitError, DefinitionChange, Effort, Filling, JobChange, JobStatus, NewDefinition, NewJob, State, WriteSet,
};
use rstest::rstest;
use serde_json::json;

use crate::fixture::{Engine, Fixture};

fn change(generation: u64, add: &[&str], ready: &[u32], retire: &[u32]) -> WriteSet {
    let add = add.iter().map(|text| NewDefinition {
        owner: "tier".to_owned(),
        definition: (*text).to_owned(),
    });
    WriteSet {
        definitions: Some(DefinitionChange {
            generation,
            add: add.collect(),
            ready: ready.to_vec(),
            retire: retire.to_vec(),
        }),
        ..WriteSet::default()
    }
}

fn parameters(fixture: &Fixture, generation: u64, number: u32) -> Parameters {
    let tier = StoredParameter {
        number,
        url: "http://e/tier".to_owned(),
        code: "tier".to_owned(),
        kind: ParamKind::String,
        base: "Patient".to_owned(),
        expression: "Patient.extension('http://e/tier').value".to_owned(),
        targets: Vec::new(),
        components: Vec::new(),
    };
    let tier = SearchParameter::stored(fixture.definitions.version(), tier);
    Parameters::new(fixture.definitions, generation, vec![(tier, Readiness::Ready)])
}

fn patient(id: &str, tier: &str) -> serde_json::Value {
    json!({"resourceType": "Patient", "id": id, "extension": [{"url": "http://e/tier", "valueString": tier}]})
}

#[rstest]
#[tokio::test]
async fn a_number_stands_for_one_definition_and_a_set_for_one_generation(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let fixture = Fixture::new(engine).await;
    let store = &fixture.store;
    store.commit(change(0, &["one", "two"], &[], &[])).await.expect("added");
    let in_use = store.definitions().await.expect("definitions");
    let known: Vec<_> = in_use
        .stored
        .iter()
        .map(|own| (own.number, own.definition.as_str(), own.state))
        .collect();
    assert_eq!(
        (in_use.generation, known),
        (1, vec![(1, "one", State::Filling), (2, "two", State::Filling)])
    );
    // decided on what isn't so any more
    let late = store.commit(change(0, &["three"], &[], &[])).await;
    assert!(matches!(late, Err(CommitError::Outdated(_))), "{late:?}");
    // keys that lack a parameter
    let lacking = fixture.commit(vec![fixture.put(&patient("a", "gold"))]).await;
    assert!(matches!(lacking, Err(CommitError::Outdated(_))), "{lacking:?}");
    store.commit(change(1, &[], &[1], &[2])).await.expect("settled");
    assert!(store.sweep(2).await.expect("swept"));
    // a number that was used is never given again
    store.commit(change(2, &["three"], &[], &[])).await.expect("added");
    let in_use = store.definitions().await.expect("definitions");
    let known: Vec<_> = in_use.stored.iter().map(|own| (own.number, own.state)).collect();
    assert_eq!(known, [(1, State::Ready), (3, State::Filling)]);
}

#[rstest]
#[tokio::test]
async fn rows_are_filled_for_the_version_that_was_read_and_swept(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let fixture = Fixture::new(engine).await;
    let store = &fixture.store;
    fixture
        .commit(vec![
            fixture.put(&patient("a", "gold")),
            fixture.put(&patient("b", "gold")),
        ])
        .await
        .expect("there");
    let pages = store.scan("Patient", 0, 10).await.expect("a page");
    store.commit(change(0, &["tier"], &[], &[])).await.expect("added");
    let extractor = Extractor::following(InForce::new(parameters(&fixture, 1, 1)), Vec::new());
    let of = fixture.definitions.resource_type("Patient").expect("a type");
    let keys = |body: &[u8]| extractor.keys(of, stored::parse(body).expect("JSON").root());
    let filling = |version: u32| {
        let each = pages.iter().map(|scanned| Filling {
            pk: scanned.pk,
            version,
            keys: keys(&scanned.stored),
        });
        each.collect::<Vec<_>>()
    };
    let find = async || {
        let tier = fhir_search::plan::TextTest::StartsWith("gold".to_owned());
        let param = ParamId::of(
            parameters(&fixture, 1, 1)
                .searched(of)
                .last()
                .expect("the last is ours"),
        );
        let plan = fhir_search::Plan {
            types: ["Patient".to_owned()].into(),
            filters: vec![fhir_search::Filter::Text(param, tier)],
            sort: fhir_search::Sort::Creation,
        };
        store.count(&plan, Effort::Any).await.expect("a count")
    };
    // somebody has changed them since: they have their rows
    assert!(store.fill(filling(7), &[1]).await.expect("passed over").is_empty());
    assert_eq!(find().await, 0);
    assert!(store.fill(filling(1), &[2]).await.expect("others' rows").is_empty());
    assert_eq!(find().await, 0);
    for _ in 0..2 {
        assert!(store.fill(filling(1), &[1]).await.expect("filled").is_empty());
        assert_eq!(find().await, 2);
    }
    store.commit(change(1, &[], &[], &[1])).await.expect("retired");
    // of another generation
    assert_eq!(store.fill(filling(1), &[1]).await.expect("given back").len(), 2);
    while !store.sweep(1).await.expect("swept") {}
    assert_eq!(find().await, 0);
    assert_eq!(store.definitions().await.expect("definitions").stored, []);
}

const LONG: Duration = Duration::from_hours(1);

fn job(id: &str, merges: bool, after: Duration) -> JobChange {
    JobChange::Add(NewJob {
        id: id.to_owned(),
        kind: "test",
        input: String::new(),
        after,
        merges,
    })
}

fn claim(owner: &str, lease: Duration) -> JobChange {
    JobChange::Claim {
        kind: "test",
        owner: owner.to_owned(),
        lease,
    }
}

fn advance(id: &str, owner: &str, done: u64, lease: Duration) -> JobChange {
    JobChange::Advance {
        id: id.to_owned(),
        owner: owner.to_owned(),
        lease,
        position: "there".to_owned(),
        done,
        total: 9,
    }
}

#[rstest]
#[tokio::test]
async fn a_job_has_one_worker_until_that_one_is_silent(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let fixture = Fixture::new(engine).await;
    let change = async |change| fixture.store.change_job(change).await.expect("changed");
    change(job("one", true, Duration::ZERO)).await;
    let merged = change(job("two", true, Duration::ZERO)).await.expect("the first");
    assert_eq!(merged.id, "one");
    change(job("later", false, LONG)).await;
    let claimed = change(claim("a", LONG)).await.expect("a job");
    assert_eq!((claimed.id.as_str(), claimed.status), ("one", JobStatus::Running));
    assert_eq!(change(claim("b", LONG)).await, None, "nothing else is due");
    assert_eq!(change(advance("one", "b", 1, LONG)).await, None, "it isn't theirs");
    let advanced = change(advance("one", "a", 4, LONG)).await.expect("theirs");
    assert_eq!(
        (advanced.position.as_str(), advanced.done, advanced.total),
        ("there", 4, 9)
    );

    // its time is over
    change(advance("one", "a", 4, Duration::ZERO)).await.expect("theirs");
    let taken = change(claim("b", LONG)).await.expect("the job of the dead");
    assert_eq!(
        (taken.id.as_str(), taken.position.as_str(), taken.done),
        ("one", "there", 4)
    );
    assert_eq!(change(advance("one", "a", 5, LONG)).await, None, "it was taken over");
    let cancelled = change(JobChange::Cancel { id: "one".to_owned() })
        .await
        .expect("it was open");
    assert_eq!(cancelled.status, JobStatus::Cancelled);
    assert_eq!(change(advance("one", "b", 5, LONG)).await, None, "it is over");
    assert_eq!(change(JobChange::Cancel { id: "one".to_owned() }).await, None);
    let jobs = fixture.store.jobs("test").await.expect("jobs");
    let ids: Vec<_> = jobs.iter().map(|job| job.id.as_str()).collect();
    assert_eq!(ids, ["later", "one"], "what is open comes first");
}

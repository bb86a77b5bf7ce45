//! Several exact conditions, and chains that end at few resources: what leads is chosen by numbers of hits, what is found
//! isn't.

use rstest::rstest;
use serde_json::{Value, json};

use crate::fixture::{Engine, Fixture};

/// Observations of a few patients; more of one code than of the others.
const OBSERVATIONS: usize = 240;

fn code(n: usize) -> &'static str {
    ["common", "common", "common", "rare"][n % 4]
}

fn status(n: usize) -> &'static str {
    ["final", "amended", "final"][n % 3]
}

fn patient(n: usize) -> usize {
    // the first one has most of them
    if n.is_multiple_of(5) { 1 + n / 5 % 3 } else { 0 }
}

fn data() -> Vec<Value> {
    let patients = (0..4).map(|n| {
        let kin = if n < 2 { "Twin" } else { "Other" };
        json!({"resourceType": "Patient", "id": format!("p{n}"), "name": [{"family": kin}],
            "identifier": [{"system": "http://mrn", "value": format!("m{n}")}]})
    });
    let observations = (0..OBSERVATIONS).map(|n| {
        json!({"resourceType": "Observation", "id": format!("o{n}"), "status": status(n),
            "code": {"coding": [{"system": "http://codes", "code": code(n)}]},
            "subject": {"reference": format!("Patient/p{}", patient(n))},
            "effectiveDateTime": format!("20{:02}-01-01", n % 60)})
    });
    patients.chain(observations).collect()
}

type Test = fn(usize) -> bool;

#[rstest]
#[case::two("patient=p0&code=rare", |n| patient(n) == 0 && code(n) == "rare")]
#[case::two_with_few_in_both("patient=p1&code=http://codes|rare", |n| patient(n) == 1 && code(n) == "rare")]
#[case::three("patient=p2&code=common&status=final", |n| patient(n) == 2 && code(n) == "common" && status(n) == "final")]
#[case::and_a_range("patient=p0&code=rare&date=ge2030", |n| patient(n) == 0 && code(n) == "rare" && n % 60 >= 30)]
#[case::and_not("patient=p1&code=common&status:not=final", |n| patient(n) == 1 && code(n) == "common" && status(n) != "final")]
#[case::nothing_in_both("patient=p1&code=common&code=rare", |_| false)]
#[case::chain_to_one("patient.identifier=http://mrn|m1", |n| patient(n) == 1)]
#[case::chain_to_one_and_a_code("patient.identifier=m0&code=rare", |n| patient(n) == 0 && code(n) == "rare")]
#[case::chain_to_two("patient.family=twin", |n| patient(n) < 2)]
#[case::chain_to_nobody("patient.family=nobody", |_| false)]
#[case::chain_with_two_conditions("subject:Patient.family=twin&subject:Patient.identifier=m1", |n| patient(n) == 1)]
#[tokio::test]
async fn finds_what_holds(
    #[case] query: &str,
    #[case] holds: Test,
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let fixture = Fixture::new(engine).await;
    fixture.put_all(&data()).await;
    let wanted: Vec<_> = (0..OBSERVATIONS)
        .filter(|n| holds(*n))
        .map(|n| format!("o{n}"))
        .collect();
    for count in [100, 7] {
        let paged = format!("{query}&_count={count}");
        assert_eq!(fixture.found("Observation", &paged).await, wanted, "{paged}");
    }
    let mut sorted = fixture
        .found("Observation", &format!("{query}&_sort=-date&_count=9"))
        .await;
    assert!(sorted.is_sorted_by_key(|id| std::cmp::Reverse(id[1..].parse::<usize>().map(|n| n % 60).ok())));
    sorted.sort();
    let mut all = wanted;
    all.sort();
    assert_eq!(sorted, all, "{query}");
}

#[rstest]
#[case("_has:Observation:patient:code=rare", "p0 p1 p2 p3")]
#[case("_has:Observation:patient:status=amended&family=other", "p3")]
#[case("_has:Observation:patient:code=nothing", "")]
#[tokio::test]
async fn finds_each_of_those_that_many_refer_to_once(
    #[case] query: &str,
    #[case] ids: &str,
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let fixture = Fixture::new(engine).await;
    fixture.put_all(&data()).await;
    let wanted: Vec<_> = ids.split_whitespace().collect();
    assert_eq!(fixture.found("Patient", query).await, wanted);
}

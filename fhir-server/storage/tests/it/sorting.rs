//! The order of results by the values of parameters, in pages of any size.

use rstest::rstest;
use serde_json::{Value, json};

use crate::fixture::{Engine, Fixture};

fn data() -> Vec<Value> {
    let observation = |id: &str, code: &str, rest: Value| {
        let mut resource = json!({"resourceType": "Observation", "id": id, "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": code}]}});
        for (name, value) in rest.as_object().expect("members") {
            resource[name] = value.clone();
        }
        resource
    };
    vec![
        json!({"resourceType": "Patient", "id": "z", "birthDate": "1980-05", "name": [{"family": "beta"}, {"family": "Zeta"}]}),
        json!({"resourceType": "Patient", "id": "y", "birthDate": "1980-05-11", "name": [{"family": "Gamma"}]}),
        json!({"resourceType": "Patient", "id": "x", "birthDate": "1979", "name": [{"family": "álpha"}]}),
        json!({"resourceType": "Patient", "id": "w", "name": [{"family": "Beta"}]}),
        json!({"resourceType": "Patient", "id": "v", "gender": "female"}),
        observation(
            "o1",
            "b",
            json!({"valueQuantity": {"value": 5}, "effectiveDateTime": "2020-01-02"}),
        ),
        observation(
            "o2",
            "a",
            json!({"valueQuantity": {"value": -2}, "effectivePeriod": {"start": "2020-01-01", "end": "2020-03-01"}}),
        ),
        observation("o3", "a", json!({"valueQuantity": {"value": 10.5}})),
    ]
}

#[rstest]
#[case::text("Patient", "_sort=family", "v x z w y")]
#[case::text_backwards_by_its_last_value("Patient", "_sort=-family", "z y w x v")]
#[case::dates_by_their_begin("Patient", "_sort=birthdate", "w v x z y")]
#[case::dates_backwards_by_their_end("Patient", "_sort=-birthdate", "z y x w v")]
#[case::by_id("Patient", "_sort=_id", "v w x y z")]
#[case::by_id_backwards("Patient", "_sort=-_id", "z y x w v")]
#[case::two_keys("Patient", "_sort=gender,-_id", "z y x w v")]
#[case::two_keys_the_other_way("Patient", "_sort=-gender,_id", "v w x y z")]
#[case::with_a_filter("Patient", "family=beta&_sort=-_id", "z w")]
#[case::codes_then_numbers("Observation", "_sort=code,-value-quantity", "o3 o2 o1")]
#[case::numbers("Observation", "_sort=value-quantity", "o2 o1 o3")]
#[case::periods("Observation", "_sort=-date", "o2 o1 o3")]
#[case::last_change_and_more("Observation", "_sort=code,-_lastUpdated", "o3 o2 o1")]
#[case::in_a_compartment("Patient/z/Observation", "_sort=code", "")]
#[tokio::test]
async fn sorts(
    #[case] target: &str,
    #[case] query: &str,
    #[case] ids: &str,
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let fixture = Fixture::new(engine).await;
    fixture.put_all(&data()).await;
    let wanted: Vec<_> = ids.split_whitespace().collect();
    for count in [100, 2, 1] {
        let paged = format!("{query}&_count={count}");
        assert_eq!(fixture.found(target, &paged).await, wanted, "{target}?{paged}");
    }
}

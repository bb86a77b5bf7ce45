//! What is found by more than a value's own key: texts, types of identifiers, amounts in any unit, places, lists,
//! filter expressions; and queries with thousands of alternatives.

use rstest::rstest;
use serde_json::{Value, json};

use crate::fixture::{Engine, Fixture};

fn data() -> Vec<Value> {
    let quantity = |id: &str, value: &str, system: &str, code: &str| {
        let value: Value = serde_json::from_str(value).expect("a number");
        json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"coding": [{"code": "dose"}]},
            "valueQuantity": {"value": value, "system": system, "code": code, "unit": "text"},
            "component": [{"code": {"coding": [{"code": id}]}, "valueQuantity": {"value": value, "system": system, "code": code}}]})
    };
    let ucum = "http://unitsofmeasure.org";
    let location = |id: &str, latitude: f64, longitude: f64| json!({"resourceType": "Location", "id": id, "position": {"latitude": latitude, "longitude": longitude}});
    vec![
        json!({"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1980-05-11", "name": [{"family": "Peters", "given": ["Ann"]}],
            "identifier": [{"type": {"coding": [{"system": "http://t", "code": "MR"}], "text": "Medical record"}, "system": "http://mrn", "value": "12"},
                {"type": {"coding": [{"system": "http://t", "code": "SS"}]}, "value": "34"}]}),
        json!({"resourceType": "Patient", "id": "p2", "name": [{"family": "Opetz"}], "active": true,
            "managingOrganization": {"identifier": {"system": "http://org", "value": "7"}, "display": "Seven"}}),
        json!({"resourceType": "Condition", "id": "c1", "subject": {"reference": "Patient/p1"},
            "code": {"coding": [{"system": "http://s", "code": "42", "display": "Häufiger Kopfschmerz"}], "text": "Headache, frequent"}}),
        json!({"resourceType": "Condition", "id": "c2", "subject": {"reference": "Patient/p2"}, "code": {"text": "Migraine"},
            "recordedDate": "2020-02-03"}),
        json!({"resourceType": "Condition", "id": "c3", "subject": {"reference": "#inside"}, "contained": [{"resourceType": "Patient", "id": "inside"}]}),
        quantity("mg", "5.4", ucum, "mg"),
        quantity("g", "0.0054", ucum, "g"),
        quantity("kg", "5", ucum, "kg"),
        quantity("ph", "7.4", ucum, "[pH]"),
        quantity("own", "5.4", "http://units", "mg"),
        quantity("long", "1.234567890123456789012345678901234", ucum, "mL"),
        location("ann-arbor", 42.2565, -83.6948),
        location("detroit", 42.3314, -83.0458),
        location("fiji", -17.7, 179.9),
        json!({"resourceType": "Location", "id": "nowhere"}),
        json!({"resourceType": "List", "id": "l1", "status": "current", "mode": "working",
            "entry": [{"item": {"reference": "Patient/p2"}}, {"item": {"reference": "Condition/c1"}}]}),
        json!({"resourceType": "Encounter", "id": "e1", "status": "finished", "class": {"code": "AMB"}, "subject": {"reference": "Patient/p1"},
            "meta": {"source": "http://feed/1#m"}}),
        json!({"resourceType": "Questionnaire", "id": "q1", "status": "active", "url": "http://q/1", "title": "Intake"}),
        json!({"resourceType": "Questionnaire", "id": "q2", "status": "draft", "url": "http://q/12", "title": "Intake too"}),
        json!({"resourceType": "QuestionnaireResponse", "id": "r1", "status": "completed", "questionnaire": "http://q/1|2"}),
        json!({"resourceType": "QuestionnaireResponse", "id": "r2", "status": "amended", "questionnaire": "http://q/3"}),
    ]
}

#[rstest]
#[case::display("Condition", "code:text=haufiger", "c1")]
#[case::text("Condition", "code:text=HEADACHE\\, freq", "c1")]
#[case::begins_with("Condition", "code:text=frequent", "")]
#[case::several_texts("Condition", "code:text=headache,migr", "c1 c2")]
#[case::type_of_identifier("Patient", "identifier:text=medical", "p1")]
#[case::a_text_is_a_value("Condition", "code:missing=true", "c3")]
#[case::so_is_any_reference("Condition", "subject:missing=true", "")]
#[case::of_type("Patient", "identifier:of-type=http://t|MR|12", "p1")]
#[case::of_another_type("Patient", "identifier:of-type=http://t|SS|12", "")]
#[case::identifier_of_a_reference("Patient", "organization:identifier=http://org|7", "p2")]
#[case::by_its_value("Patient", "organization:identifier=7", "p2")]
#[case::by_its_system("Patient", "organization:identifier=http://org|", "p2")]
#[case::behind_a_chain("Condition", "subject:Patient.organization:identifier=http://org|7", "c2")]
#[case::along_a_canonical("QuestionnaireResponse", "questionnaire.title=intake", "r1")]
#[case::along_a_canonical_tested("QuestionnaireResponse", "questionnaire.title:contains=ntake&status=completed", "r1")]
#[case::to_another_one("QuestionnaireResponse", "questionnaire.title=other", "")]
#[case::back_along_a_canonical("Questionnaire", "_has:QuestionnaireResponse:questionnaire:status=completed", "q1")]
#[case::back_and_tested(
    "Questionnaire",
    "_has:QuestionnaireResponse:questionnaire:status:not=amended&status=active",
    "q1"
)]
#[case::nothing_leads_back("Questionnaire", "_has:QuestionnaireResponse:questionnaire:status=amended", "")]
#[case::source("Encounter", "_source=http://feed/1#m", "e1")]
// amounts in any unit of the same dimension
#[case("Observation", "value-quantity=5.4|http://unitsofmeasure.org|mg", "mg g")]
#[case("Observation", "value-quantity=0.0054|http://unitsofmeasure.org|g", "mg g")]
#[case("Observation", "value-quantity=5|http://unitsofmeasure.org|mg", "mg g")]
#[case("Observation", "value-quantity=gt1|http://unitsofmeasure.org|g", "kg")]
#[case("Observation", "value-quantity=le0.0054|http://unitsofmeasure.org|g", "mg g")]
#[case("Observation", "value-quantity=ne5000000|http://unitsofmeasure.org|mg", "mg g")]
#[case("Observation", "value-quantity=7.4|http://unitsofmeasure.org|[pH]", "ph")]
#[case("Observation", "value-quantity=5.4||mg", "mg own")]
#[case("Observation", "value-quantity=5.4|http://units|mg", "own")]
#[case("Observation", "value-quantity=5.4", "mg own")]
#[case(
    "Observation",
    "value-quantity=1.234567890123456789012345678901234e-3|http://unitsofmeasure.org|L",
    "long"
)]
#[case(
    "Observation",
    "value-quantity=gt1.234567890123456789012345678901233|http://unitsofmeasure.org|mL",
    "long"
)]
#[case(
    "Observation",
    "value-quantity=gt1.234567890123456789012345678901234|http://unitsofmeasure.org|mL",
    ""
)]
#[case(
    "Observation",
    "component-code-value-quantity=g$5.4|http://unitsofmeasure.org|mg",
    "g"
)]
// places
#[case("Location", "near=42.2565|-83.6948|1|km", "ann-arbor")]
#[case("Location", "near=42.2565|-83.6948|54.1|km", "ann-arbor detroit")]
#[case("Location", "near=42.2565|-83.6948|54|km", "ann-arbor")]
#[case("Location", "near=42.2565|-83.6948|34|[mi_i]", "ann-arbor detroit")]
#[case("Location", "near=-17.7|-179.9|30", "fiji")]
#[case("Location", "near=90|0|20100000|m", "ann-arbor detroit fiji")]
#[case("Location", "near=42.2565|-83.6948|1|km,-17.7|179.9", "ann-arbor fiji")]
#[case("Location", "near:missing=true", "nowhere")]
// lists
#[case("Patient", "_list=l1", "p2")]
#[case("Patient", "_list=List/l1&gender=female", "")]
#[case("Condition", "_list=l1", "c1")]
#[case("Condition", "_list=nothing", "")]
#[case("", "_list=l1", "p2 c1")]
#[case("", "_type=Patient,Condition&_list=l1", "p2 c1")]
#[case("Condition", "subject:Patient._list=l1", "c2")]
// filter expressions
#[case("Patient", r#"_filter=name co "pet""#, "p1 p2")]
#[case("Patient", r#"_filter=name sw "pet" and birthdate ge 1980-01-01"#, "p1")]
#[case("Patient", "_filter=family ew ETZ", "p2")]
#[case("Patient", "_filter=family eq OPETZ", "p2")]
#[case("Patient", "_filter=family eq opet", "")]
#[case("Patient", "_filter=family ne opetz", "p1")]
#[case("Patient", "_filter=gender eq female or active eq true", "p1 p2")]
#[case("Patient", "_filter=not (gender eq female)", "p2")]
#[case("Patient", "_filter=gender ne male", "p1")]
#[case("Patient", "_filter=gender pr false", "p2")]
#[case("Patient", "_filter=birthdate po 1980", "p1")]
#[case("Patient", "_filter=birthdate lt 1980-05-11", "")]
#[case("Patient", "_filter=_id eq p2 or _id eq nobody", "p2")]
#[case("Patient", "_filter=_id ne p2", "p1")]
#[case(
    "Patient",
    "_filter=_lastUpdated gt 2000-01-01 and identifier eq http://mrn|12",
    "p1"
)]
#[case("Condition", "_filter=subject:Patient.name co pet and code pr true", "c1 c2")]
#[case("Condition", "_filter=subject:Patient[gender eq female].name co pet", "c1")]
#[case("Condition", "_filter=subject re Patient/p1", "c1")]
#[case("Condition", "_filter=patient.birthdate gt 1980 or recorded-date ge 2020", "c2")]
#[case("Condition", "_filter=patient.birthdate ge 1980 or recorded-date ge 2020", "c1 c2")]
#[case("Observation", "_filter=value-quantity gt 1|http://unitsofmeasure.org|g", "kg")]
#[case("Location", "_filter=near pr true", "ann-arbor detroit fiji")]
#[tokio::test]
async fn finds(
    #[case] target: &str,
    #[case] query: &str,
    #[case] ids: &str,
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let fixture = Fixture::new(engine).await;
    fixture.put_all(&data()).await;
    let wanted: Vec<_> = ids.split_whitespace().collect();
    assert_eq!(fixture.found(target, query).await, wanted, "{target}?{query}");
    let paged = format!("{query}&_count=1");
    assert_eq!(fixture.found(target, &paged).await, wanted, "{target}?{paged}");
}

#[rstest]
#[tokio::test]
async fn what_changes_is_found_anew(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let fixture = Fixture::new(engine).await;
    fixture.put_all(&data()).await;
    fixture
        .put_all(&[
            json!({"resourceType": "Location", "id": "detroit", "position": {"latitude": 42.2565, "longitude": -83.6948}}),
            json!({"resourceType": "Location", "id": "ann-arbor"}),
        ])
        .await;
    assert_eq!(
        fixture.found("Location", "near=42.2565|-83.6948|1|km").await,
        ["detroit"]
    );
    fixture
        .commit(vec![Fixture::delete("Location", "detroit")])
        .await
        .expect("deleted");
    assert_eq!(fixture.found("Location", "near=42.2565|-83.6948|1|km").await, [""; 0]);
}

/// More alternatives than SQL Server takes, and more than SQLite has arguments for.
#[rstest]
#[case("Patient", "identifier", "id-", "12", "p1")]
#[case("Patient", "_id", "id-", "p2", "p2")]
#[case("Patient", "family", "name-", "peters", "p1")]
#[case("Patient", "family:exact", "name-", "Peters", "p1")]
#[case("Patient", "family:contains", "name-", "eter", "p1")]
#[case("Patient", "birthdate", "ne1980-05-11,eb1000-01-", "1980-05-11", "p1")]
#[case("Condition", "subject", "Patient/", "Patient/p1", "c1")]
#[case("Condition", "code:text", "text-", "migr", "c2")]
#[case(
    "Observation",
    "value-quantity",
    "5|http://units|",
    "5000000||kg,5.4|http://units|mg",
    "own"
)]
#[case("Observation", "value-quantity", "ne5.4|http://units|", "5.4|http://units|mg", "own")]
#[case("Observation", "component-code-value-quantity", "x$ne", "own$5.4", "own")]
#[case("Condition", "subject:Patient._id", "id-", "p1", "c1")]
#[tokio::test]
async fn thousands_of_alternatives(
    #[case] target: &str,
    #[case] name: &str,
    #[case] before: &str,
    #[case] hit: &str,
    #[case] ids: &str,
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let fixture = Fixture::new(engine).await;
    fixture.put_all(&data()).await;
    let others = (0..4_000).map(|n| match name {
        "birthdate" => format!("eb1000-01-{:02}", n % 28 + 1),
        "value-quantity" if before.starts_with("ne") => format!("ne{n}|http://none|u"),
        "component-code-value-quantity" => format!("x$ne{n}"),
        _ => format!("{before}{n}"),
    });
    let values: Vec<String> = others.chain([hit.to_owned()]).collect();
    let query = format!("{name}={}", values.join(","));
    assert_eq!(fixture.found(target, &query).await, [ids], "{target}?{name}");
}

#[rstest]
#[case::right("gender=http://hl7.org/fhir/administrative-gender|male", &["p"])]
#[case::another_code("gender=http://hl7.org/fhir/administrative-gender|female", &[])]
#[case::another_system("gender=http://hl7.org/fhir/observation-status|male", &[])]
#[case::negated("gender:not=http://hl7.org/fhir/administrative-gender|male", &["q"])]
#[tokio::test]
async fn codes_are_of_the_system_that_their_element_says(
    #[case] query: &str,
    #[case] ids: &[&str],
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let fixture = Fixture::new(engine).await;
    fixture
        .put_all(&[
            json!({"resourceType": "Patient", "id": "p", "gender": "male"}),
            json!({"resourceType": "Patient", "id": "q"}),
        ])
        .await;
    assert_eq!(fixture.found("Patient", query).await, ids);
}

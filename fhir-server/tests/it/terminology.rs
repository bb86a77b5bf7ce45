//! Value sets and code systems over HTTP: `$expand`, `$validate-code`, `$lookup`, `$subsumes`, and searches by them.

use std::collections::BTreeSet;

use fhir_server_settings::{FhirVersion, Role};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::Service;
use crate::service::Answer;
use crate::tokens::{Signer, access};

const R4: FhirVersion = FhirVersion::R4;
const STU3: FhirVersion = FhirVersion::Stu3;

fn animals() -> Value {
    json!({"resourceType": "CodeSystem", "id": "animals", "url": "http://animals", "version": "2", "name": "Animals",
        "status": "active", "content": "complete", "concept": [
            {"code": "animal", "display": "Animal", "property": [{"code": "notSelectable", "valueBoolean": true}],
             "concept": [
                {"code": "cat", "display": "Cat", "definition": "It purrs.",
                 "designation": [{"language": "de-CH", "value": "Katze"}]},
                {"code": "dog", "display": "Dog", "concept": [{"code": "poodle", "display": "Poodle"}]}]},
            {"code": "dodo", "display": "Dodo", "property": [{"code": "inactive", "valueBoolean": true}]}]})
}

fn value_set(id: &str, compose: &Value) -> Value {
    json!({"resourceType": "ValueSet", "id": id, "url": format!("http://{id}"), "status": "active", "compose": compose})
}

fn observation(id: &str, system: &str, code: &str) -> Value {
    json!({"resourceType": "Observation", "id": id, "status": "final", "subject": {"reference": format!("Patient/{id}")},
        "code": {"coding": [{"system": system, "code": code}]}})
}

fn data() -> Vec<Value> {
    vec![
        animals(),
        value_set("all-animals", &json!({"include": [{"system": "http://animals"}]})),
        value_set(
            "dogs",
            &json!({"include": [{"system": "http://animals", "filter": [{"property": "concept", "op": "is-a", "value": "dog"}]}]}),
        ),
        value_set("findings", &json!({"include": [{"system": "http://snomed.info/sct"}]})),
        json!({"resourceType": "Patient", "id": "a", "gender": "male"}),
        json!({"resourceType": "Patient", "id": "b", "gender": "female"}),
        json!({"resourceType": "Patient", "id": "c"}),
        observation("a", "http://animals", "dog"),
        observation("b", "http://animals", "poodle"),
        observation("c", "http://animals", "cat"),
        observation("d", "http://machines", "dog"),
        json!({"resourceType": "Observation", "id": "e", "status": "final", "code": {"text": "dog"}}),
    ]
}

async fn with(version: FhirVersion, resources: &[Value]) -> Service {
    let service = Service::anonymous(version).await;
    for resource in resources {
        let (of, id) = (resource["resourceType"].as_str(), resource["id"].as_str());
        let path = format!("{}/{}", of.expect("type"), id.expect("id"));
        let answer = service.put(&path, &resource.to_string()).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
    }
    service
}

fn codes(answer: &Answer) -> String {
    let contains = answer.body["expansion"]["contains"].as_array();
    let codes = contains
        .into_iter()
        .flatten()
        .filter_map(|member| member["code"].as_str());
    codes.collect::<Vec<_>>().join(" ")
}

async fn ids(service: &Service, path: &str) -> String {
    let page = service.get(path).await;
    assert_eq!(page.status, 200, "{}", page.body);
    let entries = page.body["entry"].as_array().into_iter().flatten();
    let ids: BTreeSet<&str> = entries.filter_map(|entry| entry["resource"]["id"].as_str()).collect();
    ids.into_iter().collect::<Vec<_>>().join(" ")
}

#[rstest]
#[case::by_url(R4, "ValueSet/$expand?url=http://all-animals", "animal cat dog poodle dodo")]
#[case::by_id(R4, "ValueSet/dogs/$expand", "dog poodle")]
#[case::base(
    R4,
    "ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/administrative-gender",
    "male female other unknown"
)]
#[case::base_stu3(
    STU3,
    "ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/administrative-gender",
    "male female other unknown"
)]
#[case::base_version(
    R4,
    "ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/administrative-gender&valueSetVersion=4.0.1",
    "male female other unknown"
)]
#[case::page(R4, "ValueSet/$expand?url=http://all-animals&offset=1&count=2", "cat dog")]
#[case::behind_the_end(R4, "ValueSet/$expand?url=http://all-animals&offset=9", "")]
#[case::filter(R4, "ValueSet/$expand?url=http://all-animals&filter=DO", "dog dodo")]
#[case::filter_in_german(R4, "ValueSet/$expand?url=http://all-animals&filter=katze&displayLanguage=de", "cat")]
#[case::active(
    R4,
    "ValueSet/$expand?url=http://all-animals&activeOnly=true",
    "animal cat dog poodle"
)]
#[case::without_groups(
    R4,
    "ValueSet/$expand?url=http://all-animals&excludeNotForUI=true",
    "cat dog poodle dodo"
)]
#[case::without_a_system(R4, "ValueSet/$expand?url=http://all-animals&exclude-system=http://animals", "")]
#[tokio::test]
async fn expands(#[case] version: FhirVersion, #[case] path: &str, #[case] expected: &str) {
    let service = with(version, &data()).await;
    let answer = service.get(path).await;
    assert_eq!(
        (answer.status.as_u16(), codes(&answer).as_str()),
        (200, expected),
        "{}",
        answer.body
    );
    assert_eq!(answer.text("/resourceType"), "ValueSet");
    assert!(answer.body.get("compose").is_none() && answer.body["expansion"]["total"].is_u64());
}

#[tokio::test]
async fn an_expansion_says_what_it_is() {
    let service = with(R4, &data()).await;
    let path =
        "ValueSet/all-animals/$expand?displayLanguage=de&includeDesignations=true&includeDefinition=true&count=2";
    let answer = service.get(path).await;
    assert_eq!(answer.body["expansion"]["total"], 5);
    assert_eq!(answer.text("/compose/include/0/system"), "http://animals");
    let expected = json!([
        {"system": "http://animals", "abstract": true, "version": "2", "code": "animal", "display": "Animal"},
        {"system": "http://animals", "version": "2", "code": "cat", "display": "Katze",
            "designation": [{"language": "de-CH", "value": "Katze"}]}]);
    assert_eq!(answer.body["expansion"]["contains"], expected);
    let parameters = answer.body["expansion"]["parameter"]
        .as_array()
        .expect("parameters")
        .clone();
    assert!(
        parameters.contains(&json!({"name": "version", "valueUri": "http://animals|2"})),
        "{parameters:?}"
    );
    assert!(parameters.contains(&json!({"name": "count", "valueInteger": 2})));
    // the answer is a resource of its version
    let mut body = answer.body;
    body["id"] = json!("expanded");
    assert_eq!(service.put("ValueSet/expanded", &body.to_string()).await.status, 201);
    let again = service.get("ValueSet/expanded/$expand").await;
    assert_eq!(again.status, 200, "{}", again.body);
}

#[rstest]
#[case::parameters(json!({"resourceType": "Parameters", "parameter": [
    {"name": "valueSet", "resource": {"resourceType": "ValueSet", "status": "active", "compose": {"include": [{"system": "s", "concept": [{"code": "x"}]}]}}}]}), "x")]
#[case::the_resource(json!({"resourceType": "ValueSet", "status": "active", "compose": {"include": [{"valueSet": ["http://dogs"]}]}}), "dog poodle")]
#[case::url(json!({"resourceType": "Parameters", "parameter": [
    {"name": "url", "valueUri": "http://dogs"}, {"name": "count", "valueInteger": 1}]}), "dog")]
#[tokio::test]
async fn expands_what_is_sent(#[case] body: Value, #[case] expected: &str) {
    let service = with(R4, &data()).await;
    let answer = service.post("ValueSet/$expand", &body.to_string()).await;
    assert_eq!(
        (answer.status.as_u16(), codes(&answer).as_str()),
        (200, expected),
        "{}",
        answer.body
    );
}

#[rstest]
#[case::nothing(
    "ValueSet/$expand",
    400,
    "Say which value set: `ValueSet/id/$operation`, the parameter `url`, or by POST the parameter `valueSet`."
)]
#[case::twice(
    "ValueSet/dogs/$expand?count=1&count=2",
    400,
    "The parameter 'count' may be given once only."
)]
#[case::no_number(
    "ValueSet/dogs/$expand?count=-1",
    400,
    "The parameter 'count' must be a number that isn't negative, not '-1'."
)]
#[case::no_flag(
    "ValueSet/dogs/$expand?activeOnly=yes",
    400,
    "The parameter 'activeOnly' must be `true` or `false`, not 'yes'."
)]
#[case::not_supported(
    "ValueSet/$expand?context=x",
    400,
    "The parameter 'context' is not supported, leave it out."
)]
#[case::no_id(
    "ValueSet/nothing/$expand",
    404,
    "Resource type 'ValueSet' with id 'nothing' couldn't be found."
)]
#[case::no_url(
    "ValueSet/$expand?url=http://nowhere",
    404,
    "The value set 'http://nowhere' isn't known here. Store it as a ValueSet, or send it with the request."
)]
#[case::no_version(
    "ValueSet/$expand?url=http://dogs&valueSetVersion=7",
    404,
    "The value set 'http://dogs|7' isn't known here. Store it as a ValueSet, or send it with the request."
)]
#[case::not_here(
    "ValueSet/findings/$expand",
    422,
    "The value set 'http://findings' can't be expanded: of its code system 'http://snomed.info/sct' only the content 'not-present' is known here. Store it as a CodeSystem with its concepts, or list the codes in the value set."
)]
#[case::another_type("CodeSystem/animals/$expand", 404, "The requested route was not found.")]
#[case::unknown_code(
    "CodeSystem/$lookup?system=http://animals&code=unicorn",
    404,
    "The code system 'http://animals' has no code 'unicorn' here."
)]
#[case::unknown_system(
    "CodeSystem/$lookup?system=http://loinc.org&code=1-8",
    404,
    "The code system 'http://loinc.org' isn't known here. Store it as a CodeSystem."
)]
#[case::no_code(
    "ValueSet/dogs/$validate-code",
    400,
    "Say which code: `code` with `system`, or by POST `coding` or `codeableConcept`."
)]
#[case::undecided(
    "ValueSet/findings/$validate-code?system=http://snomed.info/sct&code=1",
    422,
    "The value set 'http://findings' can't be expanded: of its code system 'http://snomed.info/sct' only the content 'not-present' is known here. Store it as a CodeSystem with its concepts, or list the codes in the value set."
)]
#[case::search(
    "Observation?code:in=http://findings",
    400,
    "The value set 'http://findings' can't be expanded: of its code system 'http://snomed.info/sct' only the content 'not-present' is known here. Store it as a CodeSystem with its concepts, or list the codes in the value set."
)]
#[case::search_unknown(
    "Observation?code:not-in=http://nowhere",
    400,
    "The value set 'http://nowhere' isn't known here. Store it as a ValueSet, or send it with the request."
)]
#[case::search_unknown_id(
    "Patient?_has:Observation:patient:code:in=ValueSet/nothing",
    400,
    "The value set 'ValueSet/nothing' isn't known here. Store it as a ValueSet, or send it with the request."
)]
#[case::search_hierarchy(
    "Observation?code:below=http://loinc.org|1-8",
    400,
    "The code system 'http://loinc.org' isn't known here. Store it as a CodeSystem."
)]
#[case::search_code(
    "Observation?code:above=http://animals|unicorn",
    400,
    "The code system 'http://animals' has no code 'unicorn' here."
)]
#[tokio::test]
async fn refuses(#[case] path: &str, #[case] status: u16, #[case] text: &str) {
    let service = with(R4, &data()).await;
    let answer = service.get(path).await;
    assert_eq!(
        (answer.status.as_u16(), answer.text("/issue/0/diagnostics")),
        (status, text)
    );
}

#[rstest]
#[case("ValueSet/dogs/$validate-code?system=http://animals&code=poodle", true, "")]
#[case(
    "ValueSet/dogs/$validate-code?system=http://animals&code=poodle&display=POODLE",
    true,
    ""
)]
#[case(
    "ValueSet/$validate-code?url=http://dogs&system=http://animals&code=cat",
    false,
    "The code 'http://animals|cat' isn't in the value set 'http://dogs'."
)]
#[case(
    "ValueSet/dogs/$validate-code?system=http://machines&code=dog",
    false,
    "The code 'http://machines|dog' isn't in the value set 'http://dogs'."
)]
#[case(
    "ValueSet/dogs/$validate-code?system=http://animals&code=dog&display=Cat",
    false,
    "The code 'http://animals|dog' doesn't have the display 'Cat', but 'Dog'."
)]
#[case(
    "ValueSet/all-animals/$validate-code?system=http://animals&code=cat&display=Katze",
    true,
    ""
)]
#[case(
    "ValueSet/all-animals/$validate-code?system=http://animals&code=animal",
    false,
    "The code 'http://animals|animal' only groups others: it can't be used. Send `abstract` if it may."
)]
#[case(
    "ValueSet/all-animals/$validate-code?system=http://animals&code=animal&abstract=true",
    true,
    ""
)]
#[case(
    "ValueSet/$validate-code?url=http://hl7.org/fhir/ValueSet/administrative-gender&code=male",
    true,
    ""
)]
#[case(
    "ValueSet/findings/$validate-code?system=http://loinc.org&code=1",
    false,
    "The code 'http://loinc.org|1' isn't in the value set 'http://findings'."
)]
#[case("CodeSystem/$validate-code?url=http://animals&code=dog", true, "")]
#[case(
    "CodeSystem/animals/$validate-code?code=unicorn",
    false,
    "The code system 'http://animals' has no code 'unicorn'."
)]
#[case(
    "CodeSystem/animals/$validate-code?code=dog&display=Hound",
    false,
    "The code 'dog' doesn't have the display 'Hound', but 'Dog'."
)]
#[tokio::test]
async fn validates_codes(#[case] path: &str, #[case] result: bool, #[case] message: &str) {
    let service = with(R4, &data()).await;
    let answer = service.get(path).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let parameter = |name: &str, member: &str| {
        let all = answer.body["parameter"].as_array().expect("parameters");
        let found = all.iter().find(|parameter| parameter["name"] == name);
        found.map(|parameter| parameter[member].clone()).unwrap_or_default()
    };
    assert_eq!(parameter("result", "valueBoolean"), json!(result), "{}", answer.body);
    assert_eq!(
        parameter("message", "valueString").as_str().unwrap_or_default(),
        message
    );
}

#[tokio::test]
async fn one_good_coding_is_enough() {
    let service = with(R4, &data()).await;
    for (codes, expected) in [(["cat", "dog"], true), (["cat", "dodo"], false)] {
        let codings = codes.map(|code| json!({"system": "http://animals", "code": code}));
        let body = json!({"resourceType": "Parameters", "parameter": [
            {"name": "codeableConcept", "valueCodeableConcept": {"coding": codings}}]});
        let answer = service.post("ValueSet/dogs/$validate-code", &body.to_string()).await;
        assert_eq!(
            answer.body["parameter"][0],
            json!({"name": "result", "valueBoolean": expected})
        );
    }
}

#[tokio::test]
async fn looks_up_codes() {
    let service = with(R4, &data()).await;
    let answer = service.get("CodeSystem/$lookup?system=http://animals&code=cat").await;
    let part = |code: &str, member: &str, value: &str| json!({"name": "property", "part": [{"name": "code", "valueCode": code}, {"name": "value", member: value}]});
    assert_eq!(
        answer.body["parameter"],
        json!([
            {"name": "name", "valueString": "Animals"},
            {"name": "version", "valueString": "2"},
            {"name": "display", "valueString": "Cat"},
            {"name": "designation", "part": [{"name": "language", "valueCode": "de-CH"}, {"name": "value", "valueString": "Katze"}]},
            part("definition", "valueString", "It purrs."),
            part("parent", "valueCode", "animal"),
        ])
    );
    let body = json!({"resourceType": "Parameters", "parameter": [
        {"name": "coding", "valueCoding": {"system": "http://animals", "code": "dog"}}, {"name": "property", "valueCode": "child"}]});
    let answer = service.post("CodeSystem/$lookup", &body.to_string()).await;
    assert_eq!(answer.body["parameter"][3], part("child", "valueCode", "poodle"));
    let base = service
        .get("CodeSystem/$lookup?system=http://terminology.hl7.org/CodeSystem/v3-ActCode&code=AMB")
        .await;
    assert_eq!(base.text("/parameter/2/valueString"), "ambulatory", "{}", base.body);
}

#[rstest]
#[case("dog", "poodle", "subsumes")]
#[case("poodle", "animal", "subsumed-by")]
#[case("cat", "cat", "equivalent")]
#[case("cat", "dog", "not-subsumed")]
#[tokio::test]
async fn compares_codes(#[case] left: &str, #[case] right: &str, #[case] outcome: &str) {
    let service = with(R4, &[animals()]).await;
    let path = format!("CodeSystem/$subsumes?system=http://animals&codeA={left}&codeB={right}");
    let answer = service.get(&path).await;
    assert_eq!(
        answer.body["parameter"],
        json!([{"name": "outcome", "valueCode": outcome}])
    );
}

#[rstest]
#[case::by_url("Observation?code:in=http://dogs", "a b")]
#[case::by_id("Observation?code:in=ValueSet/dogs", "a b")]
#[case::several(
    "Observation?code:in=http://dogs,http://hl7.org/fhir/ValueSet/administrative-gender",
    "a b"
)]
#[case::not_in("Observation?code:not-in=http://dogs", "c d e")]
#[case::below("Observation?code:below=http://animals|dog", "a b")]
#[case::above("Observation?code:above=http://animals|poodle", "a b")]
#[case::below_a_leaf("Observation?code:below=http://animals|cat", "c")]
#[case::reverse_chain("Patient?_has:Observation:patient:code:in=http://dogs", "a b")]
#[case::chain(
    "Observation?subject:Patient.gender:in=http://hl7.org/fhir/ValueSet/administrative-gender",
    "a b"
)]
#[case::codes_of_elements("Patient?gender:in=http://hl7.org/fhir/ValueSet/administrative-gender", "a b")]
#[case::codes_of_elements_not("Patient?gender:not-in=http://hl7.org/fhir/ValueSet/administrative-gender", "c")]
#[case::filter_expression("Observation?_filter=code%20in%20http://dogs%20and%20subject%20re%20Patient/b", "b")]
#[case::with_others("Observation?code:in=http://dogs&subject=Patient/a", "a")]
#[tokio::test]
async fn finds_members(#[case] path: &str, #[case] expected: &str) {
    for version in [R4, STU3] {
        let service = with(version, &data()).await;
        assert_eq!(ids(&service, path).await, expected, "{version:?}");
    }
}

/// Criteria of writes are searches, too.
#[tokio::test]
async fn criteria_may_be_about_value_sets() {
    let service = with(R4, &data()).await;
    let refused = service.delete("Observation?code:in=http://findings").await;
    assert_eq!(refused.status, 400, "{}", refused.body);
    let deleted = service.delete("Observation?code:in=http://dogs&_count=10").await;
    assert_eq!((deleted.status.as_u16(), deleted.header("items-deleted")), (204, "2"));
    assert_eq!(ids(&service, "Observation").await, "c d e");
}

#[tokio::test]
async fn a_change_is_seen_at_once() {
    let service = with(R4, &data()).await;
    assert_eq!(ids(&service, "Observation?code:in=http://dogs").await, "a b");
    let listed = |code: &str| {
        value_set(
            "dogs",
            &json!({"include": [{"system": "http://animals", "concept": [{"code": code}]}]}),
        )
    };
    for code in ["cat", "dog"] {
        assert_eq!(
            service.put("ValueSet/dogs", &listed(code).to_string()).await.status,
            200
        );
        let found = ids(&service, "Observation?code:in=http://dogs").await;
        assert_eq!(found, if code == "cat" { "c" } else { "a" });
        assert_eq!(codes(&service.get("ValueSet/dogs/$expand").await), code);
    }
    let mut animals = animals();
    animals["concept"] = json!([{"code": "poodle"}]);
    assert_eq!(
        service.put("CodeSystem/animals", &animals.to_string()).await.status,
        200
    );
    assert_eq!(ids(&service, "Observation?code:in=http://all-animals").await, "b");
    assert_eq!(service.delete("ValueSet/dogs").await.status, 204);
    assert_eq!(service.get("Observation?code:in=http://dogs").await.status, 400);
    assert_eq!(service.get("ValueSet/dogs/$expand").await.status, 404);
}

/// `severity code` of each issue of `$validate`.
async fn verdict(service: &Service, resource: &Value) -> String {
    let path = format!("{}/$validate", resource["resourceType"].as_str().expect("type"));
    let answer = service.post(&path, &resource.to_string()).await;
    let issues = answer.body["issue"].as_array().expect("issues");
    let shown = issues.iter().map(|issue| {
        let text = |name: &str| issue[name].as_str().unwrap_or_default();
        format!("{} {}", text("severity"), text("code"))
    });
    shown.collect::<Vec<_>>().join(", ")
}

#[rstest]
#[tokio::test]
async fn bindings_to_stored_value_sets_are_checked(#[values(R4, STU3)] version: FhirVersion) {
    let service = with(version, &data()).await;
    let binding = |url: &str| {
        let mut binding = json!({"strength": "required"});
        let name = if version == R4 { "valueSet" } else { "valueSetUri" };
        binding[name] = json!(url);
        binding
    };
    let profile = |url: &str| {
        json!({"resourceType": "StructureDefinition", "id": "dog", "url": "http://dog-observation", "name": "Dog", "status": "active",
            "kind": "resource", "abstract": false, "type": "Observation", "derivation": "constraint",
            "fhirVersion": if version == R4 { "4.0.1" } else { "3.0.2" },
            "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Observation",
            "differential": {"element": [{"id": "Observation.code", "path": "Observation.code", "binding": binding(url)}]}})
    };
    assert_eq!(
        service
            .put("StructureDefinition/dog", &profile("http://dogs").to_string())
            .await
            .status,
        201
    );
    let of = |code: &str| {
        let mut one = observation("x", "http://animals", code);
        one["meta"] = json!({"profile": ["http://dog-observation"]});
        one
    };
    let (fine, wrong) = ("information informational", "error code-invalid");
    assert_eq!(verdict(&service, &of("poodle")).await, fine);
    assert_eq!(verdict(&service, &of("cat")).await, wrong);
    // the value set changes, then the profile names one that can't be expanded
    let cats = value_set(
        "dogs",
        &json!({"include": [{"system": "http://animals", "concept": [{"code": "cat"}]}]}),
    );
    assert_eq!(service.put("ValueSet/dogs", &cats.to_string()).await.status, 200);
    assert_eq!(verdict(&service, &of("poodle")).await, wrong);
    assert_eq!(verdict(&service, &of("cat")).await, fine);
    service
        .put("StructureDefinition/dog", &profile("http://findings").to_string())
        .await;
    let snomed = |code: &str| {
        let mut one = of(code);
        one["code"]["coding"][0]["system"] = json!("http://snomed.info/sct");
        one
    };
    assert_eq!(verdict(&service, &snomed("1")).await, "warning not-found");
    assert_eq!(verdict(&service, &of("cat")).await, wrong);
    // what was unknown is stored
    let part = json!({"resourceType": "CodeSystem", "id": "sct", "url": "http://snomed.info/sct", "status": "active",
        "content": "fragment", "concept": [{"code": "1"}]});
    assert_eq!(service.put("CodeSystem/sct", &part.to_string()).await.status, 201);
    assert_eq!(verdict(&service, &snomed("1")).await, fine);
    assert_eq!(verdict(&service, &snomed("2")).await, "warning not-found");
}

/// Not only where the base leaves a doubt.
#[tokio::test]
async fn bindings_ask_stored_value_sets_before_those_of_the_base() {
    let service = with(R4, &[]).await;
    let married = json!({"resourceType": "Patient", "maritalStatus": {"coding": [
        {"system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "code": "M"}]}});
    assert_eq!(verdict(&service, &married).await, "information informational");
    let own = json!({"resourceType": "ValueSet", "id": "marital", "url": "http://hl7.org/fhir/ValueSet/marital-status",
        "status": "active", "compose": {"include": [{"system": "http://own", "concept": [{"code": "x"}]}]}});
    assert_eq!(service.put("ValueSet/marital", &own.to_string()).await.status, 201);
    assert_eq!(verdict(&service, &married).await, "warning code-invalid");
    assert_eq!(service.delete("ValueSet/marital").await.status, 204);
    assert_eq!(verdict(&service, &married).await, "information informational");
}

/// No answer depends on a value set that the caller doesn't see; those of the base specification are everybody's.
#[tokio::test]
async fn only_value_sets_that_are_seen_are_used() {
    let (signer, folder) = (Signer::new(), tempfile::TempDir::new().expect("folder"));
    let keys = folder.path().join("jwks.json");
    signer.publish(&keys);
    let roles = [("contributor", Role::Contributor), ("connector", Role::Connector)];
    let service = Service::with_access(R4, access(&keys, &roles)).await;
    let bearers = roles.map(|(subject, _)| signer.bearer(subject, &json!({})));
    let [contributor, connector] = &bearers;
    for resource in data() {
        let path = format!(
            "{}/{}",
            resource["resourceType"].as_str().expect("type"),
            resource["id"].as_str().expect("id")
        );
        let body = resource.to_string();
        let answer = service
            .send(Method::PUT, &path, &[("authorization", contributor)], Some(&body))
            .await;
        assert_eq!(answer.status, 201, "{}", answer.body);
    }
    let base = "Patient?gender:in=http://hl7.org/fhir/ValueSet/administrative-gender";
    for (bearer, path, status) in [
        (contributor, "Observation?code:in=http://dogs", 200),
        (connector, "Observation?code:in=http://dogs", 400),
        (connector, "Observation?code:in=ValueSet/dogs", 400),
        (connector, "Observation?code:below=http://animals|dog", 400),
        (connector, "ValueSet/dogs/$expand", 403),
        (connector, "ValueSet/$expand?url=http://dogs", 403),
        (connector, base, 200),
    ] {
        let answer = service
            .send(Method::GET, path, &[("authorization", bearer)], None)
            .await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
    }
}

/// More codes than a statement of SQLite has parameters.
#[tokio::test]
async fn large_value_sets_are_searched() {
    let service = with(R4, &data()).await;
    let concepts: Vec<Value> = (0..5_000).map(|number| json!({"code": format!("c{number}")})).collect();
    let large = value_set(
        "large",
        &json!({"include": [{"system": "http://large", "concept": concepts}]}),
    );
    assert_eq!(service.put("ValueSet/large", &large.to_string()).await.status, 201);
    for number in [0, 2_500, 4_999, 5_000] {
        let one = observation(&format!("n{number}"), "http://large", &format!("c{number}"));
        assert_eq!(
            service
                .put(&format!("Observation/n{number}"), &one.to_string())
                .await
                .status,
            201
        );
    }
    assert_eq!(
        ids(&service, "Observation?code:in=http://large").await,
        "n0 n2500 n4999"
    );
    assert_eq!(
        ids(&service, "Observation?code:not-in=http://large").await,
        "a b c d e n5000"
    );
    let page = service.get("ValueSet/large/$expand?offset=4998&count=10").await;
    assert_eq!(
        (codes(&page).as_str(), &page.body["expansion"]["total"]),
        ("c4998 c4999", &json!(5_000))
    );
}

fn concept_map() -> Value {
    let target = |code: &str, equivalence: &str| json!({"code": code, "display": code.to_uppercase(), "equivalence": equivalence});
    json!({"resourceType": "ConceptMap", "id": "to-zoo", "url": "http://maps/zoo", "status": "active", "group": [
        {"source": "http://animals", "target": "http://zoo", "element": [
            {"code": "dog", "target": [target("canis", "wider"), target("wolf", "inexact")]},
            {"code": "dodo", "target": [{"equivalence": "unmatched"}]}],
         "unmapped": {"mode": "fixed", "code": "other"}},
        {"source": "http://animals", "target": "http://farm", "element": [{"code": "dog", "target": [target("rex", "equivalent")]}]}]})
}

/// Equivalence, system and code of each match.
#[rstest]
#[case(
    "ConceptMap/$translate?system=http://animals&code=dog",
    true,
    "wider zoo canis, inexact zoo wolf, equivalent farm rex"
)]
#[case(
    "ConceptMap/$translate?url=http://maps/zoo&system=http://animals&code=dog&targetsystem=http://farm",
    true,
    "equivalent farm rex"
)]
#[case(
    "ConceptMap/to-zoo/$translate?system=http://animals&code=cat",
    true,
    "inexact zoo other"
)]
#[case(
    "ConceptMap/to-zoo/$translate?system=http://zoo&code=canis&reverse=true",
    true,
    "narrower animals dog"
)]
#[case(
    "ConceptMap/to-zoo/$translate?system=http://animals&code=dodo&targetsystem=http://zoo",
    false,
    "unmatched zoo "
)]
#[case("ConceptMap/$translate?system=http://machines&code=dog", false, "")]
#[tokio::test]
async fn translates(#[case] path: &str, #[case] result: bool, #[case] expected: &str) {
    for version in [R4, STU3] {
        let service = with(version, &[concept_map()]).await;
        let answer = service.get(path).await;
        assert_eq!(
            answer.body["parameter"][0],
            json!({"name": "result", "valueBoolean": result}),
            "{}",
            answer.body
        );
        let all = answer.body["parameter"].as_array().expect("parameters");
        let matches = all
            .iter()
            .filter(|parameter| parameter["name"] == "match")
            .map(|found| {
                let equivalence = found["part"][0]["valueCode"].as_str().unwrap_or_default();
                let coding = &found["part"][1]["valueCoding"];
                let system = coding["system"]
                    .as_str()
                    .unwrap_or("http://zoo")
                    .trim_start_matches("http://");
                format!("{equivalence} {system} {}", coding["code"].as_str().unwrap_or_default())
            });
        assert_eq!(matches.collect::<Vec<_>>().join(", "), expected);
    }
}

#[tokio::test]
async fn translates_by_a_map_that_is_sent_or_says_that_there_is_none() {
    let service = with(R4, &[]).await;
    let body = json!({"resourceType": "Parameters", "parameter": [
        {"name": "conceptMap", "resource": concept_map()},
        {"name": "coding", "valueCoding": {"system": "http://animals", "code": "dog"}}]});
    let answer = service.post("ConceptMap/$translate", &body.to_string()).await;
    assert_eq!(
        answer.text("/parameter/1/part/1/valueCoding/display"),
        "CANIS",
        "{}",
        answer.body
    );
    let unknown = service
        .get("ConceptMap/$translate?url=http://nowhere&system=s&code=c")
        .await;
    let text =
        "The concept map 'http://nowhere' isn't known here. Store it as a ConceptMap, or send it with the request.";
    assert_eq!(
        (unknown.status.as_u16(), unknown.text("/issue/0/diagnostics")),
        (404, text)
    );
    assert_eq!(service.get("ConceptMap/x/$translate?system=s&code=c").await.status, 404);
}

#[tokio::test]
async fn what_is_served_is_listed() {
    let service = Service::anonymous(R4).await;
    let statement = service.get("metadata").await;
    let operations = statement.body["rest"][0]["operation"]
        .as_array()
        .expect("operations")
        .clone();
    for name in ["expand", "validate-code", "lookup", "subsumes", "translate"] {
        assert!(operations.iter().any(|operation| operation["name"] == name), "{name}");
    }
}

//! Profiles: each case is a differential, a resource, and what is said of it.

use std::collections::HashMap;
use std::sync::Arc;

use fhir_definitions::FhirVersion;
use fhir_resource::validation::{
    Coded, Knowledge, Library, Membership, Profile, Profiles, Severity, Terminology, findings, needs,
};
use fhir_resource::{Document, Limits};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use crate::generated;

const URL: &str = "http://example.org/profile";
/// 2026-11-25T12:00:00Z
const NOW: i64 = 1_795_608_000_000_000;

struct Stored(HashMap<String, Arc<Profile>>);

impl Profiles for Stored {
    fn profile(&self, url: &str) -> Option<Arc<Profile>> {
        self.0.get(url).cloned()
    }
}

/// Knows one value set, of the codes `a` and `b`.
struct Letters;

impl Terminology for Letters {
    fn member(&self, value_set: &str, code: Coded<'_>) -> Membership {
        match value_set {
            "http://example.org/letters" if matches!(code.code, "a" | "b") => Membership::Yes,
            "http://example.org/letters" => Membership::No,
            _ => Membership::Unknown,
        }
    }
}

fn parse(json: &Value) -> Document {
    Document::parse(json.to_string(), Limits::default()).expect("JSON")
}

fn definition(url: &str, of: &str, base: &str, elements: &Value) -> Value {
    json!({"resourceType": "StructureDefinition", "url": url, "type": of, "derivation": "constraint",
        "baseDefinition": base, "differential": {"element": elements}})
}

fn core(name: &str) -> String {
    format!("http://hl7.org/fhir/StructureDefinition/{name}")
}

/// Compiles definitions in order; later ones may be based on earlier ones.
fn stored(version: FhirVersion, definitions: &[Value]) -> Stored {
    let mut stored = Stored(HashMap::new());
    for definition in definitions {
        let document = parse(definition);
        let base = needs(document.root(), version.definitions()).and_then(|base| stored.profile(&base));
        let profile = Profile::compile(document.root(), version.definitions(), base.as_deref()).expect("a profile");
        stored.0.insert(profile.url.clone(), Arc::new(profile));
    }
    stored
}

/// `error expression: the first words`
fn said(version: FhirVersion, definitions: &[Value], resource: &Value) -> Vec<String> {
    let profiles = stored(version, definitions);
    let knowledge = Knowledge {
        definitions: version.definitions(),
        library: &Library::default(),
        profiles: &profiles,
        terminology: &Letters,
        now: NOW,
    };
    let found = findings(&knowledge, &parse(resource), &[URL.to_owned()]);
    found
        .issues
        .iter()
        .map(|issue| {
            let severity = if issue.severity == Severity::Error {
                ""
            } else {
                "warning "
            };
            format!("{severity}{}: {}", issue.expression, issue.code)
        })
        .collect()
}

fn observation(members: &Value) -> Value {
    let mut resource = json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}});
    let all = resource.as_object_mut().expect("an object");
    all.extend(members.as_object().expect("members").clone());
    resource
}

/// What an Observation profile with these elements (`path`s without the type) says.
fn of_observation(elements: &Value, members: &Value) -> Vec<String> {
    let elements: Vec<Value> = elements
        .as_array()
        .expect("elements")
        .iter()
        .map(|element| {
            let mut element = element.clone();
            let id = element["id"].as_str().expect("an id").to_owned();
            let bare = id
                .split('.')
                .map(|step| step.split(':').next().unwrap_or(step))
                .collect::<Vec<_>>();
            element["id"] = json!(format!("Observation.{id}"));
            element["path"] = json!(format!("Observation.{}", bare.join(".")));
            element
        })
        .collect();
    let profile = definition(URL, "Observation", &core("Observation"), &json!(elements));
    said(FhirVersion::R4, &[profile], &observation(members))
}

#[rstest]
#[case::enough(json!([{"id": "category", "min": 1}]), json!({"category": [{"text": "a"}]}), &[])]
#[case::too_few(json!([{"id": "category", "min": 1}]), json!({}), &["Observation.category: required"])]
#[case::too_many(json!([{"id": "category", "max": "1"}]), json!({"category": [{"text": "a"}, {"text": "b"}]}), &["Observation.category: structure"])]
#[case::forbidden(json!([{"id": "note", "max": "0"}]), json!({"note": [{"text": "a"}]}), &["Observation.note: structure"])]
#[case::nested(json!([{"id": "code.coding", "min": 1}, {"id": "code.coding.system", "min": 1}]),
    json!({"code": {"coding": [{"code": "a"}, {"system": "http://example.org", "code": "b"}]}}), &["Observation.code.coding[0].system: required"])]
#[case::only_where_it_is(json!([{"id": "subject.identifier", "min": 1}]), json!({}), &[])]
#[case::fixed(json!([{"id": "status", "fixedCode": "final"}]), json!({}), &[])]
#[case::not_fixed(json!([{"id": "status", "fixedCode": "amended"}]), json!({}), &["Observation.status: value"])]
#[case::fixed_number(json!([{"id": "valueQuantity.value", "fixedDecimal": 1.50}]), json!({"valueQuantity": {"value": 1.5}}), &[])]
#[case::fixed_is_all(json!([{"id": "code", "fixedCodeableConcept": {"coding": [{"code": "a"}]}}]),
    json!({"code": {"coding": [{"code": "a"}], "text": "more"}}), &["Observation.code: value"])]
#[case::pattern_is_part(json!([{"id": "code", "patternCodeableConcept": {"coding": [{"code": "a"}]}}]),
    json!({"code": {"coding": [{"code": "b"}, {"code": "a", "display": "A"}], "text": "more"}}), &[])]
#[case::no_pattern(json!([{"id": "code", "patternCodeableConcept": {"coding": [{"code": "a"}]}}]),
    json!({"code": {"coding": [{"code": "b"}]}}), &["Observation.code: value"])]
#[case::type_of_choice(json!([{"id": "value[x]", "type": [{"code": "Quantity"}, {"code": "string"}]}]), json!({"valueString": "x"}), &[])]
#[case::wrong_type(json!([{"id": "value[x]", "type": [{"code": "Quantity"}]}]), json!({"valueString": "x"}), &["Observation.valueString: structure"])]
#[case::short_for_a_type(json!([{"id": "valueQuantity.unit", "min": 1}]), json!({"valueQuantity": {"value": 1}}),
    &["Observation.valueQuantity.unit: required"])]
#[case::short_for_another_type(json!([{"id": "valueQuantity.unit", "min": 1}]), json!({"valueString": "x"}), &[])]
#[case::slice_of_a_type(json!([{"id": "value[x]", "slicing": {"discriminator": [{"type": "type", "path": "$this"}], "rules": "open"}},
    {"id": "value[x]:valueQuantity", "sliceName": "valueQuantity", "min": 1, "type": [{"code": "Quantity"}]}]),
    json!({"valueString": "x"}), &["Observation.value: required"])]
#[case::length(json!([{"id": "valueString", "maxLength": 3}]), json!({"valueString": "long"}), &["Observation.valueString: value"])]
#[case::least(json!([{"id": "valueInteger", "minValueInteger": 3}]), json!({"valueInteger": 2}), &["Observation.valueInteger: value"])]
#[case::not_less(json!([{"id": "valueInteger", "minValueInteger": 3}]), json!({"valueInteger": 3}), &[])]
#[case::greatest(json!([{"id": "valueQuantity.value", "maxValueDecimal": 3.5}]), json!({"valueQuantity": {"value": 3.51}}), &["Observation.valueQuantity.value: value"])]
#[case::least_amount(json!([{"id": "valueQuantity", "minValueQuantity": {"value": 1, "system": "http://unitsofmeasure.org", "code": "g"}}]),
    json!({"valueQuantity": {"value": 999, "system": "http://unitsofmeasure.org", "code": "mg"}}), &["Observation.valueQuantity: value"])]
#[case::amount_in_another_unit(json!([{"id": "valueQuantity", "minValueQuantity": {"value": 1, "system": "http://unitsofmeasure.org", "code": "g"}}]),
    json!({"valueQuantity": {"value": 1001, "system": "http://unitsofmeasure.org", "code": "mg"}}), &[])]
#[case::amount_that_has_no_order(json!([{"id": "valueQuantity", "minValueQuantity": {"value": 1, "system": "http://unitsofmeasure.org", "code": "g"}}]),
    json!({"valueQuantity": {"value": 0, "system": "http://unitsofmeasure.org", "code": "m"}}), &[])]
#[case::own_unit(json!([{"id": "valueQuantity", "maxValueQuantity": {"value": 4, "system": "http://e", "code": "cups"}}]),
    json!({"valueQuantity": {"value": 5, "system": "http://e", "code": "cups"}}), &["Observation.valueQuantity: value"])]
#[case::latest(json!([{"id": "effectiveDateTime", "maxValueDateTime": "2020-06-01"}]), json!({"effectiveDateTime": "2020-06-02"}), &["Observation.effectiveDateTime: value"])]
#[case::part_of_a_date(json!([{"id": "effectiveDateTime", "maxValueDateTime": "2020-06-01"}]), json!({"effectiveDateTime": "2020"}), &[])]
#[case::long_ago(json!([{"id": "effectiveDateTime", "minValueQuantity": {"value": 2, "system": "http://unitsofmeasure.org", "code": "d"}}]),
    json!({"effectiveDateTime": "2026-11-20T12:00:00Z"}), &["Observation.effectiveDateTime: value"])]
#[case::not_long_ago(json!([{"id": "effectiveDateTime", "minValueQuantity": {"value": 20, "system": "http://unitsofmeasure.org", "code": "d"}}]),
    json!({"effectiveDateTime": "2026-11-20T12:00:00Z"}), &[])]
#[case::latest_time(json!([{"id": "valueTime", "maxValueTime": "12:00:00"}]), json!({"valueTime": "12:00:01"}), &["Observation.valueTime: value"])]
#[case::constraint(json!([{"id": "code", "constraint": [{"key": "x-1", "severity": "error", "human": "a text", "expression": "text.exists()"}]}]),
    json!({"code": {"coding": [{"code": "a"}]}}), &["Observation.code: invariant"])]
#[case::constraint_that_warns(json!([{"id": "code", "constraint": [{"key": "x-1", "severity": "warning", "human": "a text", "expression": "text = 'y'"}]}]),
    json!({}), &["warning Observation.code: invariant"])]
#[case::constraint_that_fails(json!([{"id": "code", "constraint": [{"key": "x-1", "severity": "error", "human": "?", "expression": "1 + true"}]}]),
    json!({}), &["warning Observation.code: processing"])]
#[case::resource_in_constraints(json!([{"id": "code", "constraint": [{"key": "x-1", "severity": "error", "human": "?",
    "expression": "%resource.status = 'final' and %context.text = 'x' and %rootResource is Observation"}]}]), json!({}), &[])]
#[case::bound(json!([{"id": "code", "binding": {"strength": "required", "valueSet": "http://example.org/letters"}}]),
    json!({"code": {"coding": [{"code": "z"}, {"code": "a"}]}}), &[])]
#[case::not_bound(json!([{"id": "code", "binding": {"strength": "required", "valueSet": "http://example.org/letters"}}]),
    json!({"code": {"coding": [{"code": "z"}]}}), &["Observation.code: code-invalid"])]
#[case::no_code(json!([{"id": "code", "binding": {"strength": "required", "valueSet": "http://example.org/letters"}}]),
    json!({}), &["Observation.code: code-invalid"])]
#[case::extensible(json!([{"id": "code", "binding": {"strength": "extensible", "valueSet": "http://example.org/letters"}}]),
    json!({"code": {"coding": [{"code": "z"}]}}), &["warning Observation.code: code-invalid"])]
#[case::unknown_value_set(json!([{"id": "code", "binding": {"strength": "required", "valueSet": "http://example.org/unknown"}}]),
    json!({"code": {"coding": [{"code": "z"}]}}), &["warning Observation.code: not-found"])]
#[case::target(json!([{"id": "subject", "type": [{"code": "Reference", "targetProfile": ["http://hl7.org/fhir/StructureDefinition/Patient"]}]}]),
    json!({"subject": {"reference": "Patient/1"}}), &[])]
#[case::wrong_target(json!([{"id": "subject", "type": [{"code": "Reference", "targetProfile": ["http://hl7.org/fhir/StructureDefinition/Patient"]}]}]),
    json!({"subject": {"reference": "Group/1"}}), &["Observation.subject: structure"])]
fn elements_of_a_profile(#[case] differential: Value, #[case] members: Value, #[case] expected: &[&str]) {
    assert_eq!(of_observation(&differential, &members), expected);
}

/// Codings told apart by their systems.
fn by_system(rules: &str, ordered: bool) -> Value {
    json!([
        {"id": "code.coding", "slicing": {"discriminator": [{"type": "value", "path": "system"}], "rules": rules, "ordered": ordered}},
        {"id": "code.coding:one", "sliceName": "one", "min": 1, "max": "1"},
        {"id": "code.coding:one.system", "min": 1, "fixedUri": "http://one"},
        {"id": "code.coding:one.display", "min": 1},
        {"id": "code.coding:two", "sliceName": "two", "max": "1"},
        {"id": "code.coding:two.system", "min": 1, "fixedUri": "http://two"}
    ])
}

#[rstest]
#[case::each_once("open", false, &["one", "two", "three"], &[])]
#[case::lacks("open", false, &["two"], &["Observation.code.coding: required"])]
#[case::too_many("open", false, &["one", "one"], &["Observation.code.coding: structure"])]
#[case::closed("closed", false, &["one", "three"], &["Observation.code.coding[1]: structure"])]
#[case::ordered("open", true, &["two", "one"], &["Observation.code.coding[1]: structure"])]
#[case::at_the_end("openAtEnd", false, &["three", "one"], &["Observation.code.coding[1]: structure"])]
fn slices_by_value(#[case] rules: &str, #[case] ordered: bool, #[case] systems: &[&str], #[case] expected: &[&str]) {
    let codings: Vec<Value> = systems
        .iter()
        .map(|system| json!({"system": format!("http://{system}"), "code": "a", "display": "A"}))
        .collect();
    let members = json!({"code": {"coding": codings}});
    assert_eq!(of_observation(&by_system(rules, ordered), &members), expected);
}

#[test]
fn the_rules_of_a_slice_are_for_its_values() {
    let members = json!({"code": {"coding": [{"system": "http://one"}, {"system": "http://two"}]}});
    assert_eq!(
        of_observation(&by_system("open", false), &members),
        ["Observation.code.coding[0].display: required"]
    );
}

#[rstest]
#[case::pattern(
    json!([{"id": "component", "slicing": {"discriminator": [{"type": "pattern", "path": "code"}], "rules": "open"}},
        {"id": "component:a", "sliceName": "a", "min": 1},
        {"id": "component:a.code", "patternCodeableConcept": {"coding": [{"code": "a"}]}},
        {"id": "component:a.value[x]", "min": 1}]),
    json!({"component": [{"code": {"coding": [{"code": "a"}]}}, {"code": {"coding": [{"code": "b"}]}}]}),
    &["Observation.component[0].value: required"]
)]
#[case::told_by_a_slice_below(
    json!([{"id": "component", "slicing": {"discriminator": [{"type": "value", "path": "code.coding.code"}], "rules": "open"}},
        {"id": "component:a", "sliceName": "a", "min": 1, "max": "1"},
        {"id": "component:a.code.coding", "slicing": {"discriminator": [{"type": "value", "path": "code"}], "rules": "open"}},
        {"id": "component:a.code.coding:one", "sliceName": "one", "min": 1},
        {"id": "component:a.code.coding:one.code", "fixedCode": "a"},
        {"id": "component:b", "sliceName": "b", "min": 1},
        {"id": "component:b.code.coding", "slicing": {"discriminator": [{"type": "value", "path": "code"}], "rules": "open"}},
        {"id": "component:b.code.coding:one", "sliceName": "one", "min": 1},
        {"id": "component:b.code.coding:one.code", "fixedCode": "b"},
        {"id": "component:b.value[x]", "min": 1}]),
    json!({"component": [{"code": {"coding": [{"code": "a"}, {"code": "x"}]}}, {"code": {"coding": [{"code": "b"}]}}]}),
    &["Observation.component[1].value: required"]
)]
#[case::pattern_above_the_path(
    json!([{"id": "category", "slicing": {"discriminator": [{"type": "value", "path": "coding.code"}], "rules": "open"}},
        {"id": "category:a", "sliceName": "a", "min": 1, "patternCodeableConcept": {"coding": [{"code": "a"}]}}]),
    json!({"category": [{"coding": [{"code": "b"}]}]}),
    &["Observation.category: required"]
)]
#[case::required_codes(
    json!([{"id": "category", "slicing": {"discriminator": [{"type": "value", "path": "$this"}], "rules": "open"}},
        {"id": "category:letter", "sliceName": "letter", "max": "1",
            "binding": {"strength": "required", "valueSet": "http://example.org/letters"}}]),
    json!({"category": [{"coding": [{"code": "a"}]}, {"coding": [{"code": "b"}]}, {"coding": [{"code": "z"}]}]}),
    &["Observation.category: structure"]
)]
#[case::exists(
    json!([{"id": "component", "slicing": {"discriminator": [{"type": "exists", "path": "value"}], "rules": "open"}},
        {"id": "component:with", "sliceName": "with", "max": "1"},
        {"id": "component:with.value[x]", "min": 1},
        {"id": "component:without", "sliceName": "without"},
        {"id": "component:without.value[x]", "max": "0"},
        {"id": "component:without.dataAbsentReason", "min": 1}]),
    json!({"component": [{"code": {"text": "a"}, "valueString": "x"}, {"code": {"text": "b"}}]}),
    &["Observation.component[1].dataAbsentReason: required"]
)]
#[case::type_of_target(
    json!([{"id": "performer", "slicing": {"discriminator": [{"type": "type", "path": "resolve()"}], "rules": "open"}},
        {"id": "performer:org", "sliceName": "org", "min": 1,
            "type": [{"code": "Reference", "targetProfile": ["http://hl7.org/fhir/StructureDefinition/Organization"]}]},
        {"id": "performer:org.display", "min": 1}]),
    json!({"performer": [{"reference": "Practitioner/1"}, {"reference": "Organization/1"}]}),
    &["Observation.performer[1].display: required"]
)]
#[case::slices_of_a_slice(
    json!([{"id": "category", "slicing": {"discriminator": [{"type": "value", "path": "text"}], "rules": "open"}},
        {"id": "category:a", "sliceName": "a", "min": 1, "slicing": {"discriminator": [{"type": "exists", "path": "id"}], "rules": "open"}},
        {"id": "category:a.text", "fixedString": "a"},
        {"id": "category:a/named", "sliceName": "a/named", "min": 1, "max": "1"},
        {"id": "category:a/named.id", "min": 1}]),
    json!({"category": [{"text": "a"}, {"text": "b", "id": "x"}]}),
    &["Observation.category: required"]
)]
#[case::a_slice_of_a_slice_is_in_both(
    json!([{"id": "category", "slicing": {"discriminator": [{"type": "value", "path": "text"}], "rules": "open"}},
        {"id": "category:a", "sliceName": "a", "max": "2", "slicing": {"discriminator": [{"type": "exists", "path": "id"}], "rules": "open"}},
        {"id": "category:a.text", "fixedString": "a"},
        {"id": "category:a/named", "sliceName": "a/named", "min": 1, "max": "1"},
        {"id": "category:a/named.id", "min": 1}]),
    json!({"category": [{"text": "a"}, {"text": "a", "id": "x"}]}),
    &[]
)]
#[case::no_discriminator(
    json!([{"id": "category", "slicing": {"rules": "closed"}},
        {"id": "category:text", "sliceName": "text"},
        {"id": "category:text.text", "min": 1}]),
    json!({"category": [{"text": "a"}, {"coding": [{"code": "a"}]}]}),
    &["Observation.category[1]: structure"]
)]
fn slices_by_other_means(#[case] differential: Value, #[case] members: Value, #[case] expected: &[&str]) {
    assert_eq!(of_observation(&differential, &members), expected);
}

/// `Questionnaire.item.item` is what `Questionnaire.item` is.
#[rstest]
#[case::every_level(json!([{"id": "Questionnaire.item.prefix", "path": "Questionnaire.item.prefix", "min": 1}]),
    &["Questionnaire.item[0].item[0].item[0].prefix: required", "Questionnaire.item[0].item[0].prefix: required"])]
#[case::one_level(json!([{"id": "Questionnaire.item.prefix", "path": "Questionnaire.item.prefix", "min": 1},
    {"id": "Questionnaire.item.item", "path": "Questionnaire.item.item", "max": "1"}]), &[])]
fn content_that_is_referred_to(#[case] elements: Value, #[case] expected: &[&str]) {
    let profile = definition(URL, "Questionnaire", &core("Questionnaire"), &elements);
    let item = |id: &str, inner: Value| json!({"linkId": id, "type": "group", "item": inner});
    let inner = item("2", json!([{"linkId": "3", "type": "display", "text": "t"}]));
    let mut outer = item("1", json!([inner]));
    outer["prefix"] = json!("A");
    let questionnaire = json!({"resourceType": "Questionnaire", "status": "draft", "item": [outer]});
    let mut found = said(FhirVersion::R4, &[profile], &questionnaire);
    found.sort();
    assert_eq!(found, expected);
}

const COLOUR: &str = "http://example.org/colour";

/// An extension whose value is one word.
fn colour() -> Value {
    definition(
        COLOUR,
        "Extension",
        &core("Extension"),
        &json!([
            {"id": "Extension", "path": "Extension"},
            {"id": "Extension.url", "path": "Extension.url", "fixedUri": COLOUR},
            {"id": "Extension.value[x]", "path": "Extension.value[x]", "min": 1, "type": [{"code": "string"}]}
        ]),
    )
}

/// A Patient that must have it.
fn coloured() -> Value {
    definition(
        URL,
        "Patient",
        &core("Patient"),
        &json!([
            {"id": "Patient.extension:colour", "path": "Patient.extension", "sliceName": "colour", "min": 1, "max": "1",
                "type": [{"code": "Extension", "profile": [COLOUR]}]}
        ]),
    )
}

#[rstest]
#[case::there(json!([{"url": COLOUR, "valueString": "red"}, {"url": "http://example.org/other", "valueString": "x"}]), &[])]
#[case::not_there(json!([{"url": "http://example.org/other", "valueString": "x"}]), &["Patient.extension: required"])]
#[case::of_another_type(json!([{"url": COLOUR, "valueInteger": 1}]), &["Patient.extension[0].valueInteger: structure"])]
fn extensions(
    #[case] list: Value,
    #[case] expected: &[&str],
    #[values(FhirVersion::R4, FhirVersion::Stu3)] version: FhirVersion,
) {
    let patient = json!({"resourceType": "Patient", "extension": list});
    assert_eq!(said(version, &[colour(), coloured()], &patient), expected);
}

#[test]
fn a_profile_keeps_the_rules_of_the_one_that_it_is_based_on() {
    let base = definition(
        "http://example.org/base",
        "Observation",
        &core("Observation"),
        &json!([
            {"id": "Observation.code.coding", "path": "Observation.code.coding", "min": 1,
                "slicing": {"discriminator": [{"type": "value", "path": "system"}], "rules": "open"}},
            {"id": "Observation.code.coding:one", "path": "Observation.code.coding", "sliceName": "one"},
            {"id": "Observation.code.coding:one.system", "path": "Observation.code.coding.system", "fixedUri": "http://one"}
        ]),
    );
    let derived = definition(
        URL,
        "Observation",
        "http://example.org/base",
        &json!([
            {"id": "Observation.code.coding:one", "path": "Observation.code.coding", "sliceName": "one", "min": 1},
            {"id": "Observation.subject", "path": "Observation.subject", "min": 1}
        ]),
    );
    let all = [base, derived];
    let bare = observation(&json!({}));
    assert_eq!(
        said(FhirVersion::R4, &all, &bare),
        // of all codings, and of those in the slice
        [
            "Observation.code.coding: required",
            "Observation.code.coding: required",
            "Observation.subject: required"
        ]
    );
    let other =
        observation(&json!({"code": {"coding": [{"system": "http://two"}]}, "subject": {"reference": "Patient/1"}}));
    assert_eq!(
        said(FhirVersion::R4, &all, &other),
        ["Observation.code.coding: required"]
    );
}

#[test]
fn elements_without_ids_are_placed_by_path_and_slice() {
    let profile = definition(
        URL,
        "Observation",
        &core("Observation"),
        &json!([
            {"path": "Observation.component", "slicing": {"discriminator": [{"type": "value", "path": "code.text"}], "rules": "open"}},
            {"path": "Observation.component", "sliceName": "a"},
            {"path": "Observation.component.code"},
            {"path": "Observation.component.code.text", "fixedString": "a"},
            {"path": "Observation.component.valueString", "fixedString": "A"},
            {"path": "Observation.component", "sliceName": "b", "min": 1},
            {"path": "Observation.component.code.text", "fixedString": "b"}
        ]),
    );
    let members = json!({"component": [{"code": {"text": "a"}, "valueString": "B"}]});
    assert_eq!(
        said(FhirVersion::Stu3, &[profile], &observation(&members)),
        [
            "Observation.component[0].valueString: value",
            "Observation.component: required"
        ]
    );
}

#[test]
fn a_snapshot_says_all_by_itself() {
    let profile = json!({"resourceType": "StructureDefinition", "url": URL, "type": "Patient",
    "baseDefinition": "http://example.org/unknown", "snapshot": {"element": [
        {"id": "Patient", "path": "Patient", "min": 0, "max": "*"},
        {"id": "Patient.id", "path": "Patient.id", "min": 0, "max": "1", "type": [{"code": "http://hl7.org/fhirpath/System.String"}]},
        {"id": "Patient.name", "path": "Patient.name", "min": 1, "max": "*", "type": [{"code": "HumanName"}]},
        {"id": "Patient.contact", "path": "Patient.contact", "min": 0, "max": "*", "type": [{"code": "BackboneElement"}]}
    ]}});
    let patient = json!({"resourceType": "Patient", "id": "a", "contact": [{"name": {"text": "x"}}]});
    assert_eq!(said(FhirVersion::R4, &[profile], &patient), ["Patient.name: required"]);
}

#[rstest]
#[case::contained(json!({"resourceType": "Patient", "contained": [{"resourceType": "Organization", "id": "o", "name": "x"}],
    "managingOrganization": {"reference": "#o"}}), &["Patient.contained[0].telecom: required"])]
#[case::entry(json!({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": {"resourceType": "Organization", "name": "x"}}]}),
    &["Bundle.entry[0].resource.telecom: required"])]
fn inner_resources_are_held_to_what_they_claim(#[case] mut resource: Value, #[case] expected: &[&str]) {
    let profile = definition(
        "http://example.org/org",
        "Organization",
        &core("Organization"),
        &json!([
            {"id": "Organization.telecom", "path": "Organization.telecom", "min": 1}
        ]),
    );
    let inner = if resource["contained"].is_array() {
        "/contained/0"
    } else {
        "/entry/0/resource"
    };
    resource.pointer_mut(inner).expect("inner")["meta"] = json!({"profile": ["http://example.org/org"]});
    let found: Vec<String> = said(FhirVersion::R4, &[profile], &resource)
        .into_iter()
        .filter(|issue| !issue.ends_with("not-found"))
        .collect();
    assert_eq!(found, expected);
}

/// Profiles that name each other, or themselves, end.
#[test]
fn circles_end() {
    let profile = definition(
        URL,
        "Observation",
        &core("Observation"),
        &json!([
            {"id": "Observation.contained", "path": "Observation.contained", "type": [{"code": "Observation", "profile": [URL]}]},
            {"id": "Observation.subject", "path": "Observation.subject", "min": 1}
        ]),
    );
    let mut resource = observation(&json!({"subject": {"reference": "Patient/1"}}));
    for _ in 0..20 {
        resource = observation(&json!({"subject": {"reference": "Patient/1"}, "contained": [resource]}));
    }
    said(FhirVersion::R4, &[profile], &resource);
}

#[rstest]
#[case(json!({"resourceType": "StructureDefinition", "type": "Patient"}), "lacks `url`")]
#[case(json!({"resourceType": "StructureDefinition", "url": URL, "type": "Patient"}), "lacks `differential`")]
#[case(json!({"resourceType": "StructureDefinition", "url": URL, "type": "Clinic", "differential": {"element": [{"path": "Clinic"}]}}), "unknown type `Clinic`")]
#[case(definition(URL, "Patient", "x", &json!([{"path": "Patient", "constraint": [{"key": "a", "expression": "name."}]}])), "`name.` in the StructureDefinition")]
fn unusable(#[case] definition: Value, #[case] expected: &str) {
    let document = parse(&definition);
    let error = Profile::compile(document.root(), FhirVersion::R4.definitions(), None).expect_err("refused");
    assert!(error.to_string().contains(expected), "{error}");
}

/// Rules that were let go are compiled again and say the same.
#[test]
fn rules_are_kept_up_to_a_limit() {
    let patient = parse(
        &json!({"resourceType": "Patient", "contact": [{"gender": "male"}], "name": [{"period": {"start": "2020", "end": "2010"}}]}),
    );
    let said = |library: &Library| {
        let knowledge = Knowledge {
            definitions: FhirVersion::R4.definitions(),
            library,
            profiles: &stored(FhirVersion::R4, &[]),
            terminology: &Letters,
            now: NOW,
        };
        findings(&knowledge, &patient, &[]).issues
    };
    let (whole, small, none) = (Library::default(), Library::within(8_000), Library::within(0));
    let issues = said(&whole);
    assert_eq!(issues.len(), 2, "{issues:?}");
    assert_eq!((said(&small), said(&none)), (issues.clone(), issues));
    assert!(whole.bytes() > 8_000, "{}", whole.bytes());
    assert!(small.bytes() > 0 && small.bytes() <= 8_000, "{}", small.bytes());
    assert_eq!(none.bytes(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Resources of every type and shape are judged, by profiles too, and never panic.
    #[test]
    fn any_resource_is_judged((version, text) in generated::resource()) {
        let document = Document::parse(text.into_bytes(), Limits::default()).expect("JSON");
        let of = document.root().text_of("resourceType").expect("a type").into_owned();
        let profile = definition(URL, &of, &core(&of), &json!([
            {"id": format!("{of}.meta"), "path": format!("{of}.meta"), "min": 1},
            {"id": format!("{of}.extension:colour"), "path": format!("{of}.extension"), "sliceName": "colour",
                "type": [{"code": "Extension", "profile": [COLOUR]}]}
        ]));
        let profiles = stored(version, &[colour(), profile]);
        let knowledge = Knowledge {
            definitions: version.definitions(),
            library: &Library::default(),
            profiles: &profiles,
            terminology: &Letters,
            now: NOW,
        };
        let first = findings(&knowledge, &document, &[URL.to_owned()]);
        let again = findings(&knowledge, &document, &[URL.to_owned()]);
        prop_assert_eq!(first.issues, again.issues);
    }
}

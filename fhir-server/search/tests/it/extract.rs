use fhir_definitions::{Definitions, FhirVersion};
use fhir_resource::{Document, Limits};
use fhir_search::{Extractor, Keys, ParamId};
use serde_json::{Value, json};

fn keys(version: FhirVersion, resource: &Value) -> (Keys, impl Fn(&str) -> ParamId + use<>) {
    let definitions = Definitions::of(version);
    let document = Document::parse(resource.to_string(), Limits::default()).expect("JSON");
    let of = definitions
        .resource_type(resource["resourceType"].as_str().expect("type"))
        .expect("a type");
    let extractor = Extractor::new(definitions, vec!["http://own".to_owned()]);
    let named = move |code: &str| ParamId::of(definitions.search_parameter(of, code).expect("a parameter"));
    (extractor.keys(of, document.root()), named)
}

fn texts(keys: &Keys, param: ParamId) -> Vec<&str> {
    keys.exact
        .iter()
        .filter(|(of, _)| *of == param)
        .map(|(_, text)| text.as_str())
        .collect()
}

fn patient_compartment(version: FhirVersion) -> ParamId {
    let at = Definitions::of(version)
        .compartments()
        .position(|c| c.name() == "Patient");
    ParamId::of_compartment(at.and_then(|at| u32::try_from(at).ok()).expect("there is one"))
}

#[test]
fn each_kind_has_its_keys_in_both_versions() {
    for version in [FhirVersion::R4, FhirVersion::Stu3] {
        let (keys, named) = keys(
            version,
            &json!({
                "resourceType": "Observation", "status": "final",
                "code": {"coding": [{"system": "http://s", "code": "c"}, {"code": "bare"}, {"system": "http://s"}]},
                "category": [{"coding": [{"system": "http://s"}]}],
                "subject": {"reference": "http://own/Patient/p/_history/2"},
                "effectivePeriod": {"start": "2020-01-01"},
                "valueQuantity": {"value": 1.50, "unit": "u"},
            }),
        );
        assert_eq!(
            texts(&keys, named("code")),
            ["p\u{1f}bare", "phttp://s\u{1f}c"],
            "{version}"
        );
        assert_eq!(texts(&keys, named("category")), ["phttp://s\u{1f}"], "{version}");
        assert_eq!(texts(&keys, named("patient")), ["rPatient/p"], "{version}");
        assert_eq!(texts(&keys, patient_compartment(version)), ["rPatient/p"], "{version}");
        assert_eq!(keys.dates.len(), 1, "{version}");
        let quantity = keys
            .numbers
            .iter()
            .find(|row| row.param == named("value-quantity"))
            .expect("a quantity");
        assert_eq!(
            (quantity.system.as_str(), quantity.code.as_str()),
            ("", "u"),
            "{version}"
        );
    }
}

#[test]
fn nobody_is_in_an_own_compartment() {
    let (keys, _) = keys(
        FhirVersion::R4,
        &json!({"resourceType": "Patient", "id": "p", "link": [{"other": {"reference": "Patient/q"}, "type": "seealso"}]}),
    );
    let compartments = Definitions::of(FhirVersion::R4).compartments().count();
    for index in 0..u32::try_from(compartments).expect("few") {
        let members = texts(&keys, ParamId::of_compartment(index));
        assert!(!members.contains(&"rPatient/p"), "{members:?}");
    }
}

#[test]
fn what_cannot_be_found_from_outside_has_no_key() {
    for reference in ["#contained", "urn:uuid:6b1ae2a5-3a26-4d5a-8a4b-6f5a26ad2bd1", ""] {
        let (keys, named) = keys(
            FhirVersion::R4,
            &json!({"resourceType": "Patient", "managingOrganization": {"reference": reference}}),
        );
        // only that there is one can be found
        assert_eq!(texts(&keys, named("organization")), ["x"], "{reference}");
    }
}

/// The rows of a vital sign are those of its elements, each once, whatever combines them.
#[test]
fn what_others_say_has_no_keys_of_its_own() {
    let (keys, named) = keys(
        FhirVersion::R4,
        &json!({
            "resourceType": "Observation", "status": "final",
            "code": {"coding": [{"system": "http://s", "code": "c"}]},
            "subject": {"reference": "Patient/p"},
            "valueQuantity": {"value": 1, "system": "http://unitsofmeasure.org", "code": "cm"},
            "component": [{"code": {"coding": [{"code": "d"}]}, "valueQuantity": {"value": 2}}],
        }),
    );
    assert_eq!(texts(&keys, named("combo-code")), [""; 0]);
    assert_eq!(texts(&keys, named("component-code")), ["p\u{1f}d"]);
    // in its own unit and the canonical one; the component's, which has no unit
    assert_eq!(keys.numbers.len(), 3);
    // the component, for `component-code-value-quantity` and `combo-code-value-quantity`
    assert_eq!(keys.elements.len(), 2);
}

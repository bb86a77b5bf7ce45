//! What the tables say, against what HL7's specification says.

use fhir_definitions::{
    Definitions, Element, FhirVersion, MOST_OPEN, Max, ParamKind, ResourceType, Strength, Structure, StructureKind,
    TerminologyKind,
};
use rstest::rstest;

const R4: FhirVersion = FhirVersion::R4;
const STU3: FhirVersion = FhirVersion::Stu3;

#[rstest]
#[case(R4, 146, "4.0.1")]
#[case(STU3, 117, "3.0.2")]
fn resource_types(#[case] version: FhirVersion, #[case] types: usize, #[case] release: &str) {
    let definitions = Definitions::of(version);
    assert_eq!(definitions.resource_types().count(), types);
    assert_eq!(version.release(), release);
    assert_eq!(version.to_string().parse::<FhirVersion>(), Ok(version));
    assert_eq!(
        definitions.resource_type("Patient").map(ResourceType::name),
        Some("Patient")
    );
    for name in [
        "patient",
        "DomainResource",
        "HumanName",
        "",
        "Patient.contact",
        "\u{0}",
        "Zzz",
        "MedicinalProductX",
    ] {
        assert_eq!(definitions.resource_type(name), None, "{name}");
    }
}

#[rstest]
#[case(R4, "Patient", "birthDate", "date", 0, Max::One)]
#[case(R4, "Patient", "name", "HumanName", 0, Max::Many)]
#[case(R4, "Patient", "contact", "Patient.contact", 0, Max::Many)]
#[case(R4, "Patient", "id", "id", 0, Max::One)]
#[case(R4, "Patient", "contained", "Resource", 0, Max::Many)]
#[case(R4, "HumanName", "id", "string", 0, Max::One)]
#[case(R4, "Extension", "url", "uri", 1, Max::One)]
#[case(R4, "Observation", "status", "code", 1, Max::One)]
#[case(R4, "Observation", "valueQuantity", "Quantity", 0, Max::One)]
#[case(R4, "Questionnaire.item", "item", "Questionnaire.item", 0, Max::Many)]
#[case(R4, "MedicinalProduct.name", "productName", "string", 1, Max::One)]
#[case(STU3, "Observation", "valueSampledData", "SampledData", 0, Max::One)]
#[case(STU3, "Binary", "content", "base64Binary", 1, Max::One)]
#[case(STU3, "Condition", "onsetAge", "Age", 0, Max::One)]
#[case(STU3, "Bundle.entry", "resource", "Resource", 0, Max::One)]
fn elements(
    #[case] version: FhirVersion,
    #[case] owner: &str,
    #[case] name: &str,
    #[case] type_name: &str,
    #[case] min: u32,
    #[case] max: Max,
) {
    let element = Definitions::of(version)
        .structure(owner)
        .and_then(|owner| owner.element(name))
        .expect(name);
    assert_eq!((element.name(), element.structure().name()), (name, type_name));
    assert_eq!((element.min(), element.max()), (min, max));
}

#[test]
fn choices_are_one_slot() {
    let observation = Definitions::of(R4).structure("Observation").expect("Observation");
    let value: Vec<_> = observation.elements_named("value").map(Element::name).collect();
    assert_eq!(value.len(), 11);
    assert!(value.contains(&"valueQuantity") && value.contains(&"valueDateTime"));
    let quantity = observation.element("valueQuantity").expect("valueQuantity");
    assert!(quantity.is_choice() && quantity.base_name() == "value");
    assert!(observation.element("value").is_none() && observation.element("valueAddress").is_none());
    let order: Vec<_> = observation.elements().map(Element::name).take(4).collect();
    assert_eq!(order, ["id", "meta", "implicitRules", "language"]);
}

#[rstest]
#[case(R4, "Observation", "subject", &["Device", "Group", "Location", "Patient"])]
#[case(STU3, "Observation", "subject", &["Device", "Group", "Location", "Patient"])]
#[case(R4, "Observation", "focus", &[])]
fn reference_targets(#[case] version: FhirVersion, #[case] owner: &str, #[case] name: &str, #[case] targets: &[&str]) {
    let element = Definitions::of(version)
        .structure(owner)
        .and_then(|owner| owner.element(name))
        .expect(name);
    assert_eq!(element.targets().collect::<Vec<_>>(), targets);
}

#[rstest]
#[case(R4, "Patient", "gender", "female", Some(true))]
#[case(R4, "Patient", "gender", "Female", Some(false))]
#[case(STU3, "Observation", "status", "final", Some(true))]
#[case(STU3, "Observation", "status", "", Some(false))]
#[case(R4, "Attachment", "contentType", "text/plain", None)]
#[case(R4, "OperationDefinition.parameter", "type", "Patient", Some(true))]
fn required_codes(
    #[case] version: FhirVersion,
    #[case] owner: &str,
    #[case] name: &str,
    #[case] code: &str,
    #[case] allowed: Option<bool>,
) {
    let element = Definitions::of(version)
        .structure(owner)
        .and_then(|owner| owner.element(name))
        .expect(name);
    let binding = element.binding().expect("binding");
    assert_eq!(
        (binding.strength(), binding.allows(code)),
        (Strength::Required, allowed)
    );
}

#[test]
fn kinds_and_bases() {
    let definitions = Definitions::of(R4);
    let kind = |name| definitions.structure(name).map(Structure::kind);
    assert_eq!(kind("Patient"), Some(StructureKind::Resource));
    assert_eq!(kind("Patient.contact"), Some(StructureKind::Backbone));
    assert_eq!(kind("HumanName"), Some(StructureKind::Complex));
    assert_eq!(kind("date"), Some(StructureKind::Primitive));
    let is_domain = |name| {
        definitions
            .structure(name)
            .is_some_and(|structure| structure.is_a("DomainResource"))
    };
    assert!(is_domain("Patient") && !is_domain("Bundle") && !is_domain("Binary"));
    assert!(definitions.structure("Age").is_some_and(|age| age.is_a("Quantity")));
}

#[rstest]
#[case(R4, "Observation", "code", ParamKind::Token, "Observation.code")]
#[case(
    R4,
    "Observation",
    "value-quantity",
    ParamKind::Quantity,
    "(Observation.value as Quantity) | (Observation.value as SampledData)"
)]
#[case(
    R4,
    "Condition",
    "patient",
    ParamKind::Reference,
    "Condition.subject.where(resolve() is Patient)"
)]
#[case(R4, "Observation", "_id", ParamKind::Token, "Resource.id")]
#[case(R4, "Observation", "_source", ParamKind::Uri, "Resource.meta.source")]
#[case(R4, "Location", "near", ParamKind::Special, "Location.position")]
#[case(
    STU3,
    "Observation",
    "value-quantity",
    ParamKind::Quantity,
    "Observation.value.as(Quantity)"
)]
#[case(STU3, "Observation", "_lastUpdated", ParamKind::Date, "Resource.meta.lastUpdated")]
#[case(STU3, "Patient", "_tag", ParamKind::Token, "Resource.meta.tag")]
fn search_parameters(
    #[case] version: FhirVersion,
    #[case] type_name: &str,
    #[case] code: &str,
    #[case] kind: ParamKind,
    #[case] expression: &str,
) {
    let definitions = Definitions::of(version);
    let resource_type = definitions.resource_type(type_name).expect(type_name);
    let parameter = definitions.search_parameter(resource_type, code).expect(code);
    assert_eq!(
        (parameter.code(), parameter.kind(), parameter.expression()),
        (code, kind, expression)
    );
    assert_eq!(definitions.search_parameter_by_id(parameter.id()), Some(parameter));
    assert!(
        definitions
            .search_parameters(resource_type)
            .any(|other| other == parameter)
    );
    assert_eq!(definitions.search_parameter(resource_type, "nonsense"), None);
}

#[rstest]
#[case(R4, 1_400)]
#[case(STU3, 1_360)]
fn every_search_parameter_is_there(#[case] version: FhirVersion, #[case] least: usize) {
    let definitions = Definitions::of(version);
    assert!(definitions.all_search_parameters().count() >= least);
    for parameter in definitions.all_search_parameters() {
        let described =
            !parameter.expression().is_empty() || matches!(parameter.code(), "_text" | "_content" | "_query");
        assert!(
            described && !parameter.url().is_empty() && !parameter.base().is_empty(),
            "{parameter:?}"
        );
        let composite = parameter.kind() == ParamKind::Composite;
        assert_eq!(composite, parameter.components().count() > 1, "{parameter:?}");
        for component in parameter.components() {
            let owner = definitions.resource_type(parameter.base()).expect("base");
            assert!(
                definitions.search_parameter(owner, component.code).is_some(),
                "{parameter:?} {}",
                component.code
            );
        }
    }
}

#[rstest]
#[case(R4)]
#[case(STU3)]
fn composites_are_made_of_elements(#[case] version: FhirVersion) {
    let definitions = Definitions::of(version);
    let observation = definitions.resource_type("Observation").expect("Observation");
    let composite = definitions
        .search_parameter(observation, "combo-code-value-quantity")
        .expect("composite");
    assert_eq!(composite.expression(), "Observation | Observation.component");
    let parts: Vec<_> = composite
        .components()
        .map(|part| (part.code, part.expression))
        .collect();
    assert_eq!(
        parts,
        [("combo-code", "code"), ("combo-value-quantity", "value.as(Quantity)")]
    );
}

#[rstest]
#[case(R4)]
#[case(STU3)]
fn compartments(#[case] version: FhirVersion) {
    let definitions = Definitions::of(version);
    let resource_type = |name| definitions.resource_type(name).expect(name);
    let patient = definitions.compartment("Patient").expect("Patient");
    let of_observation: Vec<_> = patient.parameters(resource_type("Observation")).collect();
    assert_eq!(of_observation, ["subject", "performer"]);
    assert!(patient.contains(resource_type("Patient")) && !patient.contains(resource_type("Medication")));
    assert_eq!(patient.parameters(resource_type("Medication")).count(), 0);
    assert_eq!(definitions.compartments().count(), 5);
    assert!(definitions.compartment("Observation").is_none());
    for compartment in definitions.compartments() {
        for member in definitions.resource_types() {
            for code in compartment.parameters(member) {
                assert!(
                    definitions.search_parameter(member, code).is_some(),
                    "{compartment:?} {member} {code}"
                );
            }
        }
    }
}

#[rstest]
#[case(R4)]
#[case(STU3)]
fn every_element_leads_to_a_type(#[case] version: FhirVersion) {
    let definitions = Definitions::of(version);
    let mut pending: Vec<_> = definitions.resource_types().map(ResourceType::structure).collect();
    let mut seen = std::collections::HashSet::new();
    while let Some(structure) = pending.pop() {
        if !seen.insert(structure) {
            continue;
        }
        assert!(!structure.name().is_empty());
        for element in structure.elements() {
            assert_eq!(structure.element(element.name()), Some(element));
            pending.push(element.structure());
        }
    }
    assert!(seen.len() > 500);
}

#[rstest]
#[case(R4)]
#[case(STU3)]
fn invariants_are_in_the_cold_pack(#[case] version: FhirVersion) {
    let invariants = Definitions::of(version).invariants().expect("cold pack");
    let found = invariants
        .iter()
        .find(|invariant| invariant.key == "pat-1")
        .expect("pat-1");
    assert!(found.error && found.path == "Patient.contact" && found.expression.contains("name.exists()"));
}

#[rstest]
#[case(
    R4,
    TerminologyKind::ValueSet,
    "http://hl7.org/fhir/ValueSet/administrative-gender",
    "4.0.1",
    "\"system\":\"http://hl7.org/fhir/administrative-gender\""
)]
#[case(
    R4,
    TerminologyKind::CodeSystem,
    "http://terminology.hl7.org/CodeSystem/v3-ActCode",
    "2018-08-12",
    "\"code\":\"AMB\""
)]
#[case(
    R4,
    TerminologyKind::CodeSystem,
    "http://terminology.hl7.org/CodeSystem/v2-0001",
    "2.9",
    "\"code\":\"F\""
)]
#[case(
    STU3,
    TerminologyKind::ValueSet,
    "http://hl7.org/fhir/ValueSet/observation-status",
    "3.0.2",
    "\"include\":[{"
)]
#[case(
    STU3,
    TerminologyKind::CodeSystem,
    "http://hl7.org/fhir/v3/ActCode",
    "2016-11-11",
    "\"caseSensitive\":true"
)]
fn terminology_is_in_the_cold_pack(
    #[case] version: FhirVersion,
    #[case] kind: TerminologyKind,
    #[case] url: &str,
    #[case] own: &str,
    #[case] part: &str,
) {
    let definitions = Definitions::of(version);
    let found = definitions.terminology(kind, url).expect("cold pack").expect(url);
    assert_eq!((found.url.as_str(), found.version.as_str()), (url, own));
    assert!(found.json.starts_with('{') && found.json.ends_with('}') && found.json.contains(part));
    for other in [&url[..url.len() - 1], "", "\t", "http://example.org"] {
        assert_eq!(
            definitions.terminology(kind, other).expect("cold pack"),
            None,
            "{other}"
        );
    }
}

#[rstest]
#[case(R4, 1_300, 1_000)]
#[case(STU3, 1_100, 900)]
fn all_terminology_is_found_and_little_stays_open(
    #[case] version: FhirVersion,
    #[case] value_sets: usize,
    #[case] code_systems: usize,
) {
    let definitions = Definitions::of(version);
    for (kind, least) in [
        (TerminologyKind::ValueSet, value_sets),
        (TerminologyKind::CodeSystem, code_systems),
    ] {
        let list = definitions.terminology_list(kind).expect("cold pack");
        assert!(list.len() >= least, "{kind:?} {}", list.len());
        for (url, own) in list {
            let found = definitions.terminology(kind, &url).expect("cold pack").expect("found");
            assert!(found.version == own && found.json.contains(&url));
        }
    }
    assert!(definitions.open_bytes() <= MOST_OPEN + (1 << 20));
}

/// Nothing is copied when tables are opened, so the files bound the memory.
#[rstest]
#[case(R4)]
#[case(STU3)]
fn tables_are_small(#[case] version: FhirVersion) {
    assert!(Definitions::of(version).hot_bytes() < 1 << 20);
    assert!(include_bytes!("../../data/r4.bin").len() < 2 << 20);
    assert!(include_bytes!("../../data/stu3.bin").len() < 2 << 20);
    assert!(size_of::<Definitions>() < 256);
}

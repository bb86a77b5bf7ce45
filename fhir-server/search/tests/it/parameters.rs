//! Parameters of the service's own: written from the generation on that has them, searched when they are ready.

use fhir_definitions::{Definitions, FhirVersion, ParamKind, SearchParameter, StoredComponent, StoredParameter};
use fhir_resource::{Document, Limits};
use fhir_search::plan::TextTest;
use fhir_search::{
    Access, Extractor, Filter, Handling, InForce, ParamId, Parameters, Parser, Readiness, Search, SearchError, Target,
};
use rstest::rstest;

const URL: &str = "http://e/tier";

fn parameter(number: u32, base: &str, kind: ParamKind) -> SearchParameter {
    let definition = StoredParameter {
        number,
        url: URL.to_owned(),
        code: "tier".to_owned(),
        kind,
        base: base.to_owned(),
        expression: format!("{base}.extension('{URL}').value"),
        targets: Vec::new(),
        components: Vec::new(),
    };
    SearchParameter::stored(FhirVersion::R4, definition)
}

fn search(in_force: &InForce, target: &str, query: (&str, &str)) -> Result<Search, SearchError> {
    let definitions = Definitions::of(FhirVersion::R4);
    let parser = Parser {
        definitions,
        in_force: in_force.clone(),
        bases: vec![],
        default_count: 10,
        max_count: 100,
    };
    let target = definitions.resource_type(target).map_or(Target::System, Target::Type);
    let pairs = [(query.0.to_owned(), query.1.to_owned())];
    parser.parse(&target, &pairs, Handling::Strict, &Access::All)
}

#[test]
fn a_parameter_is_written_before_it_is_searched() {
    let definitions = Definitions::of(FhirVersion::R4);
    let in_force = InForce::new(Parameters::base(definitions));
    let extractor = Extractor::following(in_force.clone(), vec![]);
    let text = r#"{"resourceType":"Patient","extension":[{"url":"http://e/tier","valueString":"Gold"}]}"#;
    let document = Document::parse(text, Limits::default()).expect("JSON");
    let patient = definitions.resource_type("Patient").expect("a type");
    let before = extractor.keys(patient, document.root());
    assert_eq!((before.generation, before.strings.len()), (0, 0));

    let tier = parameter(1, "Patient", ParamKind::String);
    in_force.store(Parameters::new(definitions, 1, vec![(tier, Readiness::Filling)]));
    let filling = extractor.keys(patient, document.root());
    let row = (ParamId::of(tier), "gold".to_owned(), "Gold".to_owned());
    assert_eq!((filling.generation, filling.strings), (1, vec![row]));
    assert!(matches!(
        search(&in_force, "Patient", ("tier", "gold")),
        Err(SearchError::UnknownParameter { .. })
    ));
    let partial = InForce::new(in_force.load().partial());
    search(&partial, "Patient", ("tier", "gold")).expect("for trying it out");

    in_force.store(Parameters::new(definitions, 2, vec![(tier, Readiness::Ready)]));
    let found = search(&in_force, "Patient", ("tier", "gold")).expect("ready");
    let starts = Filter::Text(ParamId::of(tier), TextTest::StartsWith("gold".to_owned()));
    assert_eq!(found.plan.filters, [starts]);
    assert!(search(&in_force, "Observation", ("tier", "gold")).is_err());
    // what another replica says late changes nothing
    in_force.store(Parameters::base(definitions));
    assert_eq!(in_force.load().generation(), 2);
}

#[rstest]
#[case("Resource", "", "tier")]
#[case("DomainResource", "Observation", "tier")]
#[case("Patient", "Observation", "subject:Patient.tier")]
#[case("Patient", "Patient", "_sort")]
fn a_parameter_serves_wherever_its_base_does(#[case] base: &str, #[case] target: &str, #[case] name: &str) {
    let tier = parameter(3, base, ParamKind::String);
    let definitions = Definitions::of(FhirVersion::R4);
    let in_force = InForce::new(Parameters::new(definitions, 1, vec![(tier, Readiness::Ready)]));
    search(&in_force, target, (name, "tier")).expect(name);
}

#[test]
fn a_reference_is_included_both_ways() {
    let tier = parameter(4, "Patient", ParamKind::Reference);
    let definitions = Definitions::of(FhirVersion::R4);
    let in_force = InForce::new(Parameters::new(definitions, 1, vec![(tier, Readiness::Ready)]));
    for name in ["_include", "_revinclude"] {
        let found = search(&in_force, "Patient", (name, "Patient:tier")).expect(name);
        assert_eq!(found.includes[0].parameters, [("Patient", ParamId::of(tier))]);
    }
}

#[test]
fn a_composite_may_be_made_of_own_parameters() {
    let definitions = Definitions::of(FhirVersion::R4);
    let tier = parameter(5, "Observation", ParamKind::String);
    let part = |definition: &str, expression: &str| StoredComponent {
        definition: definition.to_owned(),
        expression: expression.to_owned(),
    };
    let composite = StoredParameter {
        number: 6,
        url: "http://e/code-and-tier".to_owned(),
        code: "code-tier".to_owned(),
        kind: ParamKind::Composite,
        base: "Observation".to_owned(),
        expression: "Observation".to_owned(),
        targets: Vec::new(),
        components: vec![
            part("http://hl7.org/fhir/SearchParameter/clinical-code", "code"),
            part(URL, "extension('http://e/tier').value"),
        ],
    };
    let composite = SearchParameter::stored(FhirVersion::R4, composite);
    let own = vec![(tier, Readiness::Ready), (composite, Readiness::Ready)];
    let in_force = InForce::new(Parameters::new(definitions, 1, own));
    let found = search(&in_force, "Observation", ("code-tier", "c$gold")).expect("a composite");
    assert_eq!(found.plan.filters.len(), 1);
    let extractor = Extractor::following(in_force, vec![]);
    let text = r#"{"resourceType":"Observation","code":{"coding":[{"code":"c"}]},
        "extension":[{"url":"http://e/tier","valueString":"Gold"}]}"#;
    let document = Document::parse(text, Limits::default()).expect("JSON");
    let observation = definitions.resource_type("Observation").expect("a type");
    let keys = extractor.keys(observation, document.root());
    assert!(keys.strings.iter().any(|(param, ..)| *param == ParamId::of(tier)));
}

//! FHIRPath: of search parameters, and of invariants and patches, which has a budget.

use fhir_definitions::FhirVersion;
use fhir_resource::path::{Budget, Expression, Item, Program, World};
use fhir_resource::{Document, Limits};

use crate::memory;

/// 2026-11-25T12:00:00Z
const NOW: i64 = 1_795_608_000_000_000;
const STEPS: usize = 20_000;

const WORDS: &[&str] = &[
    "(",
    ")",
    "((((((((((((((((",
    "[0]",
    "[99999999999999999999]",
    ".",
    "..",
    "|",
    "and",
    "or",
    "implies",
    "xor",
    "is",
    "as",
    "in",
    "contains",
    "'",
    "'\\u0000'",
    "`",
    "$this",
    "$index",
    "$total",
    "%resource",
    "%'x'",
    "{}",
    "-",
    "--1",
    "+",
    "*",
    "/ 0",
    "div 0",
    "mod 0",
    "&",
    "@2020-02-30",
    "@T25",
    "@2020-01-01T00:00:00+25:00",
    "10 'mg'",
    "1.00000000000000000000000000000000000000000000000000",
    "where(",
    "select(",
    "repeat(children())",
    "repeat($this)",
    "descendants()",
    "aggregate($this + $total, 0)",
    "all(",
    "exists(",
    "iif(true, ",
    "resolve()",
    "ofType(",
    "extension(",
    "matches('(a*)*b')",
    "replaceMatches('(', '')",
    "substring(-1)",
    "toInteger()",
    "power(1000000)",
    "combine(",
    "toQuantity('x')",
    "trace('x')",
    "memberOf(",
];

const SEEDS: &[&str] = &[
    "Patient.name.where(use = 'official').given.first()",
    "(Observation.value as Quantity) | (Observation.value as SampledData)",
    "Observation.component.where(code.coding.exists(system = 'http://loinc.org')).value.ofType(Quantity)",
    "Bundle.entry[0].resource as Composition",
    "name.given.combine(name.family).distinct().count() > 2 implies active = true",
    "contained.where((('#'+id in (%resource.descendants().reference)) or descendants().where(reference = '#').exists()).not()).empty()",
    "Patient.extension('http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName').value.as(string)",
    "AuditEvent.agent.who.where(resolve() is Patient)",
    "birthDate <= today() and birthDate > @1900-01-01",
    "(1 | 2 | 3).aggregate($this + $total, 0) = 6",
];

#[test]
fn fhirpath() {
    memory::bounded();
    let definitions = FhirVersion::R4.definitions();
    let patient = r##"{"resourceType":"Patient","id":"p","active":true,"name":[{"use":"official","family":"A","given":["b","c"]}],
        "birthDate":"1970-01-01","contained":[{"resourceType":"Organization","id":"o"}],"managingOrganization":{"reference":"#o"}}"##;
    let patient = Document::parse(patient, Limits::default()).expect("a patient");
    let structure = definitions.resource_type("Patient").expect("a type").structure();
    // as long and as deep as an expression may be, and longer
    let long = [60, 120, 250, 2_000].into_iter().flat_map(|times| {
        [
            format!("true{}", " or true".repeat(times)),
            format!("name{}", ".where(true)".repeat(times)),
            format!("{}name{}", "select(".repeat(times / 3), ")".repeat(times / 3)),
        ]
    });
    let seeds: Vec<String> = SEEDS
        .iter()
        .map(ToString::to_string)
        .chain(long)
        .chain(fuzz::Corpus::read().paths)
        .collect();
    fuzz::run("fhirpath", &seeds, WORDS, 5_000, |text| {
        if let Ok(program) = Program::compile(text, definitions, "Patient") {
            program.evaluate(patient.root(), &mut |_, _| {});
        }
        let Ok(expression) = Expression::parse(text) else {
            return;
        };
        let budget = Budget::of(STEPS);
        let this = Item {
            value: Some(patient.root()),
            extra: None,
            structure,
        };
        let world = World::of(definitions, NOW, this, &budget);
        // an answer or a fault, within the budget
        let _ = expression.evaluate(&world, this);
    });
}

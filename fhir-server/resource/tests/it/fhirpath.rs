//! HL7's FHIRPath test suite for R4.

use std::collections::BTreeMap;

use fhir_definitions::FhirVersion;
use fhir_resource::path::{Budget, Expression, Item, Rigour, Value, World};
use fhir_resource::{Document, Limits};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::value::RawValue;

/// 2026-11-25T12:00:00Z
const NOW: i64 = 1_795_608_000_000_000;
const STEPS: usize = 1_000_000;

/// What doesn't pass, with the reason.
const EXPECTED_FAILURES: &[(&str, &str)] = &[
    (
        "testPolymorphismAsB",
        "asks for types to be inferred before anything is evaluated",
    ),
    (
        "testDollarOrderNotAllowed",
        "asks for order to be inferred before anything is evaluated",
    ),
    (
        "LowBoundaryDecimal15",
        "-0.0034 may stand for -0.00345, which is below the -0.0 of the test",
    ),
    (
        "HighBoundaryDecimal15",
        "0.0034 may stand for 0.00345, which is above the 0.0 of the test",
    ),
    ("HighBoundaryDecimal16", "the same with a sign before it"),
];

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    on: Option<String>,
    expression: String,
    #[serde(default)]
    predicate: bool,
    #[serde(default = "yes")]
    ordered: bool,
    #[serde(default)]
    strict: bool,
    invalid: Option<String>,
    #[serde(default)]
    output: Vec<Vec<String>>,
}

fn yes() -> bool {
    true
}

fn documents() -> BTreeMap<String, Document> {
    let text = include_str!("../data/fhirpath/resources.json");
    let all: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).expect("resources");
    all.into_iter()
        .map(|(name, raw)| {
            let document = Document::parse(raw.get().as_bytes().to_vec(), Limits::default());
            (name, document.expect("a resource"))
        })
        .collect()
}

fn item(document: &Document) -> Item<'_> {
    let root = document.root();
    let name = root.text_of("resourceType").expect("a type");
    let structure = FhirVersion::R4.definitions().structure(&name).expect("a known type");
    Item {
        value: Some(root),
        extra: None,
        structure,
    }
}

/// What an expression gives: type and text of each value, or why it gives nothing.
fn outcome(case: &Case, document: &Document) -> Result<Vec<(String, String)>, String> {
    let expression = Expression::parse(&case.expression).map_err(|error| format!("syntax: {error}"))?;
    let budget = Budget::of(STEPS);
    let item = item(document);
    let mut world = World::of(FhirVersion::R4.definitions(), NOW, item, &budget);
    if case.strict || case.invalid.as_deref() == Some("semantic") {
        world.rigour = Rigour::Strict;
    }
    if case.predicate {
        let holds = expression.holds(&world, item).map_err(|error| error.to_string())?;
        return Ok(holds
            .map(|holds| ("boolean".to_owned(), holds.to_string()))
            .into_iter()
            .collect());
    }
    let values = expression.evaluate(&world, item).map_err(|error| error.to_string())?;
    Ok(values.iter().map(described).collect())
}

fn described(value: &Value<'_>) -> (String, String) {
    (value.type_of().1.to_owned(), value.to_string())
}

fn passes(case: &Case, document: &Document) -> Result<(), String> {
    let found = outcome(case, document);
    if case.invalid.is_some() {
        return match found {
            Err(_) => Ok(()),
            Ok(values) => Err(format!("gives {values:?}, must fail")),
        };
    }
    let found = found?;
    let mut wanted: Vec<(Option<&str>, &str)> = case
        .output
        .iter()
        .map(|output| match output.as_slice() {
            [of, text] => (Some(of.as_str()), text.trim_start_matches("@T").trim_start_matches('@')),
            [text] => (None, text.trim_start_matches("@T").trim_start_matches('@')),
            _ => panic!("an output has a type and a text"),
        })
        .collect();
    if found.len() != wanted.len() {
        return Err(format!("gives {found:?}"));
    }
    let matches = |(of, text): &(String, String), (wanted_type, wanted): &(Option<&str>, &str)| {
        wanted_type.is_none_or(|wanted| of.eq_ignore_ascii_case(wanted)) && text == wanted
    };
    let all = if case.ordered {
        found.iter().zip(&wanted).all(|(found, wanted)| matches(found, wanted))
    } else {
        found.iter().all(|found| {
            let at = wanted.iter().position(|wanted| matches(found, wanted));
            at.map(|at| wanted.remove(at)).is_some()
        })
    };
    if all { Ok(()) } else { Err(format!("gives {found:?}")) }
}

#[test]
fn hl7_test_suite() {
    let documents = documents();
    let cases: Vec<Case> = serde_json::from_str(include_str!("../data/fhirpath/suite.json")).expect("the suite");
    let mut failures = Vec::new();
    for case in &cases {
        let document = &documents[case.on.as_deref().unwrap_or("patient-example")];
        let expected = EXPECTED_FAILURES.iter().any(|(name, _)| *name == case.name);
        match (passes(case, document), expected) {
            (Err(problem), false) => failures.push(format!("{}: {} {problem}", case.name, case.expression)),
            (Ok(()), true) => failures.push(format!("{} passes, take it from the list", case.name)),
            _ => {}
        }
    }
    println!("{} of {} pass", cases.len() - EXPECTED_FAILURES.len(), cases.len());
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n"));
}

/// Every invariant of HL7's is FHIRPath, but for one that was published with broken quotes.
#[rstest]
#[case(FhirVersion::R4, 1_000)]
#[case(FhirVersion::Stu3, 690)]
fn base_invariants_are_read(#[case] version: FhirVersion, #[case] least: usize) {
    let all = version.definitions().invariants().expect("the cold pack");
    assert!(all.len() > least, "{}", all.len());
    for invariant in all {
        let broken = invariant.expression.contains("#39;");
        let read = Expression::parse(&invariant.expression);
        assert_eq!(
            read.is_err(),
            broken,
            "{} {}: {read:?}",
            invariant.key,
            invariant.expression
        );
    }
}

/// What costs too much ends with an error, and soon.
#[rstest]
#[case("Patient.descendants().select(%resource.descendants().select(%resource.descendants()))")]
#[case(
    "(1|2|3|4|5|6|7|8|9).select((1|2|3|4|5|6|7|8|9).select((1|2|3|4|5|6|7|8|9).select((1|2|3|4|5|6|7|8|9).select((1|2|3|4|5|6|7|8|9).select((1|2|3|4|5|6|7|8|9).select($this))))))"
)]
#[case("'a'.combine('b').repeat($this & 'x')")]
#[case("(1|2|3|4|5|6).combine(1|2|3|4|5|6).combine(1|2|3|4|5|6).combine(1|2|3|4|5|6).aggregate($total & $total, 'a')")]
#[case("'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'.matches('(((((a{99}){99}){99}){99}){99})')")]
fn hostile_expressions_end(#[case] expression: &str) {
    let documents = documents();
    let item = item(&documents["patient-example"]);
    let budget = Budget::of(100_000);
    let world = World::of(FhirVersion::R4.definitions(), NOW, item, &budget);
    let expression = Expression::parse(expression).expect("FHIRPath");
    let result = expression.evaluate(&world, item);
    assert!(result.is_err(), "{} values", result.map_or(0, |values| values.len()));
}

proptest! {
    /// No text panics, neither when it is read nor when it is evaluated.
    #[test]
    fn any_text_is_judged(parts in proptest::collection::vec(proptest::sample::select(PARTS), 1..24)) {
        let Ok(expression) = Expression::parse(&parts.concat()) else { return Ok(()) };
        let document = Document::parse(PATIENT.as_bytes().to_vec(), Limits::default()).expect("JSON");
        let item = item(&document);
        let budget = Budget::of(20_000);
        let world = World::of(FhirVersion::R4.definitions(), NOW, item, &budget);
        let _ = expression.evaluate(&world, item);
    }
}

const PATIENT: &str = r#"{"resourceType":"Patient","id":"a","birthDate":"1974-12-25","_birthDate":{"id":"b"},
    "name":[{"family":"é","given":["a",null],"_given":[null,{"id":"c"}]}],"multipleBirthInteger":2147483647}"#;

/// Words that expressions are made of.
const PARTS: &[&str] = &[
    "Patient",
    "name",
    "given",
    "birthDate",
    "multipleBirth",
    ".",
    ".",
    ".",
    "(",
    ")",
    "[",
    "]",
    "{}",
    "1",
    "0",
    "-",
    "+",
    "9223372036854775807",
    "0.1",
    "@2015",
    "@9999-12-31",
    "@T23:59",
    "'é'",
    "'\\'",
    " & ",
    " | ",
    " = ",
    " ~ ",
    " < ",
    " and ",
    " implies ",
    " in ",
    " div ",
    " mod ",
    " * ",
    " / ",
    " is ",
    " as ",
    "string",
    "where(",
    "select(",
    "repeat(",
    "all(",
    "children()",
    "descendants()",
    "first()",
    "take(",
    "substring(",
    "matches(",
    "replaceMatches(",
    "power(",
    "round(",
    "lowBoundary(",
    "highBoundary(",
    "toQuantity()",
    "toString()",
    "type()",
    "iif(",
    ", ",
    "$this",
    "$index",
    "$total",
    "aggregate(",
    "%resource",
    "%",
    "resolve()",
    "extension(",
    " years",
    " 'mg'",
    " months",
    "exp()",
    "ln()",
    "sqrt()",
    "sort(",
];

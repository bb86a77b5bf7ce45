//! Searches by value sets and hierarchies: what they need, and what they become.

use fhir_definitions::{Definitions, FhirVersion};
use fhir_search::{Access, Filter, Handling, InForce, Need, Parameters, Parser, Search, SearchError, Target, Terms};
use rstest::rstest;

fn parse(of: &str, name: &str, value: &str, terms: &Terms) -> Result<Search, SearchError> {
    let definitions = Definitions::of(FhirVersion::R4);
    let parser = Parser {
        definitions,
        in_force: InForce::new(Parameters::base(definitions)),
        bases: vec![],
        default_count: 10,
        max_count: 100,
    };
    let target = Target::Type(definitions.resource_type(of).expect(of));
    let pairs = [(name.to_owned(), value.to_owned())];
    parser.parse_knowing(&target, &pairs, Handling::Lenient, &Access::All, terms)
}

fn members(text: &str) -> Need {
    Need::Members(text.to_owned())
}

fn below() -> Need {
    Need::Below {
        system: "http://s".to_owned(),
        code: "a".to_owned(),
    }
}

fn above() -> Need {
    Need::Above {
        system: "http://s".to_owned(),
        code: "a".to_owned(),
    }
}

#[rstest]
#[case("Observation", "code:in", "http://v", members("http://v"))]
#[case("Observation", "code:in", "http://v|1.0", members("http://v|1.0"))]
#[case("Observation", "code:not-in", "ValueSet/v", members("ValueSet/v"))]
#[case("Observation", "code:below", "http://s|a", below())]
#[case("Observation", "code:above", "http://s|a", above())]
#[case("DiagnosticReport", "result.code:in", "http://v", members("http://v"))]
#[case("Patient", "_has:Observation:patient:code:in", "http://v", members("http://v"))]
fn needs(#[case] of: &str, #[case] name: &str, #[case] value: &str, #[case] need: Need) {
    let asked = parse(of, name, value, &Terms::default());
    assert_eq!(asked, Err(SearchError::Needs(need.clone())));
    let mut terms = Terms::default();
    terms.insert(need.clone(), Err("It isn't known.".to_owned()));
    let refused = parse(of, name, value, &terms).expect_err("refused");
    assert_eq!(
        (refused.status(), refused.to_string().as_str()),
        (400, "It isn't known.")
    );
    terms.insert(need, Ok(vec![("http://s".to_owned(), "a".to_owned())]));
    let search = parse(of, name, value, &terms).expect("search");
    assert_eq!(search.applied, [(name.to_owned(), value.to_owned())]);
}

/// Codes of elements of type `code` are written without their system.
#[rstest]
#[case("Observation", "code:in", false, &["phttp://s\u{1f}a", "phttp://s\u{1f}b"])]
#[case("Observation", "code:not-in", true, &["phttp://s\u{1f}a", "phttp://s\u{1f}b"])]
#[case("Observation", "status:in", false, &["phttp://s\u{1f}a", "phttp://s\u{1f}b", "p\u{1f}a", "p\u{1f}b"])]
#[case("Patient", "gender:in", false, &["phttp://s\u{1f}a", "phttp://s\u{1f}b", "p\u{1f}a", "p\u{1f}b"])]
fn become_keys(#[case] of: &str, #[case] name: &str, #[case] negated: bool, #[case] expected: &[&str]) {
    let mut terms = Terms::default();
    let codes = ["a", "b"].map(|code| ("http://s".to_owned(), code.to_owned()));
    terms.insert(members("http://v"), Ok(codes.to_vec()));
    let search = parse(of, name, "http://v", &terms).expect("search");
    let keys = match search.plan.filters.as_slice() {
        [Filter::Exact(_, keys)] if !negated => keys,
        [Filter::Not(inner)] if negated => match inner.as_ref() {
            Filter::Exact(_, keys) => keys,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert_eq!(keys, expected);
}

/// An empty value set has no members: nothing is found, and nothing is left out.
#[test]
fn of_nothing() {
    let mut terms = Terms::default();
    terms.insert(members("http://v"), Ok(Vec::new()));
    let search = parse("Observation", "code:in", "http://v", &terms).expect("search");
    assert!(matches!(search.plan.filters.as_slice(), [Filter::Exact(_, keys)] if keys.is_empty()));
}

#[rstest]
#[case("Observation", "code:below", "a")]
#[case("Observation", "code:above", "http://s|a|b")]
fn refuses(#[case] of: &str, #[case] name: &str, #[case] value: &str) {
    let refused = parse(of, name, value, &Terms::default()).expect_err("refused");
    assert_eq!(refused.status(), 400, "{refused}");
}

//! Expansion and membership say the same, over base content and over resources as they would be stored.

mod agreement;

use std::collections::HashMap;
use std::sync::Arc;

use fhir_definitions::{Definitions, FhirVersion, TerminologyKind};
use fhir_resource::validation::{Coded, Membership, Terminology};
use fhir_resource::{Document, Limits};
use rstest::rstest;
use serde_json::{Value, json};

use super::base::Base;
use super::{Canonical, CodeSystem, Library, Problem, ValueSet, expand};

fn document(value: &Value) -> Document {
    Document::parse(value.to_string(), Limits::default()).expect("JSON")
}

/// A library with these resources in it, by their types and URLs.
fn library(version: FhirVersion, resources: &[Value]) -> Library {
    let mut library = Library::of(&Arc::new(Base::new(Definitions::of(version))));
    let mut value_sets: HashMap<&str, Vec<Arc<ValueSet>>> = HashMap::new();
    let mut code_systems: HashMap<&str, Vec<Arc<CodeSystem>>> = HashMap::new();
    for resource in resources {
        let url = resource["url"].as_str().expect("url");
        if resource["resourceType"] == "ValueSet" {
            value_sets
                .entry(url)
                .or_default()
                .push(Arc::new(ValueSet::of(document(resource))));
        } else {
            code_systems
                .entry(url)
                .or_default()
                .push(Arc::new(CodeSystem::of(document(resource))));
        }
    }
    for (url, list) in value_sets {
        library.add_value_sets(url, list);
    }
    for (url, list) in code_systems {
        library.add_code_systems(url, list);
    }
    library
}

fn animals() -> Value {
    json!({"resourceType": "CodeSystem", "url": "http://animals", "version": "2", "content": "complete", "concept": [
        {"code": "animal", "concept": [
            {"code": "cat", "display": "Cat"},
            {"code": "dog", "concept": [{"code": "poodle"}]},
            {"code": "dodo", "property": [{"code": "inactive", "valueBoolean": true}]}]}]})
}

fn fragment() -> Value {
    json!({"resourceType": "CodeSystem", "url": "http://loinc.org", "content": "fragment", "concept": [{"code": "1-8"}]})
}

fn set(url: &str, compose: &Value) -> Value {
    json!({"resourceType": "ValueSet", "url": url, "compose": compose})
}

fn imported() -> Vec<Value> {
    vec![
        animals(),
        fragment(),
        set(
            "http://pets",
            &json!({"include": [{"system": "http://animals", "concept": [{"code": "dog"}, {"code": "cat"}, {"code": "fish"}]}]}),
        ),
        set(
            "http://old",
            &json!({"include": [{"system": "http://animals", "concept": [{"code": "dodo"}, {"code": "cat"}]}]}),
        ),
        set("http://circle", &json!({"include": [{"valueSet": ["http://circle"]}]})),
        json!({"resourceType": "ValueSet", "url": "http://given", "expansion": {"contains": [
            {"system": "http://animals", "code": "animal", "abstract": true, "contains": [{"system": "http://animals", "code": "cat"}]},
            {"system": "http://other", "code": "x"}]}}),
        json!({"resourceType": "ValueSet", "url": "http://nothing"}),
        json!({"resourceType": "ValueSet", "url": "http://twice", "version": "1.9", "compose": {"include": [{"system": "s", "concept": [{"code": "old"}]}]}}),
        json!({"resourceType": "ValueSet", "url": "http://twice", "version": "1.10", "compose": {"include": [{"system": "s", "concept": [{"code": "new"}]}]}}),
    ]
}

fn codes(found: &Result<super::Expansion, Problem>) -> Result<String, String> {
    match found {
        Ok(expansion) => {
            let codes: Vec<&str> = expansion.members.iter().map(|member| member.code.as_ref()).collect();
            Ok(codes.join(" "))
        }
        Err(problem) => Err(problem.to_string()),
    }
}

#[rstest]
#[case::all(json!({"include": [{"system": "http://animals"}]}), Ok("animal cat dog poodle dodo"))]
#[case::active(json!({"inactive": false, "include": [{"system": "http://animals"}]}), Ok("animal cat dog poodle"))]
#[case::listed(json!({"include": [{"system": "http://nowhere", "concept": [{"code": "b"}, {"code": "a"}, {"code": "b"}]}]}), Ok("b a"))]
#[case::filter(json!({"include": [{"system": "http://animals", "filter": [{"property": "concept", "op": "is-a", "value": "dog"}]}]}), Ok("dog poodle"))]
#[case::filters(json!({"include": [{"system": "http://animals", "filter": [
    {"property": "concept", "op": "is-a", "value": "dog"}, {"property": "concept", "op": "regex", "value": "d.*"}]}]}), Ok("dog"))]
#[case::exclude(json!({"include": [{"system": "http://animals"}],
    "exclude": [{"system": "http://animals", "filter": [{"property": "concept", "op": "descendent-of", "value": "animal"}]}]}), Ok("animal"))]
#[case::import(json!({"include": [{"valueSet": ["http://pets"]}]}), Ok("dog cat fish"))]
#[case::intersection(json!({"include": [{"system": "http://animals", "valueSet": ["http://pets"]}]}), Ok("cat dog"))]
#[case::intersection_of_sets(json!({"include": [{"valueSet": ["http://pets", "http://given"]}]}), Ok("cat"))]
#[case::union(json!({"include": [{"valueSet": ["http://given"]}, {"valueSet": ["http://pets"]}]}), Ok("cat x dog fish"))]
#[case::exclude_an_import(json!({"include": [{"valueSet": ["http://pets"]}], "exclude": [{"valueSet": ["http://given"]}]}), Ok("dog fish"))]
#[case::exclude_a_system(json!({"include": [{"valueSet": ["http://given"]}], "exclude": [{"system": "http://animals"}, {"system": "http://snomed.info/sct"}]}), Ok("x"))]
#[case::active_imports(json!({"inactive": false, "include": [{"valueSet": ["http://old"]}]}), Ok("cat"))]
#[case::version(json!({"include": [{"system": "http://animals", "version": "2", "filter": [{"property": "code", "op": "=", "value": "cat"}]}]}), Ok("cat"))]
#[case::latest(json!({"include": [{"valueSet": ["http://twice"]}]}), Ok("new"))]
#[case::this_version(json!({"include": [{"valueSet": ["http://twice|1.9"]}]}), Ok("old"))]
#[case::fragment(json!({"include": [{"system": "http://loinc.org"}]}), Ok("1-8"))]
#[case::base(json!({"include": [{"system": "http://hl7.org/fhir/administrative-gender"}]}), Ok("male female other unknown"))]
#[case::base_import(json!({"include": [{"valueSet": ["http://hl7.org/fhir/ValueSet/administrative-gender|4.0.1"]}]}), Ok("male female other unknown"))]
#[case::unknown_system(json!({"include": [{"system": "http://nowhere"}]}),
    Err("The value set 'http://x' can't be expanded: its code system 'http://nowhere' isn't known here. Store it as a CodeSystem with its concepts, or list the codes in the value set."))]
#[case::other_version(json!({"include": [{"system": "http://animals", "version": "1"}]}),
    Err("The value set 'http://x' can't be expanded: its code system 'http://animals|1' isn't known here. Store it as a CodeSystem with its concepts, or list the codes in the value set."))]
#[case::elsewhere(json!({"include": [{"system": "http://snomed.info/sct"}]}),
    Err("The value set 'http://x' can't be expanded: of its code system 'http://snomed.info/sct' only the content 'not-present' is known here. Store it as a CodeSystem with its concepts, or list the codes in the value set."))]
#[case::unknown_import(json!({"include": [{"valueSet": ["http://nowhere|1"]}]}),
    Err("The value set 'http://x' can't be expanded: it is made of 'http://nowhere|1', which isn't known here. Store it as a ValueSet."))]
#[case::circle(json!({"include": [{"valueSet": ["http://circle"]}]}),
    Err("The value set 'http://circle' can't be expanded: it is made of itself. Remove one of the imports: http://x, http://circle."))]
#[case::nothing(json!({"include": [{"valueSet": ["http://nothing"]}]}),
    Err("The value set 'http://nothing' can't be expanded: it has neither `compose` nor an expansion."))]
#[case::bad_filter(json!({"include": [{"system": "http://animals", "filter": [{"property": "concept", "op": "is-a", "value": "unicorn"}]}]}),
    Err("The value set 'http://x' can't be expanded: the filter 'concept is-a unicorn' names the code 'unicorn', which 'http://animals' doesn't have."))]
fn expansions(#[case] compose: Value, #[case] expected: Result<&str, &str>) {
    let library = library(FhirVersion::R4, &imported());
    let value_set = Arc::new(ValueSet::of(document(&set("http://x", &compose))));
    let found = expand(&library, &value_set);
    assert_eq!(codes(&found).as_deref().map_err(String::as_str), expected);
    // membership agrees
    let systems = [
        "http://animals",
        "http://nowhere",
        "http://other",
        "http://hl7.org/fhir/administrative-gender",
        "s",
    ];
    let known = "animal cat dog poodle dodo fish a b x old new male unicorn".split(' ');
    for (system, code) in known.flat_map(|code| systems.map(|system| (system, code))) {
        let coded = Coded {
            system: Some(system),
            version: None,
            code,
        };
        let membership = super::membership(&library, &value_set, coded);
        match &found {
            Ok(found) => {
                let is_member = found
                    .members
                    .iter()
                    .any(|member| *member.code == *code && *member.system == *system);
                let expected = if is_member { Membership::Yes } else { Membership::No };
                assert_eq!(membership, expected, "{system} {code}");
            }
            Err(_) => assert_ne!(membership, Membership::Yes, "{system} {code}"),
        }
    }
}

#[rstest]
#[case::a_member(
    "http://hl7.org/fhir/ValueSet/administrative-gender|4.0.1",
    None,
    "male",
    Membership::Yes
)]
#[case::none(
    "http://hl7.org/fhir/ValueSet/administrative-gender",
    None,
    "masculine",
    Membership::No
)]
#[case::another_version(
    "http://hl7.org/fhir/ValueSet/administrative-gender|1.0",
    None,
    "male",
    Membership::Unknown
)]
#[case::nobody_knows("http://example.org/unknown", None, "male", Membership::Unknown)]
#[case::of_a_filter(
    "http://terminology.hl7.org/ValueSet/v3-ActEncounterCode",
    Some("http://terminology.hl7.org/CodeSystem/v3-ActCode"),
    "AMB",
    Membership::Yes
)]
#[case::outside_the_filter(
    "http://terminology.hl7.org/ValueSet/v3-ActEncounterCode",
    Some("http://terminology.hl7.org/CodeSystem/v3-ActCode"),
    "DRUGPRG",
    Membership::No
)]
#[case::not_listable(
    "http://hl7.org/fhir/ValueSet/clinical-findings",
    Some("http://snomed.info/sct"),
    "1",
    Membership::Unknown
)]
#[case::another_system(
    "http://hl7.org/fhir/ValueSet/clinical-findings",
    Some("http://loinc.org"),
    "1",
    Membership::No
)]
#[case::language("http://hl7.org/fhir/ValueSet/all-languages", None, "de-CH", Membership::Yes)]
#[case::media_type("http://hl7.org/fhir/ValueSet/mimetypes|4.0.1", None, "text", Membership::No)]
#[case::fragment_known("http://observations", Some("http://loinc.org"), "1-8", Membership::Yes)]
#[case::fragment_unknown("http://observations", Some("http://loinc.org"), "2-8", Membership::Unknown)]
fn memberships(
    #[case] value_set: &str,
    #[case] system: Option<&str>,
    #[case] code: &str,
    #[case] expected: Membership,
) {
    let own = [
        fragment(),
        set(
            "http://observations",
            &json!({"include": [{"system": "http://loinc.org"}]}),
        ),
    ];
    let library = library(FhirVersion::R4, &own);
    let coded = Coded {
        system,
        version: None,
        code,
    };
    assert_eq!(library.member(value_set, coded), expected);
}

/// Every base value set is expanded, or it is said why not; what is refused is made of systems that aren't here.
#[rstest]
#[case(FhirVersion::R4, 1_200)]
#[case(FhirVersion::Stu3, 1_000)]
fn the_base_is_expanded(#[case] version: FhirVersion, #[case] least: usize) {
    let definitions = Definitions::of(version);
    let library = library(version, &[]);
    let mut expanded = 0;
    for (url, _) in definitions
        .terminology_list(TerminologyKind::ValueSet)
        .expect("cold pack")
    {
        let value_set = library.value_set(Canonical::of(&url)).expect("value set");
        match expand(&library, &value_set) {
            Ok(_) => expanded += 1,
            Err(
                Problem::SystemOfValueSet { .. } | Problem::ContentOfSystem { .. } | Problem::ImportedValueSet { .. },
            ) => {}
            // an example that names a filter of its code system, not a property
            Err(Problem::Filter { .. }) if url == "http://hl7.org/fhir/ValueSet/example-filter" => {}
            Err(problem) => panic!("{problem}"),
        }
    }
    assert!(expanded >= least, "{expanded}");
}

#[test]
fn too_many_codes_are_refused() {
    let concepts: Vec<Value> = (0..50_001)
        .map(|number| json!({"code": format!("c{number}")}))
        .collect();
    let system =
        json!({"resourceType": "CodeSystem", "url": "http://many", "content": "complete", "concept": concepts});
    let library = library(FhirVersion::R4, &[system]);
    let of = |filters: Value| {
        let compose = json!({"include": [{"system": "http://many", "filter": filters}]});
        expand(&library, &Arc::new(ValueSet::of(document(&set("http://x", &compose)))))
    };
    assert!(matches!(of(json!([])), Err(Problem::TooMany { .. })));
    let some = of(json!([{"property": "code", "op": "regex", "value": "c1.*"}])).expect("some");
    assert_eq!(some.members.len(), 11_111);
}

/// What is hostile is refused in bounded time and without an end of the stack.
#[test]
fn work_is_bounded() {
    let chain: Vec<Value> = (0..500)
        .map(|number| {
            set(
                &format!("http://{number}"),
                &json!({"include": [{"valueSet": [format!("http://{}", number + 1)]}]}),
            )
        })
        .collect();
    let library_of_chain = library(FhirVersion::R4, &chain);
    let first = library_of_chain.value_set(Canonical::of("http://0")).expect("first");
    let coded = Coded {
        system: None,
        version: None,
        code: "x",
    };
    assert!(matches!(
        expand(&library_of_chain, &first),
        Err(Problem::TooDeep { .. })
    ));
    assert_eq!(super::membership(&library_of_chain, &first, coded), Membership::Unknown);

    let concepts: Vec<Value> = (0..5_000)
        .map(|number| json!({"code": format!("c{number}"), "property": [{"code": "parent", "valueCode": format!("c{}", number / 2)}]}))
        .collect();
    let system =
        json!({"resourceType": "CodeSystem", "url": "http://many", "content": "complete", "concept": concepts});
    let library = library(FhirVersion::R4, &[system]);
    let filters = vec![json!({"property": "child", "op": "in", "value": "c1"}); 2_000];
    let hostile = set(
        "http://x",
        &json!({"include": [{"system": "http://many", "filter": filters}]}),
    );
    let hostile = Arc::new(ValueSet::of(document(&hostile)));
    assert!(matches!(expand(&library, &hostile), Err(Problem::TooMuchWork(_))));
    let coded = Coded {
        system: Some("http://many"),
        version: None,
        code: "c0",
    };
    assert_eq!(super::membership(&library, &hostile, coded), Membership::Unknown);
}

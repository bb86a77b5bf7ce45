//! Over random code systems and value sets: whoever is in the expansion is a member, and nobody else is.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

const SYSTEMS: [&str; 3] = ["http://s0", "http://s1", "http://nowhere"];
const VALUE_SETS: usize = 3;
/// More codes than the systems have.
const CODES: usize = 8;
const CONCEPTS: usize = 6;

fn code() -> impl Strategy<Value = String> {
    (0..CODES).prop_map(|number| format!("c{number}"))
}

/// Concepts with any parents, circles among them.
fn code_system(url: &'static str) -> impl Strategy<Value = Value> {
    let concept = (vec(0..CONCEPTS, 0..3), any::<bool>());
    (vec(concept, CONCEPTS), prop::sample::select(vec!["complete", "complete", "fragment", "not-present"])).prop_map(
        move |(concepts, content)| {
            let concepts = concepts.into_iter().enumerate().map(|(number, (parents, inactive))| {
                let parents = parents.iter().map(|parent| json!({"code": "parent", "valueCode": format!("c{parent}")}));
                let inactive = [json!({"code": "inactive", "valueBoolean": inactive})];
                json!({"code": format!("c{number}"), "property": parents.chain(inactive).collect::<Vec<_>>()})
            });
            json!({"resourceType": "CodeSystem", "url": url, "content": content, "concept": concepts.collect::<Vec<_>>()})
        },
    )
}

fn filter() -> impl Strategy<Value = Value> {
    let op = prop::sample::select(vec![
        ("concept", "is-a"),
        ("concept", "descendent-of"),
        ("concept", "is-not-a"),
        ("concept", "generalizes"),
        ("code", "="),
        ("code", "not-in"),
        ("parent", "="),
        ("child", "in"),
        ("inactive", "="),
    ]);
    (op, (0..CONCEPTS)).prop_map(|((property, op), number)| {
        let value = if property == "inactive" {
            "false".to_owned()
        } else {
            format!("c{number}")
        };
        json!({"property": property, "op": op, "value": value})
    })
}

fn part() -> impl Strategy<Value = Value> {
    let listed = vec(code(), 1..4).prop_map(|codes| {
        let concepts: Vec<Value> = codes.iter().map(|code| json!({"code": code})).collect();
        ("concept", Value::from(concepts))
    });
    let filtered = vec(filter(), 0..3).prop_map(|filters| ("filter", Value::from(filters)));
    let system = (prop::sample::select(SYSTEMS.to_vec()), prop_oneof![listed, filtered]);
    let imports = vec(0..VALUE_SETS, 0..2);
    (option::weighted(0.7, system), imports).prop_map(|(system, imports)| {
        let mut part = json!({});
        if let Some((system, (name, codes))) = system {
            part["system"] = json!(system);
            part[name] = codes;
        }
        if !imports.is_empty() {
            part["valueSet"] = imports.iter().map(|number| format!("http://v{number}")).collect();
        }
        part
    })
}

fn compose() -> impl Strategy<Value = Value> {
    (vec(part(), 1..4), vec(part(), 0..2), any::<bool>()).prop_map(|(include, exclude, inactive)| {
        let mut compose = json!({"include": include, "inactive": inactive});
        if !exclude.is_empty() {
            compose["exclude"] = Value::from(exclude);
        }
        compose
    })
}

proptest! {
    #[test]
    fn expansion_and_membership_agree(
        first in code_system(SYSTEMS[0]),
        second in code_system(SYSTEMS[1]),
        composes in vec(compose(), VALUE_SETS),
    ) {
        let value_sets = composes.iter().enumerate().map(|(number, compose)| set(&format!("http://v{number}"), compose));
        let resources: Vec<Value> = [first, second].into_iter().chain(value_sets).collect();
        let library = library(FhirVersion::R4, &resources);
        for number in 0..VALUE_SETS {
            let value_set = library.value_set(Canonical::of(&format!("http://v{number}"))).expect("value set");
            // what can't be expanded may have members that are known all the same
            let Ok(expansion) = expand(&library, &value_set) else { continue };
            for (system, code) in SYSTEMS.iter().flat_map(|system| (0..CODES).map(move |code| (*system, format!("c{code}")))) {
                let coded = Coded { system: Some(system), version: None, code: &code };
                let membership = super::super::membership(&library, &value_set, coded);
                let is_member = expansion.members.iter().any(|member| *member.system == *system && *member.code == *code);
                let (said, other) = if is_member {
                    (Membership::Yes, Membership::No)
                } else {
                    (Membership::No, Membership::Yes)
                };
                // of a part of a system some things can't be known
                if expansion.fragments.is_empty() {
                    prop_assert_eq!(membership, said, "{} {}", system, code);
                } else {
                    prop_assert_ne!(membership, other, "{} {}", system, code);
                }
            }
        }
    }
}

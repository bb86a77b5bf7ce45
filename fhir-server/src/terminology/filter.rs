//! Filters of value sets on the concepts of a code system.

use std::borrow::Cow;
use std::collections::HashSet;

use fhir_resource::Node;
use regex::RegexBuilder;

use super::code_system::{CodeSystem, Concept};
use super::value_set::ConceptFilter;

/// The most bytes that a regular expression may compile to.
const REGEX_BYTES: usize = 1 << 20;

/// For each concept whether the filter holds; or what is wrong with the filter.
pub fn holds(system: &CodeSystem, filter: &ConceptFilter) -> Result<Vec<bool>, String> {
    let (property, value) = (filter.property.as_str(), filter.value.as_str());
    let children = (property == "child").then(|| children(system));
    let each = |test: &dyn Fn(&[Cow<'_, str>]) -> bool| -> Vec<bool> {
        let concepts = system.concepts.iter().enumerate();
        let tested = concepts.map(|(number, concept)| match &children {
            Some(children) => test(children.get(number).map_or(&[], Vec::as_slice)),
            None => test(&values(system, concept, property)),
        });
        tested.collect()
    };
    match filter.op.as_str() {
        "is-a" | "descendent-of" | "is-not-a" | "generalizes" => by_hierarchy(system, filter),
        "=" => {
            known(system, property)?;
            Ok(each(&|own| own.iter().any(|own| own == value)))
        }
        "in" | "not-in" => {
            known(system, property)?;
            let listed: HashSet<&str> = value.split(',').map(str::trim).collect();
            let wanted = filter.op == "in";
            Ok(each(&|own| {
                own.iter().any(|own| listed.contains(own.as_ref())) == wanted
            }))
        }
        "exists" => {
            let lacks = value != "true";
            Ok(each(&|own| own.is_empty() == lacks))
        }
        "regex" => {
            known(system, property)?;
            let regex = RegexBuilder::new(&format!("^(?:{value})$"))
                .size_limit(REGEX_BYTES)
                .build()
                .map_err(|_| "has no regular expression that can be used".to_owned())?;
            Ok(each(&|own| own.iter().any(|own| regex.is_match(own))))
        }
        _ => Err("has an operator that isn't supported: use =, in, not-in, is-a, is-not-a, descendent-of, generalizes, exists or regex".to_owned()),
    }
}

fn by_hierarchy(system: &CodeSystem, filter: &ConceptFilter) -> Result<Vec<bool>, String> {
    if !matches!(filter.property.as_str(), "concept" | "code" | "parent" | "subsumedBy") {
        return Err("is about a hierarchy, which only the property `concept` has".to_owned());
    }
    let root = system
        .find(&filter.value)
        .ok_or_else(|| format!("names the code '{}', which '{}' doesn't have", filter.value, system.url))?;
    if filter.op == "generalizes" {
        let mut above = vec![false; system.concepts.len()];
        for number in system.with_above(root) {
            if let Some(found) = above.get_mut(number as usize) {
                *found = true;
            }
        }
        return Ok(above);
    }
    let mut below = system.with_below(root);
    match filter.op.as_str() {
        "descendent-of" => {
            if let Some(own) = below.get_mut(root as usize) {
                *own = false;
            }
        }
        "is-not-a" => below.iter_mut().for_each(|own| *own = !*own),
        _ => {}
    }
    Ok(below)
}

/// For each concept the codes directly below it.
fn children(system: &CodeSystem) -> Vec<Vec<Cow<'_, str>>> {
    let mut children = vec![Vec::new(); system.concepts.len()];
    for concept in &system.concepts {
        for parent in &concept.parents {
            if let Some(list) = children.get_mut(*parent as usize) {
                list.push(Cow::Borrowed(concept.code.as_ref()));
            }
        }
    }
    children
}

/// A property that no concept has is a mistake, not an empty result.
fn known(system: &CodeSystem, property: &str) -> Result<(), String> {
    let built_in = matches!(
        property,
        "concept" | "code" | "display" | "definition" | "parent" | "child" | "inactive"
    );
    let declared = || {
        let declared = system.root().get("property").into_iter().flat_map(Node::items);
        declared
            .into_iter()
            .any(|own| own.text_of("code").as_deref() == Some(property))
    };
    let used = || {
        system
            .concepts
            .iter()
            .any(|concept| !system.property(concept, property).is_empty())
    };
    if built_in || declared() || used() {
        Ok(())
    } else {
        Err(format!(
            "is about the property '{property}', which '{}' doesn't have",
            system.url
        ))
    }
}

/// The values of a property, given ones and those that follow from the rest.
fn values<'a>(system: &'a CodeSystem, concept: &'a Concept, property: &str) -> Vec<Cow<'a, str>> {
    match property {
        "concept" | "code" => vec![Cow::Borrowed(concept.code.as_ref())],
        "display" => concept.display.as_deref().map(Cow::Borrowed).into_iter().collect(),
        "definition" => {
            let definition = system.node(concept).and_then(|node| node.text_of("definition"));
            definition.into_iter().collect()
        }
        "inactive" => vec![Cow::Borrowed(if concept.inactive { "true" } else { "false" })],
        "parent" => {
            let parents = system.neighbours(concept, true);
            parents.into_iter().map(Cow::Borrowed).collect()
        }
        _ => system.property(concept, property),
    }
}

#[cfg(test)]
mod tests {
    use fhir_resource::{Document, Limits};
    use rstest::rstest;

    use super::*;

    fn system() -> CodeSystem {
        let json = r#"{"resourceType":"CodeSystem","url":"http://animals","content":"complete",
            "property":[{"code":"food","type":"code"}],"concept":[
            {"code":"animal","display":"Animal","concept":[
                {"code":"cat","display":"Cat","property":[{"code":"legs","valueInteger":4}]},
                {"code":"dog","display":"Dog","property":[{"code":"legs","valueInteger":4}],"concept":[
                    {"code":"poodle","display":"Poodle"}]},
                {"code":"hen","display":"Hen","property":[{"code":"legs","valueInteger":2}]}]}]}"#;
        CodeSystem::of(Document::parse(json, Limits::default()).expect("JSON"))
    }

    #[rstest]
    #[case("concept", "is-a", "dog", Ok("dog poodle"))]
    #[case("concept", "descendent-of", "dog", Ok("poodle"))]
    #[case("concept", "is-not-a", "dog", Ok("animal cat hen"))]
    #[case("concept", "generalizes", "poodle", Ok("animal dog poodle"))]
    #[case("concept", "in", "dog, hen,unicorn", Ok("dog hen"))]
    #[case("code", "not-in", "animal,cat,dog,poodle", Ok("hen"))]
    #[case("code", "regex", "[a-d]..", Ok("cat dog"))]
    #[case("code", "regex", "o", Ok(""))]
    #[case("display", "=", "Hen", Ok("hen"))]
    #[case("legs", "=", "4", Ok("cat dog"))]
    #[case("legs", "exists", "true", Ok("cat dog hen"))]
    #[case("legs", "exists", "false", Ok("animal poodle"))]
    #[case("food", "=", "mice", Ok(""))]
    #[case("parent", "=", "animal", Ok("cat dog hen"))]
    #[case("child", "=", "poodle", Ok("dog"))]
    #[case(
        "concept",
        "is-a",
        "unicorn",
        Err("names the code 'unicorn', which 'http://animals' doesn't have")
    )]
    #[case(
        "wings",
        "=",
        "2",
        Err("is about the property 'wings', which 'http://animals' doesn't have")
    )]
    #[case(
        "legs",
        "is-a",
        "4",
        Err("is about a hierarchy, which only the property `concept` has")
    )]
    #[case("code", "regex", "(", Err("has no regular expression that can be used"))]
    #[case(
        "code",
        "regex",
        "((a{1000}){1000}){1000}",
        Err("has no regular expression that can be used")
    )]
    fn filters(#[case] property: &str, #[case] op: &str, #[case] value: &str, #[case] expected: Result<&str, &str>) {
        let system = system();
        let filter = ConceptFilter {
            property: property.to_owned(),
            op: op.to_owned(),
            value: value.to_owned(),
        };
        let found = holds(&system, &filter).map(|holds| {
            let found = system.concepts.iter().zip(holds).filter(|(_, holds)| *holds);
            found
                .map(|(concept, _)| concept.code.to_string())
                .collect::<Vec<_>>()
                .join(" ")
        });
        assert_eq!(found.as_deref().map_err(String::as_str), expected);
    }
}

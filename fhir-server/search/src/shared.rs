//! Parameters that say what others of their type say: `combo-code` is `code` and `component-code`, `phonetic` is `name`.
//! They have no rows of their own; who asks for them asks for the rows of those others.
//!
//! Only of FHIR's own parameters: those never change within a release. References and URIs, which are followed by their
//! parameter, always have their own rows.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use fhir_definitions::{Definitions, FhirVersion, ParamKind, ResourceType, SearchParameter};
use fhir_resource::path::{PathError, Program};

use crate::key::ParamId;
use crate::near;

/// The parameters of a type whose rows are others', with these.
type Derived = HashMap<SearchParameter, Vec<ParamId>>;
/// Of the types that were asked for.
type Known = RwLock<HashMap<(FhirVersion, ResourceType), Arc<Derived>>>;

/// Where the rows of a parameter are.
pub fn rows(parameter: SearchParameter) -> Vec<ParamId> {
    derived(parameter).unwrap_or_else(|| vec![ParamId::of(parameter)])
}

/// Whether a parameter has rows of its own.
pub fn has_rows(parameter: SearchParameter) -> bool {
    derived(parameter).is_none()
}

fn derived(parameter: SearchParameter) -> Option<Vec<ParamId>> {
    static KNOWN: OnceLock<Known> = OnceLock::new();
    if parameter.as_stored().is_some() || !may_share(parameter) {
        return None;
    }
    let of = Definitions::of(parameter.version()).resource_type(parameter.base())?;
    let key = (parameter.version(), of);
    let known = KNOWN.get_or_init(RwLock::default);
    if let Some(found) = known.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return found.get(&parameter).cloned();
    }
    let made = Arc::new(of_type(parameter.version(), of));
    let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
    known.entry(key).or_insert(made).get(&parameter).cloned()
}

fn may_share(parameter: SearchParameter) -> bool {
    let by_value = matches!(
        parameter.kind(),
        ParamKind::Token | ParamKind::Quantity | ParamKind::Number | ParamKind::Date | ParamKind::String
    );
    by_value && !near::is(parameter) && !near::is_distance(parameter)
}

/// Those with the fewest parts come first: others are made of them.
fn of_type(version: FhirVersion, of: ResourceType) -> Derived {
    let own = Definitions::of(version).search_parameters(of);
    let own = own.filter(|parameter| parameter.base() == of.name() && may_share(*parameter));
    let mut all: Vec<(SearchParameter, Vec<&str>)> = own
        .filter(|parameter| !parameter.expression().is_empty())
        .map(|parameter| (parameter, split(parameter.expression())))
        .collect();
    all.sort_by_key(|(parameter, parts)| (parts.len(), parameter.id()));
    let mut owners: Vec<(SearchParameter, Vec<&str>)> = Vec::new();
    let mut derived = HashMap::new();
    for (parameter, parts) in all {
        let (mut covered, mut rows) = (Vec::new(), Vec::new());
        for (owner, said) in &owners {
            let within = owner.kind() == parameter.kind() && said.iter().all(|part| parts.contains(part));
            if within && said.iter().any(|part| !covered.contains(&part)) {
                covered.extend(said);
                rows.push(ParamId::of(*owner));
            }
        }
        if parts.iter().all(|part| covered.contains(&part)) {
            derived.insert(parameter, rows);
        } else {
            owners.push((parameter, parts));
        }
    }
    derived
}

/// What an expression says of a type as a parameter of this kind, part by part; `None`: it can't be told. Parts whose values
/// have no keys are left out: sampled data have no amount.
pub fn alternatives(
    definitions: &'static Definitions,
    kind: ParamKind,
    expression: &str,
    type_name: &str,
) -> Option<Vec<Program>> {
    let mut parts = Vec::new();
    for part in split(expression) {
        let program = match Program::compile(part, definitions, type_name) {
            Ok(program) => program,
            Err(PathError::OtherType(_)) => continue,
            Err(_) => return None,
        };
        let empty = kind == ParamKind::Quantity && program.result_types().all(|name| name == "SampledData");
        if !empty && !parts.contains(&program) {
            parts.push(program);
        }
    }
    (!parts.is_empty()).then_some(parts)
}

/// The parts of a union, at the outermost level.
fn split(expression: &str) -> Vec<&str> {
    let (mut parts, mut begin, mut depth, mut quoted) = (Vec::new(), 0, 0_u32, false);
    for (at, letter) in expression.char_indices() {
        match letter {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            '|' if !quoted && depth == 0 => {
                parts.push(expression[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(expression[begin..].trim());
    parts
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("Observation", "combo-code", &["code", "component-code"])]
    #[case("Observation", "combo-value-quantity", &["component-value-quantity", "value-quantity"])]
    #[case("Observation", "code", &["code"])]
    #[case("Observation", "patient", &["patient"])]
    #[case("Observation", "combo-code-value-quantity", &["combo-code-value-quantity"])]
    #[case("Patient", "phonetic", &["name"])]
    #[case("Patient", "email", &["email"])]
    #[case("Patient", "_tag", &["_tag"])]
    fn rows_of(#[case] of: &str, #[case] code: &str, #[case] expected: &[&str]) {
        for version in [FhirVersion::R4, FhirVersion::Stu3] {
            let definitions = Definitions::of(version);
            let of = definitions.resource_type(of).expect("a type");
            let find = |code: &str| definitions.search_parameter(of, code).expect("a parameter");
            let mut expected: Vec<_> = expected.iter().map(|code| ParamId::of(find(code))).collect();
            expected.sort_unstable();
            let mut found = rows(find(code));
            found.sort_unstable();
            assert_eq!(found, expected, "{version}");
        }
    }

    #[test]
    fn unions_are_split_outside_of_parentheses_and_texts() {
        assert_eq!(
            split("A.b | (A.c | A.d).e | A.f.where(g = '|')"),
            ["A.b", "(A.c | A.d).e", "A.f.where(g = '|')"]
        );
    }
}

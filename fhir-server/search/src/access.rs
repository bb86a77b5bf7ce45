//! What a caller sees: a predicate that is put on every node of a plan (docs/architecture.md, access), and that proves
//! single resources where there is no index to ask: what is about to be written, and versions of the past.

use std::collections::BTreeSet;

use fhir_definitions::FhirVersion;

use crate::holds::{Subject, holds};
use crate::key::{self, ParamId};
use crate::plan::{Filter, Plan};

/// Types that belong to nobody: whoever is kept to a compartment sees them too (Microsoft's list).
const SHARED: [&str; 5] = ["Device", "Location", "Medication", "Organization", "Practitioner"];

/// Which resources exist for whoever asks.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Access {
    /// Everything.
    #[default]
    All,
    /// What at least one of these allows.
    Rules(Vec<Rule>),
}

/// Resources of some types, in a compartment, with some properties.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rule {
    /// Only these types; `None`: every type.
    pub types: Option<BTreeSet<&'static str>>,
    /// Only what is in there.
    pub compartment: Option<Compartment>,
    /// Only what all of these hold for. They are about the resource itself: nothing is linked.
    pub filters: Vec<Filter>,
}

/// A compartment as a caller is kept to it: its owner, its members of other types (a record of somebody else that links to
/// the owner isn't theirs), and unless it is about changes what is shared.
#[derive(Debug, Clone, PartialEq)]
pub struct Compartment {
    definition: fhir_definitions::Compartment,
    param: ParamId,
    id: String,
    shared: bool,
    version: FhirVersion,
}

/// How much of a type is seen.
#[derive(Debug, Clone, PartialEq)]
pub enum Sight {
    /// Nothing.
    Nothing,
    /// All of it.
    Everything,
    /// What this holds for.
    Where(Filter),
}

impl Access {
    /// Resources of these types.
    pub fn types(types: impl IntoIterator<Item = &'static str>) -> Self {
        Self::Rules(vec![Rule {
            types: Some(types.into_iter().collect()),
            ..Rule::default()
        }])
    }

    /// How much of a type is seen.
    pub fn of(&self, resource_type: &str) -> Sight {
        let Self::Rules(rules) = self else {
            return Sight::Everything;
        };
        let each: Vec<_> = rules.iter().filter_map(|rule| rule.of(resource_type)).collect();
        if each.is_empty() {
            return Sight::Nothing;
        }
        match any(each) {
            None => Sight::Everything,
            Some(filter) => Sight::Where(filter),
        }
    }

    /// Whether any resource of this type may exist for the caller.
    pub fn sees(&self, resource_type: &str) -> bool {
        self.of(resource_type) != Sight::Nothing
    }

    /// The conditions of a node whose resources are of this type; `None`: there is nothing to be found.
    pub fn conditions(&self, resource_type: &str) -> Option<Vec<Filter>> {
        match self.of(resource_type) {
            Sight::Nothing => None,
            Sight::Everything => Some(Vec::new()),
            Sight::Where(filter) => Some(vec![filter]),
        }
    }

    /// The predicate for resources of every type; `None`: nothing is hidden.
    pub fn filter(&self) -> Option<Filter> {
        match self {
            Self::All => None,
            Self::Rules(rules) if rules.is_empty() => Some(Filter::Any(Vec::new())),
            Self::Rules(rules) => any(rules.iter().map(Rule::conjuncts).collect()),
        }
    }

    /// Keeps a search to what is seen.
    pub fn limit(&self, plan: &mut Plan) {
        if *self == Self::All {
            return;
        }
        if plan.types.is_empty() {
            plan.filters.extend(self.filter());
            return;
        }
        plan.types.retain(|of| self.sees(of));
        let mut each = plan.types.iter().map(|of| (of, self.of(of)));
        match plan.types.len() {
            0 => plan.filters.push(Filter::Any(Vec::new())),
            1 => plan.filters.extend(each.find_map(|(_, sight)| sight.filter())),
            _ => {
                let of_types: Vec<_> = each
                    .map(|(of, sight)| {
                        let of = Filter::Type(vec![of.clone()]);
                        std::iter::once(of).chain(sight.filter()).collect::<Vec<_>>()
                    })
                    .collect();
                if of_types.iter().any(|conditions| conditions.len() > 1) {
                    plan.filters.extend(any(of_types));
                }
            }
        }
    }

    /// Whether types are seen whole or not at all.
    pub fn is_by_type(&self) -> bool {
        match self {
            Self::All => true,
            Self::Rules(rules) => rules
                .iter()
                .all(|rule| rule.compartment.is_none() && rule.filters.is_empty()),
        }
    }

    /// Whether a resource at hand is seen.
    pub fn admits(&self, subject: &Subject<'_>) -> bool {
        match self.of(subject.resource_type) {
            Sight::Nothing => false,
            Sight::Everything => true,
            Sight::Where(filter) => holds(&filter, subject),
        }
    }
}

impl Sight {
    fn filter(self) -> Option<Filter> {
        match self {
            Self::Nothing => Some(Filter::Any(Vec::new())),
            Self::Everything => None,
            Self::Where(filter) => Some(filter),
        }
    }
}

impl Rule {
    /// What holds for the resources of a type that it allows; `None`: it allows none.
    fn of(&self, resource_type: &str) -> Option<Vec<Filter>> {
        if !self.types.as_ref().is_none_or(|types| types.contains(resource_type)) {
            return None;
        }
        let mut conditions = Vec::new();
        if let Some(compartment) = &self.compartment {
            conditions.extend(compartment.of(resource_type)?);
        }
        conditions.extend(self.filters.iter().cloned());
        Some(conditions)
    }

    /// The same of resources of every type.
    fn conjuncts(&self) -> Vec<Filter> {
        let names = |types: &BTreeSet<&'static str>| types.iter().map(ToString::to_string).collect();
        let of_types = self.types.as_ref().map(|types| Filter::Type(names(types)));
        let compartment = self.compartment.as_ref().map(Compartment::filter);
        compartment
            .into_iter()
            .chain(of_types)
            .chain(self.filters.iter().cloned())
            .collect()
    }
}

impl Compartment {
    /// The compartment of `Type/id`; `None` for a type that has none. `shared`: with what belongs to nobody.
    pub fn of_owner(version: FhirVersion, owner: &str, id: &str, shared: bool) -> Option<Self> {
        let (index, definition) = (0..)
            .zip(version.definitions().compartments())
            .find(|(_, compartment)| compartment.name() == owner)?;
        Some(Self {
            definition,
            param: ParamId::of_compartment(index),
            id: id.to_owned(),
            shared,
            version,
        })
    }

    fn members(&self) -> Filter {
        let owner = format!("{}/{}", self.definition.name(), self.id);
        Filter::Exact(self.param, vec![key::reference(&owner)])
    }

    /// What holds for its resources of a type; `None`: there are none. No conditions: all of that type.
    fn of(&self, resource_type: &str) -> Option<Vec<Filter>> {
        if self.shared && SHARED.contains(&resource_type) {
            return Some(Vec::new());
        }
        let of = self.version.definitions().resource_type(resource_type)?;
        if resource_type == self.definition.name() {
            return Some(vec![Filter::Id(vec![self.id.clone()])]);
        }
        let can_be_member = self.definition.parameters(of).next().is_some();
        can_be_member.then(|| vec![self.members()])
    }

    fn filter(&self) -> Filter {
        let of_owner = Filter::Type(vec![self.definition.name().to_owned()]);
        let members = vec![self.members(), Filter::Not(Box::new(of_owner.clone()))];
        let own = vec![of_owner, Filter::Id(vec![self.id.clone()])];
        let shared = self
            .shared
            .then(|| Filter::Type(SHARED.into_iter().map(str::to_owned).collect()));
        let both = [members, own].map(Filter::All);
        Filter::Any(both.into_iter().chain(shared).collect())
    }
}

/// One of several conjunctions, with what all of them begin with said once: that is what a search can be led by.
/// `None`: one of them asks for nothing.
fn any(mut each: Vec<Vec<Filter>>) -> Option<Filter> {
    let mut common = Vec::new();
    while let Some(first) = each.first().and_then(|conditions| conditions.first()).cloned()
        && each.iter().all(|conditions| conditions.first() == Some(&first))
    {
        common.push(first);
        for conditions in &mut each {
            conditions.remove(0);
        }
    }
    if !each.iter().any(Vec::is_empty) {
        common.push(Filter::Any(each.into_iter().map(all).collect()));
    }
    (!common.is_empty()).then(|| all(common))
}

fn all(mut filters: Vec<Filter>) -> Filter {
    if filters.len() == 1 {
        filters.remove(0)
    } else {
        Filter::All(filters)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn rule(types: &[&'static str], compartment: bool, tags: &[&str]) -> Rule {
        Rule {
            types: (!types.is_empty()).then(|| types.iter().copied().collect()),
            compartment: compartment
                .then(|| Compartment::of_owner(FhirVersion::R4, "Patient", "a", true))
                .flatten(),
            filters: tags.iter().map(|tag| Filter::Id(vec![(*tag).to_owned()])).collect(),
        }
    }

    #[rstest]
    #[case::all_of_a_type(vec![rule(&["Patient"], false, &[])], "Patient", "everything")]
    #[case::another_type(vec![rule(&["Patient"], false, &[])], "Observation", "nothing")]
    #[case::a_member(vec![rule(&[], true, &[])], "Observation", "where")]
    #[case::the_owner(vec![rule(&[], true, &[])], "Patient", "where")]
    #[case::shared(vec![rule(&[], true, &[])], "Organization", "everything")]
    #[case::not_a_member(vec![rule(&[], true, &[])], "ValueSet", "nothing")]
    #[case::the_wider_one_counts(vec![rule(&[], true, &[]), rule(&["Observation"], false, &[])], "Observation", "everything")]
    #[case::narrowed(vec![rule(&["Organization"], true, &["x"])], "Organization", "where")]
    #[case::no_rules(vec![], "Patient", "nothing")]
    fn how_much_of_a_type(#[case] rules: Vec<Rule>, #[case] of: &str, #[case] expected: &str) {
        let found = match Access::Rules(rules).of(of) {
            Sight::Nothing => "nothing",
            Sight::Everything => "everything",
            Sight::Where(_) => "where",
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn what_rules_have_in_common_is_said_once() {
        let access = Access::Rules(vec![rule(&[], true, &["x"]), rule(&["Observation"], true, &["y"])]);
        let Sight::Where(Filter::All(conditions)) = access.of("Observation") else {
            panic!("a condition");
        };
        let id = |id: &str| Filter::Id(vec![id.to_owned()]);
        assert!(matches!(conditions[0], Filter::Exact(..)));
        assert_eq!(conditions[1], Filter::Any(vec![id("x"), id("y")]));
    }
}

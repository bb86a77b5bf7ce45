//! Whether a code belongs to a value set, without expanding it: so it can be said of value sets that nobody can list.

use std::collections::HashMap;
use std::sync::Arc;

use fhir_resource::validation::{Coded, Membership};

use super::canonical::{self, Canonical};
use super::code_system::{CodeSystem, Content};
use super::expand::{MOST_DEPTH, MOST_WORK};
use super::filter;
use super::library::Library;
use super::syntax;
use super::value_set::{Definition, Part, ValueSet};

/// Whether `code` is a member of `value_set`. Inactive codes are members unless the value set says otherwise.
pub fn of(library: &Library, value_set: &ValueSet, code: Coded<'_>) -> Membership {
    let mut asking = Asking {
        library,
        code,
        known: HashMap::new(),
        depth: 0,
        work: 0,
    };
    asking.set(value_set)
}

/// Yes if both are, No if one isn't.
fn both(left: Membership, right: Membership) -> Membership {
    match (left, right) {
        (Membership::No, _) | (_, Membership::No) => Membership::No,
        (Membership::Yes, Membership::Yes) => Membership::Yes,
        _ => Membership::Unknown,
    }
}

fn not(membership: Membership) -> Membership {
    match membership {
        Membership::Yes => Membership::No,
        Membership::No => Membership::Yes,
        Membership::Unknown => Membership::Unknown,
    }
}

fn certain(yes: bool) -> Membership {
    if yes { Membership::Yes } else { Membership::No }
}

struct Asking<'l> {
    library: &'l Library,
    code: Coded<'l>,
    /// Value sets that were asked; one that is being asked says nothing about itself.
    known: HashMap<String, Membership>,
    depth: usize,
    /// Concepts that filters looked at.
    work: usize,
}

impl Asking<'_> {
    fn set(&mut self, value_set: &ValueSet) -> Membership {
        let label = canonical::text(&value_set.label(), value_set.version.as_deref());
        if let Some(known) = self.known.get(&label) {
            return *known;
        }
        self.known.insert(label.clone(), Membership::Unknown);
        if self.depth == MOST_DEPTH {
            return Membership::Unknown;
        }
        self.depth += 1;
        let membership = self.members(value_set);
        self.depth -= 1;
        self.known.insert(label, membership);
        membership
    }

    fn members(&mut self, value_set: &ValueSet) -> Membership {
        let (include, exclude, with_inactive) = match &value_set.definition {
            Definition::None => return Membership::Unknown,
            Definition::Expansion(listed) => {
                let mut own = listed.iter().filter(|listed| *listed.code == *self.code.code);
                return certain(own.any(|listed| self.is_of(listed.system.as_deref().unwrap_or_default())));
            }
            Definition::Compose {
                include,
                exclude,
                with_inactive,
            } => (include, exclude, *with_inactive),
        };
        let included = self.any(include, with_inactive);
        // what is imported may be inactive, too
        if included == Membership::Yes && !with_inactive && self.is_inactive() {
            return Membership::No;
        }
        if included == Membership::No || exclude.is_empty() {
            return included;
        }
        let whole = exclude.iter().filter_map(Part::whole_system);
        if self
            .code
            .system
            .is_some_and(|own| whole.into_iter().any(|system| system == own))
        {
            return Membership::No;
        }
        let excluded = self.any(exclude, true);
        both(included, not(excluded))
    }

    fn any(&mut self, parts: &[Part], with_inactive: bool) -> Membership {
        let mut answer = Membership::No;
        for part in parts {
            match self.part(part, with_inactive) {
                Membership::Yes => return Membership::Yes,
                Membership::Unknown => answer = Membership::Unknown,
                Membership::No => {}
            }
        }
        answer
    }

    fn part(&mut self, part: &Part, with_inactive: bool) -> Membership {
        let mut answer = match &part.system {
            Some(system) => self.of_system(part, system, with_inactive),
            None => certain(!part.value_sets.is_empty()),
        };
        for imported in &part.value_sets {
            if answer == Membership::No {
                break;
            }
            let other = match self.library.value_set(Canonical::of(imported)) {
                Some(other) => self.set(&other),
                None => Membership::Unknown,
            };
            answer = both(answer, other);
        }
        answer
    }

    fn is_inactive(&self) -> bool {
        let system = self.code.system;
        let known = system.and_then(|system| self.library.code_system(Canonical::of(system)));
        let concept = known
            .as_ref()
            .and_then(|known| known.concept(known.find(self.code.code)?));
        concept.is_some_and(|concept| concept.inactive)
    }

    /// A code without a system may be of any.
    fn is_of(&self, system: &str) -> bool {
        self.code.system.is_none_or(|own| own == system)
    }

    fn of_system(&mut self, part: &Part, system: &str, with_inactive: bool) -> Membership {
        if !self.is_of(system) {
            return Membership::No;
        }
        let known = self.library.code_system(Canonical {
            url: system,
            version: part.version.as_deref(),
        });
        if !part.concepts.is_empty() {
            let Some(listed) = part.listed(self.code.code) else {
                return Membership::No;
            };
            let concept = known
                .as_ref()
                .and_then(|known| known.concept(known.find(&listed.code)?));
            let inactive = listed.inactive || concept.is_some_and(|concept| concept.inactive);
            return certain(with_inactive || !inactive);
        }
        match known.filter(|known| known.content != Content::Elsewhere) {
            Some(known) => self.defined(part, &known, with_inactive),
            None if part.filters.is_empty() => {
                syntax::is_valid(system, self.code.code).map_or(Membership::Unknown, certain)
            }
            None => Membership::Unknown,
        }
    }

    fn defined(&mut self, part: &Part, system: &Arc<CodeSystem>, with_inactive: bool) -> Membership {
        let other_version = self
            .code
            .version
            .is_some_and(|own| Some(own) != system.version.as_deref());
        let Some(number) = system.find(self.code.code) else {
            return if system.content == Content::Fragment || other_version {
                Membership::Unknown
            } else {
                Membership::No
            };
        };
        let inactive = system.concept(number).is_some_and(|concept| concept.inactive);
        if inactive && !with_inactive {
            return Membership::No;
        }
        self.work += system.concepts.len() * part.filters.len();
        if self.work > MOST_WORK {
            return Membership::Unknown;
        }
        let mut answer = Membership::Yes;
        for filter in &part.filters {
            answer = both(
                answer,
                match filter::holds(system, filter) {
                    Ok(holds) => certain(holds.get(number as usize).copied().unwrap_or(false)),
                    Err(_) => Membership::Unknown,
                },
            );
        }
        answer
    }
}

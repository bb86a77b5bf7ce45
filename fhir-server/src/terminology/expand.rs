//! Value set → its members, in order: `compose` evaluated over what the library knows, or the expansion that the value
//! set brings.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::canonical::{self, Canonical};
use super::code_system::{CodeSystem, Content};
use super::filter;
use super::library::Library;
use super::problem::Problem;
use super::value_set::{Definition, Listed, Part, ValueSet};

/// The most codes that an expansion holds.
pub const MOST_CODES: usize = 50_000;

/// Value sets that are imported by each other, at most.
pub const MOST_DEPTH: usize = 32;

/// Concepts that one question may look at, counted for each part and each filter: some seconds of work.
pub const MOST_WORK: usize = 5_000_000;

/// A code of an expansion.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its code system.
    pub system: Arc<str>,
    /// The code.
    pub code: Arc<str>,
    /// Its text: the value set's own, or that of the code system.
    pub display: Option<Arc<str>>,
    /// Not to be used any more.
    pub inactive: bool,
    /// Only there to group others.
    pub is_abstract: bool,
    /// Where the code system defines it.
    pub concept: Option<(Arc<CodeSystem>, u32)>,
    /// Where a value set names it.
    pub listed: Option<(Arc<ValueSet>, usize)>,
}

/// The members of a value set.
#[derive(Debug, Clone, Default)]
pub struct Expansion {
    /// Each code once.
    pub members: Vec<Member>,
    /// The code systems that were used, as `url|version`.
    pub systems: BTreeSet<String>,
    /// Those of them of which only a part is here.
    pub fragments: BTreeSet<String>,
}

impl Expansion {
    /// About how much memory it takes, with what it refers to.
    pub fn weight(&self) -> usize {
        let texts = |member: &Member| member.code.len() + member.display.as_ref().map_or(0, |text| text.len());
        let own: usize = self.members.iter().map(|member| 160 + texts(member)).sum();
        let systems: HashMap<_, _> = self
            .members
            .iter()
            .filter_map(|member| member.concept.as_ref())
            .map(|(system, _)| (Arc::as_ptr(system), system.weight()))
            .collect();
        let value_sets: HashMap<_, _> = self
            .members
            .iter()
            .filter_map(|member| member.listed.as_ref())
            .map(|(value_set, _)| (Arc::as_ptr(value_set), value_set.weight()))
            .collect();
        own + systems.values().sum::<usize>() + value_sets.values().sum::<usize>() + 256
    }
}

/// Expands a value set.
pub fn expand(library: &Library, value_set: &Arc<ValueSet>) -> Result<Expansion, Problem> {
    let mut expander = Expander {
        library,
        path: Vec::new(),
        done: HashMap::new(),
        work: 0,
        expansion: Expansion::default(),
    };
    let members = expander.set(value_set)?;
    Ok(Expansion {
        members: members.list.clone(),
        ..expander.expansion
    })
}

type Key = (Arc<str>, Arc<str>);

/// Members in order, each once.
#[derive(Default)]
struct Members {
    list: Vec<Member>,
    keys: HashSet<Key>,
}

impl Members {
    fn add(&mut self, member: Member) {
        if self.keys.insert(key(&member)) {
            self.list.push(member);
        }
    }

    fn retain(&mut self, test: impl Fn(&Member) -> bool) {
        self.list.retain(test);
        self.keys = self.list.iter().map(key).collect();
    }
}

fn key(member: &Member) -> Key {
    (Arc::clone(&member.system), Arc::clone(&member.code))
}

struct Expander<'l> {
    library: &'l Library,
    /// The value sets that are being expanded, outermost first.
    path: Vec<String>,
    /// Those that are done, by URL and version.
    done: HashMap<String, Arc<Members>>,
    /// Concepts that were looked at.
    work: usize,
    expansion: Expansion,
}

impl Expander<'_> {
    fn set(&mut self, value_set: &Arc<ValueSet>) -> Result<Arc<Members>, Problem> {
        let label = canonical::text(&value_set.label(), value_set.version.as_deref());
        if let Some(done) = self.done.get(&label).filter(|_| !value_set.url.is_empty()) {
            return Ok(Arc::clone(done));
        }
        if self.path.contains(&label) {
            return Err(Problem::Circle(value_set.label(), self.path.join(", ")));
        }
        if self.path.len() == MOST_DEPTH {
            return Err(Problem::TooDeep {
                value_set: self.path.first().cloned().unwrap_or_default(),
                most: MOST_DEPTH,
            });
        }
        self.path.push(label.clone());
        let members = Arc::new(self.members(value_set)?);
        self.path.pop();
        self.done.insert(label, Arc::clone(&members));
        Ok(members)
    }

    fn members(&mut self, value_set: &Arc<ValueSet>) -> Result<Members, Problem> {
        let mut members = Members::default();
        match &value_set.definition {
            Definition::None => return Err(Problem::NoDefinition(value_set.label())),
            Definition::Expansion(listed) => {
                let mut systems: HashMap<&str, (Arc<str>, Option<Arc<CodeSystem>>)> = HashMap::new();
                for listed in listed {
                    let system = listed.system.as_deref().unwrap_or_default();
                    let (system, known) = systems
                        .entry(system)
                        .or_insert_with(|| (system.into(), self.library.code_system(Canonical::of(system))));
                    members.add(named(value_set, listed, system, known.as_ref()));
                }
            }
            Definition::Compose {
                include,
                exclude,
                with_inactive,
            } => {
                for part in include {
                    for member in self.part(value_set, part)? {
                        members.add(member);
                    }
                    limit(value_set, members.list.len())?;
                }
                let mut excluded = HashSet::new();
                let systems: Vec<&str> = exclude.iter().filter_map(Part::whole_system).collect();
                for part in exclude.iter().filter(|part| part.whole_system().is_none()) {
                    excluded.extend(self.part(value_set, part)?.iter().map(key));
                }
                if !exclude.is_empty() || !with_inactive {
                    members.retain(|member| {
                        let is_excluded = systems.contains(&&*member.system) || excluded.contains(&key(member));
                        !is_excluded && (*with_inactive || !member.inactive)
                    });
                }
            }
        }
        limit(value_set, members.list.len())?;
        Ok(members)
    }

    fn part(&mut self, value_set: &Arc<ValueSet>, part: &Part) -> Result<Vec<Member>, Problem> {
        let mut found = match &part.system {
            Some(system) => Some(self.of_system(value_set, part, system)?),
            None => None,
        };
        for imported in &part.value_sets {
            let other = self.library.value_set(Canonical::of(imported));
            let other = other.ok_or_else(|| Problem::ImportedValueSet {
                imported: imported.clone(),
                value_set: value_set.label(),
            })?;
            let other = self.set(&other)?;
            self.spend(value_set, other.list.len())?;
            found = Some(match found {
                None => other.list.clone(),
                Some(mut found) => {
                    found.retain(|member| other.keys.contains(&key(member)));
                    found
                }
            });
        }
        Ok(found.unwrap_or_default())
    }

    fn of_system(&mut self, value_set: &Arc<ValueSet>, part: &Part, system: &str) -> Result<Vec<Member>, Problem> {
        let wanted = Canonical {
            url: system,
            version: part.version.as_deref(),
        };
        let known = self.library.code_system(wanted);
        let url: Arc<str> = system.into();
        let size = known.as_ref().map_or(0, |known| known.concepts.len());
        self.spend(value_set, part.concepts.len().max(size * (1 + part.filters.len())))?;
        if !part.concepts.is_empty() {
            let listed = part.concepts.iter();
            if let Some(known) = &known {
                self.used(known);
            }
            return Ok(listed
                .map(|listed| named(value_set, listed, &url, known.as_ref()))
                .collect());
        }
        let known = known.ok_or_else(|| Problem::SystemOfValueSet {
            system: canonical::text(system, wanted.version),
            value_set: value_set.label(),
        })?;
        if known.content == Content::Elsewhere {
            return Err(Problem::ContentOfSystem {
                system: system.to_owned(),
                content: known.content_code.clone(),
                value_set: value_set.label(),
            });
        }
        self.used(&known);
        let mut holds = vec![true; known.concepts.len()];
        for filter in &part.filters {
            let own = filter::holds(&known, filter).map_err(|reason| Problem::Filter {
                filter: filter.text(),
                reason,
                value_set: value_set.label(),
            })?;
            for (all, own) in holds.iter_mut().zip(own) {
                *all &= own;
            }
        }
        limit(value_set, holds.iter().filter(|holds| **holds).count())?;
        let numbers = (0_u32..).zip(holds).filter(|(_, holds)| *holds);
        let members = numbers.filter_map(|(number, _)| {
            let concept = known.concept(number)?;
            Some(Member {
                system: Arc::clone(&url),
                code: concept.code.as_ref().into(),
                display: concept.display.as_deref().map(Arc::from),
                inactive: concept.inactive,
                is_abstract: concept.is_abstract,
                concept: Some((Arc::clone(&known), number)),
                listed: None,
            })
        });
        Ok(members.collect())
    }

    fn spend(&mut self, value_set: &ValueSet, concepts: usize) -> Result<(), Problem> {
        self.work += concepts;
        if self.work > MOST_WORK {
            return Err(Problem::TooMuchWork(value_set.label()));
        }
        Ok(())
    }

    fn used(&mut self, system: &CodeSystem) {
        let text = canonical::text(&system.url, system.version.as_deref());
        if system.content == Content::Fragment {
            self.expansion.fragments.insert(text.clone());
        }
        self.expansion.systems.insert(text);
    }
}

/// A code that a value set names, with what the code system adds if it is here.
fn named(value_set: &Arc<ValueSet>, listed: &Listed, system: &Arc<str>, known: Option<&Arc<CodeSystem>>) -> Member {
    let concept = known.and_then(|known| Some((Arc::clone(known), known.find(&listed.code)?)));
    let defined = concept.as_ref().and_then(|(known, number)| known.concept(*number));
    let display = listed
        .display
        .as_deref()
        .or_else(|| defined.and_then(|concept| concept.display.as_deref()));
    Member {
        system: Arc::clone(system),
        code: listed.code.as_ref().into(),
        display: display.map(Arc::from),
        inactive: listed.inactive || defined.is_some_and(|concept| concept.inactive),
        is_abstract: defined.is_some_and(|concept| concept.is_abstract),
        concept,
        listed: Some((Arc::clone(value_set), listed.offset)),
    }
}

fn limit(value_set: &ValueSet, codes: usize) -> Result<(), Problem> {
    if codes > MOST_CODES {
        return Err(Problem::TooMany {
            value_set: value_set.label(),
            most: MOST_CODES,
        });
    }
    Ok(())
}

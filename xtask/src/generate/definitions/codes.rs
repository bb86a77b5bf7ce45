//! The codes of value sets, where HL7's definitions list them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::facts::{CodeSystemFact, ConceptFact, Facts, PartFact, ValueSetFact};

/// More codes than this are no longer a list to check a value against.
const MOST: usize = 2_000;

pub struct CodeLists<'f> {
    value_sets: HashMap<&'f str, &'f ValueSetFact>,
    code_systems: HashMap<&'f str, &'f CodeSystemFact>,
}

/// Code and system; by code, because a value of type `code` has no system.
type Codes = BTreeSet<(String, String)>;

impl<'f> CodeLists<'f> {
    pub fn of(facts: &'f Facts) -> Self {
        CodeLists {
            value_sets: facts.value_sets.iter().map(|fact| (fact.url.as_str(), fact)).collect(),
            code_systems: facts
                .code_systems
                .iter()
                .map(|fact| (fact.url.as_str(), fact))
                .collect(),
        }
    }

    /// The members of a value set; `None` if the definitions don't say them all.
    pub fn members(&self, url: &str) -> Option<Codes> {
        self.expand(url, 0)
            .filter(|codes| codes.len() <= MOST && !codes.is_empty())
    }

    fn expand(&self, url: &str, depth: usize) -> Option<Codes> {
        let bare = url.split('|').next().unwrap_or(url);
        let value_set = self.value_sets.get(bare).filter(|_| depth < 8)?;
        let mut codes = Codes::new();
        for part in &value_set.include {
            codes.extend(self.part(part, depth)?);
        }
        for part in &value_set.exclude {
            for code in self.part(part, depth)? {
                codes.remove(&code);
            }
        }
        Some(codes)
    }

    fn part(&self, part: &PartFact, depth: usize) -> Option<Codes> {
        let mut codes: Option<Codes> = match &part.system {
            None => None,
            Some(system) if !part.codes.is_empty() => {
                Some(part.codes.iter().map(|code| (code.clone(), system.clone())).collect())
            }
            Some(system) => Some(self.system(system, &part.filters)?),
        };
        for value_set in &part.value_sets {
            let others = self.expand(value_set, depth + 1)?;
            codes = Some(match codes {
                None => others,
                Some(codes) => codes.intersection(&others).cloned().collect(),
            });
        }
        codes
    }

    fn system(&self, url: &str, filters: &[BTreeMap<String, String>]) -> Option<Codes> {
        let system = self.code_systems.get(url)?;
        if system.content.as_deref() != Some("complete") {
            return None;
        }
        let mut parents: HashMap<&str, Vec<&str>> = HashMap::new();
        collect(&system.concepts, None, &mut parents);
        let mut codes: Vec<&str> = parents.keys().copied().collect();
        for filter in filters {
            let of = |name: &str| filter.get(name).map(String::as_str);
            let (Some("concept"), Some(operation), Some(root)) = (of("property"), of("op"), of("value")) else {
                return None;
            };
            match operation {
                "is-a" => codes.retain(|code| descends(code, root, &parents, 0)),
                "descendent-of" => codes.retain(|code| *code != root && descends(code, root, &parents, 0)),
                _ => return None,
            }
        }
        Some(
            codes
                .into_iter()
                .map(|code| (code.to_owned(), url.to_owned()))
                .collect(),
        )
    }
}

fn collect<'f>(concepts: &'f [ConceptFact], parent: Option<&'f str>, parents: &mut HashMap<&'f str, Vec<&'f str>>) {
    for concept in concepts {
        let above = parents.entry(concept.code.as_str()).or_default();
        above.extend(parent);
        above.extend(concept.subsumed_by.iter().map(String::as_str));
        collect(&concept.concepts, Some(&concept.code), parents);
    }
}

fn descends(code: &str, root: &str, parents: &HashMap<&str, Vec<&str>>, depth: usize) -> bool {
    let above = || parents.get(code).into_iter().flatten();
    code == root || (depth < 32 && above().any(|parent| descends(parent, root, parents, depth + 1)))
}

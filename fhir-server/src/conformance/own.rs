//! The search parameters of the service's own, as the database has them, and how writes of SearchParameters change them.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use fhir_definitions::{Definitions, FhirVersion};
use fhir_resource::stored;
use fhir_search::{InForce, Parameters, Readiness};
use fhir_storage::{Change, DefinitionChange, InUse, NewDefinition, NewJob, State, Store};
use serde::{Deserialize, Serialize};

use super::definition::{self, Definition};
use crate::http::failure::{Failure, Result};
use crate::jobs;

/// The resources that define search parameters.
pub const SEARCH_PARAMETER: &str = "SearchParameter";
/// Whose definitions come with the program.
const SERVICE: &str = "";

/// One definition with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Stands for it.
    pub number: u32,
    /// The id of its SearchParameter.
    pub owner: String,
    /// What it says.
    pub definition: Definition,
    /// What it is good for.
    pub state: State,
}

/// All of one generation.
#[derive(Debug, Default)]
pub struct Own {
    /// Goes up with each change.
    pub generation: u64,
    /// By number.
    pub rows: Vec<Row>,
    /// What isn't searched: number and URL.
    disabled: Vec<(u32, String)>,
}

/// What the database has under a number.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Content {
    /// A parameter that isn't searched, though its rows are there.
    Disabled { disabled: String },
    /// A definition.
    Definition(Definition),
}

impl Own {
    fn of(in_use: InUse) -> Self {
        let mut own = Self {
            generation: in_use.generation,
            ..Self::default()
        };
        for stored in in_use.stored {
            let number = stored.number;
            match serde_json::from_str(&stored.definition) {
                Ok(Content::Definition(definition)) => own.rows.push(Row {
                    number,
                    owner: stored.owner,
                    definition,
                    state: stored.state,
                }),
                Ok(Content::Disabled { disabled }) if stored.state != State::Retired => {
                    own.disabled.push((number, disabled));
                }
                Ok(Content::Disabled { .. }) => {}
                Err(error) => tracing::error!(number, %error, "a definition can't be read"),
            }
        }
        own
    }

    /// Those in a state.
    pub fn in_state(&self, state: State) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.state == state)
    }

    fn parameters(&self, version: FhirVersion) -> Parameters {
        let own = self.rows.iter().filter_map(|row| {
            let readiness = match row.state {
                State::Filling => Readiness::Filling,
                State::Ready => Readiness::Ready,
                State::Retired => return None,
            };
            Some((row.definition.parameter(version, row.number), readiness))
        });
        let disabled = self.disabled.iter().map(|(_, url)| url.clone()).collect();
        Parameters::new(Definitions::of(version), self.generation, own.collect()).without(disabled)
    }

    /// The change after which these URLs are searched, or aren't; `None`: it is so already.
    pub fn searching(&self, wanted: &[(String, bool)]) -> Option<DefinitionChange> {
        let mut change = DefinitionChange {
            generation: self.generation,
            ..DefinitionChange::default()
        };
        for (url, searched) in wanted {
            let known = self.disabled.iter().find(|(_, disabled)| disabled == url);
            match (known, searched) {
                (Some((number, _)), true) => change.retire.push(*number),
                (None, false) => change.add.push(NewDefinition {
                    owner: SERVICE.to_owned(),
                    definition: text(&Content::Disabled { disabled: url.clone() }),
                }),
                (Some(_), false) | (None, true) => {}
            }
        }
        let changes = !(change.add.is_empty() && change.retire.is_empty());
        changes.then_some(change)
    }

    /// What becomes ready with these numbers, and what they replace.
    pub fn activation(&self, filled: &[u32]) -> DefinitionChange {
        let ready: Vec<&Row> = self
            .in_state(State::Filling)
            .filter(|row| filled.contains(&row.number))
            .collect();
        let replaced = |old: &&Row| {
            let by = |new: &&&Row| new.owner == old.owner && new.definition.base == old.definition.base;
            ready.iter().any(|new| by(&new))
        };
        DefinitionChange {
            generation: self.generation,
            add: Vec::new(),
            retire: self
                .in_state(State::Ready)
                .filter(replaced)
                .map(|row| row.number)
                .collect(),
            ready: ready.iter().map(|row| row.number).collect(),
        }
    }
}

/// What is known of the database's definitions.
pub struct Conformance {
    version: FhirVersion,
    in_force: InForce,
    own: RwLock<Arc<Own>>,
    /// How long a search may still use what is retired.
    grace: Duration,
}

impl Conformance {
    /// Reads them, and adds what comes with the program.
    pub async fn load(version: FhirVersion, store: &Store, grace: Duration) -> Result<Self, fhir_storage::ReadError> {
        let own = Own::of(store.definitions().await?);
        Ok(Self {
            version,
            in_force: InForce::new(own.parameters(version)),
            own: RwLock::new(Arc::new(own)),
            grace,
        })
    }

    /// The FHIR version that they are of.
    pub fn version(&self) -> FhirVersion {
        self.version
    }

    /// The parameters in force.
    pub fn in_force(&self) -> InForce {
        self.in_force.clone()
    }

    /// The definitions of the service's own.
    pub fn own(&self) -> Arc<Own> {
        Arc::clone(&self.own.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the database's definitions again, if they have changed, and puts them in force.
    pub async fn refresh(&self, store: &Store) -> Result<(), fhir_storage::ReadError> {
        if store.generation().await? <= self.own().generation {
            return Ok(());
        }
        let read = Own::of(store.definitions().await?);
        let mut own = self.own.write().unwrap_or_else(PoisonError::into_inner);
        if read.generation > own.generation {
            self.in_force.store(read.parameters(self.version));
            *own = Arc::new(read);
        }
        Ok(())
    }

    /// What changes of resources make of the definitions; `None`: nothing.
    pub fn change(&self, changes: &[Change]) -> Result<Option<DefinitionChange>> {
        let own = self.own();
        let known = self.in_force.load();
        let mut change = DefinitionChange {
            generation: own.generation,
            ..DefinitionChange::default()
        };
        let mut added: Vec<(String, Definition)> = Vec::new();
        for written in changes {
            let (id, definitions) = match written {
                Change::Create { resource } | Change::Update { resource, .. }
                    if resource.resource_type() == SEARCH_PARAMETER =>
                {
                    let id = resource.id();
                    let document = stored::parse(resource.stored()).map_err(Failure::from)?;
                    let rows = own
                        .rows
                        .iter()
                        .filter(|row| row.state != State::Retired && row.owner != id);
                    let others = rows.map(|row| &row.definition);
                    let others = others.chain(added.iter().filter(|(owner, _)| owner != id).map(|(_, own)| own));
                    let others: Vec<&Definition> = others.collect();
                    (id, definition::read(&known, &others, document.root())?)
                }
                Change::Delete { resource_type, id, .. } if resource_type == SEARCH_PARAMETER => {
                    (id.as_str(), Vec::new())
                }
                _ => continue,
            };
            let new = replace(&own, &mut change, id, definitions);
            added.retain(|(owner, _)| owner != id);
            added.extend(new.into_iter().map(|definition| (id.to_owned(), definition)));
        }
        for (owner, definition) in added {
            change.add.push(NewDefinition {
                owner,
                definition: text(&definition),
            });
        }
        let changes = !(change.add.is_empty() && change.retire.is_empty());
        Ok(changes.then_some(change))
    }

    /// The work that a change of definitions asks for.
    pub fn work(&self, change: &DefinitionChange) -> Vec<NewJob> {
        let fill = (!change.add.is_empty()).then(jobs::reindex::automatic);
        let sweep = (!change.retire.is_empty()).then(|| jobs::sweep::of(&change.retire, self.grace));
        fill.into_iter().chain(sweep).collect()
    }

    /// What comes with the program and isn't in the database.
    pub fn missing(&self) -> Option<DefinitionChange> {
        let own = self.own();
        let wanted = definition::built_in();
        let is_there = |wanted: &Definition| {
            let mut rows = own.rows.iter();
            rows.any(|row| row.state != State::Retired && row.owner == SERVICE && row.definition == *wanted)
        };
        if is_there(&wanted) {
            return None;
        }
        Some(DefinitionChange {
            generation: own.generation,
            add: vec![NewDefinition {
                owner: SERVICE.to_owned(),
                definition: text(&wanted),
            }],
            ..DefinitionChange::default()
        })
    }
}

/// Notes what is retired when a resource's definitions become these; gives those that are new.
fn replace(own: &Own, change: &mut DefinitionChange, id: &str, definitions: Vec<Definition>) -> Vec<Definition> {
    let current: Vec<&Row> = own
        .rows
        .iter()
        .filter(|row| row.owner == id && row.state != State::Retired)
        .collect();
    let is_known = |definition: &Definition| current.iter().any(|row| row.definition == *definition);
    let is_searched = |definition: &Definition| {
        let mut ready = current.iter().filter(|row| row.state == State::Ready);
        ready.any(|row| row.definition == *definition)
    };
    let waiting = definitions.iter().filter(|definition| !is_searched(definition));
    let bases: BTreeSet<String> = waiting.map(|definition| definition.base.clone()).collect();
    for row in &current {
        let stays = definitions.contains(&row.definition);
        // what is searched stays until its successor is filled
        let is_followed = row.state == State::Ready && bases.contains(&row.definition.base);
        if !stays && !is_followed && !change.retire.contains(&row.number) {
            change.retire.push(row.number);
        }
    }
    definitions
        .into_iter()
        .filter(|definition| !is_known(definition))
        .collect()
}

fn text(definition: &impl Serialize) -> String {
    // a plain structure of texts always serialises
    serde_json::to_string(definition).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(base: &str, expression: &str) -> Definition {
        Definition {
            url: "http://e/tier".to_owned(),
            code: "tier".to_owned(),
            kind: "string".to_owned(),
            base: base.to_owned(),
            expression: expression.to_owned(),
            targets: Vec::new(),
            components: Vec::new(),
        }
    }

    fn own(rows: &[(u32, &str, &str, State)]) -> Own {
        let rows = rows.iter().map(|(number, base, expression, state)| Row {
            number: *number,
            owner: "tier".to_owned(),
            definition: definition(base, expression),
            state: *state,
        });
        Own {
            generation: 7,
            rows: rows.collect(),
            disabled: Vec::new(),
        }
    }

    /// Numbers that are retired, bases that are new.
    fn decided(before: &Own, after: Vec<Definition>) -> (Vec<u32>, Vec<String>) {
        let mut change = DefinitionChange::default();
        let new = replace(before, &mut change, "tier", after);
        (
            change.retire,
            new.into_iter().map(|definition| definition.base).collect(),
        )
    }

    #[test]
    fn what_is_searched_stays_until_its_successor_is_filled() {
        let ready = own(&[(1, "Patient", "a", State::Ready)]);
        assert_eq!(decided(&ready, vec![definition("Patient", "a")]), (vec![], vec![]));
        let changed = vec![definition("Patient", "b")];
        assert_eq!(decided(&ready, changed.clone()), (vec![], vec!["Patient".to_owned()]));
        assert_eq!(decided(&ready, Vec::new()), (vec![1], vec![]));
        let moved = vec![definition("Person", "a")];
        assert_eq!(decided(&ready, moved), (vec![1], vec!["Person".to_owned()]));

        let changing = own(&[(1, "Patient", "a", State::Ready), (2, "Patient", "b", State::Filling)]);
        assert_eq!(decided(&changing, changed), (vec![], vec![]));
        assert_eq!(decided(&changing, vec![definition("Patient", "a")]), (vec![2], vec![]));
        let third = vec![definition("Patient", "c")];
        assert_eq!(decided(&changing, third), (vec![2], vec!["Patient".to_owned()]));
        let activation = changing.activation(&[2, 9]);
        assert_eq!((activation.ready, activation.retire), (vec![2], vec![1]));
    }
}

//! What changes come to, decided one after the other before any of it is written: a resource that several sets of a batch
//! change is written once, with the versions between in its history.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use fhir_resource::stored;
use fhir_search::Plan;

use super::delta::{Delta, Moment, Stored};
use super::guard;
use super::texts::Numbers;
use super::write::rows_of;
use crate::bodies;
use crate::catalogue::Catalogue;
use crate::commit::{Change, Expected, Kept, Last, Outcome, Prepared, WriteSet, Written};
use crate::error::CommitError;
use crate::rows::Rows;
use crate::version::{Kind, NOT_KEPT};

/// A logical id within a type.
pub type Name = (i64, String);

/// A row that is there.
#[derive(Debug)]
pub struct Current {
    pub pk: i64,
    pub stored: Stored,
    pub rows: Rows,
}

/// A resource after what is decided.
#[derive(Debug, Clone)]
struct Next<'a> {
    pk: i64,
    version: u32,
    updated: i64,
    kind: i64,
    /// `None`: it is deleted.
    resource: Option<&'a Prepared>,
    /// Versions that the history doesn't have yet.
    superseded: Vec<Stored>,
}

impl Next<'_> {
    fn stored(&self) -> Stored {
        Stored {
            version: self.version,
            updated: self.updated,
            kind: self.kind,
            dictionary: self.resource.map_or(0, |_| bodies::SHARED_ID),
            body: self.resource.map(|resource| resource.packed.clone()),
        }
    }
}

/// A logical id: as the database has it, and as it will be.
#[derive(Debug, Clone, Default)]
struct Known<'a> {
    before: Option<Arc<Current>>,
    next: Option<Next<'a>>,
}

/// The last version of a resource.
struct State<'s> {
    pk: i64,
    last: Last,
    updated: i64,
    /// What it says, where it isn't deleted.
    body: Option<std::borrow::Cow<'s, [u8]>>,
}

/// Decisions on what is there.
pub struct Decided<'a> {
    catalogue: &'a Catalogue,
    /// What is decided on.
    on: Moment,
    /// What is so far.
    then: Moment,
    /// The time of the database when they began.
    now: i64,
    known: HashMap<Name, Known<'a>>,
    /// The ids that will be written.
    touched: BTreeSet<Name>,
}

impl<'a> Decided<'a> {
    /// None yet.
    pub fn new(catalogue: &'a Catalogue, on: Moment, now: i64) -> Self {
        Self {
            catalogue,
            on,
            then: on,
            now,
            known: HashMap::new(),
            touched: BTreeSet::new(),
        }
    }

    /// What is there of a logical id.
    pub fn know(&mut self, name: Name, before: Option<Current>) {
        let before = before.map(Arc::new);
        self.known.insert(name, Known { before, next: None });
    }

    /// Whether anything was read of a logical id.
    pub fn knows(&self, name: &Name) -> bool {
        self.known.contains_key(name)
    }

    /// What the next write is done on.
    pub fn moment(&self) -> Moment {
        self.on
    }

    /// Back to a state that was written; nothing is known of it.
    pub fn rewind(&mut self, on: Moment) {
        (self.on, self.then) = (on, on);
        self.known.clear();
        self.touched.clear();
    }

    /// Of the search parameters.
    pub fn generation(&self) -> u64 {
        self.then.generation
    }

    /// The time of the database.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// The logical id that a change is about.
    pub fn name(catalogue: &Catalogue, change: &Change) -> Option<Name> {
        let (of, id) = match change {
            Change::Create { resource } | Change::Update { resource, .. } => (&resource.resource_type, &resource.id),
            Change::Delete { resource_type, id, .. } | Change::PurgeHistory { resource_type, id, .. } => {
                (resource_type, id)
            }
        };
        Some((catalogue.type_number(of)?, id.clone()))
    }

    /// Whether nothing has to be written.
    pub fn is_empty(&self) -> bool {
        self.touched.is_empty()
    }

    /// Whether what is decided could change what a plan finds.
    pub fn may_change(&self, plan: &Plan) -> bool {
        self.touched.iter().any(|name| match self.known.get(name) {
            Some(Known {
                before: None,
                next:
                    Some(Next {
                        resource: Some(resource),
                        ..
                    }),
            }) => guard::may_find(plan, resource),
            _ => true,
        })
    }

    /// All changes of a set, or none.
    pub fn set(&mut self, set: &'a WriteSet) -> Result<Vec<Outcome>, CommitError> {
        let names = set
            .changes
            .iter()
            .filter_map(|change| Self::name(self.catalogue, change));
        let before: Vec<_> = names
            .map(|name| {
                let (known, was_touched) = (self.known.get(&name).cloned(), self.touched.contains(&name));
                (name, known, was_touched)
            })
            .collect();
        let outcomes: Result<Vec<Outcome>, CommitError> =
            set.changes.iter().map(|change| self.change(change)).collect();
        if outcomes.is_err() {
            for (name, known, was_touched) in before {
                if !was_touched {
                    self.touched.remove(&name);
                }
                if let Some(known) = known {
                    self.known.insert(name, known);
                }
            }
        }
        outcomes
    }

    /// Decides one change; purging isn't for this.
    pub fn change(&mut self, change: &'a Change) -> Result<Outcome, CommitError> {
        match change {
            Change::Create { resource } => {
                let name = self.named(&resource.resource_type, &resource.id)?;
                if self.state(&name)?.is_some() {
                    return Err(CommitError::IdTaken {
                        resource_type: resource.resource_type.clone(),
                        id: resource.id.clone(),
                    });
                }
                Ok(self.create(name, resource))
            }
            Change::Update {
                resource,
                expected,
                may_create,
            } => self.update(resource, *expected, *may_create),
            Change::Delete {
                resource_type,
                id,
                expected,
                kept,
                ..
            } => self.delete(resource_type, id, *expected, *kept),
            Change::PurgeHistory { .. } => Ok(Outcome::AlreadyDeleted),
        }
    }

    fn create(&mut self, name: Name, resource: &'a Prepared) -> Outcome {
        let (pk, time) = (self.then.next_pk, self.tick());
        self.then.next_pk += 1;
        self.touched.insert(name.clone());
        self.known.entry(name).or_default().next = Some(Next {
            pk,
            version: 1,
            updated: time,
            kind: Kind::Created.number(),
            resource: Some(resource),
            superseded: Vec::new(),
        });
        Outcome::Created(Written {
            version: 1,
            last_updated: time,
        })
    }

    fn update(&mut self, resource: &'a Prepared, expected: Expected, may_create: bool) -> Result<Outcome, CommitError> {
        let Prepared { resource_type, id, .. } = resource;
        let name = self.named(resource_type, id)?;
        let state = self.state(&name)?;
        expected.prove(state.as_ref().map(|state| state.last), resource_type, id)?;
        let Some(state) = state.filter(|state| state.last.is_live || may_create) else {
            return if may_create {
                Ok(self.create(name, resource))
            } else {
                Err(CommitError::not_found(resource_type, id))
            };
        };
        let mut kept = resource.kept;
        let kind = match &state.body {
            None => Kind::Created,
            Some(old) if stored::same(old, &resource.stored) => {
                return Ok(Outcome::Unchanged(Written {
                    version: state.last.version,
                    last_updated: state.updated,
                }));
            }
            Some(old) => {
                if kept == Kept::UnlessOnlyMeta && stored::same_but_meta(old, &resource.stored) {
                    kept = Kept::Never;
                }
                Kind::Updated
            }
        };
        let written = self.replace(name, kind, kept, Some(resource));
        Ok(match kind {
            Kind::Created => Outcome::Created(written),
            Kind::Updated | Kind::Deleted => Outcome::Updated(written),
        })
    }

    fn delete(
        &mut self,
        resource_type: &str,
        id: &str,
        expected: Expected,
        kept: Kept,
    ) -> Result<Outcome, CommitError> {
        let name = self.named(resource_type, id)?;
        let state = self.state(&name)?;
        let Some(state) = state.filter(|state| state.last.is_live) else {
            return Ok(Outcome::AlreadyDeleted);
        };
        expected.prove(Some(state.last), resource_type, id)?;
        Ok(Outcome::Deleted(self.replace(name, Kind::Deleted, kept, None)))
    }

    /// What purging takes: the pk, on which state, the index rows that go with the whole, and the state then. `None`: there
    /// is nothing.
    pub fn purge(
        &mut self,
        resource_type: &str,
        id: &str,
        expected: Expected,
        is_whole: bool,
    ) -> Result<Option<(i64, Moment, Delta, Moment)>, CommitError> {
        let name = self.named(resource_type, id)?;
        let state = self.state(&name)?;
        let Some(pk) = state.as_ref().map(|state| state.pk) else {
            return Ok(None);
        };
        expected.prove(state.map(|state| state.last), resource_type, id)?;
        let mut delta = Delta::default();
        if let Some(before) = self.known.remove(&name).and_then(|known| known.before)
            && is_whole
        {
            delta.gone.add(pk, &before.rows, &Rows::default());
        }
        self.tick();
        let on = std::mem::replace(&mut self.on, self.then);
        Ok(Some((pk, on, delta, self.then)))
    }

    /// A new version of what is there.
    fn replace(&mut self, name: Name, kind: Kind, kept: Kept, resource: Option<&'a Prepared>) -> Written {
        let updated = self.tick();
        let is_kept = kept != Kept::Never;
        self.touched.insert(name.clone());
        let known = self.known.entry(name).or_default();
        let (pk, old, mut superseded) = match (known.next.take(), &known.before) {
            (Some(mut next), _) => {
                let superseded = std::mem::take(&mut next.superseded);
                (next.pk, next.stored(), superseded)
            }
            (None, Some(before)) => (before.pk, before.stored.clone(), Vec::new()),
            // whoever replaces something has seen it
            (None, None) => {
                return Written {
                    version: 0,
                    last_updated: updated,
                };
            }
        };
        let version = old.version + 1;
        if is_kept {
            superseded.push(old);
        }
        known.next = Some(Next {
            pk,
            version,
            updated,
            kind: kind.number() | if is_kept { 0 } else { NOT_KEPT },
            resource,
            superseded,
        });
        Written {
            version,
            last_updated: updated,
        }
    }

    fn named(&self, of: &str, id: &str) -> Result<Name, CommitError> {
        let number = self.catalogue.type_number(of);
        let number = number.ok_or_else(|| CommitError::UnknownType(of.to_owned()))?;
        Ok((number, id.to_owned()))
    }

    fn state(&self, name: &Name) -> Result<Option<State<'_>>, CommitError> {
        let Some(known) = self.known.get(name) else {
            return Ok(None);
        };
        if let Some(next) = &known.next {
            return Ok(Some(State {
                pk: next.pk,
                last: Last {
                    version: next.version,
                    is_live: next.resource.is_some(),
                },
                updated: next.updated,
                body: next.resource.map(|resource| (*resource.stored).into()),
            }));
        }
        let Some(before) = &known.before else {
            return Ok(None);
        };
        let Stored { dictionary, body, .. } = &before.stored;
        let named = || format!("{}/{}", self.catalogue.type_name(name.0), name.1);
        let body = body.as_ref().map(|body| bodies::unpack(body, *dictionary, named));
        Ok(Some(State {
            pk: before.pk,
            last: Last {
                version: before.stored.version,
                is_live: body.is_some(),
            },
            updated: before.stored.updated,
            body: body.transpose()?.map(Into::into),
        }))
    }

    fn tick(&mut self) -> i64 {
        self.then.clock = self.now.max(self.then.clock + 1);
        self.then.clock
    }

    /// What is to be written: on which state, what, and the state then. Of the ids in it nothing is known any more.
    pub fn drain(&mut self, numbers: &Numbers) -> (Moment, Delta, Moment) {
        let mut delta = Delta::default();
        for name in std::mem::take(&mut self.touched) {
            let Some(Known {
                before,
                next: Some(next),
            }) = self.known.remove(&name)
            else {
                continue;
            };
            let (of, id) = (name.0, name.1.as_str());
            let rows = next
                .resource
                .map_or_else(Rows::default, |resource| rows_of(self.catalogue, resource, numbers));
            let nothing = Rows::default();
            let old = before.as_ref().map_or(&nothing, |before| &before.rows);
            delta.gone.add(next.pk, old, &rows);
            delta.rows.add(next.pk, &rows, old);
            let versions = if before.is_some() {
                &mut delta.changed
            } else {
                &mut delta.new
            };
            versions.add(next.pk, of, id, next.stored());
            for stored in next.superseded {
                delta.superseded.add(next.pk, of, id, stored);
            }
        }
        let on = std::mem::replace(&mut self.on, self.then);
        (on, delta, self.then)
    }

    /// Search parameters have changed.
    pub fn next_generation(&mut self) {
        self.on.generation += 1;
        self.then.generation += 1;
    }
}

/// Whether a set is decided by what is known of its resources alone.
pub fn is_plain(set: &WriteSet) -> bool {
    let plain = |change: &Change| !matches!(change, Change::PurgeHistory { .. } | Change::Delete { hard: true, .. });
    set.definitions.is_none() && set.jobs.is_empty() && set.changes.iter().all(plain)
}

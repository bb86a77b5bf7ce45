//! Updates, deletes and guarded sets: decided one after the other while the clock is held, written together.

use std::collections::{HashMap, HashSet};

use fhir_resource::stored;
use fhir_search::{Filter, Plan};
use sqlx::{PgConnection, Row as _};

use super::error::is_lost;
use super::rows::{self, Columns};
use super::search;
use super::texts::{Numbers, Texts};
use super::write::{Answer, New, rows_of};
use super::{definitions, jobs};
use crate::bodies;
use crate::catalogue::Catalogue;
use crate::commit::{Change, Expected, Kept, Last, Outcome, Prepared, WriteSet, Written};
use crate::error::{CommitError, ReadError};
use crate::rows::Rows;
use crate::version::{Kind, NOT_KEPT};

/// Takes the clock. A statement that takes long would stop every writer, so it may not.
const BEGIN: &str = "BEGIN; SET LOCAL statement_timeout = 5000; \
     SELECT clock, next_pk, (extract(epoch FROM clock_timestamp()) * 1000000)::int8, generation \
     FROM service FOR UPDATE";
const CURRENT: &str = "SELECT r.type, r.id, r.pk, r.ver, r.upd, r.dict, r.body \
     FROM unnest($1::int8[], $2::text[]) n (type, id) \
     JOIN LATERAL (SELECT r.* FROM res r WHERE r.type = n.type AND r.id = n.id OFFSET 0) r ON TRUE";
const REPLACE: &str = "WITH kept AS (INSERT INTO hist (pk, ver, type, upd, kind, dict, body) \
     SELECT r.pk, r.ver, r.type, r.upd, r.kind, r.dict, r.body FROM res r WHERE r.pk = ANY ($7)) \
     UPDATE res r SET ver = u.ver, upd = u.upd, kind = u.kind, dict = u.dict, body = u.body \
     FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::bytea[]) \
     u (pk, ver, upd, kind, dict, body) WHERE r.pk = u.pk";

/// Why a whole batch failed.
#[derive(Debug)]
pub enum Failed {
    Database(sqlx::Error),
    Read(ReadError),
}

impl Failed {
    /// Whether the connection is gone.
    pub fn is_lost(&self) -> bool {
        match self {
            Self::Database(error) => is_lost(error),
            Self::Read(error) => matches!(error, ReadError::Lost(_)),
        }
    }
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Failed> for CommitError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Database(error) => error.into(),
            Failed::Read(error) => error.into(),
        }
    }
}

/// A logical id within a type.
type Name = (i64, String);

/// The row of a logical id.
#[derive(Debug, Clone)]
struct Current {
    pk: i64,
    version: u32,
    updated: i64,
    dictionary: i64,
    body: Option<Vec<u8>>,
    rows: Rows,
}

impl Current {
    fn state(&self) -> Last {
        Last {
            version: self.version,
            is_live: self.body.is_some(),
        }
    }
}

/// What a change does to the tables.
enum Step<'a> {
    Create {
        of: i64,
        pk: i64,
        time: i64,
        resource: &'a Prepared,
    },
    Replace {
        current: Current,
        time: i64,
        kind: Kind,
        /// Whether the version before goes into the history.
        is_kept: bool,
        resource: Option<&'a Prepared>,
    },
    Purge {
        current: Current,
    },
    PurgeHistory {
        current: Current,
    },
}

/// A transaction that has the clock.
pub struct Transaction<'a> {
    connection: &'a mut PgConnection,
    catalogue: &'a Catalogue,
    texts: &'a Texts,
    numbers: &'a Numbers,
    clock: i64,
    now: i64,
    next_pk: i64,
    /// Of the search parameters.
    generation: u64,
    /// What is there of the ids that the sets are about.
    current: HashMap<Name, Option<Current>>,
    /// What is decided and not yet written.
    steps: Vec<Step<'a>>,
    /// The ids that it is about.
    touched: HashSet<Name>,
}

impl<'a> Transaction<'a> {
    /// Takes the clock and reads what the sets are about.
    pub async fn begin(
        connection: &'a mut PgConnection,
        catalogue: &'a Catalogue,
        texts: &'a Texts,
        numbers: &'a Numbers,
        sets: &[WriteSet],
    ) -> Result<Self, Failed> {
        let row = sqlx::raw_sql(BEGIN).fetch_one(&mut *connection).await?;
        let mut transaction = Self {
            connection,
            catalogue,
            texts,
            numbers,
            clock: row.try_get(0)?,
            next_pk: row.try_get(1)?,
            now: row.try_get(2)?,
            generation: row.try_get::<i64, _>(3)?.cast_unsigned(),
            current: HashMap::new(),
            steps: Vec::new(),
            touched: HashSet::new(),
        };
        let changes = sets.iter().flat_map(|set| &set.changes);
        let names: Vec<Name> = changes.filter_map(|change| transaction.name(change)).collect();
        transaction.read(names).await?;
        Ok(transaction)
    }

    /// Decides each set, in order, and commits.
    pub async fn run(mut self, sets: &'a [WriteSet]) -> Result<Vec<Answer>, Failed> {
        let mut answers = Vec::with_capacity(sets.len());
        for set in sets {
            answers.push(self.set(set).await?);
        }
        self.flush().await?;
        sqlx::raw_sql("COMMIT").execute(self.connection).await?;
        Ok(answers)
    }

    async fn set(&mut self, set: &'a WriteSet) -> Result<Answer, Failed> {
        if set.is_outdated(self.generation) {
            // whoever has the set gives it back
            return Ok(Err(CommitError::Outdated(Box::default())));
        }
        if let Some(guard) = &set.guard
            && let Err(error) = self.guard(&guard.plan).await?
        {
            return Ok(Err(error));
        }
        let mut names = HashSet::new();
        let mut once = true;
        for name in set.changes.iter().filter_map(|change| self.name(change)) {
            once &= names.insert(name);
        }
        if self.touched.iter().any(|name| names.contains(name)) || !once {
            self.flush().await?;
            self.read(names.into_iter().collect()).await?;
        }
        if once {
            let answer = self.together(set);
            if answer.is_ok() {
                self.follow(set).await?;
            }
            return Ok(answer);
        }
        // a set that changes a resource twice: each change sees the one before it
        sqlx::raw_sql("SAVEPOINT one").execute(&mut *self.connection).await?;
        let mut outcomes = Vec::new();
        for change in &set.changes {
            match self.change(change) {
                Ok((outcome, step)) => {
                    outcomes.push(outcome);
                    self.stage(step);
                    self.flush().await?;
                    self.read(self.name(change).into_iter().collect()).await?;
                }
                Err(error) => {
                    sqlx::raw_sql("ROLLBACK TO one").execute(&mut *self.connection).await?;
                    let names = set.changes.iter().filter_map(|change| self.name(change)).collect();
                    self.read(names).await?;
                    return Ok(Err(error));
                }
            }
        }
        self.follow(set).await?;
        Ok(Ok(outcomes))
    }

    /// What follows from a set that is decided.
    async fn follow(&mut self, set: &WriteSet) -> Result<(), Failed> {
        for job in &set.jobs {
            jobs::add(self.connection, job, self.now).await?;
        }
        if let Some(change) = &set.definitions {
            definitions::change(self.connection, change).await?;
            self.generation += 1;
        }
        Ok(())
    }

    /// All changes of a set, or none.
    fn together(&mut self, set: &'a WriteSet) -> Answer {
        let mut outcomes = Vec::with_capacity(set.changes.len());
        let mut steps = Vec::with_capacity(set.changes.len());
        for change in &set.changes {
            let (outcome, step) = self.change(change)?;
            outcomes.push(outcome);
            steps.push(step);
        }
        for step in steps {
            self.stage(step);
        }
        Ok(outcomes)
    }

    /// Nothing may match.
    async fn guard(&mut self, plan: &Plan) -> Result<Result<(), CommitError>, Failed> {
        if self.steps.iter().any(|step| Self::may_change(plan, step)) {
            self.flush().await?;
        }
        let found = search::page(self.connection, self.catalogue, self.texts, plan, 2, None).await;
        let mut found = match found {
            Ok(page) => page.entries,
            Err(error @ ReadError::Damaged(_)) => return Ok(Err(error.into())),
            Err(error) => return Err(Failed::Read(error)),
        };
        Ok(match found.len() {
            0 => Ok(()),
            1 => Err(CommitError::Exists(Box::new(found.remove(0)))),
            _ => Err(CommitError::NotSelective),
        })
    }

    /// Whether a step could change what a plan finds.
    fn may_change(plan: &Plan, step: &Step<'_>) -> bool {
        match step {
            Step::Create { resource, .. } => {
                links(&plan.filters)
                    || ((plan.types.is_empty() || plan.types.contains(&resource.resource_type))
                        && plan.filters.iter().all(|filter| holds(filter, resource) != Some(false)))
            }
            Step::Replace { .. } | Step::Purge { .. } => true,
            Step::PurgeHistory { .. } => false,
        }
    }

    fn name(&self, change: &Change) -> Option<Name> {
        let (of, id) = match change {
            Change::Create { resource } | Change::Update { resource, .. } => (&resource.resource_type, &resource.id),
            Change::Delete { resource_type, id, .. } | Change::PurgeHistory { resource_type, id, .. } => {
                (resource_type, id)
            }
        };
        Some((self.catalogue.type_number(of)?, id.clone()))
    }

    /// What is there of these ids.
    async fn read(&mut self, names: Vec<Name>) -> sqlx::Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let (types, ids): (Vec<i64>, Vec<String>) = names.iter().cloned().unzip();
        for name in names {
            self.current.insert(name, None);
        }
        let found = sqlx::query(CURRENT).bind(types).bind(ids);
        let found = found.fetch_all(&mut *self.connection).await?;
        let mut live = Vec::new();
        for row in &found {
            let current = Current {
                pk: row.try_get(2)?,
                version: u32::try_from(row.try_get::<i32, _>(3)?).unwrap_or(u32::MAX),
                updated: row.try_get(4)?,
                dictionary: row.try_get::<i16, _>(5)?.into(),
                body: row.try_get(6)?,
                rows: Rows::default(),
            };
            if current.body.is_some() {
                live.push(current.pk);
            }
            let name = (row.try_get::<i16, _>(0)?.into(), row.try_get(1)?);
            self.current.insert(name, Some(current));
        }
        let mut rows = rows::read(self.connection, live).await?;
        for ((of, _), current) in &mut self.current {
            if let Some(current) = current
                && let Some(mut rows) = rows.remove(&current.pk)
            {
                rows.derive(self.catalogue, *of);
                current.rows = rows;
            }
        }
        Ok(())
    }

    fn known(&self, of: &str, id: &str) -> Result<(i64, Option<Current>), CommitError> {
        let number = self
            .catalogue
            .type_number(of)
            .ok_or_else(|| CommitError::UnknownType(of.to_owned()))?;
        let current = self.current.get(&(number, id.to_owned()));
        Ok((number, current.cloned().flatten()))
    }

    fn tick(&mut self) -> i64 {
        self.clock = self.now.max(self.clock + 1);
        self.clock
    }

    /// Decides one change.
    fn change(&mut self, change: &'a Change) -> Result<(Outcome, Option<Step<'a>>), CommitError> {
        match change {
            Change::Create { resource } => {
                let Prepared { resource_type, id, .. } = resource;
                match self.known(resource_type, id)? {
                    (of, None) => Ok(self.create(of, resource)),
                    (_, Some(_)) => Err(CommitError::IdTaken {
                        resource_type: resource_type.clone(),
                        id: id.clone(),
                    }),
                }
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
                hard: false,
                kept,
            } => self.delete(resource_type, id, *expected, *kept),
            Change::Delete {
                resource_type,
                id,
                expected,
                ..
            } => {
                let current = self.purged(resource_type, id, *expected)?;
                Ok(purged(current.map(|current| Step::Purge { current })))
            }
            Change::PurgeHistory {
                resource_type,
                id,
                expected,
            } => {
                let current = self.purged(resource_type, id, *expected)?;
                Ok(purged(current.map(|current| Step::PurgeHistory { current })))
            }
        }
    }

    fn create(&mut self, of: i64, resource: &'a Prepared) -> (Outcome, Option<Step<'a>>) {
        let (pk, time) = (self.next_pk, self.tick());
        self.next_pk += 1;
        let written = Written {
            version: 1,
            last_updated: time,
        };
        let step = Step::Create { of, pk, time, resource };
        (Outcome::Created(written), Some(step))
    }

    fn update(
        &mut self,
        resource: &'a Prepared,
        expected: Expected,
        may_create: bool,
    ) -> Result<(Outcome, Option<Step<'a>>), CommitError> {
        let Prepared { resource_type, id, .. } = resource;
        let (of, current) = self.known(resource_type, id)?;
        expected.prove(current.as_ref().map(Current::state), resource_type, id)?;
        let Some(current) = current.filter(|current| current.body.is_some() || may_create) else {
            return if may_create {
                Ok(self.create(of, resource))
            } else {
                Err(CommitError::not_found(resource_type, id))
            };
        };
        let mut kept = resource.kept;
        let kind = match &current.body {
            None => Kind::Created,
            Some(body) => {
                let old = bodies::unpack(body, current.dictionary, || format!("{resource_type}/{id}"))?;
                if stored::same(&old, &resource.stored) {
                    let written = Written {
                        version: current.version,
                        last_updated: current.updated,
                    };
                    return Ok((Outcome::Unchanged(written), None));
                }
                if kept == Kept::UnlessOnlyMeta && stored::same_but_meta(&old, &resource.stored) {
                    kept = Kept::Never;
                }
                Kind::Updated
            }
        };
        let written = Written {
            version: current.version + 1,
            last_updated: self.tick(),
        };
        let step = Step::Replace {
            time: written.last_updated,
            current,
            kind,
            is_kept: kept != Kept::Never,
            resource: Some(resource),
        };
        let outcome = match kind {
            Kind::Created => Outcome::Created(written),
            Kind::Updated | Kind::Deleted => Outcome::Updated(written),
        };
        Ok((outcome, Some(step)))
    }

    fn delete(
        &mut self,
        resource_type: &str,
        id: &str,
        expected: Expected,
        kept: Kept,
    ) -> Result<(Outcome, Option<Step<'a>>), CommitError> {
        let (_, current) = self.known(resource_type, id)?;
        let Some(current) = current.filter(|current| current.body.is_some()) else {
            return Ok((Outcome::AlreadyDeleted, None));
        };
        expected.prove(Some(current.state()), resource_type, id)?;
        let written = Written {
            version: current.version + 1,
            last_updated: self.tick(),
        };
        let step = Step::Replace {
            time: written.last_updated,
            current,
            kind: Kind::Deleted,
            is_kept: kept != Kept::Never,
            resource: None,
        };
        Ok((Outcome::Deleted(written), Some(step)))
    }

    /// The row of what is to be purged.
    fn purged(&self, resource_type: &str, id: &str, expected: Expected) -> Result<Option<Current>, CommitError> {
        let (_, current) = self.known(resource_type, id)?;
        if let Some(current) = &current {
            expected.prove(Some(current.state()), resource_type, id)?;
        }
        Ok(current)
    }

    fn stage(&mut self, step: Option<Step<'a>>) {
        let Some(step) = step else { return };
        let pk = match &step {
            Step::Create { of, resource, .. } => {
                self.touched.insert((*of, resource.id.clone()));
                None
            }
            Step::Replace { current, .. } | Step::Purge { current } | Step::PurgeHistory { current } => {
                Some(current.pk)
            }
        };
        if let Some(pk) = pk {
            let same = |current: &Option<Current>| current.as_ref().is_some_and(|current| current.pk == pk);
            let name = self.current.iter().find(|(_, current)| same(current));
            self.touched.extend(name.map(|(name, _)| name.clone()));
        }
        self.steps.push(step);
    }

    /// Writes what is decided.
    async fn flush(&mut self) -> Result<(), Failed> {
        if self.steps.is_empty() {
            return Ok(());
        }
        let (mut new, mut gone) = (New::default(), Columns::default());
        let (mut pks, mut versions, mut times, mut kinds, mut dictionaries) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut bodies: Vec<Option<Vec<u8>>> = Vec::new();
        let (mut kept, mut purged, mut without_history) = (Vec::new(), Vec::new(), Vec::new());
        for step in self.steps.drain(..) {
            match step {
                Step::Create { of, pk, time, resource } => {
                    new.add(pk, of, time, resource);
                    let rows = rows_of(self.catalogue, resource, self.numbers);
                    new.rows.add(pk, &rows, &Rows::default());
                }
                Step::Replace {
                    current,
                    time,
                    kind,
                    is_kept,
                    resource,
                } => {
                    if is_kept {
                        kept.push(current.pk);
                    }
                    let rows = resource.map_or_else(Rows::default, |resource| {
                        rows_of(self.catalogue, resource, self.numbers)
                    });
                    gone.add(current.pk, &current.rows, &rows);
                    new.rows.add(current.pk, &rows, &current.rows);
                    pks.push(current.pk);
                    versions.push(i64::from(current.version) + 1);
                    times.push(time);
                    kinds.push(kind.number() | if is_kept { 0 } else { NOT_KEPT });
                    dictionaries.push(resource.map_or(0, |_| bodies::SHARED_ID));
                    bodies.push(resource.map(|resource| resource.packed.clone()));
                }
                Step::Purge { current } => {
                    gone.add(current.pk, &current.rows, &Rows::default());
                    purged.push(current.pk);
                }
                Step::PurgeHistory { current } => without_history.push(current.pk),
            }
        }
        let connection = &mut *self.connection;
        if !pks.is_empty() {
            let query = sqlx::query(REPLACE).bind(pks).bind(versions).bind(times).bind(kinds);
            let query = query.bind(dictionaries).bind(bodies).bind(kept);
            query.execute(&mut *connection).await?;
        }
        gone.delete(&mut *connection).await?;
        if !purged.is_empty() {
            for sql in [
                "DELETE FROM hist WHERE pk = ANY ($1)",
                "DELETE FROM res WHERE pk = ANY ($1)",
            ] {
                sqlx::query(sql).bind(&purged).execute(&mut *connection).await?;
            }
        }
        if !without_history.is_empty() {
            let sql = "WITH gone AS (DELETE FROM hist WHERE pk = ANY ($1)) \
                 UPDATE res SET kind = kind::int8 | $2 WHERE pk = ANY ($1)";
            let query = sqlx::query(sql).bind(without_history).bind(NOT_KEPT);
            query.execute(&mut *connection).await?;
        }
        new.set(connection, self.clock, self.next_pk).await?;
        for name in self.touched.drain() {
            self.current.remove(&name);
        }
        Ok(())
    }
}

fn purged(step: Option<Step<'_>>) -> (Outcome, Option<Step<'_>>) {
    let outcome = if step.is_some() {
        Outcome::Purged
    } else {
        Outcome::AlreadyDeleted
    };
    (outcome, step)
}

/// Whether a filter looks beyond the resource.
fn links(filters: &[Filter]) -> bool {
    filters.iter().any(|filter| match filter {
        Filter::Linked { .. } | Filter::LinkedBy { .. } => true,
        Filter::Any(filters) | Filter::All(filters) | Filter::Together(filters) => links(filters),
        Filter::Not(filter) => links(std::slice::from_ref(filter)),
        _ => false,
    })
}

/// Whether a filter holds for a resource that isn't written yet; `None`: only the database can tell.
fn holds(filter: &Filter, resource: &Prepared) -> Option<bool> {
    match filter {
        Filter::Exact(param, texts) => {
            let has = |(of, text): &(_, String)| of == param && texts.contains(text);
            Some(resource.keys.exact.iter().any(has))
        }
        Filter::Id(ids) => Some(ids.contains(&resource.id)),
        Filter::Type(types) => Some(types.contains(&resource.resource_type)),
        Filter::Not(filter) => holds(filter, resource).map(|holds| !holds),
        Filter::All(filters) => {
            let each: Vec<_> = filters.iter().map(|filter| holds(filter, resource)).collect();
            if each.contains(&Some(false)) {
                Some(false)
            } else if each.contains(&None) {
                None
            } else {
                Some(true)
            }
        }
        Filter::Any(filters) => {
            let each: Vec<_> = filters.iter().map(|filter| holds(filter, resource)).collect();
            if each.contains(&Some(true)) {
                Some(true)
            } else if each.contains(&None) {
                None
            } else {
                Some(false)
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_the_database_can_tell_may_hold() {
        let resource = Prepared::new("Patient", "a", b"{}".to_vec(), fhir_search::Keys::default()).unwrap();
        let id = |id: &str| Filter::Id(vec![id.to_owned()]);
        let unknown = || Filter::Updated(fhir_search::plan::Range::OPEN);
        for (filter, expected) in [
            (id("a"), Some(true)),
            (id("b"), Some(false)),
            (Filter::All(vec![unknown(), id("a")]), None),
            (Filter::All(vec![unknown(), id("b")]), Some(false)),
            (Filter::Any(vec![unknown(), id("a")]), Some(true)),
            (Filter::Any(vec![unknown(), id("b")]), None),
            (Filter::Not(Box::new(id("b"))), Some(true)),
        ] {
            assert_eq!(holds(&filter, &resource), expected, "{filter:?}");
        }
    }
}

//! One group into one Observation: found by its identifier, created under an id that follows from it, merged with If-Match.

use std::panic::{AssertUnwindSafe, catch_unwind};

use iot_mapping::{Counts, FhirMapping, Group, ObservationError, SYSTEM, Subject};
use jiff::Timestamp;
use serde_json::Value;
use thiserror::Error;

use super::identity::{Identity, carries, hashed_id, token};
use crate::{
    fhir_client::{FhirClient, FhirError, Precondition},
    metrics::{ConnectorMetrics, SavedLabels},
    spool::Written,
};

/// Tries of a write that somebody else's write gets in the way of.
const TRIES: u32 = 3;

/// Why a group isn't an Observation.
#[derive(Debug, Error)]
pub enum SaveError {
    /// The readings can't be one.
    #[error(transparent)]
    Observation(#[from] ObservationError),
    /// An identifier that should be unique isn't.
    #[error("more than one Observation has the identifier `{0}`")]
    MultipleResourcesFound(String),
    /// A panic.
    #[error("these readings can't be worked on because of a defect in this program")]
    Internal,
    /// The FHIR server.
    #[error(transparent)]
    Fhir(#[from] FhirError),
}

impl SaveError {
    /// The error's name, for counting and filtering.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Observation(error) => error.name(),
            Self::MultipleResourcesFound(_) => "MultipleResourcesFound",
            Self::Internal => "Internal",
            Self::Fhir(_) => "FhirServer",
        }
    }
}

/// What happened to an Observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// It is new.
    Created,
    /// It was changed.
    Updated,
    /// It had everything already.
    NoOperation,
}

impl Operation {
    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "ObservationCreated",
            Self::Updated => "ObservationUpdated",
            Self::NoOperation => "NoOperation",
        }
    }
}

/// What became of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// What became of its readings.
    pub counts: Counts,
    /// The Observation that they are in.
    pub written: Written,
}

/// Creates or merges; on a conflict it reads again, three times at most, and only while `may_write` says so: it may have
/// been the one who has the device now.
pub async fn save(
    fhir: &FhirClient,
    mapping: &FhirMapping,
    group: &Group,
    identity: &Identity,
    metrics: &ConnectorMetrics,
    may_write: impl Fn() -> bool,
) -> Result<Saved, SaveError> {
    let encounter = identity.encounter.as_deref();
    let subject = Subject {
        device: &identity.device,
        patient: &identity.patient,
        encounter,
    };
    let mut tries = 0;
    loop {
        tries += 1;
        match attempt(fhir, mapping, group, subject).await {
            Err(SaveError::Fhir(FhirError::Conflict)) => {
                metrics.fhir_resource_contention.inc();
                if tries >= TRIES || !may_write() {
                    return Err(FhirError::Conflict.into());
                }
            }
            Ok((operation, saved)) => {
                metrics
                    .fhir_resource_saved
                    .get_or_create(&SavedLabels {
                        operation: operation.name(),
                    })
                    .inc();
                return Ok(saved);
            }
            Err(error) => return Err(error),
        }
    }
}

async fn attempt(
    fhir: &FhirClient,
    mapping: &FhirMapping,
    group: &Group,
    subject: Subject<'_>,
) -> Result<(Operation, Saved), SaveError> {
    let identifier = group.identifier(subject);
    let Some(existing) = find(fhir, &identifier).await? else {
        let (mut observation, counts) = guarded(|| mapping.create(group, subject, Timestamp::now()))?;
        observation["id"] = hashed_id(SYSTEM, &identifier).into();
        let answer = fhir.put(&observation, Precondition::Absent).await?;
        let id = observation["id"].as_str().unwrap_or_default();
        return Ok(saved(Operation::Created, group, id, answer.version, counts));
    };
    let id = existing["id"].as_str().unwrap_or_default();
    let version = existing["meta"]["versionId"].as_str().unwrap_or_default().to_owned();
    let merged = guarded(|| mapping.merge(&existing, group))?;
    if !merged.changed {
        return Ok(saved(Operation::NoOperation, group, id, Some(version), merged.counts));
    }
    let answer = fhir.put(&merged.observation, Precondition::Version(version)).await?;
    Ok(saved(Operation::Updated, group, id, answer.version, merged.counts))
}

/// A group that finds a defect of ours is a dead letter like any other; the rest goes on.
fn guarded<T>(work: impl FnOnce() -> Result<T, ObservationError>) -> Result<T, SaveError> {
    let done = catch_unwind(AssertUnwindSafe(work)).map_err(|_| SaveError::Internal)?;
    Ok(done?)
}

fn saved(
    operation: Operation,
    group: &Group,
    observation: &str,
    version: Option<String>,
    counts: Counts,
) -> (Operation, Saved) {
    let written = Written {
        template: group.type_name.clone(),
        observation: observation.to_owned(),
        version,
        operation: operation.name().to_owned(),
    };
    (operation, Saved { counts, written })
}

async fn find(fhir: &FhirClient, identifier: &str) -> Result<Option<Value>, SaveError> {
    let token = token(Some(SYSTEM), identifier);
    let found = fhir
        .search("Observation", &[("identifier", &token), ("_count", "5")])
        .await?;
    let mut found = found
        .into_iter()
        .filter(|observation| carries(observation, Some(SYSTEM), identifier));
    let first = found.next();
    if found.next().is_some() {
        return Err(SaveError::MultipleResourcesFound(identifier.to_owned()));
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_defect_costs_its_group_and_nothing_else() {
        assert!(matches!(guarded(|| Ok(1)), Ok(1)));
        let refused = guarded::<()>(|| Err(ObservationError::NotSupported("no".to_owned())));
        assert!(matches!(refused, Err(SaveError::Observation(_))));
        let panicked = guarded::<()>(|| panic!("a defect"));
        assert!(matches!(panicked, Err(SaveError::Internal)));
    }
}

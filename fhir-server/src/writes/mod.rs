//! The only writer: what an interaction wants to change becomes a [`WriteSet`] here: validated, references resolved,
//! index keys extracted, compressed, committed.

mod commit;
pub mod provenance;
mod references;

use std::sync::Arc;

use fhir_definitions::ResourceType;
use fhir_resource::edit::Edits;
use fhir_resource::stored::{self, StoredForm};
use fhir_resource::{Document, Limits, Micros, Node, validation};
use fhir_search::{Filter, Plan, Sight, Sort, Subject};
use fhir_server_settings::HistoryPolicy;
use fhir_storage::{CommitError, Expected, Guard, Kept, Outcome, Prepared, Written};
use http::StatusCode;

pub use commit::{NotCommitted, commit, commit_one, define};
pub use references::{META_HISTORY, Resolved, conditional, criteria, rewrite};

use crate::access::{Action, Principal};
use crate::conformance::profiles;
use crate::http::call::Call;
use crate::http::failure::{Failure, Result};
use crate::interactions::read;
use crate::server::Server;

/// A resource that is ready to be written.
pub struct Ready {
    /// Its type.
    pub of: ResourceType,
    /// Its id.
    pub id: String,
    /// Its stored form, for the answer; shared with what is written.
    pub stored: Arc<[u8]>,
}

impl Ready {
    /// The resource as clients see it in a version.
    pub fn body(&self, version: u32, last_updated: Micros) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.stored.len() + 80);
        stored::render(&self.stored, u64::from(version), last_updated, &mut body);
        body
    }
}

/// Refuses what isn't a resource of the type that the URL names.
fn check(server: &Server, of: ResourceType, resource: Node<'_>) -> Result<()> {
    if resource.text_of("resourceType").is_some_and(|name| name != of.name()) {
        return Err(Failure::invalid(
            "Resource type in the URL must match resourceType in the resource.",
        ));
    }
    let issues = validation::validate(server.definitions, resource);
    if validation::refuses(&issues) {
        Err(Failure::of_issues(&issues))
    } else {
        Ok(())
    }
}

/// Refuses what isn't a valid resource of the type that the URL names; where the caller wants it
/// (`x-ms-profile-validation`) also what breaks an invariant, a binding or a profile.
pub async fn validate(server: &Server, call: &Call<'_>, of: ResourceType, resource: Node<'_>) -> Result<()> {
    check(server, of, resource)?;
    if call.prefer.profiles {
        let document = Document::parse(resource.raw(), Limits::default())?;
        let issues = profiles::issues(server, &call.principal.visible(), document, Vec::new()).await?;
        if validation::refuses(&issues) {
            return Err(Failure::of_issues(&issues));
        }
    }
    Ok(())
}

/// Makes a validated resource ready, if `principal` may write it: stored form, index keys, compression.
pub fn prepare(
    server: &Server,
    (principal, action): (&Principal, Action),
    of: ResourceType,
    id: &str,
    resource: Node<'_>,
    edits: &Edits,
) -> Result<(Ready, Prepared)> {
    let form = StoredForm::of(resource, id, edits).map_err(|error| Failure::invalid(error.to_string()))?;
    let keys = if edits.touches(resource) {
        // Keys are of what is stored, so the new references have to be read.
        let document = stored::parse(form.bytes()).map_err(Failure::from)?;
        server.extractor.keys(of, document.root())
    } else {
        server.extractor.keys(of, resource)
    };
    let written = Subject {
        resource_type: of.name(),
        id,
        updated: None,
        keys: &keys,
    };
    if !principal.access(action).admits(&written) {
        return Err(Failure::forbidden());
    }
    let stored: Arc<[u8]> = form.into_bytes().into();
    let prepared =
        Prepared::new(of.name(), id, Arc::clone(&stored), keys).map_err(|error| Failure::internal(&error))?;
    Ok((
        Ready {
            of,
            id: id.to_owned(),
            stored,
        },
        prepared,
    ))
}

/// Which version an update must find, and whether it may create. `supplied` is the version of an `If-Match`.
///
/// Who sees only a part of a type changes what is seen of it, as it was seen, and gives no ids: an id that is taken by
/// what isn't seen is answered as one that isn't taken.
pub async fn target(
    server: &Server,
    principal: &Principal,
    of: ResourceType,
    id: &str,
    supplied: Option<u32>,
) -> Result<(Expected, bool)> {
    let access = principal.access(Action::Update);
    if access.of(of.name()) == Sight::Everything {
        // who names a version means a resource that is there
        return Ok((expected(server, of, supplied), supplied.is_none()));
    }
    if supplied.is_none() && needs_version(server, of.name()) {
        return Err(version_required(of.name()));
    }
    let current = read::seen(server, &access, of.name(), id).await?;
    let current = current.ok_or_else(|| Failure::not_found(of.name(), id))?;
    match supplied {
        Some(supplied) if supplied != current.version => Err(conflict(server, supplied)),
        _ => Ok((Expected::Version(current.version), false)),
    }
}

/// What becomes of the version before, by the policy of the type and by what the client asks for.
pub fn kept(server: &Server, of: ResourceType, call: &Call<'_>) -> Kept {
    let asks_for_none = || {
        let asked = call.parameter(META_HISTORY);
        asked.is_some_and(|value| value.eq_ignore_ascii_case("false"))
    };
    match server.history.of(of.name()) {
        HistoryPolicy::NoVersion => Kept::Never,
        _ if asks_for_none() => Kept::UnlessOnlyMeta,
        HistoryPolicy::Versioned | HistoryPolicy::VersionUpdate => Kept::Always,
    }
}

/// Which version an update must find; `supplied` is the version of an `If-Match`. Where the policy of the type asks for
/// one, an update without it finds none.
pub fn expected(server: &Server, of: ResourceType, supplied: Option<u32>) -> Expected {
    match supplied {
        Some(version) => Expected::Version(version),
        None if needs_version(server, of.name()) => Expected::None,
        None => Expected::Any,
    }
}

/// Whether updates of a type must name the version that they change.
pub fn needs_version(server: &Server, type_name: &str) -> bool {
    server.history.of(type_name) == HistoryPolicy::VersionUpdate
}

/// 400 for an update that names no version.
pub fn version_required(type_name: &str) -> Failure {
    Failure::invalid(format!(
        "A valid if-match header is required for resource type '{type_name}'."
    ))
}

/// The version that an outcome speaks of.
pub fn written(outcome: &Outcome) -> Option<&Written> {
    match outcome {
        Outcome::Created(written)
        | Outcome::Updated(written)
        | Outcome::Unchanged(written)
        | Outcome::Deleted(written) => Some(written),
        Outcome::Purged | Outcome::AlreadyDeleted => None,
    }
}

/// The refusal that a commit error means; `supplied` is the version of an `If-Match`.
pub fn refusal(server: &Server, error: impl Into<NotCommitted>, supplied: Option<u32>) -> Failure {
    let error = match error.into() {
        NotCommitted::Store(error) => error,
        NotCommitted::Refused(failure) => return failure,
    };
    match error {
        CommitError::Conflict { resource_type, .. } if supplied.is_none() && needs_version(server, &resource_type) => {
            version_required(&resource_type)
        }
        CommitError::Conflict { .. } => conflict(server, supplied.unwrap_or_default()),
        CommitError::NotFound { resource_type, id } => match supplied {
            Some(version) => Failure::version_not_found(&resource_type, &id, &version.to_string()),
            None => Failure::not_found(&resource_type, &id),
        },
        CommitError::IdTaken { resource_type, id } => {
            let text = format!("Resource type '{resource_type}' with id '{id}' already exists.");
            Failure::new(StatusCode::CONFLICT, "conflict", text)
        }
        CommitError::Exists(version) => {
            let text = format!(
                "Resource type '{}' with id '{}' already exists.",
                version.resource_type, version.id
            );
            Failure::new(StatusCode::CONFLICT, "duplicate", text)
        }
        CommitError::NotSelective => not_selective("resources"),
        CommitError::Outdated(_) => Failure::unavailable("The search parameters have changed, try again."),
        CommitError::Busy => Failure::throttled(),
        CommitError::TooMuch => Failure::too_costly(),
        CommitError::Lost(_) => Failure::unavailable("The database can't be reached at the moment."),
        CommitError::Closed => Failure::unavailable("The server is shutting down."),
        error @ (CommitError::Storage(_) | CommitError::Damaged(_) | CommitError::UnknownType(_)) => {
            Failure::internal(&error)
        }
    }
}

fn conflict(server: &Server, supplied: u32) -> Failure {
    let text = format!("The supplied version '{supplied}' did not match.");
    Failure::new(conflict_status(server), "conflict", text)
}

/// STU3 answers 409 where R4 answers 412, as Microsoft's server does.
fn conflict_status(server: &Server) -> StatusCode {
    match server.version {
        fhir_definitions::FhirVersion::R4 => StatusCode::PRECONDITION_FAILED,
        fhir_definitions::FhirVersion::Stu3 => StatusCode::CONFLICT,
    }
}

/// 412 for criteria that match several resources, and for deletes without any.
pub fn not_selective(type_name: &str) -> Failure {
    let text = format!(
        "Conditional operation on {type_name} was not attempted because search criteria was not selective enough."
    );
    Failure::new(StatusCode::PRECONDITION_FAILED, "processing", text)
}

/// 400 for a conditional create or update whose criteria say nothing that can be used.
pub fn no_criteria(type_name: &str) -> Failure {
    Failure {
        status: StatusCode::BAD_REQUEST,
        ..not_selective(type_name)
    }
}

/// A guard that holds while none of the plans finds anything.
pub fn guard(plans: Vec<Plan>) -> Option<Guard> {
    let types = plans.iter().flat_map(|plan| plan.types.iter().cloned()).collect();
    let mut plans = plans.into_iter();
    let (first, second) = (plans.next()?, plans.next());
    let Some(second) = second else {
        return Some(Guard { plan: first });
    };
    let each = [first, second].into_iter().chain(plans).map(|plan| {
        let of_types = Filter::Type(plan.types.into_iter().collect());
        Filter::All(std::iter::once(of_types).chain(plan.filters).collect())
    });
    Some(Guard {
        plan: Plan {
            types,
            filters: vec![Filter::Any(each.collect())],
            sort: Sort::Creation,
        },
    })
}

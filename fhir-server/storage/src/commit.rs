//! What a commit is asked for and what it answers. A set is all or nothing; sets of others may share its fsync, never
//! its fate.

use std::sync::Arc;

use fhir_resource::Micros;
use fhir_search::{Keys, Plan};

use crate::bodies;
use crate::error::CommitError;
use crate::job::NewJob;
use crate::parameters::DefinitionChange;

/// A resource as it will be written: packed and indexed before it reaches the writer.
#[derive(Debug)]
pub struct Prepared {
    pub(crate) resource_type: String,
    pub(crate) id: String,
    pub(crate) stored: Arc<[u8]>,
    pub(crate) packed: Vec<u8>,
    pub(crate) keys: Keys,
    pub(crate) kept: Kept,
}

/// Whether the version before goes into the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kept {
    /// It does.
    #[default]
    Always,
    /// It doesn't where nothing but `meta` changes.
    UnlessOnlyMeta,
    /// It doesn't.
    Never,
}

impl Prepared {
    /// `stored` is the stored form's bytes, which may be shared. Packs them here, on the caller's thread.
    pub fn new(resource_type: &str, id: &str, stored: impl Into<Arc<[u8]>>, keys: Keys) -> std::io::Result<Self> {
        let stored = stored.into();
        let packed = bodies::pack(&stored)?;
        Ok(Self {
            resource_type: resource_type.to_owned(),
            id: id.to_owned(),
            stored,
            packed,
            keys,
            kept: Kept::Always,
        })
    }

    /// The same with another rule for the version before.
    #[must_use]
    pub fn keeping(self, kept: Kept) -> Self {
        Self { kept, ..self }
    }

    /// `Patient` and so on.
    pub fn resource_type(&self) -> &str {
        &self.resource_type
    }

    /// Logical id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The stored form.
    pub fn stored(&self) -> &[u8] {
        &self.stored
    }

    /// Gives it the keys of another generation.
    pub fn index(&mut self, keys: Keys) {
        self.keys = keys;
    }
}

/// Which version must be current.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Whichever is.
    Any,
    /// This one (If-Match).
    Version(u32),
    /// The last one is this, be it a deletion; none: there never was one.
    Last(Option<u32>),
    /// There is none (any more).
    None,
}

/// The last version of a resource.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Last {
    pub version: u32,
    /// It isn't a deletion.
    pub is_live: bool,
}

impl Expected {
    /// Whether it is the expected version.
    pub(crate) fn prove(self, last: Option<Last>, resource_type: &str, id: &str) -> Result<(), CommitError> {
        let live = last.filter(|last| last.is_live).map(|last| last.version);
        let holds = match self {
            Self::Any => true,
            Self::Version(version) => live == Some(version),
            Self::None => live.is_none(),
            Self::Last(version) => last.map(|last| last.version) == version,
        };
        if holds {
            return Ok(());
        }
        Err(CommitError::Conflict {
            resource_type: resource_type.to_owned(),
            id: id.to_owned(),
            current: live,
        })
    }
}

/// One change of one resource.
#[derive(Debug)]
pub enum Change {
    /// A resource under a new id.
    Create {
        /// The resource.
        resource: Prepared,
    },
    /// A resource under its id; without effect where the stored form is the same.
    Update {
        /// The resource.
        resource: Prepared,
        /// Which version must be current.
        expected: Expected,
        /// Whether it is created where it doesn't exist.
        may_create: bool,
    },
    /// The id answers with 410 from then on.
    Delete {
        /// `Patient` and so on.
        resource_type: String,
        /// Logical id.
        id: String,
        /// Which version must be current.
        expected: Expected,
        /// Removes every version and all traces: the id answers with 404 from then on.
        hard: bool,
        /// Whether the version before goes into the history.
        kept: Kept,
    },
    /// The current version stays, the superseded ones go.
    PurgeHistory {
        /// `Patient` and so on.
        resource_type: String,
        /// Logical id.
        id: String,
        /// Which version must be current.
        expected: Expected,
    },
}

impl Change {
    /// The resource that is written.
    pub fn resource(&self) -> Option<&Prepared> {
        match self {
            Self::Create { resource } | Self::Update { resource, .. } => Some(resource),
            Self::Delete { .. } | Self::PurgeHistory { .. } => None,
        }
    }

    /// The resource that is written, to be indexed again.
    pub fn resource_mut(&mut self) -> Option<&mut Prepared> {
        match self {
            Self::Create { resource } | Self::Update { resource, .. } => Some(resource),
            Self::Delete { .. } | Self::PurgeHistory { .. } => None,
        }
    }
}

/// A condition of the set, decided on the writer: nothing may match this plan.
#[derive(Debug)]
pub struct Guard {
    /// The criteria.
    pub plan: Plan,
}

/// Changes that happen together or not at all.
#[derive(Debug, Default)]
pub struct WriteSet {
    /// Decided first.
    pub guard: Option<Guard>,
    /// In this order.
    pub changes: Vec<Change>,
    /// What becomes of search parameters.
    pub definitions: Option<DefinitionChange>,
    /// Work that follows from it.
    pub jobs: Vec<NewJob>,
}

impl WriteSet {
    /// Whether it was prepared for another generation of search parameters than this one.
    pub(crate) fn is_outdated(&self, generation: u64) -> bool {
        let mut written = self.changes.iter().filter_map(Change::resource);
        let decided = self.definitions.as_ref().map(|change| change.generation);
        written.any(|resource| resource.keys.generation != generation) || decided.is_some_and(|own| own != generation)
    }
}

/// The version that a change left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Its number.
    pub version: u32,
    /// Its time.
    pub last_updated: Micros,
}

/// What a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There was no such resource (any more).
    Created(Written),
    /// A new version.
    Updated(Written),
    /// The resource was like that: its version stays.
    Unchanged(Written),
    /// It is deleted now.
    Deleted(Written),
    /// Every version is gone, or every superseded one.
    Purged,
    /// There was nothing to delete.
    AlreadyDeleted,
}

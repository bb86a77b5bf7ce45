//! One version of a resource, as it is served.

use fhir_resource::Micros;

/// What made a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The first one, or the first after a deletion.
    Created,
    /// A change.
    Updated,
    /// A deletion: there is no body.
    Deleted,
}

/// Added to the number of a version whose predecessor isn't in the history.
pub(crate) const NOT_KEPT: i64 = 16;

impl Kind {
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::Created => 0,
            Self::Updated => 1,
            Self::Deleted => 2,
        }
    }

    pub(crate) fn of(number: i64) -> Self {
        match number & !NOT_KEPT {
            0 => Self::Created,
            1 => Self::Updated,
            _ => Self::Deleted,
        }
    }
}

/// One version of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// `Patient` and so on.
    pub resource_type: String,
    /// Logical id.
    pub id: String,
    /// 1 is the first.
    pub version: u32,
    /// When it was committed: unique within the service.
    pub last_updated: Micros,
    /// What made it.
    pub kind: Kind,
    /// JSON with `meta.versionId` and `meta.lastUpdated`; empty where deleted.
    pub body: Vec<u8>,
}

impl Version {
    /// Whether it is a resource, not the trace of one.
    pub fn is_live(&self) -> bool {
        self.kind != Kind::Deleted
    }
}

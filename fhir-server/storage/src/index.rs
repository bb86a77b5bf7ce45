//! Index rows that are made after their resource was written.

use fhir_resource::Micros;
use fhir_search::Keys;

/// A live resource, as a scan by pk finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// Its place in the order of creation.
    pub pk: i64,
    /// Logical id.
    pub id: String,
    /// Its current version.
    pub version: u32,
    /// When it was written.
    pub last_updated: Micros,
    /// The stored form.
    pub stored: Vec<u8>,
}

/// The keys of a resource in a version.
#[derive(Debug, Clone)]
pub struct Filling {
    /// Its place in the order of creation.
    pub pk: i64,
    /// A later version has its rows already.
    pub version: u32,
    /// All of its keys.
    pub keys: Keys,
}

//! The FHIR versions that are served.

use std::fmt;
use std::str::FromStr;

use crate::Definitions;

/// A FHIR version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FhirVersion {
    /// FHIR R4, release 4.0.1.
    R4,
    /// FHIR STU3, release 3.0.2.
    Stu3,
}

impl FhirVersion {
    /// The release, as `CapabilityStatement.fhirVersion` says it.
    pub fn release(self) -> &'static str {
        match self {
            FhirVersion::R4 => "4.0.1",
            FhirVersion::Stu3 => "3.0.2",
        }
    }

    /// Its definitions.
    pub fn definitions(self) -> &'static Definitions {
        Definitions::of(self)
    }
}

impl fmt::Display for FhirVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            FhirVersion::R4 => "R4",
            FhirVersion::Stu3 => "STU3",
        })
    }
}

/// Neither `R4` nor `STU3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownVersion;

impl fmt::Display for UnknownVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("unknown FHIR version, use `R4` or `STU3`")
    }
}

impl std::error::Error for UnknownVersion {}

impl FromStr for FhirVersion {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        match text {
            "R4" => Ok(FhirVersion::R4),
            "STU3" => Ok(FhirVersion::Stu3),
            _ => Err(UnknownVersion),
        }
    }
}

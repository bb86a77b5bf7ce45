//! One FHIR resource: bytes, paths, validation

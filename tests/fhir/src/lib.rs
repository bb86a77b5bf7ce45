//! Plays FHIR conformance cases against any server

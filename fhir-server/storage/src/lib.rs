//! Plans and keys to SQL: the storage of one FHIR service

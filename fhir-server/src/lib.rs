//! Serves the FHIR REST API of one FhirService, R4 or STU3

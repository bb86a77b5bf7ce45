//! Device and FHIR mappings: templates, normalisation, grouping, Observations

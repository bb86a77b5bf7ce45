//! FHIR R4 and STU3 as tables: types, elements, search parameters, compartments

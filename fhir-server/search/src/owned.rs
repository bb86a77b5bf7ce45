//! What is kept together with a resource's owner, so that "of this patient, and …" is one range of an index.
//!
//! Decided by the definitions alone, for each type that is about somebody: a member of the Patient compartment with a
//! parameter `patient` or `subject`.

use fhir_definitions::{Definitions, ParamKind, ResourceType, SearchParameter};
use fhir_resource::path::Program;

use crate::key::ParamId;
use crate::shared;

/// Whose compartment it is about.
const OWNER: &str = "Patient";
/// The parameters that name an owner, as clients call them.
const PATIENT: &str = "patient";
const SUBJECT: &str = "subject";

/// The parameters of a type that name its owner, and those that are asked for with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owned {
    /// Membership of the compartment.
    pub members: ParamId,
    /// `patient`
    pub patient: Option<ParamId>,
    /// `subject`
    pub subject: Option<ParamId>,
    /// When it happened: the date whose element comes first in the type.
    pub date: Option<ParamId>,
    /// What it is: `code`, else `type`, else the `…-code` whose element comes first.
    pub code: Option<ParamId>,
}

impl Owned {
    /// What a type has; `None`: it isn't about anybody, or there is nothing to be asked for.
    pub fn of(definitions: &'static Definitions, of: ResourceType) -> Option<Self> {
        let (index, compartment) = (0..)
            .zip(definitions.compartments())
            .find(|(_, compartment)| compartment.name() == OWNER)?;
        if !compartment.contains(of) || of.name() == OWNER {
            return None;
        }
        let own = |kind| {
            let own = definitions.search_parameters(of);
            own.filter(move |parameter| parameter.kind() == kind && parameter.base() == of.name())
        };
        let named = |kind, code| own(kind).find(|parameter| parameter.code() == code).and_then(rows_of);
        let patient = named(ParamKind::Reference, PATIENT);
        let subject = named(ParamKind::Reference, SUBJECT);
        if patient.is_none() && subject.is_none() {
            return None;
        }
        let date = own(ParamKind::Date).min_by_key(|parameter| place(definitions, of, *parameter));
        let coded = || {
            let coded = own(ParamKind::Token).filter(|parameter| parameter.code().ends_with("-code"));
            coded.min_by_key(|parameter| place(definitions, of, *parameter))
        };
        let code = named(ParamKind::Token, "code")
            .or_else(|| named(ParamKind::Token, "type"))
            .or_else(|| coded().and_then(rows_of));
        let owned = Self {
            members: ParamId::of_compartment(index),
            patient,
            subject,
            date: date.and_then(rows_of),
            code,
        };
        (owned.date.is_some() || owned.code.is_some()).then_some(owned)
    }
}

/// Where all rows of a parameter are.
fn rows_of(parameter: SearchParameter) -> Option<ParamId> {
    match shared::rows(parameter)[..] {
        [one] => Some(one),
        _ => None,
    }
}

/// Where in the type the first element is that a parameter begins at.
fn place(definitions: &'static Definitions, of: ResourceType, parameter: SearchParameter) -> usize {
    let program = Program::compile(parameter.expression(), definitions, of.name()).ok();
    let names = program.as_ref().and_then(Program::entry_members).unwrap_or_default();
    let mut elements = of.structure().elements();
    elements
        .position(|element| names.contains(&element.name()))
        .unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use fhir_definitions::FhirVersion;
    use rstest::rstest;

    use super::*;

    /// `date, code` of a type, as clients call them.
    fn of(version: FhirVersion, of: &str) -> Option<String> {
        let definitions = Definitions::of(version);
        let owned = Owned::of(definitions, definitions.resource_type(of)?)?;
        let code = |param: Option<ParamId>| {
            let mut all = definitions.all_search_parameters();
            let found = param.and_then(|param| all.find(|parameter| ParamId::of(*parameter) == param));
            found.map_or("-", SearchParameter::code)
        };
        Some(format!("{}, {}", code(owned.date), code(owned.code)))
    }

    #[rstest]
    #[case("Observation", "date, code")]
    #[case("Condition", "onset-date, code")]
    #[case("Encounter", "date, type")]
    #[case("MedicationRequest", "authoredon, code")]
    #[case("MedicationStatement", "effective, code")]
    #[case("DiagnosticReport", "date, code")]
    #[case("Procedure", "date, code")]
    #[case("AllergyIntolerance", "date, code")]
    #[case("Immunization", "date, vaccine-code")]
    #[case("ExplanationOfBenefit", "created, -")]
    fn dates_and_codes_are_those_that_a_type_is_about(#[case] name: &str, #[case] expected: &str) {
        for version in [FhirVersion::R4, FhirVersion::Stu3] {
            assert_eq!(of(version, name).as_deref(), Some(expected), "{version}");
        }
    }

    #[rstest]
    #[case::the_owner("Patient")]
    #[case::about_many("Group")]
    #[case::about_nobody("Organization")]
    fn others_are_not_kept_with_an_owner(#[case] name: &str) {
        assert_eq!(of(FhirVersion::R4, name), None);
    }
}

//! Whose resources a scope is about.

use bearer::Claims;
use fhir_definitions::FhirVersion;
use fhir_resource::reference;
use fhir_search::Compartment;

use crate::http::failure::{Failure, Result};

/// Claims that name the user; Azure AD B2C puts its own prefix before the name.
const USER_CLAIMS: [&str; 2] = ["fhirUser", "extension_fhirUser"];
/// The claim that names the patient whom an app was launched for.
const PATIENT_CLAIM: &str = "patient";

/// The first part of a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// One patient: whom the app was launched for, or else the user.
    Patient,
    /// The user.
    User,
    /// Nobody in particular.
    System,
}

impl Context {
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "patient" => Some(Self::Patient),
            "user" => Some(Self::User),
            "system" => Some(Self::System),
            _ => None,
        }
    }

    /// The compartment that it keeps the caller to: with what is shared, and without it.
    pub fn compartment(self, claims: &Claims, version: FhirVersion) -> Result<Option<(Compartment, Compartment)>> {
        let (owner, id) = match self {
            Self::System => return Ok(None),
            Self::User => user(claims, version)?,
            Self::Patient => match claims.text(PATIENT_CLAIM) {
                Some(id) if reference::is_id(id) => ("Patient", id.to_owned()),
                Some(_) => return Err(Failure::invalid("The claim `patient` of the token must be an id.")),
                None => match user(claims, version)? {
                    (owner @ "Patient", id) => (owner, id),
                    _ => {
                        let text = "Scopes of the context `patient` need a token with the claim `patient`, or with a \
                                    patient in `fhirUser`.";
                        return Err(Failure::invalid(text));
                    }
                },
            },
        };
        let of_owner = |shared| Compartment::of_owner(version, owner, &id, shared);
        let both = of_owner(true).zip(of_owner(false)).ok_or_else(no_compartment)?;
        Ok(Some(both))
    }
}

fn user(claims: &Claims, version: FhirVersion) -> Result<(&'static str, String)> {
    let user = USER_CLAIMS.iter().find_map(|name| claims.text(name));
    let user = user.ok_or_else(|| {
        Failure::invalid("Scopes of the contexts `patient` and `user` need a token with the claim `fhirUser`.")
    })?;
    // relative, or as a URL of this or of another base: only the last two parts say who it is
    let mut parts = user.trim_end_matches('/').rsplit('/');
    let (id, of) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let of = version
        .definitions()
        .resource_type(of)
        .map(fhir_definitions::ResourceType::name);
    match of {
        Some(of @ ("Patient" | "Practitioner" | "RelatedPerson" | "Device")) if reference::is_id(id) => {
            Ok((of, id.to_owned()))
        }
        Some("Person") => Err(no_compartment()),
        _ => Err(Failure::invalid(
            "The claim `fhirUser` of the token must be `Type/id` or a URL that ends so.",
        )),
    }
}

fn no_compartment() -> Failure {
    Failure::invalid(
        "The claim `fhirUser` of the token must name a Patient, a Practitioner, a RelatedPerson or a Device.",
    )
}

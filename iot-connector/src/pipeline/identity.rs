//! Which Device, Patient and Encounter a measurement belongs to: Lookup, `LookupWithEncounter`, Create.
//!
//! As iomt-fhir does it, but for two points: what was found is trusted for seconds only, so that a device that was linked
//! to another patient is seen at the next message; and in Create mode a message that names another patient than its
//! device's never reaches that patient's record.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use iot_connector_settings::{Compatibility, IdentityResolution, Settings};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::fhir_client::{FhirClient, FhirError, Precondition};

/// What a measurement says about whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Names {
    /// The device's identifier.
    pub device: String,
    /// The patient's identifier.
    pub patient: Option<String>,
    /// The encounter's identifier.
    pub encounter: Option<String>,
}

/// FHIR logical ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Of the Device.
    pub device: String,
    /// Of the Patient.
    pub patient: String,
    /// Of the Encounter.
    pub encounter: Option<String>,
}

/// Why there is no identity.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// No Device has the identifier.
    #[error("no Device has the identifier `{0}`")]
    DeviceNotFound(String),
    /// The Device isn't linked to a Patient.
    #[error("the Device with the identifier `{0}` is linked to no Patient")]
    PatientNotFound(String),
    /// No Encounter has the identifier.
    #[error("no Encounter has the identifier `{0}`")]
    EncounterNotFound(String),
    /// `LookupWithEncounter` needs an encounter in every message.
    #[error("the message names no encounter; set `encounterIdExpression` in the device mapping")]
    EncounterIdentityNotDefined,
    /// Create needs a patient for a new device.
    #[error("the message names no patient; set `patientIdExpression` in the device mapping")]
    PatientIdentityNotDefined,
    /// The Device belongs to somebody else.
    #[error("the Device with the identifier `{device}` is linked to another patient than `{patient}`")]
    PatientDeviceMismatch {
        /// Identifier of the device.
        device: String,
        /// Identifier in the message.
        patient: String,
    },
    /// The Encounter belongs to somebody else.
    #[error("the Encounter with the identifier `{0}` is of another patient than the Device")]
    PatientEncounterMismatch(String),
    /// An identifier that should be unique isn't.
    #[error("more than one {kind} has the identifier `{identifier}`")]
    MultipleResourcesFound {
        /// The resource type.
        kind: &'static str,
        /// The identifier.
        identifier: String,
    },
    /// The FHIR server.
    #[error(transparent)]
    Fhir(#[from] FhirError),
}

impl IdentityError {
    /// The error's name, for counting and filtering.
    pub fn name(&self) -> &'static str {
        match self {
            Self::DeviceNotFound(_) => "DeviceNotFound",
            Self::PatientNotFound(_) => "PatientNotFound",
            Self::EncounterNotFound(_) => "EncounterNotFound",
            Self::EncounterIdentityNotDefined => "EncounterIdentityNotDefined",
            Self::PatientIdentityNotDefined => "PatientIdentityNotDefined",
            Self::PatientDeviceMismatch { .. } => "PatientDeviceMismatch",
            Self::PatientEncounterMismatch(_) => "PatientEncounterMismatch",
            Self::MultipleResourcesFound { .. } => "MultipleResourcesFound",
            Self::Fhir(_) => "FhirServer",
        }
    }
}

/// Tries of a write that somebody else's write gets in the way of.
const TRIES: u32 = 3;
/// Names that are remembered before old ones are looked for and forgotten.
const REMEMBERED: usize = 20_000;
/// What was found is trusted for so long.
const TRUST: Duration = Duration::from_secs(1);

/// Finds identities, one way for the life of a connector.
pub struct Identities {
    mode: IdentityResolution,
    compatibility: Compatibility,
    device_system: Option<String>,
    patient_system: Option<String>,
    found: Mutex<HashMap<Names, Arc<Found>>>,
}

/// What was found for some names, and when; held while it is looked for, so that nobody else looks for the same.
type Found = tokio::sync::Mutex<Option<(Instant, Identity)>>;

impl Identities {
    /// As the settings say.
    pub fn new(settings: &Settings) -> Self {
        Self {
            mode: settings.identity_resolution,
            compatibility: settings.compatibility,
            device_system: settings
                .device_identifier_system
                .clone()
                .filter(|system| !system.is_empty()),
            patient_system: settings
                .patient_identifier_system
                .clone()
                .filter(|system| !system.is_empty()),
            found: Mutex::default(),
        }
    }

    /// Finds (or makes) what the names stand for; whoever asks for the same at the same time gets the same answer.
    pub async fn resolve(&self, fhir: &FhirClient, names: &Names) -> Result<Identity, IdentityError> {
        let found = self.found(names);
        let mut found = found.lock().await;
        if let Some((_, identity)) = found.as_ref().filter(|(when, _)| when.elapsed() < TRUST) {
            return Ok(identity.clone());
        }
        *found = None;
        let mut tries = 0;
        let identity = loop {
            tries += 1;
            match self.find(fhir, names).await {
                // Somebody made or changed the same resource: it is there now.
                Err(IdentityError::Fhir(FhirError::Conflict)) if tries < TRIES => {}
                other => break other?,
            }
        };
        *found = Some((Instant::now(), identity.clone()));
        Ok(identity)
    }

    /// Forgets what these names stood for.
    pub fn forget(&self, names: &Names) {
        self.places().remove(names);
    }

    fn found(&self, names: &Names) -> Arc<Found> {
        let mut places = self.places();
        if places.len() >= REMEMBERED {
            // what is held by nobody and old; what is being looked for stays
            places.retain(|_, found| {
                Arc::strong_count(found) > 1
                    || found
                        .try_lock()
                        .is_ok_and(|found| found.as_ref().is_some_and(|(when, _)| when.elapsed() < TRUST))
            });
        }
        places.entry(names.clone()).or_default().clone()
    }

    fn places(&self) -> MutexGuard<'_, HashMap<Names, Arc<Found>>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn find(&self, fhir: &FhirClient, names: &Names) -> Result<Identity, IdentityError> {
        let encounter = blank_is_none(names.encounter.as_deref());
        if self.mode == IdentityResolution::LookupWithEncounter && encounter.is_none() {
            return Err(IdentityError::EncounterIdentityNotDefined);
        }
        let identity = match (self.lookup(fhir, names).await, self.mode) {
            (Err(IdentityError::DeviceNotFound(_) | IdentityError::PatientNotFound(_)), IdentityResolution::Create) => {
                self.create(fhir, names).await?
            }
            (Ok(identity), IdentityResolution::Create) => {
                self.refuse_other_patient(fhir, names, &identity).await?;
                identity
            }
            (other, _) => other?,
        };
        let encounter = match encounter {
            Some(identifier) => Some(self.find_encounter(fhir, identifier, &identity.patient).await?),
            None => None,
        };
        Ok(Identity { encounter, ..identity })
    }

    async fn lookup(&self, fhir: &FhirClient, names: &Names) -> Result<Identity, IdentityError> {
        let device = find_one(fhir, "Device", self.device_system.as_deref(), &names.device).await?;
        let device = device.ok_or_else(|| IdentityError::DeviceNotFound(names.device.clone()))?;
        let patient = patient_of(&device).ok_or_else(|| IdentityError::PatientNotFound(names.device.clone()))?;
        Ok(Identity {
            device: id_of(&device),
            patient: patient.to_owned(),
            encounter: None,
        })
    }

    /// Makes what is missing of Patient, Device and their link.
    async fn create(&self, fhir: &FhirClient, names: &Names) -> Result<Identity, IdentityError> {
        let Some(patient_name) = blank_is_none(names.patient.as_deref()) else {
            return Err(IdentityError::PatientIdentityNotDefined);
        };
        let (patient_system, device_system) = (self.patient_system.as_deref(), self.device_system.as_deref());
        let patient = find_one(fhir, "Patient", patient_system, patient_name).await?;
        let device = find_one(fhir, "Device", device_system, &names.device).await?;
        if let Some(device) = device.as_ref().filter(|device| !device["patient"].is_null()) {
            // Nothing is made for a device that is somebody else's, whichever way that is said.
            let patient = patient.as_ref().map(id_of);
            return match patient.filter(|patient| patient_of(device) == Some(patient)) {
                Some(patient) => Ok(Identity {
                    device: id_of(device),
                    patient,
                    encounter: None,
                }),
                None => Err(mismatch(names, patient_name)),
            };
        }
        let patient = match patient {
            Some(patient) => id_of(&patient),
            None => {
                let id = hashed_id(patient_system.unwrap_or_default(), patient_name);
                let patient = json!({
                    "resourceType": "Patient", "id": id, "identifier": [identifier(patient_system, patient_name)]
                });
                fhir.put(&patient, Precondition::Absent).await?;
                id
            }
        };
        let device = match device {
            None => {
                let id = hashed_id(device_system.unwrap_or_default(), &names.device);
                let device = json!({
                    "resourceType": "Device", "id": id, "identifier": [identifier(device_system, &names.device)],
                    "patient": {"reference": format!("Patient/{patient}")}
                });
                fhir.put(&device, Precondition::Absent).await?;
                id
            }
            Some(device) => link(fhir, device, &patient).await?,
        };
        Ok(Identity {
            device,
            patient,
            encounter: None,
        })
    }

    /// The Encounter, which is of nobody else than the patient.
    async fn find_encounter(
        &self,
        fhir: &FhirClient,
        identifier: &str,
        patient: &str,
    ) -> Result<String, IdentityError> {
        let encounter = find_one(fhir, "Encounter", None, identifier).await?;
        let encounter = encounter.ok_or_else(|| IdentityError::EncounterNotFound(identifier.to_owned()))?;
        let subject = encounter["subject"]["reference"].as_str();
        let other = subject
            .and_then(|subject| logical_id(subject, "Patient"))
            .is_some_and(|subject| subject != patient);
        if other && self.compatibility == Compatibility::Standard {
            return Err(IdentityError::PatientEncounterMismatch(identifier.to_owned()));
        }
        Ok(id_of(&encounter))
    }

    async fn refuse_other_patient(
        &self,
        fhir: &FhirClient,
        names: &Names,
        identity: &Identity,
    ) -> Result<(), IdentityError> {
        let named = blank_is_none(names.patient.as_deref());
        let (Some(name), Compatibility::Standard) = (named, self.compatibility) else {
            return Ok(());
        };
        let patient = find_one(fhir, "Patient", self.patient_system.as_deref(), name).await?;
        if patient.as_ref().map(id_of).as_ref() == Some(&identity.patient) {
            return Ok(());
        }
        Err(mismatch(names, name))
    }
}

/// The id that a resource with this identifier gets: the same wherever and whenever it is made, so that two writers make
/// one resource. iomt-fhir: lower-case hex SHA-256 of `SYSTEM_VALUE`.
pub fn hashed_id(system: &str, value: &str) -> String {
    Sha256::digest(format!("{system}_{value}"))
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
            text
        })
}

/// A token parameter that finds exactly this identifier (FHIR R4, section 3.1.1.5.4.1: escapes).
pub fn token(system: Option<&str>, value: &str) -> String {
    let escape = |text: &str| {
        text.chars()
            .fold(String::with_capacity(text.len()), |mut escaped, character| {
                if matches!(character, '\\' | ',' | '|' | '$') {
                    escaped.push('\\');
                }
                escaped.push(character);
                escaped
            })
    };
    match system {
        Some(system) => format!("{}|{}", escape(system), escape(value)),
        None => escape(value),
    }
}

/// Whether a resource carries the identifier, letter by letter: servers may match more loosely.
pub fn carries(resource: &Value, system: Option<&str>, value: &str) -> bool {
    let identifiers = resource["identifier"].as_array().map_or(&[][..], Vec::as_slice);
    identifiers
        .iter()
        .any(|identifier| identifier["value"] == value && system.is_none_or(|system| identifier["system"] == system))
}

async fn find_one(
    fhir: &FhirClient,
    kind: &'static str,
    system: Option<&str>,
    value: &str,
) -> Result<Option<Value>, IdentityError> {
    let found = fhir
        .search(kind, &[("identifier", &token(system, value)), ("_count", "5")])
        .await?;
    let mut found = found.into_iter().filter(|resource| carries(resource, system, value));
    let first = found.next();
    if found.next().is_some() {
        return Err(IdentityError::MultipleResourcesFound {
            kind,
            identifier: value.to_owned(),
        });
    }
    Ok(first)
}

async fn link(fhir: &FhirClient, mut device: Value, patient: &str) -> Result<String, IdentityError> {
    device["patient"] = json!({"reference": format!("Patient/{patient}")});
    let version = device["meta"]["versionId"].as_str().unwrap_or_default().to_owned();
    fhir.put(&device, Precondition::Version(version)).await?;
    Ok(id_of(&device))
}

fn identifier(system: Option<&str>, value: &str) -> Value {
    match system {
        Some(system) => json!({"system": system, "value": value}),
        None => json!({"value": value}),
    }
}

fn id_of(resource: &Value) -> String {
    resource["id"].as_str().unwrap_or_default().to_owned()
}

/// The logical id in `Device.patient`, where it is a relative reference to a Patient.
fn patient_of(device: &Value) -> Option<&str> {
    logical_id(device["patient"]["reference"].as_str()?, "Patient")
}

/// The id of a relative reference `KIND/ID`; other forms name no resource of this server.
pub fn logical_id<'r>(reference: &'r str, kind: &str) -> Option<&'r str> {
    let id = reference.strip_prefix(kind)?.strip_prefix('/')?;
    let valid = |character: char| character.is_ascii_alphanumeric() || "_.-~#".contains(character);
    (!id.is_empty() && id.chars().all(valid)).then_some(id)
}

fn blank_is_none(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.trim().is_empty())
}

fn mismatch(names: &Names, patient: &str) -> IdentityError {
    IdentityError::PatientDeviceMismatch {
        device: names.device.clone(),
        patient: patient.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_iomt_fhir() {
        // printf '%s' _a | sha256sum
        assert_eq!(
            hashed_id("", "a"),
            "34fb716034edaa881d9e64134f6c40f245d7b187d221ec6c63670c428a024f09"
        );
    }

    #[test]
    fn a_token_is_escaped() {
        assert_eq!(token(Some("urn:s"), "a|b,c$d\\e"), "urn:s|a\\|b\\,c\\$d\\\\e");
        assert_eq!(token(None, "plain"), "plain");
    }
}

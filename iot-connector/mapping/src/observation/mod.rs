//! From groups to Observations: create and merge.

mod known;
mod merge;
mod sampled_data;
mod state;
mod values;

use jiff::Timestamp;
use serde_json::{Value, json};
use thiserror::Error;

pub(crate) use sampled_data::{MOST_SLOTS, slots};
pub use sampled_data::{SampledDataError, build as build_sampled_data, parse as parse_sampled_data};
pub use values::decimal;

use crate::{
    fhir::{Concept, FhirMapping, FhirTemplate, codings},
    grouping::{Counts, Group},
    template::Compatibility,
};

/// The system of the identifier and of our codings: iomt-fhir's, so that migrated Observations go on.
pub const SYSTEM: &str = "https://azure.microsoft.com/en-us/services/iomt-fhir-connector/";

/// FHIR logical ids that an Observation refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject<'a> {
    /// Of the Device.
    pub device: &'a str,
    /// Of the Patient.
    pub patient: &'a str,
    /// Of the Encounter.
    pub encounter: Option<&'a str>,
}

/// An Observation after a merge.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// The whole resource.
    pub observation: Value,
    /// Whether it differs from the one before.
    pub changed: bool,
    /// What became of the readings.
    pub counts: Counts,
}

/// Why readings can't be an Observation.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ObservationError {
    /// No FHIR template.
    #[error("the FHIR mapping has no template for type `{0}`")]
    TemplateNotFound(String),
    /// Not one number.
    #[error("value `{name}` can't be a Quantity: {reason}")]
    InvalidQuantityFhirValue {
        /// The value's name.
        name: String,
        /// Why.
        reason: String,
    },
    /// What is there can't be merged with.
    #[error("{0}")]
    NotSupported(String),
}

impl ObservationError {
    /// The error's name, for counting and filtering.
    pub fn name(&self) -> &'static str {
        match self {
            Self::TemplateNotFound(_) => "TemplateNotFound",
            Self::InvalidQuantityFhirValue { .. } => "InvalidQuantityFhirValue",
            Self::NotSupported(_) => "NotSupported",
        }
    }
}

impl Group {
    /// The value of the Observation's identifier (its system is [`SYSTEM`]).
    pub fn identifier(&self, subject: Subject<'_>) -> String {
        format!(
            "{}.{}.{}.{}",
            subject.patient, subject.device, self.type_name, self.segment
        )
    }
}

impl FhirMapping {
    /// Makes a new Observation, without id.
    pub fn create(
        &self,
        group: &Group,
        subject: Subject<'_>,
        issued: Timestamp,
    ) -> Result<(Value, Counts), ObservationError> {
        let template = self.template_of(group)?;
        let (mut observation, counts) = template.create(group, issued, self.compatibility)?;
        observation["identifier"] = json!([{"system": SYSTEM, "value": group.identifier(subject)}]);
        observation["subject"] = json!({"reference": format!("Patient/{}", subject.patient)});
        observation["device"] = json!({"reference": format!("Device/{}", subject.device)});
        if let Some(encounter) = subject.encounter {
            observation["encounter"] = json!({"reference": format!("Encounter/{encounter}")});
        }
        Ok((observation, counts))
    }

    /// Merges readings into an Observation that is there.
    pub fn merge(&self, existing: &Value, group: &Group) -> Result<Merged, ObservationError> {
        self.template_of(group)?.merge(existing, group, self.compatibility)
    }

    fn template_of(&self, group: &Group) -> Result<&FhirTemplate, ObservationError> {
        let missing = || ObservationError::TemplateNotFound(group.type_name.clone());
        self.template(&group.type_name).map(AsRef::as_ref).ok_or_else(missing)
    }
}

impl FhirTemplate {
    /// An Observation of a group alone: without id, identifier and references.
    pub fn create(
        &self,
        group: &Group,
        issued: Timestamp,
        compatibility: Compatibility,
    ) -> Result<(Value, Counts), ObservationError> {
        let mut observation = json!({"resourceType": "Observation", "status": "final"});
        if let Some(category) = self.category() {
            observation["category"] = category;
        }
        let mut coding = codings(&self.codes);
        let name = &group.type_name;
        coding.push(json!({"system": SYSTEM, "code": name, "display": name}));
        observation["code"] = json!({"coding": coding, "text": name});
        observation["effectivePeriod"] = json!({"start": group.start.to_string(), "end": group.end.to_string()});
        // FHIR instants of a second ago are no worse, and a replay is easier to compare.
        let issued = Timestamp::from_second(issued.as_second()).unwrap_or(issued);
        observation["issued"] = issued.to_string().into();
        let mut target = values::Target {
            template: self,
            group,
            compatibility,
            counts: self.left_out(group),
            before: None,
        };
        target.create_values(&mut observation)?;
        Ok((observation, target.counts))
    }

    /// `Observation.category`, without concepts that say nothing; FHIR has no empty objects.
    pub(crate) fn category(&self) -> Option<Value> {
        let concepts = self.category.iter().filter(|concept| !concept.is_empty());
        let concepts: Vec<Value> = concepts.map(Concept::to_fhir).collect();
        (!concepts.is_empty()).then(|| concepts.into())
    }

    /// Readings that have no place in this template, and those that gave way before.
    fn left_out(&self, group: &Group) -> Counts {
        let known = |name: &str| self.values().any(|mapping| mapping.name == name);
        let omitted = group
            .values
            .iter()
            .filter(|(name, _)| !known(name))
            .map(|(_, readings)| readings.len() as u64);
        Counts {
            omitted: omitted.sum(),
            superseded: group.superseded,
            ..Counts::default()
        }
    }
}

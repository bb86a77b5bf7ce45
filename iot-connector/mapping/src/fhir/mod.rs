//! FHIR mappings: which Observation a type of measurement becomes.

mod load;

use std::{collections::HashMap, sync::Arc};

use serde_json::{Value, json};

use crate::template::{Compatibility, TemplateError};

/// A compiled collection of FHIR templates (`CollectionFhir`).
#[derive(Debug, Clone)]
pub struct FhirMapping {
    /// By type name in lower case.
    templates: HashMap<String, Arc<FhirTemplate>>,
    pub(crate) compatibility: Compatibility,
}

impl FhirMapping {
    /// Loads a mapping of which everything is right.
    pub fn parse(text: &str, compatibility: Compatibility) -> Result<Self, Vec<TemplateError>> {
        let loaded = Self::load(text, compatibility);
        match loaded.mapping {
            Some(mapping) if loaded.errors.is_empty() => Ok(mapping),
            _ => Err(loaded.errors),
        }
    }

    /// The template of a type of measurement, whatever the case of its letters.
    pub fn template(&self, type_name: &str) -> Option<&Arc<FhirTemplate>> {
        self.templates.get(&type_name.to_lowercase())
    }

    /// All templates, in no order.
    pub fn templates(&self) -> impl Iterator<Item = &Arc<FhirTemplate>> {
        self.templates.values()
    }
}

/// One template (`CodeValueFhir`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FhirTemplate {
    /// Its type of measurement.
    pub type_name: String,
    /// `Observation.code`
    pub codes: Vec<Code>,
    /// `Observation.category`
    pub category: Vec<Concept>,
    /// What one Observation spans.
    pub period: Period,
    /// `Observation.value[x]`
    pub value: Option<ValueMapping>,
    /// `Observation.component`
    pub components: Vec<ComponentMapping>,
}

/// What one Observation spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// One instant.
    Single,
    /// An hour, UTC.
    Hourly,
    /// A day, UTC.
    Daily,
    /// All readings of a correlation id.
    Correlation,
    /// Any other number of minutes, which upstream accepts when loading and refuses when grouping.
    Other(i64),
}

impl Period {
    /// The number in templates.
    pub fn minutes(self) -> i64 {
        match self {
            Self::Single => 0,
            Self::Hourly => 60,
            Self::Daily => 1440,
            Self::Correlation => -1,
            Self::Other(minutes) => minutes,
        }
    }

    /// The period of a number in templates.
    pub fn of_minutes(minutes: i64) -> Self {
        match minutes {
            0 => Self::Single,
            60 => Self::Hourly,
            1440 => Self::Daily,
            -1 => Self::Correlation,
            other => Self::Other(other),
        }
    }
}

/// A Coding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// Code in the system.
    pub code: Option<String>,
    /// URI.
    pub system: Option<String>,
    /// For people.
    pub display: Option<String>,
}

/// A CodeableConcept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Concept {
    /// For people.
    pub text: Option<String>,
    /// Codings.
    pub codes: Vec<Code>,
}

/// A component's mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentMapping {
    /// `component.code`
    pub codes: Vec<Code>,
    /// `component.value[x]`
    pub value: ValueMapping,
}

/// Which value of a measurement goes where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueMapping {
    /// Name of the measurement's value.
    pub name: String,
    /// FHIR type.
    pub kind: ValueKind,
    /// What is kept of several readings that share a value.
    pub aggregation: Aggregation,
}

/// The FHIR type of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueKind {
    /// A series with a fixed distance.
    SampledData {
        /// Milliseconds between points, as written.
        period: String,
        /// Unit of the points.
        unit: Option<String>,
    },
    /// A number with a unit.
    Quantity {
        /// For people.
        unit: Option<String>,
        /// Code in the system.
        code: Option<String>,
        /// URI.
        system: Option<String>,
    },
    /// Always the same concept.
    CodeableConcept(Concept),
    /// A text.
    Text,
}

impl ValueKind {
    /// The name in templates.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SampledData { .. } => "SampledData",
            Self::Quantity { .. } => "Quantity",
            Self::CodeableConcept(_) => "CodeableConcept",
            Self::Text => "String",
        }
    }
}

/// What is kept of several readings that share a value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Aggregation {
    /// The latest.
    #[default]
    Last,
    /// The earliest.
    First,
    /// Their mean.
    Mean,
    /// The least.
    Min,
    /// The greatest.
    Max,
}

impl FhirTemplate {
    /// The mappings of its value and components.
    pub fn values(&self) -> impl Iterator<Item = &ValueMapping> {
        self.value
            .iter()
            .chain(self.components.iter().map(|component| &component.value))
    }

    /// What was understood of the template, for people and tests.
    pub fn describe(&self) -> Value {
        let components: Vec<Value> = self
            .components
            .iter()
            .map(|component| json!({"codes": codings(&component.codes), "value": component.value.describe()}))
            .collect();
        json!({
            "typeName": self.type_name, "periodInterval": self.period.minutes(), "codes": codings(&self.codes),
            "category": self.category.iter().map(Concept::to_fhir).collect::<Vec<_>>(),
            "value": self.value.as_ref().map(ValueMapping::describe), "components": components
        })
    }
}

impl ValueMapping {
    fn describe(&self) -> Value {
        let mut described = json!({"valueType": self.kind.name(), "valueName": self.name});
        match &self.kind {
            ValueKind::SampledData { period, unit } => {
                described["defaultPeriod"] = serde_json::from_str(period).unwrap_or(Value::Null);
                described["unit"] = unit.clone().into();
            }
            ValueKind::Quantity { unit, code, system } => {
                described["unit"] = unit.clone().into();
                described["code"] = code.clone().into();
                described["system"] = system.clone().into();
            }
            ValueKind::CodeableConcept(concept) => {
                described["text"] = concept.text.clone().into();
                described["codes"] = codings(&concept.codes).into();
            }
            ValueKind::Text => {}
        }
        described
    }
}

impl Code {
    pub(crate) fn to_fhir(&self) -> Value {
        let mut coding = json!({});
        if let Some(system) = &self.system {
            coding["system"] = system.as_str().into();
        }
        if let Some(code) = &self.code {
            coding["code"] = code.as_str().into();
        }
        if let Some(display) = &self.display {
            coding["display"] = display.as_str().into();
        }
        coding
    }
}

impl Concept {
    /// Whether it says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.codes.is_empty() && self.text.is_none()
    }

    pub(crate) fn to_fhir(&self) -> Value {
        let mut concept = json!({});
        if !self.codes.is_empty() {
            concept["coding"] = codings(&self.codes).into();
        }
        if let Some(text) = &self.text {
            concept["text"] = text.as_str().into();
        }
        concept
    }
}

pub(crate) fn codings(codes: &[Code]) -> Vec<Value> {
    codes.iter().map(Code::to_fhir).collect()
}

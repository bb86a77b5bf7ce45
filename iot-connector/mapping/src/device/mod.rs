//! Device mappings: from messages to measurements. A collection is compiled once: matches by existence of members, which
//! most are, are found together in one walk of the message ([`Scans`]); everything else is interpreted.

mod extract;
mod load;
mod token;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    jmespath::Query,
    jsonpath::{Path, Scans},
    measurement::Message,
    template::{Compatibility, TemplateError},
};

/// A compiled collection of device templates (`CollectionContent`).
#[derive(Debug, Clone)]
pub struct DeviceMapping {
    templates: Vec<DeviceTemplate>,
    compatibility: Compatibility,
    /// The matches that one walk of a message finds together.
    scans: Scans,
    /// Their numbers, by template; `None`: its match is found alone.
    scan_of: Vec<Option<usize>>,
}

/// A mapping with what is wrong with it; templates without errors are usable.
#[derive(Debug, Clone)]
pub struct Loaded<T> {
    /// The usable templates; `None` when the collection itself is wrong.
    pub mapping: Option<T>,
    /// What is wrong.
    pub errors: Vec<TemplateError>,
}

impl DeviceMapping {
    /// Loads a mapping of which everything is right.
    pub fn parse(text: &str, compatibility: Compatibility) -> Result<Self, Vec<TemplateError>> {
        match Self::load(text, compatibility) {
            Loaded {
                mapping: Some(mapping),
                errors,
            } if errors.is_empty() => Ok(mapping),
            Loaded { errors, .. } => Err(errors),
        }
    }

    /// Usable templates, compiled into one program.
    fn compile(templates: Vec<DeviceTemplate>, compatibility: Compatibility) -> Self {
        let mut scans = Scans::default();
        let scan = |template: &DeviceTemplate| match &template.type_match {
            Expression::JsonPath(path) => scans.add(path),
            Expression::JmesPath(_) => None,
        };
        let scan_of = templates.iter().map(scan).collect();
        Self {
            templates,
            compatibility,
            scans,
            scan_of,
        }
    }

    /// The same mapping, each of whose templates looks through the message by itself: what the program is compared with.
    #[must_use]
    pub fn uncompiled(self) -> Self {
        Self {
            scans: Scans::default(),
            scan_of: vec![None; self.templates.len()],
            ..self
        }
    }

    /// Its templates.
    pub fn templates(&self) -> &[DeviceTemplate] {
        &self.templates
    }
}

/// One device template.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceTemplate {
    /// What it makes measurements of.
    pub type_name: Arc<str>,
    /// Which tokens it matches.
    pub type_match: Expression,
    /// The device's identifier; of several, the first that gives something.
    pub device_id: Vec<Expression>,
    /// The time; of several, the first that gives something.
    pub timestamp: Vec<Expression>,
    /// The patient's identifier.
    pub patient_id: Option<Expression>,
    /// The encounter's identifier.
    pub encounter_id: Option<Expression>,
    /// The correlation id.
    pub correlation_id: Option<Expression>,
    /// The values.
    pub values: Vec<ValueTemplate>,
    /// Whether expressions see the whole message with `matchedToken`, or the matched token alone.
    sees_root: bool,
}

impl DeviceTemplate {
    /// All its expressions.
    pub(crate) fn expressions(&self) -> impl Iterator<Item = &Expression> {
        std::iter::once(&self.type_match).chain(self.inner())
    }

    /// All its expressions but the one that finds matches.
    fn inner(&self) -> impl Iterator<Item = &Expression> {
        let optional = [&self.patient_id, &self.encounter_id, &self.correlation_id];
        let values = self.values.iter().map(|value| &value.expression);
        let required = self.device_id.iter().chain(&self.timestamp);
        required.chain(optional.into_iter().flatten()).chain(values)
    }

    /// What a message lacks that none of it matches, as a sentence; `None` where it isn't JSON.
    pub fn why_unmatched(&self, message: Message<'_>) -> Option<String> {
        let document = message.parse().ok()?;
        match &self.type_match {
            Expression::JsonPath(path) => path.missing(&document),
            Expression::JmesPath(_) => Some("the expression gives nothing".to_owned()),
        }
    }

    /// What was understood of the template, for people and tests.
    pub fn describe(&self) -> Value {
        let expression = |expression: Option<&Expression>| {
            expression.map_or(
                Value::Null,
                |expression| json!({"value": expression.text(), "language": expression.language()}),
            )
        };
        let values: Vec<Value> = self
            .values
            .iter()
            .map(|value| {
                json!({
                    "valueName": &*value.name, "required": value.required,
                    "valueExpression": expression(Some(&value.expression))
                })
            })
            .collect();
        json!({
            "typeName": &*self.type_name, "typeMatchExpression": expression(Some(&self.type_match)),
            "deviceIdExpression": expression(self.device_id.first()),
            "timestampExpression": expression(self.timestamp.first()),
            "patientIdExpression": expression(self.patient_id.as_ref()),
            "encounterIdExpression": expression(self.encounter_id.as_ref()),
            "correlationIdExpression": expression(self.correlation_id.as_ref()), "values": values
        })
    }
}

/// A value of a device template.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueTemplate {
    /// Its name.
    pub name: Arc<str>,
    /// Where it is.
    pub expression: Expression,
    /// Whether a match without it is an error.
    pub required: bool,
}

/// A compiled expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// In Newtonsoft.Json's JSONPath.
    JsonPath(Path),
    /// In JMESPath with iomt-fhir's functions.
    JmesPath(Query),
}

impl Expression {
    /// As written.
    pub fn text(&self) -> &str {
        match self {
            Self::JsonPath(path) => path.text(),
            Self::JmesPath(query) => query.text(),
        }
    }

    /// The language, as templates name it.
    pub fn language(&self) -> &'static str {
        match self {
            Self::JsonPath(_) => "JsonPath",
            Self::JmesPath(_) => "JmesPath",
        }
    }
}

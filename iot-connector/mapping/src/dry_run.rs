//! What mappings make of messages, told to people: templates tried, measurements, Observations, warnings.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    device::{DeviceMapping, Expression},
    fhir::FhirMapping,
    grouping::Input,
    measurement::{Fault, Measurement, Message, Order},
    observation::Subject,
    template::{Compatibility, TemplateError},
};

/// Which side of the mapping a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Side {
    /// The device mapping.
    Normalization,
    /// The FHIR mapping.
    FhirTransformation,
}

/// An error or a warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub category: Side,
    /// Line in the template, or in a message that isn't JSON, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Bytes from the beginning of that line, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<usize>,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageReport {
    /// The message's number, counted from 1.
    pub message: usize,
    /// Each device template, how many tokens of the message it matched, and why none.
    pub templates: Vec<Value>,
    /// What came out.
    pub measurements: Vec<Value>,
    /// What the measurements become.
    pub observations: Vec<Value>,
    /// What failed.
    pub errors: Vec<Finding>,
    /// What is probably not meant.
    pub warnings: Vec<Finding>,
}

/// All findings.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DryRun {
    /// What is wrong with the mappings.
    pub template_errors: Vec<Finding>,
    /// What is probably not meant in the mappings.
    pub template_warnings: Vec<Finding>,
    /// One for each message.
    pub messages: Vec<MessageReport>,
}

impl DryRun {
    /// Whether anything failed.
    pub fn has_errors(&self) -> bool {
        !self.template_errors.is_empty() || self.messages.iter().any(|message| !message.errors.is_empty())
    }
}

/// Applies mappings to messages; either mapping may be missing. `now` becomes `issued`.
pub fn dry_run(
    device: Option<&str>,
    fhir: Option<&str>,
    messages: &[Message<'_>],
    compatibility: Compatibility,
    now: Timestamp,
) -> DryRun {
    let mut report = DryRun {
        template_errors: Vec::new(),
        template_warnings: Vec::new(),
        messages: Vec::new(),
    };
    let device = device.and_then(|text| {
        let loaded = DeviceMapping::load(text, compatibility);
        report.add_errors(&loaded.errors, Side::Normalization);
        loaded.mapping
    });
    let fhir = fhir.and_then(|text| {
        let loaded = FhirMapping::load(text, compatibility);
        report.add_errors(&loaded.errors, Side::FhirTransformation);
        loaded.mapping
    });
    if let Some(device) = &device {
        report.template_warnings = expression_warnings(device);
    }
    if let (Some(device), Some(fhir)) = (&device, &fhir) {
        report.template_warnings.extend(mapping_warnings(device, fhir));
    }
    if let Some(device) = &device {
        for (index, message) in messages.iter().enumerate() {
            report
                .messages
                .push(try_message(index + 1, *message, device, fhir.as_ref(), now));
        }
    }
    report
}

impl DryRun {
    fn add_errors(&mut self, errors: &[TemplateError], category: Side) {
        self.template_errors.extend(errors.iter().map(|error| Finding {
            message: error.to_string(),
            category,
            line: Some(error.line),
            position: Some(error.position),
        }));
    }
}

/// Filters that mean something else here than nearly everywhere.
fn expression_warnings(device: &DeviceMapping) -> Vec<Finding> {
    let mut warnings = Vec::new();
    for template in device.templates() {
        for expression in template.expressions() {
            let Expression::JsonPath(path) = expression else {
                continue;
            };
            if path.nests_unusually() {
                let (name, text) = (&template.type_name, path.text());
                warnings.push(Finding {
                    message: format!(
                        "`{text}` in Device Mapping [{name}] has `||` behind `&&`, and in this JSONPath `a && b || c` means `a && (b || c)`: write `c || a && b` where `c` alone is to be enough"
                    ),
                    category: Side::Normalization,
                    line: None,
                    position: None,
                });
            }
        }
    }
    warnings
}

/// Device templates without a FHIR template, and values without a place in it.
fn mapping_warnings(device: &DeviceMapping, fhir: &FhirMapping) -> Vec<Finding> {
    let mut warnings = Vec::new();
    let mut warn = |message| {
        warnings.push(Finding {
            message,
            category: Side::FhirTransformation,
            line: None,
            position: None,
        });
    };
    for template in device.templates() {
        let name = &template.type_name;
        let Some(target) = fhir.template(name) else {
            warn(format!(
                "No matching Fhir Template exists for Device Mapping [{name}]. Ensure case matches."
            ));
            continue;
        };
        for value in &template.values {
            if !target.values().any(|mapping| mapping.name == *value.name) {
                warn(format!(
                    "The value [{}] in Device Mapping [{name}] is not represented within the Fhir Template of type [{name}]. Available values are: [{}]. No value will appear inside of Observations.",
                    value.name,
                    target
                        .values()
                        .map(|mapping| mapping.name.as_str())
                        .collect::<Vec<_>>()
                        .join(", ")
                ));
            }
        }
    }
    warnings
}

/// Applies mappings to one message; `number` is what the report calls it, `now` becomes `issued`.
pub fn try_message(
    number: usize,
    message: Message<'_>,
    device: &DeviceMapping,
    fhir: Option<&FhirMapping>,
    now: Timestamp,
) -> MessageReport {
    let normalised = device.normalise(message);
    // What isn't JSON has this fault and no other.
    let wrong = normalised.faults.first().and_then(|_| message.parse().err());
    let place = wrong.map(|error| (error.line, error.column));
    let mut report = MessageReport {
        message: number,
        templates: Vec::new(),
        measurements: normalised.measurements.iter().map(describe).collect(),
        observations: Vec::new(),
        errors: normalised
            .faults
            .iter()
            .map(|fault| Finding {
                line: place.map(|(line, _)| line),
                position: place.map(|(_, column)| column),
                ..finding(fault, Side::Normalization)
            })
            .collect(),
        warnings: Vec::new(),
    };
    for template in device.templates() {
        let same = |name: &str| *name == *template.type_name;
        let measured = normalised
            .measurements
            .iter()
            .filter(|measurement| same(&measurement.type_name))
            .count();
        let failed = normalised
            .faults
            .iter()
            .filter(|fault| fault.template.as_deref().is_some_and(same))
            .count();
        let mut tried = json!({
            "typeName": &*template.type_name, "typeMatchExpression": template.type_match.text(), "matched": measured + failed
        });
        if measured + failed == 0
            && let Some(reason) = template.why_unmatched(message)
        {
            tried["reason"] = reason.into();
        }
        report.templates.push(tried);
    }
    if report.measurements.is_empty() && report.errors.is_empty() {
        let message = "No measurements were produced for the given device data.".to_owned();
        report.warnings.push(Finding {
            message,
            category: Side::Normalization,
            line: None,
            position: None,
        });
    }
    if let Some(fhir) = fhir {
        transform(&mut report, normalised.measurements, fhir, now);
    }
    report
}

fn transform(report: &mut MessageReport, measurements: Vec<Measurement>, fhir: &FhirMapping, now: Timestamp) {
    let input = |measurement| Input {
        source: 0,
        order: Order::default(),
        replay: false,
        measurement,
    };
    let grouped = fhir.group(measurements.into_iter().map(input).collect());
    report.errors.extend(
        grouped
            .faults
            .iter()
            .map(|fault| finding(&fault.fault, Side::FhirTransformation)),
    );
    for group in &grouped.groups {
        let patient = group.patient.as_deref().unwrap_or("patient-of-the-device");
        let subject = Subject {
            device: &group.device,
            patient,
            encounter: group.encounter.as_deref(),
        };
        match fhir.create(group, subject, now) {
            Ok((observation, _)) => report.observations.push(observation),
            Err(error) => report.errors.push(Finding {
                message: error.to_string(),
                category: Side::FhirTransformation,
                line: None,
                position: None,
            }),
        }
    }
}

fn finding(fault: &Fault, category: Side) -> Finding {
    Finding {
        message: fault.detail.clone(),
        category,
        line: None,
        position: None,
    }
}

fn describe(measurement: &Measurement) -> Value {
    let values = measurement
        .values
        .iter()
        .map(|(name, value)| json!({"name": &**name, "value": value}));
    json!({
        "type": &*measurement.type_name, "occurrenceTimeUtc": measurement.occurrence.to_string(),
        "deviceId": &*measurement.device, "patientId": measurement.patient, "encounterId": measurement.encounter,
        "correlationId": measurement.correlation, "properties": values.collect::<Vec<_>>()
    })
}

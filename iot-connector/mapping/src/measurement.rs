//! What normalisation makes of messages.

use std::sync::Arc;

use jiff::Timestamp;

/// Where a reading stands among readings: the greatest stays where only one can.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order {
    /// When its message was accepted, microseconds since the Unix epoch.
    pub received: i64,
    /// The message's place at its source.
    pub position: i64,
}

/// One match of one template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measurement {
    /// `typeName` of the template.
    pub type_name: Arc<str>,
    /// When it was measured.
    pub occurrence: Timestamp,
    /// The device's identifier.
    pub device: String,
    /// The patient's identifier.
    pub patient: Option<String>,
    /// The encounter's identifier.
    pub encounter: Option<String>,
    /// What belongs together by the sender's word.
    pub correlation: Option<String>,
    /// Value names with values.
    pub values: Vec<(Arc<str>, String)>,
}

/// What could not be made of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The error's name.
    pub reason: &'static str,
    /// The error's text.
    pub detail: String,
    /// `typeName` of the template.
    pub template: Option<Arc<str>>,
    /// The expression.
    pub path: Option<String>,
}

/// What a message gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Normalised {
    /// In the order of templates, then of the document.
    pub measurements: Vec<Measurement>,
    /// What failed.
    pub faults: Vec<Fault>,
}

//! Messages, and what normalisation makes of them.

use std::sync::Arc;

use jiff::Timestamp;

use crate::json::{Document, JsonError};

/// What templates are applied to.
#[derive(Debug, Clone, Copy)]
pub enum Message<'a> {
    /// The root that expressions see, as JSON text.
    Whole(&'a [u8]),
    /// What a device sent, with what is known beside it.
    Body {
        /// JSON text; it is `Body` of the root.
        body: &'a [u8],
        /// JSON text of an object with the root's other members, `Properties` and `SystemProperties`.
        context: &'a str,
    },
}

impl<'a> Message<'a> {
    pub(crate) fn parse(self) -> Result<Document<'a>, JsonError> {
        match self {
            Self::Whole(root) => Document::parse(root),
            Self::Body { body, context } => Document::envelope(body, context),
        }
    }
}

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
    /// The device's identifier; readings of one message share it.
    pub device: Arc<str>,
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

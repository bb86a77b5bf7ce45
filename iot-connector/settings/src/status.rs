//! The page at `/status` on the management port.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// RFC 3339, UTC, whole seconds.
pub type Moment = String;

/// What a connector tells of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusPage {
    /// The program's version
    pub version: String,
    /// When the last message was accepted; absent: none since the spool was made
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_message_time: Option<Moment>,
    /// Messages accepted a second, over the last minute
    pub rate: f64,
    /// Messages accepted and not finished
    pub backlog: u64,
    /// Dead letters kept
    pub dead_letters: u64,
    /// When the oldest unfinished message was accepted; absent: none waits
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<Moment>,
    /// The mappings in force
    pub mappings: MappingState,
    /// What is wrong with the mappings, or that they are missing
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping_message: Option<String>,
    /// How the last exchange with the FHIR server went
    pub fhir: FhirState,
    /// Why the FHIR server is waited for
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fhir_message: Option<String>,
    /// The source beside HTTP, or the streams that connectors share where there is only HTTP; absent: there is none
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceStatus>,
    /// This connector's part where several share the work; absent: it works alone
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharing: Option<Sharing>,
    /// Why messages are refused at present; absent: they are accepted
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingest_refused: Option<String>,
}

/// A connector's part in work that several share. What the page says of messages and dead letters is of all together, but
/// for the rate and the watermark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sharing {
    /// Its name among them
    pub member: String,
    /// Of the 256 buckets of devices, those that it works on
    pub buckets: u32,
}

/// How reading a source goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// `mqtt`, `nats` or `kafka`; `http` where it is the shared streams
    pub kind: String,
    /// How it goes
    pub state: SourceState,
    /// Why it isn't read; without secrets
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How reading a source goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SourceState {
    /// There is no connection: it is tried again
    Connecting,
    /// Messages are read
    Connected,
    /// It is connected and not read until the queue has room
    Waiting,
}

/// The mapping pair that a connector works with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MappingState {
    /// The files' content is in force
    Valid,
    /// No valid pair was seen yet because a file is missing: messages are kept
    Missing,
    /// The files can't be used: the last valid pair, if any, is in force
    Invalid,
}

/// How the last exchange with the FHIR server went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FhirState {
    /// Nothing was sent yet
    Unknown,
    /// It answered
    Reachable,
    /// It refuses or doesn't answer: messages wait
    Waiting,
}

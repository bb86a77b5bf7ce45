//! Logs on standard error.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Logs on standard error.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Log {
    /// error, warn, info, debug or trace, or directives like `info,hyper=warn`
    pub level: String,
    /// How a line looks
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One readable line an event
    #[default]
    Text,
    /// One JSON object an event
    Json,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}

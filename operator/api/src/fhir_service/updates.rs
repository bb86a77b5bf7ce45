//! Which release of the server runs, and when it may change.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where managed updates come from. A release reaches `rapid` first and `stable` later.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Releases that have proved themselves.
    #[default]
    Stable,
    /// Releases as they come.
    Rapid,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[expect(missing_docs, reason = "the days of the week")]
pub enum Day {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// When managed updates may roll.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MaintenanceWindow {
    /// Days on which the window opens; absent: every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7))]
    pub days: Vec<Day>,
    /// Local time at which it opens, `HH:MM`.
    #[schemars(length(min = 5, max = 5), regex(pattern = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub start: String,
    /// For how long it stays open; absent: 120.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 15, max = 1440))]
    pub duration_minutes: Option<u32>,
    /// IANA time zone of `start`, for example `Europe/Paris`; absent: `UTC`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
}

//! How superseded versions are kept (Azure API for FHIR, "versioning policy and history management").

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SettingsError;

/// How superseded versions are kept.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct History {
    /// For types that `perType` doesn't name
    pub default: HistoryPolicy,
    /// For single types
    pub per_type: Vec<TypeHistory>,
}

/// The policy of one type.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TypeHistory {
    /// `Patient` and so on
    #[serde(rename = "type")]
    pub resource_type: String,
    /// How its versions are kept
    pub policy: HistoryPolicy,
}

/// What happens to a version when the next one comes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HistoryPolicy {
    /// It is kept
    #[default]
    Versioned,
    /// It is kept, and updates must name it (`If-Match`)
    VersionUpdate,
    /// It is gone
    NoVersion,
}

impl HistoryPolicy {
    /// The code of the value set versioning-policy.
    pub fn code(self) -> &'static str {
        match self {
            Self::Versioned => "versioned",
            Self::VersionUpdate => "versioned-update",
            Self::NoVersion => "no-version",
        }
    }
}

impl History {
    /// The policy of a type.
    pub fn of(&self, resource_type: &str) -> HistoryPolicy {
        let own = self.per_type.iter().find(|own| own.resource_type == resource_type);
        own.map_or(self.default, |own| own.policy)
    }

    pub(crate) fn validate(&self) -> Result<(), SettingsError> {
        for (at, own) in self.per_type.iter().enumerate() {
            let before = self.per_type.iter().take(at);
            if before.into_iter().any(|other| other.resource_type == own.resource_type) {
                let reason = format!("`{}` is named twice", own.resource_type);
                return Err(SettingsError::new("history.perType", reason));
            }
        }
        Ok(())
    }
}

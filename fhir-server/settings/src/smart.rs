//! SMART on FHIR: whether the scopes of tokens are enforced, and what apps are told of the authorization server.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SettingsError;

/// SMART App Launch, for subjects with the role `SmartUser`.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Smart {
    /// Whether the role `SmartUser` grants what scopes say, and `.well-known/smart-configuration` is served
    pub enabled: bool,
    /// Where apps ask for authorization; absent: as the first issuer's discovery document says
    pub authorization_endpoint: Option<String>,
    /// Where apps get tokens; absent: as the first issuer's discovery document says
    pub token_endpoint: Option<String>,
}

impl Smart {
    pub(crate) fn validate(&self) -> Result<(), SettingsError> {
        let endpoints = [
            ("smart.authorizationEndpoint", &self.authorization_endpoint),
            ("smart.tokenEndpoint", &self.token_endpoint),
        ];
        for (option, url) in endpoints {
            if let Some(url) = url
                .as_ref()
                .filter(|url| !url.starts_with("https://") && !url.starts_with("http://"))
            {
                return Err(SettingsError::new(option, format!("`{url}` isn't a URL")));
            }
        }
        Ok(())
    }
}

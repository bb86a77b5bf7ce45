//! Figures that are sent to a collector.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SettingsError;

/// Figures that are sent by OTLP over HTTP (protobuf), OpenTelemetry's protocol: those of `/metrics`.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Otlp {
    /// Base URL of a collector that takes OTLP over HTTP, like `http://collector:4318`; `/v1/metrics` is added; absent: nothing is sent
    pub endpoint: Option<String>,
    /// Seconds from one sending to the next
    #[schemars(range(min = 1, max = 3600))]
    pub interval_seconds: u32,
    /// PEM file with the authorities to trust instead of the system's
    pub ca_file: Option<PathBuf>,
    /// File with headers for a collector that asks who sends, `Name: value` on each line
    pub headers_file: Option<PathBuf>,
    /// Resource attributes beside `service.name`, `service.version` and `service.instance.id`
    pub attributes: BTreeMap<String, String>,
    /// File (YAML or JSON) with these options, instead of them; read again when it changes, may appear later
    pub file: Option<PathBuf>,
}

impl Default for Otlp {
    fn default() -> Self {
        Self {
            endpoint: None,
            interval_seconds: 60,
            ca_file: None,
            headers_file: None,
            attributes: BTreeMap::new(),
            file: None,
        }
    }
}

impl Otlp {
    /// Checks what the types alone can't.
    pub fn validate(&self) -> Result<(), SettingsError> {
        let refuse = |option, reason| Err(SettingsError::new(option, reason));
        if !(1..=3600).contains(&self.interval_seconds) {
            return refuse("otlp.intervalSeconds", "isn't within 1 to 3600".to_owned());
        }
        let Some(endpoint) = &self.endpoint else {
            return Ok(());
        };
        let host = endpoint
            .strip_prefix("http://")
            .or_else(|| endpoint.strip_prefix("https://"))
            .map(|rest| rest.split('/').next().unwrap_or_default());
        match host {
            Some(host) if host.ends_with(":4317") => refuse(
                "otlp.endpoint",
                format!(
                    "4317 in `{endpoint}` is the port of OTLP over gRPC: name that of OTLP over HTTP, 4318 by default"
                ),
            ),
            Some(host) if !host.is_empty() && !host.starts_with(':') && !endpoint.contains(['?', '#', ' ']) => Ok(()),
            _ => refuse(
                "otlp.endpoint",
                format!("`{endpoint}` isn't the base URL of a collector, like `http://collector:4318`"),
            ),
        }
    }

    /// Where metrics go.
    pub fn metrics_url(&self) -> Option<String> {
        let endpoint = self.endpoint.as_ref()?;
        Some(format!("{}/v1/metrics", endpoint.trim_end_matches('/')))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("http://collector:4318", None)]
    #[case("https://collector.example/otlp/", None)]
    #[case("http://collector:4317", Some("4318 by default"))]
    #[case("collector:4318", Some("isn't the base URL"))]
    #[case("http://:4318", Some("isn't the base URL"))]
    #[case("http://", Some("isn't the base URL"))]
    #[case("http://collector:4318?x=1", Some("isn't the base URL"))]
    fn an_endpoint_is_the_base_url_of_a_collector(#[case] endpoint: &str, #[case] refusal: Option<&str>) {
        let otlp = Otlp {
            endpoint: Some(endpoint.to_owned()),
            ..Otlp::default()
        };
        let error = otlp.validate().err();
        assert_eq!(error.is_some(), refusal.is_some(), "{error:?}");
        if let (Some(error), Some(refusal)) = (error, refusal) {
            assert_eq!(error.option, "otlp.endpoint");
            assert!(error.reason.contains(refusal), "{error}");
        }
    }

    #[test]
    fn the_path_of_metrics_is_added() {
        let otlp = Otlp {
            endpoint: Some("https://collector.example/otlp/".to_owned()),
            ..Otlp::default()
        };
        assert_eq!(otlp.metrics_url().unwrap(), "https://collector.example/otlp/v1/metrics");
        assert_eq!(Otlp::default().metrics_url(), None);
    }

    #[rstest]
    #[case(0)]
    #[case(3601)]
    fn an_interval_has_bounds(#[case] seconds: u32) {
        let otlp = Otlp {
            interval_seconds: seconds,
            ..Otlp::default()
        };
        assert_eq!(otlp.validate().unwrap_err().option, "otlp.intervalSeconds");
    }
}

//! The operator's own options: flag, environment (`FHIR_OPERATOR_…`) or file, declared once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use daemon::options::{Declared, OptionsError, Resolved};
use daemon_settings::{Log, Otlp};
use fhir_operator_core::Installation;
use fhir_operator_core::collector::Collector;
use fhir_operator_core::releases::{Catalogue, CatalogueError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Options of `fhir-operator run`.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    /// Name of this operator: namespaces annotated for another one are left to that one.
    pub name: String,
    /// Namespace of the operator's own pods.
    pub namespace: String,
    /// Name of this replica among the others, its pod's name.
    pub identity: String,
    /// Lease of the leader election.
    pub lease: String,
    /// Namespaces to watch, comma-separated. None: the whole cluster, with Tenants.
    pub watch_namespaces: Vec<String>,
    /// Where health, metrics and status are served.
    pub management: String,
    /// File with the releases that services may run.
    pub releases: Option<PathBuf>,
    /// How long requests in flight may take after SIGTERM, in seconds.
    pub drain_seconds: u64,
    /// Admission.
    pub webhook: Webhook,
    /// Logs.
    pub log: Log,
    /// Figures that are sent to a collector: the operator's own, and those of all servers that it runs.
    pub otlp: Otlp,
    /// What the installation decides for all objects: quotas, windows, unassigned namespaces.
    pub installation: BTreeMap<String, Value>,
}

/// Admission over HTTPS.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Webhook {
    /// Whether to serve it.
    pub enabled: bool,
    /// Where.
    pub listen: String,
    /// Service by which the API server reaches it.
    pub service: String,
    /// Secret of the CA that all replicas share.
    pub secret: String,
    /// ValidatingWebhookConfiguration to put the CA into.
    pub configuration: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "fhir-operator".to_owned(),
            namespace: "fhir-operator".to_owned(),
            identity: format!("local-{}", std::process::id()),
            lease: "fhir-operator".to_owned(),
            watch_namespaces: Vec::new(),
            management: "0.0.0.0:9090".to_owned(),
            releases: None,
            drain_seconds: 10,
            webhook: Webhook::default(),
            log: Log::default(),
            otlp: Otlp::default(),
            installation: BTreeMap::new(),
        }
    }
}

impl Default for Webhook {
    fn default() -> Self {
        Self {
            enabled: false,
            listen: "0.0.0.0:8443".to_owned(),
            service: "fhir-operator-webhook".to_owned(),
            secret: "fhir-operator-webhook-ca".to_owned(),
            configuration: "fhir-operator".to_owned(),
        }
    }
}

/// Why the operator can't run with these options.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// An option is wrong.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The installation's part is wrong.
    #[error("option `installation` isn't valid")]
    Installation(#[source] serde_json::Error),
    /// No release is known.
    #[error("option `releases` must name a file with the releases that services may run")]
    NoReleases,
    /// The file of releases can't be read.
    #[error("file `{path}` can't be read")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The collector can't be told to the servers.
    #[error(transparent)]
    Otlp(#[from] daemon_settings::SettingsError),
    /// The releases are wrong.
    #[error("file `{path}` isn't a release catalogue")]
    Catalogue {
        /// Which.
        path: PathBuf,
        /// Why.
        source: CatalogueError,
    },
}

impl Settings {
    /// The options as flags, variables and file members.
    pub fn declared() -> Declared {
        Declared::from_schema("FHIR_OPERATOR", schemars::schema_for!(Self).as_value())
    }

    /// Puts file, environment and flags together.
    pub fn resolve(matches: &clap::ArgMatches, file: Option<&Path>) -> Result<Resolved<Self>, SettingsError> {
        Ok(Self::declared().resolve(matches, file)?)
    }

    /// What the installation decides, with the releases read from their file.
    pub fn installation(&self) -> Result<Installation, SettingsError> {
        let path = self.releases.as_ref().ok_or(SettingsError::NoReleases)?;
        let text = std::fs::read_to_string(path).map_err(|source| SettingsError::Read {
            path: path.clone(),
            source,
        })?;
        let catalogue = Catalogue::parse(&text).map_err(|source| SettingsError::Catalogue {
            path: path.clone(),
            source,
        })?;
        let collector = self.collector()?;
        let given = Value::Object(self.installation.clone().into_iter().collect());
        let installation: Installation = Installation::deserialize(&given).map_err(SettingsError::Installation)?;
        Ok(Installation {
            catalogue,
            collector,
            ..installation
        })
    }

    /// What the servers are told of the collector.
    fn collector(&self) -> Result<Collector, SettingsError> {
        self.otlp.validate()?;
        let given = [
            ("otlp.headersFile", self.otlp.headers_file.is_some()),
            ("otlp.file", self.otlp.file.is_some()),
        ];
        if let Some((option, _)) = given.into_iter().find(|(_, given)| *given) {
            let reason =
                "can't be passed on to the servers: name a collector in the cluster, which adds what others ask for";
            return Err(daemon_settings::SettingsError::new(option, reason).into());
        }
        let authorities = self.otlp.ca_file.as_ref().map(|path| {
            std::fs::read_to_string(path).map_err(|source| SettingsError::Read {
                path: path.clone(),
                source,
            })
        });
        Ok(Collector {
            otlp: self.otlp.clone(),
            authorities: authorities.transpose()?,
        })
    }
}

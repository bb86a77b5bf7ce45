//! Every option, port, path and the status page of fhir-server, once.
//!
//! The operator serialises [`Settings::minimal`] and [`Access`] into the pod's files and reads [`StatusPage`]; the
//! program reads the file, environment variables `FHIR_SERVER_…` and flags, and warns about options that it doesn't know.

mod access;
mod cors;
mod history;
mod limits;
mod smart;
mod status;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use access::{Access, Grant, Issuer, Role, Subject};
pub use cors::Cors;
pub use daemon_settings::{Log, LogFormat, Otlp, SettingsError, Tls};
pub use history::{History, HistoryPolicy, TypeHistory};
pub use limits::Limits;
pub use smart::Smart;
pub use status::{Reindex, StatusPage};

/// Prefix of the environment variables.
pub const ENVIRONMENT_PREFIX: &str = "FHIR_SERVER";
/// The port of `listen` in a pod: the FHIR API and health.
pub const PORT: u16 = 8080;
/// The port of `management` in a pod: status, metrics, health.
pub const MANAGEMENT_PORT: u16 = 9090;

/// FHIR version that a service serves.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum FhirVersion {
    /// FHIR R4, 4.0.1.
    R4,
    /// FHIR STU3, 3.0.2.
    #[serde(rename = "STU3")]
    Stu3,
}

impl FhirVersion {
    /// As custom resources and command lines write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::R4 => "R4",
            Self::Stu3 => "STU3",
        }
    }

    /// The published release of the specification.
    pub fn release(self) -> &'static str {
        match self {
            Self::R4 => "4.0.1",
            Self::Stu3 => "3.0.2",
        }
    }
}

/// The settings file of `fhir-server serve`.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    /// The FHIR version that is served: R4 or STU3; required
    pub fhir_version: Option<FhirVersion>,
    /// Where the data is: `sqlite:PATH`, or `postgres://USER@HOST/NAME`
    pub database: String,
    /// File with the database's URL, instead of `database`: for one with a password
    pub database_file: Option<PathBuf>,
    /// Connections to PostgreSQL for reading, at most; a replica has one more for writing
    #[schemars(range(min = 1, max = 1000))]
    pub database_connections: u32,
    /// The address of the FHIR API and health
    pub listen: String,
    /// The address for status, metrics and health; absent: not served
    pub management: Option<String>,
    /// Base URL that clients see, for links and locations; absent: by the request's Host
    pub base_url: Option<String>,
    /// TLS for the FHIR API; absent: plain HTTP
    pub tls: Option<Tls>,
    /// Logs
    pub log: Log,
    /// Figures that are sent to a collector
    pub otlp: Otlp,
    /// How long a shutdown waits for requests in flight, in seconds
    pub drain_seconds: u32,
    /// Everybody may do everything, without a token
    pub anonymous: bool,
    /// File with issuers and grants (see `Access`), read again when it changes
    pub access_file: Option<PathBuf>,
    /// Issuers and grants in this file, instead of `accessFile`
    pub access: Option<Access>,
    /// SMART on FHIR
    pub smart: Smart,
    /// Cross-origin requests
    pub cors: Cors,
    /// Where the audit log goes, a line of JSON for each request: `stdout`, `file:PATH` or `none`
    pub audit: String,
    /// Limits of the FHIR API
    pub limits: Limits,
    /// How superseded versions are kept
    pub history: History,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            fhir_version: None,
            database: "sqlite:fhir.db".to_owned(),
            database_file: None,
            database_connections: 16,
            listen: format!("127.0.0.1:{PORT}"),
            management: None,
            base_url: None,
            tls: None,
            log: Log::default(),
            otlp: Otlp::default(),
            drain_seconds: 20,
            anonymous: false,
            access_file: None,
            access: None,
            smart: Smart::default(),
            cors: Cors::default(),
            audit: "none".to_owned(),
            limits: Limits::default(),
            history: History::default(),
        }
    }
}

/// Where the data is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Database {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A URL of PostgreSQL; it may have a password.
    Postgres(String),
}

impl Database {
    /// Reads `sqlite:PATH` or a URL of PostgreSQL; says nothing of what it was given, which may have a password.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(PathBuf::from(path))),
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => Ok(Self::Postgres(text.to_owned())),
            _ => Err(SettingsError::new(
                "database",
                "is neither `sqlite:PATH` nor `postgres://USER@HOST/NAME`",
            )),
        }
    }
}

/// Where the audit log goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AuditSink {
    /// There is none.
    None,
    /// Standard output.
    Stdout,
    /// A file that is appended to.
    File(PathBuf),
}

impl Settings {
    /// Checks what the types alone can't.
    pub fn validate(&self) -> Result<(), SettingsError> {
        self.version()?;
        self.database()?;
        if self.database_file.is_some() && self.database != Self::default().database {
            return Err(SettingsError::new(
                "databaseFile",
                "`database` and `databaseFile` exclude each other",
            ));
        }
        if !(1..=1_000).contains(&self.database_connections) {
            return Err(SettingsError::new("databaseConnections", "isn't within 1 to 1000"));
        }
        let ways = [self.anonymous, self.access_file.is_some(), self.access.is_some()];
        match ways.iter().filter(|way| **way).count() {
            0 => {
                return Err(SettingsError::new(
                    "anonymous",
                    "say who may present themselves: `accessFile`, `access`, or `anonymous: true` to serve anyone",
                ));
            }
            1 => {}
            _ => {
                return Err(SettingsError::new(
                    "anonymous",
                    "`anonymous`, `accessFile` and `access` exclude each other",
                ));
            }
        }
        self.smart.validate()?;
        self.cors.validate()?;
        self.history.validate()?;
        self.audit()?;
        self.otlp.validate()?;
        self.limits.validate()
    }

    /// The FHIR version, which has no default.
    pub fn version(&self) -> Result<FhirVersion, SettingsError> {
        self.fhir_version
            .ok_or_else(|| SettingsError::new("fhirVersion", "is required: `R4` or `STU3`"))
    }

    /// The parsed `database`; the program reads `databaseFile`.
    pub fn database(&self) -> Result<Database, SettingsError> {
        Database::parse(&self.database)
    }

    /// The parsed `audit`.
    pub fn audit(&self) -> Result<AuditSink, SettingsError> {
        match (self.audit.as_str(), self.audit.split_once(':')) {
            ("none", _) => Ok(AuditSink::None),
            ("stdout", _) => Ok(AuditSink::Stdout),
            (_, Some(("file", path))) if !path.is_empty() => Ok(AuditSink::File(PathBuf::from(path))),
            _ => Err(SettingsError::new(
                "audit",
                format!("`{}` isn't `stdout`, `file:PATH` or `none`", self.audit),
            )),
        }
    }

    /// The settings file with only what differs from the defaults, so that a default may change without a new file.
    pub fn minimal(&self) -> Value {
        daemon_settings::minimal(self, &Self::default())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_file_holds_only_what_differs() {
        let mut settings = Settings::default();
        assert_eq!(settings.minimal(), json!({}));
        settings.fhir_version = Some(FhirVersion::Stu3);
        settings.limits.count = Some(50);
        let minimal = settings.minimal();
        assert_eq!(minimal, json!({"fhirVersion": "STU3", "limits": {"count": 50}}));
        assert_eq!(serde_json::from_value::<Settings>(minimal).unwrap(), settings);
    }

    #[test]
    fn a_refused_url_is_not_shown() {
        let error = Database::parse("postgress://me:secret@host/fhir").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[rstest]
    #[case::good(json!({"fhirVersion": "R4", "anonymous": true}), None)]
    #[case::access(json!({"fhirVersion": "R4", "access": {}}), None)]
    #[case::no_version(json!({"anonymous": true}), Some("fhirVersion"))]
    #[case::nobody(json!({"fhirVersion": "R4"}), Some("anonymous"))]
    #[case::two_ways(json!({"fhirVersion": "R4", "anonymous": true, "accessFile": "a"}), Some("anonymous"))]
    #[case::engine(json!({"fhirVersion": "R4", "anonymous": true, "database": "postgres://x"}), None)]
    #[case::other_engine(json!({"fhirVersion": "R4", "anonymous": true, "database": "mysql://x"}), Some("database"))]
    #[case::two_databases(
        json!({"fhirVersion": "R4", "anonymous": true, "database": "postgres://x", "databaseFile": "url"}),
        Some("databaseFile")
    )]
    #[case::connections(
        json!({"fhirVersion": "R4", "anonymous": true, "databaseConnections": 0}),
        Some("databaseConnections")
    )]
    #[case::no_path(json!({"fhirVersion": "R4", "anonymous": true, "database": "sqlite:"}), Some("database"))]
    #[case::audit(json!({"fhirVersion": "R4", "anonymous": true, "audit": "syslog"}), Some("audit"))]
    #[case::smart(json!({"fhirVersion": "R4", "access": {}, "smart": {"enabled": true, "tokenEndpoint": "idp/token"}}), Some("smart.tokenEndpoint"))]
    #[case::origin(json!({"fhirVersion": "R4", "anonymous": true, "cors": {"origins": ["https://a.org:8080", "https://a.org/"]}}), Some("cors.origins"))]
    #[case::origins(json!({"fhirVersion": "R4", "anonymous": true, "cors": {"origins": ["*", "http://[::1]:80"], "methods": ["*"], "maxAge": 99999}}), None)]
    #[case::header(json!({"fhirVersion": "R4", "anonymous": true, "cors": {"headers": ["a b"]}}), Some("cors.headers"))]
    #[case::method(json!({"fhirVersion": "R4", "anonymous": true, "cors": {"methods": [""]}}), Some("cors.methods"))]
    #[case::max_age(json!({"fhirVersion": "R4", "anonymous": true, "cors": {"maxAge": 100_000}}), Some("cors.maxAge"))]
    #[case::credentials(json!({"fhirVersion": "R4", "anonymous": true, "cors": {"origins": ["*"], "allowCredentials": true}}), Some("cors.allowCredentials"))]
    #[case::twice(json!({"fhirVersion": "R4", "anonymous": true, "history": {"perType": [
        {"type": "Patient", "policy": "no-version"}, {"type": "Patient", "policy": "version-update"}]}}), Some("history.perType"))]
    #[case::limit(json!({"fhirVersion": "R4", "anonymous": true, "limits": {"count": 1001}}), Some("limits.count"))]
    fn bounds_are_kept(#[case] file: Value, #[case] option: Option<&str>) {
        let settings: Settings = serde_json::from_value(file).unwrap();
        assert_eq!(settings.validate().err().map(|error| error.option), option);
    }
}

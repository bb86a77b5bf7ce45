//! Where a FhirService keeps its data.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::{StorageSize, Volume};

/// At most one member; none: `sqlite` with its defaults.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.sqlite), has(self.postgres), has(self.external)].filter(x, x).size() <= 1")
        .message("at most one of sqlite, postgres and external")
)]
pub struct Database {
    /// SQLite on a volume of the service's only pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqlite: Option<Volume>,
    /// A PostgreSQL cluster owned by the service. Not supported by this release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postgres: Option<PostgresDatabase>,
    /// A PostgreSQL database of the user's. Not supported by this release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalDatabase>,
}

/// A CloudNativePG cluster owned by the service.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PostgresDatabase {
    /// PostgreSQL instances, the primary included.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 9))]
    pub instances: Option<u32>,
    /// Size of each instance's volume; it only grows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageSize>,
    /// StorageClass of the volumes, immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
}

/// A database URL in a Secret, mounted into the server and never read by the operator.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalDatabase {
    /// Name of the Secret in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
    /// Key that holds the URL.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// The kind of database of a service, absence resolved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DatabaseKind {
    /// SQLite on a volume.
    Sqlite,
    /// A PostgreSQL cluster owned by the service.
    Postgres,
    /// A PostgreSQL database of the user's.
    External,
}

impl DatabaseKind {
    /// As status shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::External => "external",
        }
    }
}

impl Database {
    /// Which member is there.
    pub fn kind(&self) -> DatabaseKind {
        if self.postgres.is_some() {
            DatabaseKind::Postgres
        } else if self.external.is_some() {
            DatabaseKind::External
        } else {
            DatabaseKind::Sqlite
        }
    }
}

//! `FhirService`: one managed FHIR server, R4 or STU3, with its data.

mod access;
mod database;
mod networking;
mod updates;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use access::{AccessGrant, Authentication, Issuer, Role, Smart, Subject};
pub use database::{Database, DatabaseKind, ExternalDatabase, PostgresDatabase};
pub use fhir_server_settings::{FhirVersion, Limits};
pub use networking::{Cors, Gateway, Networking, PrivateLink, PublicNetworkAccess, Tls};
pub use updates::{Channel, Day, MaintenanceWindow};

use crate::shared::{DeletionPolicy, PodOptions, Resources};

/// Size of a SQLite volume if nothing is said. The CEL rule on growth counts an absent size as this one.
pub const DEFAULT_SQLITE_STORAGE: &str = "10Gi";

/// Names are those of Kubernetes Services too, so they begin with a letter.
pub(crate) const NAME_RULE: &str = "self.metadata.name.matches('^[a-z][a-z0-9-]{1,22}[a-z0-9]$')";
pub(crate) const NAME_MESSAGE: &str = "metadata.name must have 3 to 24 characters of a-z, 0-9 and hyphen, begin with a letter and end with a letter or digit";

/// A managed FHIR service.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "fhir-operator.dev",
    version = "v1alpha1",
    kind = "FhirService",
    plural = "fhirservices",
    shortname = "fhir",
    category = "fhir-operator",
    namespaced,
    status = "FhirServiceStatus",
    derive = "PartialEq",
    doc = "A managed FHIR service: one FHIR server, R4 or STU3, with its data.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    validation = Rule::new(NAME_RULE).message(NAME_MESSAGE),
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.fhirVersion", description = "FHIR version"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Server", type_ = "string", json_path = ".status.serverVersion", description = "Release of the server that runs"),
    printcolumn(name = "Database", type_ = "string", json_path = ".status.database"),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.url"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#, priority = 1),
    printcolumn(name = "Connectors", type_ = "integer", json_path = ".status.iotConnectors", priority = 1),
    printcolumn(name = "Authentication", type_ = "string", json_path = ".status.authentication", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.fhirVersion == oldSelf.fhirVersion")
        .message("fhirVersion is immutable: make a new FhirService and move the data"),
    validation = Rule::new("!has(self.replicas) || self.replicas <= 1 || (has(self.database) && (has(self.database.postgres) || has(self.database.external)))")
        .message("more than one replica needs PostgreSQL: set database.postgres or database.external"),
    validation = Rule::new("(has(self.database) && has(self.database.postgres)) == (has(oldSelf.database) && has(oldSelf.database.postgres)) && (has(self.database) && has(self.database.external)) == (has(oldSelf.database) && has(oldSelf.database.external))")
        .message("the kind of database is immutable; absent is sqlite"),
    validation = Rule::new("(has(self.database) && has(self.database.sqlite) && has(self.database.sqlite.storageClassName) ? self.database.sqlite.storageClassName : '') == (has(oldSelf.database) && has(oldSelf.database.sqlite) && has(oldSelf.database.sqlite.storageClassName) ? oldSelf.database.sqlite.storageClassName : '')")
        .message("database.sqlite.storageClassName is immutable"),
    validation = Rule::new("(has(self.database) && has(self.database.postgres) && has(self.database.postgres.storageClassName) ? self.database.postgres.storageClassName : '') == (has(oldSelf.database) && has(oldSelf.database.postgres) && has(oldSelf.database.postgres.storageClassName) ? oldSelf.database.postgres.storageClassName : '')")
        .message("database.postgres.storageClassName is immutable"),
    validation = Rule::new("quantity(has(self.database) && has(self.database.sqlite) && has(self.database.sqlite.storage) ? self.database.sqlite.storage : '10Gi').compareTo(quantity(has(oldSelf.database) && has(oldSelf.database.sqlite) && has(oldSelf.database.sqlite.storage) ? oldSelf.database.sqlite.storage : '10Gi')) >= 0")
        .message("database.sqlite.storage only grows; absent is 10Gi"),
    validation = Rule::new("quantity(has(self.database) && has(self.database.postgres) && has(self.database.postgres.storage) ? self.database.postgres.storage : '10Gi').compareTo(quantity(has(oldSelf.database) && has(oldSelf.database.postgres) && has(oldSelf.database.postgres.storage) ? oldSelf.database.postgres.storage : '10Gi')) >= 0")
        .message("database.postgres.storage only grows; absent is 10Gi"),
    validation = Rule::new("!(has(self.authentication.anonymous) && self.authentication.anonymous && has(self.networking) && has(self.networking.host))")
        .message("authentication.anonymous and networking.host exclude each other: a service that is open to everybody isn't routed to the outside")
)]
pub struct FhirServiceSpec {
    /// FHIR version, immutable.
    pub fhir_version: FhirVersion,
    /// Release of the server to run; absent: the newest of the channel, rolled out in the maintenance window.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[0-9A-Za-z][0-9A-Za-z.+-]*$"))]
    pub version: Option<String>,
    /// Where managed updates come from; absent: `stable`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// When managed updates may roll; absent: the operator's window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance_window: Option<MaintenanceWindow>,
    /// Number of server pods; absent: 1. More than one needs PostgreSQL.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 20))]
    pub replicas: Option<u32>,
    /// Not supported by this release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
    /// Compute resources of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Where and how the pods are placed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodOptions>,
    /// Where the data is kept; absent: SQLite on a volume of 10Gi.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Database>,
    /// Take over retained data of the same name and FHIR version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adopt_existing: Option<bool>,
    /// What happens to the data when the service is deleted; absent: `Retain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Who may present themselves to the server.
    pub authentication: Authentication,
    /// Who may do what. No entry: nobody but connectors and the open endpoints.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub access: Vec<AccessGrant>,
    /// From where the service is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub networking: Option<Networking>,
    /// Cross-origin requests of browsers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// Limits of the FHIR API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Keep data and configuration, run nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// Scaling by load. Not supported by this release.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Autoscaling {
    /// Fewest pods.
    #[schemars(range(min = 1, max = 20))]
    pub min_replicas: u32,
    /// Most pods.
    #[schemars(range(min = 1, max = 20))]
    pub max_replicas: u32,
    /// CPU use at which pods are added, in percent of the request.
    #[serde(rename = "targetCPUUtilization")]
    #[schemars(range(min = 1, max = 100))]
    pub target_cpu_utilization: u32,
}

/// What runs and how it is reached.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FhirServiceStatus {
    /// The generation that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Base URL of the FHIR API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Published release of the FHIR specification, for example `4.0.1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fhir_version: Option<String>,
    /// Release of the server that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_version: Option<String>,
    /// A newer release of the channel that waits for the maintenance window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_version: Option<String>,
    /// Kind of database in force: `sqlite`, `postgres` or `external`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Authentication in force, for example `anonymous` or `issuers: 1, serviceAccounts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<String>,
    /// Private Link in force: `Enabled` or `Disabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_link: Option<String>,
    /// TLS on the Service: `None`, or the name of its Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// Pods of the workload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Label selector of the pods, for the scale subresource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Admitted IoTConnectors of this service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iot_connectors: Option<i32>,
    /// The Tenant that holds the namespace; absent where the namespace is a tenant of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Conditions, see the reference of conditions and reasons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_owned()]))]
    pub conditions: Vec<Condition>,
}

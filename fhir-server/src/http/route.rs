//! What FHIR calls an interaction (FHIR, section "http").

use fhir_definitions::{Definitions, ResourceType};
use http::Method;

use super::failure::Result;
use super::operation::Operation;
use super::routes;

/// What FHIR calls an interaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interaction {
    /// `GET metadata`
    Capabilities,
    /// `GET $versions`
    Versions,
    /// `GET openapi.json`
    OpenApi,
    /// `GET .well-known/smart-configuration`
    SmartConfiguration,
    /// `POST /`
    Bundle,
    /// `GET /`, `POST _search`
    SearchSystem,
    /// `GET Type`, `POST Type/_search`
    SearchType(ResourceType),
    /// `GET Patient/id/*`, `GET Patient/id/Observation`
    SearchCompartment {
        /// The compartment.
        name: String,
        /// Whose.
        id: String,
        /// Members of this type only.
        of: Option<ResourceType>,
    },
    /// `POST Type`
    Create(ResourceType),
    /// `GET Type/id`
    Read(ResourceType, String),
    /// `GET Type/id/_history/version`
    VersionRead(ResourceType, String, String),
    /// `PUT Type/id`
    Update(ResourceType, String),
    /// `PUT Type?criteria`
    ConditionalUpdate(ResourceType),
    /// `PATCH Type/id`
    Patch(ResourceType, String),
    /// `PATCH Type?criteria`
    ConditionalPatch(ResourceType),
    /// `DELETE Type/id`
    Delete(ResourceType, String),
    /// `DELETE Type?criteria`
    ConditionalDelete(ResourceType),
    /// `GET Type/id/_history`
    HistoryInstance(ResourceType, String),
    /// `GET Type/_history`
    HistoryType(ResourceType),
    /// `GET _history`
    HistorySystem,
    /// `GET _operations/kind/id`, and `DELETE`
    Job(String, String),
    /// `$operation`, on any level
    Operation(Operation),
}

impl Interaction {
    /// The code that metrics and logs show.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Capabilities => "capabilities",
            Self::Versions => "versions",
            Self::OpenApi => "openapi",
            Self::SmartConfiguration => "smart-configuration",
            Self::Bundle => "bundle",
            Self::SearchSystem => "search-system",
            Self::SearchType(_) => "search-type",
            Self::SearchCompartment { .. } => "search-compartment",
            Self::Create(_) => "create",
            Self::Read(..) => "read",
            Self::VersionRead(..) => "vread",
            Self::Update(..) => "update",
            Self::ConditionalUpdate(_) => "conditional-update",
            Self::Patch(..) => "patch",
            Self::ConditionalPatch(_) => "conditional-patch",
            Self::Delete(..) => "delete",
            Self::ConditionalDelete(_) => "conditional-delete",
            Self::HistoryInstance(..) => "history-instance",
            Self::HistoryType(_) => "history-type",
            Self::HistorySystem => "history-system",
            Self::Job(..) => "job",
            Self::Operation(operation) => operation.served.code,
        }
    }

    /// The type that it is about.
    pub fn resource_type(&self) -> Option<&'static str> {
        match self {
            Self::Capabilities
            | Self::Versions
            | Self::OpenApi
            | Self::SmartConfiguration
            | Self::Bundle
            | Self::Job(..)
            | Self::SearchSystem
            | Self::HistorySystem => None,
            Self::SearchCompartment { of, .. } | Self::Operation(Operation { of, .. }) => of.map(ResourceType::name),
            Self::SearchType(of)
            | Self::Create(of)
            | Self::Read(of, _)
            | Self::VersionRead(of, ..)
            | Self::Update(of, _)
            | Self::ConditionalUpdate(of)
            | Self::Patch(of, _)
            | Self::ConditionalPatch(of)
            | Self::Delete(of, _)
            | Self::ConditionalDelete(of)
            | Self::HistoryInstance(of, _)
            | Self::HistoryType(of) => Some(of.name()),
        }
    }

    /// Whether it is open to everyone.
    pub fn is_open(&self) -> bool {
        matches!(
            self,
            Self::Capabilities | Self::Versions | Self::OpenApi | Self::SmartConfiguration
        )
    }

    /// Finds the interaction of a path below the base.
    pub fn of(method: &Method, path: &[String], definitions: &'static Definitions) -> Result<Self> {
        routes::interaction(method, path, definitions)
    }
}

#[cfg(test)]
mod tests {
    use fhir_definitions::FhirVersion;
    use rstest::rstest;

    use super::*;
    use crate::http::call::segments;

    #[rstest]
    #[case("GET", "/", "search-system")]
    #[case("POST", "", "bundle")]
    #[case("GET", "/metadata", "capabilities")]
    #[case("GET", "/Patient", "search-type")]
    #[case("POST", "/Patient/_search", "search-type")]
    #[case("POST", "/Patient", "create")]
    #[case("HEAD", "/Patient/1", "read")]
    #[case("PUT", "/Patient/1", "update")]
    #[case("PUT", "/Patient", "conditional-update")]
    #[case("DELETE", "/Patient/1", "delete")]
    #[case("GET", "/Patient/1/_history", "history-instance")]
    #[case("GET", "/Patient/1/_history/2", "vread")]
    #[case("GET", "/Patient/1/*", "search-compartment")]
    #[case("POST", "/Patient/1/*", "405")]
    #[case("POST", "/Patient/1/Observation/_search", "search-compartment")]
    #[case("GET", "/Patient/1/observation", "404")]
    #[case("GET", "/Patient/1/_foo", "404")]
    #[case("GET", "/Patient/_foo", "404")]
    #[case("GET", "/_foo", "404")]
    #[case("GET", "/.well-known", "404")]
    #[case("PUT", "/", "405")]
    #[case("PUT", "/_search", "405")]
    #[case("GET", "/Patient/1/_history/1/x", "404")]
    #[case("GET", "/Patient/1/Observation", "search-compartment")]
    #[case("GET", "/patient/1", "404")]
    #[case("PUT", "/patient/123", "404")]
    #[case("GET", "/Clinic/1", "404")]
    #[case("GET", "/Observation/1/Patient", "404")]
    #[case("GET", "/Patient/1/$everything", "everything")]
    #[case("DELETE", "/Patient/1/$everything", "405")]
    #[case("GET", "/Observation/1/$everything", "404")]
    #[case("GET", "/Patient/$everything", "404")]
    #[case("POST", "/Patient/$member-match", "member-match")]
    #[case("GET", "/Patient/$member-match", "405")]
    #[case("GET", "/Patient/1/$nothing", "404")]
    #[case("GET", "/$nothing", "404")]
    #[case("POST", "/$reindex", "reindex")]
    #[case("GET", "/Patient/1/$reindex", "reindex")]
    #[case("GET", "/_operations/reindex/1", "job")]
    #[case("DELETE", "/_operations/reindex/1", "job")]
    #[case("POST", "/_operations/reindex/1", "405")]
    #[case("DELETE", "/Patient/1/$purge-history", "purge-history")]
    #[case("GET", "/Observation/$lastn", "lastn")]
    #[case("GET", "/Patient/$lastn", "404")]
    #[case("POST", "/Patient/1/$meta-add", "meta-add")]
    #[case("PATCH", "/Patient/1", "patch")]
    #[case("PATCH", "/Patient", "conditional-patch")]
    #[case("PATCH", "/Patient/1/_history/1", "405")]
    #[case("DELETE", "/metadata", "405")]
    #[case("GET", "/.well-known/smart-configuration", "smart-configuration")]
    #[case("GET", "/.well-known/other", "404")]
    fn routes(#[case] method: &str, #[case] path: &str, #[case] expected: &str) {
        let method = method.parse().expect("method");
        let found = Interaction::of(&method, &segments(path), FhirVersion::R4.definitions());
        let found = match &found {
            Ok(interaction) => interaction.code().to_owned(),
            Err(failure) => failure.status.as_u16().to_string(),
        };
        assert_eq!(found, expected);
    }
}

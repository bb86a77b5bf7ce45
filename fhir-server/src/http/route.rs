//! Method and path → interaction (FHIR, section "http"). Requests and entries of bundles take the same way.

use fhir_definitions::{Definitions, ResourceType};
use http::Method;

use super::failure::{Failure, Result};
use super::operation::Operation;

/// What FHIR calls an interaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interaction {
    /// `GET metadata`
    Capabilities,
    /// `GET $versions`
    Versions,
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
    /// `$operation`, on any level
    Operation(Operation),
}

impl Interaction {
    /// The code that metrics and logs show.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Capabilities => "capabilities",
            Self::Versions => "versions",
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
            Self::Operation(operation) => operation.served.code,
        }
    }

    /// Whether it is open to everyone.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Capabilities | Self::Versions)
    }

    /// Finds the interaction of a path below the base.
    pub fn of(method: &Method, path: &[String], definitions: &'static Definitions) -> Result<Self> {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let get = method == Method::GET || method == Method::HEAD;
        let post = method == Method::POST;
        let resource_type = |name: &str| {
            definitions
                .resource_type(name)
                .ok_or_else(|| Failure::unknown_type(name))
        };
        match path.as_slice() {
            [] if get => Ok(Self::SearchSystem),
            [] if post => Ok(Self::Bundle),
            ["metadata"] if get => Ok(Self::Capabilities),
            ["$versions"] if get => Ok(Self::Versions),
            ["_history"] if get => Ok(Self::HistorySystem),
            ["_search"] if get || post => Ok(Self::SearchSystem),
            [] | ["metadata" | "$versions" | "_history" | "_search"] => Err(Failure::method_not_allowed()),
            [name] if let Some(code) = name.strip_prefix('$') => {
                Operation::of(method, code, None, None).map(Self::Operation)
            }
            [name] if name.starts_with(['_', '.']) => Err(Failure::unknown_route()),
            [name] => {
                let of = resource_type(name)?;
                match *method {
                    Method::GET | Method::HEAD => Ok(Self::SearchType(of)),
                    Method::POST => Ok(Self::Create(of)),
                    Method::PUT => Ok(Self::ConditionalUpdate(of)),
                    Method::PATCH => Ok(Self::ConditionalPatch(of)),
                    Method::DELETE => Ok(Self::ConditionalDelete(of)),
                    _ => Err(Failure::method_not_allowed()),
                }
            }
            [name, "_search"] => {
                let of = resource_type(name)?;
                if get || post {
                    Ok(Self::SearchType(of))
                } else {
                    Err(Failure::method_not_allowed())
                }
            }
            [name, "_history"] => {
                let of = resource_type(name)?;
                if get {
                    Ok(Self::HistoryType(of))
                } else {
                    Err(Failure::method_not_allowed())
                }
            }
            [name, operation] if let Some(code) = operation.strip_prefix('$') => {
                Operation::of(method, code, Some(resource_type(name)?), None).map(Self::Operation)
            }
            [name, id, operation] if let Some(code) = operation.strip_prefix('$') => {
                Operation::of(method, code, Some(resource_type(name)?), Some(id)).map(Self::Operation)
            }
            [_, operation] if operation.starts_with('_') => Err(Failure::unknown_route()),
            [name, id] => {
                let (of, id) = (resource_type(name)?, (*id).to_owned());
                match *method {
                    Method::GET | Method::HEAD => Ok(Self::Read(of, id)),
                    Method::PUT => Ok(Self::Update(of, id)),
                    Method::PATCH => Ok(Self::Patch(of, id)),
                    Method::DELETE => Ok(Self::Delete(of, id)),
                    _ => Err(Failure::method_not_allowed()),
                }
            }
            [name, id, "_history"] => {
                let of = resource_type(name)?;
                if get {
                    Ok(Self::HistoryInstance(of, (*id).to_owned()))
                } else {
                    Err(Failure::method_not_allowed())
                }
            }
            [name, id, "_history", version] => {
                let of = resource_type(name)?;
                if get {
                    Ok(Self::VersionRead(of, (*id).to_owned(), (*version).to_owned()))
                } else {
                    Err(Failure::method_not_allowed())
                }
            }
            [name, id, rest @ ..] if definitions.compartment(name).is_some() => {
                let of = match rest {
                    ["*"] => None,
                    [of] | [of, "_search"] if !of.starts_with(['$', '_']) => Some(resource_type(of)?),
                    _ => return Err(Failure::unknown_route()),
                };
                if get || (post && rest.len() == 2) {
                    Ok(Self::SearchCompartment {
                        name: (*name).to_owned(),
                        id: (*id).to_owned(),
                        of,
                    })
                } else {
                    Err(Failure::method_not_allowed())
                }
            }
            _ => Err(Failure::unknown_route()),
        }
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
    #[case("PATCH", "/Patient/1", "patch")]
    #[case("PATCH", "/Patient", "conditional-patch")]
    #[case("PATCH", "/Patient/1/_history/1", "405")]
    #[case("DELETE", "/metadata", "405")]
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

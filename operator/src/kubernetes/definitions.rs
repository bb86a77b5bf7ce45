//! Are the installed CustomResourceDefinitions as new as this operator? On older ones it would silently lose the fields
//! that they don't know, so it refuses to start instead.

use fhir_operator_api::{RELEASE_ANNOTATION, custom_resource_definitions};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, ResourceExt};

/// Why the operator doesn't start.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// One isn't installed.
    #[error("CustomResourceDefinition `{name}` isn't installed: {REMEDY}")]
    Missing {
        /// Its name.
        name: String,
    },
    /// One is of an older release.
    #[error("CustomResourceDefinition `{name}` is of release {installed}, this operator needs {needed}: {REMEDY}")]
    Older {
        /// Its name.
        name: String,
        /// What is installed.
        installed: String,
        /// What is needed.
        needed: String,
    },
    /// The API server refuses.
    #[error("CustomResourceDefinition `{name}` can't be read")]
    Api {
        /// Its name.
        name: String,
        /// Why.
        source: kube::Error,
    },
}

const REMEDY: &str = "run `helm upgrade --install fhir-operator-crds charts/fhir-operator-crds` of this release, or \
                      `fhir-operator crds | kubectl apply --server-side -f -`";

/// Fails on the first definition that is missing or older than this operator's own.
pub async fn verify(client: &Client) -> Result<(), DefinitionError> {
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    for wanted in custom_resource_definitions() {
        let name = wanted.name_any();
        let found = api.get_metadata_opt(&name).await;
        let found = found.map_err(|source| DefinitionError::Api {
            name: name.clone(),
            source,
        })?;
        let Some(found) = found else {
            return Err(DefinitionError::Missing { name });
        };
        let installed = found
            .annotations()
            .get(RELEASE_ANNOTATION)
            .map_or("0.0.0", String::as_str);
        let needed = env!("CARGO_PKG_VERSION");
        if parts(installed) < parts(needed) {
            let (installed, needed) = (installed.to_owned(), needed.to_owned());
            return Err(DefinitionError::Older {
                name,
                installed,
                needed,
            });
        }
    }
    Ok(())
}

/// Major, minor, patch; what comes after a hyphen isn't compared.
fn parts(release: &str) -> [u64; 3] {
    let core = release.split(['-', '+']).next().unwrap_or_default();
    let mut numbers = core.split('.').map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_compare_by_number() {
        assert!(parts("0.9.0") < parts("0.10.0"));
        assert!(parts("0.10.0-rc.1") == parts("0.10.0"));
        assert!(parts("") < parts("0.0.1"));
    }
}

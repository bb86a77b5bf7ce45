//! Every kind that the operator touches, and with which verbs: the one table that the chart's RBAC is made from.

use serde::Serialize;

/// Where a permission applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In every namespace that is watched.
    Watched,
    /// In the whole cluster; what a namespaced installation does without.
    Cluster,
    /// In the operator's own namespace.
    Own,
}

/// One permission.
#[derive(Clone, Copy, Debug)]
pub struct Permission {
    /// Where.
    pub scope: Scope,
    /// API group, empty for the core group.
    pub group: &'static str,
    /// Resource or resource/subresource, plural.
    pub resource: &'static str,
    /// Only the objects that the chart makes by this name; none for any.
    pub name: Option<Named>,
    /// Verbs.
    pub verbs: &'static [&'static str],
}

/// Objects that the chart names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// The Lease of the leader election.
    Lease,
    /// The Secret of the webhook's CA.
    Authority,
    /// The ValidatingWebhookConfiguration.
    Webhook,
    /// A CustomResourceDefinition of ours.
    Definition(&'static str),
}

const FOLLOW: &[&str] = &["get", "list", "watch"];
const KEEP: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];
/// Data and what identifies it is never deleted by the operator.
const KEEP_DATA: &[&str] = &["get", "list", "watch", "create", "patch"];

const OURS: &str = "fhir-operator.dev";

/// Every permission that the operator has.
pub const PERMISSIONS: &[Permission] = &[
    watched(OURS, "fhirservices", FOLLOW),
    watched(OURS, "fhirservices/status", &["patch"]),
    watched(OURS, "iotconnectors", FOLLOW),
    watched(OURS, "iotconnectors/status", &["patch"]),
    // An owner reference that blocks deletion asks for this where the admission plugin is on.
    watched(OURS, "fhirservices/finalizers", &["update"]),
    watched(OURS, "iotconnectors/finalizers", &["update"]),
    watched("", "configmaps", KEEP),
    watched("", "persistentvolumeclaims", KEEP_DATA),
    watched("", "pods", FOLLOW),
    // Device keys are made once; a PATCH would answer with the content, so there is none.
    watched("", "secrets", &["create"]),
    watched("", "serviceaccounts", KEEP),
    watched("", "services", KEEP),
    watched("apps", "statefulsets", KEEP),
    watched("events.k8s.io", "events", &["create", "patch"]),
    watched("networking.k8s.io", "networkpolicies", KEEP),
    watched("policy", "poddisruptionbudgets", KEEP),
    cluster(OURS, "tenants", None, FOLLOW),
    cluster(OURS, "tenants/status", None, &["patch"]),
    cluster("", "namespaces", None, FOLLOW),
    cluster(
        "admissionregistration.k8s.io",
        "validatingwebhookconfigurations",
        Some(Named::Webhook),
        &["get", "patch"],
    ),
    cluster(
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        Some(Named::Definition("fhirservices")),
        &["get"],
    ),
    cluster(
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        Some(Named::Definition("iotconnectors")),
        &["get"],
    ),
    cluster(
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        Some(Named::Definition("tenants")),
        &["get"],
    ),
    own("coordination.k8s.io", "leases", None, &["create"]),
    own("coordination.k8s.io", "leases", Some(Named::Lease), &["get", "update"]),
    own("", "secrets", None, &["create"]),
    own("", "secrets", Some(Named::Authority), &["get", "update"]),
];

/// A path outside of the resources that the operator reads: who signs ServiceAccount tokens, and with which keys.
pub const NON_RESOURCE_PATHS: &[&str] = &["/.well-known/openid-configuration", "/openid/v1/jwks"];

const fn watched(group: &'static str, resource: &'static str, verbs: &'static [&'static str]) -> Permission {
    Permission {
        scope: Scope::Watched,
        group,
        resource,
        name: None,
        verbs,
    }
}

const fn cluster(
    group: &'static str,
    resource: &'static str,
    name: Option<Named>,
    verbs: &'static [&'static str],
) -> Permission {
    Permission {
        scope: Scope::Cluster,
        group,
        resource,
        name,
        verbs,
    }
}

const fn own(
    group: &'static str,
    resource: &'static str,
    name: Option<Named>,
    verbs: &'static [&'static str],
) -> Permission {
    Permission {
        scope: Scope::Own,
        group,
        resource,
        name,
        verbs,
    }
}

/// A rule as RBAC writes it; names of charted objects as template expressions.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PolicyRule {
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    non_resource_urls: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    api_groups: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resources: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resource_names: Vec<String>,
    verbs: Vec<&'static str>,
}

/// The rules of one scope as the chart includes them: YAML with Helm expressions where the chart gives the names.
pub fn rules_yaml(scope: Scope) -> Result<String, serde_yaml::Error> {
    let mut rules: Vec<PolicyRule> = PERMISSIONS
        .iter()
        .filter(|permission| permission.scope == scope)
        .map(|permission| PolicyRule {
            non_resource_urls: Vec::new(),
            api_groups: vec![permission.group],
            resources: vec![permission.resource],
            resource_names: permission.name.map(template).into_iter().collect(),
            verbs: permission.verbs.to_vec(),
        })
        .collect();
    if scope == Scope::Cluster {
        rules.push(PolicyRule {
            non_resource_urls: NON_RESOURCE_PATHS.to_vec(),
            api_groups: Vec::new(),
            resources: Vec::new(),
            resource_names: Vec::new(),
            verbs: vec!["get"],
        });
    }
    serde_yaml::to_string(&rules)
}

fn template(name: Named) -> String {
    match name {
        Named::Lease => "{{ include \"fhir-operator.lease\" . }}".to_owned(),
        Named::Authority => "{{ include \"fhir-operator.caSecret\" . }}".to_owned(),
        Named::Webhook => "{{ include \"fhir-operator.webhookConfiguration\" . }}".to_owned(),
        Named::Definition(plural) => format!("{plural}.{OURS}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_tenants_can_only_be_made() {
        let secrets: Vec<_> = PERMISSIONS
            .iter()
            .filter(|p| p.resource == "secrets" && p.scope != Scope::Own)
            .collect();
        assert_eq!(secrets.len(), 1);
        assert_eq!(secrets[0].verbs, ["create"]);
    }

    #[test]
    fn data_is_never_deleted() {
        for permission in PERMISSIONS
            .iter()
            .filter(|p| ["secrets", "persistentvolumeclaims"].contains(&p.resource))
        {
            assert!(!permission.verbs.contains(&"delete"), "{permission:?}");
        }
    }

    #[test]
    fn nothing_is_a_wildcard() {
        for permission in PERMISSIONS {
            assert!(![permission.group, permission.resource].contains(&"*"));
            assert!(!permission.verbs.contains(&"*"));
        }
    }
}

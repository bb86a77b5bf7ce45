//! `NAME-fhir-access`: issuers with their keys, and who may do what. The server reads it again when it changes, so that
//! a new connector restarts nothing.

use fhir_operator_api::{AccessGrant, Issuer, Role, Subject};
use k8s_openapi::api::core::v1::ConfigMap;
use serde::Serialize;

use super::settings::{ACCESS_FILE, CA_PATH, ca_file};
use crate::fhir_service::{Authentication, Validated, World};
use crate::names::Owner;

/// The role that connectors have: read, create, update of Patient, Device, Encounter, Observation.
const CONNECTOR_ROLE: &str = "Connector";

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Access {
    issuers: Vec<AcceptedIssuer>,
    grants: Vec<Grant>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AcceptedIssuer {
    issuer: String,
    audience: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Grant {
    role: String,
    subjects: Vec<GrantedSubject>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct GrantedSubject {
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    claim: String,
    value: String,
}

pub(super) fn build(validated: &Validated, world: &World) -> ConfigMap {
    let owner = &validated.owner;
    ConfigMap {
        metadata: owner.metadata(owner.child_part("access"), "configuration"),
        data: Some([(ACCESS_FILE.to_owned(), text(&access(validated, world)))].into()),
        ..ConfigMap::default()
    }
}

fn text(access: &Access) -> String {
    // Plain structs of texts always serialise.
    serde_json::to_string_pretty(access).unwrap_or_default()
}

fn access(validated: &Validated, world: &World) -> Access {
    let Authentication::Tokens {
        issuers,
        service_accounts,
    } = &validated.authentication
    else {
        return Access {
            issuers: Vec::new(),
            grants: Vec::new(),
        };
    };
    let cluster = world.cluster_issuer.as_ref();
    let mut accepted: Vec<AcceptedIssuer> = issuers
        .iter()
        .enumerate()
        .map(|(position, issuer)| discovered(position, issuer))
        .collect();
    if let Some(cluster) = cluster.filter(|_| *service_accounts || !validated.connectors.is_empty()) {
        accepted.push(AcceptedIssuer {
            issuer: cluster.issuer.clone(),
            audience: audience(&validated.owner),
            jwks: Some(cluster.jwks.clone()),
            ca_file: None,
        });
    }
    let cluster = cluster.map(|cluster| cluster.issuer.as_str());
    let mut grants: Vec<Grant> = validated
        .access
        .iter()
        .map(|grant| granted(grant, &validated.owner, cluster.filter(|_| *service_accounts)))
        .filter(|grant| !grant.subjects.is_empty())
        .collect();
    if let Some(cluster) = cluster.filter(|_| !validated.connectors.is_empty()) {
        grants.push(Grant {
            role: CONNECTOR_ROLE.to_owned(),
            subjects: validated
                .connectors
                .iter()
                .map(|connector| service_account(cluster, &validated.owner.namespace, &format!("{connector}-iot")))
                .collect(),
        });
    }
    Access {
        issuers: accepted,
        grants,
    }
}

/// The audience of ServiceAccount tokens for a service.
pub(crate) fn audience(owner: &Owner) -> String {
    format!("{}/{}", owner.namespace, owner.name)
}

fn discovered(position: usize, issuer: &Issuer) -> AcceptedIssuer {
    AcceptedIssuer {
        issuer: issuer.authority.clone(),
        audience: issuer.audience.clone(),
        jwks: None,
        ca_file: issuer
            .ca_bundle
            .as_ref()
            .map(|_| format!("{CA_PATH}/{}", ca_file(position))),
    }
}

/// A ServiceAccount counts with tokens of the cluster's issuer only, and only while `serviceAccounts` is on.
fn granted(grant: &AccessGrant, owner: &Owner, cluster: Option<&str>) -> Grant {
    Grant {
        role: role(grant.role).to_owned(),
        subjects: grant
            .subjects
            .iter()
            .filter_map(|one| subject(one, owner, cluster))
            .collect(),
    }
}

fn subject(subject: &Subject, owner: &Owner, cluster: Option<&str>) -> Option<GrantedSubject> {
    if let Some(account) = &subject.service_account {
        let (namespace, name) = account.split_once('/').unwrap_or((&owner.namespace, account));
        return cluster.map(|issuer| service_account(issuer, namespace, name));
    }
    let (claim, value) = match (&subject.object_id, &subject.claim, &subject.value) {
        (Some(id), _, _) => ("oid".to_owned(), id.clone()),
        (None, Some(claim), Some(value)) => (claim.clone(), value.clone()),
        // CEL refuses a subject that names nobody; one stored before the rule grants nothing.
        _ => return None,
    };
    Some(GrantedSubject {
        issuer: None,
        claim,
        value,
    })
}

fn service_account(issuer: &str, namespace: &str, name: &str) -> GrantedSubject {
    GrantedSubject {
        issuer: Some(issuer.to_owned()),
        claim: "sub".to_owned(),
        value: format!("system:serviceaccount:{namespace}:{name}"),
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Reader => "Reader",
        Role::Writer => "Writer",
        Role::Contributor => "Contributor",
        Role::Exporter => "Exporter",
        Role::Importer => "Importer",
        Role::Converter => "Converter",
        Role::BulkOperator => "BulkOperator",
        Role::SearchParameterManager => "SearchParameterManager",
        Role::SmartUser => "SmartUser",
    }
}

//! `NAME-fhir-access`: issuers with their keys, and who may do what. The server reads it again when it changes, so that
//! a new connector restarts nothing.

use std::collections::BTreeMap;

use fhir_operator_api::AccessGrant;
use fhir_server_settings::{Access, Grant, Issuer, Role, Subject};
use k8s_openapi::api::core::v1::ConfigMap;

use super::settings::{ACCESS_FILE, ACCESS_PATH, CA_PATH, JWKS_FILE};
use crate::fhir_service::{Authentication, Validated, World};
use crate::names::{Owner, audience};
use crate::pods::issuer_certificate;

pub(super) fn build(validated: &Validated, world: &World) -> ConfigMap {
    let owner = &validated.owner;
    let access = access(validated, world);
    // Plain structs of texts always serialise.
    let text = serde_json::to_string_pretty(&access).unwrap_or_default();
    let mut data = BTreeMap::from([(ACCESS_FILE.to_owned(), text)]);
    if let Some(cluster) = world
        .cluster_issuer
        .as_ref()
        .filter(|_| access.issuers.iter().any(|issuer| issuer.jwks_file.is_some()))
    {
        data.insert(JWKS_FILE.to_owned(), cluster.jwks.clone());
    }
    ConfigMap {
        metadata: owner.metadata(owner.child_part("access"), "configuration"),
        data: Some(data),
        ..ConfigMap::default()
    }
}

fn access(validated: &Validated, world: &World) -> Access {
    let Authentication::Tokens {
        issuers,
        service_accounts,
    } = &validated.authentication
    else {
        return Access::default();
    };
    let cluster = world.cluster_issuer.as_ref();
    let mut accepted: Vec<Issuer> = issuers
        .iter()
        .enumerate()
        .map(|(position, issuer)| discovered(position, issuer))
        .collect();
    if let Some(cluster) = cluster.filter(|_| *service_accounts || !validated.connectors.is_empty()) {
        accepted.push(Issuer {
            authority: cluster.issuer.clone(),
            audiences: vec![audience(&validated.owner.namespace, &validated.owner.name)],
            jwks_file: Some(format!("{ACCESS_PATH}/{JWKS_FILE}").into()),
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
        let account =
            |connector: &String| service_account(cluster, &validated.owner.namespace, &format!("{connector}-iot"));
        grants.push(Grant {
            role: Role::Connector,
            subjects: validated.connectors.iter().map(account).collect(),
        });
    }
    Access {
        issuers: accepted,
        grants,
    }
}

fn discovered(position: usize, issuer: &fhir_operator_api::Issuer) -> Issuer {
    Issuer {
        authority: issuer.authority.clone(),
        audiences: vec![issuer.audience.clone()],
        jwks_file: None,
        ca_file: issuer
            .ca_bundle
            .as_ref()
            .map(|_| format!("{CA_PATH}/{}", issuer_certificate(position)).into()),
    }
}

/// A ServiceAccount counts with tokens of the cluster's issuer only, and only while `serviceAccounts` is on.
fn granted(grant: &AccessGrant, owner: &Owner, cluster: Option<&str>) -> Grant {
    Grant {
        role: role(grant.role),
        subjects: grant
            .subjects
            .iter()
            .filter_map(|one| subject(one, owner, cluster))
            .collect(),
    }
}

fn subject(subject: &fhir_operator_api::Subject, owner: &Owner, cluster: Option<&str>) -> Option<Subject> {
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
    Some(Subject {
        issuer: None,
        claim,
        value,
    })
}

fn service_account(issuer: &str, namespace: &str, name: &str) -> Subject {
    Subject {
        issuer: Some(issuer.to_owned()),
        claim: "sub".to_owned(),
        value: format!("system:serviceaccount:{namespace}:{name}"),
    }
}

/// Roles of later releases are refused before; here they allow nothing.
fn role(role: fhir_operator_api::Role) -> Role {
    use fhir_operator_api::Role as Wanted;
    match role {
        Wanted::Reader => Role::Reader,
        Wanted::Writer => Role::Writer,
        Wanted::Contributor => Role::Contributor,
        Wanted::Exporter
        | Wanted::Importer
        | Wanted::Converter
        | Wanted::BulkOperator
        | Wanted::SearchParameterManager
        | Wanted::SmartUser => Role::Unknown,
    }
}

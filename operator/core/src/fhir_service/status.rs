//! What a FhirService's status says. `Admitted` isn't here: it is written with the place, by `tenant`.

use fhir_operator_api::{ConditionType, FhirService, FhirServiceStatus, Reason};
use k8s_openapi::api::networking::v1::NetworkPolicy;

use super::{ApplyRefusal, Authentication, Decision, PolicyProbe, PrivateLink, Validated, World};
use crate::conditions::{self, Finding};
use crate::names::{self, Owner};
use crate::releases::Running;
use crate::tenant::{Admissible as _, is_admitted};
use crate::{Refusal, is_paused, pods, tenant};

/// The status, without the condition `Admitted`. Times move only when a status flips.
pub fn status(service: &FhirService, decision: &Decision, world: &World) -> FhirServiceStatus {
    let old = service.conditions();
    let owner = Owner::service(service);
    let running = world.stateful_set.as_deref().and_then(Running::of);
    let findings = match decision {
        Decision::Run(validated) => running_findings(service, validated, world),
        Decision::Hold(refusal) => held_findings(service, &owner, refusal, world),
    };
    let conditions = findings
        .iter()
        .map(|finding| finding.condition(old, service.metadata.generation, world.now))
        .collect();
    let admitted = is_admitted(service);
    let mut status = FhirServiceStatus {
        observed_generation: service.metadata.generation,
        fhir_version: Some(service.spec.fhir_version.release().to_owned()),
        server_version: running.map(|running| running.version),
        tenant: world.tenant.tenant().map(str::to_owned),
        iot_connectors: admitted.then(|| admitted_connectors(world)),
        url: admitted.then(|| format!("http://{}.{}.svc/", owner.name, owner.namespace)),
        selector: admitted.then(|| owner.selector_text()),
        replicas: admitted.then(|| replicas(world)),
        conditions,
        ..FhirServiceStatus::default()
    };
    if let Decision::Run(validated) = decision {
        status.server_version = Some(validated.release.version.clone());
        status.available_version.clone_from(&validated.release.available);
        status.database = Some(validated.database.name().to_owned());
        status.authentication = Some(validated.authentication.summary());
        status.private_link = Some(
            if matches!(validated.private_link, PrivateLink::On(_)) {
                "Enabled"
            } else {
                "Disabled"
            }
            .to_owned(),
        );
        status.tls = Some("None".to_owned());
    } else if let Some(told) = service.status.as_ref() {
        // What runs goes on as it was, so what status says about it does too.
        status.available_version.clone_from(&told.available_version);
        status.database.clone_from(&told.database);
        status.authentication.clone_from(&told.authentication);
        status.private_link.clone_from(&told.private_link);
        status.tls.clone_from(&told.tls);
    }
    if let (Some(page), Decision::Run(_)) = (&world.page, decision) {
        status.server_version = Some(page.version.clone());
    }
    status
}

fn admitted_connectors(world: &World) -> i32 {
    let admitted = world
        .connectors
        .iter()
        .filter(|connector| tenant::is_admitted(connector.as_ref()))
        .count();
    i32::try_from(admitted).unwrap_or(i32::MAX)
}

fn replicas(world: &World) -> i32 {
    world
        .stateful_set
        .as_ref()
        .and_then(|set| set.status.as_ref())
        .map_or(0, |status| status.replicas)
}

/// What runs goes on while the service is held, and its own condition says how it is.
fn held_findings(service: &FhirService, owner: &Owner, refusal: &Refusal, world: &World) -> Vec<Finding> {
    let mut findings = vec![Finding::refused(ConditionType::Ready, refusal)];
    if matches!(refusal.reason, Reason::DataExists | Reason::VolumePending) {
        findings.push(Finding::refused(ConditionType::DatabaseReady, refusal));
    }
    if let Some(workload) = world
        .stateful_set
        .as_deref()
        .filter(|set| names::is_child_of(&set.metadata, &owner.uid))
    {
        findings.push(pods::finding(
            owner,
            pods::is_suspended(workload),
            Some(workload),
            &pods(world),
        ));
    }
    findings.extend(paused(service));
    findings
}

fn running_findings(service: &FhirService, validated: &Validated, world: &World) -> Vec<Finding> {
    let depends = [
        Some(validated.volume.finding(
            ConditionType::DatabaseReady,
            world.volume_claim.as_deref(),
            ApplyRefusal::of(&world.refused, "PersistentVolumeClaim"),
        )),
        Some(pods::finding(
            &validated.owner,
            validated.suspended,
            world.stateful_set.as_deref(),
            &pods(world),
        )),
        Some(Finding::holds(
            ConditionType::Exposed,
            Reason::ClusterOnly,
            "reached inside the cluster; no route is asked for",
        )),
        private_link(validated, world),
    ];
    let depends: Vec<Finding> = depends.into_iter().flatten().collect();
    let ready = conditions::ready(&in_order_of_cause(&depends), Reason::Serving, serving(validated, world));
    let mut findings = vec![ready];
    findings.extend(depends);
    findings.push(validated.release.finding.clone());
    findings.extend(paused(service));
    findings
}

/// A volume that waits for its first consumer isn't the cause of a pod that can't be placed or doesn't run by wish: then
/// the pod's condition is Ready's reason.
fn in_order_of_cause(depends: &[Finding]) -> Vec<Finding> {
    let pod_is_the_cause = depends.iter().any(|finding| {
        finding.condition == ConditionType::WorkloadReady
            && matches!(finding.reason, Reason::Suspended | Reason::Unschedulable)
    });
    depends
        .iter()
        .filter(|finding| !(pod_is_the_cause && finding.reason == Reason::VolumePending))
        .cloned()
        .collect()
}

fn pods(world: &World) -> Vec<&k8s_openapi::api::core::v1::Pod> {
    world.pods.iter().map(AsRef::as_ref).collect()
}

/// Ready's message says what is in force that opens or closes something.
fn serving(validated: &Validated, world: &World) -> String {
    let access = match &validated.authentication {
        Authentication::Anonymous => "; anonymous: everybody who reaches it may read and write without a token",
        Authentication::Tokens {
            service_accounts: true, ..
        } if world.cluster_issuer.is_none() => {
            "; the cluster doesn't tell the keys of its ServiceAccount tokens: they aren't accepted"
        }
        Authentication::Tokens { .. } if validated.access.is_empty() => {
            "; spec.access is empty: nobody but connectors has access"
        }
        Authentication::Tokens { .. } => "",
    };
    format!(
        "serves FHIR {} ({}){access}",
        validated.fhir_version.name(),
        validated.fhir_version.release()
    )
}

fn private_link(validated: &Validated, world: &World) -> Option<Finding> {
    let fails = |reason, message: String| Some(Finding::fails(ConditionType::PrivateLinkReady, reason, message));
    match &validated.private_link {
        PrivateLink::Off => None,
        PrivateLink::Refused(refusal) => Some(Finding::refused(ConditionType::PrivateLinkReady, refusal)),
        PrivateLink::On(_) => {
            if let Some(other) = other_policy(&validated.owner, world) {
                return fails(
                    Reason::OtherPolicyOpens,
                    format!(
                        "NetworkPolicy `{other}` selects the service's pods too and allows more: change or remove it"
                    ),
                );
            }
            if world.probe == Some(PolicyProbe::Connected) {
                return fails(
                    Reason::PolicyNotEnforced,
                    "the operator's own pod reaches the service in spite of its NetworkPolicy: install a network plugin that enforces them"
                        .to_owned(),
                );
            }
            Some(Finding::holds(
                ConditionType::PrivateLinkReady,
                Reason::InForce,
                "only pods of the allowed namespaces reach the service",
            ))
        }
    }
}

/// Another policy that selects our pods and admits traffic: policies add up.
fn other_policy(owner: &Owner, world: &World) -> Option<String> {
    let labels = owner.labels("server");
    world
        .network_policies
        .iter()
        .filter(|policy| !names::is_child_of(&policy.metadata, &owner.uid))
        .find(|policy| opens(policy) && selects(policy, &labels))
        .and_then(|policy| policy.metadata.name.clone())
}

fn opens(policy: &NetworkPolicy) -> bool {
    policy
        .spec
        .as_ref()
        .is_some_and(|spec| spec.ingress.as_ref().is_some_and(|rules| !rules.is_empty()))
}

fn selects(policy: &NetworkPolicy, labels: &std::collections::BTreeMap<String, String>) -> bool {
    let Some(selector) = policy.spec.as_ref().and_then(|spec| spec.pod_selector.as_ref()) else {
        return true;
    };
    crate::selectors::matches(selector, labels)
}

fn paused(service: &FhirService) -> Option<Finding> {
    is_paused(&service.metadata).then(crate::paused_finding)
}

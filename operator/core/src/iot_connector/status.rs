//! What an IoTConnector's status says. `Admitted` isn't here: it is written with the place, by `tenant`.

use fhir_operator_api::{ConditionType, ConnectionStatus, Endpoints, IoTConnector, IoTConnectorStatus, Reason};
use iot_connector_settings::{MESSAGES_PATH, StatusPage};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::keys::KeyList;
use super::{Decision, Validated, World, reported, source};
use crate::conditions::{self, Finding};
use crate::fhir_service::ApplyRefusal;
use crate::names::{self, Owner};
use crate::tenant::{Admissible as _, is_admitted};
use crate::{Refusal, is_paused, pods};

/// How long figures stand before newer ones are written, so that traffic costs at most one write a minute.
const FIGURES_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// The status, without the condition `Admitted`. Times move only when a status flips.
pub fn status(connector: &IoTConnector, decision: &Decision, world: &World) -> IoTConnectorStatus {
    let old = connector.conditions();
    let findings = match decision {
        Decision::Run(validated) => running_findings(connector, validated, world),
        Decision::Hold(refusal) => held_findings(connector, refusal, world),
    };
    let mut status = IoTConnectorStatus {
        observed_generation: connector.metadata.generation,
        tenant: world.tenant.tenant().map(str::to_owned),
        conditions: findings
            .iter()
            .map(|finding| finding.condition(old, connector.metadata.generation, world.now))
            .collect(),
        ..IoTConnectorStatus::default()
    };
    let told = connector.status.as_ref();
    if let Decision::Run(validated) = decision {
        let owner = &validated.owner;
        status.endpoints = Some(Endpoints {
            http: Some(format!(
                "http://{}.{}.svc{MESSAGES_PATH}",
                owner.child(),
                owner.namespace
            )),
            mqtt: None,
        });
        status.connections = connections(validated, world);
    } else if let Some(told) = told.filter(|_| is_admitted(connector)) {
        // What runs goes on as it was, so what status says about it does too.
        status.endpoints.clone_from(&told.endpoints);
        status.connections.clone_from(&told.connections);
    }
    if is_admitted(connector) {
        figures(&mut status, told, world.page.as_ref(), world.now);
    }
    status
}

/// What runs goes on while the connector is held, and its own condition says how it is.
fn held_findings(connector: &IoTConnector, refusal: &Refusal, world: &World) -> Vec<Finding> {
    let mut findings = vec![Finding::refused(ConditionType::Ready, refusal)];
    if matches!(refusal.reason, Reason::DataExists | Reason::VolumePending) {
        findings.push(Finding::refused(ConditionType::SourceReady, refusal));
    }
    let owner = Owner::connector(connector);
    if let Some(workload) = world
        .stateful_set
        .as_deref()
        .filter(|set| names::is_child_of(&set.metadata, &owner.uid))
    {
        findings.push(pods::finding(
            &owner,
            pods::is_suspended(workload),
            Some(workload),
            &pods(world),
        ));
    }
    findings.extend(paused(connector));
    findings
}

fn pods(world: &World) -> Vec<&Pod> {
    world.pods.iter().map(AsRef::as_ref).collect()
}

fn running_findings(connector: &IoTConnector, validated: &Validated, world: &World) -> Vec<Finding> {
    let workload = pods::finding(
        &validated.owner,
        validated.suspended,
        world.stateful_set.as_deref(),
        &pods(world),
    );
    let spool = || {
        let mut finding = validated.volume.finding(
            ConditionType::SourceReady,
            world.volume_claim.as_deref(),
            ApplyRefusal::of(&world.refused, "PersistentVolumeClaim"),
        );
        if finding.holds {
            finding.message.push_str("; one replica runs, whose spool it is");
        }
        finding
    };
    // A volume that isn't there comes first: without it nothing is read.
    let said = connector.conditions();
    let told = world.page.as_ref().and_then(|page| page.source.as_ref());
    let source = match source::finding(validated.source.as_ref(), told, said) {
        Some(finding) if validated.shares_work() || spool().holds => finding,
        _ => spool(),
    };
    let source = match reported::ingest(validated, world, said) {
        Some(refused) if source.holds => refused,
        _ => source,
    };
    let exposed = Finding::holds(
        ConditionType::Exposed,
        Reason::ClusterOnly,
        "reached inside the cluster; no route is asked for",
    );
    let depends = vec![service(validated, world, said), workload, source, exposed];
    let mut findings = vec![conditions::ready(&depends, Reason::Ingesting, ingesting(validated))];
    findings.extend(depends);
    findings.push(reported::mappings(validated, world).unwrap_or_else(|| validated.mappings.finding.clone()));
    findings.push(validated.release.finding.clone());
    findings.extend(paused(connector));
    findings
}

fn service(validated: &Validated, world: &World, said: &[Condition]) -> Finding {
    if let Some(refusal) = &validated.service.trouble {
        return Finding::refused(ConditionType::FhirServiceReady, refusal);
    }
    reported::writes(validated, world, said).unwrap_or_else(|| {
        Finding::holds(
            ConditionType::FhirServiceReady,
            Reason::Serving,
            format!("FhirService `{}` serves", validated.service.name),
        )
    })
}

fn ingesting(validated: &Validated) -> String {
    let mapping = &validated.mappings.finding;
    let devices = if validated.connections.is_empty() && validated.issuers.is_empty() {
        "; spec.connections is empty: no device may send"
    } else {
        ""
    };
    if mapping.holds {
        format!(
            "takes messages and writes to FhirService `{}`{devices}",
            validated.service.name
        )
    } else {
        format!("takes messages; {}{devices}", mapping.message)
    }
}

/// The connections whose Secret is known to exist.
fn connections(validated: &Validated, world: &World) -> Vec<ConnectionStatus> {
    let keys = KeyList::read(world.keys.as_deref()).current(world.now);
    validated
        .connections
        .iter()
        .filter(|wanted| keys.holds(wanted))
        .map(|wanted| ConnectionStatus {
            name: wanted.connection.clone(),
            key_generation: wanted.generation,
            secret_name: wanted.secret_name.clone(),
        })
        .collect()
}

/// Figures change at most once a minute, and only when they differ; without an answer the old ones stand.
fn figures(
    status: &mut IoTConnectorStatus,
    told: Option<&IoTConnectorStatus>,
    page: Option<&StatusPage>,
    now: Timestamp,
) {
    let last = told
        .and_then(|told| told.figures_time.as_deref())
        .and_then(|time| time.parse::<Timestamp>().ok());
    let is_due = last.is_none_or(|last| now.duration_since(last) >= FIGURES_EVERY);
    if let Some(told) = told {
        status.rate.clone_from(&told.rate);
        status.backlog = told.backlog;
        status.dead_letters = told.dead_letters;
        status.last_message_time.clone_from(&told.last_message_time);
        status.figures_time.clone_from(&told.figures_time);
    }
    let Some(page) = page.filter(|_| is_due) else { return };
    let rate = Some(format!("{}/s", two_digits(page.rate)));
    let backlog = Some(rounded(page.backlog));
    let dead_letters = Some(rounded(page.dead_letters));
    let differs = status.rate != rate
        || status.backlog != backlog
        || status.dead_letters != dead_letters
        || status.last_message_time != page.last_message_time;
    if differs {
        status.rate = rate;
        status.backlog = backlog;
        status.dead_letters = dead_letters;
        status.last_message_time.clone_from(&page.last_message_time);
        status.figures_time = Some(Timestamp::from_second(now.as_second()).unwrap_or(now).to_string());
    }
}

/// A number with its first two digits.
fn rounded(number: u64) -> i64 {
    let mut factor = 1;
    while number / factor >= 100 {
        factor *= 10;
    }
    let rounded = (number / factor + u64::from(number % factor * 2 >= factor && factor > 1)) * factor;
    i64::try_from(rounded).unwrap_or(i64::MAX)
}

/// A rate with two digits: `0`, `0.25`, `1.2`, `12`, `120`.
fn two_digits(rate: f64) -> String {
    if !rate.is_finite() || rate < 0.005 {
        return "0".to_owned();
    }
    let text = if rate >= 9.95 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate of messages is far below 2^64"
        )]
        let whole = rate.round() as u64;
        return rounded(whole).to_string();
    } else if rate >= 0.995 {
        format!("{rate:.1}")
    } else {
        format!("{rate:.2}")
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn paused(connector: &IoTConnector) -> Option<Finding> {
    is_paused(&connector.metadata).then(crate::paused_finding)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0.0, "0")]
    #[case(0.254, "0.25")]
    #[case(1.0, "1")]
    #[case(1.24, "1.2")]
    #[case(12.4, "12")]
    #[case(9_870.0, "9900")]
    fn rates_have_two_digits(#[case] rate: f64, #[case] text: &str) {
        assert_eq!(two_digits(rate), text);
    }

    #[rstest]
    #[case(0, 0)]
    #[case(99, 99)]
    #[case(104, 100)]
    #[case(105, 110)]
    #[case(123_456, 120_000)]
    fn counts_have_two_digits(#[case] number: u64, #[case] shown: i64) {
        assert_eq!(rounded(number), shown);
    }
}

//! Builds conditions. The time of a transition moves only when the status flips, so that nothing is written at rest.

use fhir_operator_api::{ConditionType, Reason};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::Refusal;

/// Characters of a message.
const MAX_MESSAGE: usize = 2048;

/// What a condition says, before time and generation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// Type of the condition.
    pub condition: ConditionType,
    /// Whether it holds.
    pub holds: bool,
    /// Why.
    pub reason: Reason,
    /// The sentence for people.
    pub message: String,
}

impl Finding {
    /// A condition that holds.
    pub fn holds(condition: ConditionType, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            condition,
            holds: true,
            reason,
            message: message.into(),
        }
    }

    /// A condition that doesn't hold.
    pub fn fails(condition: ConditionType, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            condition,
            holds: false,
            reason,
            message: message.into(),
        }
    }

    /// A condition that doesn't hold because of a refusal.
    pub fn refused(condition: ConditionType, refusal: &Refusal) -> Self {
        Self::fails(condition, refusal.reason, refusal.message.clone())
    }

    /// The condition, with the old time if the status is the old one.
    pub fn condition(&self, old: &[Condition], generation: Option<i64>, now: Timestamp) -> Condition {
        let status = if self.holds { "True" } else { "False" };
        let since = find(old, self.condition)
            .filter(|old| old.status == status)
            .map(|old| old.last_transition_time.clone());
        Condition {
            type_: self.condition.name().to_owned(),
            status: status.to_owned(),
            reason: self.reason.name().to_owned(),
            message: shortened(&self.message),
            observed_generation: generation,
            last_transition_time: since.unwrap_or_else(|| Time(whole_seconds(now))),
        }
    }
}

/// The condition of a type.
pub fn find(conditions: &[Condition], condition: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|one| one.type_ == condition.name())
}

/// Whether the condition of a type is there and `True`.
pub fn is_true(conditions: &[Condition], condition: ConditionType) -> bool {
    find(conditions, condition).is_some_and(|one| one.status == "True")
}

/// The refusal that a condition with status `False` tells of.
pub fn refusal(conditions: &[Condition], condition: ConditionType) -> Option<Refusal> {
    let found = find(conditions, condition).filter(|one| one.status == "False")?;
    Some(Refusal::new(Reason::from_name(&found.reason)?, found.message.clone()))
}

/// `Ready` from the findings that it depends on, in their order: the first that fails, or the reason for success.
pub fn ready(findings: &[Finding], success: Reason, message: impl Into<String>) -> Finding {
    match findings.iter().find(|finding| !finding.holds) {
        Some(failed) => Finding::fails(ConditionType::Ready, failed.reason, failed.message.clone()),
        None => Finding::holds(ConditionType::Ready, success, message),
    }
}

/// What programs said can be long; a condition has room for 32,768 characters, and people for fewer.
fn shortened(message: &str) -> String {
    match message.char_indices().nth(MAX_MESSAGE) {
        None => message.to_owned(),
        Some((end, _)) => format!("{}…", &message[..end]),
    }
}

/// Kubernetes keeps whole seconds; a finer time would differ from what is stored for ever.
fn whole_seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_moves_only_when_the_status_flips() {
        let early: Timestamp = "2026-01-01T00:00:00.5Z".parse().unwrap();
        let late: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        let good = Finding::holds(ConditionType::Ready, Reason::Serving, "serves");
        let first = good.condition(&[], Some(1), early);
        assert_eq!(first.last_transition_time.0.to_string(), "2026-01-01T00:00:00Z");

        let same = good.condition(std::slice::from_ref(&first), Some(2), late);
        assert_eq!(same.last_transition_time, first.last_transition_time);

        let bad = Finding::fails(ConditionType::Ready, Reason::Progressing, "starts");
        assert_eq!(bad.condition(&[first], Some(2), late).last_transition_time.0, late);
    }

    #[test]
    fn ready_takes_the_first_failure_in_order() {
        let findings = [
            Finding::holds(ConditionType::Admitted, Reason::Admitted, ""),
            Finding::fails(ConditionType::DatabaseReady, Reason::VolumePending, "waits"),
            Finding::fails(ConditionType::WorkloadReady, Reason::Progressing, "starts"),
        ];
        assert_eq!(ready(&findings, Reason::Serving, "").reason, Reason::VolumePending);
        assert!(ready(&findings[..1], Reason::Serving, "").holds);
    }
}

//! What the connector tells of itself on its status page beside its source: that it refuses messages, can't write, or
//! can't use its mappings. While nothing is heard of it, what was said last stands.

use fhir_operator_api::{ConditionType, Reason};
use iot_connector_settings::{FhirState, MappingState, StatusPage};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{Validated, World};
use crate::conditions::{self, Finding};

/// How long a message may wait beyond its window: a server that is away for a moment is no news.
const PATIENCE: SignedDuration = SignedDuration::from_mins(2);

/// `SourceReady` while messages are refused.
pub(super) fn ingest(validated: &Validated, world: &World, said: &[Condition]) -> Option<Finding> {
    let Some(page) = &world.page else {
        return said_last(validated, said, ConditionType::SourceReady, Reason::IngestRefused);
    };
    let why = page.ingest_refused.as_deref()?;
    let what_to_do = if validated.shares_work() && page.mappings == MappingState::Missing {
        "they are taken as soon as both mappings are valid"
    } else {
        "a full queue drains by itself, sooner with more `spec.capacity.messagesPerSecond`; dead letters wait until somebody \
         replays or discards them"
    };
    Some(Finding::fails(
        ConditionType::SourceReady,
        Reason::IngestRefused,
        format!("messages are refused: {why}; {what_to_do}"),
    ))
}

/// `FhirServiceReady` while messages wait because the server refuses the connector, or doesn't answer it.
pub(super) fn writes(validated: &Validated, world: &World, said: &[Condition]) -> Option<Finding> {
    let Some(page) = &world.page else {
        return said_last(validated, said, ConditionType::FhirServiceReady, Reason::WritesWaiting);
    };
    if page.fhir != FhirState::Waiting || !waits_long(page, validated, world.now) {
        return None;
    }
    let service = &validated.service.name;
    let why = page.fhir_message.as_deref().unwrap_or("it refuses or doesn't answer");
    Some(Finding::fails(
        ConditionType::FhirServiceReady,
        Reason::WritesWaiting,
        format!(
            "the connector can't write to FhirService `{service}`: {why}; messages are kept meanwhile, the conditions \
             and the log of FhirService `{service}` say more"
        ),
    ))
}

/// `MappingsValid` where the connector can't use mappings that compile here, or hasn't got them.
pub(super) fn mappings(validated: &Validated, world: &World) -> Option<Finding> {
    let page = world.page.as_ref().filter(|_| validated.mappings.finding.holds)?;
    let fails = |reason, message| Some(Finding::fails(ConditionType::MappingsValid, reason, message));
    let why = page.mapping_message.as_deref().unwrap_or("it doesn't say why");
    match page.mappings {
        MappingState::Invalid => fails(
            Reason::MappingInvalid,
            format!(
                "the running connector can't use the mappings: {why}; the last pair that it could use stays in use"
            ),
        ),
        // Files come into a pod within a minute or two.
        MappingState::Missing if waits_long(page, validated, world.now) => fails(
            Reason::MappingMissing,
            format!("both mappings are valid, and the running connector doesn't see them: {why}; messages are kept"),
        ),
        MappingState::Missing | MappingState::Valid => None,
    }
}

/// Whether a message waits for longer than its window and some patience.
fn waits_long(page: &StatusPage, validated: &Validated, now: Timestamp) -> bool {
    let window = validated
        .window
        .flush_seconds
        .unwrap_or_else(|| iot_connector_settings::Window::default().flush_seconds);
    let patience = PATIENCE + SignedDuration::from_secs(i64::from(window));
    let oldest = page.watermark.as_deref().and_then(|time| time.parse().ok());
    oldest.is_some_and(|oldest: Timestamp| now.duration_since(oldest) > patience)
}

/// What a condition said, where only the page can have told it.
fn said_last(validated: &Validated, said: &[Condition], condition: ConditionType, reason: Reason) -> Option<Finding> {
    let before =
        conditions::refusal(said, condition).filter(|before| before.reason == reason && !validated.suspended)?;
    Some(Finding::refused(condition, &before))
}

//! Events: one for each visible transition, so that `kubectl describe` tells the story.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};

use super::status::Transition;

/// Reports transitions.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
}

impl Events {
    /// Reports under the identity of this process.
    pub fn new(client: Client, identity: &str) -> Self {
        let reporter = Reporter {
            controller: "fhir-operator".to_owned(),
            instance: Some(identity.to_owned()),
        };
        Self {
            recorder: Recorder::new(client, reporter),
        }
    }

    /// Reports each transition of that object. An event that can't be written is only logged: it is a courtesy.
    pub async fn report<K: Resource<DynamicType = ()>>(&self, object: &K, transitions: &[Transition]) {
        let reference: ObjectReference = object.object_ref(&());
        for transition in transitions {
            let event = Event {
                type_: if transition.worrying {
                    EventType::Warning
                } else {
                    EventType::Normal
                },
                reason: transition.reason.clone(),
                note: Some(shortened(&transition.message)),
                action: transition.condition.clone(),
                secondary: None,
            };
            if let Err(error) = self.recorder.publish(&event, &reference).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "an event wasn't written");
            }
        }
    }
}

/// The API server takes notes of less than a kibibyte.
fn shortened(message: &str) -> String {
    const MOST: usize = 1000;
    if message.len() <= MOST {
        return message.to_owned();
    }
    let end = (0..=MOST).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", &message[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_note_is_cut_between_characters() {
        let note = shortened(&"ü".repeat(700));
        assert!(note.len() < 1024);
        assert!(note.ends_with('…'));
    }
}

//! Merging into an Observation that is there.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Merged, ObservationError, SYSTEM, values::Target};
use crate::{fhir::FhirTemplate, grouping::Group, template::Compatibility, time};

impl FhirTemplate {
    /// Merges a group into an Observation: the period is widened, never narrowed; components are found by our coding; the
    /// status becomes `amended` only when something differs.
    pub fn merge(
        &self,
        existing: &Value,
        group: &Group,
        compatibility: Compatibility,
    ) -> Result<Merged, ObservationError> {
        structured(existing, "effectivePeriod")?;
        let mut observation = existing.clone();
        match self.category() {
            Some(category) => observation["category"] = category,
            None => {
                if let Some(members) = observation.as_object_mut() {
                    members.shift_remove("category");
                }
            }
        }
        let before = span(existing).unwrap_or((group.start, group.end));
        let mut target = Target {
            template: self,
            group,
            compatibility,
            counts: self.left_out(group),
            before: Some(before),
        };
        if let Some(mapping) = &self.value {
            match group.values.get(&mapping.name) {
                Some(readings) => target.merge(&mut observation, mapping, readings)?,
                None => target.move_start(&mut observation, mapping)?,
            }
        }
        for (index, mapping) in self.components.iter().enumerate() {
            let name = &mapping.value.name;
            // Several components may show the same value.
            let earlier = self.components[..index].iter();
            let place = earlier.filter(|earlier| earlier.value.name == *name).count();
            let there = component(&mut observation, name, place);
            let Some(readings) = group.values.get(name) else {
                if let Some(component) = there {
                    target.move_start(component, &mapping.value)?;
                }
                continue;
            };
            if let Some(component) = there {
                target.merge(component, &mapping.value, readings)?;
            } else {
                let made = target.component(mapping, readings)?;
                match observation["component"].as_array_mut() {
                    Some(components) => components.push(made),
                    None => observation["component"] = json!([made]),
                }
            }
        }
        widen(&mut observation, before, group);
        let changed = observation != *existing;
        if changed {
            observation["status"] = "amended".into();
        }
        Ok(Merged {
            observation,
            changed,
            counts: target.counts,
        })
    }
}

/// Refuses what others have written against FHIR: a member that should be a structure and isn't.
pub(super) fn structured(element: &Value, name: &str) -> Result<(), ObservationError> {
    match element.get(name) {
        None | Some(Value::Null | Value::Object(_)) => Ok(()),
        Some(_) => {
            let problem = format!("the Observation's `{name}` isn't a structure: put it right on the FHIR server");
            Err(ObservationError::NotSupported(problem))
        }
    }
}

/// The time that an Observation is about.
fn span(observation: &Value) -> Option<(Timestamp, Timestamp)> {
    let read = |value: &Value| value.as_str().and_then(time::parse);
    if let Some(instant) = read(&observation["effectiveDateTime"]).or_else(|| read(&observation["effectiveInstant"])) {
        return Some((instant, instant));
    }
    let period = &observation["effectivePeriod"];
    let start = read(&period["start"])?;
    Some((start, read(&period["end"]).unwrap_or(start)))
}

fn widen(observation: &mut Value, before: (Timestamp, Timestamp), group: &Group) {
    let has_period = observation["effectivePeriod"].is_object();
    if has_period && before.0 <= group.start && before.1 >= group.end {
        return;
    }
    if let Some(members) = observation.as_object_mut() {
        members.shift_remove("effectiveDateTime");
        members.shift_remove("effectiveInstant");
    }
    let (start, end) = (before.0.min(group.start), before.1.max(group.end));
    // Bounds that stay keep their text.
    if !has_period || start != before.0 {
        observation["effectivePeriod"]["start"] = start.to_string().into();
    }
    if !has_period || end != before.1 {
        observation["effectivePeriod"]["end"] = end.to_string().into();
    }
}

/// The component of a value, or of those that show the same value the one at a place among them.
fn component<'o>(observation: &'o mut Value, name: &str, place: usize) -> Option<&'o mut Value> {
    let ours = |component: &Value| {
        component["code"]["coding"].as_array().is_some_and(|codings| {
            codings
                .iter()
                .any(|coding| coding["system"] == SYSTEM && coding["code"] == name)
        })
    };
    observation["component"]
        .as_array_mut()?
        .iter_mut()
        .filter(|component| ours(component))
        .nth(place)
}

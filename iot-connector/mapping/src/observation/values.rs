//! A value or component of an Observation, made of readings or merged with what is there.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{ObservationError, SYSTEM, merge::structured, sampled_data::Series, state::State};
use crate::{
    fhir::{ComponentMapping, FhirTemplate, Period, ValueKind, ValueMapping, codings},
    grouping::{Counts, Group, Reading},
    template::Compatibility,
};

/// What is worked on.
pub(super) struct Target<'a> {
    pub(super) template: &'a FhirTemplate,
    pub(super) group: &'a Group,
    pub(super) compatibility: Compatibility,
    pub(super) counts: Counts,
    /// The span of the Observation that is merged into.
    pub(super) before: Option<(Timestamp, Timestamp)>,
}

impl Target<'_> {
    /// Value and components of a new Observation.
    pub(super) fn create_values(&mut self, observation: &mut Value) -> Result<(), ObservationError> {
        if let Some(mapping) = &self.template.value
            && let Some(readings) = self.group.values.get(&mapping.name)
        {
            self.set(observation, mapping, readings)?;
        }
        let mut components = Vec::new();
        for mapping in &self.template.components {
            if let Some(readings) = self.group.values.get(&mapping.value.name) {
                components.push(self.component(mapping, readings)?);
            }
        }
        if !components.is_empty() {
            observation["component"] = components.into();
        }
        Ok(())
    }

    /// A new component.
    pub(super) fn component(
        &mut self,
        mapping: &ComponentMapping,
        readings: &[Reading],
    ) -> Result<Value, ObservationError> {
        let name = &mapping.value.name;
        let mut coding = codings(&mapping.codes);
        coding.push(json!({"system": SYSTEM, "code": name, "display": name}));
        let mut component = json!({"code": {"coding": coding, "text": name}});
        self.set(&mut component, &mapping.value, readings)?;
        Ok(component)
    }

    /// Sets `value[x]` of an element that has none.
    pub(super) fn set(
        &mut self,
        element: &mut Value,
        mapping: &ValueMapping,
        readings: &[Reading],
    ) -> Result<(), ObservationError> {
        match &mapping.kind {
            ValueKind::SampledData { period, unit } => {
                let (start, end) = self.span();
                let series = Series::new(start, end, period)?;
                let data = series.with(readings, self.compatibility, &mut self.counts);
                let mut origin = json!({"value": 0});
                if let Some(unit) = unit {
                    origin["unit"] = unit.as_str().into();
                }
                element["valueSampledData"] =
                    json!({"origin": origin, "period": series.period(), "dimensions": 1, "data": data});
            }
            ValueKind::CodeableConcept(concept) => {
                if !concept.is_empty() {
                    element["valueCodeableConcept"] = concept.to_fhir();
                }
                self.count_one(readings);
            }
            ValueKind::Quantity { .. } | ValueKind::Text => {
                let state = self.fold(State::default(), mapping, readings)?;
                self.write(element, mapping, &state);
            }
        }
        Ok(())
    }

    /// Merges readings into the `value[x]` of an element; one without a value gets one.
    pub(super) fn merge(
        &mut self,
        element: &mut Value,
        mapping: &ValueMapping,
        readings: &[Reading],
    ) -> Result<(), ObservationError> {
        let own = value_name(&mapping.kind);
        let members = element.as_object().into_iter().flatten();
        let other = members
            .map(|(name, _)| name)
            .find(|name| is_value(name) && *name != own);
        if let Some(other) = other {
            let (name, kind) = (&mapping.name, mapping.kind.name());
            let problem = format!("value `{name}` is to be a {kind}, but the Observation has `{other}`");
            return Err(ObservationError::NotSupported(problem));
        }
        if element.get(own).is_none() {
            return self.set(element, mapping, readings);
        }
        match &mapping.kind {
            ValueKind::SampledData { period, .. } => {
                structured(element, own)?;
                let (start, end) = self.span();
                let begun = self.before.map_or(start, |before| before.0);
                let series = Series::merged(&element[own], begun, start, end, period)?;
                let data = series.with(readings, self.compatibility, &mut self.counts);
                element[own]["period"] = series.period();
                element[own]["data"] = data.into();
            }
            ValueKind::CodeableConcept(concept) => {
                let concept = concept.to_fhir();
                if element[own] == concept {
                    self.counts.duplicates += readings.len() as u64;
                } else {
                    element[own] = concept;
                    self.count_one(readings);
                }
            }
            ValueKind::Quantity { .. } | ValueKind::Text => self.merge_one(element, mapping, readings)?,
        }
        Ok(())
    }

    /// A series without new readings, where the Observation begins earlier now: its points keep their times.
    pub(super) fn move_start(&mut self, element: &mut Value, mapping: &ValueMapping) -> Result<(), ObservationError> {
        let moves = self.before.is_some_and(|before| self.group.start < before.0);
        let is_series = matches!(mapping.kind, ValueKind::SampledData { .. });
        if moves && is_series && element.get(value_name(&mapping.kind)).is_some() {
            self.merge(element, mapping, &[])?;
        }
        Ok(())
    }

    /// What the Observation spans with this group.
    fn span(&self) -> (Timestamp, Timestamp) {
        let (start, end) = (self.group.start, self.group.end);
        self.before
            .map_or((start, end), |before| (before.0.min(start), before.1.max(end)))
    }

    /// Merges into a value that readings share.
    fn merge_one(
        &mut self,
        element: &mut Value,
        mapping: &ValueMapping,
        readings: &[Reading],
    ) -> Result<(), ObservationError> {
        let there = current(element, &mapping.kind);
        if !self.shares() {
            let Some(reading) = self.single(mapping, readings)? else {
                return Ok(());
            };
            match there {
                Some(there) if there == reading.value => self.counts.duplicates += 1,
                Some(_) if reading.replay => self.counts.superseded += 1,
                _ => {
                    let state = State::of(value_text(mapping, &reading)?);
                    self.write(element, mapping, &state);
                    self.counts.points += 1;
                }
            }
            return Ok(());
        }
        let state = State::read(element, &mapping.kind);
        if state.is_none() && there.is_some() && readings.iter().all(|reading| reading.replay) {
            // Migrated data: nobody knows what it is made of, so that a replay fills gaps only.
            self.counts.superseded += readings.len() as u64;
            return Ok(());
        }
        let state = state.or_else(|| there.map(State::migrated)).unwrap_or_default();
        let state = self.fold(state, mapping, readings)?;
        self.write(element, mapping, &state);
        Ok(())
    }

    /// Takes readings into what is known of a shared value.
    fn fold(
        &mut self,
        mut state: State,
        mapping: &ValueMapping,
        readings: &[Reading],
    ) -> Result<State, ObservationError> {
        if !self.shares() {
            if let Some(reading) = self.single(mapping, readings)? {
                state.value = Some(value_text(mapping, &reading)?);
                self.counts.points += 1;
            }
            return Ok(state);
        }
        if self.compatibility == Compatibility::Upstream {
            state = State::default();
            if readings.len() != 1 {
                return Err(too_many(mapping, readings.len()));
            }
        }
        for reading in readings {
            let value = value_text(mapping, reading)?;
            state.take(reading, value, mapping.aggregation, &mut self.counts);
        }
        Ok(state)
    }

    /// The one reading of an instant; upstream more are an error, else the last one stays.
    fn single(&mut self, mapping: &ValueMapping, readings: &[Reading]) -> Result<Option<Reading>, ObservationError> {
        if self.compatibility == Compatibility::Upstream && readings.len() != 1 {
            return Err(too_many(mapping, readings.len()));
        }
        self.counts.superseded += (readings.len() as u64).saturating_sub(1);
        Ok(readings
            .iter()
            .max_by_key(|reading| (reading.time, reading.order))
            .cloned())
    }

    fn write(&self, element: &mut Value, mapping: &ValueMapping, state: &State) {
        let Some(value) = &state.value else { return };
        let extension = if self.shares() && self.compatibility == Compatibility::Standard {
            state.extension(mapping.aggregation)
        } else {
            None
        };
        if let ValueKind::Quantity { unit, code, system } = &mapping.kind {
            let mut quantity = json!({});
            if let Some(extension) = extension {
                quantity["extension"] = json!([extension]);
            }
            quantity["value"] = serde_json::from_str(value).unwrap_or(Value::Null);
            for (name, text) in [("unit", unit), ("system", system), ("code", code)] {
                if let Some(text) = text {
                    quantity[name] = text.as_str().into();
                }
            }
            element["valueQuantity"] = quantity;
        } else {
            element["valueString"] = value.as_str().into();
            if let Some(extension) = extension {
                element["_valueString"] = json!({"extension": [extension]});
            }
        }
    }

    /// Whether several readings share one value.
    fn shares(&self) -> bool {
        self.template.period != Period::Single
    }

    fn count_one(&mut self, readings: &[Reading]) {
        self.counts.points += 1;
        self.counts.superseded += (readings.len() as u64).saturating_sub(1);
    }
}

/// Whether a member is `value[x]`, whatever its type.
fn is_value(name: &str) -> bool {
    name.strip_prefix("value")
        .is_some_and(|kind| kind.starts_with(char::is_uppercase))
}

fn value_name(kind: &ValueKind) -> &'static str {
    match kind {
        ValueKind::SampledData { .. } => "valueSampledData",
        ValueKind::Quantity { .. } => "valueQuantity",
        ValueKind::CodeableConcept(_) => "valueCodeableConcept",
        ValueKind::Text => "valueString",
    }
}

fn current(element: &Value, kind: &ValueKind) -> Option<String> {
    match kind {
        ValueKind::Quantity { .. } => element["valueQuantity"]["value"].as_number().map(ToString::to_string),
        _ => element["valueString"].as_str().map(str::to_owned),
    }
}

fn too_many(mapping: &ValueMapping, count: usize) -> ObservationError {
    ObservationError::InvalidQuantityFhirValue {
        name: mapping.name.clone(),
        reason: format!("there are {count} readings for one value"),
    }
}

fn value_text(mapping: &ValueMapping, reading: &Reading) -> Result<String, ObservationError> {
    if mapping.kind == ValueKind::Text {
        return Ok(reading.value.clone());
    }
    decimal(&reading.value).ok_or_else(|| ObservationError::InvalidQuantityFhirValue {
        name: mapping.name.clone(),
        reason: format!("`{}` isn't a number", reading.value),
    })
}

/// The JSON number that a device's text stands for, its digits kept; `None` if it isn't a number.
pub fn decimal(text: &str) -> Option<String> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_fits = exponent.is_none_or(|exponent| exponent.parse::<i16>().is_ok_and(|power| power.abs() < 300));
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) || !exponent_fits {
        return None;
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    let mut number = format!("{sign}{whole}");
    if !fraction.is_empty() {
        number.push('.');
        number.push_str(fraction);
    }
    if let Some(exponent) = exponent {
        number.push('e');
        number.push_str(exponent);
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("60", Some("60"))]
    #[case(" -1.50 ", Some("-1.50"))]
    #[case("+007.5", Some("7.5"))]
    #[case(".5", Some("0.5"))]
    #[case("1.", Some("1"))]
    #[case("1e3", Some("1e3"))]
    #[case("1e999", None)]
    #[case("NaN", None)]
    #[case("", None)]
    #[case("1,5", None)]
    #[case("0x10", None)]
    fn decimals_keep_their_digits(#[case] text: &str, #[case] expected: Option<&str>) {
        assert_eq!(decimal(text).as_deref(), expected);
    }
}

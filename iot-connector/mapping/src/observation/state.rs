//! What a later merge has to know of a value that several readings share, kept as an extension on the value.

use serde_json::{Value, json};

use crate::{
    fhir::{Aggregation, ValueKind},
    grouping::{Counts, Reading},
    measurement::Order,
};

/// URL of the extension.
const URL: &str = "https://fhir-operator.dev/fhir/StructureDefinition/reading-state";
/// Readings that are remembered, so that one that comes again isn't taken twice.
const RECENT: usize = 32;

type Mark = (i64, i64, i64);

/// What is known of a shared value.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct State {
    /// The value as it is shown.
    pub(super) value: Option<String>,
    /// Of the reading that is kept: time in microseconds, order.
    kept: Option<Mark>,
    count: u64,
    sum: f64,
    recent: Vec<Mark>,
}

impl State {
    /// A value of one reading.
    pub(super) fn of(value: String) -> Self {
        Self {
            value: Some(value),
            ..Self::default()
        }
    }

    /// A value that nobody knows the readings of (migrated data): it was there before any other.
    pub(super) fn migrated(value: String) -> Self {
        Self {
            kept: Some((i64::MIN, 0, 0)),
            ..Self::of(value)
        }
    }

    /// Reads it from an element; `None` where there is none.
    pub(super) fn read(element: &Value, kind: &ValueKind) -> Option<Self> {
        let (holder, value) = match kind {
            ValueKind::Quantity { .. } => (
                &element["valueQuantity"],
                element["valueQuantity"]["value"].as_number().map(ToString::to_string),
            ),
            _ => (
                &element["_valueString"],
                element["valueString"].as_str().map(str::to_owned),
            ),
        };
        let extension = holder["extension"]
            .as_array()?
            .iter()
            .find(|extension| extension["url"] == URL)?;
        let state: Value = serde_json::from_str(extension["valueString"].as_str()?).ok()?;
        let recent = state["recent"].as_array()?.iter().filter_map(mark).collect();
        let (count, sum) = (state["count"].as_u64()?, state["sum"].as_f64().unwrap_or_default());
        Some(Self {
            value,
            kept: mark(&state["kept"]),
            count,
            sum,
            recent,
        })
    }

    /// The extension that carries it.
    pub(super) fn extension(&self) -> Option<Value> {
        let kept = self.kept?;
        let state = json!({"kept": kept, "count": self.count, "sum": self.sum, "recent": self.recent});
        Some(json!({"url": URL, "valueString": state.to_string()}))
    }

    /// Takes a reading in.
    pub(super) fn take(&mut self, reading: &Reading, value: String, aggregation: Aggregation, counts: &mut Counts) {
        let Order { received, position } = reading.order;
        let mark = (reading.time.as_microsecond(), received, position);
        if self.recent.contains(&mark) {
            counts.duplicates += 1;
            return;
        }
        self.recent.push(mark);
        if self.recent.len() > RECENT {
            self.recent.remove(0);
        }
        self.count += 1;
        let number: f64 = value.parse().unwrap_or_default();
        self.sum += number;
        let there: Option<f64> = self.value.as_deref().and_then(|there| there.parse().ok());
        let replaces = match aggregation {
            Aggregation::Mean => {
                counts.aggregated += 1;
                #[expect(clippy::cast_precision_loss, reason = "counts of readings stay far below 2^52")]
                let mean = self.sum / self.count as f64;
                self.value = Some(rounded(mean).to_string());
                self.kept = self.kept.max(Some(mark));
                return;
            }
            Aggregation::Last => self.kept.is_none_or(|kept| mark > kept),
            Aggregation::First => self.kept.is_none_or(|kept| mark < kept),
            Aggregation::Min => there.is_none_or(|there| number < there),
            Aggregation::Max => there.is_none_or(|there| number > there),
        };
        if replaces {
            // Each reading is counted once: what was there was counted when it came.
            counts.points += 1;
            self.value = Some(value);
            self.kept = Some(mark);
        } else {
            counts.superseded += 1;
            self.kept = self.kept.or(Some(mark));
        }
    }
}

/// To 15 digits, which hide what binary numbers add to decimal ones.
fn rounded(number: f64) -> f64 {
    format!("{number:.14e}").parse().unwrap_or(number)
}

fn mark(value: &Value) -> Option<Mark> {
    let part = |index: usize| value.get(index)?.as_i64();
    Some((part(0)?, part(1)?, part(2)?))
}

//! What a later merge has to know of a value that several readings share, kept as an extension on the value.

use serde_json::{Value, json};

use super::known::{Bound, Known, Mark, mark};
use crate::{
    fhir::{Aggregation, ValueKind},
    grouping::{Counts, Reading},
    measurement::Order,
};

/// URL of the extension.
const URL: &str = "https://fhir-operator.dev/fhir/StructureDefinition/reading-state";

/// What is known of a shared value.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct State {
    /// The value as it is shown.
    pub(super) value: Option<String>,
    /// Of the reading that is kept: time in microseconds, order.
    kept: Option<Mark>,
    count: u64,
    sum: f64,
    /// The readings that were taken in before.
    known: Known,
    /// And those that are now: what comes again is told by what was there when the merge began.
    fresh: Vec<Mark>,
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
            kept: Some([i64::MIN, 0, 0]),
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
        let known = Known::read(&state["known"]).or_else(|| Known::of_recent(&state["recent"]))?;
        let (count, sum) = (state["count"].as_u64()?, state["sum"].as_f64().unwrap_or_default());
        Some(Self {
            value,
            kept: mark(&state["kept"]),
            count,
            sum,
            known,
            fresh: Vec::new(),
        })
    }

    /// The extension that carries it.
    pub(super) fn extension(&self, aggregation: Aggregation) -> Option<Value> {
        let kept = self.kept?;
        let bound = match aggregation {
            Aggregation::Mean => Bound::EXACT,
            Aggregation::Last | Aggregation::First | Aggregation::Min | Aggregation::Max => Bound::ROUGH,
        };
        let known = self.known.with(&self.fresh, bound).to_json();
        let state = json!({"kept": kept, "count": self.count, "sum": self.sum, "known": known});
        Some(json!({"url": URL, "valueString": state.to_string()}))
    }

    /// Takes a reading in.
    pub(super) fn take(&mut self, reading: &Reading, value: String, aggregation: Aggregation, counts: &mut Counts) {
        let Order { received, position } = reading.order;
        let mark = [reading.time.as_microsecond(), received, position];
        let number: f64 = value.parse().unwrap_or_default();
        let is_known = self.known.contains(&mark);
        if !is_known {
            self.fresh.push(mark);
            self.count = self.count.saturating_add(1);
            self.sum += number;
        }
        let there: Option<f64> = self.value.as_deref().and_then(|there| there.parse().ok());
        let greater = self.kept.is_none_or(|kept| mark > kept);
        // But for a mean it does no harm to look at a reading again, so that these don't depend on what is known.
        let replaces = match aggregation {
            Aggregation::Mean if is_known => false,
            Aggregation::Mean => {
                counts.aggregated += 1;
                #[expect(clippy::cast_precision_loss, reason = "counts of readings stay far below 2^52")]
                let mean = self.sum / self.count as f64;
                self.value = Some(rounded(mean).to_string());
                self.kept = self.kept.max(Some(mark));
                return;
            }
            // Of what is as good as what is there, the greatest stays, so that it doesn't matter which came first.
            Aggregation::Last => greater,
            Aggregation::First => self
                .kept
                .is_none_or(|kept| mark[0] < kept[0] || (mark[0] == kept[0] && greater)),
            Aggregation::Min => there.is_none_or(|there| number < there || (number <= there && greater)),
            Aggregation::Max => there.is_none_or(|there| number > there || (number >= there && greater)),
        };
        if replaces {
            // Each reading is counted once: what was there was counted when it came.
            counts.points += 1;
            self.value = Some(value);
            self.kept = Some(mark);
        } else if is_known {
            counts.duplicates += 1;
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

//! From text to FHIR templates.

use std::{collections::HashMap, sync::Arc};

use super::{Aggregation, Code, ComponentMapping, Concept, FhirMapping, FhirTemplate, Period, ValueKind, ValueMapping};
use crate::{
    device::Loaded,
    json::{Document, Id, Value},
    observation::{MOST_SLOTS, SampledDataError, slots},
    template::{Compatibility, Inner, Loader, Member, Problem, TemplateError, is_type},
};

const ROOT: &str = "CollectionFhir";

impl FhirMapping {
    /// Loads what is right of a mapping and says what isn't.
    pub fn load(text: &str, compatibility: Compatibility) -> Loaded<Self> {
        let document = match Document::parse_lenient(text.as_bytes()) {
            Ok(document) => document,
            Err(error) => {
                return Loaded {
                    mapping: None,
                    errors: vec![TemplateError::not_json(&error)],
                };
            }
        };
        let mut loader = Loader::new(&document);
        let inner = loader.collection(ROOT);
        if !loader.errors.is_empty() && inner.is_empty() {
            return Loaded {
                mapping: None,
                errors: loader.finish(),
            };
        }
        let mut templates = HashMap::new();
        for inner in &inner {
            let name = loader.type_name(inner);
            if let Some(name) = &name
                && templates.contains_key(&name.to_lowercase())
            {
                loader.refuse(inner.id, &inner.path, Problem::Duplicate(name.clone()));
                continue;
            }
            if let Some(template) = loader.fhir_template(inner, name, compatibility) {
                templates.insert(template.type_name.to_lowercase(), Arc::new(template));
            }
        }
        Loaded {
            mapping: Some(Self {
                templates,
                compatibility,
            }),
            errors: loader.finish(),
        }
    }
}

impl Loader<'_> {
    fn type_name(&mut self, inner: &Inner) -> Option<String> {
        let name = self.text(inner.id, &inner.path, Member::required("typeName", "TypeName"))?;
        if name.trim().is_empty() {
            let problem = Problem::Refused("Required property 'TypeName' is empty.".to_owned());
            self.refuse_member(inner.id, &inner.path, "typeName", problem);
            return None;
        }
        Some(name)
    }

    fn fhir_template(
        &mut self,
        inner: &Inner,
        name: Option<String>,
        compatibility: Compatibility,
    ) -> Option<FhirTemplate> {
        if !is_type(&inner.kind, "CodeValueFhir") {
            self.refuse(inner.id, &inner.path, Problem::UnknownType(inner.kind.clone()));
            return None;
        }
        let before = self.errors.len();
        let known = ["typeName", "codes", "category", "periodInterval", "value", "components"];
        self.only(inner.id, &inner.path, "CodeValueFhirTemplate", &known);
        let codes = self.own_codes(inner.id, &inner.path);
        let category = self.concepts(inner.id, &inner.path);
        let period = self.period(inner.id, &inner.path, compatibility);
        let rules = Rules { compatibility, period };
        let value = self.value_of(inner.id, &inner.path, rules);
        let mut components = Vec::new();
        for (id, path) in self.list(inner.id, &inner.path, "components") {
            self.only(id, &path, "CodeValueMapping", &["codes", "value"]);
            let codes = self.own_codes(id, &path);
            match self.value_of(id, &path, rules) {
                Some(value) => components.push(ComponentMapping { codes, value }),
                None if self.document.member_any_case(id, "value").is_none() => {
                    self.refuse(id, path, Problem::Missing("Value"));
                }
                None => {}
            }
        }
        if self.errors.len() > before {
            return None;
        }
        Some(FhirTemplate {
            type_name: name?,
            codes,
            category,
            period,
            value,
            components,
        })
    }

    /// Those of a template or component, which have to be there, be it none.
    fn own_codes(&mut self, object: Id, path: &str) -> Vec<Code> {
        let there = self.document.member_any_case(object, "codes");
        if there.is_none_or(|id| *self.document.value(id) == Value::Null) {
            self.refuse(object, path, Problem::Missing("Codes"));
        }
        self.codes(object, path, true)
    }

    /// Unknown members are wrong but inside of a `value`.
    fn codes(&mut self, object: Id, path: &str, is_strict: bool) -> Vec<Code> {
        let mut codes = Vec::new();
        for (id, path) in self.list(object, path, "codes") {
            if is_strict {
                self.only(id, &path, "FhirCode", &["code", "system", "display"]);
            }
            let code = self.text(id, &path, Member::optional("code", "Code"));
            let system = self.text(id, &path, Member::optional("system", "System"));
            let display = self.text(id, &path, Member::optional("display", "Display"));
            codes.push(Code { code, system, display });
        }
        codes
    }

    fn concepts(&mut self, object: Id, path: &str) -> Vec<Concept> {
        let mut concepts = Vec::new();
        for (id, path) in self.list(object, path, "category") {
            self.only(id, &path, "FhirCodeableConcept", &["text", "codes"]);
            let text = self.text(id, &path, Member::optional("text", "Text"));
            let codes = self.codes(id, &path, true);
            concepts.push(Concept { text, codes });
        }
        concepts
    }

    fn period(&mut self, object: Id, path: &str, compatibility: Compatibility) -> Period {
        let Some(id) = self.document.member_any_case(object, "periodInterval") else {
            return Period::Single;
        };
        let text = match self.document.value(id) {
            Value::Number(text) => (*text).to_owned(),
            Value::String(text) => text.to_ascii_lowercase(),
            Value::Null => return Period::Single,
            _ => String::new(),
        };
        let minutes = match text.as_str() {
            "single" => Some(0),
            "hourly" => Some(60),
            "daily" => Some(1440),
            "correlationid" => Some(-1),
            number => number.parse().ok(),
        };
        let period = minutes.map(Period::of_minutes);
        match period {
            Some(Period::Other(_)) if compatibility == Compatibility::Standard => {}
            Some(period) => return period,
            None => {}
        }
        let problem = format!(
            "periodInterval {text} isn't supported: 0 (single), 60 (hourly), 1440 (daily) or -1 (correlation id)"
        );
        self.refuse(id, format!("{path}.periodInterval"), Problem::Refused(problem));
        Period::Single
    }

    fn value_of(&mut self, object: Id, path: &str, rules: Rules) -> Option<ValueMapping> {
        let id = self
            .document
            .member_any_case(object, "value")
            .filter(|id| *self.document.value(*id) != Value::Null)?;
        let path = format!("{path}.value");
        let name = self.text(id, &path, Member::required("valueName", "ValueName"));
        let kind = self.text(id, &path, Member::required("valueType", "ValueType"))?;
        let mut optional = |name, title| self.text(id, &path, Member::optional(name, title));
        let kind = match kind.to_ascii_lowercase().trim_end_matches("fhirvaluetype") {
            "sampleddata" => {
                let unit = optional("unit", "Unit");
                let period = optional("defaultPeriod", "DefaultPeriod").unwrap_or_else(|| "0".to_owned());
                if rules.compatibility == Compatibility::Standard
                    && let Err(problem) = usable(&period, rules.period)
                {
                    self.refuse_member(id, &path, "defaultPeriod", Problem::Refused(problem));
                }
                ValueKind::SampledData { period, unit }
            }
            "quantity" => ValueKind::Quantity {
                unit: optional("unit", "Unit"),
                code: optional("code", "Code"),
                system: optional("system", "System"),
            },
            "codeableconcept" => {
                let text = optional("text", "Text");
                ValueKind::CodeableConcept(Concept {
                    text,
                    codes: self.codes(id, &path, false),
                })
            }
            "string" => ValueKind::Text,
            _ => {
                let problem =
                    format!("valueType `{kind}` isn't known: SampledData, Quantity, CodeableConcept or String");
                self.refuse_member(id, &path, "valueType", Problem::Refused(problem));
                return None;
            }
        };
        let aggregation = self.aggregation(id, &path);
        let is_arithmetic = matches!(aggregation, Aggregation::Mean | Aggregation::Min | Aggregation::Max);
        if is_arithmetic && kind == ValueKind::Text {
            let problem = "a String has no mean, min or max: aggregation is `last` or `first`".to_owned();
            self.refuse_member(id, &path, "aggregation", Problem::Refused(problem));
        }
        Some(ValueMapping {
            name: name?,
            kind,
            aggregation,
        })
    }

    fn aggregation(&mut self, object: Id, path: &str) -> Aggregation {
        let name = self.text(object, path, Member::optional("aggregation", "Aggregation"));
        match name.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None | Some("last") => Aggregation::Last,
            Some("first") => Aggregation::First,
            Some("mean") => Aggregation::Mean,
            Some("min") => Aggregation::Min,
            Some("max") => Aggregation::Max,
            Some(other) => {
                let problem = format!("aggregation `{other}` isn't known: last, first, mean, min or max");
                self.refuse_member(object, path, "aggregation", Problem::Refused(problem));
                Aggregation::Last
            }
        }
    }
}

/// What the values of a template depend on.
#[derive(Clone, Copy)]
struct Rules {
    compatibility: Compatibility,
    period: Period,
}

/// Whether points at this distance, in milliseconds, can fill an Observation.
fn usable(distance: &str, period: Period) -> Result<(), String> {
    let minutes = period.minutes().max(0);
    match slots(i128::from(minutes) * MINUTE - 100, distance) {
        Ok(_) => Ok(()),
        Err(SampledDataError::TooMany(_)) => Err(format!(
            "a `defaultPeriod` of {distance} ms makes more than {MOST_SLOTS} points in {minutes} minutes: raise it, or take a shorter periodInterval"
        )),
        Err(_) => Err("SampledData needs a `defaultPeriod` in milliseconds, greater than 0".to_owned()),
    }
}

/// In nanoseconds.
const MINUTE: i128 = 60_000_000_000;

//! From text to FHIR templates.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{Aggregation, Code, ComponentMapping, Concept, FhirMapping, FhirTemplate, Period, ValueKind, ValueMapping};
use crate::{
    device::Loaded,
    json::{Document, Id, Value},
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
        let mut seen = HashSet::new();
        let mut templates = HashMap::new();
        for inner in &inner {
            let name = loader.type_name(inner);
            if let Some(name) = &name
                && !seen.insert(name.to_lowercase())
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
            self.refuse(inner.id, format!("{}.typeName", inner.path), problem);
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
        let codes = self.codes(inner.id, &inner.path);
        let category = self.concepts(inner.id, &inner.path);
        let period = self.period(inner.id, &inner.path, compatibility);
        let value = self.value_of(inner.id, &inner.path, compatibility);
        let mut components = Vec::new();
        for (id, path) in self.list(inner.id, &inner.path, "components") {
            self.only(id, &path, "CodeValueMapping", &["codes", "value"]);
            let codes = self.codes(id, &path);
            match self.value_of(id, &path, compatibility) {
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

    fn codes(&mut self, object: Id, path: &str) -> Vec<Code> {
        let mut codes = Vec::new();
        for (id, path) in self.list(object, path, "codes") {
            let code = self.text(id, &path, Member::required("code", "Code"));
            let system = self.text(id, &path, Member::optional("system", "System"));
            let display = self.text(id, &path, Member::optional("display", "Display"));
            codes.extend(code.map(|code| Code { code, system, display }));
        }
        codes
    }

    fn concepts(&mut self, object: Id, path: &str) -> Vec<Concept> {
        let mut concepts = Vec::new();
        for (id, path) in self.list(object, path, "category") {
            let text = self.text(id, &path, Member::optional("text", "Text"));
            concepts.push(Concept {
                text,
                codes: self.codes(id, &path),
            });
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

    fn value_of(&mut self, object: Id, path: &str, compatibility: Compatibility) -> Option<ValueMapping> {
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
                let usable = period
                    .parse::<f64>()
                    .is_ok_and(|period| period.is_finite() && period > 0.0);
                if !usable && compatibility == Compatibility::Standard {
                    let problem = "SampledData needs a `defaultPeriod` in milliseconds, greater than 0".to_owned();
                    self.refuse(id, &path, Problem::Refused(problem));
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
                    codes: self.codes(id, &path),
                })
            }
            "string" => ValueKind::Text,
            _ => {
                let problem =
                    format!("valueType `{kind}` isn't known: SampledData, Quantity, CodeableConcept or String");
                self.refuse(id, format!("{path}.valueType"), Problem::Refused(problem));
                return None;
            }
        };
        let aggregation = self.aggregation(id, &path);
        Some(ValueMapping {
            name: name?,
            kind,
            aggregation,
        })
    }

    fn aggregation(&mut self, object: Id, path: &str) -> Aggregation {
        let name = self.text(object, path, Member::optional("aggregation", "Aggregation"));
        match name.as_deref() {
            None | Some("last") => Aggregation::Last,
            Some("first") => Aggregation::First,
            Some("mean") => Aggregation::Mean,
            Some("min") => Aggregation::Min,
            Some("max") => Aggregation::Max,
            Some(other) => {
                let problem = format!("aggregation `{other}` isn't known: last, first, mean, min or max");
                self.refuse(object, format!("{path}.aggregation"), Problem::Refused(problem));
                Aggregation::Last
            }
        }
    }
}

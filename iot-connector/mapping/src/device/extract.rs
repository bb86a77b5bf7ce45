//! From a message to measurements.

use std::sync::Arc;

use jiff::Timestamp;

use super::{DeviceMapping, DeviceTemplate, Expression};
use crate::{
    json::{Document, Id, Value},
    jsonpath::Scope,
    measurement::{Fault, Measurement, Normalised},
    template::Compatibility,
    time,
};

/// Why a field has no value.
enum Lack {
    /// The expression finds nothing, or `null`.
    Missing,
    /// What it finds can't be used.
    Unusable(&'static str, String),
}

impl DeviceMapping {
    /// Applies every template to a message (the envelope, as JSON text).
    pub fn normalise(&self, message: &[u8]) -> Normalised {
        let document = match Document::parse(message) {
            Ok(document) => document,
            Err(error) => {
                let detail = format!("the message isn't JSON: {error}");
                let fault = Fault {
                    reason: "InvalidDataFormat",
                    detail,
                    template: None,
                    path: None,
                };
                return Normalised {
                    measurements: Vec::new(),
                    faults: vec![fault],
                };
            }
        };
        let mut normalised = Normalised::default();
        for template in &self.templates {
            for matched in Scope::at(&document, 0).select(&template.type_match.path) {
                match template.measure(&document, matched, self.compatibility) {
                    Ok(measurement) => normalised.measurements.push(measurement),
                    Err(fault) => {
                        normalised.faults.push(fault);
                        // Upstream gives the message up at its first error.
                        if self.compatibility == Compatibility::Upstream {
                            return normalised;
                        }
                    }
                }
            }
        }
        normalised
    }
}

impl DeviceTemplate {
    fn measure(
        &self,
        document: &Document<'_>,
        matched: Id,
        compatibility: Compatibility,
    ) -> Result<Measurement, Fault> {
        let scope = if self.sees_root && *document.value(0) == Value::Object {
            Scope::with_matched(document, matched)
        } else if self.sees_root {
            Scope::at(document, 0)
        } else {
            Scope::at(document, matched)
        };
        let reader = Reader {
            document,
            scope,
            template: self,
            compatibility,
        };
        let device = reader.required("DeviceIdExpression", &self.device_id, Reader::text)?;
        let occurrence = reader.required("TimestampExpression", &self.timestamp, Reader::time)?;
        let patient = reader.optional(self.patient_id.as_ref());
        let encounter = reader.optional(self.encounter_id.as_ref());
        let correlation = match &self.correlation_id {
            Some(expression) => Some(reader.required(
                "CorrelationIdExpression",
                std::slice::from_ref(expression),
                Reader::text,
            )?),
            None => None,
        };
        let mut values = Vec::with_capacity(self.values.len());
        for value in &self.values {
            let expression = std::slice::from_ref(&value.expression);
            if value.required {
                values.push((
                    value.name.clone(),
                    reader.required(&value.name, expression, Reader::text)?,
                ));
            } else if let Ok(text) = reader.text(&value.expression)
                && (compatibility == Compatibility::Upstream || !text.trim().is_empty())
            {
                values.push((value.name.clone(), text));
            }
        }
        let type_name = self.type_name.clone();
        Ok(Measurement {
            type_name,
            occurrence,
            device,
            patient,
            encounter,
            correlation,
            values,
        })
    }
}

struct Reader<'d> {
    document: &'d Document<'d>,
    scope: Scope<'d>,
    template: &'d DeviceTemplate,
    compatibility: Compatibility,
}

impl<'d> Reader<'d> {
    /// The first expression that gives a usable value; a blank text isn't one.
    fn required<T: Blank>(
        &self,
        name: &str,
        expressions: &[Expression],
        read: impl Fn(&Self, &Expression) -> Result<T, Lack>,
    ) -> Result<T, Fault> {
        let mut unusable = None;
        for expression in expressions {
            match read(self, expression) {
                Ok(value) if !value.is_blank() => return Ok(value),
                Ok(_) => {
                    unusable.get_or_insert((
                        "IncompatibleData",
                        format!("A null or empty value was supplied for the required field [{name}]"),
                    ));
                }
                Err(Lack::Missing) => {}
                Err(Lack::Unusable(reason, detail)) => {
                    unusable.get_or_insert((reason, detail));
                }
            }
        }
        let paths = expressions.iter().map(Expression::text).collect::<Vec<_>>().join(",");
        let mut detail = format!("Unable to extract required value for [{name}] using {paths}");
        let mut reason = "IncompatibleData";
        if let Some((cause, inner)) = unusable {
            reason = cause;
            detail = format!("{detail}: {inner}");
        }
        let template: Option<Arc<str>> = Some(self.template.type_name.clone());
        Err(Fault {
            reason,
            detail,
            template,
            path: Some(paths),
        })
    }

    fn optional(&self, expression: Option<&Expression>) -> Option<String> {
        let text = self.text(expression?).ok()?;
        (self.compatibility == Compatibility::Upstream || !text.trim().is_empty()).then_some(text)
    }

    fn text(&self, expression: &Expression) -> Result<String, Lack> {
        match self.token(expression)? {
            Value::String(text) if self.compatibility == Compatibility::Upstream && time::is_date_token(text) => {
                Ok(time::parse(text).map_or_else(|| text.to_string(), time::american_text))
            }
            Value::String(text) => Ok(text.to_string()),
            Value::Number(text) if self.compatibility == Compatibility::Upstream => Ok(shortest(text)),
            Value::Number(text) => Ok((*text).to_owned()),
            Value::Bool(true) => Ok("True".to_owned()),
            Value::Bool(false) => Ok("False".to_owned()),
            Value::Null => Err(Lack::Missing),
            Value::Array | Value::Object => Err(incompatible("an object or a list isn't a value".to_owned())),
        }
    }

    fn time(&self, expression: &Expression) -> Result<Timestamp, Lack> {
        match self.token(expression)? {
            Value::String(text) if text.trim().is_empty() => {
                Err(incompatible("A null or empty value was supplied for a time".to_owned()))
            }
            Value::String(text) => time::parse(text).ok_or_else(|| incompatible(format!("`{text}` isn't a time"))),
            Value::Null => Err(Lack::Missing),
            _ => Err(incompatible("only a text is a time".to_owned())),
        }
    }

    fn token(&self, expression: &Expression) -> Result<&'d Value<'d>, Lack> {
        match self.scope.select_one(&expression.path) {
            Ok(Some(id)) => Ok(self.document.value(id)),
            Ok(None) => Err(Lack::Missing),
            Err(()) => Err(Lack::Unusable(
                "TemplateExpression",
                "Path returned multiple tokens.".to_owned(),
            )),
        }
    }
}

/// What isn't there although a value is.
trait Blank {
    fn is_blank(&self) -> bool;
}

impl Blank for String {
    fn is_blank(&self) -> bool {
        self.trim().is_empty()
    }
}

impl Blank for Timestamp {
    fn is_blank(&self) -> bool {
        false
    }
}

fn incompatible(detail: String) -> Lack {
    Lack::Unusable("IncompatibleData", detail)
}

/// As .NET writes it back: whole numbers as they are, others as the shortest text of their double.
fn shortest(text: &str) -> String {
    if !text.contains(['.', 'e', 'E']) {
        return text.to_owned();
    }
    text.parse::<f64>()
        .map_or_else(|_| text.to_owned(), |number| number.to_string())
}

//! From a message to measurements.

use std::{
    borrow::Cow,
    cell::{OnceCell, RefCell},
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    DeviceMapping, DeviceTemplate, Expression,
    token::{Seen, Token, Trouble},
};
use crate::{
    jmespath::{self, EvaluationError, Rcvar},
    json::Document,
    jsonpath::Scope,
    measurement::{Fault, Measurement, Message, Normalised},
    template::Compatibility,
    time,
};

/// Why a field has no value.
enum Lack {
    /// The expression finds nothing, or `null`.
    Missing,
    /// What it finds can't be used.
    Unusable(String),
    /// The expression finds several tokens, or can't be computed.
    Failed(String),
}

const SEVERAL: &str = "Path returned multiple tokens.";

impl DeviceMapping {
    /// Applies every template to a message.
    pub fn normalise(&self, message: Message<'_>) -> Normalised {
        let document = match message.parse() {
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
        let normalised = self.measurements(&document);
        document.recycle();
        normalised
    }

    fn measurements(&self, document: &Document<'_>) -> Normalised {
        let mut normalised = Normalised::default();
        let root: OnceCell<Rcvar> = OnceCell::new();
        let device = Recent::default();
        let scanned = self.scans.run(document);
        normalised.measurements.reserve(scanned.objects());
        for (template, scan) in self.templates.iter().zip(&self.scan_of) {
            let mut add = |measured: Result<Measurement, Fault>| {
                match measured {
                    Ok(measurement) => normalised.measurements.push(measurement),
                    Err(fault) => normalised.faults.push(fault),
                }
                // Upstream gives the message up at its first error.
                self.compatibility == Compatibility::Standard || normalised.faults.is_empty()
            };
            let goes_on = match &template.type_match {
                Expression::JsonPath(path) => {
                    let mut measure = |matched| {
                        let seen = Seen::of_node(document, matched, template.sees_root.then_some(&root));
                        add(template.measure(&seen, self.compatibility, &device))
                    };
                    match scan {
                        Some(scan) => scanned.select(*scan).all(&mut measure),
                        None => Scope::at(document, 0).select(path).into_iter().all(&mut measure),
                    }
                }
                Expression::JmesPath(query) => {
                    let root = root.get_or_init(|| jmespath::variable(document, 0));
                    match query.select(root) {
                        Ok(matched) => matched
                            .into_iter()
                            .all(|matched| add(template.measure_variable(root, matched, self.compatibility, &device))),
                        Err(error) => add(Err(template.unmatchable(&error))),
                    }
                }
            };
            if !goes_on {
                return normalised;
            }
        }
        normalised
    }
}

impl DeviceTemplate {
    /// A match that JMESPath found; expressions in JSONPath see its text.
    fn measure_variable(
        &self,
        root: &Rcvar,
        matched: Rcvar,
        compatibility: Compatibility,
        device: &Recent,
    ) -> Result<Measurement, Fault> {
        let seen = if self.sees_root {
            jmespath::with_matched(root, matched)
        } else {
            matched
        };
        let has_paths = self.inner().any(|inner| matches!(inner, Expression::JsonPath(_)));
        let text = if has_paths { seen.to_string() } else { "null".to_owned() };
        match Document::parse(text.as_bytes()) {
            Ok(document) => self.measure(&Seen::of_variable(&document, seen), compatibility, device),
            Err(error) => {
                let detail = format!("what the match gives is too large for JSONPath: {error}");
                Err(self.fault("TemplateExpression", detail, self.type_match.text().to_owned()))
            }
        }
    }

    fn unmatchable(&self, error: &EvaluationError) -> Fault {
        let path = self.type_match.text().to_owned();
        let detail = format!("Unable to match using {path}: {error}");
        self.fault("TemplateExpression", detail, path)
    }

    fn fault(&self, reason: &'static str, detail: String, path: String) -> Fault {
        Fault {
            reason,
            detail,
            template: Some(self.type_name.clone()),
            path: Some(path),
        }
    }

    fn measure(&self, seen: &Seen<'_>, compatibility: Compatibility, recent: &Recent) -> Result<Measurement, Fault> {
        let reader = Reader {
            seen,
            template: self,
            compatibility,
            recent,
        };
        let device = reader.required("DeviceIdExpression", &self.device_id, Reader::device)?;
        let occurrence = reader.required("TimestampExpression", &self.timestamp, Reader::time)?;
        let correlation = match &self.correlation_id {
            Some(expression) => Some(reader.required(
                "CorrelationIdExpression",
                std::slice::from_ref(expression),
                Reader::text,
            )?),
            None => None,
        };
        let optional = |name, expression: &Option<Expression>| match expression {
            Some(expression) => reader.optional(name, expression),
            None => Ok(None),
        };
        let patient = optional("PatientIdExpression", &self.patient_id)?;
        let encounter = optional("EncounterIdExpression", &self.encounter_id)?;
        let mut values = Vec::with_capacity(self.values.len());
        for value in &self.values {
            let expression = std::slice::from_ref(&value.expression);
            if value.required {
                values.push((
                    value.name.clone(),
                    reader.required(&value.name, expression, Reader::text)?,
                ));
            } else if let Some(text) = reader.optional(&value.name, &value.expression)? {
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

/// The device of the measurement before: mostly the same one's again.
#[derive(Default)]
struct Recent(RefCell<Option<Arc<str>>>);

impl Recent {
    fn shared(&self, text: &str) -> Arc<str> {
        let mut recent = self.0.borrow_mut();
        match &*recent {
            Some(known) if **known == *text => known.clone(),
            _ => recent.insert(text.into()).clone(),
        }
    }
}

struct Reader<'s, 'd> {
    seen: &'s Seen<'d>,
    template: &'s DeviceTemplate,
    compatibility: Compatibility,
    recent: &'s Recent,
}

impl<'d> Reader<'_, 'd> {
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
                Err(Lack::Unusable(detail)) => {
                    unusable.get_or_insert(("IncompatibleData", detail));
                }
                Err(Lack::Failed(detail)) => {
                    unusable.get_or_insert(("TemplateExpression", detail));
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
        Err(self.template.fault(reason, detail, paths))
    }

    /// What isn't usable is left out; an expression that finds several tokens, or can't be
    /// computed, is an error in any case.
    fn optional(&self, name: &str, expression: &Expression) -> Result<Option<String>, Fault> {
        match self.text(expression) {
            Ok(text) if self.compatibility == Compatibility::Upstream || !text.is_blank() => Ok(Some(text)),
            Err(Lack::Failed(cause)) => {
                let path = expression.text().to_owned();
                let detail = format!("Unable to extract value for [{name}] using {path}: {cause}");
                Err(self.template.fault("TemplateExpression", detail, path))
            }
            Ok(_) | Err(Lack::Missing | Lack::Unusable(_)) => Ok(None),
        }
    }

    fn device(&self, expression: &Expression) -> Result<Arc<str>, Lack> {
        Ok(self.recent.shared(&self.shown(expression)?))
    }

    fn text(&self, expression: &Expression) -> Result<String, Lack> {
        Ok(self.shown(expression)?.into_owned())
    }

    /// A value as text.
    fn shown(&self, expression: &Expression) -> Result<Cow<'d, str>, Lack> {
        match self.token(expression)? {
            Token::Text(text) if self.compatibility == Compatibility::Upstream && time::is_date_token(&text) => {
                let written = time::parse(&text).map(time::american_text);
                Ok(written.map_or(text, Cow::Owned))
            }
            Token::Number(text) if self.compatibility == Compatibility::Upstream => Ok(shortest(&text).into()),
            Token::Text(text) | Token::Number(text) => Ok(text),
            Token::Bool(true) => Ok("True".into()),
            Token::Bool(false) => Ok("False".into()),
            Token::Null => Err(Lack::Missing),
            Token::Composite => Err(incompatible("an object or a list isn't a value".to_owned())),
        }
    }

    fn time(&self, expression: &Expression) -> Result<Timestamp, Lack> {
        match self.token(expression)? {
            Token::Text(text) if is_blank(&text) => {
                Err(incompatible("A null or empty value was supplied for a time".to_owned()))
            }
            Token::Text(text) => time::parse(&text).ok_or_else(|| incompatible(format!("`{text}` isn't a time"))),
            Token::Null => Err(Lack::Missing),
            _ => Err(incompatible("only a text is a time".to_owned())),
        }
    }

    fn token(&self, expression: &Expression) -> Result<Token<'d>, Lack> {
        match self.seen.one(expression) {
            Ok(Some(token)) => Ok(token),
            Ok(None) => Err(Lack::Missing),
            Err(Trouble::Several) => Err(Lack::Failed(SEVERAL.to_owned())),
            // a function that got `null` for a missing member: what isn't needed is left out
            Err(Trouble::Evaluation(EvaluationError::Type(detail)))
                if self.compatibility == Compatibility::Standard =>
            {
                Err(Lack::Unusable(detail))
            }
            Err(Trouble::Evaluation(error)) => Err(Lack::Failed(error.to_string())),
        }
    }
}

/// What isn't there although a value is.
trait Blank {
    fn is_blank(&self) -> bool;
}

impl Blank for String {
    fn is_blank(&self) -> bool {
        is_blank(self)
    }
}

impl Blank for Arc<str> {
    fn is_blank(&self) -> bool {
        is_blank(self)
    }
}

fn is_blank(text: &str) -> bool {
    // Most begin with a letter or a digit.
    let begins = text.as_bytes().first().is_some_and(u8::is_ascii_graphic);
    !begins && text.trim().is_empty()
}

impl Blank for Timestamp {
    fn is_blank(&self) -> bool {
        false
    }
}

fn incompatible(detail: String) -> Lack {
    Lack::Unusable(detail)
}

/// As .NET writes it back: whole numbers as they are, others as the shortest text of their double.
fn shortest(text: &str) -> String {
    if text == "-0" {
        return "0".to_owned();
    }
    if !text.contains(['.', 'e', 'E']) {
        return text.to_owned();
    }
    let Ok(number) = text.parse::<f64>() else {
        return text.to_owned();
    };
    if number == 0.0 || (1e-4..1e15).contains(&number.abs()) {
        return number.to_string();
    }
    let scientific = format!("{number:E}");
    match scientific.split_once('E') {
        Some((mantissa, power)) => match power.strip_prefix('-') {
            Some(power) => format!("{mantissa}E-{power:0>2}"),
            None => format!("{mantissa}E+{power:0>2}"),
        },
        None => scientific,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("78", "78")]
    #[case("98.60", "98.6")]
    #[case("1.0", "1")]
    #[case("1e3", "1000")]
    #[case("1.5e16", "1.5E+16")]
    #[case("0.0000025", "2.5E-06")]
    #[case("0.0001", "0.0001")]
    #[case("0.00005", "5E-05")]
    #[case("-0", "0")]
    #[case("12345678901234567890", "12345678901234567890")]
    fn upstream_writes_numbers_as_dotnet(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(shortest(text), expected);
    }

    /// One template with an optional patient, a required value `r` and an optional value `o`.
    fn normalise(message: &serde_json::Value, compatibility: Compatibility) -> Normalised {
        let mapping = json!({"templateType": "CollectionContent", "template": [{"templateType": "CalculatedContent", "template": {
            "typeName": "t", "typeMatchExpression": "$..[?(@r)]", "deviceIdExpression": "$.device",
            "timestampExpression": "$.time", "patientIdExpression": "$.patient[*]", "values": [
                {"valueName": "r", "valueExpression": "$.matchedToken.r", "required": true},
                {"valueName": "o", "valueExpression": "$.matchedToken.o"}
            ]
        }}]});
        let mapping = DeviceMapping::parse(&mapping.to_string(), compatibility).unwrap();
        let mut root = json!({"device": "d", "time": "2026-01-01T10:00:00+02:00"});
        root.as_object_mut()
            .unwrap()
            .extend(message.as_object().unwrap().clone());
        mapping.normalise(Message::Whole(root.to_string().as_bytes()))
    }

    fn values(normalised: &Normalised) -> Vec<(&str, &str)> {
        let [measurement] = &normalised.measurements[..] else {
            panic!("one measurement: {normalised:?}")
        };
        measurement
            .values
            .iter()
            .map(|(name, value)| (&**name, value.as_str()))
            .collect()
    }

    #[rstest]
    #[case::as_they_are(json!({"r": "2026-01-01T10:00:00.5+02:00", "o": "1.0"}), &[("r", "2026-01-01T10:00:00.5+02:00"), ("o", "1.0")])]
    #[case::truth(json!({"r": true, "o": false}), &[("r", "True"), ("o", "False")])]
    #[case::blank_is_left_out(json!({"r": 1, "o": " "}), &[("r", "1")])]
    #[case::null_is_left_out(json!({"r": 1, "o": null}), &[("r", "1")])]
    #[case::an_object_is_left_out(json!({"r": 1, "o": {}}), &[("r", "1")])]
    fn values_are_texts(#[case] message: serde_json::Value, #[case] expected: &[(&str, &str)]) {
        assert_eq!(values(&normalise(&message, Compatibility::Standard)), expected);
    }

    #[rstest]
    #[case::dates_are_written_anew(json!({"r": "2026-01-01T10:00:00.5+02:00"}), &[("r", "01/01/2026 08:00:00")])]
    #[case::blank_is_kept(json!({"r": 1, "o": " "}), &[("r", "1"), ("o", " ")])]
    fn upstream_differs(#[case] message: serde_json::Value, #[case] expected: &[(&str, &str)]) {
        assert_eq!(values(&normalise(&message, Compatibility::Upstream)), expected);
    }

    #[rstest]
    #[case::null(json!({"r": null}), "IncompatibleData", "Unable to extract required value for [r] using $.matchedToken.r")]
    #[case::blank(json!({"r": " "}), "IncompatibleData", "A null or empty value was supplied for the required field [r]")]
    #[case::a_list(json!({"r": []}), "IncompatibleData", "isn't a value")]
    #[case::no_time(json!({"r": 1, "time": 5}), "IncompatibleData", "[TimestampExpression] using $.time: only a text is a time")]
    #[case::two_patients(json!({"r": 1, "patient": ["a", "b"]}), "TemplateExpression", "multiple tokens")]
    fn a_fault_says_which_field(#[case] message: serde_json::Value, #[case] reason: &str, #[case] part: &str) {
        let normalised = normalise(&message, Compatibility::Standard);
        let [fault] = &normalised.faults[..] else {
            panic!("one fault: {normalised:?}")
        };
        assert_eq!(fault.reason, reason);
        assert!(fault.detail.contains(part), "{}", fault.detail);
        assert_eq!(fault.template.as_deref(), Some("t"));
    }
}

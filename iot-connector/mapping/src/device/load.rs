//! From text to device templates.

use super::{DeviceMapping, DeviceTemplate, Expression, Loaded, ValueTemplate};
use crate::{
    jmespath::Query,
    json::{Document, Id, Value},
    jsonpath::Path,
    template::{Compatibility, Inner, Loader, Member, Problem, TemplateError, is_type},
};

const ROOT: &str = "CollectionContent";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Calculated,
    JsonPath,
    Iot,
    IotCentral,
}

impl DeviceMapping {
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
        let templates = inner
            .iter()
            .filter_map(|inner| loader.device_template(inner, compatibility))
            .collect();
        Loaded {
            mapping: Some(Self::compile(templates, compatibility)),
            errors: loader.finish(),
        }
    }
}

impl Loader<'_> {
    /// `None` when something is wrong, which is recorded.
    fn device_template(&mut self, inner: &Inner, compatibility: Compatibility) -> Option<DeviceTemplate> {
        let kinds = [
            ("CalculatedContent", Kind::Calculated),
            ("JsonPathContent", Kind::JsonPath),
            ("IotJsonPathContent", Kind::Iot),
            ("IotCentralJsonPathContent", Kind::IotCentral),
        ];
        let Some((name, kind)) = kinds.into_iter().find(|(name, _)| is_type(&inner.kind, name)) else {
            self.refuse(inner.id, &inner.path, Problem::UnknownType(inner.kind.clone()));
            return None;
        };
        if *self.document.value(inner.id) != Value::Object {
            let problem = Problem::WrongKind {
                member: "Template".to_owned(),
                expected: "an object",
            };
            self.refuse(inner.id, &inner.path, problem);
            return None;
        }
        let before = self.errors.len();
        self.only(inner.id, &inner.path, name, &known(kind, compatibility));
        let template = self.members(inner, kind, compatibility);
        if self.errors.len() == before { template } else { None }
    }

    fn members(&mut self, inner: &Inner, kind: Kind, compatibility: Compatibility) -> Option<DeviceTemplate> {
        let has_languages = kind == Kind::Calculated || compatibility == Compatibility::Standard;
        let rules = Rules {
            compatibility,
            has_languages,
            language: if has_languages {
                self.language(inner)
            } else {
                Language::JsonPath
            },
        };
        let own = matches!(kind, Kind::Calculated | Kind::JsonPath);
        let mut expression = |name, title, required| {
            let member = Member { name, title, required };
            self.expression(inner.id, &inner.path, member, rules)
        };
        let type_match = expression("typeMatchExpression", "TypeMatchExpression", true);
        let device_id = if own {
            expression("deviceIdExpression", "DeviceIdExpression", true)
        } else {
            None
        };
        let timestamp = if own {
            expression("timestampExpression", "TimestampExpression", true)
        } else {
            None
        };
        let patient_id = expression("patientIdExpression", "PatientIdExpression", false);
        let encounter_id = expression("encounterIdExpression", "EncounterIdExpression", false);
        let correlation_id = expression("correlationIdExpression", "CorrelationIdExpression", false);
        let fixed = |paths: &[&str]| {
            paths
                .iter()
                .filter_map(|path| Path::parse(path).ok())
                .map(Expression::JsonPath)
                .collect()
        };
        let (device_id, timestamp) = match kind {
            Kind::Calculated | Kind::JsonPath => (Vec::from_iter(device_id), Vec::from_iter(timestamp)),
            Kind::Iot => (
                fixed(&["$.SystemProperties.iothub-connection-device-id"]),
                fixed(&[
                    "$.Properties.iothub-creation-time-utc",
                    "$.SystemProperties.iothub-enqueuedtime",
                ]),
            ),
            Kind::IotCentral => (fixed(&["$.deviceId"]), fixed(&["$.enqueuedTime"])),
        };
        let type_name = self.text(inner.id, &inner.path, Member::required("typeName", "TypeName"));
        let values = self.values(inner, rules);
        Some(DeviceTemplate {
            type_name: type_name?.into(),
            type_match: type_match?,
            device_id,
            timestamp,
            patient_id,
            encounter_id,
            correlation_id,
            values,
            sees_root: kind == Kind::Calculated,
        })
    }

    fn values(&mut self, inner: &Inner, rules: Rules) -> Vec<ValueTemplate> {
        let mut values = Vec::new();
        for (id, path) in self.list(inner.id, &inner.path, "values") {
            self.only(id, &path, "value", &["valueName", "valueExpression", "required"]);
            let name = self.text(id, &path, Member::required("valueName", "ValueName"));
            let member = Member::required("valueExpression", "ValueExpression");
            let expression = self.expression(id, &path, member, rules);
            let required = self.required(id, &path);
            if let (Some(name), Some(expression)) = (name, expression) {
                values.push(ValueTemplate {
                    name: name.into(),
                    expression,
                    required,
                });
            }
        }
        values
    }

    fn required(&mut self, object: Id, path: &str) -> bool {
        let Some(id) = self.document.member_any_case(object, "required") else {
            return false;
        };
        match self.document.value(id) {
            Value::Bool(required) => return *required,
            Value::String(text) if text.eq_ignore_ascii_case("true") => return true,
            Value::String(text) if text.eq_ignore_ascii_case("false") => return false,
            Value::Null => return false,
            _ => {}
        }
        let problem = Problem::WrongKind {
            member: "required".to_owned(),
            expected: "true or false",
        };
        self.refuse(id, format!("{path}.required"), problem);
        false
    }

    fn language(&mut self, inner: &Inner) -> Language {
        let member = Member::optional("defaultExpressionLanguage", "DefaultExpressionLanguage");
        let name = self.text(inner.id, &inner.path, member);
        let place = self.document.member_any_case(inner.id, member.name).unwrap_or(inner.id);
        self.named_language(name, place, &format!("{}.{}", inner.path, member.name))
    }

    fn named_language(&mut self, name: Option<String>, id: Id, path: &str) -> Language {
        match name {
            None => Language::JsonPath,
            Some(name) if name.eq_ignore_ascii_case("JsonPath") => Language::JsonPath,
            Some(name) if name.eq_ignore_ascii_case("JmesPath") => Language::JmesPath,
            Some(name) => {
                let problem = format!("`{name}` isn't an expression language: use JsonPath or JmesPath");
                self.refuse(id, path, Problem::Refused(problem));
                Language::JsonPath
            }
        }
    }

    /// A text, or an object `{value, language}` where languages can be chosen.
    fn expression(&mut self, object: Id, path: &str, member: Member, rules: Rules) -> Option<Expression> {
        let document = self.document;
        let found = document
            .member_any_case(object, member.name)
            .filter(|id| *document.value(*id) != Value::Null);
        let Some(id) = found else {
            if member.required {
                self.refuse(object, path, Problem::Missing(member.title));
            }
            return None;
        };
        let place = format!("{path}.{}", member.name);
        let (text, language) = match document.value(id) {
            Value::Object if rules.has_languages => {
                let text = self.text(id, &place, Member::required("value", "Value"))?;
                let named = self.text(id, &place, Member::optional("language", "Language"));
                let language = if named.is_none() {
                    rules.language
                } else {
                    let at = document.member_any_case(id, "language").unwrap_or(id);
                    self.named_language(named, at, &format!("{place}.language"))
                };
                (text, language)
            }
            Value::String(text) => (text.to_string(), rules.language),
            _ => {
                let problem = Problem::WrongKind {
                    member: member.title.to_owned(),
                    expected: "an expression",
                };
                self.refuse(id, place, problem);
                return None;
            }
        };
        if text.trim().is_empty() {
            // A blank expression that isn't needed is none.
            if member.required {
                self.refuse(id, place, Problem::EmptyExpression(member.title));
            }
            return None;
        }
        let compiled = match language {
            Language::JsonPath => Path::parse(&text)
                .map(Expression::JsonPath)
                .map_err(|error| error.to_string()),
            Language::JmesPath => Query::parse(&text, rules.compatibility)
                .map(Expression::JmesPath)
                .map_err(|error| error.to_string()),
        };
        compiled
            .map_err(|problem| self.refuse(id, place, Problem::Expression(problem)))
            .ok()
    }
}

/// How the expressions of a template are read.
#[derive(Clone, Copy)]
struct Rules {
    compatibility: Compatibility,
    /// iomt-fhir lets only `CalculatedContent` choose.
    has_languages: bool,
    /// The one of expressions that name none.
    language: Language,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    JsonPath,
    JmesPath,
}

/// The members that a template of this type may have.
fn known(kind: Kind, compatibility: Compatibility) -> Vec<&'static str> {
    let mut known = vec![
        "typeName",
        "typeMatchExpression",
        "patientIdExpression",
        "encounterIdExpression",
        "correlationIdExpression",
        "values",
    ];
    // In the types of IoT Hub and IoT Central they may stand there, and are passed over.
    known.extend(["deviceIdExpression", "timestampExpression"]);
    if kind == Kind::Calculated || compatibility == Compatibility::Standard {
        known.push("defaultExpressionLanguage");
    }
    known
}

//! What the terminology operations are asked: parameters of the query and of the body, and the codes among them.

use std::borrow::Cow;

use fhir_resource::Node;

use super::parameters;
use crate::http::call::{Call, Pairs};
use crate::http::failure::{Failure, Result};
use crate::http::json::Json;

/// The parameters of a call.
pub struct Asked<'a> {
    pairs: Pairs,
    parameters: Vec<Node<'a>>,
    /// A resource that is the body itself.
    body: Option<Node<'a>>,
}

/// A code that is asked about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coding {
    /// Its system.
    pub system: Option<String>,
    /// The version of the system.
    pub version: Option<String>,
    /// The code.
    pub code: String,
    /// The text that it is said to have.
    pub display: Option<String>,
}

impl Coding {
    fn of(node: Node<'_>) -> Option<Self> {
        let text = |name: &str| node.text_of(name).map(Cow::into_owned);
        Some(Self {
            system: text("system"),
            version: text("version"),
            code: text("code")?,
            display: text("display"),
        })
    }

    /// For messages.
    pub fn text(&self) -> String {
        match &self.system {
            Some(system) => format!("{system}|{}", self.code),
            None => self.code.clone(),
        }
    }
}

impl<'a> Asked<'a> {
    /// Reads a call. A body that is a resource of the type `of` stands for the parameter that holds one.
    pub fn of(call: &Call<'a>, of: &str) -> Result<Self> {
        let body = call
            .resource
            .filter(|body| body.text_of("resourceType").as_deref() == Some(of));
        let (pairs, parameters) = match body {
            Some(_) => (call.query.clone(), Vec::new()),
            None => (parameters::pairs(call)?, parameters::of(call)?),
        };
        Ok(Self {
            pairs,
            parameters,
            body,
        })
    }

    /// A parameter that may be given once.
    pub fn one(&self, name: &str) -> Result<Option<&str>> {
        let mut values = self.many(name);
        let value = values.next();
        if values.next().is_some() {
            return Err(Failure::invalid(format!(
                "The parameter '{name}' may be given once only."
            )));
        }
        Ok(value)
    }

    /// A parameter that may be given several times.
    pub fn many(&self, name: &str) -> impl Iterator<Item = &str> {
        let own = self.pairs.iter().filter(move |(own, _)| own == name);
        own.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// A number that isn't negative.
    pub fn number(&self, name: &str) -> Result<Option<usize>> {
        let bad = |text: &str| {
            Failure::invalid(format!(
                "The parameter '{name}' must be a number that isn't negative, not '{text}'."
            ))
        };
        self.one(name)?
            .map(|text| text.parse().map_err(|_| bad(text)))
            .transpose()
    }

    /// A boolean; `false` where it isn't given.
    pub fn flag(&self, name: &str) -> Result<bool> {
        match self.one(name)? {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(text) => Err(Failure::invalid(format!(
                "The parameter '{name}' must be `true` or `false`, not '{text}'."
            ))),
        }
    }

    /// Refuses what would change the answer and isn't supported.
    pub fn refuse(&self, names: &[&str]) -> Result<()> {
        let given =
            |name: &&&str| self.pairs.iter().any(|(own, _)| own == **name) || self.member(name, |_| true).is_some();
        match names.iter().find(given) {
            Some(name) => Err(Failure::new(
                http::StatusCode::BAD_REQUEST,
                "not-supported",
                format!("The parameter '{name}' is not supported, leave it out."),
            )),
            None => Ok(()),
        }
    }

    /// A member of a parameter, such as `resource` or `valueCoding`.
    fn member(&self, name: &str, is: impl Fn(&str) -> bool) -> Option<Node<'a>> {
        let mut own = self.parameters.iter().filter(|own| parameters::name(**own) == name);
        own.find_map(|own| own.entries().find(|(member, _)| member != "name" && is(member)))
            .map(|(_, value)| value)
    }

    /// The resource of a parameter, or the body where that is one.
    pub fn resource(&self, name: &str) -> Option<Node<'a>> {
        self.body.or_else(|| self.member(name, |member| member == "resource"))
    }

    /// The value of a parameter of type Coding.
    pub fn coding(&self, name: &str) -> Option<Coding> {
        Coding::of(self.member(name, |member| member == "valueCoding")?)
    }

    /// The codes that are asked about: `code` with `system`, `coding`, or those of `codeableConcept`. At least one.
    pub fn codings(&self, version_name: &str) -> Result<Vec<Coding>> {
        let text = |name: &str| Ok::<_, Failure>(self.one(name)?.map(str::to_owned));
        let mut codings: Vec<Coding> = self.coding("coding").into_iter().collect();
        if let Some(concept) = self.member("codeableConcept", |member| member == "valueCodeableConcept") {
            let own = concept.get("coding").into_iter().flat_map(Node::items);
            codings.extend(own.filter_map(Coding::of));
        }
        if let Some(code) = text("code")? {
            codings.push(Coding {
                system: text("system")?,
                version: text(version_name)?,
                code,
                display: text("display")?,
            });
        }
        if codings.is_empty() {
            return Err(Failure::invalid(
                "Say which code: `code` with `system`, or by POST `coding` or `codeableConcept`.",
            ));
        }
        Ok(codings)
    }
}

/// A Parameters resource with what `write` adds to its list.
pub fn answer(write: impl FnOnce(&mut Json)) -> Vec<u8> {
    let mut json = Json::default();
    json.object(|json| {
        json.member("resourceType", "Parameters");
        json.name("parameter").array(write);
    });
    json.finish()
}

/// One parameter whose value is a text of the type that `member` says, such as `valueString`.
pub fn parameter(json: &mut Json, name: &str, member: &str, value: &str) {
    json.object(|json| {
        json.member("name", name).member(member, value);
    });
}

/// One parameter whose value is a boolean.
pub fn flag(json: &mut Json, name: &str, value: bool) {
    json.object(|json| {
        json.member("name", name).flag("valueBoolean", value);
    });
}

//! Search parameters in one shape for both versions, each narrowed to one type.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result};
use serde_json::Value;

use super::facts::Facts;

#[derive(Debug)]
pub struct Parameter {
    pub base: String,
    pub code: String,
    pub url: String,
    pub kind: String,
    pub expression: String,
    pub targets: Vec<String>,
    pub components: Vec<ParameterComponent>,
}

#[derive(Debug)]
pub struct ParameterComponent {
    pub code: String,
    pub definition: String,
    pub expression: String,
}

/// By base type and code.
pub type Parameters = BTreeMap<(String, String), Parameter>;

pub fn of(facts: &Facts) -> Result<Parameters> {
    let list = match facts.search_parameters.get("entry") {
        Some(entries) => from_bundle(entries)?,
        None => from_annotations(&facts.search_parameters)?,
    };
    Ok(list
        .into_iter()
        .map(|parameter| ((parameter.base.clone(), parameter.code.clone()), parameter))
        .collect())
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value, name: &str) -> Vec<String> {
    value[name]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn from_bundle(entries: &Value) -> Result<Vec<Parameter>> {
    let resources: Vec<&Value> = entries
        .as_array()
        .context("no entries")?
        .iter()
        .map(|entry| &entry["resource"])
        .collect();
    let codes: HashMap<String, String> = resources
        .iter()
        .map(|resource| (text(resource, "url"), text(resource, "code")))
        .collect();
    let mut parameters = Vec::new();
    for resource in resources {
        for base in texts(resource, "base") {
            let components = resource["component"].as_array().into_iter().flatten();
            parameters.push(Parameter {
                code: text(resource, "code"),
                url: text(resource, "url"),
                kind: text(resource, "type"),
                expression: narrow(&text(resource, "expression"), &base),
                targets: targets(texts(resource, "target")),
                components: components
                    .map(|component| ParameterComponent {
                        code: codes.get(&text(component, "definition")).cloned().unwrap_or_default(),
                        definition: text(component, "definition"),
                        expression: text(component, "expression"),
                    })
                    .collect(),
                base,
            });
        }
    }
    Ok(parameters)
}

/// Any type at all is said by no target.
fn targets(mut targets: Vec<String>) -> Vec<String> {
    if targets.iter().any(|target| target == "Resource") {
        targets.clear();
    }
    targets
}

fn from_annotations(list: &Value) -> Result<Vec<Parameter>> {
    let facts = list.as_array().context("no list of search parameters")?;
    let expressions: HashMap<(String, String), String> = facts
        .iter()
        .map(|fact| ((text(fact, "base"), text(fact, "code")), text(fact, "expression")))
        .collect();
    let mut parameters = Vec::new();
    for fact in facts.iter().filter(|fact| !text(fact, "code").starts_with('_')) {
        let (base, code) = (text(fact, "base"), text(fact, "code"));
        let expression = narrow(&text(fact, "expression"), &base);
        let mut components = Vec::new();
        for part in texts(fact, "compositeOf") {
            let of_part = expressions
                .get(&(base.clone(), part.clone()))
                .with_context(|| format!("`{base}?{code}` is made of the unknown parameter `{part}`"))?;
            components.push(ParameterComponent {
                definition: url(&base, &part),
                expression: relative(&expression, &narrow(of_part, &base), &base),
                code: part,
            });
        }
        parameters.push(Parameter {
            url: url(&base, &code),
            kind: text(fact, "type"),
            targets: targets(texts(fact, "target")),
            base,
            code,
            expression,
            components,
        });
    }
    // Annotated on every class; HL7 defines them once. The three without a path are defined in words only.
    for (base, code, kind, expression) in [
        ("Resource", "_id", "token", "Resource.id"),
        ("Resource", "_lastUpdated", "date", "Resource.meta.lastUpdated"),
        ("Resource", "_tag", "token", "Resource.meta.tag"),
        ("Resource", "_profile", "uri", "Resource.meta.profile"),
        ("Resource", "_security", "token", "Resource.meta.security"),
        ("Resource", "_content", "string", ""),
        ("Resource", "_query", "token", ""),
        ("DomainResource", "_text", "string", ""),
    ] {
        parameters.push(Parameter {
            base: base.to_owned(),
            code: code.to_owned(),
            url: url(base, code.trim_start_matches('_')),
            kind: kind.to_owned(),
            expression: expression.to_owned(),
            targets: Vec::new(),
            components: Vec::new(),
        });
    }
    Ok(parameters)
}

fn url(base: &str, code: &str) -> String {
    format!("http://hl7.org/fhir/SearchParameter/{base}-{code}")
}

/// The alternatives of a union, outside parentheses and quotes.
fn alternatives(expression: &str) -> Vec<&str> {
    let (mut depth, mut quoted, mut start) = (0, false, 0);
    let mut parts = Vec::new();
    for (index, character) in expression.char_indices() {
        match character {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            '|' if !quoted && depth == 0 => {
                parts.push(expression[start..index].trim());
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(expression[start..].trim());
    parts
}

/// What a union over several types says of `base`.
fn narrow(expression: &str, base: &str) -> String {
    let parts = alternatives(expression);
    let root = |part: &str| {
        let name = part.trim_start_matches(['(', ' ']);
        name.split(|character: char| !character.is_ascii_alphanumeric())
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let own: Vec<&str> = parts.iter().copied().filter(|part| root(part) == base).collect();
    if own.is_empty() {
        expression.to_owned()
    } else {
        own.join(" | ")
    }
}

/// The expression of a component, from the elements that the composite's own expression gives.
fn relative(composite: &str, component: &str, base: &str) -> String {
    let roots = alternatives(composite);
    let mut parts: Vec<String> = Vec::new();
    for alternative in alternatives(component) {
        let below = roots
            .iter()
            .filter_map(|root| alternative.strip_prefix(root)?.strip_prefix('.'));
        let from_resource = alternative.strip_prefix(base).map(|rest| format!("%resource{rest}"));
        let part = below.min_by_key(|rest| rest.len()).map(str::to_owned).or(from_resource);
        let part = part.unwrap_or_else(|| alternative.to_owned());
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    parts.join(" | ")
}

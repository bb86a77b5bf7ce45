//! Searches that must find a resource: read from its values as the FHIR specification says, apart from how the server
//! makes its index.

use std::fmt::Write;

use fhir_definitions::{Definitions, ParamKind, SearchParameter};
use fhir_resource::path::Program;
use fhir_resource::{Node, reference};

/// A value as it is written in a query.
#[derive(Debug, Clone)]
struct Asked {
    modifier: &'static str,
    text: String,
}

/// One query for each value of each search parameter of the type.
pub fn queries(definitions: &'static Definitions, resource_type: &str, resource: Node<'_>) -> Vec<String> {
    let of = definitions.resource_type(resource_type).expect("a type of the version");
    let mut queries = Vec::new();
    for parameter in definitions.search_parameters(of) {
        let (code, kind) = (parameter.code(), parameter.kind());
        let Ok(program) = Program::compile(parameter.expression(), definitions, resource_type) else {
            continue; // found by rules of its own
        };
        if matches!(code, "_id" | "_lastUpdated") {
            continue; // what the server itself says
        }
        let mut asked = Vec::new();
        program.evaluate(resource, &mut |value, type_name| match kind {
            ParamKind::Composite => {
                asked.extend(composite(definitions, parameter, &program, resource, value, type_name));
            }
            _ => asked.extend(values(definitions, kind, value, type_name)),
        });
        // a reference that only names an identifier is one that leads nowhere
        if asked.iter().any(|asked| asked.modifier.is_empty()) && kind != ParamKind::Composite {
            queries.push(format!("{code}:missing=false"));
        }
        queries.extend(
            asked
                .iter()
                .map(|Asked { modifier, text }| format!("{code}{modifier}={}", encoded(text))),
        );
    }
    queries.sort();
    queries.dedup();
    queries
}

fn values(definitions: &'static Definitions, kind: ParamKind, value: Node<'_>, type_name: &str) -> Vec<Asked> {
    match kind {
        ParamKind::Token => plain(tokens(value, type_name)),
        ParamKind::Reference => references(definitions, value, type_name),
        ParamKind::Date => plain(dates(value, type_name)),
        ParamKind::String => strings(value, type_name),
        ParamKind::Number => {
            let texts = numbers(value, type_name).into_iter();
            plain(texts.filter(|text| !text.contains('|')).collect())
        }
        ParamKind::Quantity => plain(numbers(value, type_name)),
        ParamKind::Uri => plain(text(value).map(|text| escaped(&text)).into_iter().collect()),
        ParamKind::Composite | ParamKind::Special => Vec::new(),
    }
}

fn plain(texts: Vec<String>) -> Vec<Asked> {
    texts.into_iter().map(|text| Asked { modifier: "", text }).collect()
}

fn tokens(value: Node<'_>, type_name: &str) -> Vec<String> {
    let coded = |system: Option<String>, code: Option<String>| {
        let mut texts = Vec::new();
        match (system, code) {
            (Some(system), Some(code)) => {
                texts.push(format!("{}|{}", escaped(&system), escaped(&code)));
                texts.push(format!("{}|", escaped(&system)));
                texts.push(escaped(&code));
            }
            (None, Some(code)) => {
                texts.push(format!("|{}", escaped(&code)));
                texts.push(escaped(&code));
            }
            (Some(system), None) => texts.push(format!("{}|", escaped(&system))),
            (None, None) => {}
        }
        texts
    };
    match type_name {
        "CodeableConcept" => {
            let codings = value.get("coding").into_iter().flat_map(Node::each);
            codings.flat_map(|coding| tokens(coding, "Coding")).collect()
        }
        "Coding" => coded(member(value, "system"), member(value, "code")),
        "Identifier" => coded(member(value, "system"), member(value, "value")),
        // its system is a code of FHIR's own, whose namespace the parameter doesn't say
        "ContactPoint" => member(value, "value")
            .map(|value| escaped(&value))
            .into_iter()
            .collect(),
        _ => text(value).map(|text| escaped(&text)).into_iter().collect(),
    }
}

fn references(definitions: &'static Definitions, value: Node<'_>, type_name: &str) -> Vec<Asked> {
    if type_name != "Reference" {
        let Some(text) = text(value).filter(|text| !text.starts_with('#')) else {
            return Vec::new();
        };
        let mut texts = vec![escaped(&text)];
        if let Some((url, _)) = text.split_once('|') {
            texts.push(escaped(url));
        }
        return plain(texts);
    }
    let mut asked = Vec::new();
    if let Some(text) = member(value, "reference") {
        if let Some(target) = reference::literal(&text, definitions).filter(|literal| literal.base.is_none()) {
            asked.extend(plain(vec![format!("{}/{}", target.resource_type, target.id)]));
        } else if text.contains("://") {
            asked.extend(plain(vec![escaped(&text)]));
        }
    }
    if let Some(identifier) = value.get("identifier") {
        let texts = tokens(identifier, "Identifier").into_iter();
        asked.extend(texts.map(|text| Asked {
            modifier: ":identifier",
            text,
        }));
    }
    asked
}

fn dates(value: Node<'_>, type_name: &str) -> Vec<String> {
    match type_name {
        "Period" => ["start", "end"]
            .into_iter()
            .filter_map(|end| member(value, end))
            .collect(),
        "Timing" => {
            let events = value.get("event").into_iter().flat_map(Node::each).filter_map(text);
            let bounds = value.get("repeat").and_then(|repeat| repeat.get("boundsPeriod"));
            events
                .chain(bounds.into_iter().flat_map(|bounds| dates(bounds, "Period")))
                .collect()
        }
        "date" | "dateTime" | "instant" => {
            let text = text(value).into_iter();
            text.flat_map(|text| [format!("ge{text}"), format!("le{text}"), text])
                .collect()
        }
        // words about a time
        _ => Vec::new(),
    }
}

fn strings(value: Node<'_>, type_name: &str) -> Vec<Asked> {
    let parts: &[&str] = match type_name {
        "HumanName" => &["family", "given", "prefix", "suffix", "text"],
        "Address" => &["line", "city", "district", "state", "postalCode", "country", "text"],
        _ => &[],
    };
    let parts: Vec<String> = if parts.is_empty() {
        text(value).into_iter().collect()
    } else {
        let each = parts.iter().filter_map(|part| value.get(part));
        each.flat_map(Node::each).filter_map(text).collect()
    };
    let asked = parts.iter().flat_map(|part| {
        let inside: String = part.chars().skip(1).take(40).collect();
        [
            ("", part.clone()),
            ("", part.to_uppercase()),
            (":exact", part.clone()),
            (":contains", inside),
        ]
    });
    let asked = asked.filter(|(_, text)| !text.trim().is_empty() && text.len() < 500);
    asked
        .map(|(modifier, text)| Asked {
            modifier,
            text: escaped(&text),
        })
        .collect()
}

fn numbers(value: Node<'_>, type_name: &str) -> Vec<String> {
    if matches!(type_name, "integer" | "decimal" | "positiveInt" | "unsignedInt") {
        let text = value.number_text().into_iter();
        return text
            .flat_map(|text| [text.to_owned(), format!("ge{text}"), format!("le{text}")])
            .collect();
    }
    let Some(number) = value.get("value").and_then(Node::number_text) else {
        return Vec::new();
    };
    let mut texts = vec![number.to_owned(), format!("le{number}")];
    let system = member(value, "system").unwrap_or_default();
    if let Some(code) = member(value, "code") {
        texts.push(format!("{number}|{}|{}", escaped(&system), escaped(&code)));
        texts.push(format!("{number}||{}", escaped(&code)));
    } else if let Some(unit) = member(value, "unit") {
        texts.push(format!("{number}||{}", escaped(&unit)));
    }
    texts
}

/// A query for each pair (or triple) of values of one element.
fn composite(
    definitions: &'static Definitions,
    parameter: SearchParameter,
    program: &Program,
    resource: Node<'_>,
    element: Node<'_>,
    type_name: &str,
) -> Vec<Asked> {
    let mut texts = vec![String::new()];
    for component in parameter.components() {
        let like = definitions
            .all_search_parameters()
            .find(|other| other.url() == component.definition);
        let (Some(like), Ok(part)) = (like, program.component(component.expression)) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        part.evaluate_in(resource, element, type_name, &mut |value, type_name| {
            found.extend(values(definitions, like.kind(), value, type_name));
        });
        found.retain(|asked| asked.modifier.is_empty());
        let joined = texts.iter().flat_map(|before| {
            let dollar = if before.is_empty() { "" } else { "$" };
            found.iter().map(move |asked| format!("{before}{dollar}{}", asked.text))
        });
        texts = joined.collect();
    }
    texts.truncate(20);
    plain(texts)
}

fn text(value: Node<'_>) -> Option<String> {
    let text = value.as_str().map(std::borrow::Cow::into_owned);
    let text = text.or_else(|| value.number_text().map(str::to_owned));
    text.or_else(|| value.as_bool().map(|value| value.to_string()))
}

fn member(value: Node<'_>, name: &str) -> Option<String> {
    value.get(name).and_then(text)
}

/// What a query's own separators need.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if matches!(c, ',' | '|' | '$' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // a String takes everything
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

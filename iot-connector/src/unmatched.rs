//! Messages that no template is for, by their shape: names and kinds of members, never values.
//!
//! Kept in memory since the start, for the first [`SHAPES`] shapes; messages of further shapes are counted together. An
//! unmatched message costs one more walk, a matched one nothing.

use std::sync::{Mutex, PoisonError};

use iot_mapping::{
    DeviceMapping, Message,
    json::{Document, Id, Value},
    parse_time,
};
use serde::Serialize;

use crate::spool::Micros;

/// Shapes that are told apart.
const SHAPES: usize = 100;
/// Characters of a shape, or about so many; what is longer is cut.
const LENGTH: usize = 1_000;
/// Values in an example, so many at most; what exceeds them is left out.
const EXAMPLE_MEMBERS: usize = 200;
/// What stands for every text that is a time.
const EXAMPLE_TIME: &str = "2026-01-01T00:00:00Z";
/// Members in members that are shown.
const DEPTH: usize = 8;

/// All that is known.
#[derive(Debug, Default)]
pub struct Unmatched {
    state: Mutex<Page>,
}

/// What `/unmatched` answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    /// In the order in which they first came.
    pub shapes: Vec<Alike>,
    /// Messages of further shapes.
    pub others: u64,
}

/// Messages that look alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Alike {
    /// Members and kinds.
    pub shape: String,
    /// A message of that shape, with values of ours: what is tried out.
    pub example: serde_json::Value,
    /// How many came.
    pub count: u64,
    /// When the first one was accepted, RFC 3339.
    pub first: String,
    /// When the last one was accepted, RFC 3339.
    pub last: String,
    /// What the first one lacked.
    pub templates: Vec<Lack>,
}

/// Why a template doesn't match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lack {
    /// Its type of measurement.
    pub type_name: String,
    /// What the message lacks.
    pub reason: String,
}

impl Unmatched {
    /// Another message that nothing matched.
    pub fn note(&self, mapping: &DeviceMapping, message: Message<'_>, body: &[u8], received: Micros) {
        // what isn't JSON is a dead letter
        let Ok(document) = Document::parse(body) else {
            return;
        };
        let shape = shape(&document);
        let moment = crate::status::moment(received);
        let mut page = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = page.shapes.iter_mut().find(|known| known.shape == shape) {
            known.count += 1;
            known.last = moment;
            return;
        }
        if page.shapes.len() >= SHAPES {
            page.others += 1;
            return;
        }
        let lack = |template: &iot_mapping::DeviceTemplate| {
            Some(Lack {
                type_name: template.type_name.to_string(),
                reason: template.why_unmatched(message)?,
            })
        };
        page.shapes.push(Alike {
            shape,
            example: example(&document, 0, 0, &mut { EXAMPLE_MEMBERS }),
            count: 1,
            first: moment.clone(),
            last: moment,
            templates: mapping.templates().iter().filter_map(lack).collect(),
        });
    }

    /// What is known now.
    pub fn page(&self) -> Page {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn shape(document: &Document<'_>) -> String {
    let mut text = String::new();
    write(document, 0, 0, &mut text);
    if let Some((cut, _)) = text.char_indices().nth(LENGTH) {
        text.truncate(cut);
        text.push('…');
    }
    text
}

fn write(document: &Document<'_>, id: Id, depth: usize, text: &mut String) {
    if text.len() > LENGTH * 4 {
        return;
    }
    match document.value(id) {
        Value::Null => text.push_str("null"),
        Value::Bool(_) => text.push_str("boolean"),
        Value::Number(_) => text.push_str("number"),
        Value::String(_) => text.push_str("string"),
        Value::Array | Value::Object if depth >= DEPTH => text.push('…'),
        Value::Array => {
            text.push('[');
            // one element stands for the others
            if let Some(first) = document.children(id).next() {
                write(document, first, depth + 1, text);
            }
            text.push(']');
        }
        Value::Object => {
            text.push('{');
            for (index, member) in document.children(id).enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                text.push_str(document.key(member).unwrap_or_default());
                text.push_str(": ");
                write(document, member, depth + 1, text);
            }
            text.push('}');
        }
    }
}

/// The same members with values that say nothing of the message's own but their kinds.
fn example(document: &Document<'_>, id: Id, depth: usize, left: &mut usize) -> serde_json::Value {
    *left = left.saturating_sub(1);
    match document.value(id) {
        Value::Null => serde_json::Value::Null,
        Value::Bool(_) => true.into(),
        Value::Number(_) => 1.into(),
        Value::String(text) if parse_time(text).is_some() => EXAMPLE_TIME.into(),
        Value::String(_) => "text".into(),
        Value::Array | Value::Object if depth >= DEPTH => serde_json::Value::Null,
        Value::Array => {
            // one element stands for the others
            let first = document.children(id).next();
            first
                .map(|child| example(document, child, depth + 1, left))
                .into_iter()
                .collect()
        }
        Value::Object => {
            let mut members = serde_json::Map::new();
            for member in document.children(id) {
                if *left == 0 {
                    break;
                }
                let name = document.key(member).unwrap_or_default().to_owned();
                members.insert(name, example(document, member, depth + 1, left));
            }
            members.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use iot_mapping::Compatibility;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        r#"{"a": 1, "b": {"c": "secret", "d": [true, null]}, "e": null}"#,
        "{a: number, b: {c: string, d: [boolean]}, e: null}"
    )]
    #[case("[]", "[]")]
    #[case("5", "number")]
    #[case("[[[[[[[[[[1]]]]]]]]]]", "[[[[[[[[…]]]]]]]]")]
    fn a_shape_has_names_and_kinds_and_no_values(#[case] body: &str, #[case] expected: &str) {
        assert_eq!(shape(&Document::parse(body.as_bytes()).unwrap()), expected);
    }

    #[rstest]
    #[case(
        r#"{"a": 71.5, "b": {"c": "secret", "d": [false, null]}, "e": null, "f": "2025-05-05T07:08:09.123+02:00"}"#,
        r#"{"a":1,"b":{"c":"text","d":[true]},"e":null,"f":"2026-01-01T00:00:00Z"}"#
    )]
    #[case("[]", "[]")]
    #[case("[[[[[[[[[[1]]]]]]]]]]", "[[[[[[[[null]]]]]]]]")]
    fn an_example_has_the_same_members_and_none_of_the_values(#[case] body: &str, #[case] expected: &str) {
        let document = Document::parse(body.as_bytes()).unwrap();
        assert_eq!(example(&document, 0, 0, &mut { EXAMPLE_MEMBERS }).to_string(), expected);
    }

    #[test]
    fn shapes_are_bounded() {
        let mapping = DeviceMapping::parse(
            r#"{"templateType": "CollectionContent", "template": []}"#,
            Compatibility::Standard,
        );
        let (mapping, unmatched) = (mapping.unwrap(), Unmatched::default());
        for number in 0..SHAPES + 7 {
            for _ in 0..2 {
                let body = format!("{{\"name{number}\": 1}}");
                unmatched.note(&mapping, Message::Whole(body.as_bytes()), body.as_bytes(), 0);
            }
        }
        let page = unmatched.page();
        assert_eq!((page.shapes.len(), page.others), (SHAPES, 14));
        assert!(page.shapes.iter().all(|shape| shape.count == 2));
        let members: Vec<String> = (0..1_000).map(|number| format!("\"name{number}\": 1")).collect();
        let wide = format!("{{{}}}", members.join(", "));
        let shown = example(&Document::parse(wide.as_bytes()).unwrap(), 0, 0, &mut {
            EXAMPLE_MEMBERS
        });
        assert_eq!(shown.as_object().unwrap().len(), EXAMPLE_MEMBERS - 1);
        let long = format!("{{\"{}\": 1}}", "x".repeat(3 * LENGTH));
        assert_eq!(
            shape(&Document::parse(long.as_bytes()).unwrap()).chars().count(),
            LENGTH + 1
        );
    }
}

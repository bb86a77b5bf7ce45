//! What a JSON schema (schemars 1) says of its members, as people read it.

use std::fmt::Write as _;

use serde_json::Value;

use crate::table::code;

/// A member of a file's form.
pub struct Member {
    /// `a.b`; `a[].b` within a list.
    pub path: String,
    /// What it takes.
    pub takes: String,
    /// Whether there is no file without it.
    pub required: bool,
    /// Its description, and that of its values.
    pub meaning: String,
}

/// The node of a member, without `null`.
pub fn at<'a>(root: &'a Value, path: &[String]) -> &'a Value {
    path.iter()
        .fold(plain(root, root), |node, name| plain(root, &node["properties"][name]))
}

/// What is said of a structure: where it is a member, then by itself, but nothing twice.
pub fn about(root: &Value, path: &[String]) -> String {
    let Some((name, before)) = path.split_last() else {
        return String::new();
    };
    let property = &at(root, before)["properties"][name];
    let of = |node: &Value| {
        line(node["description"].as_str().unwrap_or_default())
            .trim_end_matches('.')
            .to_owned()
    };
    let (here, itself) = (of(property), of(plain(root, property)));
    if itself.starts_with(&here) {
        format!("{itself}.")
    } else if here.starts_with(&itself) {
        format!("{here}.")
    } else {
        format!("{here}. {itself}.")
    }
}

/// The default of an option as it is written in a file; what is absent, empty or nothing isn't one.
pub fn default(root: &Value, path: &[String]) -> Option<String> {
    let mut node = root;
    let mut default = None;
    for name in path {
        let property = &node["properties"][name];
        // What contains it may say another one, unless it is absent itself.
        let said = default.and_then(|value: &Value| value.get(name));
        default = said.or_else(|| property.get("default"));
        node = plain(root, property);
    }
    match default? {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::Array(items) if items.is_empty() => None,
        Value::Object(members) if members.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// Bounds that aren't those of the number's type.
pub fn bounds(node: &Value) -> Option<(u64, u64)> {
    let bounds = (node["minimum"].as_u64()?, node["maximum"].as_u64()?);
    let types = [u64::from(u8::MAX), u64::from(u16::MAX), u64::from(u32::MAX)];
    (!types.contains(&bounds.1)).then_some(bounds)
}

/// The values of an enumeration with what each means; nothing where there are none.
pub fn values(root: &Value, node: &Value) -> String {
    let node = plain(root, node);
    let mut text = String::new();
    for value in node["oneOf"].as_array().into_iter().flatten() {
        if let (Some(name), Some(meaning)) = (value["const"].as_str(), value["description"].as_str()) {
            // Writing to a text doesn't fail.
            let _ = write!(text, "<br>{}: {}", code(name), line(meaning));
        }
    }
    text
}

/// The name of what a node refers to.
pub fn name(node: &Value) -> Option<&str> {
    node["$ref"].as_str()?.strip_prefix("#/$defs/")
}

/// All members of a structure, those of structures in it after it.
pub fn members(root: &Value, node: &Value) -> Vec<Member> {
    let mut found = Vec::new();
    collect(root, node, "", &mut found);
    found
}

fn collect(root: &Value, node: &Value, before: &str, found: &mut Vec<Member>) {
    let node = plain(root, node);
    for (name, property) in node["properties"].as_object().into_iter().flatten() {
        let inner = plain(root, property);
        let required = node["required"]
            .as_array()
            .is_some_and(|names| names.iter().any(|required| required == name));
        let is_list = inner["items"].is_object();
        let path = format!("{before}{name}{}", if is_list { "[]" } else { "" });
        let within = if is_list { &inner["items"] } else { inner };
        let meaning = property["description"]
            .as_str()
            .or_else(|| inner["description"].as_str());
        found.push(Member {
            takes: takes(root, inner),
            required,
            meaning: format!("{}{}", line(meaning.unwrap_or_default()), values(root, within)),
            path: path.clone(),
        });
        collect(root, within, &format!("{path}."), found);
    }
}

fn takes(root: &Value, node: &Value) -> String {
    let node = plain(root, node);
    if node["items"].is_object() {
        return format!("list: {}", takes(root, &node["items"]));
    }
    let constants = node["oneOf"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|value| &value["const"]);
    let values = node["enum"].as_array().into_iter().flatten().chain(constants);
    let values: Vec<String> = values.filter_map(Value::as_str).map(code).collect();
    if !values.is_empty() {
        return values.join(", ");
    }
    let is = |name: &str| {
        node["type"] == name
            || node["type"]
                .as_array()
                .is_some_and(|names| names.iter().any(|n| n == name))
    };
    let names = [
        ("string", "text"),
        ("integer", "number"),
        ("number", "number"),
        ("boolean", "`true`, `false`"),
    ];
    let found = names.iter().find(|(name, _)| is(name));
    found.map_or("structure", |(_, takes)| takes).to_owned()
}

/// Follows references and takes the one alternative that isn't `null`.
fn plain<'a>(root: &'a Value, node: &'a Value) -> &'a Value {
    if let Some(name) = name(node) {
        return plain(root, &root["$defs"][name]);
    }
    let alternatives = node["anyOf"].as_array().into_iter().flatten();
    let mut real = alternatives.filter(|alternative| alternative["type"] != "null");
    match (real.next(), real.next()) {
        (Some(only), None) => plain(root, only),
        _ => node,
    }
}

/// A description's first paragraph in one line.
fn line(description: &str) -> String {
    description.split("\n\n").next().unwrap_or_default().replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({
            "properties": {
                "limits": {"$ref": "#/$defs/Limits", "default": {"count": 7}},
                "source": {"anyOf": [{"$ref": "#/$defs/Limits"}, {"type": "null"}], "default": null},
                "grants": {"type": "array", "items": {"$ref": "#/$defs/Grant"}, "default": []}
            },
            "$defs": {
                "Limits": {"properties": {"count": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3}}},
                "Grant": {"required": ["role"], "properties": {"role": {"$ref": "#/$defs/Role"}, "to": {"type": ["string", "null"]}}},
                "Role": {"oneOf": [{"const": "Reader", "description": "Reads\nall"}, {"const": "Writer", "description": "Writes"}]}
            }
        })
    }

    fn path(text: &str) -> Vec<String> {
        text.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn the_default_is_that_of_what_contains_it_if_that_is_there() {
        let schema = schema();
        let found = ["limits.count", "source.count", "grants"].map(|option| default(&schema, &path(option)));
        assert_eq!(found, [Some("7".to_owned()), Some("3".to_owned()), None]);
        assert_eq!(bounds(at(&schema, &path("source.count"))), Some((1, 9)));
    }

    #[test]
    fn a_structure_is_described_once() {
        for (here, itself, expected) in [
            ("Logs", "Logs on standard error.", "Logs on standard error."),
            ("Bounds; nothing is deleted", "Bounds", "Bounds; nothing is deleted."),
            (
                "TLS; absent: none",
                "A certificate",
                "TLS; absent: none. A certificate.",
            ),
            ("", "A certificate", "A certificate."),
        ] {
            let schema = json!({
                "properties": {"a": {"$ref": "#/$defs/A", "description": here}},
                "$defs": {"A": {"description": itself}}
            });
            assert_eq!(about(&schema, &path("a")), expected);
        }
    }

    #[test]
    fn members_of_lists_are_members() {
        let found: Vec<_> = members(&schema(), &schema())
            .into_iter()
            .map(|member| (member.path, member.takes, member.required, member.meaning))
            .filter(|(path, ..)| path.starts_with("grants"))
            .collect();
        let of = |path: &str, takes: &str, required, meaning: &str| {
            (path.to_owned(), takes.to_owned(), required, meaning.to_owned())
        };
        let role = "<br>`Reader`: Reads all<br>`Writer`: Writes";
        let expected = [
            of("grants[]", "list: structure", false, ""),
            of("grants[].role", "`Reader`, `Writer`", true, role),
            of("grants[].to", "text", false, ""),
        ];
        assert_eq!(found, expected);
    }
}

//! The JSON parser against `serde_json`, and against bad input.

use fhir_resource::edit::Edits;
use fhir_resource::{Document, Kind, Limits, Node, ParseProblem, write_minified};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::Value;

fn parse(text: &str) -> Document {
    Document::parse(text, Limits::default()).expect(text)
}

fn same(node: Node<'_>, value: &Value) -> bool {
    match value {
        Value::Null => node.kind() == Kind::Null,
        Value::Bool(wanted) => node.as_bool() == Some(*wanted),
        Value::Number(number) => node.number_text() == Some(number.as_str()),
        Value::String(text) => node.as_str().as_deref() == Some(text.as_str()),
        Value::Array(items) => {
            node.is_array()
                && node.items().count() == items.len()
                && node.items().zip(items).all(|(node, value)| same(node, value))
        }
        Value::Object(members) => {
            node.is_object()
                && node.entries().count() == members.len()
                && node
                    .entries()
                    .zip(members)
                    .all(|((name, node), (key, value))| name == key.as_str() && same(node, value))
                && members
                    .iter()
                    .all(|(key, value)| node.get(key).is_some_and(|node| same(node, value)))
        }
    }
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("finite", |number| number.is_finite())
            .prop_map(Value::from),
        "\\PC*".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..40).prop_map(Value::from),
            proptest::collection::vec((any::<String>(), inner), 0..40)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn agrees_with_serde_json(value in json(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.expect("text");
        let document = parse(&text);
        prop_assert!(same(document.root(), &value));
        prop_assert!(document.root().same(parse(&text).root()));
        let mut minified = Vec::new();
        write_minified(document.root(), &Edits::NONE, &mut minified);
        let again = serde_json::from_slice::<Value>(&minified).expect("minified");
        prop_assert_eq!(&again, &value);
        prop_assert_eq!(String::from_utf8(minified).expect("UTF-8"), serde_json::to_string(&value).expect("text"));
    }

    #[test]
    fn accepts_what_serde_json_accepts(text in "[\\[\\]{}:,\"\\\\0-9.eE+\\-a-dtrufalsn \t\n]{0,40}") {
        let theirs = serde_json::from_str::<Value>(&text);
        match Document::parse(text.as_str(), Limits::default()) {
            Ok(document) => prop_assert!(same(document.root(), &theirs.expect("serde_json accepts"))),
            Err(error) if error.problem == ParseProblem::DuplicateName => {}
            Err(_) => prop_assert!(theirs.is_err()),
        }
    }

    #[test]
    fn bytes_never_panic(bytes: Vec<u8>) {
        if let Err(error) = Document::parse(bytes.as_slice(), Limits::default()) {
            prop_assert!(error.offset <= bytes.len() && !error.to_string().is_empty());
        }
    }
}

#[rstest]
#[case(r#"{"resourceType":"Patient","#, "line 1, position 27: unexpected end of input")]
#[case("", "the body is empty")]
#[case("  ", "the body is empty")]
#[case("{\n \"a\": 01}", "line 2, position 8: invalid number (in `a`)")]
#[case(
    r#"{"name":[{"family":"x"},{"family":tru}]}"#,
    "position 35: expected a value (in `name[1].family`)"
)]
#[case(r#"{"a":1,"b":{"c":1,"c":2}}"#, "duplicate member name (in `b.c`)")]
#[case(r#"{"a":1,"\u0061":2}"#, "duplicate member name")]
#[case("{\"a\":\"x\ny\"}", "control characters")]
#[case(r#"{"a":"\x"}"#, "invalid escape")]
#[case(r#"{"a":"\ud800"}"#, "invalid escape")]
#[case(r#"{"a":1} x"#, "unexpected text after the document")]
#[case("[1,]", "expected a value (in `[1]`)")]
#[case(r#"{"a":1,}"#, "expected a member name in double quotes")]
#[case("{'a':1}", "expected a member name in double quotes")]
#[case("[1 2]", "expected `,` or `]`")]
fn refusals_say_where(#[case] text: &str, #[case] expected: &str) {
    let error = Document::parse(text, Limits::default()).expect_err(text).to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn limits_hold() {
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(Document::parse(nested(64), Limits::default()).is_ok());
    let error = Document::parse(nested(65), Limits::default()).expect_err("too deep");
    assert_eq!(error.problem, ParseProblem::TooDeep(64));
    let error = Document::parse(
        nested(1_000_000),
        Limits {
            depth: usize::MAX,
            bytes: usize::MAX,
        },
    )
    .expect_err("too deep");
    assert!(matches!(error.problem, ParseProblem::TooDeep(_)));
    let error = Document::parse("[1234567890]", Limits { depth: 64, bytes: 10 }).expect_err("too large");
    assert_eq!(error.problem, ParseProblem::TooLarge(10));
    let error = Document::parse(&b"\"\xff\""[..], Limits::default()).expect_err("not UTF-8");
    assert_eq!((error.problem, error.offset), (ParseProblem::Utf8, 1));
}

#[test]
fn many_members_are_checked_for_duplicates_quickly() {
    let members = |last: usize| {
        let names: Vec<String> = (0..200_000)
            .chain([last])
            .map(|name| format!("\"n{name}\":0"))
            .collect();
        format!("{{{}}}", names.join(","))
    };
    assert!(Document::parse(members(200_001), Limits::default()).is_ok());
    let error = Document::parse(members(7), Limits::default()).expect_err("duplicate");
    assert_eq!(error.problem, ParseProblem::DuplicateName);
}

#[test]
fn values_keep_their_text() {
    let document = parse(r#" {"a" : 1.10, "b": "\u00e9\n", "c": [ 1E+2 ], "\u0064": true} "#);
    let root = document.root();
    assert_eq!(root.get("a").and_then(Node::number_text), Some("1.10"));
    assert_eq!(root.text_of("b").as_deref(), Some("é\n"));
    assert_eq!(root.get("b").map(Node::raw), Some(r#""\u00e9\n""#));
    assert_eq!(root.get("d").and_then(Node::as_bool), Some(true));
    assert_eq!(root.get("nothing").map(Node::raw), None);
    let items = root.get("c").expect("c");
    assert_eq!(items.item(0).map(Node::raw), Some("1E+2"));
    assert_eq!(document.node_at(items.span().start).map(Node::raw), Some("[ 1E+2 ]"));
    let mut minified = Vec::new();
    write_minified(root, &Edits::NONE, &mut minified);
    assert_eq!(minified, br#"{"a":1.10,"b":"\u00e9\n","c":[1E+2],"\u0064":true}"#);
}

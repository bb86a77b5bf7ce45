//! JSONPath and JMESPath in one template: each sees what the other has found, and says what it can't do.

use iot_mapping::{
    Compatibility::{self, Standard, Upstream},
    DeviceMapping, Message, Normalised, dry_run,
};
use jiff::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};

fn jmespath(text: &str) -> Value {
    json!({"value": text, "language": "JmesPath"})
}

/// One template of a type with these members beside a name and a time; the value `v` is needed.
fn load(kind: &str, members: &Value, compatibility: Compatibility) -> Result<DeviceMapping, String> {
    let mut template = json!({"typeName": "t"});
    template
        .as_object_mut()
        .unwrap()
        .extend(members.as_object().unwrap().clone());
    let text = json!({"templateType": "CollectionContent", "template": [{"templateType": kind, "template": template}]});
    DeviceMapping::parse(&text.to_string(), compatibility).map_err(|errors| format!("{errors:?}"))
}

fn normalise(mapping: &DeviceMapping, message: &Value) -> Normalised {
    mapping.normalise(Message::Whole(message.to_string().as_bytes()))
}

fn values(normalised: &Normalised) -> Vec<Vec<(&str, &str)>> {
    assert_eq!(normalised.faults, []);
    normalised
        .measurements
        .iter()
        .map(|of| {
            of.values
                .iter()
                .map(|(name, value)| (&**name, value.as_str()))
                .collect()
        })
        .collect()
}

#[rstest]
#[case::path_in_path(json!("$..[?(@r)]"), json!("$.matchedToken.r"))]
#[case::query_in_path(json!("$..[?(@r)]"), jmespath("matchedToken.r"))]
#[case::path_in_query(jmespath("to_array(@)[?list].list[]"), json!("$.matchedToken.r"))]
#[case::query_in_query(jmespath("list"), jmespath("to_string(list[0].r)"))]
#[case::both_see_the_rest(jmespath("list[*]"), json!("$.list[0].r"))]
fn each_language_sees_what_the_other_found(#[case] matches: Value, #[case] value: Value) {
    let members = json!({
        "typeMatchExpression": matches, "deviceIdExpression": "$.device", "timestampExpression": jmespath("time"),
        "values": [{"valueName": "v", "valueExpression": value, "required": true}]
    });
    let message = json!({"device": "d", "time": "2026-01-01T10:00:00Z", "list": [{"r": 7}]});
    let mapping = load("CalculatedContent", &members, Standard).unwrap();
    assert_eq!(values(&normalise(&mapping, &message)), [[("v", "7")]]);
}

#[rstest]
#[case::made_of_nothing(jmespath("list[*].{r: a, s: to_string(b)}"), json!("$.matchedToken.s"), &["1", "2"])]
#[case::a_plain_list_is_one_match(jmespath("[list[0].b, list[1].b]"), jmespath("to_string(sum(matchedToken))"), &["3"])]
fn what_a_query_makes_is_a_match(#[case] matches: Value, #[case] value: Value, #[case] expected: &[&str]) {
    let members = json!({
        "typeMatchExpression": matches, "deviceIdExpression": "$.device", "timestampExpression": "$.time",
        "values": [{"valueName": "v", "valueExpression": value, "required": true}]
    });
    let message = json!({"device": "d", "time": "2026-01-01T10:00:00Z", "list": [{"a": 0, "b": 1}, {"a": 0, "b": 2}]});
    let mapping = load("CalculatedContent", &members, Standard).unwrap();
    let found: Vec<_> = normalise(&mapping, &message)
        .measurements
        .into_iter()
        .map(|measurement| measurement.values[0].1.clone())
        .collect();
    assert_eq!(found, expected);
}

#[rstest]
#[case("JsonPathContent", json!({"deviceIdExpression": "device", "timestampExpression": "fromUnixTimestampMs(ms)"}))]
#[case("IotJsonPathContent", json!({}))]
#[case("IotCentralJsonPathContent", json!({}))]
fn every_type_takes_both(#[case] kind: &str, #[case] more: Value) {
    let mut members = json!({
        "defaultExpressionLanguage": "JmesPath", "typeMatchExpression": "to_array(@)[?Body || deviceId || device]",
        "values": [{"valueName": "v", "valueExpression": "divide(n, `50`)", "required": true}]
    });
    members
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let message = json!({
        "device": "d", "ms": 1_767_261_600_000_u64, "n": 40, "deviceId": "d", "enqueuedTime": "2026-01-01T10:00:00Z", "Body": {},
        "SystemProperties": {"iothub-connection-device-id": "d", "iothub-enqueuedtime": "2026-01-01T10:00:00Z"}
    });
    let mapping = load(kind, &members, Standard).unwrap();
    let normalised = normalise(&mapping, &message);
    assert_eq!(values(&normalised), [[("v", "0.8")]]);
    let measurement = &normalised.measurements[0];
    assert_eq!(
        (&*measurement.device, measurement.occurrence.to_string()),
        ("d", "2026-01-01T10:00:00Z".to_owned())
    );
    let refused = load(kind, &members, Upstream).unwrap_err();
    assert!(refused.contains("defaultExpressionLanguage"), "{refused}");
}

/// An optional and a needed value by this expression, on a message that lacks `height`.
#[rstest]
#[case::left_out(Standard, "multiply(to_number(height), `0.0254`)", false, None)]
#[case::needed(Standard, "multiply(to_number(height), `0.0254`)", true, Some("IncompatibleData"))]
#[case::upstream_gives_up(Upstream, "multiply(to_number(height), `0.0254`)", false, Some("TemplateExpression"))]
#[case::too_large(Standard, "multiply(big, big)", false, Some("TemplateExpression"))]
#[case::upstream_wraps(Upstream, "multiply(big, `2`)", false, None)]
#[case::by_zero(Standard, "divide(big, `0`)", false, Some("TemplateExpression"))]
#[case::several(Standard, "list[*]", false, Some("TemplateExpression"))]
#[case::a_list(Standard, "list", true, Some("IncompatibleData"))]
#[case::null(Standard, "nothing", true, Some("IncompatibleData"))]
fn what_cannot_be_computed(
    #[case] compatibility: Compatibility,
    #[case] expression: &str,
    #[case] required: bool,
    #[case] fault: Option<&str>,
) {
    let members = json!({
        "defaultExpressionLanguage": "JmesPath", "typeMatchExpression": "@", "deviceIdExpression": "device",
        "timestampExpression": "time", "values": [{"valueName": "v", "valueExpression": expression, "required": required}]
    });
    let message =
        json!({"device": "d", "time": "2026-01-01T10:00:00Z", "big": 9_223_372_036_854_775_807_i64, "list": [1, 2]});
    let mapping = load("CalculatedContent", &members, compatibility).unwrap();
    let normalised = normalise(&mapping, &message);
    assert_eq!(
        normalised.faults.first().map(|fault| fault.reason),
        fault,
        "{normalised:?}"
    );
    assert_eq!(normalised.measurements.len(), usize::from(fault.is_none()));
}

#[rstest]
#[case("nothing(a)", "there is no function `nothing` at position 7")]
#[case("add(a)", "`add` takes 2 arguments, not 1 at position 3")]
#[case("a[?b", "at position 4 of the JMESPath expression")]
fn errors_of_an_expression_have_their_place(#[case] expression: &str, #[case] part: &str) {
    let members = json!({
        "typeMatchExpression": "$..[?(@a)]", "deviceIdExpression": "$.device", "timestampExpression": "$.time",
        "values": [{"valueName": "v", "valueExpression": jmespath(expression)}]
    });
    let refused = load("CalculatedContent", &members, Standard).unwrap_err();
    assert!(
        refused.contains(part) && refused.contains("$.template[0].template.values[0].valueExpression"),
        "{refused}"
    );
}

/// A value that projects one element, needed or not.
#[rstest]
#[case::unwrapped(Standard, "list[*].r", true, Ok(Some("7")))]
#[case::upstream_has_a_list(Upstream, "list[*].r", true, Err("IncompatibleData"))]
#[case::upstream_leaves_it_out(Upstream, "list[*].r", false, Ok(None))]
#[case::upstream_indexes(Upstream, "list[*].r | [0]", true, Ok(Some("7")))]
#[case::upstream_finds_nothing(Upstream, "list[?x]", false, Ok(None))]
fn one_projected_element(
    #[case] compatibility: Compatibility,
    #[case] expression: &str,
    #[case] required: bool,
    #[case] expected: Result<Option<&str>, &str>,
) {
    let members = json!({
        "typeMatchExpression": "$", "deviceIdExpression": "$.device", "timestampExpression": "$.time",
        "values": [{"valueName": "v", "valueExpression": jmespath(expression), "required": required}]
    });
    let message = json!({"device": "d", "time": "2026-01-01T10:00:00Z", "list": [{"r": 7}]});
    let normalised = normalise(&load("CalculatedContent", &members, compatibility).unwrap(), &message);
    match expected {
        Ok(expected) => assert_eq!(
            values(&normalised),
            [Vec::from_iter(expected.map(|value| ("v", value)))]
        ),
        Err(reason) => assert_eq!(normalised.faults[0].reason, reason),
    }
}

/// The same value of a message in both languages.
#[rstest]
#[case(Standard, "98.60", "98.60")]
#[case(Upstream, "98.60", "98.6")]
#[case(Standard, "1.0", "1.0")]
#[case(Upstream, "1.0", "1")]
#[case(Standard, "1e3", "1e3")]
#[case(Upstream, "1e3", "1000")]
#[case(Standard, "-0", "-0")]
#[case(Standard, "123456789012345678901234567890", "123456789012345678901234567890")]
#[case(Upstream, "123456789012345678901234567890", "123456789012345678901234567890")]
fn numbers_are_the_same_in_both(#[case] compatibility: Compatibility, #[case] number: &str, #[case] expected: &str) {
    let members = json!({
        "typeMatchExpression": "$..[?(@x)]", "deviceIdExpression": "$.device", "timestampExpression": "$.time",
        "values": [{"valueName": "path", "valueExpression": "$.matchedToken.x"},
            {"valueName": "query", "valueExpression": jmespath("matchedToken.x")}]
    });
    let message = format!(r#"{{"device": "d", "time": "2026-01-01T10:00:00Z", "list": [{{"x": {number}}}]}}"#);
    let mapping = load("CalculatedContent", &members, compatibility).unwrap();
    let normalised = mapping.normalise(Message::Whole(message.as_bytes()));
    assert_eq!(values(&normalised), [[("path", expected), ("query", expected)]]);
}

/// Matches of a wildcard, and a message with a member `matchedToken` of its own.
#[test]
fn matches_come_in_the_order_of_the_message() {
    let members = json!({
        "defaultExpressionLanguage": "JmesPath", "typeMatchExpression": "*[?r][]", "deviceIdExpression": "device",
        "timestampExpression": "time", "values": [{"valueName": "v", "valueExpression": "matchedToken.r"},
            {"valueName": "all", "valueExpression": "join(' ', keys(@))"}]
    });
    let message =
        r#"{"z": [{"r": 1}], "matchedToken": 0, "device": "d", "time": "2026-01-01T10:00:00Z", "a": [{"r": 2}]}"#;
    let mapping = load("CalculatedContent", &members, Standard).unwrap();
    let normalised = mapping.normalise(Message::Whole(message.as_bytes()));
    let all = ("all", "z matchedToken device time a");
    assert_eq!(values(&normalised), [[("v", "1"), all], [("v", "2"), all]]);
}

#[test]
fn a_filter_that_nests_unusually_is_warned_of() {
    let warnings = |filter: &str| {
        let mapping = json!({"templateType": "CollectionContent", "template": [{"templateType": "JsonPathContent", "template": {
            "typeName": "t", "typeMatchExpression": format!("$..[?({filter})]"), "deviceIdExpression": "$.d",
            "timestampExpression": "$.t", "values": []
        }}]});
        let report = dry_run(Some(&mapping.to_string()), None, &[], Standard, Timestamp::UNIX_EPOCH);
        assert!(!report.has_errors(), "{report:?}");
        report.template_warnings
    };
    let found = warnings("@a && @b || @c");
    assert_eq!(found.len(), 1);
    assert!(
        found[0]
            .message
            .starts_with("`$..[?(@a && @b || @c)]` in Device Mapping [t]")
    );
    assert_eq!(warnings("@c || @a && @b"), []);
}

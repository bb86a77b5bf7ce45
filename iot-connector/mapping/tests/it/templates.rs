//! Device templates by type: what their expressions see, and which fields are fixed.

use iot_mapping::{Compatibility::Standard, DeviceMapping, FhirMapping, Message, Normalised};
use rstest::rstest;
use serde_json::{Value, json};

fn normalise(kind: &str, members: &Value, body: &str, context: &str) -> Normalised {
    let mut template = json!({
        "typeName": "t", "typeMatchExpression": "$..[?(@hr)]", "values": [{"valueName": "hr", "valueExpression": "$.hr"}]
    });
    template
        .as_object_mut()
        .unwrap()
        .extend(members.as_object().unwrap().clone());
    let text = json!({"templateType": "CollectionContent", "template": [{"templateType": kind, "template": template}]});
    let mapping = DeviceMapping::parse(&text.to_string(), Standard).unwrap();
    let body = body.as_bytes();
    mapping.normalise(Message::Body { body, context })
}

const HUB: &str = r#"{"Properties": {"iothub-creation-time-utc": "2026-01-01T10:00:00Z"},
    "SystemProperties": {"iothub-connection-device-id": "hub", "iothub-enqueuedtime": "2026-01-01T11:00:00Z"}}"#;
const ENQUEUED: &str = r#"{"Properties": {"iothub-creation-time-utc": " "},
    "SystemProperties": {"iothub-connection-device-id": "hub", "iothub-enqueuedtime": "2026-01-01T11:00:00Z"}}"#;

#[rstest]
#[case::created(HUB, "2026-01-01T10:00:00Z")]
#[case::enqueued_where_creation_is_unusable(ENQUEUED, "2026-01-01T11:00:00Z")]
fn iot_hub_says_device_and_time(#[case] context: &str, #[case] time: &str) {
    // The match has to be the whole message: a filter that looks into the body.
    let members = json!({"typeMatchExpression": "$..[?(@Body.hr)]", "values": [{"valueName": "hr", "valueExpression": "$.Body.hr"}]});
    let normalised = normalise("IotJsonPathContent", &members, r#"{"hr": 60}"#, context);
    let [measurement] = &normalised.measurements[..] else {
        panic!("{normalised:?}")
    };
    assert_eq!(
        (&*measurement.device, measurement.occurrence.to_string().as_str()),
        ("hub", time)
    );
    assert_eq!(measurement.values[0].1, "60");
}

#[test]
fn iot_central_has_device_and_time_in_the_match() {
    let body = r#"{"deviceId": "central", "enqueuedTime": "2026-01-01T10:00:00Z", "telemetry": {"hr": 60}}"#;
    let members = json!({"typeMatchExpression": "$..[?(@telemetry.hr)]", "values": [{"valueName": "hr", "valueExpression": "$.telemetry.hr"}]});
    let normalised = normalise("IotCentralJsonPathContent", &members, body, "{}");
    assert_eq!(&*normalised.measurements[0].device, "central");
}

#[test]
fn every_element_that_matches_is_a_measurement() {
    let body = r#"{"device": "d", "data": [{"hr": 60, "at": "2026-01-01T10:00:00Z"}, {"x": 1}, {"hr": 61, "at": "2026-01-01T10:01:00Z"}]}"#;
    let members = json!({
        "deviceIdExpression": "$.Body.device", "timestampExpression": "$.matchedToken.at",
        "values": [{"valueName": "hr", "valueExpression": "$.matchedToken.hr"}]
    });
    let normalised = normalise("CalculatedContent", &members, body, "{}");
    let values: Vec<&str> = normalised
        .measurements
        .iter()
        .map(|of| of.values[0].1.as_str())
        .collect();
    assert_eq!((values, normalised.faults.len()), (vec!["60", "61"], 0));
}

#[rstest]
#[case::missing(json!({}), "[CorrelationIdExpression]")]
#[case::blank(json!({"session": " "}), "[CorrelationIdExpression]")]
fn a_correlation_that_is_named_is_required(#[case] more: Value, #[case] part: &str) {
    let mut body = json!({"hr": 60, "device": "d", "time": "2026-01-01T10:00:00Z"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let members = json!({"deviceIdExpression": "$.device", "timestampExpression": "$.time", "correlationIdExpression": "$.session"});
    let normalised = normalise("JsonPathContent", &members, &body.to_string(), "{}");
    assert!(normalised.measurements.is_empty());
    assert!(normalised.faults[0].detail.contains(part), "{normalised:?}");
}

/// Names of types and members are read whatever the case of their letters; comments are fine; a second reading is none.
#[test]
fn templates_are_read_as_newtonsoft_reads_them() {
    let text = r"{
        // as people write them
        'TemplateType': 'collectioncontenttemplate',
        Template: [{ templatetype: 'JSONPATHCONTENT', template: {
            typename: 't', TYPEMATCHEXPRESSION: '$..[?(@hr)]', deviceIdExpression: '$.d', timestampExpression: '$.t',
            values: [{ valueName: 'hr', valueExpression: '$.hr', required: 'True' }],
        }}],
    }";
    assert_eq!(DeviceMapping::parse(text, Standard).unwrap().templates().len(), 1);
}

#[test]
fn all_errors_are_told_at_once_with_their_places() {
    let text = r#"{"templateType": "CollectionContent", "template": [
  {"templateType": "CalculatedContent", "template": {
    "typeName": "a", "typeMatchExpression": {"value": "to_array(@)[?a", "language": "JmesPath"},
    "timestampExpression": "$.time", "colour": 1, "defaultExpressionLanguage": "XPath",
    "values": [{"valueName": "v", "valueExpression": "$.v["}, {"valueExpression": " ", "required": 7}]
  }},
  {"templateType": "Content", "template": {}},
  {"templateType": "JsonPathContent", "template": {
    "typeName": "b", "typeMatchExpression": "$..[?(@b)]", "deviceIdExpression": "$.d", "timestampExpression": "$.t", "values": []}}
]}"#;
    let loaded = DeviceMapping::load(text, Standard);
    let errors: Vec<String> = loaded.errors.iter().map(ToString::to_string).collect();
    let expected = [
        "Required property 'DeviceIdExpression' not found in JSON. ($.template[0].template, line 2, position 53)",
        "Expected ']' -- found Eof at position 14 of the JMESPath expression ($.template[0].template.typeMatchExpression, line 3, position 45)",
        "Could not find member 'colour' on object of type 'CalculatedContent'. ($.template[0].template.colour, line 4, position 48)",
        "`XPath` isn't an expression language: use JsonPath or JmesPath ($.template[0].template.defaultExpressionLanguage, line 4, position 80)",
        "`$.v[` isn't a JSONPath: it ends too early at position 5 ($.template[0].template.values[0].valueExpression, line 5, position 54)",
        "Required property 'ValueName' not found in JSON. ($.template[0].template.values[1], line 5, position 63)",
        "An expression must be set for [ValueExpression] ($.template[0].template.values[1].valueExpression, line 5, position 83)",
        "'required' has to be true or false. ($.template[0].template.values[1].required, line 5, position 100)",
        "No match found for template type Content. ($.template[1].template, line 7, position 43)",
    ];
    assert_eq!(errors, expected);
    // the others stay usable
    assert_eq!(loaded.mapping.unwrap().templates().len(), 1);
}

#[test]
fn all_errors_of_a_fhir_mapping_are_told_at_once_with_their_places() {
    let text = r#"{"templateType": "CollectionFhir", "template": [
  {"templateType": "CodeValueFhir", "template": {
    "typeName": " ", "codes": [{"code": "c", "sytem": "s"}], "category": [{"text": "t", "cods": []}],
    "value": {"valueName": "v", "valueType": "Numbers", "other": 1}}},
  {"templateType": "CodeValueFhir", "template": {
    "typeName": "a", "value": {"valueName": "v", "valueType": "String", "aggregation": "Mean"},
    "components": [{"value": {"valueName": "w", "valueType": "CodeableConcept", "codes": [{"code": "c", "more": 1}]}}]}},
  {"templateType": "CodeValueFhir", "template": {
    "typeName": "b", "codes": [], "periodInterval": 1440, "value": {"valueName": "v", "valueType": "SampledData", "defaultPeriod": 50}}},
  {"templateType": "CodeValueFhir", "template": {
    "typeName": "B", "codes": [], "value": {"valueName": "v", "valueType": "Quantity", "aggregation": "Mean"}}},
  {"templateType": "CodeValueFhir", "template": {"typeName": "b", "codes": null}}
]}"#;
    let loaded = FhirMapping::load(text, Standard);
    let errors: Vec<String> = loaded.errors.iter().map(ToString::to_string).collect();
    let expected = [
        "Required property 'TypeName' is empty. ($.template[0].template.typeName, line 3, position 17)",
        "Could not find member 'sytem' on object of type 'FhirCode'. ($.template[0].template.codes[0].sytem, line 3, position 55)",
        "Could not find member 'cods' on object of type 'FhirCodeableConcept'. ($.template[0].template.category[0].cods, line 3, position 97)",
        "valueType `Numbers` isn't known: SampledData, Quantity, CodeableConcept or String ($.template[0].template.value.valueType, line 4, position 46)",
        "Required property 'Codes' not found in JSON. ($.template[1].template, line 5, position 49)",
        "a String has no mean, min or max: aggregation is `last` or `first` ($.template[1].template.value.aggregation, line 6, position 88)",
        "Required property 'Codes' not found in JSON. ($.template[1].template.components[0], line 7, position 20)",
        "a `defaultPeriod` of 50 ms makes more than 1000000 points in 1440 minutes: raise it, or take a shorter periodInterval ($.template[2].template.value.defaultPeriod, line 9, position 132)",
        "Duplicate template defined for type name: b ($.template[4].template, line 12, position 49)",
    ];
    assert_eq!(errors, expected);
    // the one that is right isn't taken for a second one of one that isn't
    let mapping = loaded.mapping.unwrap();
    let usable: Vec<&str> = mapping
        .templates()
        .map(|template| template.type_name.as_str())
        .collect();
    assert_eq!(usable, ["B"]);
}

#[rstest]
#[case::iot("IotJsonPathContent")]
#[case::iot_central("IotCentralJsonPathContent")]
fn expressions_that_a_type_has_of_its_own_are_passed_over(#[case] kind: &str) {
    let mapping = json!({"templateType": "CollectionContent", "template": [{"templateType": kind, "template": {
        "typeName": "t", "typeMatchExpression": "$..[?(@v)]", "deviceIdExpression": "$.other", "timestampExpression": "$[",
        "values": []
    }}]});
    let mapping = DeviceMapping::parse(&mapping.to_string(), Standard).unwrap();
    assert_eq!(mapping.templates().len(), 1);
}

#[rstest]
#[case::not_json(
    "{\"templateType\": \"CollectionContent\",\n  \"template\": oops}",
    "the mapping isn't JSON: a value is expected ($, line 2, position 15)"
)]
#[case::the_other_mapping(
    r#"{"templateType": "CollectionFhir", "template": []}"#,
    "Expected TemplateType value CollectionContentTemplate, actual CollectionFhir. ($.templateType, line 1, position 18)"
)]
#[case::no_list(
    "{\"templateType\": \"CollectionContent\",\n  \"template\": {}}",
    "Expected an array for the template property value for template type CollectionContentTemplate. ($.template, line 2, position 15)"
)]
fn what_is_no_mapping_at_all_has_a_place_too(#[case] text: &str, #[case] expected: &str) {
    let loaded = DeviceMapping::load(text, Standard);
    assert!(loaded.mapping.is_none());
    let [error] = &loaded.errors[..] else {
        panic!("{:?}", loaded.errors)
    };
    assert_eq!(error.to_string(), expected);
}

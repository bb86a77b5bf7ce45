//! Where upstream, its documents and good sense differ: each row with what people get and what upstream does.

use iot_mapping::{
    Compatibility::{Standard, Upstream},
    DeviceMapping, Message,
};
use rstest::rstest;
use serde_json::{Value, json};

use super::{group, mapping, reading, written};

#[test]
fn an_error_in_one_template_leaves_the_others() {
    let template = |name: &str, value: &str| {
        json!({"templateType": "JsonPathContent", "template": {
            "typeName": name, "typeMatchExpression": "$..[?(@device)]", "deviceIdExpression": "$.device",
            "timestampExpression": "$.time", "values": [{"valueName": "v", "valueExpression": value, "required": true}]
        }})
    };
    let templates = [template("a", "$.a"), template("b", "$.b"), template("c", "$.c")];
    let text = json!({"templateType": "CollectionContent", "template": templates}).to_string();
    let message = json!({"device": "d", "time": "2026-01-01T10:00:00Z", "a": 1, "c": 3}).to_string();
    for (compatibility, expected) in [(Standard, &["a", "c"][..]), (Upstream, &["a"])] {
        let mapping = DeviceMapping::parse(&text, compatibility).unwrap();
        let normalised = mapping.normalise(Message::Whole(message.as_bytes()));
        let types: Vec<&str> = normalised.measurements.iter().map(|of| &*of.type_name).collect();
        assert_eq!((&types[..], normalised.faults.len()), (expected, 1));
    }
}

#[rstest]
#[case::whole_seconds_merge_with_migrated_observations("2026-01-01T10:00:07Z", "20260101100007Z", "20260101100007Z")]
#[case::a_fraction_makes_milliseconds("2026-01-01T10:00:07.25Z", "20260101100007250Z", "20260101100007Z")]
#[case::an_offset_is_honoured("2026-01-01T10:00:07+02:00", "20260101080007Z", "20260101080007Z")]
#[case::no_offset_is_utc("2026-01-01T10:00:07", "20260101100007Z", "20260101100007Z")]
fn an_instant_has_an_identifier(#[case] time: &str, #[case] standard: &str, #[case] upstream: &str) {
    for (compatibility, segment) in [(Standard, standard), (Upstream, upstream)] {
        let mapping = mapping(0, &json!({"valueType": "Quantity"}), compatibility);
        assert_eq!(
            group(&mapping, &[reading(time, "1", 0)]).segment,
            format!("{segment}.{segment}")
        );
    }
}

#[test]
fn two_instants_in_one_second_are_two_observations() {
    let batch = [
        reading("2026-01-01T10:00:07.25Z", "1", 0),
        reading("2026-01-01T10:00:07.5Z", "2", 1),
    ];
    let segments = |compatibility| {
        let mapping = mapping(0, &json!({"valueType": "Quantity"}), compatibility);
        let grouped = mapping.group(batch.to_vec());
        grouped
            .groups
            .into_iter()
            .map(|group| group.segment)
            .collect::<std::collections::HashSet<_>>()
            .len()
    };
    assert_eq!((segments(Standard), segments(Upstream)), (2, 1));
}

#[rstest]
#[case::last_by_default(json!({}), json!(58))]
#[case::last(json!({"aggregation": "last"}), json!(58))]
#[case::first(json!({"aggregation": "first"}), json!(60))]
#[case::mean(json!({"aggregation": "mean"}), json!(63.0))]
#[case::min(json!({"aggregation": "min"}), json!(58))]
#[case::max(json!({"aggregation": "max"}), json!(71))]
fn readings_that_share_a_quantity_are_aggregated(#[case] mut value: Value, #[case] expected: Value) {
    value["valueType"] = "Quantity".into();
    let batch = [
        reading("2026-01-01T10:30:00Z", "71", 0),
        reading("2026-01-01T10:10:00Z", "60", 1),
        reading("2026-01-01T10:50:00Z", "58", 2),
    ];
    let mapping = mapping(60, &value, Standard);
    for batches in [
        &[&batch[..]][..],
        &[&batch[..1], &batch[1..]],
        &[&batch[..1], &batch[1..2], &batch[2..]],
    ] {
        let observation = written(&mapping, batches);
        assert_eq!(
            observation["valueQuantity"]["value"].as_f64(),
            expected.as_f64(),
            "{observation}"
        );
    }
    let upstream = super::mapping(60, &json!({"valueType": "Quantity"}), Upstream);
    let refused = upstream.create(&group(&upstream, &batch), super::subject(), jiff::Timestamp::UNIX_EPOCH);
    assert_eq!(refused.unwrap_err().name(), "InvalidQuantityFhirValue");
}

#[test]
fn ids_with_hyphens_do_not_collide() {
    let mapping = mapping(1440, &json!({"valueType": "Quantity"}), Standard);
    let of = |device: &str, patient: &str| {
        let mut input = reading("2026-01-01T10:00:00Z", "1", 0);
        input.measurement.device = device.into();
        input.measurement.patient = Some(patient.to_owned());
        input
    };
    assert_eq!(mapping.group(vec![of("a-t", "b"), of("a", "t-b")]).groups.len(), 2);
}

#[test]
fn a_value_that_is_no_number_spoils_no_other() {
    let mapping = mapping(
        60,
        &json!({"valueType": "SampledData", "defaultPeriod": 60_000}),
        Standard,
    );
    let batch = vec![
        reading("2026-01-01T10:00:00Z", "fast", 0),
        reading("2026-01-01T10:01:00Z", "60", 1),
    ];
    let grouped = mapping.group(batch);
    let [fault] = &grouped.faults[..] else {
        panic!("one fault")
    };
    assert_eq!(
        (fault.fault.reason, &fault.sources[..], fault.readings),
        ("InvalidQuantityFhirValue", &[0][..], 1)
    );
    assert_eq!(grouped.groups[0].readings(), 1);
}

//! Device mapping: messages a second on one core.

use anyhow::{Context, Result};
use iot_mapping::{Compatibility, DeviceMapping, Message};
use serde_json::{Value, json};

use crate::report::{Report, Wanted};

/// Messages of one measurement.
const MESSAGES: u32 = 200_000;
/// The median of so many measurements counts.
const ROUNDS: usize = 5;

/// Measures and reports.
pub fn run(report: &mut Report) -> Result<()> {
    let message =
        envelope(&json!({"heartrate": 78, "deviceId": "device-0001", "measured": "2026-01-30T22:45:02.607Z"}));
    let six = rate(6, &message, 1, Walk::Once)?;
    report.add(
        "normalise, 6 templates",
        six,
        "messages/s/core",
        Wanted::AtLeast(500_000.0),
        &format!("{} bytes", message.len()),
    );
    let fifty = rate(50, &message, 1, Walk::Once)?;
    report.add(
        "50 templates cost",
        six / fifty,
        "times 6 templates",
        Wanted::AtMost(3.0),
        &format!("{fifty:.0} messages/s"),
    );
    let many = envelope_of_a_minute();
    let readings = rate(6, &many, 60, Walk::Once)? * 60.0;
    report.add(
        "normalise, 7.9 KB envelope with 60 readings",
        readings,
        "readings/s/core",
        Wanted::AtLeast(2_000_000.0),
        &format!("{} bytes", many.len()),
    );
    for (templates, together) in [(6, six), (50, fifty)] {
        let alone = rate(templates, &message, 1, Walk::EachTemplate)?;
        report.add(
            &format!("one walk for {templates} templates"),
            together / alone,
            "times as fast",
            Wanted::Nothing,
            &format!("{alone:.0} messages/s where each template looks through the message by itself"),
        );
    }
    Ok(())
}

/// How matches are found.
#[derive(Debug, Clone, Copy)]
enum Walk {
    /// All together, as the connector does it.
    Once,
    /// Each template by itself.
    EachTemplate,
}

/// Messages a CPU second with this many templates, of which the first matches `expected` times.
fn rate(templates: u32, message: &[u8], expected: usize, walk: Walk) -> Result<f64> {
    let text = collection(templates).to_string();
    let mapping =
        DeviceMapping::parse(&text, Compatibility::Standard).map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    let mapping = match walk {
        Walk::Once => mapping,
        Walk::EachTemplate => mapping.uncompiled(),
    };
    anyhow::ensure!(
        mapping.normalise(Message::Whole(message)).measurements.len() == expected,
        "the mapping doesn't match the message"
    );
    let messages = MESSAGES / u32::try_from(expected)?;
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let begin = processor_nanoseconds()?;
        for _ in 0..messages {
            std::hint::black_box(mapping.normalise(Message::Whole(std::hint::black_box(message))));
        }
        let used = processor_nanoseconds()? - begin;
        rates.push(f64::from(messages) / (used as f64 / 1e9));
    }
    rates.sort_by(f64::total_cmp);
    Ok(rates[ROUNDS / 2])
}

fn collection(templates: u32) -> Value {
    let names = ["heartrate", "steps", "systolic", "weight", "oxygen", "temperature"];
    let template = |index: u32| {
        let name = names
            .get(index as usize)
            .map_or_else(|| format!("value{index}"), |name| (*name).to_owned());
        json!({"templateType": "CalculatedContent", "template": {
            "typeName": name, "typeMatchExpression": format!("$..[?(@{name} && @measured)]"),
            "deviceIdExpression": "$.matchedToken.deviceId", "timestampExpression": "$.matchedToken.measured",
            "values": [{"required": true, "valueName": name, "valueExpression": format!("$.matchedToken.{name}")}]
        }})
    };
    json!({"templateType": "CollectionContent", "template": (0..templates).map(template).collect::<Vec<_>>()})
}

/// A minute of a wearable device, a reading each second with what such a device tells beside it: 7.9 KB in all.
fn envelope_of_a_minute() -> Vec<u8> {
    let reading = |second: u32| {
        json!({
            "heartrate": 60 + second,
            "deviceId": "device-0001",
            "measured": format!("2026-01-30T22:45:{second:02}.607Z"),
            "quality": "good",
            "sensor": "optical-wrist-2",
        })
    };
    envelope(&(0..60).map(reading).collect())
}

/// As IoT Hub sends it.
fn envelope(body: &Value) -> Vec<u8> {
    let envelope = json!({
        "Body": body,
        "Properties": {"iothub-creation-time-utc": "2026-01-30T22:45:02.6073744Z", "tz": "Europe/Berlin", "batch": "17"},
        "SystemProperties": {
            "iothub-content-type": "application/json", "iothub-content-encoding": "utf-8",
            "iothub-connection-device-id": "device-0001", "iothub-connection-auth-method": "sas",
            "iothub-connection-auth-generation-id": "637000000000000000", "iothub-enqueuedtime": "2026-01-30T22:45:02.613Z"
        }
    });
    envelope.to_string().into_bytes()
}

/// Processor time of this thread.
fn processor_nanoseconds() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").context("the kernel tells no processor time")?;
    let first = text
        .split_whitespace()
        .next()
        .context("the kernel tells no processor time")?;
    Ok(first.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_is_as_large_as_its_row_says() {
        let bytes = envelope_of_a_minute().len();
        assert!((7_850..7_950).contains(&bytes), "{bytes} bytes");
    }
}

//! What is typed is tried: errors at their lines, measurements and Observations, and why nothing matches.

use serde_json::{Value, json};

use super::{Page, good};
use crate::support::{Fhir, Running, device_mapping, fhir_mapping, settings};

#[tokio::test]
async fn the_mappings_in_force_show_the_measurement_and_the_observation_of_a_message() {
    let mut page = Page::open().await;
    assert_eq!(page.mapping("#device").await, device_mapping());
    assert_eq!(page.mapping("#fhir").await, fhir_mapping());
    page.browser.write("#message", &good()).await;
    page.shows("#summary", "1 measurement, 1 Observation").await;
    let text = page.browser.text(".observation pre").await;
    let observation: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (
            &observation["code"]["coding"][0]["code"],
            &observation["valueQuantity"]["value"]
        ),
        (&json!("8867-4"), &json!(60))
    );
    assert_eq!(
        page.browser.text(".card dl").await,
        "Time\n2026-01-01T10:00:00Z\nDevice\nd\nPatient\np\nhr\n60"
    );
    page.shows(".templates .unmatched", "doesn’t match: no token has `steps`")
        .await;
    page.close().await;
}

#[tokio::test]
async fn an_error_stands_at_its_line() {
    let mut page = Page::open().await;
    page.browser
        .write(
            "#device",
            "{\n  \"templateType\": \"CollectionContent\",\n  \"template\": [}\n}",
        )
        .await;
    page.shows("#device-findings", "Line 3").await;
    page.shows("#device-findings", "the mapping isn't JSON").await;
    page.shows("#summary", "1 error in the device mapping").await;
    let at = "getComputedStyle(document.querySelector('#device-editor .mark')).getPropertyValue('--at')";
    assert_eq!(page.browser.value(at).await, "2");
    page.browser.click("#device-findings button").await;
    let before = "document.querySelector('#device').value.slice(0, document.querySelector('#device').selectionStart)";
    let before = page.browser.value(before).await;
    assert!(before.as_str().unwrap().ends_with("\"template\": ["), "{before}");

    // bytes and characters differ before this one
    let unknown =
        "{\"templateType\": \"CollectionContent\", \"template\": [{\"templateType\": \"ä€😀\", \"template\": {}}, 5]}";
    page.browser.write("#device", unknown).await;
    page.shows("#device-findings", "No match found for template type ä€😀")
        .await;
    page.browser.click("#device-findings li:last-child button").await;
    let after = "document.querySelector('#device').value.slice(document.querySelector('#device').selectionStart)";
    assert_eq!(page.browser.value(after).await, "5]}");
    page.close().await;
}

#[tokio::test]
async fn what_is_no_json_in_a_message_stands_at_its_line() {
    let mut page = Page::open().await;
    page.browser
        .write("#message", &format!("{}\n{{\"device\": }}", good()))
        .await;
    page.shows(
        "#message-findings",
        "Line 2 Error: the message isn't JSON: a value is expected",
    )
    .await;
    let marked = "document.querySelectorAll('#message-editor .mark').length";
    assert_eq!(page.browser.value(marked).await, 1);
    page.browser.click("#message-findings button").await;
    let after = "document.querySelector('#message').value.slice(document.querySelector('#message').selectionStart)";
    assert_eq!(page.browser.value(after).await, "}");
    page.browser.write("#message", &good()).await;
    page.shows("#summary", "1 measurement, 1 Observation.").await;
    assert_eq!(page.browser.text("#message-findings").await, "");
    page.close().await;
}

#[tokio::test]
async fn a_message_that_nothing_matched_says_why_and_is_tried_with_one_click() {
    let folder = tempfile::tempdir().unwrap();
    let (_fhir, url) = Fhir::start().await;
    let connector = Running::start(settings(folder.path(), &url)).await;
    connector
        .send(json!({"device": "d", "patient": "p", "time": "2026-03-04T05:06:07Z", "heartrat": 71}))
        .await;
    connector.idle().await;
    let mut page = Page::on(folder, connector).await;
    page.browser.click("#unmatched summary").await;
    page.shows(
        "#shapes",
        "{device: string, patient: string, time: string, heartrat: number}",
    )
    .await;
    page.browser.click("#shapes button").await;
    page.shows("#summary", "0 measurements, 0 Observations").await;
    page.shows(".templates", "heartrate doesn’t match: no token has `heartrate`")
        .await;
    assert_eq!(
        page.mapping("#message").await,
        json!({"device": "text", "patient": "text", "time": "2026-01-01T00:00:00Z", "heartrat": 1})
    );
    let repaired = device_mapping().to_string().replace("heartrate)]", "heartrat)]");
    page.browser
        .write("#device", &repaired.replace("$.heartrate", "$.heartrat"))
        .await;
    page.shows("#summary", "1 measurement, 1 Observation").await;
    page.close().await;
}

#[tokio::test]
async fn what_stands_beside_a_message_can_be_given() {
    let mut page = Page::open().await;
    let mapping = json!({"templateType": "CollectionContent", "template": [{"templateType": "CalculatedContent", "template": {
        "typeName": "heartrate", "typeMatchExpression": "$..[?(@heartrate)]",
        "deviceIdExpression": "$.SystemProperties.iothub-connection-device-id",
        "timestampExpression": "$.Properties.at",
        "values": [{"required": "true", "valueExpression": "$.matchedToken.heartrate", "valueName": "hr"}]
    }}]});
    page.browser.write("#device", &mapping.to_string()).await;
    page.browser.write("#message", &good()).await;
    page.browser.click("#beside summary").await;
    page.browser.write("#properties", "[1]").await;
    page.shows("#properties-error", "This has to be an object").await;
    page.browser
        .write("#properties", r#"{"at": "2026-02-02T00:00:00Z"}"#)
        .await;
    page.browser
        .write("#system-properties", r#"{"iothub-connection-device-id": "monitor-7"}"#)
        .await;
    page.shows("#report", "monitor-7").await;
    page.shows("#report", "2026-02-02T00:00:00Z").await;
    page.close().await;
}

//! The mapping page in a real browser, served by a real connector.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    browser::Browser,
    support::{Fhir, Running, device_mapping, fhir_mapping, get_json, settings},
};

/// A connector with a browser on its page.
struct Page {
    folder: TempDir,
    connector: Running,
    browser: Browser,
}

impl Page {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (_fhir, url) = Fhir::start().await;
        let connector = Running::start(settings(folder.path(), &url)).await;
        Self::on(folder, connector).await
    }

    async fn on(folder: TempDir, connector: Running) -> Self {
        let mut browser = Browser::open(&format!("{}/mapping", connector.management)).await;
        browser
            .until("document.querySelector('#summary').innerText !== ''")
            .await;
        Self {
            folder,
            connector,
            browser,
        }
    }

    /// Waits for a text in an element.
    async fn shows(&mut self, selector: &str, text: &str) {
        let expression = format!(
            "document.querySelector({}).innerText.includes({})",
            json!(selector),
            json!(text)
        );
        self.browser.until(&expression).await;
    }

    async fn mapping(&mut self, selector: &str) -> Value {
        let text = self
            .browser
            .value(&format!("document.querySelector('{selector}').value"))
            .await;
        serde_json::from_str(text.as_str().unwrap()).unwrap()
    }

    async fn close(self) {
        assert_eq!(self.browser.complaints(), &[] as &[Value]);
        drop(self.browser);
        self.connector.stop().await;
    }
}

fn good() -> String {
    json!({"device": "d", "patient": "p", "time": "2026-01-01T10:00:00Z", "heartrate": 60}).to_string()
}

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
async fn mappings_are_imported_from_files_and_from_what_the_portal_shows() {
    let mut page = Page::open().await;
    let rename = |mapping: Value, name: &str| -> Value {
        serde_json::from_str(&mapping.to_string().replace("\"heartrate\"", &json!(name).to_string())).unwrap()
    };
    let files = ["fhir", "device"].map(|name| page.folder.path().join(format!("{name} of the portal.json")));
    // named the wrong way round: only what is in them counts
    std::fs::write(&files[0], rename(device_mapping(), "pulse").to_string()).unwrap();
    std::fs::write(&files[1], rename(fhir_mapping(), "pulse").to_string()).unwrap();
    page.browser.click("#open-import").await;
    page.browser.choose("#import-files", &[&files[0], &files[1]]).await;
    page.shows("#notice", "Took device mapping and FHIR mapping from 2 files")
        .await;
    assert_eq!(page.mapping("#device").await, rename(device_mapping(), "pulse"));
    assert_eq!(page.mapping("#fhir").await, rename(fhir_mapping(), "pulse"));

    let service = json!({"name": "ward/vitals", "type": "Microsoft.HealthcareApis/workspaces/iotconnectors", "properties": {
        "deviceMapping": {"content": rename(device_mapping(), "hr")}
    }});
    let destination = json!({"type": "Microsoft.HealthcareApis/workspaces/iotconnectors/fhirdestinations", "properties": {
        "fhirMapping": {"content": rename(fhir_mapping(), "hr").to_string()}
    }});
    page.browser.click("#open-import").await;
    page.browser.write("#import-text", "{").await;
    page.browser.click("#import-do").await;
    page.shows("#import-error", "This text isn’t JSON").await;
    page.browser
        .write(
            "#import-text",
            &json!({"resources": [service, destination]}).to_string(),
        )
        .await;
    page.browser.click("#import-do").await;
    page.shows("#notice", "from the pasted text").await;
    assert_eq!(page.mapping("#device").await, rename(device_mapping(), "hr"));
    assert_eq!(page.mapping("#fhir").await, rename(fhir_mapping(), "hr"));
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

#[tokio::test]
async fn refused_mappings_are_shown_to_be_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let (_fhir, url) = Fhir::start().await;
    let settings = settings(folder.path(), &url);
    let wrong = device_mapping()
        .to_string()
        .replace("deviceIdExpression", "deviceExpression");
    std::fs::write(settings.device_mapping.as_ref().unwrap(), &wrong).unwrap();
    let connector = Running::start(settings).await;
    let texts = json!({"deviceMapping": wrong, "fhirMapping": fhir_mapping().to_string()});
    assert_eq!(
        get_json(&format!("{}/mappings", connector.management)).await,
        json!({"compatibility": "standard", "inForce": null, "refused": texts})
    );
    let mut page = Page::on(folder, connector).await;
    page.shows("#notice", "can’t use them").await;
    page.shows("#device-findings", "Required property 'DeviceIdExpression' not found")
        .await;
    page.close().await;
}

//! Mappings come in from elsewhere and go out as files.

use serde_json::{Value, json};

use super::Page;
use crate::support::{Fhir, Running, device_mapping, fhir_mapping, get_json, settings, until};

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
async fn a_mapping_pasted_over_the_wrong_editor_goes_where_it_belongs() {
    let mut page = Page::open().await;
    let wanted: Value = serde_json::from_str(&fhir_mapping().to_string().replace("/min", "beats/min")).unwrap();
    page.browser.click("#device-lay-out").await;
    let paste = format!(
        "(() => {{ const data = new DataTransfer(); data.setData('text/plain', {});
            const area = document.querySelector('#device'); area.focus(); area.select();
            return area.dispatchEvent(new ClipboardEvent('paste', {{clipboardData: data, cancelable: true}})); }})()",
        json!(wanted.to_string())
    );
    assert_eq!(page.browser.value(&paste).await, false, "the browser doesn't paste it");
    page.shows("#notice", "Took FHIR mapping from the pasted text").await;
    assert_eq!(page.mapping("#fhir").await, wanted);
    assert_eq!(page.mapping("#device").await, device_mapping());
    page.close().await;
}

#[tokio::test]
async fn an_edited_mapping_is_downloaded_as_it_was_typed() {
    let mut page = Page::open().await;
    let downloads = page.folder.path().join("downloads");
    let allow = json!({"behavior": "allow", "downloadPath": downloads});
    page.browser.call("Browser.setDownloadBehavior", allow).await;
    let edited = "{ \"templateType\":\"CollectionContent\",\n\t\"template\": [ ] }\n";
    page.browser.write("#device", edited).await;
    page.browser.click("#device-download").await;
    let file = downloads.join("devicecontent.json");
    let text = until(async || std::fs::read_to_string(&file).ok().filter(|text| !text.is_empty())).await;
    assert_eq!(text, edited);
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

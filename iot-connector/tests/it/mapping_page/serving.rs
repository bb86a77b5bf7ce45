//! How the page is served, and for whom it can be used.

use serde_json::{Value, json};

use super::{Page, good};
use crate::support::{Fhir, Running, device_mapping, settings};

#[tokio::test]
async fn everything_has_a_name_and_nothing_is_wider_than_a_telephone() {
    let mut page = Page::open().await;
    let telephone = json!({"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": false});
    page.browser.call("Emulation.setDeviceMetricsOverride", telephone).await;
    page.browser
        .write("#device", "{\"templateType\": 1, \"template\": []}")
        .await;
    page.shows("#device-findings", "Line 1").await;
    page.browser.write("#message", &good()).await;
    page.browser.write("#device", &device_mapping().to_string()).await;
    page.shows("#summary", "1 measurement, 1 Observation").await;
    for details in ["#beside summary", "#unmatched summary"] {
        page.browser.click(details).await;
    }
    let width = page.browser.value("document.documentElement.scrollWidth").await;
    assert!(width.as_u64().unwrap() <= 400, "{width}");

    page.browser.call("Accessibility.enable", json!({})).await;
    let tree = page.browser.call("Accessibility.getFullAXTree", json!({})).await;
    let used = ["button", "textbox", "combobox", "link", "heading", "region"];
    let nodes = tree["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|node| node["ignored"] == false);
    let nodes: Vec<&Value> = nodes
        .filter(|node| used.iter().any(|role| node["role"]["value"] == *role))
        .collect();
    assert!(nodes.len() > 20, "{tree}");
    let nameless = nodes
        .iter()
        .find(|node| node["name"]["value"].as_str().unwrap_or_default().is_empty());
    assert_eq!(nameless, None);
    page.close().await;
}

#[tokio::test]
async fn every_file_of_the_page_comes_with_a_policy_that_allows_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (_fhir, url) = Fhir::start().await;
    let connector = Running::start(settings(folder.path(), &url)).await;
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                  base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                  trusted-types 'none'";
    for (path, kind) in [
        ("mapping", "text/html; charset=utf-8"),
        ("mapping/page.js", "text/javascript; charset=utf-8"),
        ("mapping/page.css", "text/css; charset=utf-8"),
        ("mapping/icon.svg", "image/svg+xml"),
    ] {
        let answer = reqwest::get(format!("{}/{path}", connector.management)).await.unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap();
        assert_eq!(
            (
                answer.status().as_u16(),
                header("content-type"),
                header("content-security-policy")
            ),
            (200, kind, policy)
        );
        assert_eq!(
            (header("x-content-type-options"), header("referrer-policy")),
            ("nosniff", "no-referrer")
        );
    }
    connector.stop().await;
}

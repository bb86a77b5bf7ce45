//! What somebody has typed isn't lost, and what hasn't changed isn't said again.

use serde_json::{Value, json};

use super::{Page, good};
use crate::support::{device_mapping, fhir_mapping};

fn named(mapping: &Value, name: &str) -> Value {
    serde_json::from_str(&mapping.to_string().replace("\"heartrate\"", &json!(name).to_string())).unwrap()
}

impl Page {
    /// Drops a file somewhere on the page.
    async fn drop_file(&mut self, text: &Value) {
        let drop = format!(
            "(() => {{ const data = new DataTransfer(); data.items.add(new File([{}], 'a file.json'));
                const init = {{dataTransfer: data, bubbles: true, cancelable: true}};
                const over = document.body.dispatchEvent(new DragEvent('dragover', init));
                return over || document.body.dispatchEvent(new DragEvent('drop', init)); }})()",
            json!(text.to_string())
        );
        let left_to_the_browser = self.browser.value(&drop).await;
        assert_eq!(left_to_the_browser, false, "the browser opens the file instead");
    }

    /// Lets the person answer so; gives the page's next question.
    async fn will_answer(&mut self, yes: bool) {
        let answer = format!("void (confirm = (question) => {{ globalThis.asked = question; return {yes}; }})");
        self.browser.value(&answer).await;
    }

    async fn leaves_unasked(&mut self) -> bool {
        let leave = "dispatchEvent(new Event('beforeunload', {cancelable: true}))";
        self.browser.value(leave).await == true
    }
}

#[tokio::test]
async fn a_file_that_is_dropped_replaces_edits_only_after_a_question() {
    let mut page = Page::open().await;
    page.will_answer(false).await;
    page.drop_file(&named(&device_mapping(), "pulse")).await;
    page.shows("#notice", "Took device mapping from").await;
    assert_eq!(page.mapping("#device").await, named(&device_mapping(), "pulse"));
    assert_eq!(page.mapping("#fhir").await, fhir_mapping());
    assert_eq!(page.browser.value("globalThis.asked ?? null").await, Value::Null);
    assert!(page.leaves_unasked().await, "nothing was typed");

    let typed = named(&device_mapping(), "typed");
    page.browser.write("#device", &typed.to_string()).await;
    assert!(!page.leaves_unasked().await, "what was typed would be lost");
    page.drop_file(&named(&device_mapping(), "hr")).await;
    page.browser.until("globalThis.asked !== undefined").await;
    assert_eq!(
        page.browser.value("globalThis.asked").await,
        "Replace your device mapping? The changes since the last download are lost."
    );
    assert_eq!(page.mapping("#device").await, typed);
    page.will_answer(true).await;
    page.drop_file(&named(&device_mapping(), "hr")).await;
    page.browser
        .until("document.querySelector('#device').value.includes('\"hr\"')")
        .await;
    assert!(page.leaves_unasked().await, "what was typed is given up");
    page.close().await;
}

#[tokio::test]
async fn a_screen_reader_hears_nothing_while_nothing_changes() {
    let mut page = Page::open().await;
    page.browser.write("#message", &good()).await;
    page.shows("#summary", "1 measurement").await;
    let tries = "performance.getEntriesByType('resource').filter((entry) => entry.name.endsWith('/dry-run')).length";
    let watch = format!(
        "void (globalThis.tries = {tries}, globalThis.said = 0, document.querySelectorAll('[role=status]').forEach((place) =>
            new MutationObserver(() => globalThis.said += 1).observe(place, {{childList: true, characterData: true, subtree: true}})))"
    );
    page.browser.value(&watch).await;
    page.browser.click("#try").await;
    page.browser.until(&format!("{tries} > globalThis.tries")).await;
    let frames = "globalThis.drawn = false; requestAnimationFrame(() => requestAnimationFrame(() => globalThis.drawn = true)); true";
    page.browser.value(frames).await;
    page.browser.until("globalThis.drawn").await;
    assert_eq!(page.browser.value("globalThis.said").await, 0);

    page.browser.write("#message", "{}").await;
    page.browser.until("globalThis.said > 0").await;
    page.close().await;
}

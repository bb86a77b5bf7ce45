//! The mapping page in a real browser, served by a real connector.

mod edits;
mod files;
mod serving;
mod trials;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    browser::Browser,
    support::{Fhir, Running, settings},
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

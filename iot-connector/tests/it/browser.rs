//! Debian's Chromium without a screen, driven over the `DevTools` protocol through a pipe: it has no port, and it ends
//! with us.

use std::{path::Path, process::Stdio, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// The protocol's ends are file descriptors 3 and 4.
const START: &str = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null"#;

/// How long a page may take to show something on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// A browser with one page.
pub struct Browser {
    _child: Child,
    _profile: TempDir,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    sent: u64,
    session: Option<String>,
    complaints: Vec<Value>,
}

impl Browser {
    /// Starts one at an address.
    ///
    /// # Panics
    /// Where the program isn't there: a test that can't run fails.
    pub async fn open(url: &str) -> Self {
        let program = Path::new("/usr/bin/chromium");
        assert!(
            program.exists(),
            "this test needs `chromium`: install Debian's package `chromium`"
        );
        let profile = tempfile::tempdir().unwrap();
        let mut child = Command::new("sh")
            .args(["-c", START])
            .arg(program)
            // as root there is no sandbox to be had; the only page is our own
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--remote-debugging-pipe", "--window-size=1400,900"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut browser = Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()),
            _child: child,
            _profile: profile,
            sent: 0,
            session: None,
            complaints: Vec::new(),
        };
        let page = browser.call("Target.createTarget", json!({"url": "about:blank"})).await;
        let attach = json!({"targetId": page["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", attach).await;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "DOM"] {
            browser.call(&format!("{domain}.enable"), json!({})).await;
        }
        browser.call("Page.navigate", json!({"url": url})).await;
        browser
    }

    /// What the page's scripts and the browser complained of: exceptions, refused requests, broken policies.
    pub fn complaints(&self) -> &[Value] {
        &self.complaints
    }

    /// The answer to a command of the protocol.
    pub async fn call(&mut self, method: &str, params: Value) -> Value {
        self.sent += 1;
        let mut command = json!({"id": self.sent, "method": method, "params": params});
        if let Some(session) = &self.session {
            command["sessionId"] = session.as_str().into();
        }
        let mut bytes = command.to_string().into_bytes();
        bytes.push(0);
        self.input.write_all(&bytes).await.unwrap();
        loop {
            let mut bytes = Vec::new();
            self.output.read_until(0, &mut bytes).await.unwrap();
            assert_eq!(bytes.pop(), Some(0), "the browser ended");
            let mut said: Value = serde_json::from_slice(&bytes).unwrap();
            if said["id"] == self.sent {
                assert_eq!(said["error"], Value::Null, "{method}");
                return said["result"].take();
            }
            let is_complaint = said["method"] == "Runtime.exceptionThrown"
                || said["method"] == "Log.entryAdded" && said["params"]["entry"]["level"] == "error";
            if is_complaint {
                self.complaints.push(said["params"].take());
            }
        }
    }

    /// What an expression is in the page.
    pub async fn value(&mut self, expression: &str) -> Value {
        let params =
            json!({"expression": expression, "returnByValue": true, "awaitPromise": true, "userGesture": true});
        let mut answer = self.call("Runtime.evaluate", params).await;
        assert_eq!(answer["exceptionDetails"], Value::Null, "{expression}");
        answer["result"]["value"].take()
    }

    /// Waits until an expression is true. The page looks by itself, so that many waiting tests leave it time to work.
    ///
    /// # Panics
    /// With the page's text, when that didn't come in [`PATIENCE`].
    pub async fn until(&mut self, expression: &str) {
        let wait = format!(
            "new Promise(found => {{ const look = () => {{
                let is = false;
                try {{ is = {expression} }} catch {{ /* what isn't there yet isn't true yet */ }}
                if (is) found(true); else setTimeout(look, 20);
            }}; look(); setTimeout(() => found(document.body.innerText), {}) }})",
            PATIENCE.as_millis()
        );
        assert_eq!(self.value(&wait).await, true, "`{expression}` doesn't come");
    }

    /// The text of an element.
    pub async fn text(&mut self, selector: &str) -> String {
        let value = self.value(&format!("{}.innerText", query(selector))).await;
        value.as_str().unwrap().to_owned()
    }

    /// Clicks on an element.
    pub async fn click(&mut self, selector: &str) {
        self.value(&format!("{}.click()", query(selector))).await;
    }

    /// Writes a text in place of what is in a field, as a keyboard does.
    pub async fn write(&mut self, selector: &str, text: &str) {
        let field = query(selector);
        self.value(&format!("{field}.focus(), {field}.select()")).await;
        self.call("Input.insertText", json!({"text": text})).await;
    }

    /// Chooses files in a file picker.
    pub async fn choose(&mut self, selector: &str, files: &[&Path]) {
        let document = self.call("DOM.getDocument", json!({})).await;
        let root = &document["root"]["nodeId"];
        let picker = self
            .call("DOM.querySelector", json!({"nodeId": root, "selector": selector}))
            .await;
        self.call(
            "DOM.setFileInputFiles",
            json!({"nodeId": picker["nodeId"], "files": files}),
        )
        .await;
    }
}

fn query(selector: &str) -> String {
    format!("document.querySelector({})", json!(selector))
}

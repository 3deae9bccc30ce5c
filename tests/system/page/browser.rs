//! Chromium over its DevTools protocol: messages as JSON, each with a zero byte behind it, on the
//! file descriptors 3 and 4.

use crate::needs::needs;
use crate::program::DEADLINE;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

pub(super) struct Browser {
    child: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    calls: u64,
    /// Events of all pages so far.
    events: Vec<Value>,
    _profile: tempfile::TempDir,
}

/// A page of the browser.
pub(super) struct Page {
    session: String,
}

/// The screen of a page, in pixels of CSS.
#[derive(Clone, Copy)]
pub(super) struct Screen {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) is_dark: bool,
}

impl Browser {
    pub(super) fn start() -> Self {
        needs(&["chromium"]);
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "exec chromium \"$@\" 3<&0 4>&1 </dev/null >&2", "chromium"]);
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]);
        command.args(["--disable-background-networking", "--disable-background-timer-throttling"]);
        command.args(["--disable-renderer-backgrounding", "--remote-debugging-pipe"]);
        command.arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            loop {
                let mut bytes = Vec::new();
                match output.read_until(0, &mut bytes) {
                    Ok(1..) => {}
                    _ => break,
                }
                bytes.pop();
                let _ = sender.send(serde_json::from_slice(&bytes).unwrap_or_default());
            }
        });
        Self { child, input, messages, calls: 0, events: Vec::new(), _profile: profile }
    }

    /// Opens an address. `first` runs before the page's own scripts.
    pub(super) fn open(&mut self, url: &str, screen: Screen, first: &str) -> Page {
        let target = self.call("", "Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.call("", "Target.attachToTarget", attach)["sessionId"].clone();
        let page = Page { session: session.as_str().unwrap().to_owned() };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.call(&page.session, &format!("{domain}.enable"), json!({}));
        }
        self.resize(&page, screen);
        let source = json!({ "source": first });
        self.call(&page.session, "Page.addScriptToEvaluateOnNewDocument", source);
        self.call(&page.session, "Page.navigate", json!({ "url": url }));
        page
    }

    /// Loads the page again, and waits until that is done.
    pub(super) fn reload(&mut self, page: &Page) {
        let is_loaded = |event: &Value| {
            event["method"] == "Page.loadEventFired" && event["sessionId"] == page.session
        };
        let before = self.events.len();
        self.call(&page.session, "Page.reload", json!({}));
        while !self.events[before..].iter().any(is_loaded) {
            self.events.push(self.messages.recv_timeout(DEADLINE).expect("a page that is loaded"));
        }
    }

    pub(super) fn resize(&mut self, page: &Page, screen: Screen) {
        let Screen { width, height, is_dark } = screen;
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.call(&page.session, "Emulation.setDeviceMetricsOverride", metrics);
        let scheme = if is_dark { "dark" } else { "light" };
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.call(&page.session, "Emulation.setEmulatedMedia", json!({ "features": [feature] }));
    }

    /// The reader wants few movements.
    pub(super) fn reduce_motion(&mut self, page: &Page) {
        let feature = json!({ "name": "prefers-reduced-motion", "value": "reduce" });
        self.call(&page.session, "Emulation.setEmulatedMedia", json!({ "features": [feature] }));
    }

    /// The value of an expression. The value of a promise is awaited.
    pub(super) fn ask(&mut self, page: &Page, expression: &str) -> Value {
        let question =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call(&page.session, "Runtime.evaluate", question);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true, and returns its value.
    pub(super) fn wait(&mut self, page: &Page, expression: &str) -> Value {
        let look = format!(
            "new Promise((tell) => {{ const end = Date.now() + {};
               const look = () => {{ let found = null; try {{ found = {expression}; }} catch {{}}
                 if (found || Date.now() > end) tell(found); else setTimeout(look, 50); }};
               look(); }})",
            DEADLINE.as_millis()
        );
        let found = self.ask(page, &look);
        let is_found = !matches!(found, Value::Null | Value::Bool(false));
        if !is_found {
            let text = self.ask(page, "document.body.innerText");
            panic!("{expression} did not become true: {text} {:#?}", self.complaints());
        }
        found
    }

    /// Types a line into the field with this id, and presses Enter.
    pub(super) fn type_line(&mut self, page: &Page, id: &str, line: &str) {
        self.ask(page, &format!("document.getElementById('{id}').focus()"));
        self.call(&page.session, "Input.insertText", json!({ "text": line }));
        for (kind, text) in [("keyDown", "\r"), ("keyUp", "")] {
            let key = json!({
                "type": kind, "text": text, "key": "Enter", "code": "Enter",
                "windowsVirtualKeyCode": 13,
            });
            self.call(&page.session, "Input.dispatchKeyEvent", key);
        }
    }

    /// Keeps a picture of the page.
    pub(super) fn picture(&mut self, page: &Page, file: &Path) {
        self.call(&page.session, "Page.bringToFront", json!({}));
        let answer = self.call(&page.session, "Page.captureScreenshot", json!({}));
        let picture = base64(answer["data"].as_str().unwrap());
        assert!(picture.starts_with(b"\x89PNG") && picture.len() > 10_000, "{}", picture.len());
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, picture).unwrap();
        println!("kept: {}", file.display());
    }

    /// All addresses that pages asked for.
    pub(super) fn requests(&self) -> Vec<String> {
        let urls = self.events.iter().filter_map(|event| {
            let params = &event["params"];
            match event["method"].as_str()? {
                "Network.requestWillBeSent" => params["request"]["url"].as_str(),
                "Network.webSocketCreated" => params["url"].as_str(),
                _ => None,
            }
        });
        urls.map(str::to_owned).collect()
    }

    /// Errors of scripts, and entries in the browser's log, such as breaches of the content policy;
    /// not that a page on loopback has no QR code of its address.
    pub(super) fn complaints(&self) -> Vec<String> {
        let is_complaint = |it: &&Value| {
            let method = &it["method"];
            method == "Runtime.exceptionThrown" || method == "Log.entryAdded"
        };
        let complaints = self.events.iter().filter(is_complaint).map(|it| it["params"].to_string());
        complaints.filter(|it| !it.contains("/join.svg")).collect()
    }

    fn call(&mut self, session: &str, method: &str, params: Value) -> Value {
        self.calls += 1;
        let mut call = json!({ "id": self.calls, "method": method, "params": params });
        if !session.is_empty() {
            call["sessionId"] = session.into();
        }
        self.input.write_all(format!("{call}\0").as_bytes()).unwrap();
        loop {
            let mut message = self.messages.recv_timeout(2 * DEADLINE).expect(method);
            if message["id"] == self.calls {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
            self.events.push(message);
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.input.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let _ = self.child.wait();
    }
}

/// The bytes of a base64 text.
fn base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for byte in text.bytes().filter(|it| *it != b'=') {
        bits = (bits << 6) | u32::from(digit(byte));
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

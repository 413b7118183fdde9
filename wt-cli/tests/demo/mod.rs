//! The page of `weft demo` in a browser: its own script, pressed button by button.

use std::{path::Path, sync::Arc};

use e2e::{browser::Browser, process::Process};
use serde_json::{Value, json};

/// Empties an element of the page, does what `act` says, and returns the first line of the element that
/// matches. After 20 s it returns the element's text instead, for the failure message.
const WATCH: &str = r#"
const [id, act, pattern, done] = arguments;
const element = document.getElementById(id), expected = new RegExp(pattern);
const lines = () => element.children.length ? [...element.children] : [element];
const look = () => {
  const line = lines().find(line => expected.test(line.textContent));
  if (line) { watch.disconnect(); done(line.textContent); }
};
const watch = new MutationObserver(look);
element.replaceChildren();
watch.observe(element, { childList: true });
setTimeout(() => done({ instead: element.innerText }), 20000);
window.eval(act);
look();
"#;

/// Shows the page in a frame of 360 pixels, and runs a script with the frame's window.
const PHONE: &str = r#"
const [script, done] = arguments;
const frame = document.createElement("iframe");
frame.style = "position: absolute; left: 0; width: 360px; height: 640px; border: 0";
frame.onload = async () => {
  const page = frame.contentWindow;
  // What a run and a connected session show is there, too.
  page.document.querySelectorAll("details").forEach(part => { part.open = true; });
  page.document.querySelectorAll("output, td").forEach(place => { place.textContent = "word-".repeat(40); });
  page.eval(`runs = MODES.map(([mode, colour]) => ({ mode, colour, seconds: 1, took: 1, start: 0, frames: [{ at: 1, age: 1234567 }],
    bytes: 1e9, controller: "low-latency" })); showModes(); drawModes();`);
  const told = new Function("page", script)(page);
  frame.remove();
  done(told);
};
frame.src = location.href;
document.body.append(frame);
"#;

/// What is wider than the window; there must be nothing.
const TOO_WIDE: &str = r#"
const { documentElement: root } = page.document;
if (root.clientWidth > 360) return [`a window of ${root.clientWidth}`];
const wide = [...page.document.querySelectorAll("body *")].filter(element => {
  const { left, right, width } = element.getBoundingClientRect();
  return width > 1 && (left < 0 || right > root.clientWidth + .5);
});
return [...wide.map(element => element.outerHTML.slice(0, 80)), ...(root.scrollWidth > root.clientWidth ? ["the page"] : [])];
"#;

/// Controls without a label, buttons without an announced result beside them, sections without a title,
/// pictures without alternative text.
const UNNAMED: &str = r#"
const all = selector => [...document.querySelectorAll(selector)];
return [
  ...all("input, select").filter(control => !control.labels.length),
  ...all("button").filter(button => !button.textContent.trim() || !button.parentElement.querySelector("output")),
  ...all("section").filter(part => !document.getElementById(part.getAttribute("aria-labelledby"))?.textContent),
  ...all("canvas").filter(picture => picture.getAttribute("role") !== "img" || !picture.getAttribute("aria-label")),
].map(element => element.outerHTML.slice(0, 80));
"#;

/// The page in a browser, and its server.
pub(crate) struct Page<B> {
    browser: Arc<B>,
    _demo: Process,
}

impl<B: Browser> Page<B> {
    /// Opens the page, which connects automatically.
    pub(crate) async fn open(browser: Arc<B>) -> Self {
        let mut demo = Process::start(Path::new(env!("CARGO_BIN_EXE_weft")), ["demo"]);
        let url = loop {
            let line = demo.line().await.expect("the demonstration tells where its page is");
            if let Some((url, _)) = line.strip_prefix("Open ").and_then(|rest| rest.split_once(' ')) {
                break url.to_owned();
            }
        };
        browser.visit(&url).await;
        let page = Self { browser, _demo: demo };
        // The page may be connected already.
        page.told("state", "transport.ready.finally(() => setState('connected', true));", "^connected$")
            .await;
        page
    }

    /// The matching line of an element, after `act`.
    pub(crate) async fn told(&self, element: &str, act: &str, pattern: &str) -> String {
        let arguments = [element, act, pattern].map(|text| json!(text)).to_vec();
        let told = self.browser.script(WATCH, arguments).await;
        let told = told.unwrap_or_else(|error| panic!("no {pattern:?} in {element} after {act:?}: {error}"));
        told.as_str()
            .unwrap_or_else(|| panic!("no {pattern:?} in {element} after {act:?}: {told}"))
            .to_owned()
    }

    /// The matching line of the log, after a button was pressed.
    pub(crate) async fn press(&self, button: &str, pattern: &str) -> String {
        self.told("log", &format!("$({button:?}).click();"), pattern).await
    }

    async fn evaluate(&self, body: &str) -> Value {
        let script =
            "const [body, done] = arguments; done(window.eval(`JSON.stringify((() => { ${body} })())`));";
        let told = self.browser.script(script, vec![json!(body)]).await;
        let told = told.unwrap_or_else(|error| panic!("{body}: {error}"));
        serde_json::from_str(told.as_str().unwrap_or_else(|| panic!("{body}: {told}"))).expect("JSON")
    }

    /// The result of a script in the page, which is shown in a frame as wide as a phone.
    async fn on_a_phone(&self, script: &str) -> Value {
        let arguments = vec![json!(script)];
        let told = self.browser.script(PHONE, arguments).await;
        told.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Compares the modes, with frames and a download. The server itself tells which mode is in use.
    pub(crate) async fn compares_the_modes(&self) {
        let act = "$('mode-seconds').value = 1; $('compare').click();";
        self.told("mode-state", act, "^done$").await;
        let rows = self.evaluate("return [...$('mode-rows').children].map(row => row.textContent)").await;
        let rows: Vec<_> = rows.as_array().expect("rows").iter().filter_map(Value::as_str).collect();
        let wanted = ["default", "throughput", "low-latency"];
        assert_eq!(rows.len(), wanted.len(), "{rows:?}");
        for (row, mode) in rows.iter().zip(wanted) {
            assert!(row.starts_with(mode) && row.contains(" ms") && row.ends_with(" Mbit/s"), "{rows:?}");
            assert!(!row.ends_with("–0.0 Mbit/s"), "{rows:?}");
        }
    }

    /// Checks the page, with results in it, for people who see it on a phone, hear it, or have no pointer.
    pub(crate) async fn is_for_everybody(&self) {
        // One document without further resources.
        let asked =
            self.evaluate("return performance.getEntriesByType('resource').map(entry => entry.name)").await;
        assert_eq!(asked, json!([]), "asked for beside the page");
        let told = self.on_a_phone(TOO_WIDE).await;
        assert_eq!(told, json!([]), "wider than a phone");
        let told = self.evaluate(UNNAMED).await;
        assert_eq!(told, json!([]), "without a name, or a place for its result");
    }

    /// Closes the session. Keyboard users keep the focus where the button was pressed, and learn why another
    /// one does nothing.
    pub(crate) async fn closes(&self) {
        let close = "$('close').focus(); $('close').click();";
        self.told("log", close, "closed with code 7, reason “goodbye”").await;
        assert!(self.text("close-result").await.starts_with("closed with code 7"));
        assert_eq!(self.evaluate("return document.activeElement.id").await, "close");
        self.press("bidi", "there is no session: connect first").await;
        self.press("connect", "connected").await;
        self.press("connect", "there is a session already").await;
    }

    pub(crate) async fn text(&self, id: &str) -> String {
        let text = self.evaluate(&format!("return $({id:?}).textContent")).await;
        text.as_str().expect("text").to_owned()
    }
}

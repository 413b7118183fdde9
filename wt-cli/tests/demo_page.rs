//! The page of `weft demo` in headless Chromium: its own script, pressed button by button.

use std::{path::Path, sync::Arc};

use e2e::{
    browser::{self, Browser},
    chromium::Chromium,
    process::Process,
};
use serde_json::{Value, json};

/// Empties an element of the page, does what `act` says, and gives the first line of the element that matches. What is
/// there instead after 20 s is for the report of a failure.
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
new Function(act)();
look();
"#;

/// The page in a browser, and its server.
struct Page<const EXPERIMENTAL: bool> {
    browser: Arc<Chromium<EXPERIMENTAL>>,
    _demo: Process,
}

impl<const EXPERIMENTAL: bool> Page<EXPERIMENTAL> {
    /// Opens the page, which connects by itself.
    async fn open(browser: Arc<Chromium<EXPERIMENTAL>>) -> Self {
        let mut demo = Process::start(Path::new(env!("CARGO_BIN_EXE_weft")), ["demo"]);
        let url = loop {
            let line = demo.line().await.expect("the demonstration tells where its page is");
            if let Some((url, _)) = line.strip_prefix("Open ").and_then(|rest| rest.split_once(' ')) {
                break url.to_owned();
            }
        };
        browser.visit(&url).await;
        let page = Self { browser, _demo: demo };
        // It may be there already.
        page.told("state", "transport.ready.finally(() => setState('connected', true));", "^connected$")
            .await;
        page
    }

    /// What an element says that matches, after `act`.
    async fn told(&self, element: &str, act: &str, pattern: &str) -> String {
        let arguments = [element, act, pattern].map(|text| json!(text)).to_vec();
        let told = self.browser.script(WATCH, arguments).await;
        let told = told.unwrap_or_else(|error| panic!("no {pattern:?} in {element} after {act:?}: {error}"));
        told.as_str()
            .unwrap_or_else(|| panic!("no {pattern:?} in {element} after {act:?}: {told}"))
            .to_owned()
    }

    /// What the log says that matches, after a button was pressed.
    async fn press(&self, button: &str, pattern: &str) -> String {
        self.told("log", &format!("$({button:?}).click();"), pattern).await
    }

    async fn evaluate(&self, body: &str) -> Value {
        let script = "const [body, done] = arguments; done(new Function(body)());";
        self.browser.script(script, vec![json!(body)]).await.unwrap_or_else(|error| panic!("{body}: {error}"))
    }

    async fn text(&self, id: &str) -> String {
        let text = self.evaluate(&format!("return $({id:?}).textContent")).await;
        text.as_str().expect("text").to_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn every_button_of_the_page_does_what_it_says() {
    browser::with("demo-page", |browser: Arc<Chromium<true>>| async move {
        let page = Page::open(browser).await;
        assert_eq!(page.text("protocol").await, "weft.two");
        assert!(page.text("kind").await.starts_with("supports-unreliable, "));
        for (button, pattern) in [
            ("bidi", "echo: “hello, weft”"),
            ("uni", "unidirectional stream from the server: “hello, weft”"),
            ("server-bidi", "the server had back: “hello, weft”"),
            ("server-uni", "unidirectional stream from the server: “hello, weft”"),
            ("many", "200 of 200 echoes right"),
            ("bulk", "16777216 of 16777216 bytes came back"),
            ("byob", "reads of at most 4 bytes: “hello, weft”"),
            ("race", "the first stream: the server had 8388608 bytes"),
            ("race", "the second stream: the server had 8388608 bytes"),
            ("reset", "reset; the server answered: "),
            ("stop", "stopped; the server answered: "),
            ("server-reset", "the server reset the stream: .*code 42"),
            ("server-stop", "the server stopped reading: .*code 42"),
            // Not every Chromium has these; the page says so.
            ("commit", "the server had: “this much arrives|this browser has no commit"),
            ("atomic", "echo: “hello, weft”|this browser has no atomicWrite"),
            ("keys", "both ends have [0-9a-f]{64}$|this browser has no exportKeyingMaterial"),
            ("one", "datagram: “hello, weft”"),
            ("server-drain", "the server asks to wind up"),
            ("server-drain", "the session goes on: “hello, weft”"),
        ] {
            page.press(button, pattern).await;
        }
        assert!(page.text("dialect").await.starts_with("draft "));
        // A mode each, told by the server itself, with frames and a download.
        let act = "$('mode-seconds').value = 1; $('compare').click();";
        page.told("mode-state", act, "^done$").await;
        let rows = page.evaluate("return [...$('mode-rows').children].map(row => row.textContent)").await;
        let rows: Vec<_> = rows.as_array().expect("rows").iter().filter_map(Value::as_str).collect();
        let wanted = ["default", "throughput", "low-latency"];
        assert_eq!(rows.len(), wanted.len(), "{rows:?}");
        for (row, mode) in rows.iter().zip(wanted) {
            assert!(row.starts_with(mode) && row.contains(" ms") && row.ends_with(" Mbit/s"), "{rows:?}");
            assert!(!row.ends_with("–0.0 Mbit/s"), "{rows:?}");
        }
        page.told("figures", "$('start').click();", "round trip [0-9.]+ ms at least").await;
        page.told("stats", "", "^smoothedRtt[0-9.]+$|this browser has none").await;
        page.press("close", "closed with code 7, reason “goodbye”").await;
        page.press("connect", "connected").await;
        let act =
            "$('close-code').value = 4294967295; $('reason').value = 'à bientôt'; $('server-close').click();";
        page.told("log", act, "closed with code 4294967295, reason “à bientôt”").await;
    })
    .await;
}

/// A page that writes as fast as it can while its server closes. Chromium lost about one in six of these closes when the
/// resets of the streams came with them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn a_busy_page_hears_why_its_server_closes() {
    browser::with("demo-page-busy", |browser: Arc<Chromium>| async move {
        let page = Page::open(browser).await;
        for code in 1..=30 {
            let act =
                format!("$('close-code').value = {code}; $('race').click(); $('server-close').click();");
            let told = page.told("log", &act, "closed with").await;
            assert!(told.ends_with(&format!("closed with code {code}, reason “goodbye”")), "{told}");
            page.press("connect", "connected").await;
        }
    })
    .await;
}

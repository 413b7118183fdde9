//! Headless Chromium, driven over `WebDriver`.

use std::{
    future::Future,
    path::{Path, PathBuf},
    sync::Arc,
};

use fantoccini::{Client, ClientBuilder, wd::TimeoutConfiguration};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Map, Value, json};

use crate::{LIMIT, page::Page, process::Process, program, scratch, within};

/// Flags under which an unprivileged user and root in a container get the same browser, which asks nobody anything.
const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A browser with the test page open.
#[derive(Debug)]
pub struct Browser {
    client: Client,
    profile: PathBuf,
    /// The page, whose origin is the origin of all sessions.
    pub page: Page,
    _driver: Process,
}

async fn driver(chromedriver: &Path) -> (Process, String) {
    let mut process = Process::start(chromedriver, ["--port=0"]);
    loop {
        let line = process.line().await.expect("chromedriver tells its port");
        if let Some((_, rest)) = line.split_once("successfully on port ") {
            let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
            return (process, format!("http://127.0.0.1:{port}"));
        }
    }
}

/// Runs a test with a browser, which is ended however the test ends. Where there is no browser, a line says so.
///
/// # Panics
/// If the browser does not start, and when the test does.
pub async fn with<F: Future<Output = ()> + Send + 'static>(name: &str, test: impl FnOnce(Arc<Browser>) -> F) {
    let Some(browser) = Browser::start(name).await.map(Arc::new) else { return };
    // A task of its own: a panic in it does not leave the browser behind.
    let result = tokio::spawn(test(Arc::clone(&browser))).await;
    browser.close().await;
    if let Err(error) = result {
        std::panic::resume_unwind(error.into_panic());
    }
}

impl Browser {
    async fn start(name: &str) -> Option<Self> {
        let chromium = program("WEFT_CHROMIUM", &["chromium", "chromium-browser", "google-chrome"])?;
        let chromedriver = program("WEFT_CHROMEDRIVER", &["chromedriver"])?;
        let (process, address) = driver(&chromedriver).await;
        let profile = scratch(name);
        let mut flags: Vec<String> = FLAGS.iter().map(|&flag| flag.to_owned()).collect();
        flags.push(format!("--user-data-dir={}", profile.display()));
        let mut capabilities = Map::new();
        capabilities.insert("browserName".to_owned(), json!("chrome"));
        capabilities.insert("goog:chromeOptions".to_owned(), json!({ "binary": chromium, "args": flags }));
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let connecting = builder.capabilities(capabilities).connect(&address);
        let client = within("browser", connecting).await.expect("a browser session");
        let timeouts = TimeoutConfiguration::new(Some(LIMIT), Some(LIMIT), None);
        within("timeouts", client.update_timeouts(timeouts)).await.expect("timeouts");
        let page = Page::serve().await;
        within("page", client.goto(&page.origin())).await.expect("the page");
        Some(Self { client, profile, page, _driver: process })
    }

    /// Runs the body of an asynchronous function in the page, which sees `args`; gives what it returns. `what` is
    /// for the report of a failure.
    ///
    /// # Panics
    /// If it throws, or takes longer than [`LIMIT`].
    pub async fn run(&self, what: &str, body: &str, args: Value) -> Value {
        let script = format!(
            "const [args, done] = arguments;
             (async () => {{ {body} }})().then(
                 (value) => done({{ value: value === undefined ? null : value }}),
                 (error) => done({{ error: `${{error.name}}: ${{error.message}}` }}));"
        );
        let result = within(what, self.client.execute_async(&script, vec![args])).await;
        let mut result = result.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(result.get("error").is_none(), "{what}: the script threw {}", result["error"]);
        result["value"].take()
    }

    async fn close(&self) {
        within("end of the browser", self.client.clone().close()).await.expect("the browser ends");
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

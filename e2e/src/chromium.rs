//! Headless Chromium, driven over `WebDriver`.

use std::path::{Path, PathBuf};

use fantoccini::{Client, ClientBuilder, wd::TimeoutConfiguration};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Map, Value, json};

use crate::{
    browser::Browser,
    folders::scratch,
    page::Page,
    process::Process,
    programs::program,
    wait::{LIMIT, within},
};

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

/// Chromium with the test page open; with its experimental features of the web platform, or, as users have it, without.
#[derive(Debug)]
pub struct Chromium<const EXPERIMENTAL: bool = false> {
    client: Client,
    profile: PathBuf,
    page: Page,
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

impl<const EXPERIMENTAL: bool> Chromium<EXPERIMENTAL> {
    /// As [`Browser::start`], with these flags beside its own.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start_with(name: &str, more: &[String]) -> Option<Self> {
        let chromium = program("WEFT_CHROMIUM", &["chromium", "chromium-browser", "google-chrome"])?;
        let chromedriver = program("WEFT_CHROMEDRIVER", &["chromedriver"])?;
        let (process, address) = driver(&chromedriver).await;
        let profile = scratch(name);
        let mut flags: Vec<String> = FLAGS.iter().map(|&flag| flag.to_owned()).collect();
        flags.push(format!("--user-data-dir={}", profile.display()));
        flags.extend_from_slice(more);
        if EXPERIMENTAL {
            flags.push("--enable-experimental-web-platform-features".to_owned());
        }
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
}

impl<const EXPERIMENTAL: bool> Browser for Chromium<EXPERIMENTAL> {
    async fn start(name: &str) -> Option<Self> {
        Self::start_with(name, &[]).await
    }

    fn page(&self) -> &Page {
        &self.page
    }

    async fn visit(&self, url: &str) {
        within("page", self.client.goto(url)).await.expect("the page");
    }

    async fn script(&self, script: &str, args: Vec<Value>) -> Result<Value, String> {
        self.client.execute_async(script, args).await.map_err(|error| error.to_string())
    }

    async fn close(&self) {
        within("end of the browser", self.client.clone().close()).await.expect("the browser ends");
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

//! Headless Firefox, driven over Marionette: a geckodriver is not needed.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    process::{Child, Command},
    sync::Mutex,
};

use crate::{
    browser::Browser,
    folders::scratch,
    marionette::Marionette,
    page::Page,
    programs::program,
    wait::{LIMIT, within},
};

/// A browser that asks nobody anything and takes what port it gets. Marionette turns off much of this by itself, but
/// not from the first moment on.
const PREFERENCES: &str = r#"
user_pref("marionette.port", 0);
user_pref("app.normandy.enabled", false);
user_pref("app.update.disabledForTesting", true);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("browser.safebrowsing.update.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("extensions.update.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("services.settings.server", "data:,#remote-settings-dummy/v1");
user_pref("startup.homepage_welcome_url", "");
user_pref("toolkit.telemetry.server", "");
"#;

/// Firefox with the test page open.
#[derive(Debug)]
pub struct Firefox {
    marionette: Marionette,
    /// Killed when this is dropped.
    process: Mutex<Child>,
    folder: PathBuf,
    page: Page,
}

/// Starts Firefox in `folder`, which is its home too: as root it wants one that is its user's.
fn spawn(firefox: &Path, folder: &Path) -> Child {
    let profile = folder.join("profile");
    std::fs::create_dir(&profile).expect("a new folder");
    std::fs::write(profile.join("user.js"), PREFERENCES).expect("a writable folder");
    let log = std::fs::File::create(folder.join("log")).expect("a writable folder");
    Command::new(firefox)
        .args(["--headless", "--marionette", "--no-remote", "--profile"])
        .arg(&profile)
        .env("HOME", folder)
        .env("MOZ_CRASHREPORTER_DISABLE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", firefox.display()))
}

/// The port that Firefox chose. It tells it in a file and nowhere else, so that is looked for again and again.
async fn port(process: &mut Child, folder: &Path) -> u16 {
    let log = || std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    let file = folder.join("profile/MarionetteActivePort");
    let found = tokio::time::timeout(LIMIT, async {
        loop {
            if let Ok(Ok(port)) = std::fs::read_to_string(&file).map(|text| text.trim().parse()) {
                return port;
            }
            if let Ok(Some(status)) = process.try_wait() {
                panic!("Firefox ended with {status}:\n{}", log());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("Firefox told no port within {LIMIT:?}:\n{}", log()))
}

impl Firefox {
    async fn open(&self) -> Result<(), String> {
        let limit = u64::try_from(LIMIT.as_millis()).expect("less than ages");
        let timeouts = json!({ "script": limit, "pageLoad": limit });
        let session = json!({ "capabilities": { "alwaysMatch": { "timeouts": timeouts } } });
        self.marionette.command("WebDriver:NewSession", session).await?;
        self.marionette.command("WebDriver:Navigate", json!({ "url": self.page.origin() })).await?;
        Ok(())
    }
}

impl Browser for Firefox {
    async fn start(name: &str) -> Option<Self> {
        let firefox = program("WEFT_FIREFOX", &["firefox-esr", "firefox"])?;
        let folder = scratch(name);
        let mut process = spawn(&firefox, &folder);
        let port = port(&mut process, &folder).await;
        let marionette =
            within("Marionette", Marionette::connect(port)).await.expect("a greeting of Firefox");
        let page = Page::serve().await;
        let browser = Self { marionette, process: Mutex::new(process), folder, page };
        within("page", browser.open()).await.expect("the page");
        Some(browser)
    }

    fn page(&self) -> &Page {
        &self.page
    }

    async fn visit(&self, url: &str) {
        let navigating = self.marionette.command("WebDriver:Navigate", json!({ "url": url }));
        within("page", navigating).await.expect("the page");
    }

    async fn script(&self, script: &str, args: Vec<Value>) -> Result<Value, String> {
        let parameters = json!({ "script": script, "args": args });
        let mut result = self.marionette.command("WebDriver:ExecuteAsyncScript", parameters).await?;
        Ok(result["value"].take())
    }

    async fn close(&self) {
        let mut process = self.process.lock().await;
        let quit = self.marionette.command("Marionette:Quit", json!({ "flags": ["eForceQuit"] }));
        let ending = async {
            let asked = quit.await;
            let ended = process.wait().await;
            (asked, ended)
        };
        // How long a browser tidies up is not the test's affair.
        if tokio::time::timeout(LIMIT, ending).await.is_err() {
            process.kill().await.expect("a process of ours ends");
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

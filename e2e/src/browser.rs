//! What the scenarios ask of a browser, whichever it is and however it is driven.

use std::{future::Future, sync::Arc};

use serde_json::{Value, json};

use crate::{page::Page, wait::within};

/// A browser with the test page open.
pub trait Browser: Send + Sync + Sized + 'static {
    /// Starts the browser with a profile of its own, called `name`, and opens the page. `None`, after a line that
    /// says so, where there is none.
    ///
    /// # Panics
    /// If it does not start.
    fn start(name: &str) -> impl Future<Output = Option<Self>> + Send;

    /// The page, whose origin is the origin of all sessions.
    fn page(&self) -> &Page;

    /// Opens another page than the test page. [`Self::script`] runs there from then on, and there is no [`Self::run`].
    ///
    /// # Panics
    /// If it cannot be opened.
    fn visit(&self, url: &str) -> impl Future<Output = ()> + Send;

    /// Runs a `WebDriver` script in the page, which gives its last argument what it comes to; the error says what
    /// the browser objects to. May take as long as it likes: [`run`](Self::run) bounds it.
    fn script(&self, script: &str, args: Vec<Value>) -> impl Future<Output = Result<Value, String>> + Send;

    /// Ends the browser and removes its profile.
    fn close(&self) -> impl Future<Output = ()> + Send;

    /// Runs the body of an asynchronous function in the page, which sees `args`; gives what it returns. `what` is
    /// for the report of a failure.
    ///
    /// # Panics
    /// If it throws, or takes longer than [`LIMIT`](crate::wait::LIMIT).
    fn run(&self, what: &str, body: &str, args: Value) -> impl Future<Output = Value> + Send {
        async move {
            let args = vec![json!(body), json!(args.to_string())];
            let script = "const [body, args, done] = arguments; run(body, args).then(done);";
            let result = within(what, self.script(script, args)).await;
            let result = result.unwrap_or_else(|error| panic!("{what}: {error}"));
            let result = result.as_str().map(serde_json::from_str::<Value>);
            let Some(Ok(mut result)) = result else { panic!("{what}: the page told no JSON") };
            assert!(result.get("error").is_none(), "{what}: the script threw {}", result["error"]);
            result["value"].take()
        }
    }
}

/// Runs a test with a browser, which is ended however the test ends. Where there is no browser, a line says so.
///
/// # Panics
/// If the browser does not start, and when the test does.
pub async fn with<B: Browser, F: Future<Output = ()> + Send + 'static>(
    name: &str,
    test: impl FnOnce(Arc<B>) -> F,
) {
    let Some(browser) = B::start(name).await.map(Arc::new) else { return };
    // A task of its own: a panic in it does not leave the browser behind.
    let result = tokio::spawn(test(Arc::clone(&browser))).await;
    browser.close().await;
    if let Err(error) = result {
        std::panic::resume_unwind(error.into_panic());
    }
}

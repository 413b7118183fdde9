//! Headless Chromium against aioquic (does the harness work?) and against our server.

use e2e::{
    aioquic,
    browser::{self, Browser},
    certificate::Certificate,
    scenarios::{self, Place},
    scratch,
};
use serde_json::json;

async fn aioquic_server(name: &str) -> Option<(aioquic::Server, Place)> {
    let python = aioquic::python()?;
    let certificate = Certificate::new();
    let server = aioquic::Server::start(&python, &certificate, &scratch(name)).await;
    let place = Place::new(server.port, &certificate.hash);
    Some((server, place))
}

/// The harness itself: a browser and a server of which both are known to work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium and aioquic: cargo xtask test"]
async fn harness_chromium_reaches_the_echo_of_aioquic() {
    browser::with("chromium-aioquic", |browser| async move {
        let Some((mut server, place)) = aioquic_server("chromium-aioquic-server").await else { return };
        let browser: &Browser = &browser;
        scenarios::streams_both_ways(browser, &place).await;
        assert_eq!(server.process.told("origin").await, json!(browser.page.origin()));
        scenarios::datagrams(browser, &place).await;
        scenarios::reset_by_the_page(browser, &place).await;
        assert_eq!(server.process.told("reset").await, json!(42));
        scenarios::close_by_the_page(browser, &place, 5, "enough").await;
        while server.process.told("closed").await != json!([5, "enough"]) {}
        scenarios::close_by_the_server(browser, &place).await;
        scenarios::refused(browser, &place, "/nowhere").await;
    })
    .await;
}

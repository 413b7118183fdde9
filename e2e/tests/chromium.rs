//! Headless Chromium against aioquic (does the harness work?) and against our server.

use std::sync::Arc;

use e2e::{
    aioquic,
    browser::{self, Browser},
    certificate::Certificate,
    chromium::Chromium,
    scenarios::{self, Place},
    scratch,
    weft::{Seen, Server},
};
use serde_json::json;
use wt_api::CloseInfo;

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
    browser::with("chromium-aioquic", |browser: Arc<Chromium>| async move {
        let Some((mut server, place)) = aioquic_server("chromium-aioquic-server").await else { return };
        let browser: &Chromium = &browser;
        scenarios::streams_both_ways(browser, &place).await;
        assert_eq!(server.process.told("origin").await, json!(browser.page().origin()));
        scenarios::datagrams(browser, &place).await;
        scenarios::reset_by_the_page(browser, &place, 42).await;
        assert_eq!(server.process.told("reset").await, json!(42));
        scenarios::close_by_the_page(browser, &place, 5, "enough").await;
        while server.process.told("closed").await != json!([5, "enough"]) {}
        scenarios::close_by_the_server(browser, &place).await;
        scenarios::refused(browser, &place, "/nowhere").await;
    })
    .await;
}

/// A server that is open to the browser's page.
fn server(browser: &Chromium) -> Server {
    Server::start(&Certificate::new(), &browser.page().origin())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn chromium_exchanges_streams_and_datagrams_with_our_server() {
    browser::with("chromium-streams", |browser: Arc<Chromium>| async move {
        let mut server = server(&browser);
        scenarios::streams_both_ways(&*browser, &server.place).await;
        scenarios::datagrams(&*browser, &server.place).await;
        let session = server.saw("session", |seen| matches!(seen, Seen::Session(..))).await;
        let Seen::Session(origin, _) = session else { unreachable!() };
        assert_eq!(origin, Some(browser.page().origin()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn chromium_opens_two_hundred_streams_at_once() {
    browser::with("chromium-200", |browser: Arc<Chromium>| async move {
        let server = server(&browser);
        scenarios::two_hundred_streams_at_once(&*browser, &server.place).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn close_codes_and_reasons_of_chromium_reach_our_server() {
    browser::with("chromium-close", |browser: Arc<Chromium>| async move {
        let mut server = server(&browser);
        for (code, reason) in [(0, ""), (u32::MAX, "gr\u{fc}\u{df}e")] {
            scenarios::close_by_the_page(&*browser, &server.place, code, reason).await;
            let expected = Seen::Closed(Ok(CloseInfo { close_code: code, reason: reason.to_owned() }));
            server.saw("close", |seen| *seen == expected).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn close_code_and_reason_of_our_server_reach_chromium() {
    browser::with("chromium-closed", |browser: Arc<Chromium>| async move {
        let server = server(&browser);
        scenarios::close_by_the_server(&*browser, &server.place).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn reset_and_stop_codes_cross_between_chromium_and_our_server() {
    browser::with("chromium-reset", |browser: Arc<Chromium>| async move {
        let mut server = server(&browser);
        // The page's codes are octets, and larger ones the largest (protocol facts 1.19).
        for (code, told) in [(42, 42), (256, 255)] {
            scenarios::reset_by_the_page(&*browser, &server.place, code).await;
            server.saw("reset", |seen| *seen == Seen::Reset(Some(told))).await;
            scenarios::stop_by_the_page(&*browser, &server.place, code).await;
            server.saw("stop", |seen| *seen == Seen::Stopped(Some(told))).await;
        }
        for code in [33, u32::MAX] {
            let outcomes = scenarios::reset_by_the_server(&*browser, &server.place, code).await;
            let expected = json!({ "rejected": "WebTransportError", "code": code, "source": "stream" });
            assert_eq!(outcomes, [expected.clone(), expected]);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn paths_and_origins_that_our_server_refuses_reject_ready_and_closed() {
    browser::with("chromium-refused", |browser: Arc<Chromium>| async move {
        let ours = server(&browser);
        scenarios::refused(&*browser, &ours.place, "/nowhere").await;
        scenarios::refused(&*browser, &ours.place, "/post-only").await;
        let elsewhere = Server::start(&Certificate::new(), "https://example.org");
        scenarios::refused(&*browser, &elsewhere.place, "/echo").await;
    })
    .await;
}

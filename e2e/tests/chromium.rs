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
use serde_json::{Value, json};
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
            let expected = Seen::Closed(Ok(CloseInfo::new(code, reason.to_owned())));
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn chromium_refuses_urls_that_are_none() {
    browser::with("chromium-urls", |browser: Arc<Chromium>| async move {
        let server = server(&browser);
        scenarios::session::urls_that_are_refused(&*browser, &server.place).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn chromium_trusts_only_certificates_with_a_hash_that_it_was_given() {
    browser::with("chromium-hashes", |browser: Arc<Chromium>| async move {
        let server = server(&browser);
        scenarios::session::certificate_hashes(&*browser, &server.place).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn a_close_while_connecting_rejects_ready_and_closed_in_chromium() {
    browser::with("chromium-early", |browser: Arc<Chromium>| async move {
        let server = server(&browser);
        scenarios::session::close_while_connecting(&*browser, &server.place).await;
    })
    .await;
}

/// The reason is cut at a character's end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn nothing_of_a_session_goes_on_after_chromium_closed_it() {
    browser::with("chromium-after", |browser: Arc<Chromium>| async move {
        let mut server = server(&browser);
        let pending = scenarios::session::after_the_close(&*browser, &server.place).await;
        let error = scenarios::session::session_error();
        assert_eq!(pending, json!([error, error]));
        let cut = CloseInfo::new(1, "\u{e4}".repeat(512));
        server.saw("close", |seen| *seen == Seen::Closed(Ok(cut.clone()))).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn errors_that_chromium_makes_have_the_members_they_were_given() {
    browser::with("chromium-errors", |browser: Arc<Chromium>| async move {
        scenarios::session::errors_made_by_the_page(&*browser).await;
    })
    .await;
}

/// The last of the page's protocols is our server's choice. Chromium 156 refuses one of 512 characters, which W3C
/// permits; 511 pass.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn chromium_and_our_server_agree_on_a_protocol() {
    browser::with("chromium-protocol", |browser: Arc<Chromium>| async move {
        let server = server(&browser);
        let body = "
            const results = [];
            for (const protocols of [[], ['first', 'last'], ['a\"b\\\\'], ['x'.repeat(511)]]) {
                const session = open(args.url, args.hash, { protocols });
                const before = session.protocol;
                await session.ready;
                results.push([before, session.protocol]);
                session.close();
            }
            const refused = [['a', 'a'], [''], ['\u{e4}'], ['x'.repeat(512)]];
            return [results, refused.map((protocols) => thrown(() => open(args.url, args.hash, { protocols })))];";
        let results = browser.run("protocols", body, server.place.args("/last-protocol")).await;
        let agreed = json!([["", ""], ["", "last"], ["", "a\"b\\"], ["", "x".repeat(511)]]);
        assert_eq!(results, json!([agreed, vec!["SyntaxError"; 4]]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn streams_that_our_server_opens_reach_chromium() {
    browser::with("chromium-incoming", |browser: Arc<Chromium>| async move {
        let server = server(&browser);
        scenarios::streams::opened_by_the_server(&*browser, &server.place).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn streams_to_which_our_server_writes_nothing_reach_chromium() {
    browser::with("chromium-silent", |browser: Arc<Chromium>| async move {
        let server = server(&browser);
        scenarios::streams::opened_and_silent(&*browser, &server.place).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn streams_that_chromium_breaks_off_at_once_are_heard_of() {
    browser::with("chromium-at-once", |browser: Arc<Chromium>| async move {
        let mut server = server(&browser);
        scenarios::streams::broken_off_at_once(&*browser, &server.place, 42).await;
        let mut left = vec![Seen::Reset(Some(42)), Seen::Reset(Some(43))];
        while !left.is_empty() {
            let seen = server.saw("reset", |seen| left.contains(seen)).await;
            left.retain(|wanted| *wanted != seen);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn chromium_reads_streams_into_buffers_of_the_page() {
    browser::with("chromium-byob", |browser: Arc<Chromium>| async move {
        let server = server(&browser);
        scenarios::streams::reads_into_buffers(&*browser, &server.place).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn writers_in_chromium_wait_while_our_server_does_not_read() {
    browser::with("chromium-writers", |browser: Arc<Chromium>| async move {
        let server = server(&browser);
        scenarios::streams::writers_wait_for_the_server(&*browser, &server).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn streams_that_chromium_breaks_off_without_a_code_have_code_0() {
    browser::with("chromium-no-code", |browser: Arc<Chromium>| async move {
        let mut server = server(&browser);
        scenarios::streams::broken_off_without_a_code(&*browser, &server.place).await;
        // Reset and stop are on different streams, so either may come first.
        let mut left = vec![Seen::Reset(Some(0)), Seen::Stopped(Some(0))];
        while !left.is_empty() {
            let seen = server.saw("reset or stop", |seen| left.contains(seen)).await;
            left.retain(|wanted| *wanted != seen);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn datagrams_in_chromium_have_ages_and_sizes() {
    browser::with("chromium-ages", |browser: Arc<Chromium>| async move {
        let server = server(&browser);
        scenarios::datagrams::ages(&*browser, &server.place, "null").await;
        scenarios::datagrams::too_large(&*browser, &server.place).await;
    })
    .await;
}

/// The new names of these members and the old ones: both are there, for the same numbers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn chromium_buffers_as_many_datagrams_as_it_is_told() {
    browser::with("chromium-buffered", |browser: Arc<Chromium>| async move {
        let server = server(&browser);
        for side in ["incoming", "outgoing"] {
            for name in ["MaxBufferedDatagrams", "HighWaterMark"] {
                let name = format!("{side}{name}");
                let numbers = scenarios::datagrams::buffered(&*browser, &server.place, &name).await;
                assert_eq!(numbers, json!([1, 100, 1, 3]), "{name}");
            }
        }
        let body = "
            const { datagrams } = await connected(args.url, args.hash);
            [datagrams.incomingMaxBufferedDatagrams, datagrams.outgoingMaxBufferedDatagrams] = [5, 6];
            return [datagrams.incomingHighWaterMark, datagrams.outgoingHighWaterMark];";
        let old: Value = browser.run("old names", body, server.place.args("/echo")).await;
        assert_eq!(old, json!([5, 6]));
    })
    .await;
}

//! Headless Firefox against aioquic (does the harness work?) and against our server.
//!
//! Firefox ESR 153 speaks draft 02 of WebTransport over HTTP/3, and where it says less than Chromium about streams that
//! were broken off, these tests say so: what they expect of it was measured with servers that are not ours.

use std::sync::Arc;

use e2e::{
    LIMIT, aioquic,
    browser::{self, Browser},
    certificate::Certificate,
    firefox::Firefox,
    scenarios::{self, Place},
    scratch,
    weft::{Seen, Server},
    within,
};
use serde_json::json;
use wt_api::CloseInfo;

/// The harness itself: a browser and a server of which both are known to work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Firefox and aioquic: cargo xtask test"]
async fn harness_firefox_reaches_the_echo_of_aioquic() {
    browser::with("firefox-aioquic", |browser: Arc<Firefox>| async move {
        let Some(python) = aioquic::python() else { return };
        let certificate = Certificate::new();
        let folder = scratch("firefox-aioquic-server");
        let mut server = aioquic::Server::start(&python, &certificate, &folder).await;
        let place = Place::new(server.port, &certificate.hash);
        let browser: &Firefox = &browser;
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
fn server(browser: &Firefox) -> Server {
    Server::start(&Certificate::new(), &browser.page().origin())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Firefox: cargo xtask test"]
async fn firefox_exchanges_streams_and_datagrams_with_our_server() {
    browser::with("firefox-streams", |browser: Arc<Firefox>| async move {
        let mut server = server(&browser);
        scenarios::streams_both_ways(&*browser, &server.place).await;
        scenarios::datagrams(&*browser, &server.place).await;
        let session = server.saw("session", |seen| matches!(seen, Seen::Session(..))).await;
        assert_eq!(session, Seen::Session(Some(browser.page().origin()), "draft-02"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Firefox: cargo xtask test"]
async fn firefox_opens_two_hundred_streams_at_once() {
    browser::with("firefox-200", |browser: Arc<Firefox>| async move {
        let server = server(&browser);
        scenarios::two_hundred_streams_at_once(&*browser, &server.place).await;
    })
    .await;
}

/// CONNECTION_CLOSE comes right behind Firefox's capsule.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Firefox: cargo xtask test"]
async fn close_codes_and_reasons_of_firefox_reach_our_server() {
    browser::with("firefox-close", |browser: Arc<Firefox>| async move {
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
#[ignore = "needs Firefox: cargo xtask test"]
async fn close_code_and_reason_of_our_server_reach_firefox() {
    browser::with("firefox-closed", |browser: Arc<Firefox>| async move {
        let server = server(&browser);
        scenarios::close_by_the_server(&*browser, &server.place).await;
    })
    .await;
}

/// The page's codes are octets, and larger ones the largest (protocol facts 1.19). A stop leaves the session alive; that
/// it reaches the server is not asserted, since Firefox was not seen to send one before the session's end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Firefox: cargo xtask test"]
async fn resets_and_stops_of_firefox_reach_our_server() {
    browser::with("firefox-reset", |browser: Arc<Firefox>| async move {
        let mut server = server(&browser);
        for (code, told) in [(0, 0), (42, 42), (256, 255)] {
            scenarios::reset_by_the_page(&*browser, &server.place, code).await;
            server.saw("reset", |seen| *seen == Seen::Reset(Some(told))).await;
        }
        scenarios::stop_by_the_page(&*browser, &server.place, 42).await;
    })
    .await;
}

/// A stop has its code up to 255 and 0 above (protocol facts 1.19). A reset ends the page's read; what the reader learns
/// of it is not asserted, since it was a `TypeError` in most runs but not in all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Firefox: cargo xtask test"]
async fn resets_and_stops_of_our_server_reach_firefox() {
    browser::with("firefox-resets", |browser: Arc<Firefox>| async move {
        let server = server(&browser);
        for (code, told) in [(33, 33), (255, 255), (256, 0)] {
            let [_, stop] = scenarios::reset_by_the_server(&*browser, &server.place, code).await;
            let expected = json!({ "rejected": "WebTransportError", "code": told, "source": "stream" });
            assert_eq!(stop, expected, "{code}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Firefox: cargo xtask test"]
async fn paths_and_origins_that_our_server_refuses_reject_ready_and_closed_in_firefox() {
    browser::with("firefox-refused", |browser: Arc<Firefox>| async move {
        let ours = server(&browser);
        scenarios::refused(&*browser, &ours.place, "/nowhere").await;
        scenarios::refused(&*browser, &ours.place, "/post-only").await;
        let elsewhere = Server::start(&Certificate::new(), "https://example.org");
        scenarios::refused(&*browser, &elsewhere.place, "/echo").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Firefox: cargo xtask test"]
async fn firefox_reads_a_session_with_our_server_as_its_own_api_says() {
    browser::with("firefox-members", |browser: Arc<Firefox>| async move {
        let server = server(&browser);
        let body = "
            const session = await connected(args.url, args.hash);
            const stats = await outcome((async () => session.getStats())());
            session.close();
            return stats;";
        let stats = browser.run("members", body, server.place.args("/echo")).await;
        // The method is there and throws (protocol facts 1.19).
        assert_eq!(stats["rejected"], json!("NS_ERROR_NOT_IMPLEMENTED"));
        // Whatever was asked, the congestion control is its own.
        let members = scenarios::session::reliability_and_congestion_control(&*browser, &server.place).await;
        let expected = json!([["pending", "default"], ["supports-unreliable", "default"]]);
        assert_eq!(members, json!([expected, expected, expected]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Firefox: cargo xtask test"]
async fn firefox_refuses_urls_that_are_none() {
    browser::with("firefox-urls", |browser: Arc<Firefox>| async move {
        let server = server(&browser);
        scenarios::session::urls_that_are_refused(&*browser, &server.place).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Firefox: cargo xtask test"]
async fn firefox_trusts_only_certificates_with_a_hash_that_it_was_given() {
    browser::with("firefox-hashes", |browser: Arc<Firefox>| async move {
        let server = server(&browser);
        scenarios::session::certificate_hashes(&*browser, &server.place).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Firefox: cargo xtask test"]
async fn a_close_while_connecting_rejects_ready_and_closed_in_firefox() {
    browser::with("firefox-early", |browser: Arc<Firefox>| async move {
        let server = server(&browser);
        scenarios::session::close_while_connecting(&*browser, &server.place).await;
    })
    .await;
}

/// What is pending fails as the specification says, but with code 20, which nobody gave.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Firefox: cargo xtask test"]
async fn nothing_of_a_session_goes_on_after_firefox_closed_it() {
    browser::with("firefox-after", |browser: Arc<Firefox>| async move {
        let mut server = server(&browser);
        let pending = scenarios::session::after_the_close(&*browser, &server.place).await;
        let error = json!({ "rejected": "WebTransportError", "code": 20, "source": "session" });
        assert_eq!(pending, json!([error, error]));
        let cut = CloseInfo::new(1, "\u{e4}".repeat(512));
        server.saw("close", |seen| *seen == Seen::Closed(Ok(cut.clone()))).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Firefox: cargo xtask test"]
async fn errors_that_firefox_makes_have_the_members_they_were_given() {
    browser::with("firefox-errors", |browser: Arc<Firefox>| async move {
        scenarios::session::errors_made_by_the_page(&*browser).await;
    })
    .await;
}

/// Its streams have no order at all unless one was given, where W3C has 0.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Firefox: cargo xtask test"]
async fn send_orders_of_streams_in_firefox_change_live() {
    browser::with("firefox-orders", |browser: Arc<Firefox>| async move {
        let server = server(&browser);
        scenarios::streams::send_orders(&*browser, &server.place, &json!(null)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Firefox: cargo xtask test"]
async fn streams_that_our_server_opens_reach_firefox() {
    browser::with("firefox-incoming", |browser: Arc<Firefox>| async move {
        let server = server(&browser);
        scenarios::streams::opened_by_the_server(&*browser, &server.place).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Firefox: cargo xtask test"]
async fn streams_to_which_our_server_writes_nothing_reach_firefox() {
    browser::with("firefox-silent", |browser: Arc<Firefox>| async move {
        let server = server(&browser);
        scenarios::streams::opened_and_silent(&*browser, &server.place).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Firefox: cargo xtask test"]
async fn streams_that_firefox_breaks_off_at_once_are_heard_of() {
    browser::with("firefox-at-once", |browser: Arc<Firefox>| async move {
        let mut server = server(&browser);
        scenarios::streams::broken_off_at_once(&*browser, &server.place, 42).await;
        // Of the unidirectional one Firefox sends a RESET_STREAM of no bytes, without the preface: nobody can know whose it was.
        server.saw("reset", |seen| *seen == Seen::Reset(Some(43))).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Firefox: cargo xtask test"]
async fn firefox_reads_streams_into_buffers_of_the_page() {
    browser::with("firefox-byob", |browser: Arc<Firefox>| async move {
        let server = server(&browser);
        scenarios::streams::reads_into_buffers(&*browser, &server.place).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Firefox: cargo xtask test"]
async fn writers_in_firefox_wait_while_our_server_does_not_read() {
    browser::with("firefox-writers", |browser: Arc<Firefox>| async move {
        let server = server(&browser);
        scenarios::streams::writers_wait_for_the_server(&*browser, &server).await;
    })
    .await;
}

/// No age reads back as Infinity, where W3C has null; the numbers of buffered datagrams have their old names only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Firefox: cargo xtask test"]
async fn datagrams_in_firefox_have_ages_and_buffers() {
    browser::with("firefox-ages", |browser: Arc<Firefox>| async move {
        let server = server(&browser);
        scenarios::datagrams::ages(&*browser, &server.place, "Infinity").await;
        for (name, first) in [("incomingHighWaterMark", 1), ("outgoingHighWaterMark", 5)] {
            let numbers = scenarios::datagrams::buffered(&*browser, &server.place, name).await;
            assert_eq!(numbers, json!([first, 100, 1, 3]), "{name}");
        }
    })
    .await;
}

/// While our server shuts down, the session goes on, and new streams of both kinds. The first answer comes after what the
/// server sent when it began to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Firefox: cargo xtask test"]
async fn a_session_of_firefox_goes_on_while_our_server_shuts_down() {
    browser::with("firefox-shutdown", |browser: Arc<Firefox>| async move {
        let server = server(&browser);
        let body = "
            const session = await connected(args.url, args.hash);
            kept.push(session);
            return await echo(session, 'before');";
        let before = browser.run("before the shutdown", body, server.place.args("/echo")).await;
        assert_eq!(before, json!("before"));
        // Longer than all that follows: only the end of the session ends it.
        let shutdown = server.shutdown(LIMIT * 4);
        let body = "
            const session = kept.pop();
            const answers = [await echo(session, 'first'), await echo(session, 'second')];
            await writeAll(await session.createUnidirectionalStream(), 'one way');
            answers.push(await readAll((await session.incomingUnidirectionalStreams.getReader().read()).value));
            session.close();
            await session.closed;
            return answers;";
        let answers = browser.run("after the shutdown", body, json!({})).await;
        assert_eq!(answers, json!(["first", "second", "one way"]));
        within("end of the server", shutdown).await.expect("it shuts down");
    })
    .await;
}

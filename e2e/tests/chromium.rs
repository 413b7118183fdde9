//! Headless Chromium against aioquic (does the harness work?) and against our server.

use e2e::{aioquic, browser::Browser, certificate::Certificate, scratch};
use serde_json::json;

/// The harness itself: a browser and a server of which both are known to work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium and aioquic: cargo xtask test"]
async fn harness_chromium_reaches_the_echo_of_aioquic() {
    let Some(python) = aioquic::python() else { return };
    let Some(browser) = Browser::start("chromium-aioquic").await else { return };
    let certificate = Certificate::new();
    let mut server = aioquic::Server::start(&python, &certificate, &scratch("chromium-aioquic-server")).await;
    let args = json!({ "url": format!("https://127.0.0.1:{}/echo", server.port), "hash": certificate.hash });
    let body = "
        const session = await connected(args.url, args.hash);
        const answer = await echo(session, 'hello');
        session.close({ closeCode: 5, reason: 'enough' });
        return { answer, closed: await session.closed };";
    let result = browser.run(body, args).await;
    assert_eq!(result, json!({ "answer": "hello", "closed": { "closeCode": 5, "reason": "enough" } }));
    assert_eq!(server.process.told("origin").await, json!(browser.page.origin()));
    assert_eq!(server.process.told("closed").await, json!([5, "enough"]));
    browser.close().await;
}

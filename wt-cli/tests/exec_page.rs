//! A page in headless Firefox whose streams are processes of `weft serve --exec`.

use std::{path::Path, sync::Arc};

use e2e::{
    browser::{self, Browser},
    firefox::Firefox,
    process::Process,
};
use serde_json::{Value, json};

/// What a page receives on a stream of a shell script: how many bytes, and whether the stream was finished.
/// It writes a line and does not finish its side.
async fn hears(browser: &Firefox, script: &str) -> Value {
    let arguments = ["serve", "--json", "--listen", "127.0.0.1:0", "--origin", "*", "--exec", "sh", "--"];
    let mut server =
        Process::start(Path::new(env!("CARGO_BIN_EXE_weft")), [&arguments[..], &["-c", script]].concat());
    let announced = server.line().await.expect("where it listens");
    let announced: Value = serde_json::from_str(&announced).expect("JSON");
    let address = announced["listening"][0].as_str().expect("an address");
    let args = json!({ "url": format!("https://{address}/"), "hash": announced["certificateHash"] });
    let body = "
        const session = await connected(args.url, args.hash);
        const stream = await session.createBidirectionalStream();
        const writer = stream.writable.getWriter();
        await writer.write(new TextEncoder().encode('hello\\n'));
        const reader = stream.readable.getReader();
        let bytes = 0;
        try {
            for (;;) {
                const { value, done } = await reader.read();
                if (done) return [bytes, 'end'];
                bytes += value.length;
            }
        } catch (error) {
            return [bytes, error.name];
        } finally {
            session.close();
        }";
    browser.run("a stream of a program", body, args).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Firefox: cargo xtask test"]
async fn firefox_receives_all_output_of_a_program_that_does_not_read() {
    browser::with("firefox-exec", |browser: Arc<Firefox>| async move {
        assert_eq!(hears(&browser, "head -c 5000000 /dev/zero").await, json!([5_000_000, "end"]));
        let whole = hears(&browser, "exec <&-; head -c 5000000 /dev/zero; exit 0").await;
        assert_eq!(whole, json!([5_000_000, "end"]));
        // A reset is an error without details, and discards data that the page has not read. Firefox names it
        // TypeError in most runs and WebTransportError in about one of ten.
        let broken = hears(&browser, "echo before; exit 42").await;
        let names = [json!("TypeError"), json!("WebTransportError")];
        assert!(names.contains(&broken[1]), "{broken}");
    })
    .await;
}

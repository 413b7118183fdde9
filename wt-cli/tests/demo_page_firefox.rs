//! The page of `weft demo` in headless Firefox.

mod demo;

use std::sync::Arc;

use demo::Page;
use e2e::{browser, firefox::Firefox};

/// The features that Firefox has; the page says which ones are missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Firefox: cargo xtask test"]
async fn the_page_works_in_firefox() {
    browser::with("demo-page-firefox", |browser: Arc<Firefox>| async move {
        let page = Page::open(browser).await;
        for (button, pattern) in [
            ("bidi", "echo: “hello, weft”"),
            ("uni", "unidirectional stream from the server: “hello, weft”"),
            ("server-bidi", "the server had back: “hello, weft”"),
            ("server-uni", "unidirectional stream from the server: “hello, weft”"),
            ("many", "200 of 200 echoes right"),
            ("bulk", "16777216 of 16777216 bytes came back"),
            ("reset", "reset; the server answered: "),
            // Firefox does not show the code.
            ("server-reset", "the server reset the stream: "),
            ("commit", "the server had: “this much arrives|this browser has no commit"),
            ("atomic", "echo: “hello, weft”|this browser has no atomicWrite"),
            ("keys", "both ends have [0-9a-f]{64}$|this browser has no exportKeyingMaterial"),
            ("one", "datagram: “hello, weft”"),
        ] {
            page.press(button, pattern).await;
        }
        assert!(page.text("dialect").await.starts_with("draft "));
        assert_eq!(page.text("bidi-result").await, "echo: “hello, weft”");
        page.compares_the_modes().await;
        page.told("figures", "$('start').click();", "round trip [0-9.]+ ms at least").await;
        page.is_for_everybody().await;
        page.closes().await;
    })
    .await;
}

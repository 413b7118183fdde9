//! A page with twenty resources from `weft serve --root`, in headless Chromium over HTTP/3.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use e2e::{browser::Browser as _, certificate::Certificate, chromium::Chromium, scratch};
use serde_json::{Value, json};
use wt_api::Identity;

const RESOURCES: usize = 20;

/// The bytes of a resource.
fn content(number: usize) -> Vec<u8> {
    (0..number * number * 5_000).map(|at| ((at * at + number) % 251) as u8).collect()
}

/// A directory with the page and its resources.
fn site(folder: &std::path::Path) -> PathBuf {
    let root = folder.join("site");
    fs::create_dir_all(root.join("parts")).expect("made");
    fs::write(
        root.join("index.html"),
        "<!doctype html><title>weft</title><link rel=stylesheet href=style.css>",
    )
    .expect("written");
    fs::write(root.join("style.css"), "body { color: rgb(1, 2, 3) }").expect("written");
    for number in 0..RESOURCES {
        fs::write(root.join(format!("parts/{number}.bin")), content(number)).expect("written");
    }
    root
}

/// `weft serve` as a process. Dropping it kills it.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(extra: &[String]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weft"));
        command.args(["serve", "--json", "--listen", "127.0.0.1:0"]).args(extra).stdout(Stdio::piped());
        let mut child = command.spawn().expect("weft starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("a line");
        let announced: Value = serde_json::from_str(&line).expect("JSON");
        let address = announced["listening"][0].as_str().expect("an address").to_owned();
        Self { child, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The sum that the page computes as well.
fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(7, |sum, byte| (sum * 31 + u64::from(*byte)) % 1_000_003)
}

const SCRIPT: &str = "
    const done = arguments[arguments.length - 1];
    const load = async (number) => {
        const response = await fetch(`/parts/${number}.bin`);
        let sum = 7;
        const bytes = new Uint8Array(await response.arrayBuffer());
        for (const byte of bytes) sum = (sum * 31 + byte) % 1000003;
        return [response.status, bytes.length, sum];
    };
    Promise.all(Array.from({ length: arguments[0] }, (_, number) => load(number))).then((parts) => done({
        parts,
        title: document.title,
        colour: getComputedStyle(document.body).color,
        protocols: [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
            .map((entry) => entry.nextHopProtocol),
    }), (error) => done(String(error)));
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn a_page_with_twenty_resources_loads_over_http3() {
    let folder = scratch("root-page");
    let certificate = Certificate::new();
    let (cert, key) = certificate.write(&folder);
    let root = site(&folder);
    let text = |path: &PathBuf| path.to_str().expect("text").to_owned();
    let extra =
        ["--root".to_owned(), text(&root), "--cert".to_owned(), text(&cert), "--key".to_owned(), text(&key)];
    let server = Server::start(&extra);
    let identity = Identity::from_pem(certificate.certificate.as_bytes(), certificate.key.as_bytes());
    let pin = identity.expect("a certificate").public_key_pin().expect("a key");
    let flags = [
        format!("--ignore-certificate-errors-spki-list={pin}"),
        format!("--origin-to-force-quic-on={}", server.address),
    ];
    let Some(browser) = Chromium::<false>::start_with("root-page-profile", &flags).await.map(Arc::new) else {
        return;
    };
    // A task of its own: a panic in it does not leave the browser behind.
    let (loads, url) = (Arc::clone(&browser), format!("https://{}/", server.address));
    let loaded = tokio::spawn(async move {
        loads.visit(&url).await;
        loads.script(SCRIPT, vec![json!(RESOURCES)]).await.expect("the page's script")
    })
    .await;
    browser.close().await;
    let loaded = loaded.expect("the page loads");
    assert_eq!((&loaded["title"], &loaded["colour"]), (&json!("weft"), &json!("rgb(1, 2, 3)")), "{loaded}");
    let expected: Vec<Value> = (0..RESOURCES)
        .map(|number| {
            let content = content(number);
            json!([200, content.len(), sum(&content)])
        })
        .collect();
    assert_eq!(loaded["parts"], Value::from(expected));
    let protocols = loaded["protocols"].as_array().expect("entries");
    // Chromium asks for an icon, too.
    assert!(protocols.len() >= RESOURCES + 2, "{protocols:?}");
    assert!(protocols.iter().all(|protocol| protocol == "h3"), "{protocols:?}");
}

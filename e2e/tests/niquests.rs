//! niquests, a client that people use, against our server: a long download and an upload over HTTP/3.

use e2e::{certificate::Certificate, process::Process, program, scratch, weft, weft::Server, within};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs niquests: cargo xtask test"]
async fn niquests_downloads_and_uploads_over_http3() {
    // Only a Python that was named counts: that of the search path would rarely have it.
    let Some(python) = program("WEFT_NIQUESTS", &["python with niquests"]) else { return };
    let certificate = Certificate::new();
    let (ca, _) = certificate.write(&scratch("niquests"));
    let server = Server::start(&certificate, "https://example.org");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/niquests/client.py").to_owned();
    let arguments = [script, ca.display().to_string(), server.port.to_string()];
    let mut client = Process::start(&python, arguments);
    let told = within("the client's report", client.line()).await.expect("a line");
    let told: Value = serde_json::from_str(&told).unwrap_or_else(|_| panic!("{told}"));
    let expected = json!({
        "start": "weft says hello\n", "versions": [30], "size": 100 << 20, "sum": weft::large_sum(100), "sent": true,
    });
    assert_eq!(told, expected);
}

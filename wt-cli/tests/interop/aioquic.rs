//! 0-RTT with aioquic, both ways.

use e2e::{aioquic, certificate::Certificate};
use serde_json::{Value, json};

use crate::run::{Role, Run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs aioquic: cargo xtask test"]
async fn aioquic_asks_us_in_0rtt() {
    let Some(python) = aioquic::python() else { return };
    let run = Run::new("aioquic-asks");
    run.file(Role::Server, "file", 5_000);
    let server = run.server("zerortt", "", "");
    let port = server.port.to_string();
    let (lines, success) = aioquic::hq(&python, ["client", &port, "/file"]).finish().await;
    let told: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let expected = [
        json!({ "length": 5_000, "resumed": false, "early": false, "token": false }),
        json!({ "length": 5_000, "resumed": true, "early": true, "token": true }),
    ];
    assert_eq!(told, expected);
    assert!(success);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs aioquic: cargo xtask test"]
async fn we_ask_aioquic_in_0rtt() {
    let Some(python) = aioquic::python() else { return };
    let run = Run::new("we-ask-aioquic");
    let (certificate, key) = Certificate::new().write(&run.folder(Role::Server, "downloads"));
    let paths = [certificate, key].map(|path| path.to_string_lossy().into_owned());
    let mut server = aioquic::hq(&python, ["server", &paths[0], &paths[1], "what it says"]);
    let port = server.told("port").await;
    let urls = ["one", "two", "three"].map(|name| format!("https://127.0.0.1:{port}/{name}")).join(" ");
    // The client fails unless the server accepts it.
    let ended = run.ends(Role::Client, "zerortt", &urls, "");
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert_eq!(server.told("done").await, json!([false, false]));
    assert_eq!(server.told("done").await, json!([true, true]), "resumed, and early data accepted");
    for name in ["one", "two", "three"] {
        let got = std::fs::read(run.folder(Role::Client, "downloads").join(name)).expect("a file");
        assert_eq!(got, b"what it says");
    }
}

//! 0-RTT and version negotiation with aioquic, both ways.

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

/// Our server prefers version 2 (RFC 9369), or neither.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs aioquic: cargo xtask test"]
async fn aioquic_gets_the_version_that_we_prefer() {
    let Some(python) = aioquic::python() else { return };
    for (case, first, accepted, expected) in [
        ("v2", "1", "1,2", 2),
        ("v2", "2", "2", 2),
        ("v2", "1", "1", 1),
        ("handshake", "1", "2,1", 1),
        ("handshake", "2", "2,1", 1),
        ("handshake", "2", "2", 2),
    ] {
        let run = Run::new(&format!("aioquic-versions-{case}-{first}-{}", accepted.replace(',', "")));
        run.file(Role::Server, "file", 200_000);
        let server = run.server(case, "", "");
        let port = server.port.to_string();
        let (lines, success) =
            aioquic::hq(&python, ["versions", &port, "/file", first, accepted]).finish().await;
        let told: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert!(success, "{case} {first} {accepted}: {told:?}");
        assert_eq!(told.first().map(|told| &told["length"]), Some(&json!(200_000)));
        assert_eq!(told.last(), Some(&json!({ "version": expected })), "{case} {first} {accepted}");
    }
}

/// Our client takes version 2 if it prefers that: an aioquic server follows the client's order. One that does not
/// accept version 1 makes it begin again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs aioquic: cargo xtask test"]
async fn aioquic_moves_us_to_version_2() {
    let Some(python) = aioquic::python() else { return };
    for (case, accepted, code, version) in [
        ("v2", "2,1", 0, Some(2)),
        ("handshake", "2,1", 0, Some(1)),
        ("handshake", "2", 0, Some(2)),
        ("v2", "1", 1, None),
    ] {
        let run = Run::new(&format!("we-at-aioquic-{case}-{}", accepted.replace(',', "")));
        let (certificate, key) = Certificate::new().write(&run.folder(Role::Server, "downloads"));
        let paths = [certificate, key].map(|path| path.to_string_lossy().into_owned());
        let mut server = aioquic::hq(&python, ["server", &paths[0], &paths[1], "what it says", accepted]);
        let port = server.told("port").await;
        let ended = run.ends(Role::Client, case, &format!("https://127.0.0.1:{port}/one"), "");
        assert_eq!(ended.code, Some(code), "{case} {accepted}: {}", ended.output);
        if let Some(version) = version {
            assert_eq!(server.told("version").await, json!(version));
        }
    }
}

//! aioquic against itself (do the scripts work?), as client of our server and as server for our client.

use e2e::{aioquic, certificate::Certificate, scratch};
use serde_json::json;

/// The harness itself: both scripts against each other.
#[tokio::test]
#[ignore = "needs aioquic: cargo xtask test"]
async fn harness_aioquic_reaches_the_echo_of_aioquic() {
    let Some(python) = aioquic::python() else { return };
    let folder = scratch("aioquic-aioquic");
    let mut server = aioquic::Server::start(&python, &Certificate::new(), &folder).await;
    let ca = folder.join("cert.pem");
    let (told, success) = aioquic::client(&python, &ca, server.port, "get", "/bytes/100000").await;
    assert!(success);
    assert_eq!((&told["status"], &told["length"]), (&json!(200), &json!(100_000)));
    let (told, success) = aioquic::client(&python, &ca, server.port, "session", "/echo").await;
    assert!(success);
    let told = serde_json::Value::Object(told);
    let expected = json!({
        "status": 200, "bidirectional": "bidirectional", "unidirectional": "unidirectional",
        "datagram": "datagram", "ended": true,
    });
    assert_eq!(told, expected);
    assert_eq!(server.process.told("reset").await, json!(42));
    assert_eq!(server.process.told("closed").await, json!([9, "done"]));
    let (told, _) = aioquic::client(&python, &ca, server.port, "session", "/nowhere").await;
    assert_eq!(told["status"], json!(404));
}

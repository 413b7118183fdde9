//! aioquic against itself (do the scripts work?), as client of our server and as server for our client.

use e2e::{
    aioquic,
    certificate::Certificate,
    scratch,
    weft::{Seen, Server},
    within,
};
use serde_json::json;
use wt_api::{
    CertificateHash, Client, CloseInfo, SendStreamOptions, WebTransport, WebTransportOptions, bytes::Bytes,
    http3,
};

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs aioquic: cargo xtask test"]
async fn aioquic_gets_pages_from_our_server() {
    let Some(python) = aioquic::python() else { return };
    let certificate = Certificate::new();
    let (ca, _) = certificate.write(&scratch("aioquic-get"));
    let server = Server::start(&certificate, "https://example.org");
    let (told, success) = aioquic::client(&python, &ca, server.port, "get", "/").await;
    assert!(success);
    assert_eq!((&told["status"], &told["start"]), (&json!(200), &json!("weft says hello\n")));
    let (told, success) = aioquic::client(&python, &ca, server.port, "get", "/bytes/3000000").await;
    assert!(success);
    assert_eq!((&told["status"], &told["length"]), (&json!(200), &json!(3_000_000)));
    let (told, success) = aioquic::client(&python, &ca, server.port, "get", "/nowhere").await;
    assert!(success);
    assert_eq!(told["status"], json!(404));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs aioquic: cargo xtask test"]
async fn aioquic_has_a_session_with_our_server() {
    let Some(python) = aioquic::python() else { return };
    let certificate = Certificate::new();
    let (ca, _) = certificate.write(&scratch("aioquic-session"));
    let mut server = Server::start(&certificate, "https://example.org");
    let (told, success) = aioquic::client(&python, &ca, server.port, "session", "/echo").await;
    let expected = json!({
        "status": 200, "bidirectional": "bidirectional", "unidirectional": "unidirectional",
        "datagram": "datagram", "ended": true,
    });
    assert_eq!(serde_json::Value::Object(told), expected);
    assert!(success);
    let closed = Seen::Closed(Ok(CloseInfo::new(9, "done")));
    let mut seen = Vec::new();
    while !(seen.contains(&closed) && seen.contains(&Seen::Reset(Some(42)))) {
        seen.push(server.saw("close and reset", |_| true).await);
    }
    let (told, _) = aioquic::client(&python, &ca, server.port, "session", "/nowhere").await;
    assert_eq!(told["status"], json!(404));
}

fn options(certificate: &Certificate) -> WebTransportOptions {
    let hash: CertificateHash = certificate.hash.parse().expect("hexadecimal digits");
    WebTransportOptions::new().server_certificate_hashes([hash])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs aioquic: cargo xtask test"]
async fn our_client_gets_pages_from_aioquic() {
    let Some(python) = aioquic::python() else { return };
    let certificate = Certificate::new();
    let server = aioquic::Server::start(&python, &certificate, &scratch("get-aioquic")).await;
    for (path, status, length) in [("/", 200, 19), ("/bytes/3000000", 200, 3_000_000), ("/nowhere", 404, 0)] {
        let url = format!("https://127.0.0.1:{}{path}", server.port);
        let response = within("response", http3::get(&url, options(&certificate))).await.expect("a response");
        assert_eq!(response.status(), status);
        let body = within("content", response.into_body().read_to_end(4 << 20)).await.expect("content");
        assert_eq!(body.len(), length);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs aioquic: cargo xtask test"]
async fn aioquic_sends_content_and_trailers_to_our_server() {
    let Some(python) = aioquic::python() else { return };
    let certificate = Certificate::new();
    let (ca, _) = certificate.write(&scratch("aioquic-post"));
    let server = Server::start(&certificate, "https://example.org");
    let (told, success) = aioquic::client(&python, &ca, server.port, "post", "/echo").await;
    assert!(success);
    let expected = json!({ "status": 200, "whole": true, "trailer": "1000000" });
    assert_eq!(serde_json::Value::Object(told), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs aioquic: cargo xtask test"]
async fn our_client_sends_content_and_trailers_to_aioquic() {
    let Some(python) = aioquic::python() else { return };
    let certificate = Certificate::new();
    let server = aioquic::Server::start(&python, &certificate, &scratch("post-aioquic")).await;
    let client = Client::builder().options(options(&certificate)).build().expect("a client");
    let content: Vec<u8> = (0..1_000_000_u64).map(|i| (i * i % 251) as u8).collect();
    let trailers = http::HeaderMap::from_iter([(
        http::HeaderName::from_static("x-sum"),
        http::HeaderValue::from_static("1000000"),
    )]);
    let sent = http_body_util::Full::new(Bytes::from(content.clone()));
    let sent = http_body_util::BodyExt::with_trailers(sent, async { Some(Ok(trailers)) });
    let url = format!("https://127.0.0.1:{}/echo", server.port);
    let request = http::Request::post(url).body(sent).expect("a request");
    let response = within("response", client.request(request)).await.expect("a response");
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    let mut received = Vec::new();
    while let Some(piece) = within("content", body.chunk()).await.expect("content") {
        received.extend_from_slice(&piece);
    }
    assert!(received == content, "{} bytes", received.len());
    assert_eq!(
        body.trailers().and_then(|fields| fields.get("x-sum")).map(http::HeaderValue::as_bytes),
        Some(&b"1000000"[..])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs aioquic: cargo xtask test"]
async fn our_client_has_a_session_with_aioquic() {
    let Some(python) = aioquic::python() else { return };
    let certificate = Certificate::new();
    let mut server = aioquic::Server::start(&python, &certificate, &scratch("session-aioquic")).await;
    let url = |path: &str| format!("https://127.0.0.1:{}{path}", server.port);
    let session = WebTransport::new(&url("/echo"), options(&certificate)).expect("valid options");
    within("session", session.ready()).await.expect("a session");
    let mut stream = session.create_bidirectional_stream(SendStreamOptions::new()).await.expect("a stream");
    stream.writable.write_all(b"hello").await.expect("written");
    stream.writable.finish().expect("finished");
    assert_eq!(&within("echo", stream.readable.read_to_end(100)).await.expect("an echo")[..], b"hello");
    let mut one_way = session.create_unidirectional_stream(SendStreamOptions::new()).await.expect("a stream");
    one_way.write_all(b"one way").await.expect("written");
    one_way.finish().expect("finished");
    let mut incoming = session.incoming_unidirectional_streams();
    let mut back = within("stream", incoming.next()).await.expect("a stream").expect("a stream");
    assert_eq!(&within("echo", back.read_to_end(100)).await.expect("an echo")[..], b"one way");
    let mut datagrams = session.datagrams();
    datagrams.writable.send("datagram".into()).await.expect("sent");
    assert_eq!(&within("datagram", datagrams.readable.recv()).await.expect("a datagram")[..], b"datagram");
    session.close(CloseInfo::new(5, "enough"));
    assert_eq!(server.process.told("closed").await, json!([5, "enough"]));
    let closing = WebTransport::new(&url("/close"), options(&certificate)).expect("valid options");
    let closed = within("close", closing.closed()).await.expect("a clean close");
    assert_eq!(closed, CloseInfo::new(7, "bye"));
    let refused = WebTransport::new(&url("/nowhere"), options(&certificate)).expect("valid options");
    let error = within("refusal", refused.ready()).await.expect_err("no such session");
    assert!(error.to_string().contains("404"), "{error}");
}

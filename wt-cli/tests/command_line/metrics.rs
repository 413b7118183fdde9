//! `weft serve --metrics`.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::{Server, code, output, text};

/// The complete response to a request.
fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    // A connection that is closed in the middle of a request may be reset.
    let _ = stream.read_to_string(&mut answer);
    answer
}

/// Waits until a metric of a server with `--metrics` has this value.
#[expect(clippy::disallowed_methods, reason = "processes and sockets are real")]
pub(super) fn wait_for(server: &Server, name: &str, value: u64) {
    let metrics = server.announced["metrics"].as_str().expect("an address");
    let line = format!("\n{name} {value}\n");
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let figures = ask(metrics, "GET /metrics HTTP/1.0\r\n\r\n");
        if figures.contains(&line) {
            return;
        }
        assert!(Instant::now() < until, "{name} does not come to {value}: {figures}");
    }
}

#[test]
fn metrics_are_served_for_prometheus() {
    let server = Server::start(&["--metrics", "127.0.0.1:0"]);
    let metrics = server.announced["metrics"].as_str().expect("an address").to_owned();
    let figures = |request: &str| ask(&metrics, request);
    let before = figures("GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(before.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4"), "{before}");
    assert!(before.contains("\n# TYPE weft_connections gauge\n"), "{before}");
    assert!(before.contains("\nweft_connections_total 0\n"), "{before}");
    assert_eq!(code(&server.connect("/echo", &["--quiet"], b"hello")), Some(0));
    let after = figures("GET /metrics?x HTTP/1.0\r\n\r\n");
    assert!(after.contains("\nweft_connections_total 1\n"), "{after}");
    let (_, body) = after.split_once("\r\n\r\n").expect("a head");
    assert!(after.contains(&format!("content-length: {}\r\n", body.len())), "{after}");
    let head = figures("HEAD /metrics HTTP/1.1\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.ends_with("\r\n\r\n"), "{head}");
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404"),
        ("POST /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405"),
        ("noise\r\n\r\n", "HTTP/1.1 400"),
    ] {
        assert!(figures(request).starts_with(status), "{request:?}");
    }
    let endless = format!("GET /metrics HTTP/1.1\r\nx: {}", "y".repeat(20_000));
    assert_eq!(figures(&endless), "", "a head without an end is not waited for");
    let taken = output(&["serve", "--listen", "127.0.0.1:0", "--metrics", &metrics], b"");
    assert_eq!(code(&taken), Some(2));
    assert!(text(&taken.stderr).contains(&format!("--metrics {metrics}")), "{}", text(&taken.stderr));
}

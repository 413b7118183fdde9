//! The commands of the demonstration's page, sent by a program.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

use wt_api::{
    BidirectionalStream, CertificateHash, SendStreamOptions, WebTransport, WebTransportError,
    WebTransportOptions,
};

/// `weft serve` with a session for the page.
struct Demo {
    child: Child,
    session: WebTransport,
}

impl Demo {
    async fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_weft"))
            .args(["serve", "--json", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("weft starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("a line");
        let announced: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let url = format!("https://{}/demo", announced["listening"][0].as_str().expect("an address"));
        let hash: CertificateHash =
            announced["certificateHash"].as_str().expect("a hash").parse().expect("a hash");
        let mut headers = http::HeaderMap::new();
        headers.insert("x-asked", http::HeaderValue::from_static("by hand"));
        let options = WebTransportOptions::new()
            .server_certificate_hashes([hash])
            .headers(headers)
            .protocols(["weft.two", "weft.one"]);
        let session = WebTransport::new(&url, options).expect("a URL");
        within(session.ready()).await.expect("a session");
        Self { child, session }
    }

    /// A stream on which `text` was written and that was finished.
    async fn stream(&self, text: &str) -> BidirectionalStream {
        let opened = self.session.create_bidirectional_stream(SendStreamOptions::new());
        let mut stream = within(opened).await.expect("a stream");
        within(stream.writable.write_all(text.as_bytes())).await.expect("written");
        stream
    }

    /// The answer on such a stream.
    async fn ask(&self, text: &str) -> Result<String, WebTransportError> {
        let mut stream = self.stream(text).await;
        stream.writable.finish()?;
        let read = within(stream.readable.read_to_end(100_000)).await?;
        Ok(String::from_utf8_lossy(&read).into_owned())
    }

    async fn unidirectional(&self) -> String {
        let next = within(self.session.incoming_unidirectional_streams().next()).await;
        let read = within(next.expect("a stream").expect("a stream").read_to_end(10_000)).await;
        String::from_utf8_lossy(&read.expect("text")).into_owned()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("in time")
}

#[tokio::test]
async fn the_server_sends_the_dialect_first_and_opens_streams_on_request() {
    let demo = Demo::start().await;
    let greeting: serde_json::Value = serde_json::from_str(&demo.unidirectional().await).expect("JSON");
    assert_eq!(greeting["dialect"], "draft-16");
    assert!(greeting["why"].as_str().expect("a text").starts_with("draft 16: both sides"), "{greeting}");
    assert_eq!(demo.ask("plain text\nwith lines").await.expect("an echo"), "plain text\nwith lines");
    assert_eq!(demo.ask("").await.expect("an echo"), "");
    assert_eq!(demo.ask("#uni from the server\n").await.expect("an answer"), "sent");
    assert_eq!(demo.unidirectional().await, "from the server");
    let answer = demo.ask("#bidi both ways");
    let echo = async {
        let next = within(demo.session.incoming_bidirectional_streams().next()).await;
        let mut stream = next.expect("a stream").expect("a stream");
        let read = within(stream.readable.read_to_end(1_000)).await.expect("text");
        assert_eq!(read, "both ways");
        within(stream.writable.write_all(b"and back")).await.expect("written");
        stream.writable.finish().expect("ended");
    };
    assert_eq!(tokio::join!(answer, echo).0.expect("an answer"), "and back");
    assert_eq!(demo.ask("#dance\n").await.expect("an answer"), "unknown command: #dance");
}

#[tokio::test]
async fn the_server_responds_with_a_protocol_and_fields_drains_and_sends_its_keys() {
    let demo = Demo::start().await;
    assert_eq!(demo.session.protocol().as_deref(), Some("weft.two"));
    assert_eq!(demo.session.response_headers().expect("fields")["x-answered"], "by hand");
    let mut key = [0; 32];
    within(demo.session.export_keying_material(b"demo", b"page", &mut key)).await.expect("a key");
    let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(demo.ask("#keys\n").await.expect("an answer"), digits);
    assert_eq!(demo.ask(&format!("#count\n{}", "x".repeat(70_000))).await.expect("an answer"), "70000");
    assert_eq!(demo.ask("#drain\n").await.expect("an answer"), "draining");
    within(demo.session.draining()).await;
    assert_eq!(demo.ask("and on").await.expect("an echo"), "and on");
}

#[tokio::test]
async fn the_server_resets_stops_and_closes_with_the_codes_it_is_given() {
    let demo = Demo::start().await;
    let reset = demo.ask("#reset 42\n").await.unwrap_err();
    assert_eq!(reset.stream_error_code(), Some(42), "{reset}");
    // The command takes effect at the end of its line; the stream stays open.
    let stream = demo.stream("#stop 4294967295\n").await;
    assert_eq!(within(stream.writable.stopped()).await.expect("a code"), Some(u32::MAX));
    let _asking = demo.stream("#close 7 by hand\n").await;
    let info = within(demo.session.closed()).await.expect("a clean close");
    assert_eq!((info.close_code, info.reason.as_str()), (7, "by hand"));
}

#[test]
fn the_page_knows_the_session_and_both_certificates() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_weft"))
        .arg("demo")
        .stdout(Stdio::piped())
        .spawn()
        .expect("weft starts");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines().map(|line| line.expect("text"));
    let mut lines = lines.skip_while(|line| !line.starts_with("Open http://localhost:"));
    let open = lines.next().expect("where the page is");
    let port = open.trim_start_matches("Open http://localhost:").split('/').next().expect("a port");
    let session = lines.next().expect("the session");
    let hashes: Vec<String> = lines.take(2).map(|line| line.trim().to_owned()).collect();
    let mut stream =
        TcpStream::connect(("127.0.0.1", port.parse().expect("a port"))).expect("the page's port");
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("sent");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("a page");
    let _ = child.kill();
    let _ = child.wait();
    let url = session.split([' ', ',']).find(|word| word.starts_with("https://")).expect("a URL");
    assert!(page.starts_with("HTTP/1.1 200") && url.ends_with("/demo"), "{session}");
    assert!(page.contains(&format!("value=\"{url}\"")), "{url}");
    assert!(
        hashes.len() == 2 && hashes.iter().all(|hash| hash.parse::<CertificateHash>().is_ok()),
        "{hashes:?}"
    );
    assert!(page.contains(&format!("{} {}", hashes[0], hashes[1])), "{hashes:?}");
    assert!(!page.contains("{{"), "everything is filled in");
}

/// Before the first byte, within a line that may be a command, and after a command.
#[tokio::test]
async fn a_reset_is_answered_with_its_code_at_any_point() {
    let demo = Demo::start().await;
    for (code, text) in [(42, ""), (43, "#cou"), (44, "#count\nand more")] {
        let mut stream = demo.stream(text).await;
        stream.writable.reset(code);
        let error = within(stream.readable.read_to_end(100)).await.expect_err(text);
        assert_eq!(error.stream_error_code(), Some(code), "{text:?}: {error}");
    }
}

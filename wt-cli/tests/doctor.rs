//! `weft doctor` against healthy and faulty servers, over loopback sockets.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::{SocketAddr, UdpSocket},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use h3_core::{ResponseHead, Settings, transport::ConnTransport};
use quic_core::{
    CidFactory, Connection, DatagramEvent, DatagramMeta, Endpoint, EndpointConfig, Event, ServerConfig, Side,
    TransportConfig,
    base::{SystemEntropy, Timestamp},
    crypto::TlsServerConfig,
};
use wt_api::Identity;

fn weft(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weft"));
    command.args(arguments).env_remove("RUST_LOG").env("NO_COLOR", "1");
    command
}

#[expect(clippy::disallowed_methods, reason = "servers and limits of time on real sockets")]
fn clock() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "certificates go by the calendar")]
fn since_epoch() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970")
}

/// The output of the doctor.
#[derive(Debug)]
struct Diagnosis {
    status: Option<i32>,
    told: serde_json::Value,
}

impl Diagnosis {
    /// The step of this name, as (verdict, fact, remedy).
    fn step(&self, name: &str) -> (&str, &str, &str) {
        let steps = self.told["steps"].as_array().expect("steps");
        let found = steps.iter().find(|step| step["step"] == name);
        let step = found.unwrap_or_else(|| panic!("{name} in {self:#?}"));
        let text = |field: &str| step[field].as_str().unwrap_or_default();
        (text("verdict"), text("fact"), text("remedy"))
    }

    /// The steps that failed. Each has a remedy.
    fn failed(&self) -> Vec<&str> {
        let steps = self.told["steps"].as_array().expect("steps").iter();
        let failed: Vec<_> = steps.filter(|step| step["verdict"] == "failed").collect();
        assert!(failed.iter().all(|step| step["remedy"].as_str().is_some_and(|text| text.len() > 3)));
        failed.iter().map(|step| step["step"].as_str().expect("a name")).collect()
    }
}

fn doctor(arguments: &[&str]) -> Diagnosis {
    let out = weft(&[&["--json", "doctor"], arguments].concat()).output().expect("weft ends");
    let told = serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&out.stderr)));
    Diagnosis { status: out.status.code(), told }
}

/// `weft serve`. Dropping it ends it.
struct Server {
    child: Child,
    url: String,
    hash: String,
    directory: Option<PathBuf>,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let arguments = [&["serve", "--json", "--listen", "127.0.0.1:0"], arguments].concat();
        let mut child = weft(&arguments).stdout(Stdio::piped()).spawn().expect("weft starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("a line");
        let announced: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let url = format!("https://{}", announced["listening"][0].as_str().expect("an address"));
        let hash = announced["certificateHash"].as_str().expect("a hash").to_owned();
        Self { child, url, hash, directory: None }
    }

    /// A server whose certificate is valid between these days, counted from now.
    fn with_certificate(name: &str, key: &rcgen::KeyPair, days: std::ops::Range<i64>) -> Self {
        let directory = std::env::temp_dir().join(format!("weft-doctor-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let day = |days: i64| {
            let distance = Duration::from_secs(days.unsigned_abs() * 86_400);
            let now = std::time::UNIX_EPOCH + since_epoch();
            if days < 0 { now - distance } else { now + distance }
        };
        (params.not_before, params.not_after) = (day(days.start).into(), day(days.end).into());
        let (cert, secret) = (directory.join("cert.pem"), directory.join("key.pem"));
        fs::write(&cert, params.self_signed(key).expect("signed").pem()).expect("written");
        fs::write(&secret, key.serialize_pem()).expect("written");
        let [cert, secret] = [cert, secret].map(|path| path.to_str().expect("a name in UTF-8").to_owned());
        let mut server = Self::start(&["--cert", &cert, "--key", &secret]);
        server.directory = Some(directory);
        server
    }

    fn echo(&self) -> String {
        format!("{}/echo", self.url)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(directory) = &self.directory {
            let _ = fs::remove_dir_all(directory);
        }
    }
}

/// How a [`Peculiar`] server differs from one that serves sessions.
struct Peculiarity {
    alpn: &'static [u8],
    settings: Settings,
    transport: TransportConfig,
    /// The response to every request; `None` means no response.
    answer: Option<ResponseHead>,
}

impl Default for Peculiarity {
    fn default() -> Self {
        let settings = wt_session::Sessions::settings(&wt_session::Config::default());
        Self { alpn: b"h3", settings, transport: TransportConfig::default(), answer: None }
    }
}

/// An HTTP/3 server that accepts no session. Dropping it ends it.
struct Peculiar {
    url: String,
    hash: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Peculiar {
    fn start(peculiarity: Peculiarity) -> Self {
        let identity = Identity::self_signed(["127.0.0.1"]).expect("an identity");
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_read_timeout(Some(Duration::from_millis(5))).expect("a timeout");
        let url = format!("https://{}/", socket.local_addr().expect("an address"));
        let stop = Arc::new(AtomicBool::new(false));
        let config = Arc::new(
            ServerConfig::new(TlsServerConfig::new(tls(&identity, peculiarity.alpn)), [7; 32])
                .transport(Arc::new(peculiarity.transport.clone())),
        );
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || serve(&socket, &config, &peculiarity, &stopped));
        Self { url, hash: identity.certificate_hash().to_string(), stop, thread: Some(thread) }
    }

    fn diagnose(&self) -> Diagnosis {
        doctor(&[&self.url, "--cert-hash", &self.hash, "--timeout", "1"])
    }
}

impl Drop for Peculiar {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn tls(identity: &Identity, alpn: &[u8]) -> Arc<rustls::ServerConfig> {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
    let chain = identity.certificate_chain().into_iter().map(CertificateDer::from).collect();
    let key = PrivateKeyDer::from_pem_slice(identity.private_key_pem().as_bytes()).expect("a key");
    let provider = Arc::new(quic_core::crypto::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a pair");
    config.alpn_protocols = vec![alpn.to_vec()];
    Arc::new(config)
}

/// Serves one connection after the other, as far as HTTP/3 handles it by itself.
fn serve(socket: &UdpSocket, config: &Arc<ServerConfig>, peculiarity: &Peculiarity, stop: &AtomicBool) {
    let cids = CidFactory::new(8, 0, &[3; 32]);
    let mut endpoint =
        Endpoint::new(EndpointConfig::new(cids), Some(Arc::clone(config)), Box::new(SystemEntropy::new()));
    let begun = clock();
    let mut current: Option<(Connection, h3_core::Connection)> = None;
    let mut buffer = vec![0; 65_536];
    while !stop.load(Ordering::Relaxed) {
        let received = socket.recv_from(&mut buffer);
        let now = Timestamp::from_nanos(1_000_000_000) + begun.elapsed();
        if let Ok((size, remote)) = received {
            let about = DatagramMeta::new(remote).allocation(size);
            match (endpoint.handle_datagram(now, &about, BytesMut::from(&buffer[..size])), &mut current) {
                (DatagramEvent::Incoming(incoming), _) => {
                    let accepted = endpoint.accept(now, incoming).map(|(_, quic)| quic);
                    let h3 = h3_core::connection::Config::new(peculiarity.settings.clone());
                    current = accepted.ok().map(|quic| (quic, h3_core::Connection::new(h3, Side::Server)));
                }
                (DatagramEvent::Connection(_, data), Some((quic, _))) => {
                    quic.handle_datagram(now, &about, data);
                }
                (DatagramEvent::Respond(response), _) => {
                    socket.send_to(&response.bytes, response.remote).expect("sent");
                }
                _ => {}
            }
        }
        let Some((quic, h3)) = &mut current else { continue };
        if quic.poll_timeout().is_some_and(|at| at <= now) {
            quic.handle_timeout(now);
        }
        while let Some(event) = quic.poll_event() {
            let mut transport = ConnTransport::new(quic, now);
            if event == Event::HandshakeComplete {
                h3.start(&mut transport);
            }
            h3.on_event(&event, now, &mut transport);
            while let Some(event) = h3.poll_event() {
                let (h3_core::Event::Request { stream, .. }, Some(answer)) = (event, &peculiarity.answer)
                else {
                    continue;
                };
                h3.send_response(stream, answer, true, &mut transport).expect("answered");
            }
        }
        while let Some(transmit) = quic.poll_transmit(now, &mut buffer[..1200]) {
            let _ = socket.send_to(&buffer[..transmit.size], transmit.remote);
        }
    }
}

#[test]
fn a_healthy_server_is_reported_step_by_step() {
    let server = Server::start(&[]);
    let diagnosis = doctor(&[&server.echo(), "--cert-hash", &server.hash]);
    assert_eq!((diagnosis.status, diagnosis.failed()), (Some(0), vec![]), "{diagnosis:#?}");
    assert_eq!(diagnosis.told["ok"], true);
    for (name, fact) in [
        ("URL", "path /echo"),
        ("addresses", "127.0.0.1 (IPv4 alone)"),
        ("QUIC version", "the server offers 1"),
        ("TLS handshake", "TLS 1.3"),
        ("certificate", server.hash.as_str()),
        ("certificate names", "localhost"),
        ("certificate validity", "12 days 23 h more"),
        ("certificate trust", "its hash is one of those given"),
        ("ALPN", "h3"),
        ("max_datagram_frame_size", "65535 bytes"),
        ("reset_stream_at", "can be reset"),
        ("bidirectional streams", "4112 at first"),
        ("ENABLE_CONNECT_PROTOCOL (0x8)", "1:"),
        ("H3_DATAGRAM (0x33, 0xffd277)", "1 under both"),
        ("ENABLE_WEBTRANSPORT (0x2b603742)", "draft 02 is offered"),
        ("WEBTRANSPORT_MAX_SESSIONS (0xc671706a)", "draft 07 is offered"),
        ("WT_MAX_SESSIONS (0x14e9cd29)", "draft 14 is offered"),
        ("WT_ENABLED (0x2c7cf000)", "draft 16 is offered"),
        ("dialect", "draft 16: both sides sent SETTINGS_WT_ENABLED"),
        ("session", "answered 200"),
    ] {
        let (verdict, told, _) = diagnosis.step(name);
        assert!(verdict == "ok" && told.contains(fact), "{name}: {diagnosis:#?}");
    }
    let out = weft(&["doctor", &server.echo(), "--cert-hash", &server.hash]).output().expect("weft ends");
    let text = String::from_utf8_lossy(&out.stdout);
    assert_eq!(out.status.code(), Some(0));
    assert!(text.ends_with("A session can be made.\n") && text.contains("  ok    ALPN "), "{text}");
}

#[test]
fn a_closed_port_is_refused_and_a_silent_one_is_silent() {
    let address = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("an address");
    let closed = doctor(&[&format!("https://{address}/"), "--timeout", "1"]);
    let name = format!("UDP to {address}");
    assert_eq!((closed.status, closed.failed()), (Some(3), vec![name.as_str()]));
    assert!(closed.step(&name).1.contains("refused"), "{closed:#?}");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address: SocketAddr = socket.local_addr().expect("an address");
    let begun = clock();
    let silent = doctor(&[&format!("https://{address}/"), "--timeout", "0.5"]);
    assert!(begun.elapsed() < Duration::from_secs(4), "each step has its limit");
    let name = format!("UDP to {address}");
    assert_eq!((silent.status, silent.failed()), (Some(3), vec![name.as_str()]));
    let (_, fact, remedy) = silent.step(&name);
    assert!(fact.contains("silent") && remedy.contains("firewalls"), "{silent:#?}");
}

#[test]
fn a_port_of_another_program_is_recognized() {
    type Answer = fn(&[u8]) -> Vec<u8>;
    let answers: [Answer; 6] = [
        <[u8]>::to_vec,
        |_| b"hello\n".to_vec(),
        |_| vec![0xff; 1_200],
        |_| vec![0x40],
        |_| Vec::new(),
        |got| got.iter().rev().copied().collect(),
    ];
    for answer in answers {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let address = socket.local_addr().expect("an address");
        // It ends with the tests.
        std::thread::spawn(move || {
            let mut buffer = [0; 2_000];
            while let Ok((size, remote)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(&answer(&buffer[..size]), remote);
            }
        });
        let diagnosis = doctor(&[&format!("https://{address}/"), "--timeout", "0.5"]);
        let name = format!("UDP to {address}");
        assert_eq!((diagnosis.status, diagnosis.failed()), (Some(3), vec![name.as_str()]), "{diagnosis:#?}");
        let (_, fact, remedy) = diagnosis.step(&name);
        assert!(fact.contains("not QUIC") && remedy.contains("check the port"), "{diagnosis:#?}");
    }
}

#[test]
fn another_protocol_is_recognized() {
    let server = Peculiar::start(Peculiarity { alpn: b"hq-interop", ..Peculiarity::default() });
    let diagnosis = server.diagnose();
    assert_eq!((diagnosis.status, diagnosis.failed()), (Some(5), vec!["ALPN"]), "{diagnosis:#?}");
    assert_eq!(diagnosis.step("QUIC version").0, "ok");
}

#[test]
fn http3_without_webtransport_is_recognized() {
    let plain = Settings::new().max_field_section_size(Some(65_536));
    let server = Peculiar::start(Peculiarity { settings: plain, ..Peculiarity::default() });
    let diagnosis = server.diagnose();
    let expected = ["ENABLE_CONNECT_PROTOCOL (0x8)", "H3_DATAGRAM (0x33, 0xffd277)", "dialect", "session"];
    assert_eq!((diagnosis.status, diagnosis.failed()), (Some(5), expected.to_vec()), "{diagnosis:#?}");
    assert!(diagnosis.step("dialect").2.contains("0x2b603742 = 1"), "{diagnosis:#?}");
    assert_eq!(diagnosis.step("ENABLE_WEBTRANSPORT (0x2b603742)").0, "warning");
}

#[test]
fn missing_datagrams_and_few_streams_are_found_in_the_parameters() {
    let transport = TransportConfig::new().max_datagram_frame_size(0).max_streams_bidi(100);
    let server = Peculiar::start(Peculiarity { transport, ..Peculiarity::default() });
    let diagnosis = server.diagnose();
    let failed = vec!["max_datagram_frame_size", "session"];
    assert_eq!((diagnosis.status, diagnosis.failed()), (Some(5), failed), "{diagnosis:#?}");
    let (verdict, fact, remedy) = diagnosis.step("bidirectional streams");
    assert_eq!((verdict, fact), ("warning", "100 at first"));
    assert!(remedy.contains("Chromium"));
}

#[test]
fn a_request_without_an_answer_ends_in_time() {
    let server = Peculiar::start(Peculiarity::default());
    let diagnosis = server.diagnose();
    assert_eq!((diagnosis.status, diagnosis.failed()), (Some(5), vec!["session"]), "{diagnosis:#?}");
    assert!(diagnosis.step("session").1.contains("did not answer"), "{diagnosis:#?}");
    assert!(diagnosis.step("dialect").1.starts_with("draft 16 would be spoken"), "{diagnosis:#?}");
}

/// The shown fields of a refusal are those that say who refused, why, or what to do.
#[test]
fn a_refusal_is_shown_with_the_fields_that_explain_it() {
    let mut answer = ResponseHead::new(http::StatusCode::SERVICE_UNAVAILABLE);
    for (name, value) in [
        ("retry-after", "120"),
        ("server", "edge/1"),
        ("location", "https://other.example/"),
        ("www-authenticate", "Bearer"),
        ("wt-reason", "full"),
        ("sec-webtransport-http3-draft", "draft02"),
        ("content-type", "text/plain"),
        ("set-cookie", "secret"),
    ] {
        answer.headers.insert(name, http::HeaderValue::from_static(value));
    }
    let server = Peculiar::start(Peculiarity { answer: Some(answer), ..Peculiarity::default() });
    let diagnosis = server.diagnose();
    assert_eq!((diagnosis.status, diagnosis.failed()), (Some(5), vec!["session"]), "{diagnosis:#?}");
    let (_, fact, remedy) = diagnosis.step("session");
    assert!(remedy.contains("log"), "{diagnosis:#?}");
    let (status, shown) = fact.trim_end_matches(')').split_once(" (").expect("fields");
    assert!(status.contains("503"), "{fact}");
    let mut shown: Vec<_> = shown.split("; ").collect();
    shown.sort_unstable();
    let expected = [
        "location: https://other.example/",
        "retry-after: 120",
        "sec-webtransport-http3-draft: draft02",
        "server: edge/1",
        "wt-reason: full",
        "www-authenticate: Bearer",
    ];
    assert_eq!(shown, expected);
    let bare = ResponseHead::new(http::StatusCode::FORBIDDEN);
    let server = Peculiar::start(Peculiarity { answer: Some(bare), ..Peculiarity::default() });
    let diagnosis = server.diagnose();
    assert!(diagnosis.step("session").1.ends_with("does not accept this Origin"), "{diagnosis:#?}");
}

#[test]
fn an_unsuitable_certificate_is_explained_and_so_are_later_steps() {
    let server = Server::start(&[]);
    let wrong = doctor(&[&server.echo(), "--cert-hash", &"00".repeat(32)]);
    assert_eq!((wrong.status, wrong.failed()), (Some(4), vec!["certificate trust"]), "{wrong:#?}");
    assert!(wrong.step("certificate trust").1.contains(&server.hash), "{wrong:#?}");
    assert!(wrong.step("session").1.contains("200"), "{wrong:#?}");
    let unknown = doctor(&[&server.echo()]);
    assert_eq!((unknown.status, unknown.failed()), (Some(4), vec!["certificate trust"]), "{unknown:#?}");
    assert!(unknown.step("certificate trust").2.contains(&format!("--cert-hash {}", server.hash)));
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    let expired = Server::with_certificate("expired", &key, -10..-1);
    let diagnosis = doctor(&[&expired.echo(), "--cert-hash", &expired.hash]);
    let failed = vec!["certificate validity", "certificate trust"];
    assert_eq!((diagnosis.status, diagnosis.failed()), (Some(4), failed), "{diagnosis:#?}");
    assert!(diagnosis.step("certificate validity").1.contains("expired at "), "{diagnosis:#?}");
}

#[test]
fn browsers_rules_for_hashes_are_reported_with_the_certificate() {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    let long = Server::with_certificate("long", &key, -1..14);
    let diagnosis = doctor(&[&long.echo(), "--cert-hash", &long.hash]);
    let failed = vec!["by hash: valid for at most 14 days", "certificate trust"];
    assert_eq!((diagnosis.status, diagnosis.failed()), (Some(4), failed), "{diagnosis:#?}");
    assert!(diagnosis.step("by hash: valid for at most 14 days").2.contains("weft cert make"));
    // Trusted as an authority, but valid for another name than the requested one.
    let ca = long.directory.as_ref().expect("files").join("cert.pem");
    let diagnosis = doctor(&[&long.echo(), "--ca", ca.to_str().expect("a name in UTF-8")]);
    let failed = vec!["certificate names", "certificate trust"];
    assert_eq!((diagnosis.status, diagnosis.failed()), (Some(4), failed), "{diagnosis:#?}");
    assert!(diagnosis.step("certificate trust").1.contains("127.0.0.1"), "{diagnosis:#?}");
}

#[test]
fn refusals_of_the_application_have_their_remedies() {
    let server = Server::start(&["--origin", "https://good.example"]);
    let diagnose = |path: &str, extra: &[&str]| {
        let url = format!("{}{path}", server.url);
        doctor(&[&[url.as_str(), "--cert-hash", &server.hash], extra].concat())
    };
    let absent = diagnose("/nothing", &[]);
    assert_eq!((absent.status, absent.failed()), (Some(5), vec!["session"]), "{absent:#?}");
    let (_, fact, remedy) = absent.step("session");
    assert!(fact.contains("404") && remedy.contains("path"), "{absent:#?}");
    let plain = diagnose("/", &[]);
    let (_, fact, remedy) = plain.step("session");
    assert_eq!(plain.failed(), ["session"]);
    assert!(fact.contains("405") && fact.contains("GET, HEAD") && remedy.contains("path"), "{plain:#?}");
    let queried = diagnose("/echo?room=7", &["--origin", "https://good.example"]);
    assert_eq!(queried.status, Some(0), "the query belongs to the application: {queried:#?}");
    let foreign = diagnose("/echo", &["--origin", "https://bad.example"]);
    assert_eq!(foreign.status, Some(5));
    assert!(foreign.step("session").1.contains("403"), "{foreign:#?}");
    let known = diagnose("/echo", &["--origin", "https://good.example", "--protocol", "chat"]);
    assert_eq!(known.status, Some(0), "{known:#?}");
    let (verdict, fact, _) = known.step("protocol");
    assert_eq!((verdict, fact), ("warning", "the server chose none of chat"));
}

#[test]
fn invalid_urls_are_reported() {
    let wrong = doctor(&["http://127.0.0.1/"]);
    assert_eq!((wrong.status, wrong.failed()), (Some(2), vec!["URL"]));
    // An invalid URL is a step like others, and the client says the same.
    for (url, told, instead) in [
        ("https://127.0.0.1:0/", "its port is invalid", "a number from 1 to 65535"),
        ("https://127.0.0.1:99999/", "its port is invalid", "a number from 1 to 65535"),
        ("https://127.0.0.1:x/", "its port is invalid", "a number from 1 to 65535"),
        ("localhost:4433/x", "it has no scheme", "write https://localhost:4433/x"),
        ("https://[::1/", "IPv6", "write it as https://HOST:PORT/PATH"),
        ("https://1.2.3.4.5/", "IPv4", "write it as https://HOST:PORT/PATH"),
    ] {
        let wrong = doctor(&[url]);
        assert_eq!((wrong.status, wrong.failed()), (Some(2), vec!["URL"]), "{url}");
        let (_, fact, remedy) = wrong.step("URL");
        assert_eq!(wrong.told["steps"].as_array().map(Vec::len), Some(1), "{url}");
        assert!(fact.starts_with(&format!("{url:?} is not the URL of a session: ")), "{fact}");
        assert!(fact.contains(told) && remedy.contains(instead), "{fact} -> {remedy}");
        let out = weft(&["connect", url]).stdin(Stdio::null()).output().expect("weft ends");
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!((out.status.code(), said), (Some(2), format!("weft: {fact}; {remedy}\n")));
    }
    let nobody = doctor(&["https://name.invalid/", "--timeout", "2"]);
    assert_eq!((nobody.status, nobody.failed()), (Some(3), vec!["addresses"]), "{nobody:#?}");
    let out = weft(&["doctor", "https://127.0.0.1/", "--cert-hash", "xyz"]).output().expect("weft ends");
    assert_eq!(out.status.code(), Some(2));
    let out = weft(&["doctor", "https://127.0.0.1/", "--timeout", "0"]).output().expect("weft ends");
    assert_eq!(out.status.code(), Some(2));
}

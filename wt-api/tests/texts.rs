//! The texts of errors: each message appears once, and says what helps.

use std::{error::Error, fmt::Display, io, sync::Arc, time::Duration};

use http::HeaderMap;
use wt_api::{
    CertificateError, CloseInfo, ClosedBy, ConnectOptionsError, ConnectStage, ConnectionCloser,
    DatagramError, ErrorCause, ExportError, Identity, IdentityError, Server, ServerError, ServerKeys,
    WebTransport, WebTransportError, WebTransportOptions, check_origin, error::InvalidOrigin,
    http3::HttpError, testing::Network,
};

const SECOND: Duration = Duration::from_secs(1);

fn key_pair() -> rcgen::KeyPair {
    rcgen::KeyPair::generate().expect("a key")
}

/// The texts of the error and of all its sources, as `anyhow` prints them with `{:#}`.
fn chain(error: &dyn Error) -> Vec<String> {
    let mut texts = vec![error.to_string()];
    let mut below = error.source();
    while let Some(error) = below {
        texts.push(error.to_string());
        below = error.source();
    }
    texts
}

/// Checks that no text repeats another one.
fn check(error: &dyn Error) {
    let texts = chain(error);
    assert!(!texts[0].is_empty());
    for pair in texts.windows(2) {
        assert!(!pair[0].contains(&pair[1]), "twice: {texts:?}");
    }
}

fn causes() -> Vec<ErrorCause> {
    let remote = "192.0.2.1:443".parse().expect("an address");
    let io = || Arc::new(io::Error::from(io::ErrorKind::HostUnreachable));
    let stages = [
        ConnectStage::Name,
        ConnectStage::Handshake { port: 443 },
        ConnectStage::Answer,
        ConnectStage::SharedAnswer,
    ];
    let certificate = [
        CertificateError::HashMismatch { actual: "00".to_owned() },
        CertificateError::Expired,
        CertificateError::NotYetValid,
        CertificateError::ValidForTooLong { days: 15 },
        CertificateError::RsaKey,
        CertificateError::Malformed,
        CertificateError::WrongName { name: "a".to_owned() },
        CertificateError::UnknownIssuer,
        CertificateError::IsAuthority,
        CertificateError::Other("other".into()),
    ];
    let connection = [
        quic_core::error::ConnectionError::IdleTimeout,
        quic_core::error::ConnectionError::StatelessReset,
        quic_core::error::ConnectionError::Tls { alert: 40, message: "words".into() },
    ];
    let mut causes = vec![
        ErrorCause::NameResolution { host: "a".to_owned(), message: "words".into() },
        ErrorCause::ConnectionRefused { remote },
        ErrorCause::Unreachable { remote, error: io() },
        ErrorCause::Socket(io()),
        ErrorCause::NoSocket { remote },
        ErrorCause::NoHttp3 { remote },
        ErrorCause::Tls { alert: 40, message: "words".into() },
        ErrorCause::Refused("words".into()),
        ErrorCause::Status { status: 403 },
        ErrorCause::NotAccepting { status: 404 },
        ErrorCause::ConnectionClosed { by: ConnectionCloser::Peer, code: 0x107, reason: "words".into() },
        ErrorCause::ConnectionClosed { by: ConnectionCloser::ThisApplication, code: 7, reason: "".into() },
        ErrorCause::ConnectionClosed { by: ConnectionCloser::Shutdown, code: 0x100, reason: "".into() },
        ErrorCause::ConnectionClosed { by: ConnectionCloser::Unused, code: 0x100, reason: "".into() },
        ErrorCause::CallbackPanicked("words".into()),
        ErrorCause::Http3(h3_core::H3Violation::SettingsTwice.into()),
        ErrorCause::SessionFailed("words".into()),
        ErrorCause::SessionClosed { by: ClosedBy::Peer, info: CloseInfo::new(7, "words") },
        ErrorCause::RuntimeGone,
        ErrorCause::RuntimeDriver { missing: "time" },
        ErrorCause::StreamReset(Some(1)),
        ErrorCause::StreamStopped(None),
        ErrorCause::StreamFinished,
        ErrorCause::QuotaExceeded,
        ErrorCause::ForeignSendGroup,
        ErrorCause::WouldBlock { size: 1 },
        ErrorCause::ReadLimit { limit: 1 },
        ErrorCause::Http("words".into()),
    ];
    causes.extend(stages.map(|stage| ErrorCause::Timeout { after: SECOND, stage }));
    causes.extend(certificate.map(ErrorCause::Certificate));
    causes.extend(connection.map(ErrorCause::Connection));
    causes
}

/// Errors of a session, as the library creates them.
fn session_error() -> WebTransportError {
    let network = Network::new(1);
    let host = network.host("laptop");
    network.run(async {
        let options = WebTransportOptions::new().connect_timeout(SECOND);
        let session = host.enter(|| WebTransport::new("https://nowhere/", options)).expect("a URL");
        session.ready().await.expect_err("nobody is there")
    })
}

#[test]
fn no_error_repeats_the_text_of_its_source() {
    causes().iter().for_each(|cause| check(cause));
    let error = session_error();
    check(&error);
    check(&io::Error::from(error.clone()));
    check(&HttpError::from(error.clone()));
    check(&ExportError::from(error.clone()));
    check(&DatagramError::from(error));
    check(&DatagramError::NotReady);
    let origin = check_origin("a").expect_err("no origin");
    check(&origin);
    check(&ConnectOptionsError::from(origin.clone()));
    check(&HttpError::from(ConnectOptionsError::from(origin.clone())));
    check(&ServerError::from(origin));
    let identity = Identity::from_pem_files("absent", "absent").expect_err("no file");
    check(&identity);
    check(&ServerError::from(identity));
    let bound = Arc::new(io::Error::from(io::ErrorKind::AddrInUse));
    check(&ServerError::Bind { address: "127.0.0.1:1".parse().expect("an address"), error: bound });
    check(&ServerKeys::from_secret(b"short").expect_err("too short"));
    check(&"xyz".parse::<wt_api::CertificateHash>().expect_err("no hash"));
}

/// An error of listening says what to change, where that is known.
#[test]
fn an_error_of_listening_says_what_to_do() {
    let told = |kind, address: &str| {
        let error = Arc::new(io::Error::from(kind));
        ServerError::Bind { address: address.parse().expect("an address"), error }.to_string()
    };
    assert!(told(io::ErrorKind::AddrInUse, "[::]:443").contains("another program has this UDP port"));
    assert!(told(io::ErrorKind::PermissionDenied, "[::]:443").contains("CAP_NET_BIND_SERVICE"));
    assert!(told(io::ErrorKind::PermissionDenied, "[::]:4433").ends_with("permission denied"));
    assert!(told(io::ErrorKind::AddrNotAvailable, "192.0.2.1:443").contains("give one of its own"));
}

fn new(url: &str, options: WebTransportOptions) -> ConnectOptionsError {
    let network = Network::new(2);
    let host = network.host("laptop");
    host.enter(|| WebTransport::new(url, options)).map(drop).expect_err("not even tried")
}

#[track_caller]
fn says(error: &impl Display, words: &str) {
    let told = error.to_string();
    assert!(told.contains(words), "{told}");
}

#[test]
fn an_error_in_a_url_says_what_to_write() {
    let new = |url| new(url, WebTransportOptions::new());
    says(&new("localhost:4433/x"), "it has no scheme; write https://localhost:4433/x");
    says(&new("https://::1:4433"), "an IPv6 address stands in brackets; write https://[::1]:4433");
}

#[test]
fn a_bad_origin_is_reported_at_both_ends() {
    for (origin, words) in [
        ("https://a.example/", "write https://a.example"),
        ("https://a.example\r\nx: y", "line break"),
        ("a.example", "no URL"),
    ] {
        let error = new("https://a/", WebTransportOptions::new().origin(origin));
        assert!(matches!(&error, ConnectOptionsError::InvalidOrigin(InvalidOrigin { .. })), "{error:?}");
        says(&error, words);
        let network = Network::new(3);
        let builder = Server::builder().identity(network.identity(["a"]));
        let built =
            network.host("a").enter(|| builder.allowed_origins(["https://good.example", origin]).build());
        let error = built.map(drop).expect_err("no origin");
        assert!(matches!(error, ServerError::InvalidOrigin(_)), "{error:?}");
        says(&error, words);
    }
}

#[test]
fn pem_instead_of_der_is_reported() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (pem, key) = (made.cert.pem().into_bytes(), made.signing_key.serialize_pem().into_bytes());
    let options = WebTransportOptions::new().trusted_certificates([pem.clone()]);
    let error = new("https://a/", options);
    assert!(matches!(error, ConnectOptionsError::TrustedCertificate { position: 1, .. }), "{error:?}");
    says(&error, "it is PEM, and DER is wanted");
    let der = made.cert.der().to_vec();
    let identity = |chain, key| Identity::from_der(vec![chain], key).expect_err("PEM");
    let error = identity(pem, made.signing_key.serialize_der());
    assert_eq!(error, IdentityError::PemForDer { what: "certificate chain" });
    says(&error, "read PEM with Identity::from_pem");
    assert_eq!(identity(der, key), IdentityError::PemForDer { what: "private key" });
}

/// A CA's certificate, and one that it issued.
fn issued() -> (Vec<u8>, Vec<u8>) {
    let authority_key = key_pair();
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "The Issuer");
    let certificate = authority.self_signed(&authority_key).expect("a CA").der().to_vec();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let mut leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    leaf.distinguished_name = rcgen::DistinguishedName::new();
    leaf.distinguished_name.push(rcgen::DnType::CommonName, "The Server");
    let leaf = leaf.signed_by(&key_pair(), &issuer).expect("a certificate");
    (certificate, leaf.der().to_vec())
}

#[test]
fn trusting_a_leaf_certificate_gives_an_error_that_names_its_issuer() {
    let (authority, leaf) = issued();
    let options = WebTransportOptions::new().trusted_certificates([authority, leaf]);
    let error = new("https://a/", options);
    assert!(matches!(error, ConnectOptionsError::TrustedCertificate { position: 2, .. }), "{error:?}");
    says(&error, "give that of its issuer (CN=The Issuer)");
}

#[test]
fn a_server_with_the_certificate_of_a_ca_is_reported() {
    let key = key_pair();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let der = params.self_signed(&key).expect("a certificate").der().to_vec();
    let details = wt_api::CertificateDetails::from_der(&der).expect("a certificate");
    let options = WebTransportOptions::new().trusted_certificates([der.clone()]);
    let now = details.not_before + SECOND;
    let error = options.judge_certificate("localhost", &[der], now).expect_err("a CA is no server");
    assert_eq!(error, CertificateError::IsAuthority);
    says(&error, "CA:TRUE");
}

#[test]
fn a_slow_application_is_not_reported_as_a_firewall() {
    let network = Network::new(4);
    let (there, here) = (network.host("server"), network.host("laptop"));
    let identity = network.identity(["server"]);
    let hash = identity.certificate_hash();
    let _server = there.enter(|| Server::builder().identity(identity).build()).expect("a server");
    network.run(async {
        let options = WebTransportOptions::new().server_certificate_hashes([hash]).headers(HeaderMap::new());
        let session = here.enter(|| WebTransport::new("https://server/", options)).expect("a URL");
        let datagrams = session.datagrams();
        let early = datagrams.writable.try_send("x".into()).expect_err("not ready");
        assert!(matches!(early, DatagramError::NotReady), "{early:?}");
        says(&early, "not ready yet; await ready() first");
        let error = session.ready().await.expect_err("nobody accepts");
        let ErrorCause::Timeout { stage: ConnectStage::Answer, .. } = error.cause() else {
            panic!("{error:?}")
        };
        says(&error, "slow to accept");
        assert!(!error.to_string().contains("firewall"), "{error}");
    });
}

#[test]
fn an_error_mentions_the_default_port() {
    let error = session_error();
    if let ErrorCause::Timeout { stage, .. } = error.cause() {
        assert!(matches!(stage, ConnectStage::Handshake { port: 443 } | ConnectStage::Name), "{error}");
    }
    let network = Network::new(5);
    let (_there, here) = (network.host("server"), network.host("laptop"));
    for (url, told) in [("https://server/", true), ("https://server:444/", false)] {
        let error = network.run(async {
            let session = here.enter(|| WebTransport::new(url, WebTransportOptions::new())).expect("a URL");
            session.ready().await.expect_err("nobody listens")
        });
        let text = error.to_string();
        assert_eq!(text.contains("443 is meant where a URL names no port"), told, "{text}");
        assert!(text.contains("firewall"), "{text}");
    }
}

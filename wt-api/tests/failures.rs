//! Failures to connect, and the text of their errors.

mod common;
#[path = "common/plain.rs"]
mod plain;

use std::{sync::Arc, time::Duration};

use common::{builder, connect, loopback, options, pair_with, request, server, url, within};
use http::StatusCode;
use wt_api::{
    CertificateError, CertificateHash, ConnectOptionsError, ErrorCause, Identity, IdentityError, Server,
    ServerError, WebTransport, WebTransportError, WebTransportErrorSource, WebTransportOptions,
};

async fn failure(url: &str, options: WebTransportOptions) -> WebTransportError {
    let client = WebTransport::new(url, options).unwrap();
    let error = within(client.ready()).await.expect_err("no session");
    let closed = within(client.closed()).await.expect_err("no clean end");
    assert_eq!(closed.to_string(), error.to_string());
    assert_eq!(error.error_source(), WebTransportErrorSource::Session);
    // The text contains the whole message, and the error's source does not repeat any of it.
    let below = std::error::Error::source(&error).map(ToString::to_string);
    assert!(below.is_none_or(|below| !error.to_string().contains(&below)), "{error}");
    error
}

#[test]
fn outside_a_runtime_the_constructors_give_errors() {
    let error = WebTransport::new("https://localhost/", WebTransportOptions::new()).unwrap_err();
    assert_eq!(error, ConnectOptionsError::NoRuntime);
    let error = builder().listen(loopback()).build().unwrap_err();
    assert!(matches!(error, ServerError::NoRuntime));
}

#[tokio::test]
async fn bad_urls_and_headers_are_refused_at_once() {
    let new = |url| WebTransport::new(url, WebTransportOptions::new()).unwrap_err();
    assert!(matches!(new("nonsense"), ConnectOptionsError::InvalidUrl { .. }));
    assert!(matches!(new("http://localhost/"), ConnectOptionsError::NotHttps { .. }));
    assert_eq!(new("https://localhost/#x"), ConnectOptionsError::Fragment);
    let mut headers = http::HeaderMap::new();
    headers.insert("transfer-encoding", "chunked".parse().unwrap());
    let error =
        WebTransport::new("https://localhost/", WebTransportOptions::new().headers(headers)).unwrap_err();
    assert_eq!(error, ConnectOptionsError::ForbiddenHeader("transfer-encoding".to_owned()));
}

#[tokio::test]
async fn an_error_for_a_name_without_an_address_contains_the_name() {
    let error = failure("https://does-not-exist.invalid/", WebTransportOptions::new()).await;
    assert!(matches!(error.cause(), ErrorCause::NameResolution { .. }), "{error}");
    assert!(error.to_string().contains("does-not-exist.invalid"));
}

#[tokio::test]
async fn a_closed_port_fails_at_once() {
    // Linux routes all of 127.0.0.0/8 to loopback: on a separate address no concurrent test can bind the port
    // that was just released.
    let host = if cfg!(target_os = "linux") { "127.0.0.57" } else { "127.0.0.1" };
    let port = std::net::UdpSocket::bind((host, 0)).unwrap().local_addr().unwrap().port();
    let error = failure(&format!("https://{host}:{port}/"), WebTransportOptions::new()).await;
    assert!(
        matches!(error.cause(), ErrorCause::ConnectionRefused { remote } if remote.port() == port),
        "{error}"
    );
}

#[tokio::test]
async fn a_silent_peer_is_given_up_after_the_connect_timeout() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());
    let error = failure(&url, WebTransportOptions::new().connect_timeout(Duration::from_millis(300))).await;
    assert!(
        matches!(error.cause(), ErrorCause::Timeout { after, .. } if after.as_millis() == 300),
        "{error}"
    );
}

#[tokio::test]
async fn a_peer_without_http3_is_reported() {
    let server =
        Server::builder().rustls_config(Arc::new(tls_for(b"other"))).listen(loopback()).build().unwrap();
    let options = WebTransportOptions::new().dangerous().no_certificate_verification();
    let error = failure(&url(&server, "/"), options).await;
    assert!(matches!(error.cause(), ErrorCause::NoHttp3 { .. }), "{error}");
}

fn key_pair() -> rcgen::KeyPair {
    rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap()
}

/// A TLS configuration of a server that offers one ALPN protocol, with a certificate that no client trusts.
fn tls_for(alpn: &[u8]) -> rustls::ServerConfig {
    let key = key_pair();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config =
        rustls::ServerConfig::builder_with_provider(Arc::new(quic_core::crypto::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
    config.alpn_protocols = vec![alpn.to_vec()];
    config
}

#[tokio::test]
async fn an_error_names_the_setting_that_the_server_lacks() {
    let full = h3_core::Settings::new().enable_connect_protocol(true).h3_datagram(true).wt_enabled(1);
    let cases = [
        (h3_core::Settings::default(), "SETTINGS_WT_ENABLED"),
        (full.clone().wt_enabled(0), "SETTINGS_WT_ENABLED"),
        (full.clone().h3_datagram(false), "SETTINGS_H3_DATAGRAM"),
        (full.enable_connect_protocol(false), "SETTINGS_ENABLE_CONNECT_PROTOCOL"),
    ];
    for (settings, missing) in cases {
        let address = plain::serve(tls_for(b"h3"), settings).await;
        let options = WebTransportOptions::new().dangerous().no_certificate_verification();
        let error = failure(&format!("https://{address}/"), options).await;
        assert!(
            matches!(error.cause(), ErrorCause::Refused(text) if text.contains(missing)),
            "{missing}: {error}"
        );
    }
}

/// Certificates are valid by calendar time.
fn days_from_now(days: i64) -> time::OffsetDateTime {
    #[allow(clippy::disallowed_methods, reason = "the validity of certificates is in calendar time")]
    let now = std::time::SystemTime::now();
    time::OffsetDateTime::from(now) + time::Duration::days(days)
}

#[tokio::test]
async fn an_expired_certificate_is_refused_by_hash_and_by_authority() {
    let authority_key = key_pair();
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_certificate = authority.self_signed(&authority_key).unwrap().der().to_vec();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let trusted = WebTransportOptions::new().trusted_certificates([authority_certificate]);
    for (from, to, expected) in [
        (-10, -1, Some(CertificateError::Expired)),
        (1, 10, Some(CertificateError::NotYetValid)),
        (-1, 10, None),
    ] {
        let key = key_pair();
        let mut params =
            rcgen::CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (days_from_now(from), days_from_now(to));
        let leaf = params.signed_by(&key, &issuer).unwrap();
        let identity = Identity::from_der(vec![leaf.der().to_vec()], key.serialize_der()).unwrap();
        let server = Server::builder().identity(identity).listen(loopback()).build().unwrap();
        for options in [options(&server), trusted.clone()] {
            match &expected {
                Some(expected) => {
                    let error = failure(&url(&server, "/"), options).await;
                    assert!(
                        matches!(error.cause(), ErrorCause::Certificate(found) if found == expected),
                        "{expected:?}: {error}"
                    );
                }
                None => drop(pair_with(&server, options).await),
            }
        }
    }
}

#[test]
fn a_key_of_another_certificate_is_refused_by_name() {
    let (one, two) = (key_pair(), key_pair());
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&one).unwrap();
    let pem = |key: &rcgen::KeyPair| {
        Identity::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes())
    };
    assert!(pem(&one).is_ok());
    let error = pem(&two).unwrap_err();
    assert_eq!(error, IdentityError::KeyMismatch);
    let text = error.to_string();
    assert!(text.contains("private key") && text.contains("certificate"), "{text}");
    assert_eq!(ServerError::from(error).to_string(), text);
}

#[tokio::test]
async fn a_certificate_failure_has_a_typed_cause() {
    let server = server();
    let hashes = [CertificateHash::new([3; 32])];
    let error =
        failure(&url(&server, "/"), WebTransportOptions::new().server_certificate_hashes(hashes)).await;
    let actual = server.certificate_hash().unwrap().to_string();
    assert!(
        matches!(error.cause(), ErrorCause::Certificate(CertificateError::HashMismatch { actual: a }) if *a == actual),
        "{error}"
    );
    // No client trusts a self-signed certificate by default.
    let error = failure(&url(&server, "/"), WebTransportOptions::new()).await;
    assert!(matches!(error.cause(), ErrorCause::Certificate(_)), "{error}");
}

#[tokio::test]
async fn a_given_authority_is_trusted_for_its_names() {
    let identity = Identity::self_signed(["localhost"]).unwrap();
    let chain = identity.certificate_chain();
    let server = Server::builder().identity(identity).listen(loopback()).build().unwrap();
    let port = server.local_addresses()[0].port();
    let options = WebTransportOptions::new().trusted_certificates(chain);
    let client = WebTransport::new(&format!("https://localhost:{port}/"), options.clone()).unwrap();
    let accepted = request(&server).await.accept(Default::default()).await.unwrap();
    within(client.ready()).await.unwrap();
    let error = failure(&url(&server, "/"), options).await;
    assert!(matches!(error.cause(), ErrorCause::Certificate(CertificateError::WrongName { .. })), "{error}");
    drop(accepted);
}

#[tokio::test]
async fn refusals_carry_their_status() {
    let server = server();
    for status in
        [StatusCode::NOT_FOUND, StatusCode::FORBIDDEN, StatusCode::FOUND, StatusCode::TOO_MANY_REQUESTS]
    {
        let client = connect(&server);
        request(&server).await.reject(status).await;
        let error = within(client.ready()).await.unwrap_err();
        assert!(
            matches!(error.cause(), ErrorCause::Status { status: s } if *s == status.as_u16()),
            "{error}"
        );
    }
    let client = connect(&server);
    drop(request(&server).await);
    let error = within(client.ready()).await.unwrap_err();
    assert!(matches!(error.cause(), ErrorCause::Status { status: 404 }), "{error}");
}

#[tokio::test]
async fn pages_need_a_permitted_origin() {
    let server = server();
    let error = failure(&url(&server, "/"), options(&server).origin("https://evil.example")).await;
    assert!(matches!(error.cause(), ErrorCause::Status { status: 403 }), "{error}");
    let open = builder().listen(loopback()).allow_any_origin().build().unwrap();
    let client = WebTransport::new(&url(&open, "/"), options(&open).origin("https://page.example")).unwrap();
    let asked = request(&open).await;
    assert_eq!(asked.origin(), Some("https://page.example"));
    let _accepted = asked.accept(Default::default()).await.unwrap();
    within(client.ready()).await.unwrap();
}

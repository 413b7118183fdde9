//! Identities of servers: which files are readable, which are refused, which identity a client sees, and how
//! a server replaces one.

mod common;

use std::sync::Arc;

use common::{builder, loopback, pair, request, server, url, within};
use rcgen::{CertificateParams, KeyPair};
use wt_api::{
    AcceptOptions, CertificateError, ErrorCause, Identity, IdentityError, SendStreamOptions, Server,
    ServerError, WebTransport, WebTransportOptions,
};

fn identity() -> Identity {
    Identity::self_signed(["localhost", "127.0.0.1"]).unwrap()
}

fn trusting(identity: &Identity) -> WebTransportOptions {
    WebTransportOptions::new().server_certificate_hashes([identity.certificate_hash()])
}

async fn echoes((client, accepted): &(WebTransport, WebTransport)) {
    let mut stream = client.create_bidirectional_stream(SendStreamOptions::new()).await.unwrap();
    stream.writable.write_all(b"still there").await.unwrap();
    stream.writable.finish().unwrap();
    let mut other = within(accepted.incoming_bidirectional_streams().next()).await.unwrap().unwrap();
    let received = within(other.readable.read_to_end(100)).await.unwrap();
    other.writable.write_all(&received).await.unwrap();
    other.writable.finish().unwrap();
    assert_eq!(within(stream.readable.read_to_end(100)).await.unwrap(), "still there");
}

/// The error of the session that the client refuses.
async fn refusal(url: &str, options: WebTransportOptions) -> CertificateError {
    let error = within(WebTransport::new(url, options).unwrap().ready()).await.unwrap_err();
    match error.cause() {
        ErrorCause::Certificate(error) => error.clone(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn replacing_an_identity_keeps_established_sessions() {
    let server = server();
    let old = server.certificate_hash().unwrap();
    let before = pair(&server).await;
    echoes(&before).await;
    let new = identity();
    server.set_identity(new.clone()).unwrap();
    assert_eq!(server.certificate_hash(), Some(new.certificate_hash()));
    let after = common::pair_with(&server, trusting(&new)).await;
    echoes(&after).await;
    echoes(&before).await;
    let outdated = WebTransportOptions::new().server_certificate_hashes([old]);
    let actual = new.certificate_hash().to_string();
    assert_eq!(refusal(&url(&server, "/"), outdated).await, CertificateError::HashMismatch { actual });
}

#[tokio::test]
async fn the_requested_name_chooses_the_identity() {
    let (other, named) = (identity(), identity());
    let server = Server::builder().identity(other.clone()).identity_for("localhost", named.clone());
    let server = server.listen(loopback()).build().unwrap();
    let by_name = format!("https://localhost:{}/", server.local_addresses()[0].port());
    let by_address = url(&server, "/");
    for (url, right, wrong) in [(&by_name, &named, &other), (&by_address, &other, &named)] {
        let client = WebTransport::new(url, trusting(right)).unwrap();
        let accepted = request(&server).await.accept(AcceptOptions::new()).await.unwrap();
        within(client.ready()).await.unwrap();
        drop(accepted);
        let actual = right.certificate_hash().to_string();
        assert_eq!(refusal(url, trusting(wrong)).await, CertificateError::HashMismatch { actual });
    }
    let later = identity();
    server.set_identity_for("LOCALHOST", &later).unwrap();
    let actual = later.certificate_hash().to_string();
    assert_eq!(refusal(&by_name, trusting(&named)).await, CertificateError::HashMismatch { actual });
    assert_eq!(server.certificate_hash(), Some(other.certificate_hash()));
}

#[tokio::test]
async fn a_name_for_an_identity_is_checked() {
    let error = builder().identity_for("*.*.org", identity()).listen(loopback()).build().unwrap_err();
    assert!(
        matches!(&error, ServerError::Identity(IdentityError::Name(name)) if name == "*.*.org"),
        "{error}"
    );
    let error = Server::builder().identity_for("localhost", identity()).build().unwrap_err();
    assert!(matches!(error, ServerError::NoIdentity));
}

/// A rustls configuration of the application's own, with these versions and ALPN protocols.
fn own_config(
    identity: &Identity,
    versions: &[&'static rustls::SupportedProtocolVersion],
    alpn: &[&str],
) -> Arc<rustls::ServerConfig> {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
    let chain = identity.certificate_chain().into_iter().map(CertificateDer::from).collect();
    let key = PrivateKeyDer::from_pem_slice(identity.private_key_pem().as_bytes()).unwrap();
    let provider = Arc::new(quic_core::crypto::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

#[tokio::test]
async fn an_own_rustls_configuration_serves() {
    let identity = identity();
    let config = own_config(&identity, &[&rustls::version::TLS13], &[]);
    let server = Server::builder().rustls_config(config).listen(loopback()).build().unwrap();
    assert_eq!(server.certificate_hash(), None);
    echoes(&common::pair_with(&server, trusting(&identity)).await).await;
    let refused = [server.set_identity(identity.clone()), server.set_identity_for("localhost", &identity)];
    assert!(refused.iter().all(|result| matches!(result, Err(ServerError::OwnConfiguration))));
}

#[tokio::test]
async fn a_configuration_that_cannot_serve_is_refused() {
    let build = |config| Server::builder().rustls_config(config).listen(loopback()).build();
    let mut early =
        rustls::ServerConfig::clone(&own_config(&identity(), &[&rustls::version::TLS13], &["h3"]));
    early.max_early_data_size = 1000;
    let error = build(Arc::new(early)).unwrap_err();
    assert!(matches!(&error, ServerError::NotForQuic(why) if why.contains("early data")), "{error}");
}

/// A CA's certificate, one that it issued, and the key of that, in PEM.
fn issued() -> (String, String, KeyPair) {
    let ca_key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(params, ca_key);
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let leaf =
        CertificateParams::new(vec!["example.org".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    (ca.pem(), leaf.pem(), key)
}

/// The contents of the last OCTET STRING in a PKCS#8 key, which is the key in the older format.
fn inner_key(pkcs8: &[u8], header: &[u8]) -> Vec<u8> {
    let position = pkcs8.windows(header.len()).position(|window| window == header).unwrap();
    pkcs8[position + header.len()..].to_vec()
}

/// A PEM block, written without the code under test.
fn block(label: &str, der: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits: Vec<u8> = der.iter().flat_map(|byte| (0..8).rev().map(move |i| byte >> i & 1)).collect();
    bits.resize(bits.len().div_ceil(6) * 6, 0);
    let mut text: String = bits
        .chunks(6)
        .map(|six| char::from(DIGITS[six.iter().fold(0, |sum, bit| sum << 1 | usize::from(*bit))]))
        .collect();
    text.extend(std::iter::repeat_n('=', (4 - text.len() % 4) % 4));
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

#[test]
fn chains_are_read_with_other_text_between_the_blocks() {
    let (ca, leaf, key) = issued();
    let key_pem = key.serialize_pem();
    let chain =
        format!("subject=example.org\nissuer=somebody\n{leaf}\n\nBag Attributes\n  x: y\n{ca}# end\n");
    let plain = Identity::from_pem(format!("{leaf}{ca}").as_bytes(), key_pem.as_bytes()).unwrap();
    assert_eq!(plain.certificate_chain().len(), 2);
    assert_eq!(plain.names(), ["example.org"]);
    let windows = format!("\u{feff}{}", chain.replace('\n', "\r\n"));
    let together = format!("{key_pem}{leaf}{ca}");
    let parameters = format!("{}{key_pem}", block("EC PARAMETERS", &[6, 8, 42, 134, 72, 206, 61, 3, 1, 7]));
    for (chain, key) in [
        (&chain, &key_pem),
        (&windows, &key_pem.replace('\n', "\r\n")),
        (&together, &together),
        (&chain, &parameters),
        (&plain.certificate_chain_pem(), &plain.private_key_pem()),
    ] {
        let read = Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
        assert_eq!(read.certificate_chain(), plain.certificate_chain());
    }
}

#[test]
fn keys_of_all_three_formats_are_read() {
    let (_, leaf, key) = issued();
    // An OCTET STRING of 109 bytes that contains a SEQUENCE with version 1: ECPrivateKey (RFC 5915 §3).
    let sec1 =
        [&[0x30, 0x6b, 2, 1, 1][..], &inner_key(&key.serialize_der(), &[4, 0x6d, 0x30, 0x6b, 2, 1, 1])];
    let sec1 = block("EC PRIVATE KEY", &sec1.concat());
    let read = Identity::from_pem(leaf.as_bytes(), sec1.as_bytes()).unwrap();
    assert!(read.private_key_pem().starts_with("-----BEGIN EC PRIVATE KEY-----"));
    assert!(Identity::from_pem(leaf.as_bytes(), read.private_key_pem().as_bytes()).is_ok());

    let rsa = KeyPair::from_pem(include_str!("data/rsa-key.pem")).unwrap();
    let leaf = CertificateParams::new(vec!["a".to_owned()]).unwrap().self_signed(&rsa).unwrap().pem();
    assert!(Identity::from_pem(leaf.as_bytes(), rsa.serialize_pem().as_bytes()).is_ok());
    // After rsaEncryption and NULL there is an OCTET STRING with a length of two bytes: RSAPrivateKey (RFC 8017 A.1.2).
    let after_algorithm = inner_key(&rsa.serialize_der(), &[1, 1, 1, 5, 0, 4, 0x82]);
    let pkcs1 = block("RSA PRIVATE KEY", &after_algorithm[2..]);
    let read = Identity::from_pem(leaf.as_bytes(), pkcs1.as_bytes()).unwrap();
    assert!(read.private_key_pem().starts_with("-----BEGIN RSA PRIVATE KEY-----"));
}

#[test]
fn an_unusable_identity_gives_an_error_with_a_remedy() {
    let (ca, leaf, key) = issued();
    let (_, other, _) = issued();
    let key = key.serialize_pem();
    let encrypted = block("ENCRYPTED PRIVATE KEY", &[48, 0]);
    let legacy = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let cut = &leaf[..leaf.len() / 2];
    for (chain, key, expected, remedy) in [
        (&*key, &*key, IdentityError::NoCertificate, "check that this is the chain, not the key"),
        (&leaf, &leaf, IdentityError::NoKey, "check that this is the key, not the chain"),
        (&leaf, &format!("{key}{key}"), IdentityError::SeveralKeys { count: 2 }, "leave the one"),
        (&leaf, &encrypted, IdentityError::EncryptedKey, "openssl pkey"),
        (&leaf, legacy, IdentityError::EncryptedKey, "openssl pkey"),
        (&other, &key, IdentityError::KeyMismatch, "fullchain.pem"),
        (&format!("{ca}{leaf}"), &key, IdentityError::ChainOrder { position: 2 }, "put that one first"),
    ] {
        let error = Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err();
        assert_eq!(error, expected);
        assert!(error.to_string().contains(remedy), "{error}");
    }
    let error = Identity::from_pem(cut.as_bytes(), key.as_bytes()).unwrap_err();
    assert!(matches!(&error, IdentityError::Malformed(why) if why.contains("certificate chain")), "{error}");
    let broken = block("PRIVATE KEY", &[1, 2, 3]);
    let error = Identity::from_pem(leaf.as_bytes(), broken.as_bytes()).unwrap_err();
    assert!(matches!(error, IdentityError::Malformed(_)), "{error}");
}

#[test]
fn der_instead_of_pem_gives_an_error_with_the_converting_command() {
    for algorithm in [&rcgen::PKCS_ED25519, &rcgen::PKCS_ECDSA_P256_SHA256] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let leaf = CertificateParams::new(vec!["example.org".to_owned()]).unwrap().self_signed(&key).unwrap();
        let (pem, key_pem) = (leaf.pem().into_bytes(), key.serialize_pem().into_bytes());
        for (chain, key, what, command) in [
            (leaf.der().to_vec(), key_pem, "certificate chain", "openssl x509 -inform DER"),
            (pem, key.serialize_der(), "private key", "openssl pkey -inform DER"),
        ] {
            let error = Identity::from_pem(&chain, &key).unwrap_err();
            assert_eq!(error, IdentityError::DerForPem { what });
            assert!(error.to_string().contains(command), "{error}");
        }
    }
}

#[test]
fn errors_in_files_name_the_file() {
    let directory = std::env::temp_dir().join(format!("weft-identity-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (chain, key, absent) =
        (directory.join("chain.pem"), directory.join("key.pem"), directory.join("absent.pem"));
    let (identity, other) = (identity(), identity());
    std::fs::write(&chain, identity.certificate_chain_pem()).unwrap();
    std::fs::write(&key, identity.private_key_pem()).unwrap();
    let read = Identity::from_pem_files(&chain, &key).unwrap();
    assert_eq!(read.certificate_hash(), identity.certificate_hash());
    for (certificates, private, files) in [
        (&absent, &key, vec![&absent]),
        (&chain, &absent, vec![&absent]),
        (&key, &key, vec![&key]),
        (&chain, &chain, vec![&chain]),
    ] {
        let error = Identity::from_pem_files(certificates, private).unwrap_err();
        assert!(error.to_string().starts_with(&files[0].display().to_string()), "{error}");
        let IdentityError::InFiles { files: named, .. } = error else { panic!("{error}") };
        assert_eq!(named.iter().collect::<Vec<_>>(), files);
    }
    std::fs::write(&key, other.private_key_pem()).unwrap();
    let error = Identity::from_pem_files(&chain, &key).unwrap_err();
    let expected =
        IdentityError::InFiles { files: vec![chain, key], error: Box::new(IdentityError::KeyMismatch) };
    assert_eq!(error, expected);
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn the_validity_of_a_self_signed_identity_fits_browsers() {
    let hour = std::time::Duration::from_secs(3_600);
    #[expect(clippy::disallowed_methods, reason = "the certificate's validity is in calendar time")]
    let now = std::time::SystemTime::now;
    let before = now();
    let (from, to) = identity().validity().unwrap();
    let after = now();
    // Compared to the second, because X.509 has no fractions.
    let second = std::time::Duration::from_secs(1);
    assert!(before - hour - second < from && from <= after - hour, "{from:?}");
    assert!(before + 13 * 24 * hour - second < to && to <= after + 13 * 24 * hour, "{to:?}");
    assert!(to.duration_since(from).unwrap() <= 14 * 24 * hour);
}

#[test]
fn validity_and_pin_match_openssl() {
    // openssl x509 -in leaf.pem -noout -startdate -enddate -ext subjectAltName; and for the pin
    // openssl x509 -in leaf.pem -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64
    let identity = Identity::from_pem(
        include_bytes!("data/known-certificate.pem"),
        include_bytes!("data/known-key.pem"),
    )
    .unwrap();
    let at = |seconds| std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    assert_eq!(identity.validity(), Some((at(1795679786), at(2111039786))));
    assert_eq!(identity.public_key_pin().as_deref(), Some("FQGRO+Mdk8iMieZswq0stpLJ8rCMnjvKdo6p1dlouUA="));
    assert_eq!(identity.names(), ["example.org", "192.0.2.7", "2001:db8::7"]);
    let details = identity.details().unwrap();
    assert_eq!(details.key, wt_api::CertificateKey::P384);
    assert_eq!((details.version, &*details.subject, &*details.issuer), (3, "CN=Known", "CN=Known"));
    assert_eq!(details.hash.to_string(), "76f60b5c208656839f9c7f91e5434525ef285b41df55ee477dbfd3365a3841ca");
    assert_eq!(details.hash.to_base64(), "dvYLXCCGVoOfnH+R5UNFJe8oW0HfVe5Hfb/TNlo4Qco=");
}

#[test]
fn key_types_are_distinguished() {
    let rsa = KeyPair::from_pem(include_str!("data/rsa-key.pem")).unwrap();
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    for (key, kind, words) in [
        (rsa, wt_api::CertificateKey::Rsa { bits: 2048 }, "RSA of 2048 bits"),
        (ed25519, wt_api::CertificateKey::Ed25519, "Ed25519"),
    ] {
        let der = CertificateParams::new(vec!["a".to_owned()]).unwrap().self_signed(&key).unwrap();
        let details = wt_api::CertificateDetails::from_der(der.der()).unwrap();
        assert_eq!((details.key.to_string().as_str(), details.key), (words, kind));
        let followed = [der.der().as_ref(), b"\0"].concat();
        assert_eq!(wt_api::CertificateDetails::from_der(&followed), None);
    }
    assert_eq!(wt_api::CertificateDetails::from_der(b"no certificate"), None);
}

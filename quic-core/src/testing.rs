//! What tests, simulations and benches share: an endpoint driven in memory ([`Driver`]), and TLS
//! configurations. Their keys are Ed25519, so that a handshake has the same size in every run.

mod driver;

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::crypto::{TlsClientConfig, TlsServerConfig, default_provider};

pub use driver::{Driver, HasConnection, Received};

/// A server configuration for `localhost` with a fresh certificate, and that certificate in DER.
///
/// # Panics
/// If the certificate cannot be made, which only a broken build causes.
#[must_use]
pub fn tls_server_config(alpn: &[u8]) -> (TlsServerConfig, Vec<u8>) {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()])
        .and_then(|mut params| {
            // A serial number derived from the key is sometimes a byte shorter.
            params.serial_number = Some(rcgen::SerialNumber::from(1_u64));
            params.self_signed(&key)
        })
        .expect("a certificate");
    let der = certificate.der().to_vec();
    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from(der.clone())],
            PrivateKeyDer::try_from(key.serialize_der()).expect("a PKCS#8 key"),
        )
        .expect("a certificate with its key");
    config.alpn_protocols = vec![alpn.to_vec()];
    (TlsServerConfig::new(Arc::new(config)), der)
}

/// A client configuration that trusts `certificate`.
///
/// # Panics
/// If `certificate` is not a certificate.
#[must_use]
pub fn tls_client_config(certificate: &[u8], alpn: &[u8]) -> TlsClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(certificate.to_vec())).expect("a certificate");
    let mut config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    TlsClientConfig::new(Arc::new(config))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(default_provider())
}

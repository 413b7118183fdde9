//! TLS configurations: identities of servers, and how clients judge them.
//!
//! Owns what rustls is told. Must never know connections.

mod certificate;
mod identities;
mod identity;
mod judge;
mod pem;
mod renewal;
mod verify;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

#[cfg(feature = "aws-lc-rs")]
use rustls::crypto::aws_lc_rs as crypto;
#[cfg(not(feature = "aws-lc-rs"))]
use rustls::crypto::ring as crypto;
use rustls::{
    client::danger::ServerCertVerifier, crypto::CryptoProvider, pki_types::UnixTime,
    time_provider::TimeProvider,
};

pub use certificate::{CertificateDetails, CertificateKey};
pub(crate) use identities::Identities;
pub use identity::Identity;
pub use renewal::SelfSigned;
pub(crate) use renewal::renew;

use crate::{
    error::{CertificateError, ConnectOptionsError, ServerError},
    options::Trust,
    runtime::RuntimeHandle,
};

/// The ALPN protocol of HTTP/3 (RFC 9114 §3.1).
pub(crate) const ALPN_H3: &[u8] = b"h3";

/// Why the certificate of one connection was refused: TLS reports texts alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict(Arc<Mutex<Option<CertificateError>>>);

impl Verdict {
    pub(crate) fn set(&self, error: CertificateError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    pub(crate) fn get(&self) -> Option<CertificateError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The one place that chooses who does TLS's cryptography.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: std::sync::OnceLock<Arc<CryptoProvider>> = std::sync::OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(crypto::default_provider())))
}

/// The calendar of a runtime, as rustls asks for it.
#[derive(Debug)]
struct Calendar(RuntimeHandle);

impl TimeProvider for Calendar {
    fn current_time(&self) -> Option<UnixTime> {
        let since_epoch = self.0.wall_clock().duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(UnixTime::since_unix_epoch(since_epoch))
    }
}

/// What rustls is to take the time from.
pub(crate) fn clock(runtime: &RuntimeHandle) -> Arc<dyn TimeProvider> {
    Arc::new(Calendar(RuntimeHandle::clone(runtime)))
}

/// A client's configuration, and where the reason for refusing a certificate will be.
pub(crate) fn client_config(
    trust: &Trust,
    key_log_file: bool,
    runtime: &RuntimeHandle,
) -> Result<(Arc<rustls::ClientConfig>, Verdict), ConnectOptionsError> {
    let verdict = Verdict::default();
    if let Trust::Rustls(config) = trust {
        let mut config = rustls::ClientConfig::clone(config);
        if config.alpn_protocols.is_empty() {
            config.alpn_protocols = vec![ALPN_H3.to_vec()];
        }
        return Ok((Arc::new(config), verdict));
    }
    let inner = verifier(trust)?;
    let recording = Arc::new(verify::Recording { inner, verdict: verdict.clone() });
    let mut config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| ConnectOptionsError::Tls(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(recording)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN_H3.to_vec()];
    if key_log_file {
        config.key_log = Arc::new(rustls::KeyLogFile::new());
    }
    config.time_provider = clock(runtime);
    Ok((Arc::new(config), verdict))
}

fn verifier(trust: &Trust) -> Result<Arc<dyn ServerCertVerifier>, ConnectOptionsError> {
    let unusable = |error: String| ConnectOptionsError::Tls(error);
    Ok(match trust {
        Trust::Hashes(hashes) => Arc::new(verify::ByHash { hashes: hashes.clone(), provider: provider() }),
        Trust::Nothing => Arc::new(verify::Nothing { provider: provider() }),
        Trust::Authorities(certificates) => {
            let mut roots = rustls::RootCertStore::empty();
            for (index, certificate) in certificates.iter().enumerate() {
                let refused =
                    |problem| ConnectOptionsError::TrustedCertificate { position: index + 1, problem };
                certificate::check_authority(certificate).map_err(refused)?;
                roots.add(certificate.clone().into()).map_err(|error| refused(error.to_string()))?;
            }
            rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
                .build()
                .map_err(|error| unusable(error.to_string()))?
        }
        Trust::System | Trust::Rustls(_) => system_verifier().map_err(ConnectOptionsError::SystemTrust)?,
    })
}

/// Reading the system's roots takes milliseconds: it is done once.
fn system_verifier() -> Result<Arc<dyn ServerCertVerifier>, String> {
    static SYSTEM: std::sync::OnceLock<Result<Arc<rustls_platform_verifier::Verifier>, String>> =
        std::sync::OnceLock::new();
    let verifier = SYSTEM.get_or_init(|| {
        rustls_platform_verifier::Verifier::new(provider()).map(Arc::new).map_err(|error| match error {
            // Its display calls the text an unexpected error.
            rustls::Error::General(text) => text,
            error => error.to_string(),
        })
    });
    verifier.clone().map(|verifier| verifier as Arc<dyn ServerCertVerifier>)
}

/// A server's configuration with identities.
pub(crate) fn server_config(identities: Arc<Identities>) -> Result<rustls::ServerConfig, ServerError> {
    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| ServerError::Tls(error.to_string()))?
        .with_no_client_auth()
        .with_cert_resolver(identities);
    config.alpn_protocols = vec![ALPN_H3.to_vec()];
    Ok(config)
}

/// The application's own configuration, if QUIC can use it.
pub(crate) fn own_server_config(config: &rustls::ServerConfig) -> Result<rustls::ServerConfig, ServerError> {
    let mut config = config.clone();
    if config.alpn_protocols.is_empty() {
        config.alpn_protocols = vec![ALPN_H3.to_vec()];
    }
    // rustls tells which versions a configuration has only by what it makes of it (RFC 9001 §4.2: TLS 1.3 or newer).
    let shared = Arc::new(config.clone());
    rustls::quic::ServerConnection::new(shared, rustls::quic::Version::V1, Vec::new())
        .map_err(|error| ServerError::NotForQuic(error.to_string()))?;
    Ok(config)
}

//! A client's rustls configuration: whom it trusts.

use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;

use super::{
    certificate,
    common::{ALPN_H3, Verdict, clock, provider},
    verify,
};
use crate::{error::ConnectOptionsError, options::Trust, runtime::RuntimeHandle};

/// How many tickets rustls keeps for a host.
const TICKETS: usize = 8;

/// A client's configuration, with the place for the reason of a refused certificate.
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
    // The configuration is for one host. Capacity for the tickets of many hosts takes 7 KB in each session.
    config.resumption = rustls::client::Resumption::in_memory_sessions(TICKETS);
    if key_log_file {
        config.key_log = Arc::new(rustls::KeyLogFile::new());
    }
    config.time_provider = clock(runtime);
    Ok((Arc::new(config), verdict))
}

pub(super) fn verifier(trust: &Trust) -> Result<Arc<dyn ServerCertVerifier>, ConnectOptionsError> {
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

/// The system's root certificates, which are read only once because that takes milliseconds.
fn system_verifier() -> Result<Arc<dyn ServerCertVerifier>, String> {
    static SYSTEM: std::sync::OnceLock<Result<Arc<rustls_platform_verifier::Verifier>, String>> =
        std::sync::OnceLock::new();
    let verifier = SYSTEM.get_or_init(|| {
        rustls_platform_verifier::Verifier::new(provider()).map(Arc::new).map_err(|error| match error {
            // Its `Display` would call the text an unexpected error.
            rustls::Error::General(text) => text,
            error => error.to_string(),
        })
    });
    verifier.clone().map(|verifier| verifier as Arc<dyn ServerCertVerifier>)
}

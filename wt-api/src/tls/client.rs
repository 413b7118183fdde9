//! A client's rustls configuration: whom it trusts.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use rustls::client::danger::ServerCertVerifier;

use super::{
    certificate,
    common::{ALPN_H3, clock, provider},
    verify::{self, Verdict},
};
use crate::{error::ConnectOptionsError, options::Trust, runtime::RuntimeHandle};

/// How many configurations are kept.
const KEPT: usize = 8;

/// The TLS configurations that a client's connections share. rustls resumes a session only under the verifier
/// object that verified its certificate, because a resumed session verifies nothing. Connections with the same
/// trust therefore share one configuration.
#[derive(Debug, Default)]
pub(crate) struct Trusted(Mutex<VecDeque<Kept>>);

#[derive(Debug)]
struct Kept {
    trust: Trust,
    key_log_file: bool,
    config: Arc<rustls::ClientConfig>,
}

impl Trusted {
    /// Returns the configuration for this trust, and a verdict that explains refusals of `name`. `kept` is where
    /// configurations are shared; `None` makes one for a single connection.
    pub(crate) fn config(
        kept: Option<&Self>,
        trust: &Trust,
        key_log_file: bool,
        name: &str,
        runtime: &RuntimeHandle,
    ) -> Result<(Arc<rustls::ClientConfig>, Verdict), ConnectOptionsError> {
        if let Trust::Rustls(config) = trust {
            let mut config = rustls::ClientConfig::clone(config);
            if config.alpn_protocols.is_empty() {
                config.alpn_protocols = vec![ALPN_H3.to_vec()];
            }
            return Ok((Arc::new(config), Verdict::default()));
        }
        let verdict = Verdict::for_name(name);
        let Some(Self(kept)) = kept else {
            return Ok((client_config(trust, key_log_file, runtime)?, verdict));
        };
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) =
            kept.iter().find(|kept| kept.key_log_file == key_log_file && kept.trust == *trust)
        {
            return Ok((Arc::clone(&known.config), verdict));
        }
        let config = client_config(trust, key_log_file, runtime)?;
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(Kept { trust: trust.clone(), key_log_file, config: Arc::clone(&config) });
        Ok((config, verdict))
    }
}

fn client_config(
    trust: &Trust,
    key_log_file: bool,
    runtime: &RuntimeHandle,
) -> Result<Arc<rustls::ClientConfig>, ConnectOptionsError> {
    let inner = verifier(trust)?;
    let mut config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| ConnectOptionsError::Tls(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verify::Naming { inner }))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN_H3.to_vec()];
    // A client that resumes has a cache of its own.
    config.resumption = rustls::client::Resumption::disabled();
    if key_log_file {
        config.key_log = Arc::new(rustls::KeyLogFile::new());
    }
    config.time_provider = clock(runtime);
    Ok(Arc::new(config))
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

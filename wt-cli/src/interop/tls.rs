//! TLS settings. A client accepts every certificate, because the runner makes new ones for each run. It
//! counts how often a server showed one, which does not happen in a resumed handshake.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use quic_core::crypto::default_provider;
use rustls::{
    CipherSuite, ClientConfig, DigitallySignedStruct, NamedGroup, ServerConfig, SignatureScheme,
    client::{
        ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue,
        Tls13ClientSessionValue,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
};

use crate::{environment::Environment, tell::Failure};

/// ALPN of HTTP/0.9 over QUIC, as the runner names it.
pub(crate) const ALPN_HQ: &[u8] = b"hq-interop";
/// ALPN of HTTP/3.
pub(crate) const ALPN_H3: &[u8] = b"h3";

/// The cipher suites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suites {
    All,
    /// Only ChaCha20-Poly1305.
    ChaCha20,
}

fn provider(suites: Suites) -> Arc<CryptoProvider> {
    let mut provider = default_provider();
    if suites == Suites::ChaCha20 {
        provider.cipher_suites.retain(|suite| suite.suite() == CipherSuite::TLS13_CHACHA20_POLY1305_SHA256);
    }
    Arc::new(provider)
}

/// A server's settings, with the certificate chain and the key of the run.
pub(crate) fn server(
    environment: &Environment,
    alpn: &[u8],
    suites: Suites,
) -> Result<Arc<ServerConfig>, Failure> {
    let (chain, key) = (environment.certs.join("cert.pem"), environment.certs.join("priv.key"));
    let told = |path: &std::path::Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let certificates = CertificateDer::pem_file_iter(&chain).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = certificates.map_err(|error| told(&chain, &error))?;
    let secret = PrivateKeyDer::from_pem_file(&key).map_err(|error| told(&key, &error))?;
    let mut config = ServerConfig::builder_with_provider(provider(suites))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(certificates, secret)
        .map_err(|error| told(&chain, &error))?;
    config.alpn_protocols = vec![alpn.to_vec()];
    config.key_log = Arc::new(rustls::KeyLogFile::new());
    Ok(Arc::new(config))
}

/// A client's settings, which resume sessions if asked to, and what they have seen.
pub(crate) fn client(
    alpn: &[u8],
    suites: Suites,
    resume: bool,
) -> Result<(Arc<ClientConfig>, Arc<Seen>), Failure> {
    let provider = provider(suites);
    let seen = Arc::new(Seen {
        provider: Arc::clone(&provider),
        certificates: AtomicUsize::new(0),
        tickets: AtomicUsize::new(0),
        store: ClientSessionMemoryCache::new(8),
    });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&seen) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    config.key_log = Arc::new(rustls::KeyLogFile::new());
    config.resumption = if resume {
        Resumption::store(Arc::clone(&seen) as Arc<dyn ClientSessionStore>)
    } else {
        Resumption::disabled()
    };
    Ok((Arc::new(config), seen))
}

/// Accepts every certificate and keeps tickets, and counts both.
#[derive(Debug)]
pub(crate) struct Seen {
    provider: Arc<CryptoProvider>,
    certificates: AtomicUsize,
    tickets: AtomicUsize,
    store: ClientSessionMemoryCache,
}

impl Seen {
    /// How many handshakes had a certificate from the server.
    pub(crate) fn certificates(&self) -> usize {
        self.certificates.load(Ordering::Relaxed)
    }

    /// How many tickets servers have sent.
    pub(crate) fn tickets(&self) -> usize {
        self.tickets.load(Ordering::Relaxed)
    }
}

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.certificates.fetch_add(1, Ordering::Relaxed);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl ClientSessionStore for Seen {
    fn set_kx_hint(&self, name: ServerName<'static>, group: NamedGroup) {
        self.store.set_kx_hint(name, group);
    }

    fn kx_hint(&self, name: &ServerName<'_>) -> Option<NamedGroup> {
        self.store.kx_hint(name)
    }

    fn set_tls12_session(&self, name: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.store.set_tls12_session(name, value);
    }

    fn tls12_session(&self, name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.store.tls12_session(name)
    }

    fn remove_tls12_session(&self, name: &ServerName<'static>) {
        self.store.remove_tls12_session(name);
    }

    fn insert_tls13_ticket(&self, name: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.tickets.fetch_add(1, Ordering::Relaxed);
        self.store.insert_tls13_ticket(name, value);
    }

    fn take_tls13_ticket(&self, name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.store.take_tls13_ticket(name)
    }
}

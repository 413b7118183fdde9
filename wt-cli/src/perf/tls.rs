//! The certificate of a measurement, in files that both ends and the harnesses of other stacks read. The TLS
//! settings are the same for all: AES-128-GCM, X25519, P-256.

use std::{fs, path::Path, sync::Arc};

use quic_core::crypto::default_provider;
use rustls::{
    CipherSuite, NamedGroup,
    client::Resumption,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};

use super::terms::failed;
use crate::exit::Ended;

/// How many sessions of the one server a client keeps, as the harnesses of other stacks do.
pub(super) const SESSIONS: usize = 8;

/// The ALPN of the level without HTTP/3.
pub(super) const ALPN_BENCH: &[u8] = b"bench";
/// The ALPN of HTTP/3.
pub(super) const ALPN_H3: &[u8] = b"h3";

/// Writes a certificate and its key into `directory`, unless they exist.
pub(super) fn make_certificate(directory: &Path) -> Result<(), Ended> {
    if directory.join("key.der").exists() {
        return Ok(());
    }
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256);
    let key = key.map_err(|error| failed("key", error))?;
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).and_then(|params| params.self_signed(&key));
    let certificate = certificate.map_err(|error| failed("certificate", error))?;
    fs::create_dir_all(directory).map_err(|error| failed(&directory.display().to_string(), error))?;
    // The key comes last, so that a process that finds it finds the certificate too.
    write(directory, "cert.pem", certificate.pem().as_bytes())?;
    write(directory, "key.pem", key.serialize_pem().as_bytes())?;
    write(directory, "cert.der", certificate.der())?;
    write(directory, "key.der", &key.serialize_der())
}

fn write(directory: &Path, name: &str, bytes: &[u8]) -> Result<(), Ended> {
    let path = directory.join(name);
    fs::write(&path, bytes).map_err(|error| failed(&path.display().to_string(), error))
}

fn read(directory: &Path, name: &str) -> Result<Vec<u8>, Ended> {
    let path = directory.join(name);
    fs::read(&path).map_err(|error| {
        failed(&path.display().to_string(), format!("{error} (start the server first, with the same --dir)"))
    })
}

fn provider() -> Arc<CryptoProvider> {
    let mut provider = default_provider();
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    provider.kx_groups.retain(|group| group.name() == NamedGroup::X25519);
    Arc::new(provider)
}

/// A server's settings with the certificate in `directory`.
pub(super) fn server(directory: &Path, alpn: &[u8]) -> Result<Arc<rustls::ServerConfig>, Ended> {
    let chain = vec![CertificateDer::from(read(directory, "cert.der")?)];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(read(directory, "key.der")?));
    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| failed("TLS", error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| failed("certificate", error))?;
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(Arc::new(config))
}

/// A client's settings that trust the certificate in `directory`. Without `resumes` all handshakes are full ones.
pub(super) fn client(
    directory: &Path,
    alpn: &[u8],
    resumes: bool,
) -> Result<Arc<rustls::ClientConfig>, Ended> {
    let mut roots = rustls::RootCertStore::empty();
    let certificate = CertificateDer::from(read(directory, "cert.der")?);
    roots.add(certificate).map_err(|error| failed("certificate", error))?;
    let mut config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| failed("TLS", error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption =
        if resumes { Resumption::in_memory_sessions(SESSIONS) } else { Resumption::disabled() };
    Ok(Arc::new(config))
}

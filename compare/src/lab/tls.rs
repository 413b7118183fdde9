//! One certificate for all simulated servers.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The application protocol of all simulated connections.
const ALPN: &[u8] = b"lab";

/// The TLS settings of both ends. Ed25519 gives signatures of the same size in every run.
pub(super) struct Tls {
    pub(super) server: Arc<rustls::ServerConfig>,
    pub(super) client: Arc<rustls::ClientConfig>,
}

impl Tls {
    pub(super) fn new() -> Self {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        // A serial number derived from the key is sometimes a byte shorter.
        params.serial_number = Some(rcgen::SerialNumber::from(1_u64));
        let certificate =
            CertificateDer::from(params.self_signed(&key).expect("a certificate").der().to_vec());
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a PKCS#8 key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .expect("a certificate with its key");
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate).expect("a certificate");
        let mut client = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        // A resumed session would change the handshake of the next run.
        client.resumption = rustls::client::Resumption::disabled();
        server.send_tls13_tickets = 0;
        server.alpn_protocols = vec![ALPN.to_vec()];
        client.alpn_protocols = vec![ALPN.to_vec()];
        Self { server: Arc::new(server), client: Arc::new(client) }
    }
}

//! The peer over a UDP socket: the same cases against any endpoint, ours or another stack's.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use quic_core::{
    ConnectionId, Side,
    crypto::{TlsClientConfig, TlsServerConfig, default_provider},
};
use rustls::{
    DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::{
    cases::Case,
    ground::Ground,
    peer::{Peer, Tls},
};

/// A peer on a socket. It ignores everything that is not from the endpoint under test.
#[derive(Debug)]
pub struct UdpGround<'a> {
    socket: &'a UdpSocket,
    /// The endpoint's address. A server learns it from the first datagram.
    remote: Option<SocketAddr>,
    peer: Peer,
    buffer: Vec<u8>,
}

impl<'a> UdpGround<'a> {
    /// A peer for `case`. `remote` is the server under test; without it the peer is the server, and waits for
    /// a client. The endpoint has `patience` to respond.
    ///
    /// # Errors
    /// Socket errors.
    pub fn new(
        socket: &'a UdpSocket,
        remote: Option<SocketAddr>,
        case: &Case,
        tls: Tls,
        patience: Duration,
    ) -> io::Result<Self> {
        socket.set_read_timeout(Some(patience))?;
        // Unique in this process, so that late datagrams of another case can be recognized.
        let scid = ConnectionId::new(&next_id().to_be_bytes()).expect("eight bytes");
        let mut peer = Peer::new(tls, case.options().params, scid);
        peer.tamper = case.tamper();
        Ok(Self { socket, remote, peer, buffer: vec![0; 65_536] })
    }

    /// Sets the name in the ClientHello.
    pub fn set_server_name(&mut self, name: &str) {
        name.clone_into(&mut self.peer.server_name);
    }
}

/// Returns a different connection ID for each peer of the process.
fn next_id() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0x4001_0000_0000_0001);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Ground for UdpGround<'_> {
    fn peer(&mut self) -> &mut Peer {
        &mut self.peer
    }

    fn put(&mut self, datagram: &[u8]) {
        if let Some(remote) = self.remote {
            // A socket may report here that an earlier datagram reached nobody. The endpoint's silence shows
            // the same.
            let _ = self.socket.send_to(datagram, remote);
        }
    }

    fn listen(&mut self) -> bool {
        loop {
            // The time is over, or nobody is there.
            let Ok((size, from)) = self.socket.recv_from(&mut self.buffer) else { return false };
            let datagram = &self.buffer[..size];
            let new_client = self.remote.is_none() && self.peer.side == Side::Server && is_first(datagram);
            if new_client {
                self.remote = Some(from);
            }
            if self.remote == Some(from) && (new_client || is_for(datagram, &self.peer)) {
                let datagram = datagram.to_vec();
                self.peer.receive(&datagram);
                return true;
            }
        }
    }
}

/// Whether it is a client's Initial: a long header of type 0 in a datagram of full size.
fn is_first(datagram: &[u8]) -> bool {
    datagram.len() >= 1200 && datagram[0] & 0xf0 == 0xc0
}

/// Whether a packet is addressed to the peer. A client's first Initials have an ID that the client chose.
fn is_for(datagram: &[u8], peer: &Peer) -> bool {
    let dcid = match datagram {
        [first, rest @ ..] if first & 0x80 == 0 => rest.get(..peer.scid.len()),
        [_, _, _, _, _, length, rest @ ..] => rest.get(..usize::from(*length)),
        _ => None,
    };
    dcid.is_some_and(|dcid| dcid == peer.scid.as_bytes() || dcid == peer.original_dcid.as_bytes())
}

/// TLS of a hostile server, with its own certificate.
#[must_use]
pub fn server_tls(alpn: &[u8]) -> (TlsServerConfig, Vec<u8>) {
    quic_core::testing::tls_server_config(alpn)
}

/// TLS of a hostile client, which accepts any certificate.
///
/// # Panics
/// If the provider has no TLS 1.3, which only a broken build causes.
#[must_use]
pub fn client_tls(alpn: &[u8]) -> TlsClientConfig {
    let provider = Arc::new(default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(BelievesAll(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    TlsClientConfig::new(Arc::new(config))
}

/// Accepts any certificate: the peer tests rules, and need not authenticate the endpoint.
#[derive(Debug)]
struct BelievesAll(Arc<CryptoProvider>);

impl ServerCertVerifier for BelievesAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

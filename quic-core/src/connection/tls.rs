//! What TLS tells the application: the peer, the protocol, keying material.

use super::Connection;
use crate::{
    crypto::{ExportError, TlsSession},
    version::Version,
};

impl Connection {
    /// The QUIC version in use. It may change until the handshake is complete: the server may move the connection
    /// to another version that the client offers, and a client begins again in another one if the server does not
    /// accept the first (RFC 9368).
    pub fn version(&self) -> Version {
        self.first_flight.version()
    }

    /// The ALPN protocol, once both ends agree on it.
    pub fn alpn_protocol(&self) -> Option<&[u8]> {
        self.handshake.tls()?.alpn_protocol()
    }

    /// The peer's certificate chain in DER, end entity first.
    pub fn peer_certificates(&self) -> Vec<Vec<u8>> {
        self.handshake.tls().map(TlsSession::peer_certificates).unwrap_or_default()
    }

    /// The server name that the client asked for; servers only.
    pub fn server_name(&self) -> Option<&str> {
        self.handshake.tls()?.server_name()
    }

    /// Fills `out` with keying material that both ends share (RFC 8446 §7.5), once the handshake is complete.
    pub fn export_keying_material(
        &self,
        out: &mut [u8],
        label: &[u8],
        context: &[u8],
    ) -> Result<(), ExportError> {
        self.handshake.export_keying_material(out, label, context)
    }

    /// Whether the handshake resumed an earlier session (RFC 8446 §2.2). False until it is complete.
    pub fn is_resumed(&self) -> bool {
        self.handshake.is_complete() && self.handshake.tls().is_some_and(TlsSession::is_resumed)
    }

    /// Why TLS failed, if this end found the fault: a `rustls::Error`, which tells more than
    /// [`ConnectionError::Tls`](crate::error::ConnectionError::Tls).
    pub fn tls_failure(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        self.handshake.tls()?.failure()
    }
}

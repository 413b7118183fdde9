//! The TLS 1.3 handshake, by rustls. No other file of the crate names rustls.
//!
//! rustls hands out traffic secrets through its key log. Each session has its own tap, which takes the
//! secrets, passes them on to the user's key log (SSLKEYLOGFILE), and wipes them once the packet keys are
//! derived.

use std::sync::{Arc, Mutex, PoisonError};

#[cfg(feature = "aws-lc-rs")]
use rustls::crypto::aws_lc_rs as algorithms;
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
use rustls::crypto::ring as algorithms;
use rustls::quic;
use zeroize::Zeroizing;

use super::{Secret, Suite};
use crate::version::Version;

/// The rustls provider for the library of cryptographic algorithms that this crate is built with: aws-lc-rs
/// with the feature `aws-lc-rs`, otherwise ring. Pass it to `rustls::ClientConfig::builder_with_provider` and
/// similar functions.
#[must_use]
pub fn default_provider() -> rustls::crypto::CryptoProvider {
    algorithms::default_provider()
}

/// TLS settings of clients: a rustls configuration, which must allow TLS 1.3 and should name an ALPN
/// protocol.
#[derive(Clone, Debug)]
pub struct TlsClientConfig(Arc<rustls::ClientConfig>);

impl TlsClientConfig {
    /// Wraps a rustls configuration.
    #[must_use]
    pub fn new(config: Arc<rustls::ClientConfig>) -> Self {
        Self(config)
    }
}

/// TLS settings of servers: a rustls configuration, which must allow TLS 1.3 and should name an ALPN
/// protocol.
#[derive(Clone, Debug)]
pub struct TlsServerConfig(Arc<rustls::ServerConfig>);

impl TlsServerConfig {
    /// Wraps a rustls configuration.
    #[must_use]
    pub fn new(config: Arc<rustls::ServerConfig>) -> Self {
        Self(config)
    }
}

/// TLS failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (alert {alert})")]
#[non_exhaustive]
pub struct TlsError {
    /// The alert to send in a CONNECTION_CLOSE (RFC 9001 §4.8).
    pub alert: u8,
    /// The message of the TLS library.
    pub message: Arc<str>,
    /// Whether bytes of a message were left over when the level changed. That breaks a rule of QUIC, not of
    /// TLS (RFC 9001 §4.1.3).
    pub left_over: bool,
}

impl TlsError {
    /// A fault of this end, not of the peer.
    pub(crate) fn internal(message: impl Into<Arc<str>>) -> Self {
        let alert = u8::from(rustls::AlertDescription::InternalError);
        Self { alert, message: message.into(), left_over: false }
    }
}

/// Keying material could not be exported: the handshake is not complete, or the requested length is too
/// large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("keying material cannot be exported before the handshake is complete, nor in this length")]
#[expect(clippy::exhaustive_structs, reason = "an error with one cause")]
pub struct ExportError;

/// New secrets. From now on, the handshake bytes of this end belong to the new level.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "the levels after Initial (RFC 9001 §4)")]
pub enum KeyChange {
    /// The secrets of Handshake packets: (local, remote).
    Handshake(Secret, Secret),
    /// The secrets of 1-RTT packets: (local, remote).
    OneRtt(Secret, Secret),
}

/// The secrets that rustls announced and that were not taken yet.
#[derive(Debug)]
struct Tap {
    taken: Mutex<[Option<Zeroizing<Vec<u8>>>; 4]>,
    user: Arc<dyn rustls::KeyLog>,
}

/// The labels of the secrets that protect packets, in the order of [`Tap::taken`].
const LABELS: [&str; 4] = [
    "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    "SERVER_HANDSHAKE_TRAFFIC_SECRET",
    "CLIENT_TRAFFIC_SECRET_0",
    "SERVER_TRAFFIC_SECRET_0",
];

impl Tap {
    fn new(user: Arc<dyn rustls::KeyLog>) -> Arc<Self> {
        Arc::new(Self { taken: Mutex::default(), user })
    }

    fn take(&self, index: usize) -> Option<Zeroizing<Vec<u8>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)[index].take()
    }
}

impl rustls::KeyLog for Tap {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        if let Some(index) = LABELS.iter().position(|known| *known == label) {
            self.taken.lock().unwrap_or_else(PoisonError::into_inner)[index] =
                Some(Zeroizing::new(secret.to_vec()));
        }
        if self.user.will_log(label) {
            self.user.log(label, client_random, secret);
        }
    }

    fn will_log(&self, label: &str) -> bool {
        LABELS.contains(&label) || self.user.will_log(label)
    }
}

/// rustls needs QUIC's version for two things. One is the codepoint of the transport parameters, which is the
/// same from version 1 on (RFC 9001 §8.2, RFC 9369 §3). The other is the labels of keys, which this crate
/// derives itself.
const RULES: quic::Version = quic::Version::V1;

/// One connection's TLS session.
pub struct TlsSession {
    /// The version of the packets that the secrets protect.
    version: Version,
    inner: quic::Connection,
    tap: Arc<Tap>,
}

impl std::fmt::Debug for TlsSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsSession").finish_non_exhaustive()
    }
}

fn setup_error(error: &rustls::Error) -> TlsError {
    TlsError::internal(error.to_string())
}

/// The alert for an error for which the TLS library names none (RFC 8446 §6.2).
fn alert_for(error: &rustls::Error) -> rustls::AlertDescription {
    match error {
        rustls::Error::InvalidMessage(invalid) => (*invalid).into(),
        rustls::Error::PeerMisbehaved(_) => rustls::AlertDescription::IllegalParameter,
        rustls::Error::PeerIncompatible(_) => rustls::AlertDescription::HandshakeFailure,
        _ => rustls::AlertDescription::InternalError,
    }
}

impl TlsSession {
    /// A client's session with `server_name` (a DNS name or an IP address). `params` are the encoded
    /// transport parameters.
    pub fn client(
        version: Version,
        config: &TlsClientConfig,
        server_name: &str,
        params: Vec<u8>,
    ) -> Result<Self, TlsError> {
        let name = rustls::pki_types::ServerName::try_from(server_name.to_owned()).map_err(|_| {
            TlsError::internal(format!("{server_name:?} is neither a DNS name nor an IP address"))
        })?;
        let mut config = rustls::ClientConfig::clone(&config.0);
        let tap = Tap::new(config.key_log);
        config.key_log = Arc::clone(&tap) as Arc<dyn rustls::KeyLog>;
        let inner = quic::ClientConnection::new(Arc::new(config), RULES, name, params);
        Ok(Self { version, inner: quic::Connection::Client(inner.map_err(|e| setup_error(&e))?), tap })
    }

    /// A server's session. `params` are the encoded transport parameters.
    pub fn server(version: Version, config: &TlsServerConfig, params: Vec<u8>) -> Result<Self, TlsError> {
        let mut config = rustls::ServerConfig::clone(&config.0);
        let tap = Tap::new(config.key_log);
        config.key_log = Arc::clone(&tap) as Arc<dyn rustls::KeyLog>;
        let inner = quic::ServerConnection::new(Arc::new(config), RULES, params);
        Ok(Self { version, inner: quic::Connection::Server(inner.map_err(|e| setup_error(&e))?), tap })
    }

    /// Takes handshake bytes that the peer sent, in order.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(), TlsError> {
        self.inner.read_hs(bytes).map_err(|error| {
            let alert = self.inner.alert().unwrap_or_else(|| alert_for(&error));
            let pending = rustls::PeerMisbehaved::KeyEpochWithPendingFragment;
            let left_over = error == rustls::Error::PeerMisbehaved(pending);
            TlsError { alert: u8::from(alert), message: error.to_string().into(), left_over }
        })
    }

    /// Appends handshake bytes to send. If a key change is returned, they belong to the level before it. The
    /// caller repeats the call until it returns `None`.
    pub fn write(&mut self, out: &mut Vec<u8>) -> Result<Option<KeyChange>, TlsError> {
        let Some(change) = self.inner.write_hs(out) else { return Ok(None) };
        let suite = self.suite().ok_or_else(|| self.missing())?;
        let (client, one_rtt) = match change {
            quic::KeyChange::Handshake { .. } => (0, false),
            quic::KeyChange::OneRtt { .. } => (2, true),
        };
        let secret = |index| {
            self.tap
                .take(index)
                .and_then(|bytes| Secret::new(self.version, suite, &bytes))
                .ok_or_else(|| self.missing())
        };
        let (client, server) = (secret(client)?, secret(client + 1)?);
        let (local, remote) = if matches!(self.inner, quic::Connection::Client(_)) {
            (client, server)
        } else {
            (server, client)
        };
        Ok(Some(if one_rtt { KeyChange::OneRtt(local, remote) } else { KeyChange::Handshake(local, remote) }))
    }

    fn missing(&self) -> TlsError {
        TlsError::internal("the TLS library announced keys without their secrets")
    }

    fn suite(&self) -> Option<Suite> {
        let suite = match &self.inner {
            quic::Connection::Client(c) => c.negotiated_cipher_suite(),
            quic::Connection::Server(c) => c.negotiated_cipher_suite(),
        };
        suite.and_then(|suite| Suite::from_tls_number(u16::from(suite.suite())))
    }

    /// Whether the handshake is still going on.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        match &self.inner {
            quic::Connection::Client(c) => c.is_handshaking(),
            quic::Connection::Server(c) => c.is_handshaking(),
        }
    }

    /// The peer's encoded transport parameters, once they arrived. They are authentic only when the handshake
    /// is complete.
    #[must_use]
    pub fn peer_parameters(&self) -> Option<&[u8]> {
        self.inner.quic_transport_parameters()
    }

    /// The ALPN protocol that both ends agreed on.
    #[must_use]
    pub fn alpn_protocol(&self) -> Option<&[u8]> {
        match &self.inner {
            quic::Connection::Client(c) => c.alpn_protocol(),
            quic::Connection::Server(c) => c.alpn_protocol(),
        }
    }

    /// The peer's certificate chain in DER, end entity first; empty if it sent none.
    #[must_use]
    pub fn peer_certificates(&self) -> Vec<Vec<u8>> {
        let chain = match &self.inner {
            quic::Connection::Client(c) => c.peer_certificates(),
            quic::Connection::Server(c) => c.peer_certificates(),
        };
        chain.unwrap_or_default().iter().map(|certificate| certificate.to_vec()).collect()
    }

    /// The server name that the client asked for (SNI); servers only.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        match &self.inner {
            quic::Connection::Client(_) => None,
            quic::Connection::Server(c) => c.server_name(),
        }
    }

    /// Fills `out` with keying material (RFC 8446 §7.5).
    pub fn export_keying_material(
        &self,
        out: &mut [u8],
        label: &[u8],
        context: &[u8],
    ) -> Result<(), ExportError> {
        self.inner.export_keying_material(out, label, Some(context)).map(drop).map_err(|_| ExportError)
    }
}

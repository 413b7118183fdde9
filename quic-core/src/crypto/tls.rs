//! The TLS 1.3 handshake, by rustls. Besides this file, only those that hold TLS sessions for later name
//! rustls: `sessions.rs` at a client, `resumption.rs` and `bound.rs` at a server.
//!
//! rustls hands out traffic secrets through its key log. Each session has its own tap, which takes the
//! secrets, passes them on to the user's key log (SSLKEYLOGFILE), and wipes them once the packet keys are
//! derived.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
#[cfg(feature = "aws-lc-rs")]
use rustls::crypto::aws_lc_rs as algorithms;
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
use rustls::crypto::ring as algorithms;
use rustls::{client::ClientSessionStore, quic};
use zeroize::Zeroizing;

use super::{
    Secret, Suite,
    bound::Bound,
    resumption::{EarlyTerms, Resumption, Store, StoreUnderTerms},
    sessions::{Seat, SeatStore},
    tickets::TicketFilter,
};
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
pub struct TlsServerConfig {
    config: Arc<rustls::ServerConfig>,
    /// The store that decides about 0-RTT.
    store: Option<Arc<Store>>,
}

impl TlsServerConfig {
    /// Wraps a rustls configuration. Clients resume as it says: by a store in memory, if nothing else was
    /// chosen. 0-RTT is refused.
    #[must_use]
    pub fn new(config: Arc<rustls::ServerConfig>) -> Self {
        let mut config = config;
        if config.max_early_data_size != 0 {
            // A store that this crate does not know promises nothing of its limits.
            Arc::make_mut(&mut config).max_early_data_size = 0;
        }
        Self { config, store: None }
    }

    /// The same settings, but clients resume in this way.
    #[must_use]
    pub fn with_resumption(&self, resumption: &Resumption) -> Self {
        let mut config = rustls::ServerConfig::clone(&self.config);
        let store = resumption.apply(&mut config);
        Self { config: Arc::new(config), store }
    }

    /// Finds out whether the TLS library accepts the configuration.
    pub(crate) fn check(&self) -> Result<(), TlsError> {
        let session = quic::ServerConnection::new(Arc::clone(&self.config), RULES, Vec::new());
        session.map(drop).map_err(|error| setup_error(&error))
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
    taken: Mutex<[Option<Zeroizing<Vec<u8>>>; 5]>,
    user: Arc<dyn rustls::KeyLog>,
}

/// The labels of the secrets that protect packets, in the order of [`Tap::taken`].
const LABELS: [&str; 5] = [
    "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    "SERVER_HANDSHAKE_TRAFFIC_SECRET",
    "CLIENT_TRAFFIC_SECRET_0",
    "SERVER_TRAFFIC_SECRET_0",
    "CLIENT_EARLY_TRAFFIC_SECRET",
];

/// The place of the secret of 0-RTT packets in [`LABELS`].
const EARLY: usize = 4;

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
    /// The version of the packets that the secrets protect, except those of 0-RTT packets.
    version: Version,
    /// The version of 0-RTT packets: that in which the client opened the connection (RFC 9369 §4.1).
    original: Version,
    /// Takes tickets out of what a client reads, if nothing may be resumed with them.
    filter: Option<TicketFilter>,
    inner: quic::Connection,
    tap: Arc<Tap>,
    /// Where a client's session goes.
    store: Option<Arc<SeatStore>>,
    /// What the application remembers of the session that is being resumed.
    remembered: Option<Bytes>,
    /// Why the handshake failed.
    failure: Option<Box<rustls::Error>>,
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
    /// transport parameters. It resumes as the configuration says, and offers no 0-RTT.
    pub fn client(
        version: Version,
        config: &TlsClientConfig,
        server_name: &str,
        params: Vec<u8>,
    ) -> Result<Self, TlsError> {
        Self::client_at(version, config, server_name, params, None, false)
    }

    /// A client's session that resumes one of the cache at `seat`, and goes there itself. `early_data` offers
    /// 0-RTT if the resumed session permits it. Then only the protocol of that session is offered: what is
    /// sent early is of that protocol (RFC 9001 §4.6.2).
    pub(crate) fn client_at(
        version: Version,
        config: &TlsClientConfig,
        server_name: &str,
        params: Vec<u8>,
        seat: Option<Seat>,
        early_data: bool,
    ) -> Result<Self, TlsError> {
        let name = rustls::pki_types::ServerName::try_from(server_name.to_owned()).map_err(|_| {
            TlsError::internal(format!("{server_name:?} is neither a DNS name nor an IP address"))
        })?;
        let mut config = rustls::ClientConfig::clone(&config.0);
        let tap = Tap::new(config.key_log);
        config.key_log = Arc::clone(&tap) as Arc<dyn rustls::KeyLog>;
        config.enable_early_data = false;
        let mut protocols = config.alpn_protocols.clone();
        let (mut store, mut remembered) = (None, None);
        if let Some(seat) = seat {
            let now = config.time_provider.current_time().map_or(0, |time| time.as_secs());
            let taken = seat.take_session(version, &protocols, now);
            let mut offered = None;
            if let Some(taken) = taken {
                if early_data && taken.value.max_early_data_size() > 0 {
                    config.enable_early_data = true;
                    protocols.retain(|protocol| *protocol == taken.protocol);
                }
                remembered = taken.application;
                offered = Some((taken.value, taken.verified));
            }
            let seated = Arc::new(SeatStore::new(seat, version, offered, now));
            config.resumption =
                rustls::client::Resumption::store(Arc::clone(&seated) as Arc<dyn ClientSessionStore>);
            store = Some(seated);
        } else if version != Version::PREFERRED {
            // RFC 9369 §5: the configuration's own store does not know of which version a session is. Those of one
            // version alone go there.
            config.resumption = rustls::client::Resumption::disabled();
        }
        let inner = quic::ClientConnection::new_with_alpn(Arc::new(config), RULES, name, params, protocols)
            .map_err(|error| setup_error(&error))?;
        let inner = quic::Connection::Client(inner);
        let filter = None;
        Ok(Self { version, original: version, filter, inner, tap, store, remembered, failure: None })
    }

    /// The server has moved the connection of this client to another version (RFC 9369 §4.1), before any
    /// handshake data came from it.
    pub(crate) fn set_version(&mut self, version: Version) {
        self.version = version;
        if self.store.is_none() && version != Version::PREFERRED {
            self.filter = Some(TicketFilter::default());
        }
    }

    /// A server's session. `params` are the encoded transport parameters. 0-RTT is refused.
    pub fn server(version: Version, config: &TlsServerConfig, params: Vec<u8>) -> Result<Self, TlsError> {
        let mut inner = rustls::ServerConfig::clone(&config.config);
        inner.max_early_data_size = 0;
        Self::server_by(version, version, inner, params)
    }

    /// A server's session, which accepts 0-RTT if the configuration permits it and the client relies on no
    /// better terms. The client has opened the connection in the version `original`.
    pub(crate) fn server_under(
        version: Version,
        original: Version,
        config: &TlsServerConfig,
        params: Vec<u8>,
        terms: impl FnOnce() -> EarlyTerms,
    ) -> Result<Self, TlsError> {
        let mut inner = rustls::ServerConfig::clone(&config.config);
        if let Some(store) = &config.store {
            inner.session_storage = Arc::new(StoreUnderTerms { store: Arc::clone(store), terms: terms() });
        }
        Self::server_by(version, original, inner, params)
    }

    fn server_by(
        version: Version,
        original: Version,
        mut config: rustls::ServerConfig,
        params: Vec<u8>,
    ) -> Result<Self, TlsError> {
        let tap = Tap::new(config.key_log);
        config.key_log = Arc::clone(&tap) as Arc<dyn rustls::KeyLog>;
        config.session_storage = Bound::new(config.session_storage, version, original);
        config.ticketer = Bound::new(config.ticketer, version, original);
        let inner = quic::ServerConnection::new(Arc::new(config), RULES, params)
            .map_err(|error| setup_error(&error))?;
        let inner = quic::Connection::Server(inner);
        Ok(Self { version, original, filter: None, inner, tap, store: None, remembered: None, failure: None })
    }

    /// The secret of 0-RTT packets, once: at a client that offers 0-RTT from the beginning, at a server from
    /// when it has accepted that.
    pub(crate) fn take_early_secret(&mut self) -> Option<Secret> {
        let secret = self.tap.take(EARLY)?;
        // A server announces the secret before it decides.
        self.inner.zero_rtt_keys()?;
        Secret::new(self.original, self.suite()?, &secret)
    }

    /// Whether the server has accepted a client's 0-RTT; known once the handshake is complete.
    pub(crate) fn is_early_data_accepted(&self) -> bool {
        match &self.inner {
            quic::Connection::Client(c) => c.is_early_data_accepted(),
            quic::Connection::Server(_) => false,
        }
    }

    /// Whether the handshake resumed an earlier session; known once it is complete.
    pub(crate) fn is_resumed(&self) -> bool {
        let kind = match &self.inner {
            quic::Connection::Client(c) => c.handshake_kind(),
            quic::Connection::Server(c) => c.handshake_kind(),
        };
        kind == Some(rustls::HandshakeKind::Resumed)
    }

    /// What the application remembers of the session that is being resumed.
    pub(crate) fn remembered(&self) -> Option<&Bytes> {
        self.remembered.as_ref()
    }

    /// Keeps this beside the client's sessions of this connection.
    pub(crate) fn remember(&self, application: Bytes) {
        if let Some(store) = &self.store {
            store.remember(application);
        }
    }

    /// The client's seat at its cache.
    pub(crate) fn seat(&self) -> Option<&Seat> {
        self.store.as_ref().map(|store| store.seat())
    }

    /// The handshake is complete: the sessions that come belong to its protocol.
    pub(crate) fn on_complete(&self) {
        if let Some(store) = &self.store {
            store.on_complete(self.version, self.alpn_protocol(), self.is_resumed());
        }
    }

    /// Takes handshake bytes that the peer sent, in order.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(), TlsError> {
        let passed;
        let mut bytes = bytes;
        if let Some(filter) = self.filter.as_mut().filter(|_| !self.inner.is_handshaking()) {
            passed = filter.pass(bytes);
            bytes = &passed;
        }
        self.inner.read_hs(bytes).map_err(|error| {
            let alert = self.inner.alert().unwrap_or_else(|| alert_for(&error));
            let pending = rustls::PeerMisbehaved::KeyEpochWithPendingFragment;
            let left_over = error == rustls::Error::PeerMisbehaved(pending);
            let message = error.to_string().into();
            self.failure = Some(Box::new(error));
            TlsError { alert: u8::from(alert), message, left_over }
        })
    }

    /// Why the handshake failed, in the words of the TLS library: a `rustls::Error`.
    #[must_use]
    pub fn failure(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        self.failure.as_deref().map(|error| error as &(dyn std::error::Error + Send + Sync + 'static))
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

//! How a server is configured.

use std::{net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use quic_core::{AddressLimits, Dir, TransportConfig};

use super::{handle::Server, keys::ServerKeys};
use crate::{
    congestion::CongestionControl,
    reception::{
        Handler, Origins,
        admission::{Admission, ConnectionAttempt, Hook},
        plain::{HttpRequest, HttpResponse},
    },
    tls::{Identity, SelfSigned},
};

/// Pending handshakes from which on clients have to prove their address first.
const RETRY_THRESHOLD: usize = 256;
/// Memory of all connections together, unless the application says otherwise, in bytes.
const MEMORY: usize = 1 << 30;
/// Connections at once, unless the application says otherwise.
const MAX_CONNECTIONS: usize = 10_000;
/// Sessions of one connection at once, unless the application says otherwise.
const MAX_SESSIONS_PER_CONNECTION: u64 = 16;

/// How long a request may take to begin, unless the application says otherwise.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Configures a [`Server`].
#[must_use]
pub struct ServerBuilder {
    pub(super) identity: Option<Identity>,
    pub(super) renewing: Option<SelfSigned>,
    pub(super) named: Vec<(String, Identity)>,
    pub(super) rustls: Option<Arc<rustls::ServerConfig>>,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) shards: Option<NonZeroUsize>,
    pub(super) origins: Origins,
    pub(super) transport: TransportConfig,
    pub(super) handler: Option<Handler>,
    pub(super) hook: Option<Hook>,
    pub(super) retry_threshold: usize,
    pub(super) max_connections: usize,
    pub(super) per_address: AddressLimits,
    pub(super) max_sessions: usize,
    pub(super) sessions: wt_session::Config,
    pub(super) congestion_control: CongestionControl,
    pub(super) anticipated: [Option<u16>; 2],
    pub(super) memory: usize,
    pub(super) keep_alive: bool,
    pub(super) request_timeout: Option<Duration>,
    pub(super) key_log_file: bool,
    pub(super) keys: Option<ServerKeys>,
}

impl std::fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerBuilder").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl Server {
    /// A server to configure.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::new()
    }
}

impl ServerBuilder {
    pub(super) fn new() -> Self {
        Self {
            identity: None,
            renewing: None,
            named: Vec::new(),
            rustls: None,
            addresses: Vec::new(),
            shards: None,
            origins: Origins::These(std::collections::HashSet::new()),
            transport: TransportConfig::default(),
            handler: None,
            hook: None,
            retry_threshold: RETRY_THRESHOLD,
            max_connections: MAX_CONNECTIONS,
            per_address: AddressLimits::default(),
            max_sessions: usize::MAX,
            sessions: {
                let mut sessions = wt_session::Config::default();
                sessions.max_sessions = MAX_SESSIONS_PER_CONNECTION;
                sessions
            },
            congestion_control: CongestionControl::Default,
            anticipated: [None; 2],
            memory: MEMORY,
            keep_alive: false,
            request_timeout: Some(REQUEST_TIMEOUT),
            key_log_file: false,
            keys: None,
        }
    }

    /// The certificate chain and key, shown to clients that ask for no name or for one without an
    /// [`identity_for`](Self::identity_for) it. [`Server::set_identity`] replaces it later.
    pub fn identity(mut self, identity: Identity) -> Self {
        (self.identity, self.renewing) = (Some(identity), None);
        self
    }

    /// In place of one [`identity`](Self::identity): self-signed ones that follow each other before they expire. Clients
    /// accept them by [`Server::certificate_hashes`], which has to reach them anew every few days.
    /// [`Server::set_identity`] ends it.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use wt_api::{SelfSigned, Server};
    /// let server = Server::builder().renew_self_signed(SelfSigned::new(["localhost"])?).build()?;
    /// println!("hashes for pages: {:?}", server.certificate_hashes());
    /// # Ok(())
    /// # }
    /// ```
    pub fn renew_self_signed(mut self, identities: SelfSigned) -> Self {
        (self.identity, self.renewing) = (None, Some(identities));
        self
    }

    /// Another identity for clients that ask for `name` (SNI, RFC 6066 §3): a DNS name, or `*.` and one, which stands for
    /// all names with one label in place of the asterisk. The name alone decides, upper and lower case alike, an exact one
    /// before a wildcard. Beside [`identity`](Self::identity), which the others get; the last call for a name counts.
    pub fn identity_for(mut self, name: impl Into<String>, identity: Identity) -> Self {
        self.named.push((name.into(), identity));
        self
    }

    /// Uses this rustls configuration in place of identities; it must allow TLS 1.3. The ALPN protocol is set to `h3`
    /// if it names none. If its verifier, resolver, key log or another part of it panics, the client's connection alone ends,
    /// with `INTERNAL_ERROR`.
    pub fn rustls_config(mut self, config: Arc<rustls::ServerConfig>) -> Self {
        self.rustls = Some(config);
        self
    }

    /// Listens on this address, too; port 0 lets the system choose. Browsers take `localhost` for `[::1]` first, so a
    /// server for them listens on both families. Without any call: `[::]:443`, for both families.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.addresses.push(address);
        self
    }

    /// How many sockets listen on each address, each of which drives its connections in a task of its own, so that
    /// connections use several cores. The system shares clients out among them by their addresses (`SO_REUSEPORT`); what comes
    /// at the wrong one, such as when a client's address changed, is handed over. Limits and counts are those of all of them
    /// together. At most 255 for all addresses together. Default: as many as the runtime has threads, at most as many as there
    /// are cores; 1 on a runtime of one thread, and on other systems than Linux. With one thread, more than one share nothing
    /// but its time.
    ///
    /// # Errors
    /// Of [`build`](Self::build): more than one where the system cannot share an address out.
    pub fn shards(mut self, shards: NonZeroUsize) -> Self {
        self.shards = Some(shards);
        self
    }

    /// Accepts requests of pages from these origins, such as `https://example.org`, compared as text. Without this,
    /// pages are refused with 403; programs that send no `origin` never are. What is no origin as browsers write it
    /// ([`check_origin`](crate::check_origin)) is an error of [`build`](Self::build).
    pub fn allowed_origins<O: Into<String>>(mut self, origins: impl IntoIterator<Item = O>) -> Self {
        self.origins = Origins::These(origins.into_iter().map(Into::into).collect());
        self
    }

    /// Accepts requests of pages from everywhere: any page that a user visits can then open sessions with the network
    /// position of that user.
    pub fn allow_any_origin(mut self) -> Self {
        self.origins = Origins::Any;
        self
    }

    /// Whether PINGs keep a connection alive while a session is open on it, one each half of the idle timeout in force.
    /// Clients of this library and browsers do that themselves; it is for others, whose sessions are to outlive silence.
    /// Default false: a client that is gone without a word costs nothing after the idle timeout, one that is there answers.
    pub fn keep_alive_sessions(mut self, keep: bool) -> Self {
        self.keep_alive = keep;
        self
    }

    /// Ends a request, for a session or a plain one, whose header section is not whole in this time, counted from the first that
    /// is heard of its stream, whatever comes meanwhile; the stream is reset with `H3_REQUEST_INCOMPLETE` (RFC 9114 §4.1), and
    /// the connection and its other streams go on. A stream of a session that does not say whose it is has the same time, and so
    /// has the client to send SETTINGS when it asks for a session. What comes for a session that is not asked for in this time
    /// is refused: its streams with `WT_BUFFERED_STREAM_REJECTED`, while its datagrams are dropped. A client that cannot go on
    /// then, because the connection holds as much as it may of what the application has not read, has the same time anew; one
    /// that has filled the connection itself, such as with streams of a session that does not come, has not. Content that a
    /// plain request announces is never waited for: its stream ends when the response has arrived. A request that the
    /// application has neither accepted nor rejected waits for it without limit, and a session in which the client says
    /// nothing stays open. Default 30 s; `None` and zero: no limit.
    pub fn request_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Ends a connection on which nothing comes for this long ([`TransportConfig::idle_timeout`], RFC 9000 §10.1); the smaller
    /// timeout of both ends counts. Default 30 s; `None` or zero: this end sets none. [`transport`](Self::transport) replaces it.
    pub fn idle_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.transport.idle_timeout = timeout;
        self
    }

    /// Sends a PING whenever a connection was silent for this long ([`TransportConfig::keep_alive`]), sessions or not.
    /// Default `None`. [`transport`](Self::transport) replaces it.
    pub fn keep_alive(mut self, interval: Option<Duration>) -> Self {
        self.transport.keep_alive = interval;
        self
    }

    /// Limits, windows and timers of the connections. Defaults: idle timeout 30 s, 10 s for a handshake, no keep-alive, and of each kind as
    /// many streams as the connection's sessions may have open together (4096); a number other than `TransportConfig`'s
    /// default of 1000 is meant as it is. A congestion controller of the application's own that panics ends its connection
    /// alone.
    /// The request of one session, and the three unidirectional streams of HTTP/3, are permitted whatever the limits are. The
    /// request of each session is one of the connection's bidirectional streams as long as the session lasts: a limit of
    /// `max_streams_bidi` is to be larger than [`max_sessions_per_connection`](Self::max_sessions_per_connection), or sessions
    /// that share a connection leave no room for streams. Of `max_streams_uni` HTTP/3 takes three for as long as the connection
    /// lasts: with three or fewer a client opens no unidirectional stream of its own.
    pub fn transport(mut self, transport: TransportConfig) -> Self {
        self.transport = transport;
        self
    }

    /// Whether the keys of all connections are appended to the file that the environment variable `SSLKEYLOGFILE` names, if it
    /// names one: who reads the file can read all traffic. For tools and tests; a configuration of
    /// [`rustls_config`](Self::rustls_config) has its own key log. Default false.
    pub fn key_log_file(mut self, write: bool) -> Self {
        self.key_log_file = write;
        self
    }

    /// Keys that outlive the process: clients of a server that was killed and started again hear of it with their next packets.
    /// Default: keys of this process alone.
    pub fn keys(mut self, keys: ServerKeys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// The kind of congestion control wanted for what the server sends, a hint; what is in force is told by
    /// [`WebTransport::congestion_control`](crate::WebTransport::congestion_control). Default [`CongestionControl::Default`].
    /// [`AcceptOptions::congestion_control`](super::AcceptOptions::congestion_control) chooses another one for the connection
    /// of a session, and [`Connection::set_congestion_control`](crate::Connection::set_congestion_control) at any time.
    pub fn congestion_control(mut self, wanted: CongestionControl) -> Self {
        self.congestion_control = wanted;
        self
    }

    /// How many bidirectional streams clients are expected to have open at once in each session (0 to 65,535), a hint: one
    /// session on a connection may open at least so many at first, and never fewer than [`transport`](Self::transport)
    /// permits; as more are accepted, the connection permits more, up to 60,000 streams. Default `None`: no expectation.
    /// A session's own number is set with [`AcceptOptions`](super::AcceptOptions), or later.
    pub fn anticipated_concurrent_incoming_bidirectional_streams(mut self, streams: Option<u16>) -> Self {
        self.anticipated[Dir::Bidi as usize] = streams;
        self
    }

    /// The same for unidirectional streams.
    pub fn anticipated_concurrent_incoming_unidirectional_streams(mut self, streams: Option<u16>) -> Self {
        self.anticipated[Dir::Uni as usize] = streams;
        self
    }

    /// Bytes of stream data that clients may send in a session at first, on their way or unread (WebTransport over HTTP/3
    /// §5.4), 1 to 2^62 - 1. It holds for clients that have session flow control as well, and asks for it also where a
    /// connection has [one session](Self::max_sessions_per_connection) only. The windows of connection and streams, see
    /// [`transport`](Self::transport), hold beside it. Default 512 KiB; less where so
    /// many sessions would exceed the connection's largest window.
    pub fn session_receive_window(mut self, bytes: u64) -> Self {
        self.sessions.flow_control.get_or_insert_default().max_data = bytes.max(1);
        self
    }

    /// What the [window of a session](Self::session_receive_window) grows to, in bytes, while the application reads as fast
    /// as data comes; less than that leaves it as it is. The
    /// windows of all sessions together grow to the connection's largest window at most. Default 16 MiB.
    pub fn max_session_receive_window(mut self, bytes: u64) -> Self {
        self.sessions.flow_control.get_or_insert_default().max_data_ceiling = bytes;
        self
    }

    /// Handshakes that may be pending before clients have to prove their address by a Retry (RFC 9000 §8.1.2).
    /// Default 256; 0 asks every client.
    pub fn retry_threshold(mut self, handshakes: usize) -> Self {
        self.retry_threshold = handshakes;
        self
    }

    /// Connections at once; further ones are refused (RFC 9000 §5.2.2). Default 10,000.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// What one address may have of these: handshakes, connections, beginnings in a second.
    /// An address is an IPv4 address or an IPv6 network of 64 bits. The defaults leave room for a few thousand users behind
    /// one network translator.
    pub fn address_limits(mut self, limits: AddressLimits) -> Self {
        self.per_address = limits;
        self
    }

    /// Sessions at once, on all connections together; further requests are answered with 429. Default: as many as
    /// connections permit.
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.max_sessions = sessions;
        self
    }

    /// Sessions that one connection may carry at once, at least 1; a request beyond is reset with `H3_REQUEST_REJECTED`.
    /// More than 1 need session flow control (WebTransport over HTTP/3 §5), which is announced then: clients that have
    /// it may send 512 KiB at first in each session, and more as the application reads. Sessions of a connection share
    /// its rate equally. Default 16.
    pub fn max_sessions_per_connection(mut self, sessions: u64) -> Self {
        self.sessions.max_sessions = sessions.max(1);
        self
    }

    /// Insists on everything that draft 16 asks of a client: its own `:protocol`, an enabling setting, `reset_stream_at`.
    /// No browser of 2026 gets a session then. Default false.
    pub fn strict(mut self, strict: bool) -> Self {
        self.sessions.strict = strict;
        self
    }

    /// Announces one dialect alone. For tests: there is no reason to speak an older draft than both know.
    #[doc(hidden)]
    pub fn only_dialect(mut self, dialect: wt_session::Dialect) -> Self {
        self.sessions.dialects = wt_session::Dialects::only(dialect);
        self
    }

    /// Memory that clients can make all connections together hold, in bytes; when it is spent, further clients are
    /// refused, and connections that need more end. An idle connection counts as 32 KiB. Default 1 GiB.
    pub fn memory_budget(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// Asks the application about every client that begins a connection, before the handshake has cost anything: by its
    /// address, by the name that it asks for, by the server's load. What a limit of the server refuses is not asked about,
    /// and what is accepted may still be asked for its address by [`retry_threshold`](Self::retry_threshold) or
    /// [`address_limits`](Self::address_limits). A client that answers a Retry is asked about again.
    ///
    /// It runs on the driver's task, for each first datagram, a flood's as well: it must not block, nor wait for a lock that
    /// is held for long. If it panics, that client is refused with `INTERNAL_ERROR`, and no other is harmed.
    /// [`Server::stats`](super::Server::stats) counts what it refuses and ignores. Default: everybody is accepted.
    ///
    /// ```
    /// use wt_api::{Admission, Server};
    /// let builder = Server::builder().admission(|attempt| {
    ///     if attempt.remote_address().ip().is_multicast() {
    ///         Admission::Ignore
    ///     } else if attempt.load().pending_handshakes > 1_000 && !attempt.is_validated() {
    ///         Admission::Retry
    ///     } else {
    ///         Admission::Accept
    ///     }
    /// });
    /// # drop(builder);
    /// ```
    pub fn admission(
        mut self,
        hook: impl Fn(&ConnectionAttempt<'_>) -> Admission + Send + Sync + 'static,
    ) -> Self {
        self.hook = Some(Box::new(hook));
        self
    }

    /// Answers plain HTTP/3 requests on the same port. It runs on the driver's task and must not block; if it panics, or gives
    /// what is no answer ([`HttpResponse`]), the answer is 500, and the log says why. Default: 404.
    pub fn http_handler(
        mut self,
        handler: impl Fn(&HttpRequest) -> HttpResponse + Send + Sync + 'static,
    ) -> Self {
        self.handler = Some(Box::new(handler));
        self
    }
}

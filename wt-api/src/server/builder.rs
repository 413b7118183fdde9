//! The configuration of a server.

use std::{net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use quic_core::{AddressLimits, Dir, ObserverFactory, TransportConfig, Versions, crypto::Resumption};

use super::{handle::Server, keys::ServerKeys};
use crate::{
    congestion::CongestionControl,
    exchange::{ArcService, HttpService, erase},
    reception::{
        Origins,
        admission::{Admission, ConnectionAttempt, Hook},
    },
    tls::{Identity, SelfSigned},
};

/// The number of pending handshakes from which on clients must first prove their address.
const RETRY_THRESHOLD: usize = 256;
/// The default memory limit of all connections together, in bytes.
const MEMORY: usize = 1 << 30;
/// The default limit of concurrent connections.
const MAX_CONNECTIONS: usize = 10_000;
/// The default limit of concurrent sessions on a connection.
const MAX_SESSIONS_PER_CONNECTION: u64 = 16;

/// The default time limit for the head of a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The default time limit for the content of a request that stands still.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

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
    pub(super) service: Option<ArcService>,
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
    pub(super) body_timeout: Option<Duration>,
    pub(super) key_log_file: bool,
    pub(super) keys: Option<ServerKeys>,
    pub(super) resumption: Option<Resumption>,
    pub(super) observers: Option<Arc<dyn ObserverFactory>>,
}

impl std::fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerBuilder").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl Server {
    /// Configures a new server.
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
            service: None,
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
            body_timeout: Some(BODY_TIMEOUT),
            key_log_file: false,
            keys: None,
            resumption: None,
            observers: None,
        }
    }

    /// Sets the certificate chain and key for clients that request no server name, or one without an
    /// [`identity_for`](Self::identity_for) it. [`Server::set_identity`] replaces it later.
    pub fn identity(mut self, identity: Identity) -> Self {
        (self.identity, self.renewing) = (Some(identity), None);
        self
    }

    /// Uses self-signed identities instead of one [`identity`](Self::identity). Each is replaced before it
    /// expires. Clients accept them by [`Server::certificate_hashes`], so they need the current hashes every
    /// few days. [`Server::set_identity`] ends the renewal.
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

    /// Sets another identity for clients that request `name` (SNI, RFC 6066 §3). It is a DNS name, or `*.`
    /// followed by one, which matches all names with one label in place of the asterisk. Only the name
    /// decides; case does not matter, and an exact name takes precedence over a wildcard. Other clients get
    /// the [`identity`](Self::identity). The last call for a name counts.
    pub fn identity_for(mut self, name: impl Into<String>, identity: Identity) -> Self {
        self.named.push((name.into(), identity));
        self
    }

    /// Uses this rustls configuration instead of identities. It must allow TLS 1.3. If it has no ALPN
    /// protocol, `h3` is set. If its verifier, its resolver, its key log or another part of it panics, only
    /// the client's connection ends, with `INTERNAL_ERROR`.
    pub fn rustls_config(mut self, config: Arc<rustls::ServerConfig>) -> Self {
        self.rustls = Some(config);
        self
    }

    /// Adds an address to listen on; port 0 lets the system choose. Browsers try `[::1]` first for
    /// `localhost`, so a server for them should listen on both families. Without any call: `[::]:443`, for
    /// both families.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.addresses.push(address);
        self
    }

    /// Sets how many sockets listen on each address. Each one drives its connections in its own task, so that
    /// connections use several cores. The system distributes clients among them by their addresses
    /// (`SO_REUSEPORT`). A datagram that arrives at the wrong socket, for example after a client's address
    /// changed, is handed over. Limits and counters apply to all of them together. At most 255 for all
    /// addresses together. Default: the number of the runtime's threads, but at most the number of cores; 1
    /// on a runtime with one thread, and on systems other than Linux. With a single thread, more than one
    /// socket has no benefit.
    ///
    /// # Errors
    /// [`build`](Self::build) fails with more than one if the system cannot share an address.
    pub fn shards(mut self, shards: NonZeroUsize) -> Self {
        self.shards = Some(shards);
        self
    }

    /// Accepts requests of pages from these origins, such as `https://example.org`, which are compared as
    /// text. Without this, pages are refused with 403; programs without an `origin` field never are.
    /// [`build`](Self::build) fails with an origin that is not in the form of browsers
    /// ([`check_origin`](crate::check_origin)).
    pub fn allowed_origins<O: Into<String>>(mut self, origins: impl IntoIterator<Item = O>) -> Self {
        self.origins = Origins::These(origins.into_iter().map(Into::into).collect());
        self
    }

    /// Accepts requests of pages from everywhere. Any page that a user visits can then open sessions, with
    /// that user's access to the network.
    pub fn allow_any_origin(mut self) -> Self {
        self.origins = Origins::Any;
        self
    }

    /// Whether PINGs keep a connection alive while a session is open on it, one every half of the idle
    /// timeout in force. Clients of this library and browsers do this themselves, so it is for other clients
    /// whose sessions must survive silence. Default false: a client that has disappeared then costs nothing
    /// after the idle timeout.
    pub fn keep_alive_sessions(mut self, keep: bool) -> Self {
        self.keep_alive = keep;
        self
    }

    /// Limits the time in which the header section of a request must arrive completely, for a session or a
    /// plain request. The time starts with the first data on its stream, and nothing extends it. After it,
    /// the stream is reset with `H3_REQUEST_INCOMPLETE` (RFC 9114 §4.1), and the connection and its other
    /// streams continue.
    ///
    /// The same time applies to a session's stream until it names its session, and to a client until it sends
    /// SETTINGS after it has requested a session. Data for a session that is not requested in this time is
    /// refused: streams with `WT_BUFFERED_STREAM_REJECTED`, and datagrams are dropped.
    ///
    /// If a client cannot continue because unread data of the application fills the connection, the time
    /// starts anew. It does not if the client itself has filled the connection, for example with streams of a
    /// session that is never requested. The content of a plain request has a time limit of its own
    /// ([`body_timeout`](Self::body_timeout)). There is no time limit for the application to accept or reject a request,
    /// nor for a session in which the client is silent. Default 30 s; `None` and zero mean no limit.
    pub fn request_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Ends a connection on which nothing arrives for this long ([`TransportConfig::idle_timeout`], RFC 9000
    /// §10.1). The smaller timeout of both ends counts. Default 30 s; with `None` or zero, this end sets no
    /// timeout. [`transport`](Self::transport) replaces it.
    pub fn idle_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.transport.idle_timeout = timeout;
        self
    }

    /// Sends a PING whenever a connection was silent for this long ([`TransportConfig::keep_alive`]), with or
    /// without sessions. Default `None`. [`transport`](Self::transport) replaces it.
    pub fn keep_alive(mut self, interval: Option<Duration>) -> Self {
        self.transport.keep_alive = interval;
        self
    }

    /// Sets the QUIC versions that the server accepts, the most preferred first ([`TransportConfig::versions`], RFC
    /// 9368). By default it accepts both and leaves each connection in the version in which its client opened it, or
    /// moves it to version 1 if that was version 2. [`transport`](Self::transport) replaces it.
    ///
    /// ```
    /// use wt_api::{ServerBuilder, Version, Versions};
    /// // Clients that offer version 2 get it, without a round trip more.
    /// let prefers_newer = |server: ServerBuilder| server.versions(Versions::new([Version::V2, Version::V1]));
    /// # drop(prefers_newer);
    /// ```
    pub fn versions(mut self, versions: Versions) -> Self {
        self.transport.versions = versions;
        self
    }

    /// Sets limits, windows and timers of the connections. The defaults are: idle timeout 30 s, 10 s for a
    /// handshake, no keep-alive. Of each kind, a connection may have as many streams as its sessions may have
    /// open together (4096). A number that differs from `TransportConfig`'s default of 1000 is used as it is.
    /// If a congestion controller of the application panics, only its connection ends.
    ///
    /// The request of one session, and the three unidirectional streams of HTTP/3, are permitted with any
    /// limits. The request of each session uses one of the connection's bidirectional streams as long as the
    /// session exists. So a limit of `max_streams_bidi` should be larger than
    /// [`max_sessions_per_connection`](Self::max_sessions_per_connection); otherwise sessions that share a
    /// connection leave no room for streams. HTTP/3 uses three of `max_streams_uni` as long as the connection
    /// exists: with three or fewer, a client cannot open its own unidirectional streams.
    pub fn transport(mut self, transport: TransportConfig) -> Self {
        self.transport = transport;
        self
    }

    /// Has `observers` make an observer for each connection, which sees everything that happens in it: for example
    /// [`qlog::directory`](crate::qlog::directory). Default none, unless [`transport`](Self::transport) has one.
    pub fn observers(mut self, observers: Arc<dyn ObserverFactory>) -> Self {
        self.observers = Some(observers);
        self
    }

    /// Whether to append the keys of all connections to the file in the environment variable `SSLKEYLOGFILE`,
    /// if it is set. Anyone who reads the file can read all traffic. This is for tools and tests. A
    /// configuration from [`rustls_config`](Self::rustls_config) has its own key log. Default false.
    pub fn key_log_file(mut self, write: bool) -> Self {
        self.key_log_file = write;
        self
    }

    /// Sets keys that survive the process. If the server is killed and started again, clients learn this with
    /// their next packets. Default: keys for this process only.
    pub fn keys(mut self, keys: ServerKeys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// How returning clients resume their TLS sessions (RFC 8446 §2.2). A resumed session spares the server a
    /// signature and its certificate; browsers and QUIC libraries expect it. The sessions are in a store of
    /// this process, or in tickets that outlive it (`Resumption::tickets(keys.ticket_keys())`). 0-RTT is
    /// refused with every choice, because a client may not request a session in it
    /// (draft-ietf-webtrans-http3 §3.2). Default: a store of 4096 sessions, or what the
    /// [`rustls_config`](Self::rustls_config) says if there is one.
    pub fn resumption(mut self, resumption: Resumption) -> Self {
        self.resumption = Some(resumption);
        self
    }

    /// The preferred kind of congestion control for what the server sends, a hint.
    /// [`WebTransport::congestion_control`](crate::WebTransport::congestion_control) returns the one in use.
    /// Default [`CongestionControl::Default`].
    /// [`AcceptOptions::congestion_control`](super::AcceptOptions::congestion_control) chooses another one
    /// for the connection of a session, and
    /// [`Connection::set_congestion_control`](crate::Connection::set_congestion_control) changes it at any
    /// time.
    pub fn congestion_control(mut self, wanted: CongestionControl) -> Self {
        self.congestion_control = wanted;
        self
    }

    /// How many bidirectional streams clients are expected to have open at once in each session (0 to
    /// 65,535), a hint. A single session on a connection may initially open at least this many, and never
    /// fewer than [`transport`](Self::transport) permits. As more sessions are accepted, the connection
    /// permits more, up to 60,000 streams. Default `None`: no expectation.
    /// [`AcceptOptions`](super::AcceptOptions) sets the number of a single session, and it can be changed
    /// later.
    pub fn anticipated_concurrent_incoming_bidirectional_streams(mut self, streams: Option<u16>) -> Self {
        self.anticipated[Dir::Bidi as usize] = streams;
        self
    }

    /// The same for unidirectional streams.
    pub fn anticipated_concurrent_incoming_unidirectional_streams(mut self, streams: Option<u16>) -> Self {
        self.anticipated[Dir::Uni as usize] = streams;
        self
    }

    /// The initial receive window of a session (WebTransport over HTTP/3 §5.4), 1 to 2^62 - 1 bytes: how much
    /// stream data clients may send in it that is in flight or unread. It applies to clients that support
    /// session flow control, and requests that even if a connection has only [one
    /// session](Self::max_sessions_per_connection). The windows of connection and streams apply too; see
    /// [`transport`](Self::transport). Default 512 KiB, or less if so many sessions would exceed the
    /// connection's largest window.
    pub fn session_receive_window(mut self, bytes: u64) -> Self {
        self.sessions.flow_control.get_or_insert_default().max_data = bytes.max(1);
        self
    }

    /// The size in bytes to which the [window of a session](Self::session_receive_window) grows while the
    /// application reads as fast as data arrives. A smaller value has no effect. The windows of all sessions
    /// together grow at most to the connection's largest window. Default 16 MiB.
    pub fn max_session_receive_window(mut self, bytes: u64) -> Self {
        self.sessions.flow_control.get_or_insert_default().max_data_ceiling = bytes;
        self
    }

    /// How many handshakes may be pending before clients must prove their address by a Retry (RFC 9000
    /// §8.1.2). Default 256; with 0 every client must.
    pub fn retry_threshold(mut self, handshakes: usize) -> Self {
        self.retry_threshold = handshakes;
        self
    }

    /// The most concurrent connections; further ones are refused (RFC 9000 §5.2.2). Default 10,000.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// Limits the handshakes, the connections and the new connections per second of one address. An address
    /// is an IPv4 address or an IPv6 network of 64 bits. The defaults leave room for a few thousand users
    /// behind one NAT.
    pub fn address_limits(mut self, limits: AddressLimits) -> Self {
        self.per_address = limits;
        self
    }

    /// The most concurrent sessions on all connections together; further requests get 429. Default: only the
    /// connections limit them.
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.max_sessions = sessions;
        self
    }

    /// The most concurrent sessions on one connection, at least 1; a further request is reset with
    /// `H3_REQUEST_REJECTED`. More than 1 require session flow control (WebTransport over HTTP/3 §5), which
    /// the server then announces: clients that support it may initially send 512 KiB in each session, and
    /// more as the application reads. Sessions of a connection share its rate equally. Default 16.
    pub fn max_sessions_per_connection(mut self, sessions: u64) -> Self {
        self.sessions.max_sessions = sessions.max(1);
        self
    }

    /// Requires everything that draft 16 demands from a client: its own `:protocol`, an enabling setting,
    /// `reset_stream_at`. No browser of 2026 gets a session then. Default false.
    pub fn strict(mut self, strict: bool) -> Self {
        self.sessions.strict = strict;
        self
    }

    /// Announces only one dialect. For tests: there is no reason to use an older draft than both ends
    /// support.
    #[doc(hidden)]
    pub fn only_dialect(mut self, dialect: wt_session::Dialect) -> Self {
        self.sessions.dialects = wt_session::Dialects::only(dialect);
        self
    }

    /// Limits the memory that clients can make all connections together hold, in bytes. When it is used up,
    /// further clients are refused, and connections that need more end. An idle connection counts as 32 KiB.
    /// Default 1 GiB.
    pub fn memory_budget(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// Asks the application about every client that starts a connection, before the handshake costs anything.
    /// The hook can decide by the client's address, by the server name that it requests, and by the server's
    /// load. It is not called for clients that a limit of the server refuses. An accepted client may still
    /// have to prove its address because of [`retry_threshold`](Self::retry_threshold) or
    /// [`address_limits`](Self::address_limits). A client that answers a Retry is asked about again.
    ///
    /// The hook runs on the driver's task for each first datagram, even in a flood. So it must not block, nor
    /// wait for a lock that is held for long. If it panics, only that client is refused, with
    /// `INTERNAL_ERROR`. [`Server::stats`](super::Server::stats) counts the clients that it refuses and
    /// ignores. Default: every client is accepted.
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

    /// Answers plain HTTP/3 requests on the same port. The service runs in a task for each request. Its
    /// request contains in its [extensions](http::Request::extensions) the
    /// [`Connection`](crate::Connection), and a way to send interim responses
    /// ([`Informational`](crate::http3::Informational)). Default: 404.
    ///
    /// What the service is asked to hold is limited. It hears of as many requests at once as a connection has
    /// streams for ([`TransportConfig::max_streams_bidi`]), as long as what its responses hold is within
    /// [`TransportConfig::max_send_memory`]; the others wait in their order. The next piece of a response's
    /// content is made when there is room for it. The future of a service whose client does not want the
    /// response any more is dropped, with the response's content.
    ///
    /// If the service panics, or returns a response that HTTP forbids, the client gets 500, or a reset with
    /// `H3_INTERNAL_ERROR` if the head was sent, and the log says why. That is: a status other than 200 to
    /// 599, fields that HTTP/3 forbids or the client does not accept (RFC 9114 §4.2), or a `content-length`
    /// that is not that of the content.
    ///
    /// ```
    /// use http::{Request, Response};
    /// use wt_api::{Connection, Server, http3::IncomingBody};
    /// async fn echo(request: Request<IncomingBody>) -> Response<IncomingBody> {
    ///     if let Some(connection) = request.extensions().get::<Connection>() {
    ///         println!("{} asks for {}", connection.remote_address(), request.uri());
    ///     }
    ///     Response::new(request.into_body())
    /// }
    /// let builder = Server::builder().http_service(echo);
    /// # drop(builder);
    /// ```
    pub fn http_service(mut self, service: impl HttpService) -> Self {
        self.service = Some(erase(service));
        self
    }

    /// The same with a service of `tower`, such as an `axum::Router`. Each request gets a clone of it. An
    /// error of the service is answered with 500, and logged.
    #[cfg(feature = "tower")]
    pub fn tower_service<S, B>(self, service: S) -> Self
    where
        S: tower_service::Service<http::Request<crate::exchange::IncomingBody>, Response = http::Response<B>>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
        S::Error: Into<crate::exchange_error::BoxError>,
        B: http_body::Body<Data = bytes::Bytes, Error: Into<crate::exchange_error::BoxError>>
            + Send
            + 'static,
    {
        self.http_service(crate::exchange::Tower::new(service))
    }

    /// Limits how long the content of a plain request may stand still, while the client sends nothing of it
    /// or the service reads nothing of what has arrived. After at least this time, and at most twice this
    /// time, reading fails with [`HttpError::Timeout`](crate::http3::HttpError::Timeout), and the rest is
    /// dropped as it arrives; the service may still respond. Until then flow control bounds what a client can
    /// send. Default 60 s; `None` and zero mean no limit, for services whose clients send a little now and
    /// then.
    pub fn body_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.body_timeout = timeout;
        self
    }
}

//! The options of a connection: certificates, limits and the checks of the URL.
//!
//! Owns the checks that need no network. It must never know sockets.

use std::{sync::Arc, time::Duration};

use http::{
    HeaderMap,
    uri::{Authority, PathAndQuery},
};
use quic_core::{ObserverFactory, TransportConfig, Versions};

use crate::{
    certificate_hash::CertificateHash,
    congestion::{Congestion, CongestionControl},
    error::ConnectOptionsError,
    limits::{keep_early_streams, permit, permit_in_sessions, share, suit_http3},
};

impl PartialEq for Trust {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::System, Self::System) | (Self::Nothing, Self::Nothing) => true,
            (Self::Hashes(one), Self::Hashes(two)) => one == two,
            (Self::Authorities(one), Self::Authorities(two)) => one == two,
            (Self::Rustls(one), Self::Rustls(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }
}

/// How to verify the server's certificate.
#[derive(Clone, Debug, Default)]
pub(crate) enum Trust {
    /// Against the operating system's root certificates.
    #[default]
    System,
    /// By these hashes.
    Hashes(Vec<CertificateHash>),
    /// Against these CA certificates, in DER.
    Authorities(Vec<Vec<u8>>),
    /// Not at all, except that the server has the certificate's key.
    Nothing,
    /// By the application's own rustls configuration.
    Rustls(Arc<rustls::ClientConfig>),
}

/// The most sessions on a shared connection.
const MAX_POOLED: u64 = 16;

/// Options of [`WebTransport::new`](crate::WebTransport::new) (W3C `WebTransportOptions`).
///
/// ```
/// use wt_api::{CertificateHash, WebTransportOptions};
/// let options = WebTransportOptions::new().server_certificate_hashes([CertificateHash::new([7; 32])]);
/// # drop(options);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct WebTransportOptions {
    pub(crate) trust: Trust,
    pub(crate) headers: HeaderMap,
    pub(crate) origin: Option<String>,
    pub(crate) protocols: Vec<String>,
    pub(crate) connect_timeout: Duration,
    pub(crate) keep_alive: bool,
    pub(crate) transport: TransportConfig,
    pub(crate) congestion_control: CongestionControl,
    pub(crate) observers: Option<Arc<dyn ObserverFactory>>,
    pub(crate) sessions: wt_session::Config,
    pub(crate) allow_pooling: bool,
    pub(crate) require_unreliable: bool,
    pub(crate) key_log_file: bool,
    /// How many streams the server is expected to have open at once: bidirectional, unidirectional.
    pub(crate) anticipated: [Option<u16>; 2],
}

impl Default for WebTransportOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl WebTransportOptions {
    /// The defaults: verification against the operating system's root certificates, connect timeout 10 s,
    /// idle timeout 30 s, PINGs while a session is open, 1000 streams of each kind.
    pub fn new() -> Self {
        Self {
            trust: Trust::System,
            headers: HeaderMap::new(),
            origin: None,
            protocols: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            keep_alive: true,
            transport: TransportConfig::default(),
            congestion_control: CongestionControl::Default,
            observers: None,
            sessions: wt_session::Config::default(),
            allow_pooling: false,
            require_unreliable: false,
            key_log_file: false,
            anticipated: [None; 2],
        }
    }

    /// Accepts a certificate by its SHA-256 instead of by its issuer (W3C `serverCertificateHashes`). It must
    /// be X.509 v3, valid now and for at most 14 days, and its key must not be RSA. Names are not checked. An
    /// empty list, W3C's default, has no effect: the issuer is verified.
    pub fn server_certificate_hashes(mut self, hashes: impl IntoIterator<Item = CertificateHash>) -> Self {
        let hashes: Vec<_> = hashes.into_iter().collect();
        if !hashes.is_empty() {
            self.trust = Trust::Hashes(hashes);
        } else if matches!(self.trust, Trust::Hashes(_)) {
            self.trust = Trust::System;
        }
        self
    }

    /// Trusts only these CA certificates (DER), or self-signed certificates of servers.
    /// [`WebTransport::new`](crate::WebTransport::new) fails with PEM, and with a certificate that cannot
    /// issue others.
    pub fn trusted_certificates(mut self, certificates: impl IntoIterator<Item = Vec<u8>>) -> Self {
        self.trust = Trust::Authorities(certificates.into_iter().collect());
        self
    }

    /// Options that lower the security of the connection.
    pub fn dangerous(self) -> DangerousOptions {
        DangerousOptions(self)
    }

    /// Uses this rustls configuration, which must allow TLS 1.3. If it has no ALPN protocol, `h3` is set. If
    /// its verifier, its key log or another part of it panics, only the connection ends
    /// ([`ErrorCause::CallbackPanicked`](crate::ErrorCause::CallbackPanicked)).
    pub fn rustls_config(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.trust = Trust::Rustls(config);
        self
    }

    /// Sends these fields with the request (W3C `headers`). [`WebTransport::new`](crate::WebTransport::new)
    /// refuses names that this library sets.
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// Sends an `origin` field. Browsers always do; this library only does if it is set here.
    /// [`WebTransport::new`](crate::WebTransport::new) refuses an origin that is not in the form of browsers
    /// ([`check_origin`](crate::check_origin)).
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// Offers application protocols, best first (W3C `protocols`). Each has 1 to 512 characters of printable
    /// ASCII, and none occurs twice; [`WebTransport::new`](crate::WebTransport::new) checks that.
    /// [`protocol()`](crate::WebTransport::protocol) returns the server's choice.
    ///
    /// ```
    /// let options = wt_api::WebTransportOptions::new().protocols(["chat.v2", "chat.v1"]);
    /// # drop(options);
    /// ```
    pub fn protocols<S: Into<String>>(mut self, protocols: impl IntoIterator<Item = S>) -> Self {
        self.protocols = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// Refuses a server that chooses none of the offered [`protocols`](Self::protocols) (WebTransport over
    /// HTTP/3 §3.3). `ready` then fails, and from draft 15 on the server gets `WT_ALPN_ERROR`. It has no
    /// effect without an offer. The default is false: the session then has no protocol.
    pub fn require_protocol(mut self, required: bool) -> Self {
        self.sessions.require_protocol = required;
        self
    }

    /// How long name resolution, handshake and the server's response may take together. Default 10 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Whether PINGs keep the connection alive while a session is open, as in browsers. One is sent every
    /// half of the idle timeout in force, which is the smaller one of both ends.
    /// [`TransportConfig::keep_alive`] can ask for more of them, and also works without this. Default true;
    /// with false, a session ends when it is idle for the idle timeout.
    pub fn keep_alive_sessions(mut self, keep: bool) -> Self {
        self.keep_alive = keep;
        self
    }

    /// Ends a connection on which nothing arrives for this long ([`TransportConfig::idle_timeout`], RFC 9000
    /// §10.1). The smaller timeout of both ends counts. Default 30 s; with `None` or zero, this end sets no
    /// timeout. [`transport`](Self::transport) replaces it.
    pub fn idle_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.transport.idle_timeout = timeout;
        self
    }

    /// Sends a PING whenever the connection was silent for this long ([`TransportConfig::keep_alive`]), with
    /// or without sessions. Default `None`. [`transport`](Self::transport) replaces it.
    pub fn keep_alive(mut self, interval: Option<Duration>) -> Self {
        self.transport.keep_alive = interval;
        self
    }

    /// Sets the QUIC versions that the client accepts, and in which it opens ([`TransportConfig::versions`], RFC
    /// 9368). By default it opens in version 1, and the server may move the connection to version 2.
    /// [`ConnectionParameters::version`](crate::ConnectionParameters::version) tells what came of it.
    /// [`transport`](Self::transport) replaces it.
    pub fn versions(mut self, versions: Versions) -> Self {
        self.transport.versions = versions;
        self
    }

    /// Sets limits, windows and timers of the QUIC connection. If a congestion controller of the application
    /// panics, only this connection ends.
    ///
    /// The three unidirectional streams of HTTP/3 are permitted with any limits. They use three of
    /// `max_streams_uni` as long as the connection exists.
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

    /// The preferred kind of congestion control for what this end sends (W3C `congestionControl`), a hint.
    /// [`congestion_control()`](crate::WebTransport::congestion_control) returns the one in use. Sessions
    /// with different kinds do not share a connection. Default [`CongestionControl::Default`].
    pub fn congestion_control(mut self, wanted: CongestionControl) -> Self {
        self.congestion_control = wanted;
        self
    }

    /// Whether the session may share its connection with others that allow it and have the same options (W3C
    /// `allowPooling`). They then have congestion control and path in common, and [`get_stats`] reports less.
    /// Default false: the session has its own connection. It cannot be combined with
    /// [`server_certificate_hashes`](Self::server_certificate_hashes).
    ///
    /// A shared connection stays open for 5 s after its last session. If it does not answer within 300 ms, or
    /// three probe timeouts, after a session was requested on it, it gets no further requests, and another
    /// connection is opened. A server that permits one session per connection gets as many connections as
    /// sessions.
    ///
    /// [`get_stats`]: crate::WebTransport::get_stats
    pub fn allow_pooling(mut self, allow: bool) -> Self {
        self.allow_pooling = allow;
        self
    }

    /// Whether to append the keys of the connection to the file in the environment variable `SSLKEYLOGFILE`,
    /// if it is set. Anyone who reads the file can read all traffic. This is for tools and tests. A
    /// configuration from [`rustls_config`](Self::rustls_config) has its own key log. Default false.
    pub fn key_log_file(mut self, write: bool) -> Self {
        self.key_log_file = write;
        self
    }

    /// Whether to refuse a transport without datagrams (W3C `requireUnreliable`). This library has no such
    /// transport, since HTTP/3 always has datagrams, so this has no effect. Default false.
    pub fn require_unreliable(mut self, require: bool) -> Self {
        self.require_unreliable = require;
        self
    }

    /// How many bidirectional streams the server is expected to have open at once (W3C
    /// `anticipatedConcurrentIncomingBidirectionalStreams`), a hint. The server may open at least this many,
    /// and never fewer than [`TransportConfig`] permits. Default `None`: no expectation.
    pub fn anticipated_concurrent_incoming_bidirectional_streams(mut self, streams: Option<u16>) -> Self {
        self.anticipated[quic_core::Dir::Bidi as usize] = streams;
        self
    }

    /// The same for unidirectional streams (W3C `anticipatedConcurrentIncomingUnidirectionalStreams`).
    pub fn anticipated_concurrent_incoming_unidirectional_streams(mut self, streams: Option<u16>) -> Self {
        self.anticipated[quic_core::Dir::Uni as usize] = streams;
        self
    }

    /// Requires everything that draft 16 demands from a server, even `reset_stream_at`, which some of today's
    /// servers lack. Default false.
    pub fn strict(mut self, strict: bool) -> Self {
        self.sessions.strict = strict;
        self
    }

    /// The connection's limits, and the configuration of its sessions.
    pub(crate) fn configs(&self) -> (TransportConfig, wt_session::Config) {
        let (mut transport, mut sessions) = (self.transport.clone(), self.sessions.clone());
        suit_http3(&mut transport, 0);
        permit(&mut transport, self.anticipated, 0);
        transport.congestion = self.congestion().config();
        transport.observers = self.observers.clone().or(transport.observers);
        if self.allow_pooling {
            sessions.max_sessions = sessions.max_sessions.max(MAX_POOLED);
            permit_in_sessions(sessions.flow_control.get_or_insert_default(), self.anticipated);
        }
        share(&mut transport, &mut sessions);
        keep_early_streams(&transport, &mut sessions);
        (transport, sessions)
    }

    /// The congestion control of connections with these options.
    pub(crate) fn congestion(&self) -> Congestion {
        Congestion::new(self.congestion_control, self.transport.congestion.clone())
    }

    /// Announces only one dialect. For tests: there is no reason to use an older draft than both ends
    /// support.
    #[doc(hidden)]
    pub fn only_dialect(mut self, dialect: wt_session::Dialect) -> Self {
        self.sessions.dialects = wt_session::Dialects::only(dialect);
        self
    }
}

/// Options that lower the security of a connection. They are separate so that they stand out.
#[derive(Clone, Debug)]
#[must_use]
pub struct DangerousOptions(WebTransportOptions);

impl DangerousOptions {
    /// Accepts every certificate, so anyone on the path can read and change everything. For tests.
    pub fn no_certificate_verification(mut self) -> WebTransportOptions {
        self.0.trust = Trust::Nothing;
        self.0
    }
}

/// A checked and parsed URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The name or address, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) authority: Authority,
    pub(crate) path: PathAndQuery,
}

impl Target {
    /// Checks a URL as the W3C constructor does.
    pub(crate) fn parse(text: &str) -> Result<Self, ConnectOptionsError> {
        let invalid = |message: String| ConnectOptionsError::InvalidUrl { url: text.to_owned(), message };
        let url = url::Url::parse(text).map_err(|error| match (error, meant(text)) {
            (_, Some(meant)) => invalid(meant),
            (url::ParseError::EmptyHost, None) => ConnectOptionsError::NoHost,
            (error, None) => invalid(error.to_string()),
        })?;
        if url.scheme() != "https" {
            if let Some(meant) = meant(text) {
                return Err(invalid(meant));
            }
            return Err(ConnectOptionsError::NotHttps { scheme: url.scheme().to_owned() });
        }
        if url.fragment().is_some() {
            return Err(ConnectOptionsError::Fragment);
        }
        if url.port() == Some(0) {
            return Err(invalid("0 is no port; write the server's UDP port".to_owned()));
        }
        let host = match url.host().ok_or(ConnectOptionsError::NoHost)? {
            url::Host::Domain(name) => name.to_owned(),
            url::Host::Ipv4(address) => address.to_string(),
            url::Host::Ipv6(address) => address.to_string(),
        };
        let written = url.host_str().unwrap_or_default();
        let authority = match url.port() {
            Some(port) => format!("{written}:{port}"),
            None => written.to_owned(),
        };
        let authority = authority.parse().map_err(|_| invalid("the host is not valid".to_owned()))?;
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let path = path.parse().map_err(|_| invalid("the path is not valid".to_owned()))?;
        Ok(Self { host, port: url.port().unwrap_or(443), authority, path })
    }
}

/// A correction for a text that is not the URL of a session.
fn meant(text: &str) -> Option<String> {
    let Some(rest) = text.strip_prefix("https://") else {
        // A URL parser takes `localhost:4433/x` for a URL with the scheme `localhost`.
        let is_port = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
        let has_scheme = text.contains("://") || text.split_once(':').is_some_and(|(_, rest)| !is_port(rest));
        let is_host =
            text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[') && !text.contains(' ');
        let bracketed = text.starts_with('[');
        return (is_host && (!has_scheme || bracketed))
            .then(|| format!("it has no scheme; write https://{text}"));
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let is_v6 = |text: &str| text.parse::<std::net::Ipv6Addr>().is_ok();
    let bracketed = match authority.rsplit_once(':') {
        Some((host, port)) if is_v6(host) && port.parse::<u16>().is_ok() => format!("[{host}]:{port}"),
        _ if is_v6(authority) => format!("[{authority}]"),
        _ => return None,
    };
    Some(format!("an IPv6 address stands in brackets; write https://{bracketed}{path}"))
}

/// Checks for fields that the library sets itself, or that HTTP/3 forbids (RFC 9114 §4.2).
pub(crate) fn check_headers(headers: &HeaderMap) -> Result<(), ConnectOptionsError> {
    const FORBIDDEN: [&str; 11] = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
        "te",
        "host",
        "origin",
        "content-length",
        "sec-webtransport-http3-draft02",
        "wt-available-protocols",
    ];
    match headers.keys().find(|name| FORBIDDEN.contains(&name.as_str())) {
        Some(name) => Err(ConnectOptionsError::ForbiddenHeader(name.to_string())),
        None => Ok(()),
    }
}

/// The longest name of an application protocol, in bytes (W3C `protocols`).
const MAX_PROTOCOL: usize = 512;

/// The field value that offers these protocols; `None` if there are none.
pub(crate) fn protocol_offer(protocols: &[String]) -> Result<Option<http::HeaderValue>, ConnectOptionsError> {
    for (at, protocol) in protocols.iter().enumerate() {
        let problem = if !(1..=MAX_PROTOCOL).contains(&protocol.len()) {
            "it has to have 1 to 512 characters"
        } else if protocols[..at].contains(protocol) {
            "it is there twice"
        } else if wt_session::protocols::choice(protocol).is_none() {
            "it has to be of printable ASCII"
        } else {
            continue;
        };
        return Err(ConnectOptionsError::InvalidProtocol { protocol: protocol.clone(), problem });
    }
    Ok(wt_session::protocols::offer(protocols))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked_as_in_the_w3c_constructor() {
        let target = Target::parse("https://Example.org/a?b=c").unwrap();
        assert_eq!((target.host.as_str(), target.port), ("example.org", 443));
        assert_eq!((target.authority.as_str(), target.path.as_str()), ("example.org", "/a?b=c"));
        let target = Target::parse("https://[::1]:4433").unwrap();
        assert_eq!(
            (target.host.as_str(), target.authority.as_str(), target.path.as_str()),
            ("::1", "[::1]:4433", "/")
        );
        assert!(matches!(Target::parse("no url"), Err(ConnectOptionsError::InvalidUrl { .. })));
        assert!(matches!(Target::parse("/relative"), Err(ConnectOptionsError::InvalidUrl { .. })));
        assert!(matches!(Target::parse("https://a:0/"), Err(ConnectOptionsError::InvalidUrl { .. })));
        assert!(matches!(Target::parse("http://a/"), Err(ConnectOptionsError::NotHttps { .. })));
        assert_eq!(Target::parse("https://a/#"), Err(ConnectOptionsError::Fragment));
        assert_eq!(Target::parse("https:///"), Err(ConnectOptionsError::NoHost));
    }

    #[test]
    fn errors_contain_a_correction() {
        for (text, told) in [
            (
                "localhost:4433/x",
                "\"localhost:4433/x\" is not an absolute URL: it has no scheme; write https://localhost:4433/x",
            ),
            ("localhost/x", "it has no scheme; write https://localhost/x"),
            ("127.0.0.1:4433", "it has no scheme; write https://127.0.0.1:4433"),
            ("[::1]:4433/x", "it has no scheme; write https://[::1]:4433/x"),
            ("https://::1:4433", "an IPv6 address stands in brackets; write https://[::1]:4433"),
            ("https://::1/x", "write https://[::1]/x"),
            ("https://2001:db8::1:443/?a", "write https://[2001:db8::1]:443/?a"),
        ] {
            let error = Target::parse(text).expect_err(text);
            assert!(matches!(error, ConnectOptionsError::InvalidUrl { .. }), "{error:?}");
            assert!(error.to_string().contains(told), "{error}");
        }
        for text in ["mailto:a@b", "ftp://a/", "http://a/"] {
            assert!(matches!(Target::parse(text), Err(ConnectOptionsError::NotHttps { .. })), "{text}");
        }
    }

    #[test]
    fn own_fields_cannot_be_overridden() {
        let mut headers = HeaderMap::new();
        headers.insert("x-ours", "1".parse().unwrap());
        assert_eq!(check_headers(&headers), Ok(()));
        headers.insert("origin", "https://a".parse().unwrap());
        assert_eq!(check_headers(&headers), Err(ConnectOptionsError::ForbiddenHeader("origin".to_owned())));
    }
}

//! What can go wrong, as types: each error names its cause and, where there is one, the remedy.
//!
//! Owns the public error types. Must never know sockets or drivers: they translate into these.

use std::{
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use quic_core::error::ConnectionError;

use crate::close::{CloseInfo, ClosedBy};
pub use crate::origin::InvalidOrigin;

/// Which part of the API failed (W3C `WebTransportErrorSource`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WebTransportErrorSource {
    /// The session as a whole.
    Session,
    /// One stream; the session goes on.
    Stream,
}

/// An error of a session or a stream (W3C `WebTransportError`). Cheap to clone; the native cause is behind
/// [`WebTransportError::cause`]. The text says all of it: `source()` is what the cause has below itself, which no text repeats.
///
/// ```
/// use wt_api::{ErrorCause, WebTransportError};
/// fn may_try_again(error: &WebTransportError) -> bool {
///     matches!(error.cause(), ErrorCause::Timeout { .. } | ErrorCause::Status { status: 429 | 503 })
/// }
/// # let _ = may_try_again;
/// ```
#[derive(Clone, Debug)]
pub struct WebTransportError {
    source: WebTransportErrorSource,
    stream_error_code: Option<u32>,
    cause: Arc<ErrorCause>,
}

impl WebTransportError {
    /// An error for adapters that have to make one, such as an implementation of this API over another transport, or the double
    /// of a session in a test.
    ///
    /// ```
    /// use wt_api::{ErrorCause, WebTransportError, WebTransportErrorSource};
    /// let error = WebTransportError::new(WebTransportErrorSource::Stream, ErrorCause::StreamReset(Some(7)));
    /// assert_eq!(error.stream_error_code(), Some(7));
    /// ```
    #[must_use]
    pub fn new(source: WebTransportErrorSource, cause: ErrorCause) -> Self {
        match source {
            WebTransportErrorSource::Session => Self::session(cause),
            WebTransportErrorSource::Stream => Self::stream(cause),
        }
    }

    /// An error of the whole session.
    pub(crate) fn session(cause: ErrorCause) -> Self {
        Self { source: WebTransportErrorSource::Session, stream_error_code: None, cause: Arc::new(cause) }
    }

    /// A close, by this side or the peer.
    pub(crate) fn closed(by: ClosedBy, info: CloseInfo) -> Self {
        Self::session(ErrorCause::SessionClosed { by, info })
    }

    /// An error of one stream.
    pub(crate) fn stream(cause: ErrorCause) -> Self {
        let stream_error_code = match cause {
            ErrorCause::StreamReset(code) | ErrorCause::StreamStopped(code) => code,
            _ => None,
        };
        Self { source: WebTransportErrorSource::Stream, stream_error_code, cause: Arc::new(cause) }
    }

    /// What failed: the session, or one stream (W3C `source`).
    #[must_use]
    pub fn error_source(&self) -> WebTransportErrorSource {
        self.source
    }

    /// The code with which the peer reset or stopped a stream (W3C `streamErrorCode`), 0 to 2^32 - 1. `None` if
    /// the error is not of that kind, or if the peer's code lies outside WebTransport's range.
    #[must_use]
    pub fn stream_error_code(&self) -> Option<u32> {
        self.stream_error_code
    }

    /// The code and the reason of the session's close, if that is what ended the call: by whichever side, see
    /// [`ErrorCause::SessionClosed`].
    ///
    /// ```
    /// # async fn example(session: wt_api::WebTransport) -> Result<(), wt_api::WebTransportError> {
    /// loop {
    ///     match session.receive_datagram().await {
    ///         Ok(datagram) => println!("{} bytes", datagram.len()),
    ///         // The session has ended as it should.
    ///         Err(error) if error.close_info().is_some() => return Ok(()),
    ///         Err(error) => return Err(error),
    ///     }
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn close_info(&self) -> Option<&CloseInfo> {
        match &*self.cause {
            ErrorCause::SessionClosed { info, .. } => Some(info),
            _ => None,
        }
    }

    /// The native cause.
    #[must_use]
    pub fn cause(&self) -> &ErrorCause {
        &self.cause
    }
}

impl fmt::Display for WebTransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.cause, f)
    }
}

impl std::error::Error for WebTransportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.cause)
    }
}

impl From<WebTransportError> for io::Error {
    fn from(error: WebTransportError) -> Self {
        let kind = match *error.cause {
            ErrorCause::StreamReset(_) => io::ErrorKind::ConnectionReset,
            ErrorCause::StreamStopped(_) | ErrorCause::StreamFinished => io::ErrorKind::BrokenPipe,
            ErrorCause::Timeout { .. } => io::ErrorKind::TimedOut,
            ErrorCause::Options(_) => io::ErrorKind::InvalidInput,
            ErrorCause::ConnectionRefused { .. } => io::ErrorKind::ConnectionRefused,
            ErrorCause::Unreachable { error: ref cause, .. } => cause.kind(),
            _ => io::ErrorKind::NotConnected,
        };
        Self::new(kind, error)
    }
}

/// For functions that make a session and use it, so that `?` serves for both: [`ErrorCause::Options`], of the session.
///
/// ```
/// use wt_api::{ErrorCause, WebTransport, WebTransportError, WebTransportOptions};
/// async fn connected(url: &str) -> Result<WebTransport, WebTransportError> {
///     let session = WebTransport::new(url, WebTransportOptions::new())?;
///     session.ready().await?;
///     Ok(session)
/// }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let error = connected("http://example.org/").await.unwrap_err();
/// assert!(matches!(error.cause(), ErrorCause::Options(_)));
/// # });
/// ```
impl From<ConnectOptionsError> for WebTransportError {
    fn from(error: ConnectOptionsError) -> Self {
        Self::session(ErrorCause::Options(error))
    }
}

/// Why something failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorCause {
    /// A session was not even asked for: its URL or its options cannot be used. No call of a session ends so; a
    /// [`ConnectOptionsError`] becomes one by `From`.
    #[error(transparent)]
    Options(ConnectOptionsError),
    /// The host name has no address.
    #[error(
        "the name {host:?} could not be resolved: {message}; check the spelling and the resolver's configuration"
    )]
    NameResolution {
        /// The name.
        host: String,
        /// What the resolver said.
        message: Arc<str>,
    },
    /// The host answered that nothing listens on the UDP port.
    #[error(
        "{remote} refused: nothing listens on this UDP port{}; check that the server runs, and that the port is its UDP port",
        meant(.remote.port())
    )]
    ConnectionRefused {
        /// The address that was tried.
        remote: SocketAddr,
    },
    /// This host cannot send to the address, or may not: no route, no such network, a local filter. Told at once, while a
    /// connection is being made; later it counts as loss.
    #[error("{remote} cannot be reached from here: {error}; {}", unreachable_remedy(.error))]
    Unreachable {
        /// The address that was tried.
        remote: SocketAddr,
        /// What the system said.
        error: Arc<io::Error>,
    },
    /// The UDP socket could not be made or used.
    #[error("the UDP socket cannot be used: {0}")]
    Socket(Arc<io::Error>),
    /// The session was not there in time.
    #[error("no session within {after:?}: {stage}; {}", .stage.remedy())]
    Timeout {
        /// The connect timeout.
        after: Duration,
        /// What was waited for.
        stage: ConnectStage,
    },
    /// The peer speaks QUIC but not HTTP/3.
    #[error("{remote} does not speak HTTP/3 (ALPN \"h3\"): the address may be of another QUIC service")]
    NoHttp3 {
        /// The server's address.
        remote: SocketAddr,
    },
    /// The server's certificate is not acceptable.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// TLS failed for another reason than the certificate.
    #[error("the TLS handshake failed: {message} (alert {alert})")]
    Tls {
        /// The TLS alert (RFC 8446 §6).
        alert: u8,
        /// What the TLS library said.
        message: Arc<str>,
    },
    /// The server speaks HTTP/3 and does not offer what a session needs.
    #[error("the server refused the session: {0}")]
    Refused(Arc<str>),
    /// The server answered the session's request with this HTTP status.
    #[error("the server answered with status {status}: {}", status_remedy(*.status))]
    Status {
        /// The status, 300 to 599.
        status: u16,
    },
    /// A server's application accepts with a status that does not say so.
    #[error(
        "status {status} does not accept a session; accept with 2xx, or reject the request with this status"
    )]
    NotAccepting {
        /// The status, not 2xx.
        status: u16,
    },
    /// The QUIC connection ended.
    #[error("the connection ended: {0}")]
    Connection(ConnectionError),
    /// An application closed the connection, with every session on it ([`Connection::close`](crate::Connection::close)), or
    /// this end did of its own accord.
    #[error("{}", closed_text(*.by, *.code, .reason))]
    ConnectionClosed {
        /// Who.
        by: ConnectionCloser,
        /// An error code of HTTP/3 (RFC 9114 §8.1), or one that applications agree upon.
        code: u64,
        /// The reason for people that went with it; empty if none did.
        reason: Arc<str>,
    },
    /// Code of the application panicked where this library called it while it served the connection: a certificate verifier,
    /// a resolver, a key log or another part of its rustls configuration, a congestion controller, a waker. The connection
    /// ended, no other one did. With the panic's message, if that is a text.
    #[error(
        "application code panicked in a callback of the connection, which ended: {0}; mend the verifier, resolver, key log, congestion controller or other code that was called"
    )]
    CallbackPanicked(Arc<str>),
    /// The peer broke a rule of HTTP/3.
    #[error("the connection ended: {0}")]
    Http3(h3_core::H3Error),
    /// The session ended without a close by the peer.
    #[error("the session ended abruptly: {0}")]
    SessionFailed(Arc<str>),
    /// The session is closed, as [`closed`](crate::WebTransport::closed) tells it too: whatever an application waits for when
    /// that happens ends with this cause.
    #[error("{by} closed the session ({info}); connect again for a new one")]
    SessionClosed {
        /// Who closed it.
        by: ClosedBy,
        /// The code and the reason.
        info: CloseInfo,
    },
    /// The runtime that the session was made on has shut down, or the task that served its connection ended by a panic.
    #[error(
        "the runtime that the session was made on is gone; keep the runtime for as long as its sessions, and make new ones on a runtime that runs"
    )]
    RuntimeGone,
    /// The runtime that the session was made on lacks a driver.
    #[error("the tokio runtime has no {missing} driver; build it with enable_all(), or under #[tokio::main]")]
    RuntimeDriver {
        /// What is missing: "time" or "I/O".
        missing: &'static str,
    },
    /// The peer reset the stream.
    #[error("the peer reset the stream {}", code_text(*.0))]
    StreamReset(Option<u32>),
    /// The peer does not want to read more of the stream.
    #[error("the peer stopped reading the stream {}", code_text(*.0))]
    StreamStopped(Option<u32>),
    /// The stream was finished or reset by this side before.
    #[error("the stream was finished or reset by this side; open another one to send more")]
    StreamFinished,
    /// The peer permits no further stream now, and waiting was not wanted.
    #[error("the peer permits no further stream now (QuotaExceededError); wait, or close other streams")]
    QuotaExceeded,
    /// A send group of another session (W3C `InvalidStateError`).
    #[error("the send group belongs to another session; make one with this session's create_send_group()")]
    ForeignSendGroup,
    /// The peer's limits do not permit the whole chunk now.
    #[error(
        "{size} bytes do not fit into what the peer permits now; try again later, or write smaller pieces"
    )]
    WouldBlock {
        /// The chunk's size, in bytes.
        size: usize,
    },
    /// More arrived than the caller allowed.
    #[error("the stream holds more than the {limit} bytes that were allowed")]
    ReadLimit {
        /// The caller's limit, in bytes.
        limit: usize,
    },
    /// An HTTP exchange failed.
    #[error("the HTTP exchange failed: {0}")]
    Http(Arc<str>),
}

// The text of either is in its cause's: as a source it would be told twice.
impl From<ConnectionError> for ErrorCause {
    fn from(error: ConnectionError) -> Self {
        Self::Connection(error)
    }
}

impl From<h3_core::H3Error> for ErrorCause {
    fn from(error: h3_core::H3Error) -> Self {
        Self::Http3(error)
    }
}

/// What [`ErrorCause::Timeout`] waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectStage {
    /// The addresses of the host's name.
    Name,
    /// Any answer to the handshake.
    Handshake {
        /// The UDP port that was tried.
        port: u16,
    },
    /// The answer to the session's request, on a connection that stands.
    Answer,
    /// The same on a connection that other sessions share.
    SharedAnswer,
}

impl fmt::Display for ConnectStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("the name is not resolved"),
            Self::Handshake { port } => write!(f, "nothing answers on UDP port {port}{}", meant(*port)),
            Self::Answer => f.write_str("the connection stands, and the server does not answer the request"),
            Self::SharedAnswer => f.write_str("a shared connection does not answer the request"),
        }
    }
}

impl ConnectStage {
    fn remedy(self) -> &'static str {
        match self {
            Self::Name => "check this host's network and its resolver's configuration",
            Self::Handshake { .. } => {
                "a firewall that drops UDP, a wrong address or port, or a server that does not run are the usual reasons"
            }
            // Whoever looks at firewalls now looks in the wrong place.
            Self::Answer | Self::SharedAnswer => {
                "the network and the port are right: the server's application is slow to accept the session, or does not take requests"
            }
        }
    }
}

/// Said of the port that nobody has to write.
fn meant(port: u16) -> &'static str {
    if port == 443 { " (443 is meant where a URL names no port)" } else { "" }
}

fn unreachable_remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "a firewall or another policy of this host, or of a router, forbids it: permit UDP to this address and port"
        }
        io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::AddrNotAvailable => {
            "check that this host's network is up and has a route to the address, and that the address is the server's"
        }
        _ => "check this host's network, and that its links carry UDP datagrams of 1200 bytes",
    }
}

fn status_remedy(status: u16) -> &'static str {
    match status {
        300..=399 => "WebTransport follows no redirects; connect to the final URL",
        401 | 407 => "credentials are missing; send them in a header",
        403 => "the server does not permit this origin or client; add the origin to its allowed origins",
        404 => "there is no session at this path; check the URL's path",
        405 | 501 => "the server has no WebTransport at this path",
        429 | 503 => "the server is busy; try again later",
        _ => "the server does not accept the session",
    }
}

/// Who closed a connection: see [`ErrorCause::ConnectionClosed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionCloser {
    /// The other end: its application, or its library.
    Peer,
    /// This end's application, by [`Connection::close`](crate::Connection::close).
    ThisApplication,
    /// This end's server, which shuts down: the deadline of [`shutdown`](crate::Server::shutdown) was over, or nothing was left
    /// on the connection.
    Shutdown,
    /// This end, for the connection had no use any more.
    Unused,
}

fn closed_text(by: ConnectionCloser, code: u64, reason: &str) -> String {
    let name = h3_core::error::code::name(code).map(|name| format!(" ({name})")).unwrap_or_default();
    let said = if reason.is_empty() { String::new() } else { format!(" and the reason {reason:?}") };
    match by {
        ConnectionCloser::Peer => {
            format!("the peer closed the connection with code {code:#x}{name}{said}; connect again for new sessions")
        }
        ConnectionCloser::ThisApplication => format!(
            "this application closed the connection with code {code:#x}{name}{said} (Connection::close), and its sessions with it"
        ),
        ConnectionCloser::Shutdown => {
            "this server shut down, and closed the connection when the deadline was over; give shutdown(..) more time, or close sessions before it".to_owned()
        }
        ConnectionCloser::Unused => "this end closed the connection, for it had no use any more".to_owned(),
    }
}

fn code_text(code: Option<u32>) -> String {
    code.map_or_else(
        || "with a code outside WebTransport's range".to_owned(),
        |code| format!("with code {code}"),
    )
}

/// Why the server's certificate was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// None of the given hashes is the certificate's.
    #[error(
        "the server's certificate has SHA-256 {actual}, which is not among the server_certificate_hashes; copy the server's current hash"
    )]
    HashMismatch {
        /// The hash of the certificate that the server presented, as hexadecimal digits.
        actual: String,
    },
    /// The validity period has ended.
    #[error("the server's certificate has expired; renew it on the server")]
    Expired,
    /// The validity period has not begun.
    #[error("the server's certificate is not valid yet; check the clocks of both machines")]
    NotYetValid,
    /// Longer valid than hash authentication permits.
    #[error("a certificate that is accepted by hash is valid for at most 14 days; this one for {days}")]
    ValidForTooLong {
        /// Its validity, in whole days.
        days: u64,
    },
    /// A kind of key that hash authentication does not permit.
    #[error("a certificate that is accepted by hash must not have an RSA key; use ECDSA P-256")]
    RsaKey,
    /// Not an X.509 version 3 certificate.
    #[error("the server's certificate is no X.509 version 3 certificate")]
    Malformed,
    /// The certificate is for other names.
    #[error("the server's certificate is not for the name {name:?}; connect to a name that it holds")]
    WrongName {
        /// The name that was asked for.
        name: String,
    },
    /// Nobody that is trusted issued the certificate.
    #[error(
        "the issuer of the server's certificate is not trusted; give its CA with trusted_certificates, or the certificate's hash with server_certificate_hashes"
    )]
    UnknownIssuer,
    /// The certificate is one that issues others, which no server may show (RFC 5280 §4.2.1.9).
    #[error(
        "the server shows the certificate of a CA (CA:TRUE, as `openssl req -x509` makes by default); show one that this CA issued, make it with -addext basicConstraints=critical,CA:FALSE, or accept it by its hash with server_certificate_hashes"
    )]
    IsAuthority,
    /// Another reason, in the TLS library's words.
    #[error("the server's certificate is not acceptable: {0}")]
    Other(Arc<str>),
}

/// Why [`WebTransport::new`](crate::WebTransport::new) did not even start (W3C `SyntaxError`, `TypeError`,
/// `NotSupportedError`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectOptionsError {
    /// Not a URL.
    #[error("{url:?} is not an absolute URL: {message}")]
    InvalidUrl {
        /// The text.
        url: String,
        /// What is wrong with it.
        message: String,
    },
    /// Another scheme than https.
    #[error("WebTransport needs an https URL, not {scheme}")]
    NotHttps {
        /// The scheme.
        scheme: String,
    },
    /// A fragment, which has no meaning here.
    #[error("a WebTransport URL has no fragment; remove the part from # on")]
    Fragment,
    /// No host.
    #[error("the URL names no host")]
    NoHost,
    /// A header that this library sets itself, or that HTTP/3 forbids.
    #[error("the header {0} cannot be set by the application")]
    ForbiddenHeader(String),
    /// An application protocol that cannot be offered.
    #[error("the application protocol {protocol:?} cannot be offered: {problem}")]
    InvalidProtocol {
        /// The protocol.
        protocol: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// An origin that is none.
    #[error(transparent)]
    InvalidOrigin(#[from] InvalidOrigin),
    /// One of the [`trusted_certificates`](crate::WebTransportOptions::trusted_certificates) that is no CA's certificate in DER.
    #[error("certificate {position} of those to trust cannot be used: {problem}")]
    TrustedCertificate {
        /// Which one, from 1.
        position: usize,
        /// What is wrong with it, and what to give instead.
        problem: String,
    },
    /// A certificate by hash on a connection that others may share (W3C `NotSupportedError`).
    #[error(
        "a connection whose certificate is accepted by hash is not shared; leave out allow_pooling or server_certificate_hashes"
    )]
    PoolingWithHashes,
    /// The transport settings refuse datagrams, which WebTransport cannot do without (WebTransport over HTTP/3 §3.1).
    #[error(
        "WebTransport needs QUIC datagrams, and max_datagram_frame_size of the TransportConfig is {size}; leave it at its default, or give at least 16"
    )]
    NoDatagrams {
        /// `max_datagram_frame_size`, in bytes.
        size: u64,
    },
    /// Called outside an async runtime.
    #[error("there is no tokio runtime here; call from within one, for example under #[tokio::main]")]
    NoRuntime,
    /// The system has no certificates of CAs, as in a small container, or they cannot be read.
    #[error(
        "the CAs that this system trusts cannot be used: {0}; install them (often a package ca-certificates), or say whom to trust with trusted_certificates or server_certificate_hashes"
    )]
    SystemTrust(String),
    /// The TLS options contradict each other or cannot be used.
    #[error("the TLS options cannot be used: {0}")]
    Tls(String),
}

/// Why [`WebTransport::export_keying_material`](crate::WebTransport::export_keying_material) gave nothing.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The label is longer than 255 bytes (W3C `RangeError`).
    #[error("the label has {size} bytes; at most 255 are possible")]
    LabelTooLong {
        /// Its size, in bytes.
        size: usize,
    },
    /// The context is longer than 255 bytes (W3C `RangeError`).
    #[error("the context has {size} bytes; at most 255 are possible")]
    ContextTooLong {
        /// Its size, in bytes.
        size: usize,
    },
    /// No output was asked for, or more than there can be (W3C `RangeError`).
    #[error("{size} bytes of keying material were asked for; 1 to 4096 are possible")]
    OutputSize {
        /// What was asked for, in bytes.
        size: usize,
    },
    /// There is no session (W3C `InvalidStateError`).
    #[error(transparent)]
    Session(#[from] WebTransportError),
}

/// Why a secret makes no keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerKeysError {
    /// Too few bytes.
    #[error("the secret has {size} bytes, and keys need 32 at least; make one with ServerKeys::new_secret()")]
    TooShort {
        /// How many it has.
        size: usize,
    },
}

/// Why a server could not be built.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// No identity was given.
    #[error("a server needs a certificate: give one with identity(..), for example Identity::self_signed")]
    NoIdentity,
    /// The identity cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// One of the [`allowed_origins`](crate::ServerBuilder::allowed_origins) is none.
    #[error(transparent)]
    InvalidOrigin(#[from] InvalidOrigin),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}{}", bind_remedy(.error, *.address))]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        error: Arc<io::Error>,
    },
    /// The transport settings refuse datagrams, which WebTransport cannot do without (WebTransport over HTTP/3 §3.1).
    #[error(
        "WebTransport needs QUIC datagrams, and max_datagram_frame_size of the TransportConfig is {size}; leave it at its default, or give at least 16"
    )]
    NoDatagrams {
        /// `max_datagram_frame_size`, in bytes.
        size: u64,
    },
    /// Called outside an async runtime.
    #[error("there is no tokio runtime here; call from within one, for example under #[tokio::main]")]
    NoRuntime,
    /// The runtime around the call lacks a driver.
    #[error("the tokio runtime has no {missing} driver; build it with enable_all(), or under #[tokio::main]")]
    RuntimeDriver {
        /// What is missing: "time" or "I/O".
        missing: &'static str,
    },
    /// The TLS configuration cannot be used.
    #[error("the TLS configuration cannot be used: {0}")]
    Tls(String),
    /// QUIC cannot use the application's rustls configuration: it needs TLS 1.3 (RFC 9001 §4.2).
    #[error(
        "QUIC cannot use the rustls configuration: {0}; build it with TLS 1.3 (rustls::version::TLS13) and its usual cipher suites"
    )]
    NotForQuic(String),
    /// The certificates of the server are those of the application's rustls configuration.
    #[error(
        "the server was built with rustls_config(..), whose cert_resolver chooses certificates; change them there, or build the server with identity(..)"
    )]
    OwnConfiguration,
}

/// What to do where an address cannot be listened on; empty where nobody knows.
fn bind_remedy(error: &io::Error, address: SocketAddr) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program has this UDP port, perhaps a web server for HTTP/3: end it, or choose another port"
        }
        io::ErrorKind::PermissionDenied if address.port() < 1024 => {
            "; ports below 1024 need a privilege, on Linux CAP_NET_BIND_SERVICE: grant it, or choose another port"
        }
        io::ErrorKind::AddrNotAvailable => {
            "; this machine does not have the address: give one of its own, or [::] for all"
        }
        _ => "",
    }
}

/// Why a certificate and key cannot be an identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// No certificate in the input.
    #[error(
        "no certificate was found; PEM certificates start with -----BEGIN CERTIFICATE-----: check that this is the chain, not the key"
    )]
    NoCertificate,
    /// No private key in the input.
    #[error(
        "no private key was found; PEM keys start with -----BEGIN PRIVATE KEY----- or the like: check that this is the key, not the chain"
    )]
    NoKey,
    /// More than one private key in the input.
    #[error("{count} private keys were found; leave the one that belongs to the certificate")]
    SeveralKeys {
        /// How many.
        count: usize,
    },
    /// The private key is protected by a password.
    #[error(
        "the private key is encrypted; decrypt it first, for example with openssl pkey -in KEY -out DECRYPTED"
    )]
    EncryptedKey,
    /// PEM where DER is wanted.
    #[error("the {what} is PEM, and DER is wanted; read PEM with Identity::from_pem or from_pem_files")]
    PemForDer {
        /// "certificate chain" or "private key".
        what: &'static str,
    },
    /// Bytes that are neither.
    #[error("the input is malformed: {0}")]
    Malformed(String),
    /// The key does not belong to the certificate.
    #[error(
        "the private key does not belong to the certificate; check that both files are of the same pair, and that the chain begins with the server's own certificate (fullchain.pem of ACME tools, not chain.pem)"
    )]
    KeyMismatch,
    /// The key belongs to another certificate of the chain than the first.
    #[error(
        "the private key belongs to certificate {position} of the chain; put that one first, its issuer after it"
    )]
    ChainOrder {
        /// Which one, from 2.
        position: usize,
    },
    /// A file cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// What is wrong, and in which files.
    #[error("{}: {error}", join(.files))]
    InFiles {
        /// The file, or the chain and the key if it takes both to see it.
        files: Vec<PathBuf>,
        /// What is wrong there.
        error: Box<IdentityError>,
    },
    /// A text that is not a DNS name, nor `*.` and one.
    #[error(
        "{0:?} is no name that a client asks for; give a DNS name in ASCII, such as example.org, or *.example.org for all names one label longer"
    )]
    Name(String),
    /// A certificate could not be made.
    #[error("the certificate could not be made: {0}")]
    Generation(String),
}

impl IdentityError {
    /// The same, said of files.
    pub(crate) fn within<const N: usize>(self, files: [&Path; N]) -> Self {
        Self::InFiles { files: files.map(Path::to_owned).to_vec(), error: Box::new(self) }
    }
}

fn join(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" and ")
}

/// Why a datagram was not sent, or not received.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatagramError {
    /// Larger than fits now.
    #[error("a datagram of {size} bytes exceeds the current maximum of {max}; see max_datagram_size()")]
    TooLarge {
        /// Its size, in bytes.
        size: usize,
        /// The current maximum, in bytes.
        max: usize,
    },
    /// The queue is full ([`try_send`](crate::DatagramsWritable::try_send) alone).
    #[error("the datagram queue is full; use send(..).await to wait for room")]
    Full,
    /// The buffer is too small ([`recv_into`](crate::DatagramsReadable::recv_into) alone, W3C `RangeError`); the datagram
    /// stays where it is.
    #[error("the next datagram has {needed} bytes, more than the buffer; call again with a larger one")]
    BufferTooSmall {
        /// The datagram's size, in bytes.
        needed: usize,
    },
    /// The session is not ready yet ([`try_send`](crate::DatagramsWritable::try_send) alone), so that nobody knows how much
    /// a datagram holds.
    #[error("the session is not ready yet; await ready() first, or use send(..).await, which does")]
    NotReady,
    /// The session is gone.
    #[error(transparent)]
    Session(#[from] WebTransportError),
}

//! The errors of the API as types. Each names its cause and, where there is one, the remedy.
//!
//! Owns the public error types. It must never know sockets or drivers: they translate into these types.

mod client;
mod connecting;
mod identity;
mod server;

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use quic_core::error::ConnectionError;

use self::connecting::{meant, status_remedy, unreachable_remedy};
pub use self::{
    client::ClientError,
    connecting::{CertificateError, ConnectOptionsError, ConnectStage},
    identity::IdentityError,
    server::{ServerError, ServerKeysError},
};
use crate::close::{CloseInfo, ClosedBy};
pub use crate::origin::InvalidOrigin;

/// Which part of the API failed (W3C `WebTransportErrorSource`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WebTransportErrorSource {
    /// The session as a whole.
    Session,
    /// One stream; the session continues.
    Stream,
}

/// An error of a session or a stream (W3C `WebTransportError`). It is cheap to clone.
/// [`WebTransportError::cause`] returns the native cause. The text is complete: `source()` only returns the
/// source of the cause, which is not part of the text.
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
    /// Makes an error, for adapters that need one: an implementation of this API over another transport, or a
    /// mock session in a test.
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

    /// The code and the reason of the session's close, if the close ended the call. Either side may have
    /// closed; see [`ErrorCause::SessionClosed`].
    ///
    /// ```
    /// # async fn example(session: wt_api::WebTransport) -> Result<(), wt_api::WebTransportError> {
    /// loop {
    ///     match session.receive_datagram().await {
    ///         Ok(datagram) => println!("{} bytes", datagram.len()),
    ///         // The session has ended normally.
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
            ErrorCause::ConnectionRefused { .. } | ErrorCause::ServerBusy { .. } => {
                io::ErrorKind::ConnectionRefused
            }
            ErrorCause::Unreachable { error: ref cause, .. } => cause.kind(),
            _ => io::ErrorKind::NotConnected,
        };
        Self::new(kind, error)
    }
}

/// For functions that open a session and use it, so that `?` serves for both. The result is
/// [`ErrorCause::Options`] of the session.
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
    /// The session was not requested, because its URL or its options cannot be used. No call of a session
    /// fails with this; `From` makes it from a [`ConnectOptionsError`].
    #[error(transparent)]
    Options(ConnectOptionsError),
    /// The host name has no address.
    #[error(
        "the name {host:?} could not be resolved: {message}; check the spelling and the resolver's configuration"
    )]
    NameResolution {
        /// The name.
        host: String,
        /// The resolver's error.
        message: Arc<str>,
    },
    /// The host reported that nothing listens on the UDP port, or a firewall rejected it.
    #[error(
        "{remote} refused: nothing listens on this UDP port{}; check that the server runs, that the port is its UDP port, and that no firewall rejects it",
        meant(.remote.port())
    )]
    ConnectionRefused {
        /// The address that was tried.
        remote: SocketAddr,
    },
    /// The server refuses new connections of this client for now: `CONNECTION_REFUSED` (RFC 9000 §5.2.2).
    #[error(
        "{remote} refuses new connections for now (CONNECTION_REFUSED): the server is at one of its limits, or does not want this client; try again later"
    )]
    ServerBusy {
        /// The server's address.
        remote: SocketAddr,
    },
    /// This host cannot, or may not, send to the address: no route, no such network, a local filter. It is
    /// reported at once while the connection is being established; later it counts as loss.
    #[error("{remote} cannot be reached from here: {error}; {}", unreachable_remedy(.error))]
    Unreachable {
        /// The address that was tried.
        remote: SocketAddr,
        /// The system's error.
        error: Arc<io::Error>,
    },
    /// The client has no socket of the address's family: it was given one of the other family, or bound to an
    /// address of it.
    #[error(
        "this client has no socket to reach {remote} with; bind one of that address family as well, or give none, and it makes its own"
    )]
    NoSocket {
        /// The address that cannot be reached.
        remote: SocketAddr,
    },
    /// The UDP socket could not be created or used.
    #[error("the UDP socket cannot be used: {0}")]
    Socket(Arc<io::Error>),
    /// The session was not established in time.
    #[error("no session within {after:?}: {stage}; {}", .stage.remedy())]
    Timeout {
        /// The connect timeout.
        after: Duration,
        /// What was awaited.
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
        /// The TLS library's message.
        message: Arc<str>,
    },
    /// The server speaks HTTP/3 but does not offer what a session needs.
    #[error("the server refused the session: {0}")]
    Refused(Arc<str>),
    /// The server responded to the session's request with this HTTP status.
    #[error("the server answered with status {status}: {}", status_remedy(*.status))]
    Status {
        /// The status, 300 to 599.
        status: u16,
    },
    /// A server's application tried to accept a session with a status that does not accept.
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
    /// An application closed the connection and every session on it
    /// ([`Connection::close`](crate::Connection::close)), or this end closed it by itself.
    #[error("{}", closed_text(*.by, *.code, .reason))]
    ConnectionClosed {
        /// Who closed it.
        by: ConnectionCloser,
        /// An error code of HTTP/3 (RFC 9114 §8.1), or one that the applications have agreed on.
        code: u64,
        /// The reason phrase of the close, for people; empty if there was none.
        reason: Arc<str>,
    },
    /// Application code panicked in a callback that the connection called: a certificate verifier, a
    /// resolver, a key log or another part of the rustls configuration, a congestion controller, or a waker.
    /// Only this connection ended. The text is the panic's message, if it has one.
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
    /// The session is closed, as [`closed`](crate::WebTransport::closed) tells too. All pending calls end
    /// with this cause.
    #[error("{by} closed the session ({info}); connect again for a new one")]
    SessionClosed {
        /// Who closed it.
        by: ClosedBy,
        /// The code and the reason.
        info: CloseInfo,
    },
    /// The session's runtime has shut down, or the task that served its connection panicked.
    #[error(
        "the runtime that the session was made on is gone; keep the runtime for as long as its sessions, and make new ones on a runtime that runs"
    )]
    RuntimeGone,
    /// The session's runtime lacks a driver.
    #[error("the tokio runtime has no {missing} driver; build it with enable_all(), or under #[tokio::main]")]
    RuntimeDriver {
        /// What is missing: "time" or "I/O".
        missing: &'static str,
    },
    /// The peer reset the stream.
    #[error("the peer reset the stream {}", code_text(*.0))]
    StreamReset(Option<u32>),
    /// The peer stopped reading the stream.
    #[error("the peer stopped reading the stream {}", code_text(*.0))]
    StreamStopped(Option<u32>),
    /// This side has already finished or reset the stream.
    #[error("the stream was finished or reset by this side; open another one to send more")]
    StreamFinished,
    /// The peer permits no further stream now, and the caller did not want to wait.
    #[error("the peer permits no further stream now (QuotaExceededError); wait, or close other streams")]
    QuotaExceeded,
    /// The send group belongs to another session (W3C `InvalidStateError`).
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
    /// More data arrived than the caller allowed.
    #[error("the stream holds more than the {limit} bytes that were allowed")]
    ReadLimit {
        /// The caller's limit, in bytes.
        limit: usize,
    },
    /// An HTTP exchange failed.
    #[error("the HTTP exchange failed: {0}")]
    Http(Arc<str>),
}

// Either text is part of the cause's own, and as a source it would be printed twice.
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

/// Who closed a connection; see [`ErrorCause::ConnectionClosed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionCloser {
    /// The other end: its application, or its library.
    Peer,
    /// This end's application, by [`Connection::close`](crate::Connection::close).
    ThisApplication,
    /// This end's server, which shut down: the deadline of [`shutdown`](crate::Server::shutdown) passed, or
    /// nothing was left on the connection.
    Shutdown,
    /// This end, because the connection was not used any more.
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

/// Why [`WebTransport::export_keying_material`](crate::WebTransport::export_keying_material) failed.
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
    /// The requested size is zero or too large (W3C `RangeError`).
    #[error("{size} bytes of keying material were asked for; 1 to 4096 are possible")]
    OutputSize {
        /// The requested size in bytes.
        size: usize,
    },
    /// There is no session (W3C `InvalidStateError`).
    #[error(transparent)]
    Session(#[from] WebTransportError),
}

/// Why a datagram was not sent, or not received.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatagramError {
    /// The datagram is larger than the current maximum.
    #[error("a datagram of {size} bytes exceeds the current maximum of {max}; see max_datagram_size()")]
    TooLarge {
        /// Its size, in bytes.
        size: usize,
        /// The current maximum, in bytes.
        max: usize,
    },
    /// The queue is full (only for [`try_send`](crate::DatagramsWritable::try_send)).
    #[error("the datagram queue is full; use send(..).await to wait for room")]
    Full,
    /// The buffer is too small (only for [`recv_into`](crate::DatagramsReadable::recv_into), W3C
    /// `RangeError`). The datagram stays in the queue.
    #[error("the next datagram has {needed} bytes, more than the buffer; call again with a larger one")]
    BufferTooSmall {
        /// The datagram's size, in bytes.
        needed: usize,
    },
    /// The session is not ready yet, so the maximum size is unknown (only for
    /// [`try_send`](crate::DatagramsWritable::try_send)).
    #[error("the session is not ready yet; await ready() first, or use send(..).await, which does")]
    NotReady,
    /// The session has ended.
    #[error(transparent)]
    Session(#[from] WebTransportError),
}

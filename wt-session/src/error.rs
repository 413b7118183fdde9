//! Why sessions and calls fail.

use h3_core::{
    capsule::CapsuleError,
    error::{SendError, StreamViolation},
};

use crate::flow::FlowViolation;

/// The session is not established, or is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session is not open")]
#[expect(clippy::exhaustive_structs, reason = "an error with one cause")]
pub struct SessionGone;

/// Why a session ended without a clean close.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The peer reset the CONNECT stream with this HTTP/3 code.
    #[error("the peer reset the session's CONNECT stream with code {0:#x}")]
    Reset(u64),
    /// The peer stopped reading the CONNECT stream with this HTTP/3 code.
    #[error("the peer stopped reading the session's CONNECT stream with code {0:#x}")]
    Stopped(u64),
    /// A capsule is malformed or truncated.
    #[error("the peer sent a bad capsule: {0}")]
    Capsule(#[from] CapsuleError),
    /// A `WT_CLOSE_SESSION` has an incomplete code, or a reason that is not UTF-8.
    #[error("the peer sent a WT_CLOSE_SESSION capsule that is malformed (WebTransport over HTTP/3 §6)")]
    CloseCapsule,
    /// The peer sent a capsule type that only WebTransport over HTTP/2 has.
    #[error("the peer sent a capsule of type {0:#x}, which WebTransport over HTTP/3 prohibits (§5.4)")]
    ProhibitedCapsule(u64),
    /// A capsule of flow control has a value that is not one varint.
    #[error("the peer sent a capsule of type {0:#x} that is malformed (WebTransport over HTTP/3 §5.6)")]
    FlowCapsule(u64),
    /// The peer broke the session's flow control.
    #[error("the peer broke the session's flow control (WebTransport over HTTP/3 §5): {0}")]
    FlowControl(#[from] FlowViolation),
    /// HTTP/3 found the message malformed.
    #[error("the CONNECT stream broke a rule of HTTP/3: {0}")]
    Http(StreamViolation),
    /// This side reset the session with this HTTP/3 code.
    #[error("the session was reset by this side with code {0:#x}")]
    Aborted(u64),
    /// The connection ended.
    #[error("the connection ended")]
    ConnectionLost,
}

/// Why a session could not be requested.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The connection already has a session, and without session flow control it can have only one at a time
    /// (§5.1).
    #[error("the connection already carries a session; open another connection for another session")]
    SessionExists,
    /// The connection already has the most sessions, open or requested.
    #[error(
        "the connection already carries or waits for {max} sessions, the most it may; open another connection"
    )]
    TooManySessions {
        /// The most sessions at once that both sides permit.
        max: u64,
    },
    /// The server sent GOAWAY (§4.7).
    #[error("the server is going away; open a new connection")]
    GoingAway,
    /// Servers do not request sessions.
    #[error("only clients ask for sessions")]
    NotClient,
    /// The connection ended.
    #[error("the connection ended")]
    ConnectionLost,
}

/// Why a session could not be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The client cancelled the request, or it was already answered.
    #[error("the session request is not there any more")]
    Gone,
    /// The response could not be sent; the request is still pending.
    #[error("the response cannot be sent: {0}")]
    Response(#[from] SendError),
    /// Only a 2xx status accepts a session; the request is still pending.
    #[error("status {0} does not accept a session, 2xx does")]
    Status(http::StatusCode),
}

/// Why a read or a write failed. The codes are the application's; `None` means that the peer's code is no
/// application code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The peer reset the stream.
    #[error("the peer reset the stream{}", Code(*.0))]
    Reset(Option<u32>),
    /// The peer stopped reading.
    #[error("the peer stopped reading the stream{}", Code(*.0))]
    Stopped(Option<u32>),
    /// This side of the stream is over: finished, reset, stopped or read to its end. Also if its session is
    /// over while other sessions of the connection are open.
    #[error("the stream is closed")]
    Closed,
    /// The session ended, and the stream with it.
    #[error("the stream's session ended")]
    SessionGone,
}

struct Code(Option<u32>);

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(code) => write!(f, " with code {code}"),
            None => f.write_str(" without an application code"),
        }
    }
}

/// Why a datagram could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DatagramError {
    /// The session is not open.
    #[error("the session is not open")]
    SessionGone,
    /// The peer does not accept datagrams.
    #[error("the peer does not accept datagrams")]
    Unsupported,
    /// The datagram is larger than the path and the peer allow.
    #[error("the datagram exceeds the current maximum of {max} bytes")]
    TooLarge {
        /// The largest payload that can be sent now, in bytes.
        max: usize,
    },
    /// The send queue is full.
    #[error("the datagram queue is full")]
    Full,
}

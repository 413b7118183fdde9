//! How sessions end: the code and the reason of a close, who closed, and how the peer reacted.
//!
//! Owns these types of the API. It must never know sessions: errors and handles above use these types.

use std::fmt;

/// How a session ended, according to the side that closed it (W3C `WebTransportCloseInfo`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseInfo {
    /// The application's code. Default 0.
    pub close_code: u32,
    /// The application's reason. Text beyond 1024 bytes of UTF-8 is cut off at a character boundary, and the
    /// peer does not get it.
    pub reason: String,
}

impl CloseInfo {
    /// Close information with this code and reason.
    pub fn new(close_code: u32, reason: impl Into<String>) -> Self {
        Self { close_code, reason: reason.into() }
    }
}

/// The form in error texts: the code, and the reason if there is one.
impl fmt::Display for CloseInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "code {}", self.close_code)?;
        // The reason is the peer's text, so control characters are escaped before they reach a terminal.
        if self.reason.is_empty() { Ok(()) } else { write!(f, ", reason {:?}", self.reason) }
    }
}

/// Which side closed a session; see [`ErrorCause::SessionClosed`](crate::ErrorCause::SessionClosed).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a session has two ends")]
pub enum ClosedBy {
    /// The application on this side, by [`close`](crate::WebTransport::close) or by dropping the session's
    /// last handle.
    ThisSide,
    /// The peer.
    Peer,
}

impl fmt::Display for ClosedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ThisSide => "this side",
            Self::Peer => "the peer",
        })
    }
}

/// How the peer reacted to a close of this side; see
/// [`WebTransport::close_outcome`](crate::WebTransport::close_outcome).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseOutcome {
    /// The peer has ended its side too, so it has received the code and the reason (WebTransport over HTTP/3
    /// §6).
    Acknowledged,
    /// The peer did not react for three probe timeouts (at least 2 s, at most 6 s). It may have received the
    /// close all the same.
    Unanswered,
    /// The connection ended before the peer reacted: the network failed, or the peer closed the connection.
    ConnectionLost,
}

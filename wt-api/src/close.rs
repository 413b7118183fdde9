//! How sessions end: the code and the reason of a close, who closed, and what the peer made of it.
//!
//! Owns these words of the API. Must never know sessions: errors and handles above tell with them.

use std::fmt;

/// How a session ended, as the side that closed it says (W3C `WebTransportCloseInfo`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseInfo {
    /// The application's code. Default 0.
    pub close_code: u32,
    /// The application's reason; what exceeds 1024 bytes of UTF-8 is cut off at a character boundary, and not told the peer.
    pub reason: String,
}

impl CloseInfo {
    /// This code and this reason.
    pub fn new(close_code: u32, reason: impl Into<String>) -> Self {
        Self { close_code, reason: reason.into() }
    }
}

/// As error texts tell it: the code, and the reason if there is one.
impl fmt::Display for CloseInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "code {}", self.close_code)?;
        // The peer's words: what is no printable character does not reach a terminal as such.
        if self.reason.is_empty() { Ok(()) } else { write!(f, ", reason {:?}", self.reason) }
    }
}

/// Which side closed a session: see [`ErrorCause::SessionClosed`](crate::ErrorCause::SessionClosed).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a session has two ends")]
pub enum ClosedBy {
    /// The application here, by [`close`](crate::WebTransport::close) or by dropping the session's last handle.
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

/// What the peer made of a close of this side: see [`WebTransport::close_outcome`](crate::WebTransport::close_outcome).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseOutcome {
    /// The peer has ended its side, too: it has the code and the reason (WebTransport over HTTP/3 §6).
    Acknowledged,
    /// It said nothing for three probe timeouts, at least 2 s and at most 6. It may have heard all the same.
    Unanswered,
    /// The connection was over before it said anything: the network lost it, or the peer closed it.
    ConnectionLost,
}

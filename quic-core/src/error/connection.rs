//! Why a connection ended.

use std::sync::Arc;

use bytes::Bytes;

use super::{TransportErrorCode, Violation};
use crate::version::{Version, Versions};

/// The contents of a CONNECTION_CLOSE frame (RFC 9000 §19.19).
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the two frames of RFC 9000 §19.19")]
pub enum CloseReason {
    /// Type 0x1c: the transport closed.
    Transport {
        /// The error code.
        code: TransportErrorCode,
        /// The frame type that caused it, 0 if unknown.
        frame_type: u64,
        /// A reason for people, possibly not UTF-8.
        reason: Bytes,
    },
    /// Type 0x1d: the application closed.
    Application {
        /// The application's code, below 2^62.
        code: u64,
        /// A reason for people, possibly not UTF-8.
        reason: Bytes,
    },
}

impl std::fmt::Display for CloseReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let reason = match self {
            Self::Transport { code, frame_type, reason } => {
                write!(f, "{code}")?;
                if *frame_type != 0 {
                    write!(f, " caused by frame type {frame_type:#x}")?;
                }
                reason
            }
            Self::Application { code, reason } => {
                write!(f, "application code {code:#x}")?;
                reason
            }
        };
        if !reason.is_empty() {
            write!(f, ": {}", String::from_utf8_lossy(reason))?;
        }
        Ok(())
    }
}

/// Which end is responsible for a connection that was closed for this reason.
const fn blamed(violation: Violation) -> &'static str {
    if violation.is_own_limit() {
        "this endpoint closed the connection at a limit of its own"
    } else {
        "the peer broke a rule of QUIC"
    }
}

/// Why a connection ended. It is cheap to clone, because every waiting call gets one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// This endpoint's application closed it.
    #[error("closed by this application")]
    LocallyClosed,
    /// This endpoint closed the connection because the peer broke a rule, or because a limit of this endpoint
    /// was reached ([`Violation::is_own_limit`]).
    #[error("{}: {violation}", blamed(*.violation))]
    Violation {
        /// The rule or limit.
        violation: Violation,
        /// The type of the frame that broke it, 0 if none.
        frame_type: u64,
    },
    /// The handshake failed in TLS; the text is the TLS library's.
    #[error("the TLS handshake failed: {message}")]
    Tls {
        /// The alert that was sent.
        alert: u8,
        /// The message of the TLS library.
        message: Arc<str>,
    },
    /// The peer closed the connection.
    #[error("closed by the peer: {0}")]
    PeerClosed(CloseReason),
    /// The peer lost its state and reset the connection (RFC 9000 §10.3).
    #[error("the peer lost the connection's state and sent a stateless reset")]
    StatelessReset,
    /// Nothing arrived from the peer for the idle timeout (RFC 9000 §10.1).
    #[error("nothing arrived from the peer for the idle timeout")]
    IdleTimeout,
    /// The handshake was not complete in time (`TransportConfig::handshake_timeout`).
    #[error("the handshake was not complete within the handshake timeout")]
    HandshakeTimeout,
    /// The path carries small datagrams, but none of 1200 bytes, which QUIC needs (RFC 9000 §14).
    #[error(
        "the network path carries no datagrams of 1200 bytes any more; look for a tunnel or link with a smaller MTU"
    )]
    NoViablePath,
    /// The server accepts none of this client's versions (RFC 9368 §2.1).
    #[error(
        "the server accepts none of the QUIC versions {accepted}; it offers {}",
        Version::listed(offered)
    )]
    VersionMismatch {
        /// The versions that the server offers (RFC 9000 §6).
        offered: Arc<[u32]>,
        /// The versions of this client.
        accepted: Versions,
    },
    /// A fault of this library, or a limit that it cannot avoid, such as the end of the packet numbers.
    #[error("the connection cannot go on: {0}")]
    Internal(&'static str),
}

impl ConnectionError {
    /// The limit of this endpoint that ended the connection, although the peer kept to the rules
    /// ([`Violation::is_own_limit`]).
    #[must_use]
    pub const fn own_limit(&self) -> Option<Violation> {
        match self {
            Self::Violation { violation, .. } if violation.is_own_limit() => Some(*violation),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_this_endpoint_is_not_blamed_on_the_peer() {
        let ended = |violation| ConnectionError::Violation { violation, frame_type: 0 };
        for violation in [Violation::EndpointMemory, Violation::StreamMemory] {
            assert_eq!(ended(violation).own_limit(), Some(violation));
            let told = ended(violation).to_string();
            assert!(
                told.starts_with("this endpoint closed the connection at a limit of its own: "),
                "{told}"
            );
        }
        let misdeed = ended(Violation::FinalSizeChanged);
        assert!(misdeed.to_string().starts_with("the peer broke a rule of QUIC: the final size"));
        assert_eq!(misdeed.own_limit(), None);
    }
}

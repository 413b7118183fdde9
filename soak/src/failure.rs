//! The invariants of a simulated run.

use std::fmt;

use quic_core::error::{CloseReason, ConnectionError, TransportErrorCode};

/// The kind of run that a seed belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A random transfer.
    Transfer,
    /// A handshake with 30 % loss in each direction.
    Handshake,
    /// A handshake that loses given datagrams; the seed is the index of the pattern.
    Pattern,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Transfer, Self::Handshake, Self::Pattern];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transfer => "transfer",
            Self::Handshake => "handshake",
            Self::Pattern => "pattern",
        }
    }

    /// The command that repeats a run.
    #[must_use]
    pub fn replay(self, seed: u64) -> String {
        format!("cargo run --release -p soak -- replay --kind {} --seed {seed}", self.name())
    }
}

/// How the two ends of a connection ended; `None` for an end that never existed or did not end.
pub type Ends = [Option<ConnectionError>; 2];

/// An invariant that did not hold.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Failure {
    /// The virtual time passed the limit of the scenario, or no event was left.
    Hang {
        /// What was waited for.
        waiting_for: &'static str,
        /// The virtual time, in milliseconds.
        at: u64,
        /// The state of both connections.
        state: String,
    },
    /// A stream or a datagram delivered other bytes than were sent.
    WrongBytes(String),
    /// The connection ended for a reason other than its application or the idle timeout.
    UncleanEnd(Ends),
    /// An end timed out before its idle timeout had passed.
    EarlySilence {
        /// The time since its last packet from the peer, in milliseconds.
        silence: u64,
    },
    /// The connection ended by the idle timeout although the network lost nothing.
    NeedlessSilence(Ends),
    /// More than three times the bytes received went to an address that was not validated.
    Amplification {
        /// Bytes sent to it.
        sent: u64,
        /// Bytes received from it.
        received: u64,
    },
    /// Endpoints without connections hold this many bytes of heap, which is too much.
    EndpointsKeepMemory(isize),
    /// The heap differs by this many bytes from its size before the run.
    Leak(isize),
    /// Code panicked, with this message.
    Panic(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end =
            |end: &Option<ConnectionError>| end.as_ref().map_or("no end".to_owned(), ToString::to_string);
        match self {
            Self::Hang { waiting_for, at, state } => {
                write!(f, "no {waiting_for} after {at} ms of virtual time: {state}")
            }
            Self::WrongBytes(what) => write!(f, "wrong bytes: {what}"),
            Self::UncleanEnd([client, server]) => {
                write!(f, "no clean end: client: {}; server: {}", end(client), end(server))
            }
            Self::EarlySilence { silence } => write!(f, "idle timeout after only {silence} ms of silence"),
            Self::NeedlessSilence([client, server]) => write!(
                f,
                "idle timeout on a network that loses nothing: client: {}; server: {}",
                end(client),
                end(server)
            ),
            Self::Amplification { sent, received } => {
                write!(f, "{sent} bytes to an address that sent {received} and is not validated")
            }
            Self::EndpointsKeepMemory(bytes) => write!(f, "endpoints without connections hold {bytes} bytes"),
            Self::Leak(bytes) => write!(f, "{bytes} bytes of heap are left when everything is gone"),
            Self::Panic(message) => write!(f, "panic: {message}"),
        }
    }
}

impl std::error::Error for Failure {}

/// Whether both ends ended in silence: at least one by its idle timeout, and the other also, or by a later
/// stateless reset, or it never existed.
#[must_use]
pub fn is_silent_end(ends: &Ends) -> bool {
    let idle = |end: &Option<ConnectionError>| matches!(end, Some(ConnectionError::IdleTimeout));
    let silent = |end: &Option<ConnectionError>| {
        matches!(end, None | Some(ConnectionError::IdleTimeout | ConnectionError::StatelessReset))
    };
    ends.iter().any(idle) && ends.iter().all(silent)
}

/// Whether the server refused the client's Retry token before it made a connection, as it must if the token
/// belongs to another address (RFC 9000 §8.1.3).
#[must_use]
pub fn is_token_refused(ends: &Ends) -> bool {
    let refused = |reason: &CloseReason| matches!(reason, CloseReason::Transport { code, .. } if *code == TransportErrorCode::INVALID_TOKEN);
    matches!(ends, [Some(ConnectionError::PeerClosed(reason)), None] if refused(reason))
}

/// Whether the client closed with `code`, and the server received the close or timed out.
#[must_use]
pub fn is_closed_by_client(ends: &Ends, code: u64) -> bool {
    let [client, server] = ends;
    let told = match server {
        Some(ConnectionError::PeerClosed(CloseReason::Application { code: heard, .. })) => *heard == code,
        Some(ConnectionError::IdleTimeout | ConnectionError::StatelessReset) => true,
        _ => false,
    };
    *client == Some(ConnectionError::LocallyClosed) && told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_distinguished() {
        let idle = || Some(ConnectionError::IdleTimeout);
        let reset = || Some(ConnectionError::StatelessReset);
        assert!(is_silent_end(&[idle(), idle()]) && is_silent_end(&[idle(), None]));
        assert!(is_silent_end(&[idle(), reset()]));
        assert!(!is_silent_end(&[reset(), reset()]) && !is_silent_end(&[None, None]));
        let closed = |code| {
            let reason = CloseReason::Application { code, reason: bytes::Bytes::new() };
            Some(ConnectionError::PeerClosed(reason))
        };
        let local = || Some(ConnectionError::LocallyClosed);
        assert!(!is_silent_end(&[idle(), closed(7)]));
        assert!(is_closed_by_client(&[local(), closed(7)], 7) && is_closed_by_client(&[local(), idle()], 7));
        assert!(!is_closed_by_client(&[local(), closed(8)], 7) && !is_closed_by_client(&[local(), None], 7));
        assert!(!is_closed_by_client(&[idle(), closed(7)], 7));
        let code = TransportErrorCode::INVALID_TOKEN;
        let reason = CloseReason::Transport { code, frame_type: 0, reason: bytes::Bytes::new() };
        let refused = || Some(ConnectionError::PeerClosed(reason.clone()));
        assert!(is_token_refused(&[refused(), None]) && !is_token_refused(&[refused(), idle()]));
        assert!(!is_token_refused(&[idle(), None]) && !is_token_refused(&[closed(7), None]));
    }

    #[test]
    fn the_message_of_a_run_repeats_it() {
        assert_eq!(
            Kind::Transfer.replay(5),
            "cargo run --release -p soak -- replay --kind transfer --seed 5"
        );
    }
}

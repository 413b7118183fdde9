//! A connection as the application sees it: what it is, how it does, and its end.
//!
//! Owns the public handle. Must never know drivers: it asks the connection's box.

use std::{fmt, net::SocketAddr, sync::Arc};

use quic_core::ConnectionStats;
use tokio::sync::oneshot;

use crate::{
    congestion::CongestionControl,
    error::WebTransportError,
    mailbox::{About, CloseWish, ConnectionBox, wait},
    parameters::ConnectionParameters,
};

/// The largest code (RFC 9000 §16).
const MAX_CODE: u64 = (1 << 62) - 1;
/// The longest reason, in bytes: it fits into one packet.
const MAX_REASON: usize = 512;

/// A QUIC connection, which carries one session or several: for operators, who watch and end connections, not sessions.
/// [`WebTransport::connection`](crate::WebTransport::connection), [`Request::connection`](crate::Request::connection) and
/// [`Server::connections`](crate::Server::connections) give it.
///
/// A handle, cheap to clone; equal handles name the same connection. It keeps no connection alive, and tells of one that is
/// over for as long as it is held.
///
/// ```no_run
/// # async fn example(session: wt_api::WebTransport) -> Result<(), Box<dyn std::error::Error>> {
/// let connection = session.connection().ok_or("not connected yet")?;
/// let stats = connection.stats().await?;
/// if stats.memory_used > 4 << 20 {
///     // H3_EXCESSIVE_LOAD: every session of the connection ends.
///     connection.close(0x107, "too much that is not read");
/// }
/// println!("{} ended: {}", connection.id(), connection.closed().await);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Connection {
    boxes: Arc<ConnectionBox>,
}

impl Connection {
    pub(crate) fn new(boxes: Arc<ConnectionBox>) -> Self {
        Self { boxes }
    }

    fn about(&self) -> &About {
        self.boxes.about()
    }

    /// A number that no other connection of this process has, or had.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.about().id()
    }

    /// The peer's address. A client's changes when it moves, or when a NAT on its way binds it anew (RFC 9000 §9).
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        self.about().remote()
    }

    /// The address of this host that the peer's packets come to, as [`Request::local_address`](crate::Request::local_address)
    /// has it. `None` if the system would not say.
    #[must_use]
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.about().local()
    }

    /// What both ends have agreed upon. `None` while the handshake goes on.
    #[must_use]
    pub fn parameters(&self) -> Option<Arc<ConnectionParameters>> {
        self.about().parameters().cloned()
    }

    /// The draft of WebTransport over HTTP/3 that its sessions speak, such as `draft-16`. `None` before the first of them.
    #[must_use]
    pub fn negotiated_draft(&self) -> Option<&'static str> {
        self.about().draft()
    }

    /// A snapshot of what the connection counts; the last one if it is over. `datagram_size` is the UDP payload that the path
    /// carries now. Cancel safe.
    ///
    /// # Errors
    /// Code of the application panicked in the connection, which ended, and its counts with it.
    pub async fn stats(&self) -> Result<ConnectionStats, WebTransportError> {
        let (reply, answer) = oneshot::channel();
        self.boxes.ask_counts(reply);
        match answer.await {
            Ok(stats) => Ok(stats),
            Err(_) => Err(self.closed().await),
        }
    }

    /// The kind of congestion control in force for what this end sends on the connection.
    #[must_use]
    pub fn congestion_control(&self) -> CongestionControl {
        self.about().congestion()
    }

    /// Puts another kind of congestion control in force for what this end sends on the connection, for all its sessions;
    /// [`congestion_control`](Self::congestion_control) reads it back. Returns at once; the next packets are sent by
    /// it, and the new controller starts from the window of the old one. For a connection that is over nothing changes.
    ///
    /// Sessions that may share connections ([`allow_pooling`](crate::WebTransportOptions::allow_pooling)) and want another kind
    /// do not join this one any more.
    pub fn set_congestion_control(&self, wanted: CongestionControl) {
        self.boxes.ask_congestion(wanted);
    }

    /// Closes the connection at once, with every session and every exchange on it (CONNECTION_CLOSE of type 0x1d, RFC 9000
    /// §10.2). What was not acknowledged yet may be lost, finished streams included: who wants to end in order closes the
    /// sessions. Returns at once; further calls, and those for a connection that is over, change nothing.
    ///
    /// Every session hears [`ErrorCause::ConnectionClosed`](crate::ErrorCause::ConnectionClosed) with this code and this
    /// reason, at both ends. While the handshake goes on, neither reaches the peer (RFC 9000 §10.2.3), which hears that the
    /// connection was closed. A page in a browser is told that its connection was lost, and no code.
    ///
    /// `code` is an error code of HTTP/3 (RFC 9114 §8), 0 to 2^62 - 1; a larger one counts as that. 0x100 (`H3_NO_ERROR`) says
    /// that nothing is wrong, 0x107 (`H3_EXCESSIVE_LOAD`) that the peer costs too much, 0x102 (`H3_INTERNAL_ERROR`) that this
    /// end has failed. The others from 0x100 to 0x110, 0x33, and 0x200 to 0x202 accuse the peer of what it has not done.
    /// All that no specification names are the application's to define: a peer that does not know one takes it as
    /// `H3_NO_ERROR`. The codes 0x21 + 0x1f · N are reserved to mean nothing.
    ///
    /// `reason` is for people; what exceeds 512 bytes of UTF-8 is cut off at a character boundary.
    pub fn close(&self, code: u64, reason: impl Into<String>) {
        let mut reason = reason.into();
        reason.truncate(boundary(&reason));
        self.boxes.ask_close(CloseWish { code: code.min(MAX_CODE), reason });
    }

    /// Waits until the connection is over, by whichever end; tells why. Its last words may still be on their way: see
    /// [`wait_idle`](crate::wait_idle) and [`Server::shutdown`](crate::Server::shutdown). Cancel safe; any number of callers may
    /// wait, also after the fact.
    pub async fn closed(&self) -> WebTransportError {
        wait(self.about(), (), About::poll_end).await
    }

    /// Why nothing can be begun on it any more.
    pub(crate) fn ending(&self) -> Option<WebTransportError> {
        self.about().ending()
    }

    /// Why the connection is over; `None` while it is not.
    #[must_use]
    pub fn close_error(&self) -> Option<WebTransportError> {
        self.about().end()
    }
}

/// Where a reason ends that is too long.
fn boundary(reason: &str) -> usize {
    (0..=reason.len().min(MAX_REASON)).rev().find(|at| reason.is_char_boundary(*at)).unwrap_or(0)
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id())
            .field("remote", &self.remote_address())
            .finish_non_exhaustive()
    }
}

impl PartialEq for Connection {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Connection {}

impl std::hash::Hash for Connection {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

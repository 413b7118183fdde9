//! A connection as the application sees it: its properties, its state and its end.
//!
//! Owns the public handle. It must never know drivers: it uses the connection's box.

use std::{fmt, net::SocketAddr, sync::Arc};

use quic_core::ConnectionStats;
use tokio::sync::oneshot;

use crate::{
    congestion::CongestionControl,
    error::WebTransportError,
    mailbox::{About, CloseRequest, ConnectionBox, wait},
    parameters::ConnectionParameters,
};

/// The largest code (RFC 9000 §16).
const MAX_CODE: u64 = (1 << 62) - 1;
/// The longest reason, in bytes; it fits into one packet.
const MAX_REASON: usize = 512;

/// A QUIC connection, which carries one or several sessions. It is for operators, who monitor and end
/// connections rather than sessions. [`WebTransport::connection`](crate::WebTransport::connection),
/// [`Request::connection`](crate::Request::connection) and
/// [`Server::connections`](crate::Server::connections) return it.
///
/// It is a handle, cheap to clone; equal handles refer to the same connection. A handle does not keep the
/// connection open, and still works after the connection has ended.
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

    /// A number that is unique among all connections of this process.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.about().id()
    }

    /// The peer's address. A client's address changes when it migrates, or when its NAT rebinds it (RFC 9000
    /// §9).
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        self.about().remote()
    }

    /// The address of this host that receives the peer's packets, as in
    /// [`Request::local_address`](crate::Request::local_address). `None` if the system does not tell.
    #[must_use]
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.about().local()
    }

    /// The parameters that both ends negotiated. `None` during the handshake.
    #[must_use]
    pub fn parameters(&self) -> Option<Arc<ConnectionParameters>> {
        self.about().parameters().cloned()
    }

    /// The draft of WebTransport over HTTP/3 that its sessions use, such as `draft-16`. `None` before the
    /// first session.
    #[must_use]
    pub fn negotiated_draft(&self) -> Option<&'static str> {
        self.about().draft()
    }

    /// A snapshot of the connection's counters; the last one if the connection has ended. `datagram_size` is
    /// the UDP payload that the path carries now. Cancel safe.
    ///
    /// # Errors
    /// Application code panicked in the connection, which ended without counters.
    pub async fn stats(&self) -> Result<ConnectionStats, WebTransportError> {
        let (reply, answer) = oneshot::channel();
        self.boxes.ask_counts(reply);
        match answer.await {
            Ok(stats) => Ok(stats),
            Err(_) => Err(self.closed().await),
        }
    }

    /// The kind of congestion control that this end uses on the connection.
    #[must_use]
    pub fn congestion_control(&self) -> CongestionControl {
        self.about().congestion()
    }

    /// Changes the kind of congestion control that this end uses on the connection, for all of its sessions;
    /// [`congestion_control`](Self::congestion_control) returns it. Returns at once. The next packets are
    /// sent with it, and the new controller starts with the old one's window. It has no effect on a
    /// connection that has ended.
    ///
    /// Sessions that may share connections ([`allow_pooling`](crate::WebTransportOptions::allow_pooling)) and
    /// want another kind do not join this connection any more.
    pub fn set_congestion_control(&self, wanted: CongestionControl) {
        self.boxes.ask_congestion(wanted);
    }

    /// Closes the connection at once, with every session and every exchange on it (CONNECTION_CLOSE of type
    /// 0x1d, RFC 9000 §10.2). Data that was not acknowledged yet may be lost, even on finished streams; close
    /// the sessions instead to end in order. Returns at once. Further calls have no effect, nor does a call
    /// after the end.
    ///
    /// Every session at both ends gets [`ErrorCause::ConnectionClosed`](crate::ErrorCause::ConnectionClosed)
    /// with this code and this reason. During the handshake neither reaches the peer (RFC 9000 §10.2.3),
    /// which only learns that the connection was closed. A page in a browser learns that its connection was
    /// lost, without a code.
    ///
    /// `code` is an error code of HTTP/3 (RFC 9114 §8), 0 to 2^62 - 1; larger values are reduced to that.
    /// 0x100 (`H3_NO_ERROR`) means that there is no error, 0x107 (`H3_EXCESSIVE_LOAD`) that the peer causes
    /// too much load, 0x102 (`H3_INTERNAL_ERROR`) that this end has failed. The other codes from 0x100 to
    /// 0x110, 0x33, and 0x200 to 0x202 would wrongly accuse the peer. The application may define codes that
    /// no specification uses; a peer treats an unknown code as `H3_NO_ERROR`. The codes 0x21 + 0x1f · N are
    /// reserved to have no meaning.
    ///
    /// `reason` is for people. Text beyond 512 bytes of UTF-8 is cut off at a character boundary.
    pub fn close(&self, code: u64, reason: impl Into<String>) {
        let mut reason = reason.into();
        reason.truncate(boundary(&reason));
        self.boxes.ask_close(CloseRequest { code: code.min(MAX_CODE), reason });
    }

    /// Waits until either end has closed the connection. Returns why. The final packets may still be on their
    /// way; see [`wait_idle`](crate::wait_idle) and [`Server::shutdown`](crate::Server::shutdown). Cancel
    /// safe. Any number of callers may wait, even after the end.
    pub async fn closed(&self) -> WebTransportError {
        wait(self.about(), (), About::poll_end).await
    }

    /// Why nothing new can be started on it any more.
    pub(crate) fn ending(&self) -> Option<WebTransportError> {
        self.about().ending()
    }

    /// Why the connection has ended; `None` if it has not.
    #[must_use]
    pub fn close_error(&self) -> Option<WebTransportError> {
        self.about().end()
    }
}

/// Where a too long reason is cut off.
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

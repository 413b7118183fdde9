//! Datagrams of a session's first moments.
//!
//! A session begins with the datagrams that every path carries, and knows some round trips later what its own does.

use std::time::Duration;

use tokio::time::Instant;
use wt_api::{MaxDatagramSize, WebTransport};

/// How long that takes at most.
const LIMIT: Duration = Duration::from_secs(2);

/// What is known of a session's path.
#[derive(Debug)]
pub(crate) struct Discovery {
    sizes: MaxDatagramSize,
    until: Instant,
}

impl Discovery {
    /// Of a session that begins now.
    pub(crate) fn of(session: &WebTransport) -> Self {
        Self { sizes: session.datagrams().watch_max_datagram_size(), until: Instant::now() + LIMIT }
    }

    /// Waits until a datagram of so many bytes fits, or will not: whoever sends it is told then.
    pub(crate) async fn room(&mut self, bytes: usize) {
        let grown = async { while self.sizes.current() < bytes && self.sizes.changed().await.is_some() {} };
        let _ = tokio::time::timeout_at(self.until, grown).await;
    }
}

//! Datagram sizes at the start of a session.
//!
//! A session starts with the datagram size that every path carries. Some round trips later it knows what its
//! own path carries.

use std::time::Duration;

use tokio::time::Instant;
use wt_api::{MaxDatagramSize, WebTransport};

/// The longest time that this takes.
const LIMIT: Duration = Duration::from_secs(2);

/// What is known about a session's path.
#[derive(Debug)]
pub(crate) struct Discovery {
    sizes: MaxDatagramSize,
    until: Instant,
}

impl Discovery {
    /// For a session that starts now.
    pub(crate) fn of(session: &WebTransport) -> Self {
        Self { sizes: session.datagrams().watch_max_datagram_size(), until: Instant::now() + LIMIT }
    }

    /// Waits until a datagram of `bytes` bytes fits, or until it is clear that it will not. Sending it then
    /// gives the error.
    pub(crate) async fn room(&mut self, bytes: usize) {
        let grown = async { while self.sizes.current() < bytes && self.sizes.changed().await.is_some() {} };
        let _ = tokio::time::timeout_at(self.until, grown).await;
    }
}

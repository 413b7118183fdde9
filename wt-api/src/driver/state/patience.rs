//! How long the peer is waited for.

use std::time::Duration;

use quic_core::{Connection, base::Timestamp};

/// See [`last_word`].
const LAST_WORD: Duration = Duration::from_secs(2);
const LONGEST_WORD: Duration = Duration::from_secs(6);

/// How long each step of a close waits for the peer: three probe timeouts, at least 2 s and at most 6. Where the network loses
/// a few packets or falls silent for a moment three probe timeouts are soon over: each is twice as long as the one before. And
/// the peer decides how long one is, by acknowledging late: it must not decide how long a server takes to shut down.
pub(crate) fn last_word(quic: &Connection) -> Duration {
    three_probes(quic).clamp(LAST_WORD, LONGEST_WORD)
}

pub(crate) fn three_probes(quic: &Connection) -> Duration {
    let stats = quic.stats();
    (stats.smoothed_rtt + stats.rtt_variation * 4 + Duration::from_millis(25)) * 3
}

/// A request went out on a connection that may have been dead for long: its server was restarted, or a router between
/// has forgotten it.
#[derive(Debug)]
pub(crate) struct Doubt {
    pub(crate) until: Timestamp,
    /// What was received before it.
    pub(crate) packets: u64,
}

impl Doubt {
    pub(crate) fn until(&self) -> Timestamp {
        self.until
    }
}

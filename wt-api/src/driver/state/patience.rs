//! How long this end waits for the peer.

use std::time::Duration;

use quic_core::{Connection, base::Timestamp};

/// See [`last_word`].
const LAST_WORD: Duration = Duration::from_secs(2);
const LONGEST_WORD: Duration = Duration::from_secs(6);

/// How long each step of a close waits for the peer: three probe timeouts, at least 2 s and at most 6 s. The
/// lower bound covers a network that loses a few packets or is silent for a moment. The upper bound is there
/// because a peer that acknowledges late makes the probe timeout long, and must not decide how long a server
/// takes to shut down.
pub(crate) fn last_word(quic: &Connection) -> Duration {
    three_probes(quic).clamp(LAST_WORD, LONGEST_WORD)
}

pub(crate) fn three_probes(quic: &Connection) -> Duration {
    let stats = quic.stats();
    (stats.smoothed_rtt + stats.rtt_variation * 4 + Duration::from_millis(25)) * 3
}

/// A request that was sent on a connection which may be dead: its server was restarted, or a router has
/// forgotten it.
#[derive(Debug)]
pub(crate) struct Doubt {
    pub(crate) until: Timestamp,
    /// How much had been received before.
    pub(crate) packets: u64,
}

impl Doubt {
    pub(crate) fn until(&self) -> Timestamp {
        self.until
    }
}

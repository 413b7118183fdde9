//! What the levels have in common: limits, and how a step fails.

use std::time::Duration;

use quic_core::TransportConfig;

use crate::{
    args::Perf,
    exit::{Ended, Exit},
};

/// How long a handshake may take.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Limits that are the same at both levels.
pub(super) fn transport(options: &Perf) -> TransportConfig {
    let streams = (options.inflight as u64 * 2).max(options.streams as u64).max(128);
    TransportConfig::new()
        .idle_timeout(Some(Duration::from_secs(120)))
        .handshake_timeout(Some(HANDSHAKE_TIMEOUT))
        .max_datagram_size(options.mtu)
        .max_streams_bidi(streams)
        .max_streams_uni(streams)
        .stream_receive_window(options.window)
        .max_stream_receive_window(options.window)
        .receive_window(options.window * 4)
        .max_receive_window(options.window * 4)
        .congestion(options.congestion.controllers())
}

/// A step of a measurement that failed.
pub(super) fn failed(what: &str, error: impl std::fmt::Display) -> Ended {
    Ended::new(Exit::Failure, format!("{what}: {error}"))
}

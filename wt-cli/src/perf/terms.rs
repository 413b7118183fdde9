//! What the levels have in common: limits, and errors of a step.

use std::time::{Duration, Instant};

use quic_core::TransportConfig;

use crate::{
    args::Perf,
    exit::{Ended, Exit},
    qlogs,
};

/// How long a handshake may take.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The time, which a measurement reads.
#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
pub(super) fn clock() -> Instant {
    Instant::now()
}

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
        .observers(qlogs::observers())
}

/// How long datagrams in flight have to arrive.
pub(super) const GRACE: Duration = Duration::from_millis(200);

/// The error that datagrams of the requested size cannot be sent; `max` bytes can.
pub(super) fn too_large(options: &Perf, max: usize) -> Ended {
    let (size, mtu) = (options.size, options.mtu);
    Ended::new(Exit::Usage, format!("--size {size}: at most {max} bytes fit in a datagram with --mtu {mtu}"))
}

/// The error of a failed step.
pub(super) fn failed(what: &str, error: impl std::fmt::Display) -> Ended {
    Ended::new(Exit::Failure, format!("{what}: {error}"))
}

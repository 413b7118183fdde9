//! The congestion control that the command line names, and reports about it at run time.
//!
//! Owns the names that `--congestion` takes and the lines of `--stats`. It must never know commands.

use std::{str::FromStr, sync::Arc, time::Duration};

use quic_core::congestion::{Algorithm, CongestionConfig};
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;
use wt_api::{
    CongestionControl, Connection, Server, TransportConfig,
    protocol::{ConnectionStats, Rate},
};

use crate::output;

/// The kinds of the W3C API.
const KINDS: [(&str, CongestionControl); 3] = [
    ("default", CongestionControl::Default),
    ("throughput", CongestionControl::Throughput),
    ("low-latency", CongestionControl::LowLatency),
];

/// A kind of congestion control, or a controller by its name.
#[derive(Clone, Debug)]
pub(crate) enum Choice {
    Kind(CongestionControl),
    Controller(Algorithm),
}

impl Choice {
    /// The kind to ask the API for, and transport settings with the controllers.
    pub(crate) fn apply(&self) -> (CongestionControl, TransportConfig) {
        match self {
            Self::Kind(kind) => (*kind, TransportConfig::default()),
            Self::Controller(_) => {
                let congestion = self.controllers();
                (CongestionControl::Default, TransportConfig::new().congestion(congestion))
            }
        }
    }

    /// The controllers, for programs that use QUIC alone.
    pub(crate) fn controllers(&self) -> CongestionConfig {
        let algorithm = match self {
            Self::Kind(kind) => kind.algorithm(),
            Self::Controller(algorithm) => Some(algorithm.clone()),
        };
        algorithm.map_or_else(CongestionConfig::default, CongestionConfig::new)
    }

    /// The name as the command line takes it.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Kind(kind) => {
                KINDS.iter().find(|(_, known)| known == kind).map_or("unknown", |(name, _)| name)
            }
            Self::Controller(algorithm) => algorithm.name(),
        }
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if let Some((_, kind)) = KINDS.iter().find(|(known, _)| *known == name) {
            return Ok(Self::Kind(*kind));
        }
        let kinds: Vec<_> = KINDS.iter().map(|(name, _)| *name).collect();
        let algorithm = name.parse().map_err(|error| format!("{error}; or a kind: {}", kinds.join(", ")));
        algorithm.map(Self::Controller)
    }
}

/// How long packets wait in queues on the path, as far as round-trip times tell.
fn queue(stats: &ConnectionStats) -> Option<Duration> {
    stats.min_rtt.map(|lowest| stats.smoothed_rtt.saturating_sub(lowest))
}

/// The report for people, on one line.
fn line(stats: &ConnectionStats) -> String {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let rate = stats
        .estimated_send_rate
        .map_or("unknown".to_owned(), |rate| format!("{:.2} Mbit/s", rate.bits_per_second() as f64 / 1e6));
    let round_trip = queue(stats).map_or("unknown".to_owned(), |queue| {
        format!("{:.1} ms, {:.1} ms of it in queues", milliseconds(stats.smoothed_rtt), milliseconds(queue))
    });
    format!(
        "{}: rate {rate}, round trip {round_trip}, window {} kB, in flight {} kB, packets lost {}",
        stats.congestion_controller,
        stats.congestion_window / 1_000,
        stats.bytes_in_flight / 1_000,
        stats.packets_lost.saturating_sub(stats.spurious_losses),
    )
}

/// The report for programs: times in milliseconds, the rate in bits per second, the rest in bytes and
/// packets.
fn event(connection: &Connection, stats: &ConnectionStats) -> Value {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    json!({
        "event": "stats",
        "connection": connection.id(),
        "remote": connection.remote_address().to_string(),
        "controller": stats.congestion_controller,
        "estimatedSendRate": stats.estimated_send_rate.map(Rate::bits_per_second),
        "smoothedRtt": milliseconds(stats.smoothed_rtt),
        "minRtt": stats.min_rtt.map(milliseconds),
        "queue": queue(stats).map(milliseconds),
        "window": stats.congestion_window,
        "inFlight": stats.bytes_in_flight,
        "packetsLost": stats.packets_lost.saturating_sub(stats.spurious_losses),
    })
}

/// A timer for a repeated report.
fn each(seconds: f64) -> tokio::time::Interval {
    let mut each = tokio::time::interval(Duration::from_secs_f64(seconds));
    each.set_missed_tick_behavior(MissedTickBehavior::Delay);
    each
}

/// Reports the state of a client's connection every `seconds` seconds, as long as it lives; to programs
/// through `tell`.
pub(crate) async fn watch<E>(
    connection: &Connection,
    seconds: f64,
    json: bool,
    tell: impl AsyncFn(&Value) -> Result<(), E>,
) -> Result<(), E> {
    let mut each = each(seconds);
    while connection.close_error().is_none() {
        each.tick().await;
        let Ok(stats) = connection.stats().await else { break };
        if json {
            tell(&event(connection, &stats)).await?;
        } else {
            output::tell(&format!("{}\n", line(&stats)));
        }
    }
    Ok(())
}

/// Reports the state of each connection of a server every `seconds` seconds, without end; never if `seconds`
/// is `None`.
pub(crate) async fn watch_all(server: &Arc<Server>, seconds: Option<f64>, json: bool) {
    let Some(seconds) = seconds else { return std::future::pending().await };
    let mut each = each(seconds);
    loop {
        each.tick().await;
        for connection in server.connections().await {
            let Ok(stats) = connection.stats().await else { continue };
            if json {
                output::say_json(&event(&connection, &stats));
            } else {
                output::tell(&format!("{}: {}\n", connection.remote_address(), line(&stats)));
            }
        }
    }
}

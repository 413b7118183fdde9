//! The counters of a server, with names for monitoring systems.

use std::fmt::Write as _;

use quic_core::{DropCounts, error::DropReason};

use crate::reception::stats::ServerStats;

/// The meaning of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricKind {
    /// A sum that never decreases while the server exists.
    Counter,
    /// A current value.
    Gauge,
}

/// A family of numbers with the same meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metric {
    /// The name in Prometheus' style: it starts with `weft_` and contains the unit, and counters end with
    /// `_total`.
    pub name: &'static str,
    /// What it counts, for people.
    pub help: &'static str,
    /// The kind of number.
    pub kind: MetricKind,
    /// The values, each with a label if there are several.
    pub samples: Vec<(Option<(&'static str, &'static str)>, u64)>,
}

/// A metric with one value.
fn one(name: &'static str, help: &'static str, kind: MetricKind, value: u64) -> Metric {
    Metric { name, help, kind, samples: vec![(None, value)] }
}

/// A metric with several values, which a label distinguishes.
fn by(
    label: &'static str,
    name: &'static str,
    help: &'static str,
    samples: impl IntoIterator<Item = (&'static str, u64)>,
) -> Metric {
    let samples = samples.into_iter().map(|(value, count)| (Some((label, value)), count)).collect();
    Metric { name, help, kind: MetricKind::Counter, samples }
}

fn drops(name: &'static str, help: &'static str, drops: &DropCounts) -> Metric {
    by("reason", name, help, DropReason::ALL.map(|reason| (reason.name(), drops.of(reason))))
}

impl ServerStats {
    /// All numbers with their names, in a fixed order, for exporters of any kind. Existing names and labels
    /// keep their meaning; more may be added.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let mut all = Vec::from(self.of_connections());
        all.extend(self.of_requests());
        all.extend(self.of_traffic());
        all.extend(self.of_datagrams());
        all.extend(self.of_sockets());
        all
    }

    /// All numbers in the text format of Prometheus (version 0.0.4, `text/plain; version=0.0.4`), which
    /// `OpenMetrics` readers accept too.
    ///
    /// ```no_run
    /// # async fn example(server: wt_api::Server) {
    /// print!("{}", server.stats().await.to_prometheus());
    /// # }
    /// ```
    #[must_use]
    pub fn to_prometheus(&self) -> String {
        let mut text = String::new();
        for Metric { name, help, kind, samples } in self.metrics() {
            let kind = match kind {
                MetricKind::Counter => "counter",
                MetricKind::Gauge => "gauge",
            };
            // Writing to a string cannot fail.
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
            for (label, value) in samples {
                let _ = match label {
                    Some((label, of)) => writeln!(text, "{name}{{{label}=\"{of}\"}} {value}"),
                    None => writeln!(text, "{name} {value}"),
                };
            }
        }
        text
    }

    fn of_connections(&self) -> [Metric; 8] {
        let (handshakes, admission) = (&self.handshakes, &self.admission);
        [
            one("weft_connections", "Connections now.", MetricKind::Gauge, self.connections),
            one("weft_connections_total", "Connections begun.", MetricKind::Counter, self.connections_total),
            one("weft_handshakes_pending", "Current handshakes.", MetricKind::Gauge, self.handshakes_pending),
            one("weft_handshakes_total", "Handshakes completed.", MetricKind::Counter, handshakes.done),
            by(
                "cause",
                "weft_handshakes_failed_total",
                "Handshakes that failed, by cause.",
                [
                    ("tls", handshakes.failed_tls),
                    ("timeout", handshakes.failed_timeout),
                    ("peer", handshakes.failed_peer),
                    ("violation", handshakes.failed_violation),
                    ("closed", handshakes.failed_closed),
                    ("other", handshakes.failed_other),
                ],
            ),
            by(
                "cause",
                "weft_connections_refused_total",
                "Clients that were refused a connection, by cause.",
                [
                    ("connections", admission.refused_connections),
                    ("memory", admission.refused_memory),
                    ("address_connections", admission.refused_address_connections),
                    ("address_handshakes", admission.refused_address_handshakes),
                    ("address_rate", admission.refused_address_rate),
                    ("shutdown", admission.refused_shutdown),
                    ("malformed", admission.refused_malformed),
                    ("panic", admission.refused_panic),
                    ("hook", admission.refused_hook),
                ],
            ),
            one(
                "weft_connections_ignored_total",
                "Clients that the application's hook ignored.",
                MetricKind::Counter,
                admission.ignored_hook,
            ),
            by(
                "kind",
                "weft_answers_total",
                "Stateless responses, by kind.",
                [
                    ("retry", self.endpoint.retries),
                    ("version_negotiation", self.endpoint.version_negotiations),
                    ("stateless_reset", self.endpoint.stateless_resets),
                    ("invalid_token", self.endpoint.invalid_tokens),
                ],
            ),
        ]
    }

    fn of_requests(&self) -> [Metric; 6] {
        let requests = &self.requests;
        [
            one("weft_sessions", "Sessions now.", MetricKind::Gauge, self.sessions),
            one(
                "weft_requests_waiting",
                "Requests for sessions that currently wait for the application.",
                MetricKind::Gauge,
                self.requests_waiting,
            ),
            one(
                "weft_requests_total",
                "Requests for sessions passed to the application.",
                MetricKind::Counter,
                requests.offered,
            ),
            by(
                "cause",
                "weft_requests_refused_total",
                "Requests for sessions that the application did not get, by cause.",
                [
                    ("origin", requests.refused_origin),
                    ("busy", requests.refused_busy),
                    ("fields", requests.refused_fields),
                    ("shutdown", requests.refused_shutdown),
                ],
            ),
            one(
                "weft_memory_used_bytes",
                "Memory that clients currently make connections hold.",
                MetricKind::Gauge,
                self.memory_used,
            ),
            one("weft_memory_limit_bytes", "The limit of that memory.", MetricKind::Gauge, self.memory_limit),
        ]
    }

    fn of_traffic(&self) -> [Metric; 10] {
        let traffic = &self.traffic;
        let count = |name, help, value| one(name, help, MetricKind::Counter, value);
        [
            count("weft_sent_bytes_total", "UDP payload sent.", traffic.bytes_sent),
            count("weft_received_bytes_total", "UDP payload received.", traffic.bytes_received),
            count("weft_udp_datagrams_sent_total", "UDP datagrams sent.", traffic.udp_datagrams_sent),
            count(
                "weft_udp_datagrams_received_total",
                "UDP datagrams received.",
                traffic.udp_datagrams_received,
            ),
            count("weft_packets_sent_total", "QUIC packets sent.", traffic.packets_sent),
            count("weft_packets_received_total", "QUIC packets received.", traffic.packets_received),
            count("weft_packets_lost_total", "QUIC packets declared lost.", traffic.packets_lost),
            count(
                "weft_packets_lost_spuriously_total",
                "QUIC packets declared lost that arrived later.",
                traffic.packets_lost_spuriously,
            ),
            count("weft_probe_timeouts_total", "Probe timeouts.", traffic.probe_timeouts),
            by(
                "kind",
                "weft_stream_bytes_total",
                "Bytes of streams: sent, retransmitted or read.",
                [
                    ("sent", traffic.stream_bytes_sent),
                    ("retransmitted", traffic.stream_bytes_retransmitted),
                    ("read", traffic.stream_bytes_read),
                ],
            ),
        ]
    }

    fn of_datagrams(&self) -> [Metric; 6] {
        let traffic = &self.traffic;
        let count = |name, help, value| one(name, help, MetricKind::Counter, value);
        [
            count("weft_datagrams_sent_total", "Datagrams of applications sent.", traffic.datagrams_sent),
            count(
                "weft_datagrams_received_total",
                "Datagrams of applications received.",
                traffic.datagrams_received,
            ),
            by(
                "cause",
                "weft_datagrams_dropped_total",
                "Datagrams of applications that were dropped, by cause.",
                [
                    ("not_taken", traffic.datagrams_dropped_incoming),
                    ("expired_incoming", traffic.datagrams_expired_incoming),
                    ("expired_outgoing", traffic.datagrams_expired_outgoing),
                ],
            ),
            // A datagram that arrives later is subtracted.
            one(
                "weft_datagrams_lost",
                "Application datagrams declared lost that have not arrived later.",
                MetricKind::Gauge,
                traffic.datagrams_lost_outgoing,
            ),
            drops(
                "weft_packets_dropped_total",
                "Packets of connections that were ignored, by reason.",
                &traffic.dropped,
            ),
            drops(
                "weft_udp_datagrams_dropped_total",
                "UDP datagrams of no connection that were ignored, by reason.",
                &self.endpoint.dropped,
            ),
        ]
    }

    fn of_sockets(&self) -> [Metric; 3] {
        let sockets = &self.sockets;
        [
            by(
                "kind",
                "weft_socket_errors_total",
                "Errors of the sockets, by kind.",
                [
                    ("receive", sockets.receive_errors),
                    ("send", sockets.send_errors),
                    ("too_large", sockets.too_large),
                ],
            ),
            one(
                "weft_answers_dropped_total",
                "Stateless responses that were dropped because the socket was blocked.",
                MetricKind::Counter,
                sockets.answers_dropped,
            ),
            one(
                "weft_forwards_dropped_total",
                "Datagrams that arrived at the wrong socket of an address and were dropped, because too many waited for the right one.",
                MetricKind::Counter,
                sockets.forwards_dropped,
            ),
        ]
    }
}

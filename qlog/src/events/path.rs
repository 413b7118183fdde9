//! Paths: addresses, congestion, ECN, sizes (qlog QUIC events §4, §7).

use std::net::{IpAddr, SocketAddr};

use quic_core::{ConnectionStart, MigrationState, PathMetrics, TraceEvent, congestion::Rtt};

use super::{log::Log, names};
use crate::json::Fields;

pub(super) fn started(data: &mut Fields<'_>, start: &ConnectionStart) {
    data.object("local", |local| {
        if let Some(ip) = start.local_ip {
            address(local, ip, None);
        }
        local.list("connection_ids", |ids| ids.hex(start.local_cid.as_bytes()));
    });
    data.object("remote", |remote| {
        address(remote, start.remote.ip(), Some(start.remote.port()));
        remote.list("connection_ids", |ids| ids.hex(start.remote_cid.as_bytes()));
    });
}

fn address(data: &mut Fields<'_>, ip: IpAddr, port: Option<u16>) {
    let (ip_name, port_name) = if ip.is_ipv4() { ("ip_v4", "port_v4") } else { ("ip_v6", "port_v6") };
    data.text(ip_name, &ip.to_string());
    if let Some(port) = port {
        data.number(port_name, u64::from(port));
    }
}

fn tuple(data: &mut Fields<'_>, path: u32, remote: SocketAddr, local_ip: Option<IpAddr>) {
    data.text("tuple_id", &path.to_string());
    data.object("tuple_remote", |data| address(data, remote.ip(), Some(remote.port())));
    if let Some(ip) = local_ip {
        data.object("tuple_local", |data| address(data, ip, None));
    }
}

pub(super) fn write(log: &mut Log<'_>, event: &TraceEvent<'_>) {
    match event {
        TraceEvent::MetricsChanged { old, new } => {
            log.event("quic:recovery_metrics_updated", |data| metrics(data, old, new));
        }
        TraceEvent::CongestionChanged { old, new, controller } => {
            log.event("quic:congestion_state_updated", |data| {
                if let Some(old) = old {
                    data.text("old", names::phase(*old));
                }
                data.text("new", names::phase(*new));
                data.text("trigger", controller);
            });
        }
        TraceEvent::EcnChanged { old, new } => log.event("quic:ecn_state_updated", |data| {
            if let Some(old) = old {
                data.text("old", old.name());
            }
            data.text("new", new.name());
        }),
        TraceEvent::MtuChanged { old, new } => {
            if old.is_none() {
                log.event("quic:recovery_parameters_set", |data| recovery(data, *new));
            }
            log.event("quic:mtu_updated", |data| {
                if let Some(old) = old {
                    data.number("old", u64::from(*old));
                }
                data.number("new", u64::from(*new));
            });
        }
        TraceEvent::PathInUse { path, remote, local_ip } => {
            log.event("quic:tuple_assigned", |data| tuple(data, *path, *remote, *local_ip));
        }
        TraceEvent::Migration { path, state, remote, local_ip } => {
            log.event("quic:migration_state_updated", |data| {
                data.text("new", migration(*state));
                tuple(data, *path, *remote, *local_ip);
            });
        }
        TraceEvent::LimitChanged { old, new } => log.event("quic:connection_data_blocked_updated", |data| {
            data.text("old", names::limit(*old).0);
            let (state, reason) = names::limit(*new);
            data.text("new", state);
            if let Some(reason) = reason {
                data.text("reason", reason);
            }
        }),
        _ => {}
    }
}

/// What loss detection begins with (RFC 9002 §A.2).
fn recovery(data: &mut Fields<'_>, datagram_size: u16) {
    data.number("reordering_threshold", 3);
    data.number("timer_granularity", 1);
    data.millis("initial_rtt", Rtt::default().smoothed());
    data.number("max_datagram_size", u64::from(datagram_size));
}

/// What has changed.
fn metrics(data: &mut Fields<'_>, old: &PathMetrics, new: &PathMetrics) {
    if let Some(min) = new.min_rtt.filter(|_| new.min_rtt != old.min_rtt) {
        data.millis("min_rtt", min);
    }
    // Before the first sample, round trips are only assumed (RFC 9002 §6.2.2).
    for (name, before, now) in [
        ("smoothed_rtt", old.smoothed_rtt, new.smoothed_rtt),
        ("latest_rtt", old.latest_rtt, new.latest_rtt),
        ("rtt_variance", old.rtt_variation, new.rtt_variation),
    ] {
        if new.min_rtt.is_some() && (before != now || old.min_rtt.is_none()) {
            data.millis(name, now);
        }
    }
    let ssthresh = |metrics: &PathMetrics| metrics.ssthresh.unwrap_or(0);
    let rate = |metrics: &PathMetrics| metrics.pacing_rate.bits_per_second();
    for (name, before, now) in [
        ("pto_count", u64::from(old.pto_count), u64::from(new.pto_count)),
        ("congestion_window", old.congestion_window, new.congestion_window),
        ("bytes_in_flight", old.bytes_in_flight, new.bytes_in_flight),
        ("ssthresh", ssthresh(old), ssthresh(new)),
        ("pacing_rate", rate(old), rate(new)),
    ] {
        if before != now {
            data.number(name, now);
        }
    }
}

fn migration(state: MigrationState) -> &'static str {
    match state {
        MigrationState::ProbingStarted => "probing_started",
        MigrationState::ProbingSucceeded => "probing_successful",
        MigrationState::ProbingAbandoned => "probing_abandoned",
        MigrationState::MigrationStarted => "migration_started",
        _ => "migration_complete",
    }
}

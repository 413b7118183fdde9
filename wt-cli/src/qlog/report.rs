//! What is said of a file: text for people, JSON for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{file::File, trace::Trace};
use crate::output::printable;

fn bytes(count: u64) -> String {
    match count {
        0..10_000 => format!("{count} bytes"),
        10_000..10_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        10_000_000..10_000_000_000 => format!("{:.1} MB", count as f64 / 1e6),
        _ => format!("{:.2} GB", count as f64 / 1e9),
    }
}

fn millis(time: f64) -> String {
    if time >= 10_000.0 { format!("{:.2} s", time / 1e3) } else { format!("{time:.2} ms") }
}

/// Bits per second over the trace.
fn rate(bytes: u64, time: f64) -> Option<f64> {
    (time > 0.0).then(|| bytes as f64 * 8_000.0 / time)
}

fn bits(rate: Option<f64>) -> String {
    match rate {
        None => "-".to_owned(),
        Some(rate) if rate < 1e6 => format!("{:.1} kbit/s", rate / 1e3),
        Some(rate) if rate < 1e9 => format!("{:.2} Mbit/s", rate / 1e6),
        Some(rate) => format!("{:.2} Gbit/s", rate / 1e9),
    }
}

fn counts<'a>(counts: impl IntoIterator<Item = (&'a String, &'a u64)>) -> String {
    let all: Vec<_> = counts.into_iter().map(|(name, count)| format!("{name} {count}")).collect();
    all.join(", ")
}

/// The limits with the share of the time that each was in force, largest first.
pub(super) fn shares(trace: &Trace) -> Vec<(&str, f64, f64)> {
    let total: f64 = trace.limits.times.values().sum();
    let mut all: Vec<_> = trace
        .limits
        .times
        .iter()
        .filter(|(_, time)| **time > 0.0)
        .map(|(name, time)| (name.as_str(), *time, *time / total))
        .collect();
    all.sort_by(|one, two| two.1.total_cmp(&one.1));
    all
}

/// The version by its name, if it has one.
fn version(text: &str) -> String {
    match u32::from_str_radix(text.trim_start_matches("0x"), 16) {
        Ok(1) => "QUIC version 1".to_owned(),
        Ok(0x6b33_43cf) => "QUIC version 2".to_owned(),
        _ => format!("QUIC version {text}"),
    }
}

/// The summary as text. Much of it is a peer's, so that no control character of it gets through.
pub(super) fn text(name: &str, file: &File) -> String {
    let (trace, mut out) = (&file.trace, String::new());
    let head = &trace.head;
    let mut line = |label: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(out, "  {label:<14}{}", printable(&value));
        }
    };
    let known = [head.vantage.clone(), head.title.clone(), head.group.clone(), head.date.clone()];
    line("trace", known.into_iter().flatten().collect::<Vec<_>>().join(", "));
    let agreed = [trace.version.as_deref().map(version), trace.alpn.clone()];
    line("protocol", agreed.into_iter().flatten().collect::<Vec<_>>().join(", "));
    line("duration", format!("{}, {} events", millis(trace.last), trace.events));
    line(
        "handshake",
        match (trace.handshake_complete, trace.handshake_confirmed) {
            (Some(complete), Some(confirmed)) => {
                format!("complete after {}, confirmed after {}", millis(complete), millis(confirmed))
            }
            (Some(complete), None) => format!("complete after {}", millis(complete)),
            _ => "not complete in this trace".to_owned(),
        },
    );
    for (label, direction) in [("sent", &trace.sent), ("received", &trace.received)] {
        let all = bytes(direction.bytes());
        let of_streams = bytes(direction.stream_bytes);
        let rate = bits(rate(direction.bytes(), trace.last));
        line(label, format!("{} packets, {all} ({of_streams} of streams), {rate}", direction.packets));
    }
    let share = trace.losses() as f64 * 100.0 / trace.sent.packets.max(1) as f64;
    let by = counts(&trace.lost);
    let by = if by.is_empty() { String::new() } else { format!(": {by}") };
    line("lost", format!("{} packets ({share:.2} %){by}", trace.losses()));
    line("probes", format!("{} timeouts, {} MTU probes lost", trace.probe_timeouts, trace.lost_probes));
    line("dropped", counts(&trace.dropped));
    let quantile = |share| trace.rtt.quantile(share).map_or("-".to_owned(), millis);
    if let Some(min) = trace.min_rtt {
        let (half, most, nearly) = (quantile(0.5), quantile(0.9), quantile(0.99));
        line("round trip", format!("least {}, p50 {half}, p90 {most}, p99 {nearly}", millis(min)));
    }
    let limits: Vec<_> = shares(trace)
        .into_iter()
        .map(|(name, time, share)| format!("{name} {:.0} % ({})", share * 100.0, millis(time)))
        .collect();
    line("limited by", limits.join(", "));
    line("congestion", counts(&trace.congestion));
    let path = [
        trace.mtu.map(|mtu| format!("datagrams of {mtu} bytes")),
        trace.ecn.as_ref().map(|ecn| format!("ECN {ecn}")),
        (trace.moves > 0).then(|| format!("{} moves", trace.moves)),
        (trace.key_updates > 0).then(|| format!("{} key updates", trace.key_updates)),
    ];
    line("path", path.into_iter().flatten().collect::<Vec<_>>().join(", "));
    for told in &trace.sessions {
        line("session", told.clone());
    }
    for told in &trace.messages {
        line("note", told.clone());
    }
    line("end", end(trace));
    line("ignored", counts(&trace.unknown));
    if file.bad > 0 {
        let told: Vec<_> = file.bad_lines.iter().map(|(line, why)| format!("line {line}: {why}")).collect();
        line("unreadable", format!("{} records; {}", file.bad, told.join("; ")));
    }
    format!("{}\n{out}", printable(name))
}

fn end(trace: &Trace) -> String {
    let Some(close) = &trace.close else { return "the trace ends before the connection does".to_owned() };
    let who = match close.initiator.as_deref() {
        Some("remote") => "closed by the peer",
        Some("local") => "closed by this end",
        _ => "closed",
    };
    let why = [close.trigger.clone(), close.error.clone(), close.reason.clone()];
    let why: Vec<_> = why.into_iter().flatten().collect();
    if why.is_empty() { who.to_owned() } else { format!("{who}: {}", why.join(", ")) }
}

/// The summary for programs.
pub(super) fn json(name: &str, file: &File) -> Value {
    let trace = &file.trace;
    let direction = |direction: &super::trace::Direction| {
        json!({
            "packets": direction.packets, "datagrams": direction.datagrams, "bytes": direction.bytes(),
            "stream_bytes": direction.stream_bytes, "bits_per_second": rate(direction.bytes(), trace.last),
        })
    };
    let close = trace.close.as_ref().map(|close| {
        json!({"initiator": close.initiator, "error": close.error, "reason": close.reason, "trigger": close.trigger})
    });
    json!({
        "file": name, "vantage_point": trace.head.vantage, "title": trace.head.title, "group_id": trace.head.group,
        "version": trace.version, "alpn": trace.alpn, "duration_ms": trace.last, "events": trace.events,
        "handshake_ms": trace.handshake_complete, "confirmed_ms": trace.handshake_confirmed,
        "sent": direction(&trace.sent), "received": direction(&trace.received),
        "lost": trace.lost, "mtu_probes_lost": trace.lost_probes, "probe_timeouts": trace.probe_timeouts,
        "dropped": trace.dropped, "acked": trace.acked, "key_updates": trace.key_updates, "moves": trace.moves,
        "rtt_ms": {
            "min": trace.min_rtt, "p50": trace.rtt.quantile(0.5), "p90": trace.rtt.quantile(0.9),
            "p99": trace.rtt.quantile(0.99),
        },
        "limited_ms": trace.limits.times, "congestion": trace.congestion, "mtu": trace.mtu, "ecn": trace.ecn,
        "closed": close, "notes": trace.messages, "unknown_events": trace.unknown_events, "unreadable": file.bad,
        "unreadable_lines": file.bad_lines.iter().map(|(line, why)| json!({"line": line, "why": why})).collect::<Vec<_>>(),
    })
}

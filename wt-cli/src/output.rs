//! What `weft` prints: tables for people, JSON for programs.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write},
    sync::OnceLock,
    time::Duration,
};

use serde_json::{Value, json};
use wt_api::{WebTransportStats, protocol::SendLimit};
use wt_cli::console;
pub(crate) use wt_cli::console::tell;

/// Whether to print colours: on a terminal, unless `NO_COLOR` is set (no-color.org).
pub(crate) fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The result of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    Ok,
    Warning,
    Failed,
}

impl Verdict {
    /// The word for programs.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// The mark of a step that succeeded or failed.
pub(crate) fn mark(good: bool) -> &'static str {
    verdict_mark(if good { Verdict::Ok } else { Verdict::Failed })
}

/// The mark of a step's result.
pub(crate) fn verdict_mark(verdict: Verdict) -> &'static str {
    match (verdict, colours()) {
        (Verdict::Ok, true) => "\x1b[32mok\x1b[0m  ",
        (Verdict::Ok, false) => "ok  ",
        (Verdict::Warning, true) => "\x1b[33mwarn\x1b[0m",
        (Verdict::Warning, false) => "warn",
        (Verdict::Failed, true) => "\x1b[31mFAIL\x1b[0m",
        (Verdict::Failed, false) => "FAIL",
    }
}

/// The error of standard output, if it had one.
static UNWRITTEN: OnceLock<String> = OnceLock::new();

/// Writes to standard output, unbuffered. It is no error if the reader has left, as with `| head`.
pub(crate) fn say(text: &str) {
    if let Err(error) = console::say(text) {
        note_unwritten(&error);
    }
}

/// Writes a JSON object on one line.
pub(crate) fn say_json(object: &Value) {
    say(&format!("{object}\n"));
}

/// Keeps the first error of standard output, except that its reader has left.
pub(crate) fn note_unwritten(error: &io::Error) {
    if error.kind() != io::ErrorKind::BrokenPipe {
        let _ = UNWRITTEN.set(error.to_string());
    }
}

/// Why some output could not be written, such as a full disk.
pub(crate) fn unwritten() -> Option<&'static str> {
    UNWRITTEN.get().map(String::as_str)
}

/// Standard error for the log, whose writer must not fail either.
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().lock().write_all(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A peer's text in a form that is safe for a terminal: control characters are written as escapes.
pub(crate) fn printable(text: &str) -> String {
    let show = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(show).collect()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The statistics as rows of name and value.
fn rows(stats: &WebTransportStats) -> Vec<(&'static str, String)> {
    let rate = |rate: Option<u64>| match rate {
        Some(bits) => format!("{:.2} Mbit/s", bits as f64 / 1e6),
        None => "unknown".to_owned(),
    };
    let rtt = |rtt: Option<Duration>| {
        rtt.map_or("unknown".to_owned(), |rtt| format!("{:.3} ms", milliseconds(rtt)))
    };
    let count = |count: Option<u64>| count.map_or("not told".to_owned(), |count| count.to_string());
    vec![
        ("round-trip time, smoothed", rtt(Some(stats.smoothed_rtt))),
        ("round-trip time, variation", rtt(Some(stats.rtt_variation))),
        ("round-trip time, lowest", rtt(stats.min_rtt)),
        (
            "congestion controller",
            stats.connection.map_or("not told", |counts| counts.congestion_controller).to_owned(),
        ),
        ("estimated send rate", rate(stats.estimated_send_rate)),
        ("packets sent", count(stats.packets_sent)),
        ("packets received", count(stats.packets_received)),
        ("packets lost", count(stats.packets_lost)),
        ("sending limited by", limited(stats)),
        ("bytes sent", count(stats.bytes_sent)),
        ("bytes received", count(stats.bytes_received)),
        ("bytes lost", count(stats.bytes_lost)),
        ("datagrams lost on the way out", count(stats.datagrams.map(|counts| counts.lost_outgoing))),
        ("datagrams dropped on the way in", count(stats.datagrams.map(|counts| counts.dropped_incoming))),
    ]
}

/// What kept this end from sending more, with its share of the time, largest first.
fn limited(stats: &WebTransportStats) -> String {
    let Some(counts) = stats.connection else { return "-".to_owned() };
    let share =
        |limit| counts.limited.of(limit).as_secs_f64() * 100.0 / counts.lifetime.as_secs_f64().max(1e-9);
    let mut shares: Vec<_> = SendLimit::ALL.into_iter().map(|limit| (share(limit), limit.name())).collect();
    shares.sort_by(|one, two| two.0.total_cmp(&one.0));
    let told =
        shares.iter().filter(|(share, _)| *share >= 0.5).map(|(share, name)| format!("{name} {share:.0} %"));
    told.collect::<Vec<_>>().join(", ").replace('_', " ")
}

/// The same in milliseconds.
fn limited_json(stats: &WebTransportStats) -> Value {
    let Some(counts) = stats.connection else { return Value::Null };
    SendLimit::ALL
        .into_iter()
        .map(|limit| (limit.name().to_owned(), json!(milliseconds(counts.limited.of(limit)))))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// A table with one row for each figure.
pub(crate) fn table(stats: &WebTransportStats) -> String {
    let rows = rows(stats);
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "  {name:<width$}  {value}");
        text
    })
}

/// The statistics as a JSON object: times in milliseconds, the rate in bits per second.
pub(crate) fn json(stats: &WebTransportStats) -> Value {
    json!({
        "smoothedRtt": milliseconds(stats.smoothed_rtt),
        "rttVariation": milliseconds(stats.rtt_variation),
        "minRtt": stats.min_rtt.map(milliseconds),
        "congestionController": stats.connection.map(|counts| counts.congestion_controller),
        "estimatedSendRate": stats.estimated_send_rate,
        "atSendCapacity": stats.at_send_capacity,
        "limitedBy": limited_json(stats),
        "packetsSent": stats.packets_sent,
        "packetsReceived": stats.packets_received,
        "packetsLost": stats.packets_lost,
        "bytesSent": stats.bytes_sent,
        "bytesReceived": stats.bytes_received,
        "bytesLost": stats.bytes_lost,
        "datagrams": stats.datagrams.map(|datagrams| json!({
            "lostOutgoing": datagrams.lost_outgoing,
            "expiredOutgoing": datagrams.expired_outgoing,
            "droppedIncoming": datagrams.dropped_incoming,
            "expiredIncoming": datagrams.expired_incoming,
        })),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_peer_cannot_control_the_terminal() {
        assert_eq!(printable("plain – text"), "plain – text");
        assert_eq!(printable("\x1b[2Jgone\n\u{9b}31m"), "\\u{1b}[2Jgone\\n\\u{9b}31m");
    }
}

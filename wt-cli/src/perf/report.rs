//! The result of a run, as one line of JSON.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{growth::Growth, usage::Usage};
use crate::args::{Perf, PerfLevel};

/// What a client measured.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Application bytes in one direction.
    pub(super) bytes: u64,
    /// Requests answered.
    pub(super) operations: u64,
    pub(super) elapsed: Duration,
    /// The latency of each request, or of each handshake.
    pub(super) latencies: Vec<Duration>,
    /// Connections that resumed an earlier session, where that is measured.
    pub(super) resumed: Option<u64>,
    /// How many datagrams were sent.
    pub(super) sent: Option<u64>,
    /// The cost of each idle connection.
    pub(super) growth: Option<Growth>,
}

/// The result line. `server` is the usage of the server's process, if it was asked.
pub(super) fn line(options: &Perf, outcome: &Outcome, client: Usage, server: Option<Usage>) -> Value {
    let elapsed = outcome.elapsed.as_secs_f64();
    let processor = client.processor() + server.map_or(0.0, |server| server.processor());
    let per = |scale: f64, count: u64| {
        if count > 0 { json!(round(processor * scale / count as f64, 4)) } else { Value::Null }
    };
    let mut line = json!({
        "impl": match options.level { PerfLevel::Quic => "weft", PerfLevel::Wt => "weft-wt" },
        "role": options.role.to_string(),
        "mode": options.mode.to_string(),
        "level": options.level.to_string(),
        "elapsed_s": round(elapsed, 3),
        "gbps": round(outcome.bytes as f64 * 8e-9 / elapsed, 4),
        "ops": outcome.operations,
        "ops_per_s": round(outcome.operations as f64 / elapsed, 1),
        "bytes": outcome.bytes,
        "cpu_s": round(processor, 3),
        "cpu_ns_per_byte": per(1e9, outcome.bytes),
        "cpu_us_per_op": per(1e6, outcome.operations),
        "rss_kb": client.resident,
        "server_rss_kb": server.map_or(0, |server| server.resident),
        "client_cpu_s": round(client.processor(), 3),
        "client_sys_s": round(client.system, 3),
        "size": options.size,
        "streams": options.streams,
        "inflight": options.inflight,
        "conns": options.conns(),
        "congestion": options.congestion.name(),
        "mtu": options.mtu,
        "window": options.window,
        "cores": format!("{},{}", options.cores.0, options.cores.1),
    });
    if let Some(fields) = line.as_object_mut() {
        if let Some(server) = server {
            fields.insert("server_cpu_s".to_owned(), json!(round(server.processor(), 3)));
            fields.insert("server_sys_s".to_owned(), json!(round(server.system, 3)));
        }
        add_latencies(fields, &outcome.latencies);
        if let Some(resumed) = outcome.resumed {
            fields.insert("resumed".to_owned(), json!(resumed));
        }
        if let Some(sent) = outcome.sent {
            let arrived = outcome.operations as f64 / sent.max(1) as f64;
            fields.insert("loss".to_owned(), json!(round(1.0 - arrived, 4)));
        }
        if let Some(growth) = outcome.growth {
            let server = growth.server.map_or(Value::Null, |bytes| json!(round(bytes, 0)));
            fields.insert("server_bytes_per_conn".to_owned(), server);
            fields.insert("client_bytes_per_conn".to_owned(), json!(round(growth.client, 0)));
        }
    }
    line
}

fn add_latencies(fields: &mut Map<String, Value>, latencies: &[Duration]) {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    for (name, quantile) in [("p50_us", 0.5), ("p99_us", 0.99)] {
        let index = (sorted.len().saturating_sub(1) as f64 * quantile) as usize;
        if let Some(latency) = sorted.get(index) {
            fields.insert(name.to_owned(), json!(round(latency.as_secs_f64() * 1e6, 2)));
        }
    }
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    #[test]
    fn both_processes_count_and_quantiles_are_those_of_the_sorted_list() {
        let cli = Cli::try_parse_from(["weft", "perf", "client", "--mode", "rr"]).expect("a command line");
        let Command::Perf(options) = cli.command else { panic!("perf") };
        let outcome = Outcome {
            bytes: 2_000_000_000,
            operations: 1000,
            elapsed: Duration::from_secs(2),
            latencies: (1..=100).rev().map(Duration::from_micros).collect(),
            sent: Some(1250),
            resumed: Some(993),
            growth: Some(Growth { server: None, client: 1234.4 }),
        };
        let usage = Usage { user: 1.0, system: 0.5, resident: 77 };
        let line = line(&options, &outcome, usage, Some(usage));
        assert_eq!(line["gbps"], 8.0);
        assert_eq!(line["cpu_ns_per_byte"], 1.5);
        assert_eq!(line["cpu_us_per_op"], 3000.0);
        assert_eq!((&line["p50_us"], &line["p99_us"]), (&json!(50.0), &json!(99.0)));
        assert_eq!((&line["server_rss_kb"], &line["resumed"]), (&json!(77), &json!(993)));
        assert_eq!((&line["loss"], &line["conns"]), (&json!(0.2), &json!(8)));
        assert_eq!(
            (&line["server_bytes_per_conn"], &line["client_bytes_per_conn"]),
            (&Value::Null, &json!(1234.0))
        );
    }
}

//! One page for all files: what is drawn is in it, and it needs no network.

use serde_json::{Value, json};

use super::{file::File, report, series::Series};

const PAGE: &str = include_str!("page.html");

/// The page. `files` are the names and what was read.
pub(super) fn page(files: &[(String, File)]) -> String {
    let traces: Vec<Value> = files.iter().map(|(name, file)| trace(name, file)).collect();
    // Within a script element nothing may look like its end.
    let data = Value::Array(traces).to_string().replace('<', "\\u003c");
    PAGE.replace("/*DATA*/[]", &data)
}

fn points(series: &Series) -> Value {
    let round = |value: f64| (value * 1_000.0).round() / 1_000.0;
    series.points().map(|(time, value)| json!([round(time), round(value)])).collect()
}

fn trace(name: &str, file: &File) -> Value {
    let trace = &file.trace;
    let packets: Vec<Value> = trace
        .packets
        .iter()
        .map(|packet| {
            json!([
                packet.time,
                u8::from(packet.sent),
                packet.kind,
                packet.number,
                packet.size,
                packet.frames,
                u8::from(packet.lost)
            ])
        })
        .collect();
    let limits: Vec<Value> =
        report::shares(trace).into_iter().map(|(name, time, share)| json!([name, time, share])).collect();
    json!({
        "name": name, "text": report::text(name, file), "duration": trace.last,
        "side": trace.head.vantage, "packets": packets, "all": trace.sent.packets + trace.received.packets,
        "limits": limits,
        "window": points(&trace.window), "flight": points(&trace.in_flight),
        "smoothed": points(&trace.smoothed), "latest": points(&trace.latest), "losses": points(&trace.losses),
    })
}

//! What the events of one trace say, gathered in bounded memory.

use std::collections::BTreeMap;

use serde_json::Value;

use super::series::{Distribution, Series};

/// The most packets that are shown one by one.
const MOST_PACKETS: usize = 1_500;
/// The most names of unknown events that are told.
const MOST_NAMES: usize = 32;
/// The name spaces of older drafts whose events are those of `quic`.
const QUIC: [&str; 4] = ["quic", "transport", "recovery", "connectivity"];

/// A packet as the diagram shows it.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) time: f64,
    pub(crate) sent: bool,
    pub(crate) kind: String,
    pub(crate) number: Option<u64>,
    pub(crate) size: u64,
    pub(crate) frames: String,
    pub(crate) lost: bool,
}

/// Counts of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Direction {
    pub(crate) packets: u64,
    pub(crate) packet_bytes: u64,
    pub(crate) datagrams: u64,
    pub(crate) datagram_bytes: u64,
    pub(crate) stream_bytes: u64,
}

impl Direction {
    /// Bytes of UDP payload, or of packets if datagrams are not in the log.
    pub(crate) fn bytes(&self) -> u64 {
        if self.datagrams > 0 { self.datagram_bytes } else { self.packet_bytes }
    }
}

/// The end of the connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Close {
    pub(crate) initiator: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) trigger: Option<String>,
}

/// What is known of a trace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    pub(crate) head: Head,
    pub(crate) events: u64,
    pub(crate) first: Option<f64>,
    pub(crate) last: f64,
    pub(crate) version: Option<String>,
    pub(crate) alpn: Option<String>,
    pub(crate) handshake_complete: Option<f64>,
    pub(crate) handshake_confirmed: Option<f64>,
    pub(crate) sent: Direction,
    pub(crate) received: Direction,
    pub(crate) lost: BTreeMap<String, u64>,
    pub(crate) lost_probes: u64,
    pub(crate) dropped: BTreeMap<String, u64>,
    pub(crate) acked: u64,
    pub(crate) probe_timeouts: u64,
    pub(crate) key_updates: u64,
    pub(crate) moves: u64,
    pub(crate) mtu: Option<u64>,
    pub(crate) ecn: Option<String>,
    pub(crate) congestion: BTreeMap<String, u64>,
    pub(crate) close: Option<Close>,
    pub(crate) rtt: Distribution,
    pub(crate) min_rtt: Option<f64>,
    pub(crate) limits: Limits,
    pub(crate) messages: Vec<String>,
    pub(crate) sessions: Vec<String>,
    pub(crate) unknown: BTreeMap<String, u64>,
    pub(crate) unknown_events: u64,
    pub(crate) window: Series,
    pub(crate) in_flight: Series,
    pub(crate) smoothed: Series,
    pub(crate) latest: Series,
    pub(crate) losses: Series,
    pub(crate) packets: Vec<Packet>,
    metrics: Metrics,
    previous: f64,
}

/// What the head of a file says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    pub(crate) title: Option<String>,
    pub(crate) vantage: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) date: Option<String>,
    /// Whether the time of each event is counted from the one before.
    relative: bool,
}

/// What limited sending, and for how many milliseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) times: BTreeMap<String, f64>,
    now: Option<(String, f64)>,
}

impl Limits {
    fn set(&mut self, by: &str, time: f64) {
        self.end(time);
        self.now = Some((by.to_owned(), time));
    }

    fn end(&mut self, time: f64) {
        if let Some((by, since)) = self.now.take() {
            *self.times.entry(by).or_default() += (time - since).max(0.0);
        }
    }
}

/// Figures keep their values until another event changes them.
#[derive(Clone, Copy, Debug, Default)]
struct Metrics {
    lost: f64,
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

impl Trace {
    /// A record of the file that is no event.
    pub(crate) fn on_head(&mut self, value: &Value) {
        let trace = value.get("trace").or_else(|| value["traces"].get(0)).unwrap_or(&Value::Null);
        let common = &trace["common_fields"];
        let point = &trace["vantage_point"];
        self.head.title = text(&value["title"]).or(text(&trace["title"])).or(text(&point["name"]));
        self.head.vantage = text(&point["type"]);
        self.head.group = text(&common["group_id"]).or(text(&common["ODCID"]));
        self.head.date = text(&common["reference_time"]["wall_clock_time"]);
        let format = common["time_format"].as_str();
        self.head.relative = matches!(format, Some("relative_to_previous_event" | "delta"));
    }

    /// An event.
    pub(crate) fn on_event(&mut self, event: &Value) {
        let Some(name) = event["name"].as_str() else {
            return self.ignore("(no name)");
        };
        let time = event["time"].as_f64().unwrap_or(self.previous);
        let time = if self.head.relative { self.previous + time } else { time };
        self.previous = time;
        let first = *self.first.get_or_insert(time);
        self.events += 1;
        self.last = self.last.max(time - first);
        let time = time - first;
        let (space, kind) = name.split_once(':').unwrap_or(("quic", name));
        let data = &event["data"];
        match (space, kind) {
            ("loglevel", _) => self.keep(Keep::Message, text(&data["message"])),
            ("weft_webtransport", _) => self.keep(Keep::Session, Some(told(kind, data))),
            ("http3" | "http" | "qpack", _) => {}
            (space, kind) if QUIC.contains(&space) => self.on_quic(kind, data, time),
            _ => self.ignore(name),
        }
    }

    fn ignore(&mut self, name: &str) {
        self.unknown_events += 1;
        if self.unknown.len() < MOST_NAMES || self.unknown.contains_key(name) {
            *self.unknown.entry(name.to_owned()).or_default() += 1;
        }
    }

    fn keep(&mut self, what: Keep, line: Option<String>) {
        let lines = match what {
            Keep::Message => &mut self.messages,
            Keep::Session => &mut self.sessions,
        };
        lines.extend(line.filter(|_| lines.len() < 100));
    }

    fn on_quic(&mut self, kind: &str, data: &Value, time: f64) {
        match kind {
            "packet_sent" => self.on_packet(true, data, time),
            "packet_received" => self.on_packet(false, data, time),
            "udp_datagrams_sent" | "datagrams_sent" => datagrams(&mut self.sent, data),
            "udp_datagrams_received" | "datagrams_received" => datagrams(&mut self.received, data),
            "packet_lost" => self.on_lost(data, time),
            "packet_dropped" => {
                let trigger = data["trigger"].as_str().unwrap_or("unknown");
                *self.dropped.entry(trigger.to_owned()).or_default() += 1;
            }
            "packets_acked" => {
                self.acked += data["packet_numbers"].as_array().map_or(0, |list| list.len() as u64);
            }
            "recovery_metrics_updated" | "metrics_updated" => self.on_metrics(data, time),
            "congestion_state_updated" => {
                let new = data["new"].as_str().unwrap_or("unknown");
                *self.congestion.entry(new.to_owned()).or_default() += 1;
            }
            "connection_data_blocked_updated" => {
                let reason = data["reason"].as_str();
                let unblocked = if self.handshake_complete.is_some() { "none" } else { "handshake" };
                self.limits.set(reason.unwrap_or(unblocked), time);
            }
            "timer_updated" | "loss_timer_updated" => {
                let expired = data["event_type"] == "expired" && data["timer_type"] == "pto";
                self.probe_timeouts += u64::from(expired);
            }
            "key_updated" => {
                let update = matches!(data["trigger"].as_str(), Some("remote_update" | "local_update"));
                let once = data["key_type"].as_str().is_none_or(|key| key.starts_with("client"));
                self.key_updates += u64::from(update && once);
            }
            "migration_state_updated" => self.moves += u64::from(data["new"] == "migration_complete"),
            "mtu_updated" => self.mtu = data["new"].as_u64().or(self.mtu),
            "ecn_state_updated" => self.ecn = text(&data["new"]).or(self.ecn.take()),
            "connection_started" => self.limits.set("handshake", time),
            "connection_closed" => self.on_closed(data, time),
            "connection_state_updated" => self.on_state(data["new"].as_str().unwrap_or_default(), time),
            "version_information" => self.version = text(&data["chosen_version"]).or(self.version.take()),
            "alpn_information" => {
                let chosen = &data["chosen_alpn"];
                self.alpn = text(chosen).or(text(&chosen["string_value"])).or(self.alpn.take());
            }
            "parameters_set"
            | "parameters_restored"
            | "packet_buffered"
            | "key_discarded"
            | "key_retired"
            | "recovery_parameters_set"
            | "tuple_assigned"
            | "connection_id_updated"
            | "spin_bit_updated"
            | "stream_state_updated"
            | "stream_data_moved"
            | "data_moved"
            | "datagram_data_moved"
            | "server_listening"
            | "frames_created"
            | "frames_parsed"
            | "frames_processed"
            | "marked_for_retransmit"
            | "stream_data_blocked_updated"
            | "datagram_data_blocked_updated"
            | "udp_datagram_dropped"
            | "datagram_dropped"
            | "path_assigned" => {}
            kind => self.ignore(&format!("quic:{kind}")),
        }
    }

    fn on_state(&mut self, state: &str, time: f64) {
        match state {
            "handshake_complete" | "handshake_completed" => {
                self.handshake_complete.get_or_insert(time);
            }
            "handshake_confirmed" => {
                self.handshake_complete.get_or_insert(time);
                self.handshake_confirmed.get_or_insert(time);
            }
            _ => {}
        }
    }

    fn on_packet(&mut self, sent: bool, data: &Value, time: f64) {
        let header = &data["header"];
        let size = data["raw"]["length"].as_u64().or(header["packet_size"].as_u64()).unwrap_or(0);
        let direction = if sent { &mut self.sent } else { &mut self.received };
        direction.packets += 1;
        direction.packet_bytes = direction.packet_bytes.saturating_add(size);
        let frames = data["frames"].as_array().map_or(&[][..], Vec::as_slice);
        for frame in frames.iter().filter(|frame| frame["frame_type"] == "stream") {
            let length = frame["raw"]["payload_length"].as_u64().or(frame["length"].as_u64());
            direction.stream_bytes = direction.stream_bytes.saturating_add(length.unwrap_or(0));
        }
        if self.packets.len() < MOST_PACKETS {
            let names: Vec<_> = frames.iter().filter_map(|frame| frame["frame_type"].as_str()).collect();
            self.packets.push(Packet {
                time,
                sent,
                kind: text(&header["packet_type"]).or(text(&data["packet_type"])).unwrap_or_default(),
                number: header["packet_number"].as_u64(),
                size,
                frames: names.join(" "),
                lost: false,
            });
        }
    }

    fn on_lost(&mut self, data: &Value, time: f64) {
        if data["is_mtu_probe_packet"] == true {
            self.lost_probes += 1;
            return;
        }
        let trigger = data["trigger"].as_str().unwrap_or("unknown");
        *self.lost.entry(trigger.to_owned()).or_default() += 1;
        self.metrics.lost += 1.0;
        self.losses.push(time, self.metrics.lost);
        let number = data["header"]["packet_number"].as_u64();
        let kind = data["header"]["packet_type"].as_str().unwrap_or_default();
        let is_it = |packet: &&mut Packet| packet.sent && packet.number == number && packet.kind == kind;
        if let Some(packet) = self.packets.iter_mut().rev().find(is_it).filter(|_| number.is_some()) {
            packet.lost = true;
        }
    }

    fn on_metrics(&mut self, data: &Value, time: f64) {
        let figure = |name: &str| data[name].as_f64();
        if let Some(latest) = figure("latest_rtt") {
            self.rtt.add(latest);
            self.latest.push(time, latest);
        }
        if let Some(smoothed) = figure("smoothed_rtt") {
            self.smoothed.push(time, smoothed);
        }
        if let Some(window) = figure("congestion_window") {
            self.window.push(time, window);
        }
        if let Some(in_flight) = figure("bytes_in_flight") {
            self.in_flight.push(time, in_flight);
        }
        self.min_rtt = figure("min_rtt").or(self.min_rtt);
    }

    fn on_closed(&mut self, data: &Value, time: f64) {
        self.limits.end(time);
        let code = data["error_code"]
            .as_u64()
            .or(data["application_code"].as_u64())
            .or(data["connection_code"].as_u64());
        let error = text(&data["connection_error"]).or(text(&data["application_error"]));
        let error = match (error, code) {
            (Some(error), Some(code)) if error == "unknown" => Some(format!("code {code:#x}")),
            (None, code) => code.map(|code| format!("code {code:#x}")),
            (error, _) => error,
        };
        self.close.get_or_insert(Close {
            initiator: text(&data["initiator"]).or(text(&data["owner"])),
            error,
            reason: text(&data["reason"]).filter(|reason| !reason.is_empty()),
            trigger: text(&data["trigger"]),
        });
    }

    /// The file is over.
    pub(crate) fn finish(&mut self) {
        self.limits.end(self.last);
    }

    /// Packets that were lost, without probes for a larger size.
    pub(crate) fn losses(&self) -> u64 {
        self.lost.values().sum()
    }
}

/// What a line is about.
#[derive(Clone, Copy)]
enum Keep {
    Message,
    Session,
}

fn datagrams(direction: &mut Direction, data: &Value) {
    let raw = data["raw"].as_array().map_or(&[][..], Vec::as_slice);
    let count = data["count"].as_u64().unwrap_or(raw.len() as u64);
    direction.datagrams = direction.datagrams.saturating_add(count);
    let lengths = raw.iter().filter_map(|datagram| datagram["length"].as_u64());
    direction.datagram_bytes = lengths.fold(direction.datagram_bytes, u64::saturating_add);
}

/// An event of a session in words.
fn told(kind: &str, data: &Value) -> String {
    let fields = data.as_object().into_iter().flatten().map(|(name, value)| match value.as_str() {
        Some(text) => format!("{name} {text}"),
        None => format!("{name} {value}"),
    });
    let fields: Vec<_> = fields.collect();
    format!("{}: {}", kind.replace('_', " "), fields.join(", "))
}

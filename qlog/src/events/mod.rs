//! From what an observer is shown to events of qlog (draft-ietf-quic-qlog-quic-events-13).

mod close;
mod frames;
mod layers;
mod log;
mod mapping;
mod names;
mod packets;
mod parameters;
mod path;

use std::time::Duration;

use quic_core::{EarlyData, KeyUpdate, Level, RecoveryTimer, StreamChange, TimerChange, TraceEvent};

use log::Log;
pub(crate) use mapping::Mapping;

use crate::json::Fields;

impl Mapping {
    /// Appends the records of an event. Returns how many.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, time: Duration, event: &TraceEvent<'_>) -> u64 {
        let mut log = Log::new(out, time);
        self.map(&mut log, event);
        log.written()
    }

    fn map(&mut self, log: &mut Log<'_>, event: &TraceEvent<'_>) {
        match event {
            TraceEvent::Started(_)
            | TraceEvent::VersionChosen { .. }
            | TraceEvent::AlpnChosen(_)
            | TraceEvent::ParametersSet { .. }
            | TraceEvent::ParametersRestored(_)
            | TraceEvent::EarlyData(_)
            | TraceEvent::StateChanged { .. } => self.handshake(log, event),
            TraceEvent::PacketSent { .. } | TraceEvent::PacketReceived { .. } => self.packet(log, event),
            TraceEvent::RetryReceived { .. }
            | TraceEvent::VersionNegotiationReceived { .. }
            | TraceEvent::PacketBuffered { .. }
            | TraceEvent::PacketDropped { .. }
            | TraceEvent::DatagramSent { .. }
            | TraceEvent::DatagramReceived { .. }
            | TraceEvent::PacketsAcked { .. }
            | TraceEvent::PacketLost { .. } => packets::write(log, event),
            TraceEvent::MetricsChanged { .. }
            | TraceEvent::CongestionChanged { .. }
            | TraceEvent::EcnChanged { .. }
            | TraceEvent::MtuChanged { .. }
            | TraceEvent::PathInUse { .. }
            | TraceEvent::Migration { .. }
            | TraceEvent::LimitChanged { .. } => path::write(log, event),
            TraceEvent::TimerChanged { timer, change } => timer_updated(log, *timer, *change),
            TraceEvent::KeyUpdated { level, phase, trigger } => {
                keys(log, "quic:key_updated", *level, |data| {
                    if *level == Level::OneRtt {
                        data.number("key_phase", *phase);
                    }
                    let trigger = match trigger {
                        KeyUpdate::Tls => "tls",
                        KeyUpdate::Local => "local_update",
                        KeyUpdate::Remote => "remote_update",
                    };
                    data.text("trigger", trigger);
                });
            }
            TraceEvent::KeyDiscarded { level } => {
                keys(log, "quic:key_discarded", *level, |data| data.text("trigger", "tls"));
            }
            TraceEvent::CidChanged { owner, observer, old, new } => {
                log.event("quic:connection_id_updated", |data| {
                    data.text("initiator", if owner == observer { "local" } else { "remote" });
                    if let Some(old) = old {
                        data.hex("old", old.as_bytes());
                    }
                    if let Some(new) = new {
                        data.hex("new", new.as_bytes());
                    }
                });
            }
            TraceEvent::StreamChanged { id, change } => stream(log, *id, *change),
            TraceEvent::Layer(event) => layers::write(log, event),
            TraceEvent::Closed(error) => self.closed(log, error),
            // What the records of packets say already, and events of later versions.
            _ => {}
        }
    }

    fn handshake(&mut self, log: &mut Log<'_>, event: &TraceEvent<'_>) {
        match event {
            TraceEvent::Started(start) => {
                log.event("quic:connection_started", |data| path::started(data, start));
            }
            TraceEvent::VersionChosen { chosen, local, peer } => self.version(log, *chosen, local, peer),
            TraceEvent::AlpnChosen(protocol) => {
                self.http3 = protocol.starts_with(b"h3");
                log.event("quic:alpn_information", |data| {
                    data.object("chosen_alpn", |alpn| match std::str::from_utf8(protocol) {
                        Ok(text) => alpn.text("string_value", text),
                        Err(_) => alpn.hex("byte_value", protocol),
                    });
                });
            }
            TraceEvent::ParametersSet { owner, observer, parameters } => {
                let own = usize::from(owner != observer);
                self.ack_delay_exponents[own] = parameters.ack_delay_exponent;
                log.event("quic:parameters_set", |data| {
                    data.text("initiator", if owner == observer { "local" } else { "remote" });
                    parameters::all(data, parameters);
                });
            }
            TraceEvent::ParametersRestored(parameters) => {
                log.event("quic:parameters_restored", |data| parameters::restored(data, parameters));
            }
            TraceEvent::EarlyData(state) => {
                let message = match state {
                    EarlyData::None => "no 0-RTT",
                    EarlyData::Offered => "0-RTT offered",
                    EarlyData::Accepted => "0-RTT accepted",
                    EarlyData::Rejected => "0-RTT rejected",
                };
                log.event("loglevel:info", |data| data.text("message", message));
            }
            TraceEvent::StateChanged { old, new } => log.event("quic:connection_state_updated", |data| {
                if let Some(old) = old {
                    data.text("old", names::state(*old));
                }
                data.text("new", names::state(*new));
            }),
            _ => {}
        }
    }

    fn version(&self, log: &mut Log<'_>, chosen: u32, local: &[u32], peer: &[u32]) {
        log.event("quic:version_information", |data| {
            let (server, client) = if self.side.is_client() { (peer, local) } else { (local, peer) };
            for (name, versions) in [("server_versions", server), ("client_versions", client)] {
                if !versions.is_empty() {
                    data.list(name, |items| {
                        versions.iter().for_each(|version| items.hex(&version.to_be_bytes()));
                    });
                }
            }
            data.hex("chosen_version", &chosen.to_be_bytes());
        });
    }
}

fn timer_updated(log: &mut Log<'_>, timer: RecoveryTimer, change: TimerChange) {
    log.event("quic:timer_updated", |data| {
        data.text("timer_type", if timer == RecoveryTimer::Pto { "pto" } else { "loss_timeout" });
        match change {
            TimerChange::Set(delta) => {
                data.text("event_type", "set");
                data.millis("delta", delta);
            }
            TimerChange::Expired => data.text("event_type", "expired"),
            TimerChange::Cancelled => data.text("event_type", "cancelled"),
        }
    });
}

/// A record for the keys of each direction.
fn keys(log: &mut Log<'_>, name: &str, level: Level, data: impl Fn(&mut Fields<'_>)) {
    for end in ["client", "server"] {
        let key = match level {
            Level::Initial => "initial",
            Level::Handshake => "handshake",
            Level::OneRtt => "1rtt",
            // Only clients send 0-RTT packets.
            Level::ZeroRtt if end == "client" => "0rtt",
            Level::ZeroRtt => continue,
        };
        log.event(name, |fields| {
            fields.text("key_type", &format!("{end}_{key}_secret"));
            data(fields);
        });
    }
}

fn stream(log: &mut Log<'_>, id: quic_core::StreamId, change: StreamChange) {
    let (new, side, trigger) = match change {
        StreamChange::OpenedHere => ("open", "sending", "local"),
        StreamChange::OpenedByPeer => ("open", "receiving", "remote"),
        StreamChange::AllAcknowledged => ("data_received", "sending", "remote"),
        StreamChange::Discarded => ("closed", "receiving", "local"),
        // STOP_SENDING changes no state of its own; its frame is in the record of the packet.
        _ => return,
    };
    log.event("quic:stream_state_updated", |data| {
        data.number("stream_id", id.value());
        data.text("stream_type", names::direction(id.dir()));
        data.text("new", new);
        data.text("stream_side", side);
        data.text("trigger", trigger);
    });
}

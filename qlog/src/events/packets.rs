//! Packets and datagrams (qlog QUIC events §5).

use quic_core::{Level, LossTrigger, TraceEvent, TracedHeader, error::DropReason};

use super::{log::Log, mapping::Mapping, names};
use crate::json::Fields;

/// The bytes that packet protection adds (RFC 9001 §5.3).
const TAG: u64 = 16;

impl Mapping {
    pub(super) fn packet(&self, log: &mut Log<'_>, event: &TraceEvent<'_>) {
        match event {
            TraceEvent::PacketSent { level, number, size, header, frames, mtu_probe, probe, .. } => {
                log.event("quic:packet_sent", |data| {
                    header_of(data, *level, *number, header, frames.payload_size());
                    self.frames(data, *frames, true);
                    raw(data, *size, frames.payload_size());
                    if *mtu_probe {
                        data.flag("is_mtu_probe_packet", true);
                    } else if *probe {
                        data.text("trigger", "pto_probe");
                    }
                });
            }
            TraceEvent::PacketReceived { level, number, size, header, frames, waited, .. } => {
                log.event("quic:packet_received", |data| {
                    header_of(data, *level, *number, header, frames.payload_size());
                    self.frames(data, *frames, false);
                    raw(data, *size, frames.payload_size());
                    if *waited {
                        data.text("trigger", "keys_available");
                    }
                });
            }
            _ => {}
        }
    }
}

/// What needs no knowledge of the connection.
pub(super) fn write(log: &mut Log<'_>, event: &TraceEvent<'_>) {
    match event {
        TraceEvent::RetryReceived { scid, token_size, size } => log.event("quic:packet_received", |data| {
            data.object("header", |header| {
                header.text("packet_type", "retry");
                header.object("token", |token| {
                    token.text("type", "retry");
                    token.object("raw", |raw| raw.number("length", *token_size as u64));
                });
                header.number("scil", scid.len() as u64);
                header.hex("scid", scid.as_bytes());
            });
            length(data, *size);
        }),
        TraceEvent::VersionNegotiationReceived { versions, size } => {
            log.event("quic:packet_received", |data| {
                data.object("header", |header| header.text("packet_type", "version_negotiation"));
                if !versions.is_empty() {
                    data.list("supported_versions", |items| {
                        versions.iter().for_each(|version| items.hex(&version.to_be_bytes()));
                    });
                }
                length(data, *size);
            });
        }
        TraceEvent::PacketBuffered { level, size } => log.event("quic:packet_buffered", |data| {
            data.object("header", |header| header.text("packet_type", names::packet_type(*level)));
            length(data, *size);
            data.text("trigger", "keys_unavailable");
        }),
        TraceEvent::PacketDropped { reason, size } => log.event("quic:packet_dropped", |data| {
            length(data, *size);
            data.object("details", |details| details.text("reason", reason.name()));
            data.text("trigger", dropped(*reason));
        }),
        TraceEvent::DatagramSent { size, ecn } => log.event("quic:udp_datagrams_sent", |data| {
            datagram(data, *size, names::ecn(*ecn));
        }),
        TraceEvent::DatagramReceived { size, ecn } => log.event("quic:udp_datagrams_received", |data| {
            datagram(data, *size, names::ecn(*ecn));
        }),
        TraceEvent::PacketsAcked { space, numbers } => log.event("quic:packets_acked", |data| {
            data.text("packet_number_space", names::space(*space));
            data.list("packet_numbers", |items| numbers.iter().for_each(|number| items.number(*number)));
        }),
        TraceEvent::PacketLost { level, number, size, trigger, mtu_probe } => {
            log.event("quic:packet_lost", |data| lost(data, (*level, *number, *size), *trigger, *mtu_probe));
        }
        _ => {}
    }
}

fn lost(data: &mut Fields<'_>, packet: (Level, u64, usize), trigger: LossTrigger, mtu_probe: bool) {
    let (level, number, size) = packet;
    data.object("header", |header| {
        header.text("packet_type", names::packet_type(level));
        header.number("packet_number", number);
    });
    if mtu_probe {
        data.flag("is_mtu_probe_packet", true);
    }
    data.text(
        "trigger",
        match trigger {
            LossTrigger::Time => "time_threshold",
            _ => "reordering_threshold",
        },
    );
    // The schema has no size here; tools that add up losses need it.
    data.number("weft_size", size as u64);
}

fn header_of(data: &mut Fields<'_>, level: Level, number: u64, from: &TracedHeader, payload: usize) {
    data.object("header", |header| {
        header.text("packet_type", names::packet_type(level));
        if let Some(phase) = from.key_phase {
            header.flag("key_phase_bit", phase);
        }
        header.number("packet_number_length", u64::from(from.number_length));
        header.number("packet_number", number);
        if let Some(version) = from.version {
            header.number("length", u64::from(from.number_length) + payload as u64 + TAG);
            header.hex("version", &version.to_be_bytes());
        }
        if let Some(scid) = &from.scid {
            header.number("scil", scid.len() as u64);
            header.number("dcil", from.dcid.len() as u64);
            header.hex("scid", scid.as_bytes());
        }
        header.hex("dcid", from.dcid.as_bytes());
    });
}

fn raw(data: &mut Fields<'_>, size: usize, payload: usize) {
    data.object("raw", |raw| {
        raw.number("length", size as u64);
        raw.number("payload_length", payload as u64);
    });
}

fn length(data: &mut Fields<'_>, size: usize) {
    data.object("raw", |raw| raw.number("length", size as u64));
}

fn datagram(data: &mut Fields<'_>, size: usize, ecn: &str) {
    data.number("count", 1);
    data.list("raw", |items| items.object(|raw| raw.number("length", size as u64)));
    data.list("ecn", |items| items.text(ecn));
}

fn dropped(reason: DropReason) -> &'static str {
    match reason {
        DropReason::HeaderMalformed
        | DropReason::FixedBit
        | DropReason::CidTooLong
        | DropReason::DatagramTooSmall => "invalid",
        DropReason::Version => "unsupported",
        DropReason::UnknownConnection | DropReason::CoalescedForeign => "connection_unknown",
        DropReason::KeysUnavailable => "key_unavailable",
        DropReason::Decryption => "decryption_failure",
        DropReason::Duplicate => "duplicate",
        DropReason::UnknownPath | DropReason::Unsolicited | DropReason::Limit => "rejected",
        _ => "general",
    }
}

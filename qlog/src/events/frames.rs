//! Frames (qlog QUIC events §8.13). Contents are never written, only their sizes.

use std::time::Duration;

use quic_core::{
    PacketFrames,
    base::varint,
    frame::{Ack, Frame},
};

use super::{mapping::Mapping, names};
use crate::json::{Fields, Items};

/// A range of packet numbers more in one ACK frame would make records too long: the rest is left out.
const MOST_RANGES: usize = 256;

impl Mapping {
    /// The frames of a packet, which this end sent or received.
    pub(super) fn frames(&self, data: &mut Fields<'_>, frames: PacketFrames<'_>, sent: bool) {
        data.list("frames", |items| frames.iter().for_each(|frame| self.frame(items, &frame, sent)));
    }

    fn frame(&self, items: &mut Items<'_>, frame: &Frame<'_>, sent: bool) {
        items.object(|data| match frame {
            Frame::Padding(count) => {
                kind(data, "padding");
                raw(data, *count, 0);
            }
            Frame::Ping => kind(data, "ping"),
            Frame::Ack(ack) => self.ack(data, ack, sent),
            Frame::ResetStream { id, code, final_size } => {
                kind(data, "reset_stream");
                data.number("stream_id", id.value());
                self.application_error(data, "error", *code);
                data.number("final_size", *final_size);
            }
            Frame::ResetStreamAt { id, code, final_size, reliable_size } => {
                kind(data, "reset_stream_at");
                data.number("stream_id", id.value());
                self.application_error(data, "error", *code);
                data.number("final_size", *final_size);
                data.number("reliable_size", *reliable_size);
            }
            Frame::StopSending { id, code } => {
                kind(data, "stop_sending");
                data.number("stream_id", id.value());
                self.application_error(data, "error", *code);
            }
            Frame::Crypto { offset, data: bytes } => {
                kind(data, "crypto");
                data.number("offset", *offset);
                payload(data, bytes.len());
            }
            Frame::NewToken(token) => {
                kind(data, "new_token");
                data.object("token", |of| {
                    of.text("type", "resumption");
                    payload(of, token.len());
                });
            }
            Frame::Stream { id, offset, fin, data: bytes } => {
                kind(data, "stream");
                data.number("stream_id", id.value());
                data.number("offset", *offset);
                if *fin {
                    data.flag("fin", true);
                }
                payload(data, bytes.len());
            }
            Frame::Datagram { data: bytes, .. } => {
                kind(data, "datagram");
                payload(data, bytes.len());
            }
            Frame::TransportClose { code, frame_type, reason } => close(data, *code, *frame_type, reason),
            Frame::ApplicationClose { code, reason } => {
                kind(data, "connection_close");
                data.text("error_space", "application");
                self.application_error(data, "error", *code);
                data.text("reason", &String::from_utf8_lossy(reason));
            }
            frame => limits(data, frame),
        });
    }

    fn ack(&self, data: &mut Fields<'_>, ack: &Ack<'_>, sent: bool) {
        kind(data, "ack");
        let exponent = self.ack_delay_exponents[usize::from(!sent)];
        let micros = u32::from(exponent).min(20);
        data.millis("ack_delay", Duration::from_micros(ack.delay.saturating_mul(1 << micros)));
        data.list("acked_ranges", |items| {
            for range in ack.ranges().take(MOST_RANGES) {
                items.list(|ends| {
                    ends.number(*range.start());
                    if range.start() != range.end() {
                        ends.number(*range.end());
                    }
                });
            }
        });
        if let Some(counts) = ack.ecn {
            data.number("ect1", counts.ect1);
            data.number("ect0", counts.ect0);
            data.number("ce", counts.ce);
        }
    }
}

fn kind(data: &mut Fields<'_>, name: &str) {
    data.text("frame_type", name);
}

fn raw(data: &mut Fields<'_>, length: usize, payload: usize) {
    data.object("raw", |raw| {
        raw.number("length", length as u64);
        raw.number("payload_length", payload as u64);
    });
}

fn payload(data: &mut Fields<'_>, size: usize) {
    data.object("raw", |raw| raw.number("payload_length", size as u64));
}

fn close(data: &mut Fields<'_>, code: u64, frame_type: u64, reason: &[u8]) {
    kind(data, "connection_close");
    data.text("error_space", "transport");
    match names::transport_error(code) {
        Some(known) => data.text("error", &known),
        None => {
            data.text("error", "unknown");
            data.number("error_code", code);
        }
    }
    data.text("reason", &String::from_utf8_lossy(reason));
    data.number("trigger_frame_type", frame_type);
}

/// Frames of limits, connection IDs and paths.
fn limits(data: &mut Fields<'_>, frame: &Frame<'_>) {
    match frame {
        Frame::MaxData(maximum) => {
            kind(data, "max_data");
            data.number("maximum", *maximum);
        }
        Frame::MaxStreamData { id, limit } => {
            kind(data, "max_stream_data");
            data.number("stream_id", id.value());
            data.number("maximum", *limit);
        }
        Frame::MaxStreams { dir, limit } => {
            kind(data, "max_streams");
            data.text("stream_type", names::direction(*dir));
            data.number("maximum", *limit);
        }
        Frame::DataBlocked(limit) => {
            kind(data, "data_blocked");
            data.number("limit", *limit);
        }
        Frame::StreamDataBlocked { id, limit } => {
            kind(data, "stream_data_blocked");
            data.number("stream_id", id.value());
            data.number("limit", *limit);
        }
        Frame::StreamsBlocked { dir, limit } => {
            kind(data, "streams_blocked");
            data.text("stream_type", names::direction(*dir));
            data.number("limit", *limit);
        }
        Frame::NewConnectionId { sequence, retire_prior_to, id, .. } => {
            kind(data, "new_connection_id");
            data.number("sequence_number", *sequence);
            data.number("retire_prior_to", *retire_prior_to);
            data.number("connection_id_length", id.len() as u64);
            data.hex("connection_id", id.as_bytes());
        }
        Frame::RetireConnectionId(sequence) => {
            kind(data, "retire_connection_id");
            data.number("sequence_number", *sequence);
        }
        Frame::PathChallenge(bytes) => {
            kind(data, "path_challenge");
            data.hex("data", bytes);
        }
        Frame::PathResponse(bytes) => {
            kind(data, "path_response");
            data.hex("data", bytes);
        }
        Frame::HandshakeDone => kind(data, "handshake_done"),
        frame => {
            kind(data, "unknown");
            data.number("frame_type_bytes", frame.frame_type() & varint::MAX);
        }
    }
}

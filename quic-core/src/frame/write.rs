//! From frames to bytes.

use super::{Frame, types, write_ack};
use crate::base::{Writer, varint};

impl Frame<'_> {
    /// The bytes that [`Frame::write`] takes; for ACK an upper bound.
    #[must_use]
    pub fn encoded_size(&self) -> usize {
        let v = varint::size;
        let prefixed = |data: &[u8]| v(data.len() as u64) + data.len();
        1 + match self {
            Self::Padding(count) => count.saturating_sub(1),
            Self::Ping | Self::HandshakeDone | Self::ImmediateAck => 0,
            // The type takes two bytes.
            Self::AckFrequency { sequence, threshold, max_ack_delay, reordering } => {
                1 + v(*sequence) + v(*threshold) + v(*max_ack_delay) + v(*reordering)
            }
            Self::Ack(ack) => {
                let ranges: usize = ack.ranges().map(|_| 16).sum();
                v(ack.largest) + v(ack.delay) + 8 + ranges + ack.ecn.map_or(0, |_| 24)
            }
            Self::ResetStream { id, code, final_size } => v(id.value()) + v(*code) + v(*final_size),
            Self::ResetStreamAt { id, code, final_size, reliable_size } => {
                v(id.value()) + v(*code) + v(*final_size) + v(*reliable_size)
            }
            Self::StopSending { id, code } => v(id.value()) + v(*code),
            Self::Crypto { offset, data } => v(*offset) + prefixed(data),
            Self::NewToken(token) => prefixed(token),
            Self::Stream { id, offset, data, .. } => {
                v(id.value()) + if *offset > 0 { v(*offset) } else { 0 } + prefixed(data)
            }
            Self::MaxData(limit) | Self::DataBlocked(limit) | Self::RetireConnectionId(limit) => v(*limit),
            Self::MaxStreamData { id, limit } | Self::StreamDataBlocked { id, limit } => {
                v(id.value()) + v(*limit)
            }
            Self::MaxStreams { limit, .. } | Self::StreamsBlocked { limit, .. } => v(*limit),
            Self::NewConnectionId { sequence, retire_prior_to, id, .. } => {
                v(*sequence) + v(*retire_prior_to) + 1 + id.len() + 16
            }
            Self::PathChallenge(_) | Self::PathResponse(_) => 8,
            Self::TransportClose { code, frame_type, reason } => v(*code) + v(*frame_type) + prefixed(reason),
            Self::ApplicationClose { code, reason } => v(*code) + prefixed(reason),
            Self::Datagram { data, has_length } => {
                if *has_length {
                    prefixed(data)
                } else {
                    data.len()
                }
            }
        }
    }

    /// Writes the whole frame or nothing. A DATAGRAM without a length field must be the last frame of its
    /// packet; all others carry their length.
    #[must_use]
    pub fn write(&self, w: &mut Writer<'_>) -> bool {
        if let Self::Ack(ack) = self {
            return write_ack(w, ack.ranges(), ack.delay, ack.ecn);
        }
        if w.remaining() < self.encoded_size() {
            return false;
        }
        self.write_fields(w)
    }

    fn write_fields(&self, w: &mut Writer<'_>) -> bool {
        let prefixed = |w: &mut Writer<'_>, data: &[u8]| w.varint(data.len() as u64) && w.bytes(data);
        if let Self::Padding(count) = self {
            return w.zeros(*count);
        }
        if let Self::Stream { id, offset, fin, data } = self {
            return write_stream_header(w, id.value(), *offset, *fin, Some(data.len())) && w.bytes(data);
        }
        w.varint(self.frame_type())
            && match self {
                Self::Padding(_)
                | Self::Ping
                | Self::HandshakeDone
                | Self::ImmediateAck
                | Self::Ack(_)
                | Self::Stream { .. } => true,
                Self::AckFrequency { sequence, threshold, max_ack_delay, reordering } => {
                    [sequence, threshold, max_ack_delay, reordering].into_iter().all(|field| w.varint(*field))
                }
                Self::ResetStream { id, code, final_size } => {
                    w.varint(id.value()) && w.varint(*code) && w.varint(*final_size)
                }
                Self::ResetStreamAt { id, code, final_size, reliable_size } => {
                    w.varint(id.value())
                        && w.varint(*code)
                        && w.varint(*final_size)
                        && w.varint(*reliable_size)
                }
                Self::StopSending { id, code } => w.varint(id.value()) && w.varint(*code),
                Self::Crypto { offset, data } => w.varint(*offset) && prefixed(w, data),
                Self::NewToken(token) => prefixed(w, token),
                Self::MaxData(limit) | Self::DataBlocked(limit) | Self::RetireConnectionId(limit) => {
                    w.varint(*limit)
                }
                Self::MaxStreamData { id, limit } | Self::StreamDataBlocked { id, limit } => {
                    w.varint(id.value()) && w.varint(*limit)
                }
                Self::MaxStreams { limit, .. } | Self::StreamsBlocked { limit, .. } => w.varint(*limit),
                Self::NewConnectionId { sequence, retire_prior_to, id, token } => {
                    w.varint(*sequence)
                        && w.varint(*retire_prior_to)
                        && w.u8(id.len() as u8)
                        && w.bytes(id.as_bytes())
                        && w.bytes(token)
                }
                Self::PathChallenge(data) | Self::PathResponse(data) => w.bytes(data),
                Self::TransportClose { code, frame_type, reason } => {
                    w.varint(*code) && w.varint(*frame_type) && prefixed(w, reason)
                }
                Self::ApplicationClose { code, reason } => w.varint(*code) && prefixed(w, reason),
                Self::Datagram { data, has_length: true } => prefixed(w, data),
                Self::Datagram { data, has_length: false } => w.bytes(data),
            }
    }
}

/// Writes type, ID, offset and length of a STREAM frame. Without a length, the data extends to the end of the
/// packet.
#[must_use]
pub(super) fn write_stream_header(
    w: &mut Writer<'_>,
    id: u64,
    offset: u64,
    fin: bool,
    length: Option<usize>,
) -> bool {
    let mut kind = types::STREAM;
    if fin {
        kind |= types::STREAM_FIN;
    }
    if offset > 0 {
        kind |= types::STREAM_OFF;
    }
    if length.is_some() {
        kind |= types::STREAM_LEN;
    }
    w.varint(kind)
        && w.varint(id)
        && (offset == 0 || w.varint(offset))
        && length.is_none_or(|length| w.varint(length as u64))
}

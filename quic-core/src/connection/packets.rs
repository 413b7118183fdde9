//! Writes one packet and seals it.

use std::time::Duration;

use super::{Connection, plan::Content};
use crate::{
    base::{Ecn, Timestamp, Writer},
    error::{CloseReason, TransportErrorCode},
    frame::{Frame, FrameWriter, Receipt},
    ids::{ConnectionId, Level, PathId, Space},
    keyring::PacketPlace,
    packet::{self, LongHeader, LongType, TAG_SIZE},
    recovery::SentInfo,
    schedule::Sender,
    trace::{PacketFrames, TraceEvent, TracedHeader},
};

/// Header protection samples 16 bytes that begin 4 bytes after the start of the packet number (RFC 9001
/// §5.4.2).
const SAMPLE_OFFSET: usize = 4;

/// A packet whose frames are written. It can still be padded, and has to be sealed.
pub(super) struct OpenPacket {
    level: Level,
    place: PacketPlace,
    start: usize,
    /// Where the Length field of a long header lies.
    length_at: Option<usize>,
    /// The end of the frames.
    pub(super) end: usize,
    ack_eliciting: bool,
    in_flight: bool,
    /// The receipts of this packet.
    receipts: std::ops::Range<usize>,
    /// The largest packet number that its ACK frame reports.
    acknowledged: Option<u64>,
    /// Whether one of its frames needs a full-size datagram.
    pub(super) expand: bool,
    /// The next packet number, if it is skipped.
    skipped: Option<u64>,
    /// Whether the packet is an MTU probe.
    mtu_probe: bool,
    /// Whether the packet is a probe after a timeout.
    probe: bool,
    /// The path on which the packet leaves.
    path: PathId,
}

impl OpenPacket {
    /// The end of the packet once it is sealed.
    pub(super) fn sealed_end(&self) -> usize {
        self.end + TAG_SIZE
    }
}

impl Connection {
    /// Writes a packet of `space` at `start`, up to `limit`; `None` if it would be empty or there is no room.
    pub(super) fn write_packet(
        &mut self,
        space: Space,
        content: Content,
        buf: &mut [u8],
        start: usize,
        limit: usize,
        now: Timestamp,
    ) -> Option<OpenPacket> {
        let level = self.sending_level(space);
        let number = self.outgoing.number(space)?;
        let (path, dcid) = self.destination(content)?;
        // The Length field of a long header has two bytes, which are written when the packet is sealed (RFC
        // 9000 §17.2).
        let limit = if level == Level::OneRtt { limit } else { limit.min(start + packet::MAX_LENGTH) };
        let room_end = limit.checked_sub(TAG_SIZE)?;
        let mut w = Writer::new(buf.get_mut(start..room_end)?);
        let pn_size = packet::packet_number_length(number, self.recovery.largest_acked(space));
        let on_path = path == self.paths.active.id;
        let length_at = self.write_header(level, &mut w, &dcid, on_path, number, pn_size)?;
        let place = PacketPlace { number, header_size: w.position(), pn_size };
        let payload_start = start + place.header_size;
        // The components that write frames borrow the connection, so the list of receipts is moved out for
        // that time.
        let mut receipts = std::mem::take(&mut self.out.receipts);
        let first_receipt = receipts.len();
        let mut frames = FrameWriter::new(&mut buf[payload_start..room_end], &mut receipts);
        let (acknowledged, expand) = self.write_frames(space, content, &mut frames, now);
        let empty = frames.written() == 0;
        if !empty {
            // RFC 9001 §5.4.2: header protection needs enough bytes for its sample.
            frames.pad_to(SAMPLE_OFFSET - pn_size);
        }
        let (ack_eliciting, in_flight) = (frames.is_ack_eliciting(), frames.is_in_flight());
        let end = payload_start + frames.written();
        let receipts_range = first_receipt..receipts.len();
        self.out.receipts = receipts;
        if empty {
            return None;
        }
        let skipped = self.outgoing.advance(space, self.entropy.as_mut());
        let length_at = length_at.map(|at| start + at);
        Some(OpenPacket {
            level,
            place,
            start,
            length_at,
            end,
            ack_eliciting,
            in_flight,
            receipts: receipts_range,
            acknowledged,
            expand,
            skipped,
            mtu_probe: content == Content::MtuProbe,
            probe: matches!(content, Content::Probe | Content::PathProbe(_)),
            path,
        })
    }

    /// The path of packets with this content, and the connection ID on it.
    fn destination(&self, content: Content) -> Option<(PathId, ConnectionId)> {
        let active = &self.paths.active;
        match content {
            Content::PathProbe(id) if id != active.id => {
                let path = self.paths.iter().find(|path| path.id == id)?;
                Some((id, self.cids.remote.id(path.route.cid?)?))
            }
            _ => Some((active.id, self.cids.remote.current())),
        }
    }

    /// The outer `None` means no room; the inner value is the position of the Length field.
    fn write_header(
        &mut self,
        level: Level,
        w: &mut Writer<'_>,
        dcid: &ConnectionId,
        on_path: bool,
        number: u64,
        pn_size: usize,
    ) -> Option<Option<usize>> {
        let Some(kind) = LongType::of(level) else {
            let phase = self.keyring.key_phase();
            // Packets that only probe another path have the value with which each path begins.
            let sequence = self.cids.remote.sequence();
            let spin = on_path && self.outgoing.spin.bit(sequence, self.entropy.as_mut());
            return packet::write_short_header(w, dcid, number, pn_size, phase, spin).then_some(None);
        };
        let scid = self.cids.local.handshake();
        let token = if kind == LongType::Initial { self.first_flight.token() } else { &[] };
        let version = self.first_flight.version_of(kind);
        let header = LongHeader { kind, version, dcid, scid: &scid, token };
        packet::write_long_header(w, &header, number, pn_size).map(Some)
    }

    /// Returns the largest packet number acknowledged, and whether the datagram must be expanded.
    fn write_frames(
        &mut self,
        space: Space,
        content: Content,
        w: &mut FrameWriter<'_>,
        now: Timestamp,
    ) -> (Option<u64>, bool) {
        if content == Content::Close {
            self.write_close(space, w);
            return (None, false);
        }
        if content == Content::MtuProbe {
            // The probe carries nothing that would have to be sent again: most probes of too large a size are
            // lost.
            let _ = w.frame(&Frame::Ping, Receipt::Nothing);
            return (None, true);
        }
        if let Content::PathProbe(id) = content {
            self.write_path_frames(id, w, now);
            return (None, true);
        }
        let unreported = self.acks.get_mut(space).filter(|acks| acks.has_unreported());
        let acknowledged = unreported.and_then(|acks| acks.write(w, now));
        if content == Content::AckOnly {
            // RFC 9002 §7: a PING counts as in flight, so a peer that acknowledges nothing gets no more of
            // them than fit the window.
            let room = self.paths.active.window_room() > 0;
            if space == Space::Data && room && self.wants_proof(now) {
                let _ = w.frame(&Frame::Ping, Receipt::Nothing);
            }
            return (acknowledged, false);
        }
        self.handshake.write(space, w);
        if space == Space::Data {
            self.control.write(w);
            self.requests.write(w);
            self.cids.write(w);
            if self.streams.write_control(w) {
                self.write_by_rank(w, now);
                self.streams.write_control(w);
            }
        }
        // ack-frequency §7: the answer to a probe need not wait.
        if content == Content::Probe && space == Space::Data && self.requests.are_taken() {
            let _ = w.frame(&Frame::ImmediateAck, Receipt::Nothing);
        }
        if content == Content::Probe && !w.is_ack_eliciting() {
            let _ = w.frame(&Frame::Ping, Receipt::Nothing);
        }
        (acknowledged, false)
    }

    /// Whether an acknowledgment should itself be acknowledged (RFC 9000 §13.2.4). That is so after many in a
    /// row, and sooner if they carry ECN marks. A path that begins to drop marked packets would otherwise
    /// drop them unnoticed, and the peer's packets would seem lost forever.
    fn wants_proof(&self, now: Timestamp) -> bool {
        let long_ago = || {
            let last = self.recovery.last_ack_eliciting(Space::Data);
            last.is_none_or(|last| now.saturating_since(last) > self.three_pto())
        };
        self.outgoing.is_ping_due() || self.paths.active.ecn() != Ecn::NotEct && long_ago()
    }

    /// Writes stream data and datagrams in the order of the schedule.
    fn write_by_rank(&mut self, w: &mut FrameWriter<'_>, now: Timestamp) {
        let room = self.datagram_room();
        let mut from = 0;
        while let Some(turn) = self.schedule.peek(from) {
            match turn.sender {
                Sender::Stream(slot) => {
                    if !self.streams.write_data(slot, turn, w, &mut self.schedule) {
                        return;
                    }
                }
                Sender::Datagrams(_) => {
                    let schedule = &mut self.schedule;
                    if !self.datagrams.write(turn, w, room, now, schedule, &mut self.out.events) {
                        // This datagram waits for the next packet. Senders of its urgency must not overtake
                        // it. Less urgent ones may: urgency is a hint (RFC 9218 §10), and the packet is sent
                        // anyway.
                        from = turn.urgency + 1;
                    }
                }
            }
        }
    }

    fn write_close(&mut self, space: Space, w: &mut FrameWriter<'_>) {
        let Some(reason) = self.life.close_due() else { return };
        let frame = match (reason, space) {
            // RFC 9000 §10.2.3: before 1-RTT, nothing of the application may be revealed.
            (CloseReason::Application { .. }, Space::Initial | Space::Handshake) => Frame::TransportClose {
                code: TransportErrorCode::APPLICATION_ERROR.0,
                frame_type: 0,
                reason: b"",
            },
            _ => Frame::close(reason),
        };
        // The reason is for people: it is cut to what fits.
        let room = w.remaining().saturating_sub(1 + 8 + 8 + 2);
        let frame = match frame {
            Frame::TransportClose { code, frame_type, reason } => {
                Frame::TransportClose { code, frame_type, reason: &reason[..reason.len().min(room)] }
            }
            Frame::ApplicationClose { code, reason } => {
                Frame::ApplicationClose { code, reason: &reason[..reason.len().min(room)] }
            }
            other => other,
        };
        let _ = w.frame(&frame, Receipt::Nothing);
    }

    /// Seals a packet, after extending its frames with PADDING up to `sealed_end`. Returns its size.
    pub(super) fn protect(
        &mut self,
        packet: &mut OpenPacket,
        buf: &mut [u8],
        sealed_end: Option<usize>,
        now: Timestamp,
    ) -> usize {
        if let Some(end) = sealed_end.map(|end| end - TAG_SIZE).filter(|end| *end > packet.end) {
            buf[packet.end..end].fill(0);
            packet.end = end;
            packet.in_flight = true;
        }
        if let Some(at) = packet.length_at {
            let length =
                packet.sealed_end() - (packet.start + packet.place.header_size - packet.place.pn_size);
            buf[at..at + 2].copy_from_slice(&(0x4000 | length as u16).to_be_bytes());
        }
        let bytes = &mut buf[packet.start..packet.end + TAG_SIZE];
        // RFC 9287 §3.1: the fixed bit is unpredictable once the peer's parameters permit it. A peer that has
        // forgotten the connection has forgotten that, too, and sends a stateless reset only for packets that
        // look like QUIC. Probes, and the first packet after everything was acknowledged, therefore keep the
        // bit, so that a reset arrives within a round trip.
        let asks = packet.probe || (packet.in_flight && self.paths.active.in_flight == 0);
        if self.peer.grease_quic_bit && !asks && self.outgoing.has_zero_fixed_bit(self.entropy.as_mut()) {
            bytes[0] &= !packet::FIXED_BIT;
        }
        let size = bytes.len();
        let datagram = self.counters.datagrams_sent;
        self.out.trace.emit(now, || {
            let PacketPlace { number, header_size, pn_size } = packet.place;
            let (header, payload) = bytes[..size - TAG_SIZE].split_at(header_size);
            TraceEvent::PacketSent {
                level: packet.level,
                number,
                size,
                ack_eliciting: packet.ack_eliciting,
                header: TracedHeader::read_plain(header, pn_size).unwrap_or_default(),
                frames: PacketFrames::new(payload),
                mtu_probe: packet.mtu_probe,
                probe: packet.probe,
                datagram,
            }
        });
        let sealed = self.keyring.seal(packet.level, packet.place, bytes);
        debug_assert!(sealed, "packets are planned only where there are keys");
        size
    }

    /// Seals a packet as [`protect`](Self::protect) does, and records it as sent.
    pub(super) fn seal_packet(
        &mut self,
        mut packet: OpenPacket,
        buf: &mut [u8],
        sealed_end: Option<usize>,
        ecn: Ecn,
        now: Timestamp,
    ) {
        let size = self.protect(&mut packet, buf, sealed_end, now);
        let in_use = self.paths.active.id;
        let Some(path) = self.paths.get_mut(packet.path) else { return };
        path.on_marked(ecn);
        let rate = if packet.in_flight {
            path.on_packet_sent(now, size as u64)
        } else {
            path.sampler.snapshot(0, path.in_flight)
        };
        let space = packet.level.space();
        let info = SentInfo {
            level: packet.level,
            time: now,
            bytes: size as u16,
            ack_eliciting: packet.ack_eliciting,
            in_flight: packet.in_flight,
            rate,
            ecn,
            mtu_probe: packet.mtu_probe,
        };
        let number = packet.place.number;
        self.recovery.on_packet_sent(number, info, &self.out.receipts[packet.receipts], path.id, in_use);
        if let Some(skipped) = packet.skipped {
            self.recovery.on_packet_number_skipped(space, skipped);
        }
        if let (Level::OneRtt, Some(largest)) = (packet.level, packet.acknowledged) {
            self.keyring.on_ack_sent(largest);
        }
        self.outgoing.on_sealed(packet.ack_eliciting);
        if packet.ack_eliciting {
            // Of a train, the first packet alone restarts the idle timer.
            let three_pto = if self.life.restarts_by_sending() { self.three_pto() } else { Duration::ZERO };
            self.life.on_sent(now, three_pto);
        }
    }

    /// How many bytes of frames a 1-RTT packet of the current path holds.
    pub(super) fn datagram_room(&self) -> usize {
        // The overhead is the first byte, the connection ID, a packet number of at most four bytes, and the
        // tag.
        self.paths.active.datagram_size().saturating_sub(1 + self.cids.remote.current().len() + 4 + TAG_SIZE)
    }
}

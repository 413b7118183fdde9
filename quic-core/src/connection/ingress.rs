//! Processes received datagrams: packets, keys and duplicates first, then the frames one after the other.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::{
    Connection,
    close::Failure,
    dispatch::FromPacket,
    early::{EarlyPacket, PacketHeader},
    migrate::Origin,
};
use crate::{
    acks::AckTracker,
    base::{DatagramMeta, Ecn, Timestamp},
    crypto::{constant_time_eq, initial_secrets},
    error::{DropReason, Violation},
    frame::{Frame, Frames},
    ids::{ConnectionId, Level, PathId, Space},
    keyring::{OpenFailure, PacketPlace},
    packet::{
        self, Header, HeaderError, LONG_RESERVED_BITS, LongType, MIN_INITIAL_SIZE, Retry,
        SHORT_RESERVED_BITS, VersionNegotiation,
    },
    trace::{PacketFrames, TraceEvent, TracedHeader},
};

/// The smallest size of a datagram that may be a stateless reset (RFC 9000 §10.3).
const MIN_STATELESS_RESET: usize = 21;

impl Connection {
    /// Processes a datagram that the endpoint routed here. This never fails: unusable packets are dropped and
    /// counted, and violations close the connection.
    pub fn handle_datagram(&mut self, now: Timestamp, meta: &DatagramMeta, data: BytesMut) {
        let now = self.clock.read(now);
        self.expire(now);
        self.counters.datagrams_received += 1;
        self.counters.bytes_received += data.len() as u64;
        let (size, ecn) = (data.len(), meta.ecn);
        self.out.trace.emit(now, || TraceEvent::DatagramReceived { size, ecn });
        let Some(mut origin) = self.locate(meta, data.len()) else {
            return self.drop_packet(DropReason::UnknownPath, data.len(), now);
        };
        if !self.life.is_open() {
            self.life.on_received_while_closing();
            return self.drop_packet(DropReason::Closing, data.len(), now);
        }
        let reset_token = data.last_chunk::<16>().copied().filter(|_| data.len() >= MIN_STATELESS_RESET);
        let opened_before = self.counters.packets_received;
        self.take_apart(now, &mut origin, data);
        let opened = self.counters.packets_received > opened_before;
        // RFC 9000 §10.3.1: a datagram whose packet cannot be opened may be a stateless reset, whatever its
        // first bits are; those of a reset are random, except the two that resemble a short header. Only the
        // token counts that belongs to the connection ID of packets on the path in use.
        let in_use = origin.path == Some(self.paths.active.id);
        if let (false, Some(token), Some(current)) = (opened, reset_token, self.cids.remote.current_token())
            && in_use
            && constant_time_eq(&token, &current)
        {
            self.on_stateless_reset(now);
        }
        self.retry_early(now, &mut origin);
        self.trace_changes(now);
    }

    /// Processes coalesced packets one by one (RFC 9000 §12.2).
    fn take_apart(&mut self, now: Timestamp, origin: &mut Origin<'_>, mut rest: BytesMut) {
        let meta = origin.meta;
        let allocation = meta.allocation.max(rest.len());
        // RFC 9000 §14.1: clients pad datagrams with Initial packets, and servers ignore Initial packets in
        // smaller ones.
        let takes_initial = self.side.is_client() || rest.len() >= MIN_INITIAL_SIZE;
        let cid_length = self.cids.local.length();
        let mut first_dcid = None;
        while !rest.is_empty() && self.life.is_open() {
            let (header, packet) = match packet::parse(&rest, cid_length, self.config.grease_quic_bit) {
                Ok(Header::Long(long)) => {
                    let packet = rest.split_to(long.end);
                    (PacketHeader::Long(long), packet)
                }
                Ok(Header::Short(short)) => (PacketHeader::Short(short), std::mem::take(&mut rest)),
                Ok(Header::Retry(retry)) => return self.on_retry(now, &retry, &rest),
                Ok(Header::VersionNegotiation(offer)) => {
                    return self.on_version_negotiation(now, &offer, rest.len());
                }
                Ok(Header::UnknownVersion { .. }) => {
                    return self.drop_packet(DropReason::Version, rest.len(), now);
                }
                Err(HeaderError::FixedBit) => {
                    return self.drop_packet(DropReason::FixedBit, rest.len(), now);
                }
                Err(_) => return self.drop_packet(DropReason::HeaderMalformed, rest.len(), now),
            };
            let dcid = match &header {
                PacketHeader::Long(long) => long.dcid,
                PacketHeader::Short(short) => short.dcid,
            };
            // RFC 9000 §12.2: packets in the same datagram with another connection ID are ignored.
            if *first_dcid.get_or_insert(dcid) != dcid {
                self.drop_packet(DropReason::CoalescedForeign, packet.len(), now);
                continue;
            }
            let is_initial = matches!(&header, PacketHeader::Long(long) if long.kind == LongType::Initial);
            if is_initial && !takes_initial {
                self.drop_packet(DropReason::DatagramTooSmall, packet.len(), now);
                continue;
            }
            let early = EarlyPacket { header, bytes: packet, ecn: meta.ecn, received: now };
            self.handle_packet(early, origin, allocation, now);
        }
    }

    /// Tries packets again that waited for their keys, if there are new keys.
    fn retry_early(&mut self, now: Timestamp, origin: &mut Origin<'_>) {
        while !self.early.is_empty() && self.life.is_open() {
            let opened_before = self.counters.packets_received;
            for packet in self.early.take(&mut self.memory.fed) {
                let allocation = origin.meta.allocation;
                self.handle_packet(packet, origin, allocation, now);
            }
            // A packet that waited may bring the keys for one that arrived before it.
            if self.counters.packets_received == opened_before {
                return;
            }
        }
    }

    fn drop_packet(&mut self, reason: DropReason, size: usize, now: Timestamp) {
        self.counters.dropped.add(reason);
        self.out.trace.emit(now, || TraceEvent::PacketDropped { reason, size });
    }

    fn handle_packet(
        &mut self,
        packet: EarlyPacket,
        origin: &mut Origin<'_>,
        allocation: usize,
        now: Timestamp,
    ) {
        let size = packet.bytes.len();
        match self.open_packet(packet, now) {
            Ok(Some(opened)) => {
                let path = match origin.path {
                    Some(path) => path,
                    None => self.meet(origin, opened.dcid, now),
                };
                if let Err(failure) = self.process(&opened, path, allocation) {
                    self.fail(failure, now);
                }
            }
            Ok(None) => {}
            Err(OpenFailure::Drop(reason)) => self.drop_packet(reason, size, now),
            Err(OpenFailure::Violation(violation)) => self.fail(violation.into(), now),
        }
    }

    /// Whether packets of this level can be processed now (RFC 9001 §5.7). Only servers process 0-RTT packets
    /// (§5.6).
    fn is_ready_for(&self, level: Level) -> bool {
        self.keyring.has(level)
            && match level {
                Level::Initial | Level::Handshake => true,
                Level::ZeroRtt => !self.side.is_client(),
                Level::OneRtt => self.handshake.is_complete(),
            }
    }

    /// Whether keys may still come for a level without them. A server decides about 0-RTT when it has the
    /// ClientHello, whose keys for Handshake packets come in the same step.
    fn may_become_ready(&self, level: Level) -> bool {
        match level {
            Level::Initial => false,
            Level::ZeroRtt => !self.side.is_client() && !self.handshake.has_hello(),
            Level::Handshake => !self.handshake.is_complete() && !self.keyring.has(level),
            Level::OneRtt => !self.handshake.is_complete(),
        }
    }

    /// Removes the protection. Returns `Ok(None)` if the packet was kept for later.
    fn open_packet(
        &mut self,
        packet: EarlyPacket,
        now: Timestamp,
    ) -> Result<Option<OpenedPacket>, OpenFailure> {
        let (level, dcid, pn_offset, other) = match &packet.header {
            PacketHeader::Short(short) => (Level::OneRtt, short.dcid, short.pn_offset, None),
            PacketHeader::Long(long) => {
                self.first_flight.check(long).map_err(OpenFailure::Drop)?;
                (long.kind.level(), long.dcid, long.pn_offset, self.other_version(long))
            }
        };
        if !self.is_ready_for(level) {
            return self.keep_early(packet, level, now).map(|()| None);
        }
        let EarlyPacket { header, mut bytes, ecn, received } = packet;
        let protected = match other {
            None => self.keyring.unprotect(level, &mut bytes, pn_offset),
            Some(version) => self.unprotect_other(version, &mut bytes, pn_offset),
        };
        let protected = protected.map_err(OpenFailure::Drop)?;
        let space = level.space();
        let expected = self.acks.get(space).map_or(0, AckTracker::expected);
        let place = PacketPlace {
            number: packet::decode_packet_number(protected.number, protected.pn_size, expected),
            header_size: pn_offset + protected.pn_size,
            pn_size: protected.pn_size,
        };
        let key_phase = protected.first & packet::KEY_PHASE_BIT != 0;
        let three_pto = self.three_pto();
        let size = match other {
            None => self.keyring.open(level, place, &mut bytes, key_phase, now, three_pto)?,
            Some(_) => self.keyring.open_other(place, &mut bytes)?,
        };
        let reserved = if level == Level::OneRtt { SHORT_RESERVED_BITS } else { LONG_RESERVED_BITS };
        // RFC 9000 §17.2: these bits are checked only after both protections are removed.
        if protected.first & reserved != 0 {
            return Err(OpenFailure::Violation(Violation::ReservedBits));
        }
        if self.acks.get(space).is_some_and(|acks| acks.is_duplicate(place.number)) {
            return Err(OpenFailure::Drop(DropReason::Duplicate));
        }
        match &header {
            PacketHeader::Long(long) => self.on_authentic_long_packet(long, now),
            // RFC 9000 §17.4: packets that were overtaken tell nothing.
            PacketHeader::Short(_) if place.number >= expected => {
                let bit = protected.first & packet::SPIN_BIT != 0;
                self.outgoing.spin.on_packet(bit, self.side.is_client());
            }
            PacketHeader::Short(_) => {}
        }
        let wire_size = bytes.len();
        let datagram = self.counters.datagrams_received.saturating_sub(1);
        self.out.trace.emit(received, || TraceEvent::PacketReceived {
            level,
            number: place.number,
            size: wire_size,
            header: TracedHeader::read(&bytes[..place.header_size], place.pn_size, key_phase)
                .unwrap_or_default(),
            frames: PacketFrames::new(&bytes[place.header_size..place.header_size + size]),
            ecn,
            waited: received < now,
            datagram,
        });
        let payload = bytes.freeze().slice(place.header_size..place.header_size + size);
        Ok(Some(OpenedPacket { level, dcid, number: place.number, payload, ecn, received, three_pto }))
    }

    /// Keeps a packet whose keys may come.
    fn keep_early(&mut self, packet: EarlyPacket, level: Level, now: Timestamp) -> Result<(), OpenFailure> {
        let size = packet.bytes.len();
        if self.may_become_ready(level) && self.early.push(packet, &mut self.memory.fed) {
            self.out.trace.emit(now, || TraceEvent::PacketBuffered { level, size });
            return Ok(());
        }
        Err(OpenFailure::Drop(DropReason::KeysUnavailable))
    }

    /// Draws the conclusions from an authentic Initial or Handshake packet.
    fn on_authentic_long_packet(&mut self, long: &packet::Long, now: Timestamp) {
        self.on_authentic_version(long);
        if let Some(destination) = self.first_flight.on_authentic(long.scid) {
            self.cids.remote.replace_first(destination);
        }
        if long.kind == LongType::Handshake && !self.side.is_client() {
            // RFC 9000 §8.1: only a peer that received our Initial can have sent this. RFC 9001 §4.9.1:
            // Initial packets end here.
            self.paths.active.route.validate();
            self.discard(Space::Initial, now);
        }
    }

    fn process(&mut self, packet: &OpenedPacket, path: PathId, allocation: usize) -> Result<(), Failure> {
        let now = packet.received;
        self.counters.packets_received += 1;
        self.life.on_received(now, packet.three_pto);
        // RFC 9000 §12.4: a packet must have frames.
        if packet.payload.is_empty() {
            return Err(Violation::EmptyPayload.into());
        }
        let (level, dcid) = (packet.level, packet.dcid);
        let from = FromPacket { level, payload: &packet.payload, allocation, dcid, path, now };
        let (mut ack_eliciting, mut data) = (false, false);
        let mut frames = Frames::new(&packet.payload);
        while let Some(frame) = frames.next() {
            let frame =
                frame.map_err(|e| Failure::Violation { violation: e.violation, frame_type: e.frame_type })?;
            let early_close = matches!(frame, Frame::ApplicationClose { .. });
            if !frame.is_permitted_in(packet.level) && !early_close {
                return Err(Failure::from(Violation::FrameInWrongPacket).in_frame(frames.last_type()));
            }
            ack_eliciting |= frame.is_ack_eliciting();
            data |= matches!(frame, Frame::Stream { .. } | Frame::Datagram { .. });
            self.dispatch(&frame, &from).map_err(|failure| failure.in_frame(frames.last_type()))?;
            if !self.life.is_open() {
                return Ok(());
            }
        }
        // RFC 9000 §13.1: a packet is acknowledged only after its frames were processed.
        if data {
            self.life.on_data(now);
        }
        if let Some(acks) = self.acks.get_mut(level.space()) {
            acks.on_packet(packet.number, ack_eliciting, packet.ecn, now);
        }
        if level == Level::OneRtt {
            self.on_processed(path, dcid, packet.number, &packet.payload, now);
        }
        Ok(())
    }

    /// A Retry packet arrived, whose bytes are `packet`: the handshake begins again, with another connection
    /// ID.
    fn on_retry(&mut self, now: Timestamp, retry: &Retry<'_>, packet: &[u8]) {
        match self.first_flight.on_retry(retry, packet) {
            Ok(destination) => {
                let (scid, size, token_size) = (destination, packet.len(), retry.token.len());
                self.out.trace.emit(now, || TraceEvent::RetryReceived { scid, token_size, size });
                self.cids.remote.replace_first(destination);
                let (client, server) = initial_secrets(self.first_flight.version(), &destination);
                self.keyring.install(Level::Initial, &client, &server);
                self.restart_recovery(now);
                self.handshake.resend(Space::Initial);
            }
            Err(reason) => self.drop_packet(reason, packet.len(), now),
        }
    }

    fn on_version_negotiation(&mut self, now: Timestamp, offer: &VersionNegotiation<'_>, size: usize) {
        match self.first_flight.on_version_negotiation(offer, &self.cids.local.handshake()) {
            Ok(offered) => {
                self.out
                    .trace
                    .emit(now, || TraceEvent::VersionNegotiationReceived { versions: &offered, size });
                self.begin_again(&offered, now);
            }
            Err(reason) => self.drop_packet(reason, size, now),
        }
    }
}

/// A packet without its protection.
struct OpenedPacket {
    level: Level,
    dcid: ConnectionId,
    number: u64,
    payload: Bytes,
    ecn: Ecn,
    received: Timestamp,
    three_pto: Duration,
}

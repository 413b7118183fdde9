//! Fills datagrams: writes, coalesces and seals what the plan says.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::{
    Connection,
    plan::{Blocked, Content, Interest, Limits, Plan, may_probe_mtu, plan},
};
use crate::{
    base::{Ecn, Timestamp},
    congestion::LimitedBy,
    error::{CloseReason, ConnectionError, TransportErrorCode},
    ids::Space,
    packet::{self, MIN_INITIAL_SIZE, TAG_SIZE},
    schedule::Sender,
    stats::SendLimit,
    trace::TraceEvent,
};

/// The keys or packet numbers have come to their end.
const USED_UP: ConnectionError = ConnectionError::Internal("packet numbers or keys are used up");

/// If less room than this is left after a packet, no other packet is coalesced.
const MIN_COALESCED_ROOM: usize = 64;

/// A batch of datagrams to send: `size` bytes of the caller's buffer, in segments of `segment_size` bytes.
/// Only the last segment may be shorter, as generic segmentation offload requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what a datagram to send is: others make some too")]
pub struct Transmit {
    /// The destination address.
    pub remote: SocketAddr,
    /// The address to send from, if it matters.
    pub local_ip: Option<IpAddr>,
    /// The ECN mark of all datagrams.
    pub ecn: Ecn,
    /// The number of bytes in all.
    pub size: usize,
    /// The number of bytes in each datagram but the last; equal to `size` if there is only one.
    pub segment_size: usize,
}

impl Connection {
    /// Fills `buf` with as many datagrams as it holds and the limits permit. Returns `None` if there is
    /// nothing to send now; the caller repeats the call until then. `buf` should have a multiple of
    /// [`datagram_size`](Self::datagram_size) bytes, at least 1200. At most as many datagrams are written as
    /// it holds of that size, even if they are smaller.
    pub fn poll_transmit(&mut self, now: Timestamp, buf: &mut [u8]) -> Option<Transmit> {
        let now = self.clock.read(now);
        self.before_sending(now);
        if let Some(probe) = self.write_path_probe(now, buf) {
            return Some(probe);
        }
        if let Some(probe) = self.write_mtu_probe(now, buf) {
            return Some(probe);
        }
        let full = self.paths.active.datagram_size().min(buf.len());
        if full < MIN_INITIAL_SIZE {
            return None;
        }
        let ecn = self.paths.active.ecn();
        let segment_size = self.write_datagram(now, full, &mut buf[..full], ecn)?;
        let mut size = segment_size;
        // Credit of the pacer beyond a quantum leaves in further trains: to the network, a train is one
        // burst.
        let most = usize::try_from(self.paths.active.train()).unwrap_or(usize::MAX);
        for _ in 1..buf.len() / self.paths.active.datagram_size() {
            if size + segment_size > most {
                break;
            }
            // A train of smaller datagrams continues only with data that fits them in the same way.
            if segment_size < full && !self.is_next_datagram_of(segment_size) {
                break;
            }
            let Some(room) = buf.get_mut(size..size + segment_size) else { break };
            let Some(written) = self.write_datagram(now, full, room, ecn) else { break };
            size += written;
            // A shorter datagram ends the train.
            if written < segment_size {
                break;
            }
        }
        Some(self.transmit(ecn, size, segment_size))
    }

    /// Whether the next packet carries nothing but a datagram of the application that fits into a packet of
    /// `size` bytes: it then need not be larger. All else gets a packet of the path's size, so that stream
    /// data is not cut into small pieces and an acknowledgment does not push a datagram out.
    fn is_next_datagram_of(&self, size: usize) -> bool {
        let data = Space::Data as usize;
        let nothing_urgent = Space::ALL.iter().all(|space| {
            let at = *space as usize;
            let settled = at == data || !self.keyring.has(space.level());
            settled && !self.outgoing.has_probe(*space) && !self.handshake.wants(*space)
        });
        let only_payload = self.life.is_open()
            && !self.acks.data.has_unreported()
            && !self.control.wants()
            && !self.requests.wants()
            && !self.cids.wants()
            && !self.streams.wants_control();
        nothing_urgent
            && only_payload
            && self.schedule.peek(0).is_some_and(|turn| match turn.sender {
                Sender::Datagrams(queue) => self.datagrams.fits(queue, self.frame_room(size)),
                Sender::Stream(_) => false,
            })
    }

    /// How many bytes of frames a 1-RTT packet of `size` bytes holds.
    fn frame_room(&self, size: usize) -> usize {
        let number = self.outgoing.number(Space::Data).unwrap_or(0);
        let number_size = packet::packet_number_length(number, self.recovery.largest_acked(Space::Data));
        size.saturating_sub(1 + self.cids.remote.current().len() + number_size + TAG_SIZE)
    }

    pub(super) fn transmit(&self, ecn: Ecn, size: usize, segment_size: usize) -> Transmit {
        Transmit {
            remote: self.paths.active.route.remote,
            local_ip: self.paths.active.route.local_ip,
            ecn,
            size,
            segment_size,
        }
    }

    /// Writes an MTU probe in its own datagram, if one is due and `buf` has room for it.
    fn write_mtu_probe(&mut self, now: Timestamp, buf: &mut [u8]) -> Option<Transmit> {
        let size = usize::from(self.life.is_open().then(|| self.paths.active.mtu_probe_due(now))??);
        let buf = buf.get_mut(..size)?;
        let interests = Space::ALL.map(|space| self.interest(space, now));
        if !may_probe_mtu(&interests, &self.limits(size, now)) {
            return None;
        }
        let mut contents = [Content::Nothing; 3];
        contents[Space::Data as usize] = Content::MtuProbe;
        let ecn = self.paths.active.ecn();
        let size = self.write_planned(&Plan { contents, size, expand: true }, buf, ecn, now)?;
        self.paths.active.on_mtu_probe_sent();
        self.paths.active.route.on_datagram_sent(size);
        self.count_sent(size, ecn, now);
        Some(self.transmit(ecn, size, size))
    }

    fn limits(&mut self, room: usize, now: Timestamp) -> Limits {
        Limits {
            room,
            amplification: self.paths.active.route.amplification_credit(),
            window: self.paths.active.window_room(),
            pacing: self.paths.active.pacing_budget(now),
        }
    }

    pub(super) fn count_sent(&mut self, size: usize, ecn: Ecn, now: Timestamp) {
        self.out.trace.emit(now, || TraceEvent::DatagramSent { size, ecn });
        self.counters.datagrams_sent += 1;
        self.counters.bytes_sent += size as u64;
    }

    fn before_sending(&mut self, now: Timestamp) {
        self.outgoing.pacing_release = None;
        self.expire(now);
        if !self.life.is_open() {
            return;
        }
        if self.keyring.is_exhausted() || self.outgoing.number(Space::Data).is_none() {
            self.abandon(USED_UP, now);
        } else if self.handshake.is_confirmed() && self.keyring.update_is_due() {
            // RFC 9001 §6.6: an end that cannot update its keys in time says so while it can.
            if !self.keyring.start_update() && self.keyring.is_ending() {
                let reason = CloseReason::Transport {
                    code: TransportErrorCode::AEAD_LIMIT_REACHED,
                    frame_type: 0,
                    reason: Bytes::from_static(b"the peer acknowledges nothing that would permit new keys"),
                };
                self.end(now, |life, three_pto| life.close(reason, USED_UP, now, three_pto));
            }
        }
    }

    /// Writes one datagram into all of `buf`, or returns `None`. The window and the pacer are asked for
    /// `full` bytes, which may exceed `buf`: the size of a train's datagrams does not change when they may
    /// leave.
    fn write_datagram(&mut self, now: Timestamp, full: usize, buf: &mut [u8], ecn: Ecn) -> Option<usize> {
        let limits = self.limits(full, now);
        let interests = Space::ALL.map(|space| self.interest(space, now));
        let plan = match plan(&interests, &limits, self.side.is_client()) {
            Ok(plan) => Plan { size: plan.size.min(buf.len()), ..plan },
            Err(blocked) => {
                self.on_blocked(blocked, now);
                return None;
            }
        };
        let size = self.write_planned(&plan, buf, ecn, now)?;
        self.paths.active.route.on_datagram_sent(size);
        self.count_sent(size, ecn, now);
        Some(size)
    }

    pub(super) fn interest(&self, space: Space, now: Timestamp) -> Interest {
        let has_keys = self.keyring.has(self.sending_level(space));
        if !has_keys || self.life.is_closed() {
            return Interest::default();
        }
        if !self.life.is_open() {
            // RFC 9000 §10.2.3: the frame is sent at every level that the peer may be able to read.
            let close =
                self.life.close_due().is_some() && (space == Space::Data || !self.handshake.is_confirmed());
            return Interest { has_keys, close, ..Interest::default() };
        }
        let frames = self.handshake.wants(space)
            || space == Space::Data
                && (self.control.wants() || self.requests.wants() || self.cids.wants() || self.has_data());
        Interest {
            has_keys,
            ack_due: self.acks.get(space).is_some_and(|acks| acks.is_due(now)),
            frames,
            probe: self.outgoing.has_probe(space),
            close: false,
        }
    }

    /// Whether frames of streams or datagrams are pending.
    pub(super) fn has_data(&self) -> bool {
        self.datagrams.wants() || self.streams.wants(&self.schedule).any()
    }

    fn on_blocked(&mut self, blocked: Blocked, now: Timestamp) {
        let limit = self.limit_of(blocked);
        self.limited.set(limit, now);
        let by = match limit {
            SendLimit::ConnectionFlowControl | SendLimit::StreamFlowControl => LimitedBy::FlowControl,
            SendLimit::Handshake | SendLimit::Application => LimitedBy::Application,
            SendLimit::Amplification => LimitedBy::Amplification,
            SendLimit::CongestionWindow => LimitedBy::Window,
            SendLimit::Pacing => {
                self.outgoing.pacing_release = self.paths.active.next_release(now);
                LimitedBy::Pacer
            }
        };
        self.paths.active.on_stopped(now, by);
        self.trace_changes(now);
    }

    /// What statistics call the reason why nothing is sent.
    fn limit_of(&self, blocked: Blocked) -> SendLimit {
        match blocked {
            Blocked::NothingToSend if !self.streams.is_blocked(&self.schedule) => {
                if self.handshake.is_complete() { SendLimit::Application } else { SendLimit::Handshake }
            }
            Blocked::NothingToSend if self.streams.is_connection_blocked() => {
                SendLimit::ConnectionFlowControl
            }
            Blocked::NothingToSend => SendLimit::StreamFlowControl,
            Blocked::Amplification => SendLimit::Amplification,
            Blocked::Window => SendLimit::CongestionWindow,
            Blocked::Pacing => SendLimit::Pacing,
        }
    }

    /// Writes the packets of the planned spaces one after the other. A packet is sealed when it is known
    /// whether another one follows, because the last one takes the padding.
    pub(super) fn write_planned(
        &mut self,
        plan: &Plan,
        buf: &mut [u8],
        ecn: Ecn,
        now: Timestamp,
    ) -> Option<usize> {
        self.out.receipts.clear();
        let mut last = None;
        let mut position = 0;
        let mut expand = plan.expand;
        for space in Space::ALL {
            let content = plan.contents[space as usize];
            if content == Content::Nothing || plan.size - position < MIN_COALESCED_ROOM {
                continue;
            }
            let Some(packet) = self.write_packet(space, content, buf, position, plan.size, now) else {
                continue;
            };
            // The second probe must be as useful as this one, in case this one is lost.
            let probes = !matches!(content, Content::PathProbe(_));
            if probes && self.outgoing.take_probe(space) && !self.handshake.wants(space) {
                self.fill_probe(space);
            }
            expand |= packet.expand;
            position = packet.sealed_end();
            if let Some(previous) = last.replace((space, packet)) {
                self.finish_packet(previous, buf, None, ecn, now);
            }
        }
        let (space, packet) = last?;
        let least = if plan.contents.contains(&Content::MtuProbe) { plan.size } else { MIN_INITIAL_SIZE };
        let size = if expand { position.max(least.min(plan.size)) } else { position };
        self.finish_packet((space, packet), buf, Some(size), ecn, now);
        if plan.contents.contains(&Content::Close) {
            self.life.on_close_sent();
        }
        Some(size)
    }

    fn finish_packet(
        &mut self,
        (space, packet): (Space, super::packets::OpenPacket),
        buf: &mut [u8],
        sealed_end: Option<usize>,
        ecn: Ecn,
        now: Timestamp,
    ) {
        self.seal_packet(packet, buf, sealed_end, ecn, now);
        // RFC 9001 §4.9.1: a client that sends Handshake packets no longer needs Initial keys.
        if space == Space::Handshake && self.side.is_client() && self.life.is_open() {
            self.discard(Space::Initial, now);
        }
    }

    /// Sends probes in `space`, together with the outstanding data of the other spaces (RFC 9002 §6.2.4).
    /// Until the handshake is confirmed, no timer covers 1-RTT packets.
    pub(super) fn prepare_probe(&mut self, space: Space, count: u8) {
        self.outgoing.set_probes(space, count);
        self.control.on_probes(count);
        for space in Space::ALL {
            // Data that was declared lost waits for the window. The peer may need it to acknowledge what
            // fills the window: without this, a lost ServerHello would wait forever behind Handshake packets
            // that the peer cannot read.
            let outstanding = self.recovery.has_ack_eliciting_in_flight(space) || self.handshake.wants(space);
            if self.keyring.has(self.sending_level(space)) && outstanding {
                self.fill_probe(space);
                self.outgoing.want_probe(space);
            }
        }
    }

    /// Gives a probe of `space` data to carry that was sent before and is not acknowledged.
    fn fill_probe(&mut self, space: Space) {
        if space == Space::Data {
            self.repeat_oldest_data();
        } else {
            self.handshake.resend(space);
        }
    }
}

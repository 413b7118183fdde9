//! A network path: addresses, amplification credit, round-trip time, congestion control, pacing, ECN (RFC 9000 §8, §9,
//! §13.4, §14; RFC 9002 §5, §7).
//!
//! Owns what is true of one pair of addresses. Must never know packets' contents, keys or streams.

mod ecn;
mod mtu;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_mtu;

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

pub(crate) use ecn::AckedMarks;
use ecn::EcnValidation;
use mtu::MtuDiscovery;
pub(crate) use mtu::{SizeChange, SizeNews};

use crate::{
    base::{Ecn, Rate, Timestamp},
    config::TransportConfig,
    congestion::{
        AnyController, CongestionConfig, CongestionEvent, Controller, LimitedBy, LostPacket, NewPath, Pacer,
        PacketRate, Predecessor, RateSampler, Rtt, SentPacket, SpuriousLoss, minimum_window,
    },
    frame::{EcnCounts, Frame, FrameWriter, Receipt},
    ids::Space,
    packet::MIN_INITIAL_SIZE,
};

/// A server sends at most this many times what it received before an address is validated (RFC 9000 §8.1).
const AMPLIFICATION_FACTOR: u64 = 3;
/// PATH_CHALLENGE frames that wait for their answer; more are answered by the newest ones.
const MAX_RESPONSES: usize = 4;
/// A window of so many datagrams keeps no queue: each is acknowledged before the next round is sent.
const LEAST_DATAGRAMS: u64 = 4;
/// From one call of a controller's own clock to the next.
const LEAST_WAIT: Duration = Duration::from_millis(1);

/// One path.
#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) remote: SocketAddr,
    /// The address that the peer sent to, from which answers leave.
    pub(crate) local_ip: Option<IpAddr>,
    pub(crate) rtt: Rtt,
    pub(crate) sampler: RateSampler,
    controller: AnyController,
    controller_rests_until: Timestamp,
    pacer: Pacer,
    mtu: MtuDiscovery,
    validated: bool,
    received: u64,
    sent: u64,
    ecn: EcnValidation,
    responses: Vec<[u8; 8]>,
    /// What ended sending when it last stopped.
    limited_by: LimitedBy,
}

impl Path {
    /// A path to `remote`; clients need no validation of the server's address. `seed` is for its controller.
    pub(crate) fn new(
        remote: SocketAddr,
        local_ip: Option<IpAddr>,
        config: &TransportConfig,
        validated: bool,
        now: Timestamp,
        seed: u64,
    ) -> Self {
        let mtu = MtuDiscovery::new(config.datagram_size, config.max_datagram_size);
        let datagram_size = mtu.current();
        Self {
            remote,
            local_ip,
            rtt: Rtt::default(),
            sampler: RateSampler::new(now),
            controller: config.congestion.build(&NewPath::new(now, datagram_size).with_seed(seed)),
            controller_rests_until: now,
            pacer: Pacer::new(now, datagram_size),
            mtu,
            validated,
            received: 0,
            sent: 0,
            ecn: EcnValidation::new(config.ecn),
            responses: Vec::new(),
            limited_by: LimitedBy::Application,
        }
    }

    /// UDP payload of full datagrams, in bytes.
    pub(crate) fn datagram_size(&self) -> usize {
        usize::from(self.mtu.current())
    }

    /// The peer takes no larger datagrams than this (RFC 9000 §18.2).
    pub(crate) fn limit_datagram_size(&mut self, limit: u64, now: Timestamp) {
        let before = self.mtu.current();
        self.mtu.limit(u16::try_from(limit).unwrap_or(u16::MAX));
        if self.mtu.current() != before {
            self.on_mtu_changed(now);
        }
    }

    /// The handshake is confirmed: larger datagrams may be tried (RFC 9000 §14.3).
    pub(crate) fn start_mtu_discovery(&mut self) {
        self.mtu.start();
    }

    /// The size of a datagram that tries the path, if one should be sent now.
    pub(crate) fn mtu_probe_due(&mut self, now: Timestamp) -> Option<u16> {
        self.mtu.due(now)
    }

    /// The datagram that was due left.
    pub(crate) fn on_mtu_probe_sent(&mut self) {
        self.mtu.on_probe_sent();
    }

    /// Packets arrived or were lost.
    pub(crate) fn on_size_news(&mut self, now: Timestamp, news: &SizeNews) -> SizeChange {
        let change = self.mtu.on_news(now, news);
        if change == SizeChange::Changed {
            self.on_mtu_changed(now);
        }
        change
    }

    /// This host refused to send a datagram for its size.
    pub(crate) fn on_size_refused(&mut self, now: Timestamp, size: usize) -> SizeChange {
        let change = self.mtu.on_refused(u16::try_from(size).unwrap_or(u16::MAX));
        if change == SizeChange::Changed {
            self.on_mtu_changed(now);
        }
        change
    }

    /// How often the path was found to carry less than before.
    pub(crate) fn black_holes(&self) -> u64 {
        self.mtu.black_holes()
    }

    fn on_mtu_changed(&mut self, now: Timestamp) {
        let size = self.mtu.current();
        self.controller.on_mtu_changed(size);
        self.pacer.on_control(now, &self.controller, &self.rtt, size);
    }

    pub(crate) fn on_datagram_received(&mut self, bytes: usize) {
        self.received += bytes as u64;
    }

    pub(crate) fn on_datagram_sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// The peer has proved that it receives at its address.
    pub(crate) fn validate(&mut self) {
        self.validated = true;
    }

    /// Bytes that may be sent before the address is validated (RFC 9000 §8.1); no limit afterwards.
    pub(crate) fn amplification_credit(&self) -> u64 {
        if self.validated {
            u64::MAX
        } else {
            (self.received * AMPLIFICATION_FACTOR).saturating_sub(self.sent)
        }
    }

    /// Whether less than a full handshake datagram may be sent.
    pub(crate) fn is_amplification_limited(&self) -> bool {
        self.amplification_credit() < MIN_INITIAL_SIZE as u64
    }

    /// Room in the congestion window with `in_flight` bytes under way.
    pub(crate) fn window_room(&self, in_flight: u64) -> u64 {
        self.window().saturating_sub(in_flight)
    }

    /// The congestion window: whatever a controller says, two datagrams may be under way (RFC 9002 §7.2).
    pub(crate) fn window(&self) -> u64 {
        self.controller.window().max(minimum_window(self.mtu.current()))
    }

    /// Bytes that the pacer releases now.
    pub(crate) fn pacing_budget(&mut self, now: Timestamp) -> u64 {
        self.pacer.budget(now)
    }

    /// Bytes that may leave in one train.
    pub(crate) fn train(&self) -> u64 {
        self.pacer.train()
    }

    /// The rate at which packets leave.
    pub(crate) fn pacing_rate(&self) -> Rate {
        self.pacer.rate()
    }

    /// When the pacer releases a full datagram; `None` if it does now.
    pub(crate) fn next_release(&self, now: Timestamp) -> Option<Timestamp> {
        self.pacer.next_release(now, u64::from(self.mtu.current()))
    }

    /// A packet that counts as in flight was sent with `in_flight` bytes before it. Returns its rate snapshot.
    pub(crate) fn on_packet_sent(&mut self, now: Timestamp, bytes: u64, in_flight: u64) -> PacketRate {
        self.pacer.on_sent(bytes);
        let limited_by = self.limited_by;
        self.controller.on_sent(now, &SentPacket { bytes, in_flight, limited_by });
        if in_flight == 0 {
            // After silence a controller may begin again at another rate.
            self.pacer.on_control(now, &self.controller, &self.rtt, self.mtu.current());
        }
        self.sampler.on_sent(now, bytes, in_flight)
    }

    /// A packet, in flight or not, leaves in a datagram with this mark: the peer counts it (RFC 9000 §13.4.1).
    pub(crate) fn on_marked(&mut self, ecn: Ecn) {
        self.ecn.on_sent(ecn);
    }

    /// Sending stopped with `in_flight` bytes under way, for want of data or for what `by` tells.
    pub(crate) fn on_stopped(&mut self, now: Timestamp, by: LimitedBy, in_flight: u64) {
        self.pacer.set_waiting(by == LimitedBy::Pacer);
        let full = self.window_room(in_flight) < u64::from(self.mtu.current());
        // Who has used the window up is limited by it, whether there is more to send or not.
        self.limited_by = if full && by != LimitedBy::Amplification { LimitedBy::Window } else { by };
        if matches!(self.limited_by, LimitedBy::Application | LimitedBy::FlowControl) {
            self.sampler.on_app_limited(in_flight);
            self.controller.on_app_limited(now);
        }
    }

    /// Checks the ECN counts of an ACK frame that raised the largest acknowledged number and newly acknowledged
    /// packets with marks. Returns how many more carry CE.
    pub(crate) fn on_ecn_counts(
        &mut self,
        now: Timestamp,
        space: Space,
        acked: AckedMarks,
        counts: Option<EcnCounts>,
    ) -> u64 {
        let ce = self.ecn.on_ack(space, acked, counts);
        let least = self.window() <= LEAST_DATAGRAMS * u64::from(self.mtu.current());
        if self.ecn.marks_everything(least) {
            self.controller.on_marks_void(now);
            return 0;
        }
        ce
    }

    /// Packets of `space` were newly acknowledged; `lost` with marks are gone, and none that was sent after them arrived.
    pub(crate) fn on_marks_settled(&mut self, space: Space, acked: AckedMarks, lost: u64) {
        self.ecn.on_progress(space, acked, lost);
    }

    /// A probe timeout passed: the next packets go without marks, which the path may drop.
    pub(crate) fn on_probe_timeout(&mut self) {
        self.ecn.on_probe_timeout();
    }

    /// Packets declared lost arrived after all.
    pub(crate) fn on_spurious_loss(&mut self, now: Timestamp, spurious: &SpuriousLoss) {
        self.controller.on_spurious_loss(now, spurious);
    }

    /// Tells the controller what an ACK frame or the loss timer brought; `event` makes it of what the path knows.
    pub(crate) fn on_congestion_event(
        &mut self,
        now: Timestamp,
        lost: &[LostPacket],
        event: impl for<'a> FnOnce(&'a Rtt, &mut RateSampler) -> CongestionEvent<'a>,
    ) {
        let event =
            CongestionEvent { lost, limited_by: self.limited_by, ..event(&self.rtt, &mut self.sampler) };
        self.controller.on_congestion_event(&event);
        self.pacer.on_control(now, &self.controller, &self.rtt, self.mtu.current());
    }

    /// A Retry starts the path over (RFC 9002 §6.3).
    pub(crate) fn reset_congestion(&mut self, config: &TransportConfig, now: Timestamp, seed: u64) {
        let path = NewPath::new(now, self.mtu.current()).with_seed(seed);
        self.controller = config.congestion.build(&path);
        self.pacer = Pacer::new(now, self.mtu.current());
        self.sampler = RateSampler::new(now);
    }

    /// Another controller takes the path over, with what it has in flight.
    pub(crate) fn set_congestion(&mut self, config: &CongestionConfig, now: Timestamp, seed: u64) {
        let path = NewPath::new(now, self.mtu.current()).with_seed(seed);
        let path = path.with_predecessor(Predecessor::of(&self.controller, &self.rtt));
        self.controller = config.build(&path);
        self.pacer.on_control(now, &self.controller, &self.rtt, self.mtu.current());
    }

    /// The controller's own clock. It is not called more often than each [`LEAST_WAIT`], whatever it asks for.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.controller.deadline().map(|at| at.max(self.controller_rests_until))
    }

    pub(crate) fn on_timeout(&mut self, now: Timestamp) {
        if self.deadline().is_some_and(|at| at <= now) {
            self.controller_rests_until = now + LEAST_WAIT;
            self.controller.on_timeout(now);
            self.pacer.on_control(now, &self.controller, &self.rtt, self.mtu.current());
        }
    }

    /// The ECN codepoint for the next datagrams.
    pub(crate) fn ecn(&self) -> Ecn {
        if self.ecn.may_mark() { self.controller.ecn() } else { Ecn::NotEct }
    }

    pub(crate) fn controller(&self) -> &AnyController {
        &self.controller
    }

    /// A PATH_CHALLENGE is answered once, on the path that it came on (RFC 9000 §8.2.2).
    pub(crate) fn on_challenge(&mut self, data: [u8; 8]) {
        if self.responses.len() == MAX_RESPONSES {
            self.responses.remove(0);
        }
        self.responses.push(data);
    }

    pub(crate) fn wants(&self) -> bool {
        !self.responses.is_empty()
    }

    /// Writes answers to challenges. Says whether it wrote any: their datagram is to be padded (RFC 9000 §8.2.2).
    pub(crate) fn write(&mut self, w: &mut FrameWriter<'_>) -> bool {
        let before = self.responses.len();
        self.responses.retain(|data| !w.frame(&Frame::PathResponse(*data), Receipt::Nothing));
        self.responses.len() < before
    }
}

//! One path: what is known of one way through the network.

use std::time::Duration;

use super::{
    ecn::{AckedMarks, EcnValidation},
    mtu::{MtuDiscovery, SizeChange, SizeEvidence},
    route::Route,
};

use crate::{
    base::{Ecn, Rate, Timestamp},
    config::TransportConfig,
    congestion::{
        AnyController, CongestionConfig, CongestionEvent, Controller, LimitedBy, LostPacket, NewPath, Pacer,
        PacketRate, Predecessor, RateSampler, Rtt, SentPacket, SpuriousLoss, minimum_window,
    },
    frame::EcnCounts,
    ids::{PathId, Space},
    stats::EcnState,
};

/// A window of this many datagrams keeps no queue: each is acknowledged before the next round is sent.
const LEAST_DATAGRAMS: u64 = 4;
/// The shortest time between two calls of a controller's own timer.
const LEAST_WAIT: Duration = Duration::from_millis(1);

/// One path.
#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) id: PathId,
    /// The addresses of the path.
    pub(crate) route: Route,
    pub(crate) rtt: Rtt,
    pub(crate) sampler: RateSampler,
    /// Bytes in flight.
    pub(crate) in_flight: u64,
    pub(super) controller: AnyController,
    controller_rests_until: Timestamp,
    pub(super) pacer: Pacer,
    pub(super) mtu: MtuDiscovery,
    ecn: EcnValidation,
    /// What stopped sending last.
    limited_by: LimitedBy,
    /// The delivery rate of the last sample.
    delivery_rate: Option<Rate>,
}

impl Path {
    /// The path `id` on `route`. `seed` is for its controller.
    pub(crate) fn new(id: PathId, route: Route, config: &TransportConfig, now: Timestamp, seed: u64) -> Self {
        let mtu = MtuDiscovery::new(config.datagram_size, config.max_datagram_size);
        let datagram_size = mtu.current();
        Self {
            id,
            route,
            rtt: Rtt::default(),
            sampler: RateSampler::new(now),
            in_flight: 0,
            controller: config.congestion.build(&NewPath::new(now, datagram_size).with_seed(seed)),
            controller_rests_until: now,
            pacer: Pacer::new(now, datagram_size),
            mtu,
            ecn: EcnValidation::new(config.ecn),
            limited_by: LimitedBy::Application,
            delivery_rate: None,
        }
    }

    /// The UDP payload of full datagrams, in bytes.
    pub(crate) fn datagram_size(&self) -> usize {
        usize::from(self.mtu.current())
    }

    /// The peer accepts no larger datagrams than this (RFC 9000 §18.2).
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

    /// The size of an MTU probe, if one should be sent now.
    pub(crate) fn mtu_probe_due(&mut self, now: Timestamp) -> Option<u16> {
        self.mtu.due(now)
    }

    /// The due MTU probe was sent.
    pub(crate) fn on_mtu_probe_sent(&mut self) {
        self.mtu.on_probe_sent();
    }

    /// Packets of certain sizes arrived or were lost.
    pub(crate) fn on_size_evidence(&mut self, now: Timestamp, evidence: &SizeEvidence) -> SizeChange {
        self.route.on_carried(evidence.acked);
        let change = self.mtu.on_evidence(now, evidence);
        if change == SizeChange::Changed {
            self.on_mtu_changed(now);
        }
        change
    }

    /// This host refused to send a datagram because of its size.
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

    /// How many bytes the congestion window has room for.
    pub(crate) fn window_room(&self) -> u64 {
        self.window().saturating_sub(self.in_flight)
    }

    /// The congestion window. Two datagrams may always be in flight, whatever the controller says (RFC 9002
    /// §7.2).
    pub(crate) fn window(&self) -> u64 {
        self.controller.window().max(minimum_window(self.mtu.current()))
    }

    /// How many bytes the pacer releases now.
    pub(crate) fn pacing_budget(&mut self, now: Timestamp) -> u64 {
        self.pacer.budget(now)
    }

    /// How many bytes may leave in one train.
    pub(crate) fn train(&self) -> u64 {
        self.pacer.train()
    }

    /// The rate at which the pacer releases packets.
    pub(crate) fn pacing_rate(&self) -> Rate {
        self.pacer.rate()
    }

    /// When the pacer releases a full datagram; `None` if it does so now.
    pub(crate) fn next_release(&self, now: Timestamp) -> Option<Timestamp> {
        self.pacer.next_release(now, u64::from(self.mtu.current()))
    }

    /// A packet that counts as in flight was sent. Returns its rate snapshot.
    pub(crate) fn on_packet_sent(&mut self, now: Timestamp, bytes: u64) -> PacketRate {
        let in_flight = self.in_flight;
        self.in_flight += bytes;
        self.pacer.on_sent(bytes);
        let limited_by = self.limited_by;
        self.controller.on_sent(now, &SentPacket { bytes, in_flight, limited_by });
        if in_flight == 0 {
            // After a silence, a controller may start again at another rate.
            self.pacer.on_control(now, &self.controller, &self.rtt, self.mtu.current());
        }
        self.sampler.on_sent(now, bytes, in_flight)
    }

    /// `bytes` are no longer in flight, without a sign of congestion.
    pub(crate) fn on_landed(&mut self, bytes: u64) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
    }

    /// This path is used instead of `other`. The peer counts marks for the whole connection (RFC 9000
    /// §13.4.2), so this path starts with the counts reported so far.
    pub(super) fn take_over_ecn(&mut self, other: &Self) {
        self.ecn.take_over(&other.ecn);
    }

    /// An ACK frame raised the largest acknowledged number, and it newly acknowledged packets of other paths,
    /// too. Its counts therefore tell nothing of this path. Returns 0 as the number of additional packets
    /// with CE.
    pub(crate) fn on_mixed_ecn_counts(&mut self, space: Space, counts: Option<EcnCounts>) -> u64 {
        self.ecn.on_mixed(space, counts);
        0
    }

    /// A packet, in flight or not, leaves in a datagram with this mark: the peer counts it (RFC 9000
    /// §13.4.1).
    pub(crate) fn on_marked(&mut self, ecn: Ecn) {
        self.ecn.on_sent(ecn);
    }

    /// Sending stopped, for want of data or for the reason `by`.
    pub(crate) fn on_stopped(&mut self, now: Timestamp, by: LimitedBy) {
        self.pacer.set_waiting(by == LimitedBy::Pacer);
        let full = self.window_room() < u64::from(self.mtu.current());
        // A sender that has used up the window is limited by it, whether or not it has more to send.
        self.limited_by = if full && by != LimitedBy::Amplification { LimitedBy::Window } else { by };
        if matches!(self.limited_by, LimitedBy::Application | LimitedBy::FlowControl) {
            self.sampler.on_app_limited(self.in_flight);
            self.controller.on_app_limited(now);
        }
    }

    /// Checks the ECN counts of an ACK frame that raised the largest acknowledged number and newly
    /// acknowledged packets with marks. Returns how many more packets carry CE.
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

    /// Packets of `space` were newly acknowledged. `lost` marked packets were lost, and none that was sent
    /// after them arrived.
    pub(crate) fn on_marks_settled(&mut self, space: Space, acked: AckedMarks, lost: u64) {
        self.ecn.on_progress(space, acked, lost);
    }

    /// A probe timeout fired: the next packets go without marks, because the path may drop marked ones.
    pub(crate) fn on_probe_timeout(&mut self) {
        self.ecn.on_probe_timeout();
    }

    /// Packets that were declared lost have arrived.
    pub(crate) fn on_spurious_loss(&mut self, now: Timestamp, spurious: &SpuriousLoss) {
        self.controller.on_spurious_loss(now, spurious);
    }

    /// Reports an ACK frame or the loss timer to the controller. `event` makes the event from what the path
    /// knows.
    pub(crate) fn on_congestion_event(
        &mut self,
        now: Timestamp,
        lost: &[LostPacket],
        event: impl for<'a> FnOnce(&'a Rtt, &mut RateSampler) -> CongestionEvent<'a>,
    ) {
        let event =
            CongestionEvent { lost, limited_by: self.limited_by, ..event(&self.rtt, &mut self.sampler) };
        self.delivery_rate = event.rate.and_then(|sample| sample.rate).or(self.delivery_rate);
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

    /// Another controller takes over the path, with its packets in flight.
    pub(crate) fn set_congestion(&mut self, config: &CongestionConfig, now: Timestamp, seed: u64) {
        let path = NewPath::new(now, self.mtu.current()).with_seed(seed);
        let path = path.with_predecessor(Predecessor::of(&self.controller, &self.rtt));
        self.controller = config.build(&path);
        self.pacer.on_control(now, &self.controller, &self.rtt, self.mtu.current());
    }

    /// When the controller's own timer is due. The controller is called at most once in [`LEAST_WAIT`],
    /// whatever it asks for.
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

    /// What is known of ECN on the path.
    pub(crate) fn ecn_state(&self) -> EcnState {
        self.ecn.state()
    }

    /// How many packets the peer says that it received with CE.
    pub(crate) fn ecn_ce(&self) -> u64 {
        self.ecn.ce()
    }

    /// The delivery rate of the last sample.
    pub(crate) fn delivery_rate(&self) -> Option<Rate> {
        self.delivery_rate
    }

    /// The ECN codepoint for the next datagrams.
    pub(crate) fn ecn(&self) -> Ecn {
        if self.ecn.may_mark() { self.controller.ecn() } else { Ecn::NotEct }
    }

    pub(crate) fn controller(&self) -> &AnyController {
        &self.controller
    }
}

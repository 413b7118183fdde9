//! The ledger of one packet number space.

use std::time::Duration;

use super::{
    noted::note,
    packet::{AckOnly, FEW_LOST, LostPacket, MAX_ACK_ONLY, MAX_LOST, Packet, SPARE_KEPT},
    queue::PacketQueue,
    reached::Reached,
    run::LossRun,
    shared::{Newest, Shared},
    skipped::Skipped,
    types::{AckResult, LossSummary, Outcome, SentInfo},
};
use crate::{
    base::{Ecn, Timestamp},
    congestion::{LostPacket as Told, Rtt, SpuriousLoss},
    error::Violation,
    ids::PathId,
};

#[derive(Debug)]
pub(super) struct SpaceLedger<R> {
    packets: PacketQueue<Packet, R>,
    ack_only: PacketQueue<AckOnly, R>,
    lost: PacketQueue<LostPacket, R>,
    /// The most packets in flight since the ledger last remembered no losses.
    flight: usize,
    skipped: Skipped,
    /// One above the highest packet number sent or skipped.
    next_pn: u64,
    pub(super) largest_acked: Option<u64>,
    reached: Reached,
    pub(super) loss_time: Option<Timestamp>,
    pub(super) last_ack_eliciting: Option<Timestamp>,
    /// Ack-eliciting packets neither acknowledged nor lost.
    pub(super) ack_eliciting: usize,
    /// How many packets are outstanding that were sent on other paths than the one in use.
    on_other_paths: usize,
    /// The highest number of an acknowledged packet that was sent with an ECN mark.
    marked_acked: Option<u64>,
    /// Whether an ACK-only packet was acknowledged that is newer than every packet in flight.
    ack_only_acked: bool,
    run: LossRun,
    /// When the room that a large flight has left is freed.
    pub(super) spare_until: Option<Timestamp>,
}

impl<R: Copy> SpaceLedger<R> {
    pub(super) fn new() -> Self {
        Self {
            packets: PacketQueue::new(),
            ack_only: PacketQueue::new(),
            lost: PacketQueue::new(),
            flight: 0,
            skipped: Skipped::default(),
            next_pn: 0,
            largest_acked: None,
            reached: Reached::default(),
            loss_time: None,
            last_ack_eliciting: None,
            ack_eliciting: 0,
            on_other_paths: 0,
            marked_acked: None,
            ack_only_acked: false,
            run: LossRun::default(),
            spare_until: None,
        }
    }

    pub(super) fn on_sent(&mut self, pn: u64, info: SentInfo, receipts: &[R], path: PathId, timed: bool) {
        debug_assert!(pn >= self.next_pn, "packet number {pn} was used before");
        debug_assert!(info.in_flight || !info.ack_eliciting, "ack-eliciting packets are in flight");
        self.next_pn = pn.saturating_add(1);
        let receipts = receipts.iter().copied();
        if !info.in_flight {
            if self.ack_only.len() >= MAX_ACK_ONLY {
                self.ack_only.pop_front();
            }
            self.ack_only.push(pn, AckOnly { time: info.time, ecn: info.ecn, path }, receipts);
            return;
        }
        let acked_before = std::mem::take(&mut self.ack_only_acked);
        self.on_other_paths += usize::from(!timed);
        let timed = timed && info.ack_eliciting;
        self.packets.push(pn, Packet { info, path, timed, acked_before }, receipts);
        let before = if self.lost.is_empty() { 0 } else { self.flight };
        self.flight = before.max(self.packets.len());
        if timed {
            self.ack_eliciting += 1;
            self.last_ack_eliciting = Some(info.time);
        }
    }

    pub(super) fn on_skipped(&mut self, pn: u64) {
        debug_assert!(pn >= self.next_pn, "packet number {pn} was used before");
        self.skipped.push(pn);
        self.next_pn = pn.saturating_add(1);
    }

    /// RFC 9000 §13.1: a peer must not acknowledge a packet that was never sent.
    pub(super) fn validate(&self, low: u64, high: u64) -> Result<(), Violation> {
        if high >= self.next_pn || self.skipped.count_in(low, high) > 0 {
            return Err(Violation::AckOfUnsent);
        }
        Ok(())
    }

    /// An ACK frame was processed, whose largest number is `largest`. Returns whether it raised the largest
    /// acknowledged number.
    pub(super) fn on_largest(&mut self, largest: Option<u64>, here: Option<u64>, elsewhere: bool) -> bool {
        let raised = largest > self.largest_acked;
        self.largest_acked = self.largest_acked.max(largest);
        // A number that is no longer remembered is not known to have been sent elsewhere.
        self.reached.on_here(if raised && !elsewhere { largest } else { here });
        raised
    }

    /// `path` is in use from now on: everything acknowledged so far was sent on another path.
    pub(super) fn on_path_changed(&mut self, path: PathId) {
        self.reached.on_path_changed();
        self.run.end();
        self.on_other_paths = 0;
        let mut index = 0;
        while let Some((at, _, packet)) = self.packets.next_outstanding(index) {
            self.on_other_paths += usize::from(packet.path != path);
            index = at + 1;
        }
    }

    /// Settles what is newly acknowledged in `low..=high`.
    pub(super) fn acknowledge(
        &mut self,
        (low, high): (u64, u64),
        shared: &mut Shared<'_>,
        result: &mut AckResult,
        newest: &mut Option<Newest>,
        settle: &mut impl FnMut(R, Outcome),
    ) {
        let mut index = self.packets.position(low);
        while let Some((at, pn, packet)) = self.packets.next_outstanding(index) {
            if pn > high {
                break;
            }
            let Packet { info, path, timed, .. } = *packet;
            self.ack_eliciting -= usize::from(timed);
            self.packets.receipts(at).for_each(|receipt| settle(receipt, Outcome::Acked));
            self.packets.settle(at, true);
            self.count_acked(pn, &info, path, shared, result);
            self.note(newest, shared, result, Newest { pn, time: info.time, path }, info.ecn);
            index = at + 1;
        }
        if !self.ack_only.is_empty() {
            self.acknowledge_ack_only(low, high, shared, result, newest, settle);
        }
        if !self.lost.is_empty() {
            self.acknowledge_lost(low, high, shared, result, settle);
        }
    }

    fn count_acked(
        &mut self,
        pn: u64,
        info: &SentInfo,
        path: PathId,
        shared: &mut Shared<'_>,
        result: &mut AckResult,
    ) {
        // RFC 9000 §9.4: a packet of another path tells nothing about this one.
        if path == shared.path {
            if info.ack_eliciting && result.newest_ack_eliciting.is_none_or(|(newest, _)| newest < pn) {
                result.newest_ack_eliciting = Some((pn, info.time));
            }
            result.largest_bytes = result.largest_bytes.max(info.bytes);
            if info.mtu_probe {
                result.mtu_probe_acked = result.mtu_probe_acked.max(Some(info.bytes));
            }
            let bytes = u64::from(info.bytes);
            result.acked_bytes += bytes;
            *shared.in_flight = shared.in_flight.saturating_sub(bytes);
            shared.sampler.on_acked(shared.now, info.time, bytes, &info.rate);
        } else {
            self.on_other_paths -= 1;
            shared.land_elsewhere(path, u64::from(info.bytes));
        }
    }

    fn acknowledge_ack_only(
        &mut self,
        low: u64,
        high: u64,
        shared: &mut Shared<'_>,
        result: &mut AckResult,
        newest: &mut Option<Newest>,
        settle: &mut impl FnMut(R, Outcome),
    ) {
        let mut index = self.ack_only.position(low);
        while let Some((at, pn, ack_only)) = self.ack_only.next_outstanding(index) {
            if pn > high {
                break;
            }
            let AckOnly { time, ecn, path } = *ack_only;
            self.ack_only.receipts(at).for_each(|receipt| settle(receipt, Outcome::Acked));
            self.ack_only.settle(at, true);
            self.note(newest, shared, result, Newest { pn, time, path }, ecn);
            self.break_run(pn);
            index = at + 1;
        }
        self.ack_only.trim();
    }

    /// The packet `pn` was acknowledged when it was not outstanding. It ends a run of losses that began
    /// before it.
    fn break_run(&mut self, pn: u64) {
        if self.run.on_acked(pn) {
            return;
        }
        let next = self.packets.position(pn);
        match self.packets.value_mut(next) {
            Some(packet) => packet.acked_before = true,
            None => self.ack_only_acked = true,
        }
    }

    fn acknowledge_lost(
        &mut self,
        low: u64,
        high: u64,
        shared: &mut Shared<'_>,
        result: &mut AckResult,
        settle: &mut impl FnMut(R, Outcome),
    ) {
        let mut index = self.lost.position(low);
        while let Some((at, pn, lost)) = self.lost.next_outstanding(index) {
            if pn > high {
                break;
            }
            let lost = *lost;
            self.lost.receipts(at).for_each(|receipt| settle(receipt, Outcome::Recovered));
            self.lost.settle(at, true);
            shared.counters.spurious_losses += 1;
            shared.counters.spurious_bytes += u64::from(lost.bytes);
            shared.thresholds.learn(&lost, self.largest_acked.unwrap_or(pn).saturating_sub(pn));
            self.break_run(pn);
            if lost.counted {
                let spurious = result.spurious.get_or_insert(SpuriousLoss {
                    packets: 0,
                    bytes: 0,
                    oldest_lost_at: lost.lost_at,
                });
                spurious.packets += 1;
                spurious.bytes += u64::from(lost.bytes);
                spurious.oldest_lost_at = spurious.oldest_lost_at.min(lost.lost_at);
            }
            index = at + 1;
        }
        self.lost.trim();
    }

    /// Declares packets lost by the thresholds (RFC 9002 §6.1), and sets the loss time for the rest.
    pub(super) fn detect_lost(
        &mut self,
        shared: &mut Shared<'_>,
        rtt: &Rtt,
        max_ack_delay: Duration,
        loss: &mut LossSummary,
        settle: &mut impl FnMut(R, Outcome),
    ) {
        self.loss_time = None;
        let Some(largest) = self.largest_acked else { return };
        let delay = shared.thresholds.loss_delay(rtt);
        let period = rtt.pto_base().saturating_add(max_ack_delay).saturating_mul(3);
        let mut index = 0;
        // Numbers and times increase together, so no packet after the first one that is not lost is lost.
        while let Some((at, pn, packet)) = self.packets.next_outstanding(index) {
            let packet = *packet;
            if pn >= largest {
                break;
            }
            let here = packet.path == shared.path;
            if here && !self.reached.is_beyond(pn) {
                // All acknowledged packets after this one used other paths, so they tell nothing about it.
                index = at + 1;
                continue;
            }
            let overdue =
                packet.info.time + if here { delay } else { delay.max(shared.elsewhere_rtt * 9 / 8) };
            // Neither skipped numbers nor packets of another path have overtaken this packet.
            let overtaken = self.reached.distance(pn, (!here).then_some(packet.path));
            let distance = overtaken.saturating_sub(self.skipped.count_in(pn, largest) as u64);
            let by_time = distance < shared.thresholds.packets;
            if by_time && overdue > shared.now {
                self.loss_time = Some(self.loss_time.map_or(overdue, |at| at.min(overdue)));
                if self.on_other_paths == 0 {
                    break;
                }
                index = at + 1;
                continue;
            }
            let Packet { info, timed: _, path: _, acked_before } = packet;
            let interrupted = acked_before || self.packets.acked_between(self.run.last_lost(), at);
            let sampled = rtt.first_sample().is_some_and(|first| info.time > first);
            let counts = info.ack_eliciting && !info.mtu_probe && here && sampled;
            loss.persistent |= self.run.on_lost(pn, interrupted, counts.then_some(info.time), period);
            loss.marked += u64::from(here && packet.info.ecn != Ecn::NotEct && self.marked_acked < Some(pn));
            self.count_lost(&packet, shared, loss);
            note(shared.noted, pn, &packet, by_time);
            self.remember(at, pn, &packet, period, by_time, shared);
            self.packets.receipts(at).for_each(|receipt| settle(receipt, Outcome::Lost));
            self.packets.settle(at, false);
            index = at + 1;
        }
        self.trim(shared.now);
    }

    fn count_lost(&mut self, packet: &Packet, shared: &mut Shared<'_>, loss: &mut LossSummary) {
        let info = &packet.info;
        let bytes = u64::from(info.bytes);
        self.ack_eliciting -= usize::from(packet.timed);
        // RFC 9000 §14.4: a lost probe answers its question; it is no sign of congestion.
        if info.mtu_probe {
            shared.counters.mtu_probes_lost += 1;
        } else {
            shared.counters.packets_lost += 1;
            shared.counters.bytes_lost += bytes;
        }
        if packet.path != shared.path {
            self.on_other_paths -= 1;
            shared.land_elsewhere(packet.path, bytes);
            return;
        }
        *shared.in_flight = shared.in_flight.saturating_sub(bytes);
        if info.mtu_probe {
            loss.mtu_probe = loss.mtu_probe.max(Some(info.bytes));
            return;
        }
        shared.sampler.on_lost(bytes);
        shared.lost.push(Told::new(bytes, info.time, info.rate));
        loss.packets += 1;
        loss.bytes += bytes;
        loss.largest_bytes = loss.largest_bytes.max(info.bytes);
        loss.first_sent = Some(loss.first_sent.map_or(info.time, |first| first.min(info.time)));
        loss.last_sent = loss.last_sent.max(Some(info.time));
    }

    fn remember(
        &mut self,
        at: usize,
        pn: u64,
        packet: &Packet,
        keep: Duration,
        by_time: bool,
        shared: &Shared<'_>,
    ) {
        let most = if shared.scarce { FEW_LOST } else { self.flight.clamp(FEW_LOST, MAX_LOST) };
        while self.lost.len() >= most {
            self.lost.pop_front();
        }
        // A packet of another path may be declared lost after packets that were sent later. Whether it still
        // arrives does not matter.
        if self.lost.last() >= Some(pn) {
            return;
        }
        let (now, path) = (shared.now, shared.path);
        let lost = LostPacket {
            lost_at: now,
            forget_at: now + keep,
            bytes: packet.info.bytes,
            counted: packet.path == path && !packet.info.mtu_probe,
            by_time,
        };
        self.lost.push(pn, lost, self.packets.receipts(at));
    }

    /// Appends the numbers in `low..=high` that are not acknowledged, those of lost packets included.
    pub(super) fn unacknowledged(&mut self, low: u64, high: u64, into: &mut Vec<u64>) {
        self.packets.outstanding(low, high, into);
        self.ack_only.outstanding(low, high, into);
        self.lost.outstanding(low, high, into);
    }

    /// How many bytes to charge for the memory of losses.
    pub(super) fn loss_memory(&self) -> usize {
        let beyond = self.lost.len().saturating_sub(FEW_LOST);
        if beyond == 0 { 0 } else { self.lost.memory() / self.lost.len() * beyond }
    }

    /// Removes settled packets, and losses too old to prove spurious. A sender that empties and fills its
    /// flight many times a second keeps the room for it. One that has not needed it for [`SPARE_KEPT`] frees
    /// it.
    pub(super) fn trim(&mut self, now: Timestamp) {
        if !self.has_spare() {
            self.spare_until = None;
        }
        self.packets.trim();
        while self.lost.front().is_some_and(|(_, lost)| lost.forget_at <= now) {
            self.lost.pop_front();
        }
        self.lost.trim();
        if self.has_spare() && *self.spare_until.get_or_insert(now + SPARE_KEPT) <= now {
            self.packets.release_spare();
            self.ack_only.release_spare();
            self.lost.release_spare();
            self.spare_until = None;
        }
    }

    fn has_spare(&self) -> bool {
        self.packets.has_spare() || self.ack_only.has_spare() || self.lost.has_spare()
    }

    /// Gives up all packets with `settle(Lost)`, which says nothing about congestion. Calls `landed` with the
    /// path and size of each packet that was in flight.
    pub(super) fn abandon(
        &mut self,
        landed: &mut impl FnMut(PathId, u64),
        settle: &mut impl FnMut(R, Outcome),
    ) {
        let mut index = 0;
        while let Some((at, _, packet)) = self.packets.next_outstanding(index) {
            landed(packet.path, u64::from(packet.info.bytes));
            self.packets.receipts(at).for_each(|receipt| settle(receipt, Outcome::Lost));
            index = at + 1;
        }
        self.packets.clear();
        self.ack_only.clear();
        self.lost.clear();
        self.spare_until = None;
        self.loss_time = None;
        self.last_ack_eliciting = None;
        self.ack_eliciting = 0;
        self.on_other_paths = 0;
        self.run.end();
    }

    /// The lowest packet number that is neither acknowledged nor lost.
    #[cfg(test)]
    pub(super) fn oldest_unacked(&self) -> Option<u64> {
        self.packets.front().map(|(pn, _)| pn)
    }

    /// How many packets fit without further allocation, for tests of the bounds.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.packets.room() + self.ack_only.room() + self.lost.room()
    }

    /// How many packets are remembered in any state, for tests of the bounds.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.packets.len() + self.ack_only.len() + self.lost.len()
    }

    fn note(
        &mut self,
        newest: &mut Option<Newest>,
        shared: &mut Shared<'_>,
        result: &mut AckResult,
        packet: Newest,
        ecn: Ecn,
    ) {
        result.newly_acked += 1;
        if packet.path == shared.path {
            shared.newest_here = shared.newest_here.max(Some(packet.pn));
        } else {
            result.acked_elsewhere += 1;
            self.reached.on_elsewhere(packet.path, packet.pn);
        }
        match ecn {
            Ecn::Ect0 => result.ect0 += 1,
            Ecn::Ect1 => result.ect1 += 1,
            Ecn::NotEct | Ecn::Ce => {}
        }
        if ecn != Ecn::NotEct {
            self.marked_acked = self.marked_acked.max(Some(packet.pn));
        }
        if newest.is_none_or(|newest| newest.pn < packet.pn) {
            *newest = Some(packet);
        }
    }

    /// Passes the receipts of the oldest packets in flight to `repeat`, until `count` packets held data that
    /// `repeat` sends again. Settles nothing.
    pub(super) fn repeat_oldest(&mut self, count: usize, repeat: &mut impl FnMut(R) -> bool) {
        let (mut found, mut index) = (0, 0);
        while found < count
            && let Some((at, _, _)) = self.packets.next_outstanding(index)
        {
            let again = self.packets.receipts(at).fold(false, |again, receipt| repeat(receipt) | again);
            found += usize::from(again);
            index = at + 1;
        }
    }
}

//! The ledger of one packet number space.

use std::{collections::VecDeque, time::Duration};

use super::{
    packet::{LostPacket, Packet, Quiet},
    ring::Ring,
    shared::{Newest, Shared},
    types::{AckResult, LossSummary, Outcome, SentInfo},
};
use crate::{
    base::{Ecn, Timestamp},
    congestion::{LostPacket as Told, Rtt, SpuriousLoss},
    error::Violation,
    ids::PathId,
};

/// Packets that are not in flight (ACKs alone) remembered for their receipts. The peer decides how many we
/// send and may never acknowledge one, so the oldest are forgotten.
const MAX_QUIET: usize = 256;
/// Lost packets remembered in case they arrive late, whatever the window. Beyond, they are charged.
const FEW_LOST: usize = 1_024;
/// As many as were in flight at once are remembered, for a route that becomes shorter makes all of these late; but no more
/// than this.
const MAX_LOST: usize = 16_384;
/// Skipped packet numbers remembered.
const MAX_SKIPPED: usize = 64;
/// How long room for a large flight stays unused: far longer than the pauses of a sender that is at work.
const SPARE_KEPT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct SpaceLedger<R> {
    packets: Ring<Packet, R>,
    quiet: Ring<Quiet, R>,
    lost: Ring<LostPacket, R>,
    /// The most packets in flight since no lost ones were remembered.
    flight: usize,
    skipped: VecDeque<u64>,
    /// One above the highest packet number sent or skipped.
    next_pn: u64,
    pub(super) largest_acked: Option<u64>,
    pub(super) loss_time: Option<Timestamp>,
    pub(super) last_ack_eliciting: Option<Timestamp>,
    /// Ack-eliciting packets neither acknowledged nor lost.
    pub(super) ack_eliciting: usize,
    /// The highest number of an acknowledged packet that was sent with an ECN mark.
    marked_acked: Option<u64>,
    /// A quiet packet was acknowledged that is newer than every packet in the ledger.
    quiet_acked: bool,
    /// The first packet of the current run of losses and when it was sent (RFC 9002 §7.6.1).
    run_start: Option<(u64, Timestamp)>,
    last_lost: u64,
    /// When the room that a large flight has left is given back.
    pub(super) spare_until: Option<Timestamp>,
}

impl<R: Copy> SpaceLedger<R> {
    pub(super) fn new() -> Self {
        Self {
            packets: Ring::new(),
            quiet: Ring::new(),
            lost: Ring::new(),
            flight: 0,
            skipped: VecDeque::new(),
            next_pn: 0,
            largest_acked: None,
            loss_time: None,
            last_ack_eliciting: None,
            ack_eliciting: 0,
            marked_acked: None,
            quiet_acked: false,
            run_start: None,
            last_lost: 0,
            spare_until: None,
        }
    }

    pub(super) fn on_sent(&mut self, pn: u64, info: SentInfo, receipts: &[R], path: PathId) {
        debug_assert!(pn >= self.next_pn, "packet number {pn} was used before");
        debug_assert!(info.in_flight || !info.ack_eliciting, "ack-eliciting packets are in flight");
        self.next_pn = pn.saturating_add(1);
        let receipts = receipts.iter().copied();
        if !info.in_flight {
            if self.quiet.len() >= MAX_QUIET {
                self.quiet.pop_front();
            }
            self.quiet.push(pn, Quiet { time: info.time, ecn: info.ecn, path }, receipts);
            return;
        }
        let acked_before = std::mem::take(&mut self.quiet_acked);
        self.packets.push(pn, Packet { info, path, acked_before }, receipts);
        let before = if self.lost.is_empty() { 0 } else { self.flight };
        self.flight = before.max(self.packets.len());
        if info.ack_eliciting {
            self.ack_eliciting += 1;
            self.last_ack_eliciting = Some(info.time);
        }
    }

    pub(super) fn on_skipped(&mut self, pn: u64) {
        debug_assert!(pn >= self.next_pn, "packet number {pn} was used before");
        if self.skipped.len() >= MAX_SKIPPED {
            self.skipped.pop_front();
        }
        self.skipped.push_back(pn);
        self.next_pn = pn.saturating_add(1);
    }

    /// How many of the remembered skipped numbers are in `low..=high`.
    fn skipped_in(&self, low: u64, high: u64) -> usize {
        if self.skipped.is_empty() {
            return 0;
        }
        self.skipped.partition_point(|pn| *pn <= high) - self.skipped.partition_point(|pn| *pn < low)
    }

    /// RFC 9000 §13.1: an acknowledgment of a packet that was never sent is a lie.
    pub(super) fn validate(&self, low: u64, high: u64) -> Result<(), Violation> {
        if high >= self.next_pn || self.skipped_in(low, high) > 0 {
            return Err(Violation::AckOfUnsent);
        }
        Ok(())
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
        while let Some((at, pn, packet)) = self.packets.next_live(index) {
            if pn > high {
                break;
            }
            let Packet { info, path, .. } = *packet;
            self.packets.receipts(at).for_each(|receipt| settle(receipt, Outcome::Acked));
            self.packets.settle(at, true);
            self.count_acked(pn, &info, path, shared, result);
            self.note(newest, result, Newest { pn, time: info.time, path }, info.ecn);
            index = at + 1;
        }
        if !self.quiet.is_empty() {
            self.acknowledge_quiet(low, high, result, newest, settle);
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
        if info.ack_eliciting {
            self.ack_eliciting -= 1;
            if result.newest_ack_eliciting.is_none_or(|(newest, _)| newest < pn) {
                result.newest_ack_eliciting = Some((pn, info.time));
            }
        }
        result.largest_bytes = result.largest_bytes.max(info.bytes);
        if info.mtu_probe {
            result.mtu_probe_acked = result.mtu_probe_acked.max(Some(info.bytes));
        }
        if path == shared.path {
            let bytes = u64::from(info.bytes);
            result.acked_bytes += bytes;
            *shared.in_flight = shared.in_flight.saturating_sub(bytes);
            shared.sampler.on_acked(shared.now, info.time, bytes, &info.rate);
        } else {
            shared.land_elsewhere(path, u64::from(info.bytes));
        }
    }

    fn acknowledge_quiet(
        &mut self,
        low: u64,
        high: u64,
        result: &mut AckResult,
        newest: &mut Option<Newest>,
        settle: &mut impl FnMut(R, Outcome),
    ) {
        let mut index = self.quiet.position(low);
        while let Some((at, pn, quiet)) = self.quiet.next_live(index) {
            if pn > high {
                break;
            }
            let Quiet { time, ecn, path } = *quiet;
            self.quiet.receipts(at).for_each(|receipt| settle(receipt, Outcome::Acked));
            self.quiet.settle(at, true);
            self.note(newest, result, Newest { pn, time, path }, ecn);
            self.break_run(pn);
            index = at + 1;
        }
        self.quiet.trim();
    }

    /// The packet `pn` arrived, which is not live in the ledger: it ends a run of losses that began before it.
    fn break_run(&mut self, pn: u64) {
        if pn <= self.last_lost {
            if self.run_start.is_some_and(|(first, _)| first <= pn) {
                self.run_start = None;
            }
            return;
        }
        let next = self.packets.position(pn);
        match self.packets.value_mut(next) {
            Some(packet) => packet.acked_before = true,
            None => self.quiet_acked = true,
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
        while let Some((at, pn, lost)) = self.lost.next_live(index) {
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

    /// Declares lost what the thresholds say (RFC 9002 §6.1) and sets the loss time for the rest.
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
        // Numbers and times rise together: what follows the first packet that is not lost is not lost.
        while let Some((at, pn, packet)) = self.packets.next_live(index) {
            let packet = *packet;
            let overdue = packet.info.time + delay;
            if pn >= largest {
                break;
            }
            // Numbers that were skipped did not overtake anything.
            let distance = (largest - pn).saturating_sub(self.skipped_in(pn, largest) as u64);
            let by_time = distance < shared.thresholds.packets;
            if by_time && overdue > shared.now {
                self.loss_time = Some(overdue);
                break;
            }
            self.track_run(at, pn, &packet, shared.path, rtt, period, loss);
            loss.marked += u64::from(packet.info.ecn != Ecn::NotEct && self.marked_acked < Some(pn));
            self.count_lost(&packet, shared, loss);
            self.remember(at, pn, &packet, period, by_time, shared);
            self.packets.receipts(at).for_each(|receipt| settle(receipt, Outcome::Lost));
            self.packets.settle(at, false);
            index = at + 1;
        }
        self.trim(shared.now);
    }

    /// Persistent congestion (RFC 9002 §7.6): two ack-eliciting packets lost that were sent further apart than
    /// `period`, after the first round-trip sample, and nothing between them acknowledged.
    #[expect(clippy::too_many_arguments, reason = "one step of detect_lost, named")]
    fn track_run(
        &mut self,
        at: usize,
        pn: u64,
        packet: &Packet,
        path: PathId,
        rtt: &Rtt,
        period: Duration,
        loss: &mut LossSummary,
    ) {
        if packet.acked_before || self.packets.acked_between(self.last_lost, at) {
            self.run_start = None;
        }
        self.last_lost = pn;
        let info = &packet.info;
        let sampled = rtt.first_sample().is_some_and(|first| info.time > first);
        if !info.ack_eliciting || info.mtu_probe || packet.path != path || !sampled {
            return;
        }
        let (_, start) = *self.run_start.get_or_insert((pn, info.time));
        if info.time.saturating_since(start) > period {
            loss.persistent = true;
            self.run_start = None;
        }
    }

    fn count_lost(&mut self, packet: &Packet, shared: &mut Shared<'_>, loss: &mut LossSummary) {
        let info = &packet.info;
        let bytes = u64::from(info.bytes);
        self.ack_eliciting -= usize::from(info.ack_eliciting);
        // RFC 9000 §14.4: a lost probe is a question answered, not a sign of congestion.
        if info.mtu_probe {
            shared.counters.mtu_probes_lost += 1;
        } else {
            shared.counters.packets_lost += 1;
            shared.counters.bytes_lost += bytes;
        }
        if packet.path != shared.path {
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

    /// What is to be charged for the memory of losses, in bytes.
    pub(super) fn loss_memory(&self) -> usize {
        let beyond = self.lost.len().saturating_sub(FEW_LOST);
        if beyond == 0 { 0 } else { self.lost.memory() / self.lost.len() * beyond }
    }

    /// Lets go what was settled, and losses too old to be doubted. A sender that empties and fills its flight many times a
    /// second keeps the room for it; one that has not needed it for [`SPARE_KEPT`] gives it back.
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
            self.quiet.release_spare();
            self.lost.release_spare();
            self.spare_until = None;
        }
    }

    fn has_spare(&self) -> bool {
        self.packets.has_spare() || self.quiet.has_spare() || self.lost.has_spare()
    }

    /// Gives up all packets with `settle(Lost)`, which says nothing about congestion. Tells `landed` the bytes that were
    /// in flight on a path.
    pub(super) fn abandon(
        &mut self,
        landed: &mut impl FnMut(PathId, u64),
        settle: &mut impl FnMut(R, Outcome),
    ) {
        let mut index = 0;
        while let Some((at, _, packet)) = self.packets.next_live(index) {
            landed(packet.path, u64::from(packet.info.bytes));
            self.packets.receipts(at).for_each(|receipt| settle(receipt, Outcome::Lost));
            index = at + 1;
        }
        self.packets.clear();
        self.quiet.clear();
        self.lost.clear();
        self.spare_until = None;
        self.loss_time = None;
        self.last_ack_eliciting = None;
        self.ack_eliciting = 0;
        self.run_start = None;
    }

    /// The lowest packet number that is neither acknowledged nor lost.
    #[cfg(test)]
    pub(super) fn oldest_unacked(&self) -> Option<u64> {
        self.packets.front().map(|(pn, _)| pn)
    }

    /// Packets that could be held without asking for memory, for tests of the bounds.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.packets.room() + self.quiet.room() + self.lost.room()
    }

    /// Packets held in any state, for tests of the bounds.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.packets.len() + self.quiet.len() + self.lost.len()
    }

    fn note(&mut self, newest: &mut Option<Newest>, result: &mut AckResult, packet: Newest, ecn: Ecn) {
        result.newly_acked += 1;
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

    /// Gives the receipts of the oldest packets in flight to `repeat` until `count` packets held something of which that
    /// says that it is sent again. Nothing is settled.
    pub(super) fn repeat_oldest(&mut self, count: usize, repeat: &mut impl FnMut(R) -> bool) {
        let (mut found, mut index) = (0, 0);
        while found < count
            && let Some((at, _, _)) = self.packets.next_live(index)
        {
            let again = self.packets.receipts(at).fold(false, |again, receipt| repeat(receipt) | again);
            found += usize::from(again);
            index = at + 1;
        }
    }
}

//! Loss recovery (RFC 9002 §5-6, §7.6; RFC 9000 §13.1): the ledger of sent packets.
//!
//! Owns: what was sent in each packet number space and is not settled, loss detection, the probe timeout, the
//! memory of losses that may be none, persistent congestion. It must never know what packets contained (receipts
//! are opaque), nor the bytes in flight, round-trip times, controller and pacer, which belong to the path and come
//! in as arguments; it decides what is lost, never what to do about it.
//!
//! A packet is live, then acknowledged or lost; a lost one may still be acknowledged for three probe timeouts.
//! Everything held is bounded by our own window, except packets that are not in flight, which have a limit of their own,
//! and losses, of which as many are remembered as were in flight, up to a limit, and charged beyond a few: a peer that never
//! acknowledges cannot make the ledger grow.

mod packet;
mod reached;
mod ring;
mod run;
mod shared;
mod skipped;
mod space;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_model;
#[cfg(test)]
mod tests_network;
mod thresholds;
mod types;

use std::{ops::RangeInclusive, time::Duration};

use shared::{Newest, Shared};
use space::SpaceLedger;
use thresholds::Thresholds;
pub(crate) use types::{
    AckResult, Context, Counters, LossSummary, Outcome, Probe, SentInfo, Situation, TimeoutResult, Why,
};

use crate::{
    base::Timestamp,
    congestion::{CongestionEvent, LostPacket, RateSampler, Rtt},
    error::Violation,
    ids::{PathId, Space},
};

/// The probe timeout doubles at most this often; the idle timeout ends the connection long before.
const MAX_BACKOFF: u32 = 20;
/// Probes are no further apart than this, or than twice the probe timeout where that is more: two packets in so many
/// seconds burden no network, and a connection whose network comes back after minutes goes on within this time.
const MAX_PROBE_PERIOD: Duration = Duration::from_secs(3);

/// Places for packets that are lost together that stay.
const KEPT_LOST: usize = 32;

/// The ledger of sent packets of a connection, with receipts `R`.
#[derive(Debug)]
pub(crate) struct Recovery<R: Copy> {
    spaces: [SpaceLedger<R>; 3],
    pto_count: u32,
    thresholds: Thresholds,
    /// From when the probe timeout runs if nothing is in flight (RFC 9002 §6.2.2.1).
    idle_since: Option<Timestamp>,
    /// What the last ACK frame or timeout showed to be lost, for the controller.
    lost: Vec<LostPacket>,
    /// Bytes no longer in flight on paths that are not in use.
    elsewhere: Vec<(PathId, u64)>,
    counters: Counters,
}

impl<R: Copy> Recovery<R> {
    /// A ledger without packets.
    pub(crate) fn new() -> Self {
        Self {
            spaces: std::array::from_fn(|_| SpaceLedger::new()),
            pto_count: 0,
            thresholds: Thresholds::default(),
            idle_since: None,
            lost: Vec::new(),
            elsewhere: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// A packet left on `path`. Numbers of a space rise; `receipts` tell what it carried. The probe timeout runs only for
    /// those of the path in use: probes of other paths have a clock of their own (RFC 9000 §9.4).
    pub(crate) fn on_packet_sent(
        &mut self,
        pn: u64,
        info: SentInfo,
        receipts: &[R],
        path: PathId,
        in_use: PathId,
    ) {
        self.counters.packets_sent += 1;
        let timed = path == in_use;
        if info.ack_eliciting && timed {
            self.idle_since = Some(info.time);
        }
        self.spaces[info.level.space() as usize].on_sent(pn, info, receipts, path, timed);
    }

    /// `pn` will never be sent; a peer that acknowledges it gives itself away (RFC 9000 §21.4).
    pub(crate) fn on_packet_number_skipped(&mut self, space: Space, pn: u64) {
        self.spaces[space as usize].on_skipped(pn);
    }

    /// An ACK frame: `ranges` highest first, as in the frame.
    ///
    /// Settles what is newly acknowledged, takes a round-trip sample and feeds the rate sampler, then declares
    /// losses. The caller ends the rate sample and tells the controller.
    ///
    /// # Errors
    /// [`Violation::AckOfUnsent`] for a number that was never sent, also inside a range.
    pub(crate) fn on_ack(
        &mut self,
        space: Space,
        ranges: impl Iterator<Item = RangeInclusive<u64>>,
        ack_delay: Duration,
        context: &mut Context<'_>,
        settle: &mut impl FnMut(R, Outcome),
    ) -> Result<AckResult, Violation> {
        self.forget_lost();
        let mut result = AckResult { prior_in_flight: *context.in_flight, ..AckResult::default() };
        let (mut largest, mut newest) = (None, None);
        let ledger = &mut self.spaces[space as usize];
        let mut shared = Shared {
            now: context.now,
            path: context.path,
            elsewhere_rtt: context.situation.elsewhere_rtt,
            newest_here: None,
            in_flight: context.in_flight,
            elsewhere: &mut self.elsewhere,
            sampler: context.sampler,
            counters: &mut self.counters,
            thresholds: &mut self.thresholds,
            scarce: context.situation.scarce_memory,
            lost: &mut self.lost,
        };
        let spurious_before = shared.counters.spurious_losses;
        for range in ranges {
            let (low, high) = range.into_inner();
            ledger.validate(low, high)?;
            largest = largest.max(Some(high));
            ledger.acknowledge((low, high), &mut shared, &mut result, &mut newest, settle);
        }
        let here = shared.newest_here;
        result.raised_largest_acked = ledger.on_largest(largest, here, result.acked_elsewhere > 0);
        result.largest_newly_acked = newest.map(|newest| newest.pn);
        shared.counters.packets_acked += u64::from(result.newly_acked);
        if newest.is_some() {
            let sample = sample(newest, largest, &result, context.now, context.path);
            if let Some(latest) = sample {
                take_sample(latest, ack_delay, space, context);
            }
            result.rtt_sample = sample;
        }
        let progress = newest.is_some() || self.counters.spurious_losses > spurious_before;
        if progress {
            self.on_progress(space, context);
            self.detect_lost(space, context, &mut result.loss, settle);
        }
        result.in_flight = *context.in_flight;
        Ok(result)
    }

    /// The peer is alive: the probe timeout starts over, except at a client that only knows that its Initial
    /// packets arrive (RFC 9002 §6.2.1).
    fn on_progress(&mut self, space: Space, context: &Context<'_>) {
        if context.situation.peer_completed_address_validation || space != Space::Initial {
            self.pto_count = 0;
        }
        self.idle_since = Some(context.now);
    }

    fn detect_lost(
        &mut self,
        space: Space,
        context: &mut Context<'_>,
        loss: &mut LossSummary,
        settle: &mut impl FnMut(R, Outcome),
    ) {
        let ledger = &mut self.spaces[space as usize];
        ledger.trim(context.now);
        let mut shared = Shared {
            now: context.now,
            path: context.path,
            elsewhere_rtt: context.situation.elsewhere_rtt,
            newest_here: None,
            in_flight: context.in_flight,
            elsewhere: &mut self.elsewhere,
            sampler: context.sampler,
            counters: &mut self.counters,
            thresholds: &mut self.thresholds,
            scarce: context.situation.scarce_memory,
            lost: &mut self.lost,
        };
        let before = loss.persistent;
        ledger.detect_lost(&mut shared, context.rtt, context.situation.max_ack_delay, loss, settle);
        if loss.persistent && !before {
            self.counters.persistent_congestions += 1;
            context.rtt.on_persistent_congestion();
        }
    }

    /// [`Self::deadline`] has come: packets are lost, or probes must be sent. Called early, nothing happens.
    pub(crate) fn on_timeout(
        &mut self,
        context: &mut Context<'_>,
        settle: &mut impl FnMut(R, Outcome),
    ) -> TimeoutResult {
        self.forget_lost();
        let mut result = TimeoutResult { prior_in_flight: *context.in_flight, ..TimeoutResult::default() };
        match self.timer(context.rtt, &context.situation) {
            Some((at, Timer::LossTime)) if at <= context.now => {
                for space in Space::ALL {
                    let due = self.spaces[space as usize].loss_time;
                    if due.is_some_and(|due| due <= context.now) {
                        self.detect_lost(space, context, &mut result.loss, settle);
                    }
                }
            }
            Some((at, Timer::Pto(probe))) if at <= context.now => {
                // RFC 9002 §6.2.1: nothing is marked lost, and the next period is twice as long.
                self.pto_count = self.pto_count.saturating_add(1);
                self.counters.probe_timeouts += 1;
                self.idle_since = Some(context.now);
                result.probe = Some(probe);
            }
            _ => {}
        }
        result.in_flight = *context.in_flight;
        result
    }

    /// When [`Self::on_timeout`] is due, and which timer it is (RFC 9002 §6.2, appendix A.8).
    pub(crate) fn deadline(&self, rtt: &Rtt, situation: &Situation) -> Option<(Timestamp, Why)> {
        self.timer(rtt, situation).map(|(at, timer)| match timer {
            Timer::LossTime => (at, Why::LossTime),
            Timer::Pto(_) => (at, Why::Pto),
        })
    }

    /// When [`Self::tidy`] is due.
    pub(crate) fn tidy_deadline(&self) -> Option<Timestamp> {
        self.spaces.iter().filter_map(|ledger| ledger.spare_until).min()
    }

    /// Packets that could be held without asking for memory, for tests of the bounds.
    #[cfg(test)]
    fn room(&self) -> usize {
        self.spaces.iter().map(SpaceLedger::room).sum()
    }

    /// Gives back the room of large flights that were long ago.
    pub(crate) fn tidy(&mut self, now: Timestamp) {
        for ledger in &mut self.spaces {
            if ledger.spare_until.is_some_and(|at| at <= now) {
                ledger.trim(now);
            }
        }
    }

    fn timer(&self, rtt: &Rtt, situation: &Situation) -> Option<(Timestamp, Timer)> {
        // RFC 9002 §6.2.1: no probe timeout while a loss time is set.
        if let Some(at) = self.spaces.iter().filter_map(|ledger| ledger.loss_time).min() {
            return Some((at, Timer::LossTime));
        }
        // RFC 9002 §6.2.2.1: a server that may send nothing has nothing to time.
        if situation.amplification_limited {
            return None;
        }
        self.pto_in_flight(rtt, situation).or_else(|| self.pto_anti_deadlock(rtt, situation))
    }

    fn pto_in_flight(&self, rtt: &Rtt, situation: &Situation) -> Option<(Timestamp, Timer)> {
        let mut earliest: Option<(Timestamp, Space)> = None;
        for space in Space::ALL {
            // RFC 9002 §6.2.1: before confirmation the peer may be unable to acknowledge 1-RTT packets.
            if space == Space::Data && !situation.handshake_confirmed {
                continue;
            }
            let ledger = &self.spaces[space as usize];
            let Some(last) = ledger.last_ack_eliciting.filter(|_| ledger.ack_eliciting > 0) else { continue };
            let delay = if space == Space::Data { situation.max_ack_delay } else { Duration::ZERO };
            let at = last + self.back_off(rtt.pto_base().saturating_add(delay));
            if earliest.is_none_or(|(first, _)| at < first) {
                earliest = Some((at, space));
            }
        }
        earliest.map(|(at, space)| (at, Timer::Pto(Probe { space, count: 2 })))
    }

    /// The period of probes: twice as long after each without an answer (RFC 9002 §6.2.1), up to a limit.
    fn back_off(&self, probe_timeout: Duration) -> Duration {
        let doubled = probe_timeout.saturating_mul(1 << self.pto_count.min(MAX_BACKOFF));
        doubled.min(MAX_PROBE_PERIOD.max(probe_timeout.saturating_mul(2)))
    }

    /// Probes with nothing in flight that could be timed, because somebody would wait for ever without them.
    ///
    /// A client must keep the server going until it knows that its address is validated (RFC 9002 §6.2.2.1). And at
    /// either end handshake data that was declared lost may wait for the window while what fills the window is 1-RTT
    /// packets, which are not timed before confirmation and which the peer may be unable to read without that data.
    fn pto_anti_deadlock(&self, rtt: &Rtt, situation: &Situation) -> Option<(Timestamp, Timer)> {
        let space = match situation.crypto_waits {
            _ if !situation.peer_completed_address_validation => {
                if situation.has_handshake_keys {
                    Space::Handshake
                } else {
                    Space::Initial
                }
            }
            Some(space) => space,
            None => return None,
        };
        let at = self.idle_since? + self.back_off(rtt.pto_base());
        Some((at, Timer::Pto(Probe { space, count: 1 })))
    }

    /// The keys of `space` are gone: so are its packets, without a word to their owners (RFC 9002 §6.4). Tells `landed` the
    /// bytes that are no longer in flight on a path.
    pub(crate) fn discard_space(
        &mut self,
        space: Space,
        now: Timestamp,
        landed: &mut impl FnMut(PathId, u64),
    ) {
        self.spaces[space as usize].abandon(landed, &mut |_, _| {});
        // RFC 9002 §6.2.2: the timers start over.
        self.pto_count = 0;
        self.idle_since = Some(now);
    }

    /// Gives up the packets of `space`, each receipt settled as lost but nobody blamed: 0-RTT was rejected.
    pub(crate) fn abandon(
        &mut self,
        space: Space,
        landed: &mut impl FnMut(PathId, u64),
        settle: &mut impl FnMut(R, Outcome),
    ) {
        self.spaces[space as usize].abandon(landed, settle);
    }

    /// Gives what the oldest `count` packets of `space` carried to `repeat`, which says whether it sends that again: probes
    /// repeat data rather than being mere PINGs (RFC 9002 §6.2.4). The packets stay in flight.
    pub(crate) fn repeat_oldest(&mut self, space: Space, count: usize, repeat: &mut impl FnMut(R) -> bool) {
        self.spaces[space as usize].repeat_oldest(count, repeat);
    }

    /// A Retry came: everything sent so far goes out again (RFC 9002 §6.3). The caller resets the path's
    /// controller and, if it wants, takes the time since the first packet as initial round trip.
    pub(crate) fn on_retry(
        &mut self,
        landed: &mut impl FnMut(PathId, u64),
        settle: &mut impl FnMut(R, Outcome),
    ) {
        for space in Space::ALL {
            self.abandon(space, landed, settle);
        }
        self.pto_count = 0;
    }

    /// From now on packets travel on `path`: those of the old one are still settled, but count for none of the new
    /// one's bytes in flight, round-trip times, rates and congestion (RFC 9000 §9.4).
    pub(crate) fn on_path_changed(&mut self, path: PathId) {
        self.spaces.iter_mut().for_each(|ledger| ledger.on_path_changed(path));
        self.thresholds = Thresholds::default();
        self.pto_count = 0;
    }

    /// Tells `landed` how many bytes have ceased to be in flight on paths that are not in use, since this was last asked.
    pub(crate) fn take_landed_elsewhere(&mut self, mut landed: impl FnMut(PathId, u64)) {
        self.elsewhere.drain(..).for_each(|(path, bytes)| landed(path, bytes));
    }

    /// How often the probe timeout fired since an acknowledgment.
    #[cfg(test)]
    pub(crate) fn pto_count(&self) -> u32 {
        self.pto_count
    }

    /// The highest packet number that the peer acknowledged.
    pub(crate) fn largest_acked(&self, space: Space) -> Option<u64> {
        self.spaces[space as usize].largest_acked
    }

    /// The lowest packet number that is in flight.
    #[cfg(test)]
    pub(crate) fn oldest_unacked(&self, space: Space) -> Option<u64> {
        self.spaces[space as usize].oldest_unacked()
    }

    /// Whether an ack-eliciting packet is in flight.
    pub(crate) fn has_ack_eliciting_in_flight(&self, space: Space) -> bool {
        self.spaces[space as usize].ack_eliciting > 0
    }

    /// When the last ack-eliciting packet was sent.
    pub(crate) fn last_ack_eliciting(&self, space: Space) -> Option<Timestamp> {
        self.spaces[space as usize].last_ack_eliciting
    }

    /// The packets that the last call of [`Self::on_ack`] or [`Self::on_timeout`] declared lost: those of the summary.
    pub(crate) fn just_lost(&self) -> &[LostPacket] {
        &self.lost
    }

    /// The controller has been told: a whole flight that was lost is not held until the next event.
    pub(crate) fn forget_lost(&mut self) {
        self.lost.clear();
        self.lost.shrink_to(KEPT_LOST);
    }

    /// Bytes to charge for the memory of losses, which may prove to be none.
    pub(crate) fn loss_memory(&self) -> usize {
        self.spaces.iter().map(SpaceLedger::loss_memory).sum()
    }

    /// Totals.
    pub(crate) fn counters(&self) -> Counters {
        self.counters
    }
}

enum Timer {
    LossTime,
    Pto(Probe),
}

/// RFC 9002 §5.1: only if the largest acknowledged packet is news and an ack-eliciting one is among the news.
fn sample(
    newest: Option<Newest>,
    largest: Option<u64>,
    result: &AckResult,
    now: Timestamp,
    path: PathId,
) -> Option<Duration> {
    let newest = newest.filter(|newest| Some(newest.pn) == largest && newest.path == path)?;
    result.newest_ack_eliciting.map(|_| now.saturating_since(newest.time))
}

fn take_sample(latest: Duration, ack_delay: Duration, space: Space, context: &mut Context<'_>) {
    // RFC 9002 §5.3: Initial packets are acknowledged at once, whatever the peer says.
    let ack_delay = if space == Space::Initial { Duration::ZERO } else { ack_delay };
    let Situation { handshake_confirmed, max_ack_delay, .. } = context.situation;
    context.rtt.on_sample(latest, ack_delay, handshake_confirmed, max_ack_delay, context.now);
}

/// What a controller is told of an ACK frame, but for ECN and the application limit, which the path adds.
pub(crate) fn congestion_event<'a>(
    now: Timestamp,
    result: &AckResult,
    rtt: &'a Rtt,
    sampler: &mut RateSampler,
) -> CongestionEvent<'a> {
    CongestionEvent {
        rtt_sample: result.rtt_sample,
        bytes_acked: result.acked_bytes,
        bytes_lost: result.loss.bytes,
        packets_lost: result.loss.packets,
        newest_acked_sent: result.newest_ack_eliciting.map(|(_, sent)| sent),
        newest_lost_sent: result.loss.last_sent,
        largest_acked: result.largest_newly_acked,
        ecn_acked: result.ect0 + result.ect1,
        rate: sampler.finish(rtt.min()),
        prior_in_flight: result.prior_in_flight,
        in_flight: result.in_flight,
        persistent: result.loss.persistent,
        ..CongestionEvent::new(now, rtt)
    }
}

/// What a controller is told when the loss timer fired and packets were lost.
pub(crate) fn timeout_event<'a>(now: Timestamp, result: &TimeoutResult, rtt: &'a Rtt) -> CongestionEvent<'a> {
    CongestionEvent {
        bytes_lost: result.loss.bytes,
        packets_lost: result.loss.packets,
        newest_lost_sent: result.loss.last_sent,
        prior_in_flight: result.prior_in_flight,
        in_flight: result.in_flight,
        persistent: result.loss.persistent,
        ..CongestionEvent::new(now, rtt)
    }
}

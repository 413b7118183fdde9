//! Loss recovery (RFC 9002 §5-6, §7.6; RFC 9000 §13.1): the ledger of sent packets.
//!
//! Owns the packets of each packet number space that are not settled yet, loss detection, the probe timeout,
//! the memory of losses that may prove spurious, and persistent congestion. It never knows what packets
//! contained (receipts are opaque). Bytes in flight, round-trip times, the controller and the pacer belong to
//! the path and come in as arguments. Recovery decides what is lost, never how to react.
//!
//! A packet is outstanding until it is acknowledged or declared lost. For three probe timeouts after that, a
//! lost packet may still be acknowledged. Our own window bounds everything that is kept, with two exceptions.
//! Packets that are not in flight have a limit of their own. As many losses are remembered as packets were in
//! flight, up to a limit, and beyond a few their memory is charged. A peer that never acknowledges therefore
//! cannot make the ledger grow.

mod news;
mod noted;
mod packet;
mod queue;
mod reached;
mod run;
mod sample;
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

pub(crate) use news::{congestion_event, timeout_event};
use noted::{Noted, NotedLoss};
use sample::{sample, take_sample};
use shared::Shared;
use space::SpaceLedger;
use thresholds::Thresholds;
pub(crate) use types::{
    AckResult, Conditions, Context, Counters, LossSummary, Outcome, Probe, SentInfo, TimeoutResult, TimerKind,
};

use crate::{
    base::Timestamp,
    congestion::{LostPacket, Rtt},
    error::Violation,
    ids::{PathId, Space},
    spaces::Spaces,
};

/// How often the probe timeout may double. The idle timeout ends the connection long before.
const MAX_BACKOFF: u32 = 20;
/// The longest period between probes, unless twice the probe timeout is longer. Two packets in this time
/// burden no network, and a connection whose network returns after minutes resumes within it.
const MAX_PROBE_PERIOD: Duration = Duration::from_secs(3);

/// How much room for packets that are lost together is kept.
const KEPT_LOST: usize = 32;

/// The ledger of sent packets of a connection, with receipts `R`.
#[derive(Debug)]
pub(crate) struct Recovery<R: Copy> {
    ledgers: Spaces<SpaceLedger<R>>,
    pto_count: u32,
    thresholds: Thresholds,
    /// When the probe timeout starts if nothing is in flight (RFC 9002 §6.2.2.1).
    idle_since: Option<Timestamp>,
    /// The packets that the last ACK frame or timeout showed to be lost, for the controller.
    lost: Vec<LostPacket>,
    noted: Noted,
    /// The bytes that are no longer in flight on paths that are not in use.
    elsewhere: Vec<(PathId, u64)>,
    counters: Counters,
}

impl<R: Copy> Recovery<R> {
    /// A ledger without packets.
    pub(crate) fn new() -> Self {
        Self {
            ledgers: Spaces::new(|_| SpaceLedger::new()),
            pto_count: 0,
            thresholds: Thresholds::default(),
            idle_since: None,
            lost: Vec::new(),
            noted: None,
            elsewhere: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// A packet was sent on `path`. Numbers of a space increase; `receipts` tell what the packet carried. The
    /// probe timeout covers only packets of the path in use: probes of other paths have their own timer (RFC
    /// 9000 §9.4).
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
        if let Some(ledger) = self.ledgers.get_mut(info.level.space()) {
            ledger.on_sent(pn, info, receipts, path, timed);
        }
    }

    /// `pn` will never be sent. A peer that acknowledges it is caught cheating (RFC 9000 §21.4).
    pub(crate) fn on_packet_number_skipped(&mut self, space: Space, pn: u64) {
        if let Some(ledger) = self.ledgers.get_mut(space) {
            ledger.on_skipped(pn);
        }
    }

    /// An ACK frame arrived. `ranges` come highest first, as in the frame.
    ///
    /// Settles what is newly acknowledged, takes a round-trip sample, feeds the rate sampler and then
    /// declares losses. The caller ends the rate sample and tells the controller.
    ///
    /// # Errors
    /// [`Violation::AckOfUnsent`] if the frame acknowledges a number that was never sent, even inside a
    /// range.
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
        let Some(ledger) = self.ledgers.get_mut(space) else { return Ok(result) };
        let mut shared = Shared {
            now: context.now,
            path: context.path,
            elsewhere_rtt: context.conditions.elsewhere_rtt,
            newest_here: None,
            in_flight: context.in_flight,
            elsewhere: &mut self.elsewhere,
            sampler: context.sampler,
            counters: &mut self.counters,
            thresholds: &mut self.thresholds,
            scarce: context.conditions.scarce_memory,
            lost: &mut self.lost,
            noted: &mut self.noted,
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

    /// The peer has answered, so the backoff of the probe timeout starts over. A client that only knows that
    /// its Initial packets arrive is the exception (RFC 9002 §6.2.1).
    fn on_progress(&mut self, space: Space, context: &Context<'_>) {
        if context.conditions.peer_completed_address_validation || space != Space::Initial {
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
        let Some(ledger) = self.ledgers.get_mut(space) else { return };
        ledger.trim(context.now);
        let mut shared = Shared {
            now: context.now,
            path: context.path,
            elsewhere_rtt: context.conditions.elsewhere_rtt,
            newest_here: None,
            in_flight: context.in_flight,
            elsewhere: &mut self.elsewhere,
            sampler: context.sampler,
            counters: &mut self.counters,
            thresholds: &mut self.thresholds,
            scarce: context.conditions.scarce_memory,
            lost: &mut self.lost,
            noted: &mut self.noted,
        };
        let before = loss.persistent;
        ledger.detect_lost(&mut shared, context.rtt, context.conditions.max_ack_delay, loss, settle);
        if loss.persistent && !before {
            self.counters.persistent_congestions += 1;
            context.rtt.on_persistent_congestion();
        }
    }

    /// Handles [`Self::deadline`]: declares packets lost, or returns probes to send. Does nothing if called
    /// early.
    pub(crate) fn on_timeout(
        &mut self,
        context: &mut Context<'_>,
        settle: &mut impl FnMut(R, Outcome),
    ) -> TimeoutResult {
        self.forget_lost();
        let mut result = TimeoutResult { prior_in_flight: *context.in_flight, ..TimeoutResult::default() };
        match self.timer(context.rtt, &context.conditions) {
            Some((at, Timer::LossTime)) if at <= context.now => {
                for space in Space::ALL {
                    let due = self.ledgers.get(space).and_then(|ledger| ledger.loss_time);
                    if due.is_some_and(|due| due <= context.now) {
                        self.detect_lost(space, context, &mut result.loss, settle);
                    }
                }
            }
            Some((at, Timer::Pto(probe))) if at <= context.now => {
                // RFC 9002 §6.2.1: no packet is declared lost, and the next period is twice as long.
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
    pub(crate) fn deadline(&self, rtt: &Rtt, conditions: &Conditions) -> Option<(Timestamp, TimerKind)> {
        self.timer(rtt, conditions).map(|(at, timer)| match timer {
            Timer::LossTime => (at, TimerKind::LossTime),
            Timer::Pto(_) => (at, TimerKind::Pto),
        })
    }

    /// When [`Self::tidy`] is due.
    pub(crate) fn tidy_deadline(&self) -> Option<Timestamp> {
        self.ledgers.iter().filter_map(|ledger| ledger.spare_until).min()
    }

    /// How many packets fit without further allocation, for tests of the bounds.
    #[cfg(test)]
    fn room(&self) -> usize {
        self.ledgers.iter().map(SpaceLedger::room).sum()
    }

    /// Frees the room of large flights that ended long ago.
    pub(crate) fn tidy(&mut self, now: Timestamp) {
        for ledger in self.ledgers.iter_mut() {
            if ledger.spare_until.is_some_and(|at| at <= now) {
                ledger.trim(now);
            }
        }
    }

    fn timer(&self, rtt: &Rtt, conditions: &Conditions) -> Option<(Timestamp, Timer)> {
        // RFC 9002 §6.2.1: no probe timeout while a loss time is set.
        if let Some(at) = self.ledgers.iter().filter_map(|ledger| ledger.loss_time).min() {
            return Some((at, Timer::LossTime));
        }
        // RFC 9002 §6.2.2.1: a server that may send nothing needs no timer.
        if conditions.amplification_limited {
            return None;
        }
        self.pto_in_flight(rtt, conditions).or_else(|| self.pto_anti_deadlock(rtt, conditions))
    }

    fn pto_in_flight(&self, rtt: &Rtt, conditions: &Conditions) -> Option<(Timestamp, Timer)> {
        let mut earliest: Option<(Timestamp, Space)> = None;
        for space in Space::ALL {
            // RFC 9002 §6.2.1: before confirmation the peer may be unable to acknowledge 1-RTT packets.
            if space == Space::Data && !conditions.handshake_confirmed {
                continue;
            }
            let Some(ledger) = self.ledgers.get(space) else { continue };
            let Some(last) = ledger.last_ack_eliciting.filter(|_| ledger.ack_eliciting > 0) else { continue };
            let delay = if space == Space::Data { conditions.max_ack_delay } else { Duration::ZERO };
            let at = last + self.back_off(rtt.pto_base().saturating_add(delay));
            if earliest.is_none_or(|(first, _)| at < first) {
                earliest = Some((at, space));
            }
        }
        earliest.map(|(at, space)| (at, Timer::Pto(Probe { space, count: 2 })))
    }

    /// The period of probes. It doubles after each probe without an answer (RFC 9002 §6.2.1), up to a limit.
    fn back_off(&self, probe_timeout: Duration) -> Duration {
        let doubled = probe_timeout.saturating_mul(1 << self.pto_count.min(MAX_BACKOFF));
        doubled.min(MAX_PROBE_PERIOD.max(probe_timeout.saturating_mul(2)))
    }

    /// The timer for probes when nothing in flight is timed, which prevents two deadlocks.
    ///
    /// A client must keep the server sending until it knows that its address is validated (RFC 9002
    /// §6.2.2.1). At either end, handshake data that was declared lost may be blocked by a window full of
    /// 1-RTT packets. Those are not timed before confirmation, and without that data the peer may be unable
    /// to read them.
    fn pto_anti_deadlock(&self, rtt: &Rtt, conditions: &Conditions) -> Option<(Timestamp, Timer)> {
        let space = match conditions.crypto_waits {
            _ if !conditions.peer_completed_address_validation => {
                if conditions.has_handshake_keys {
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

    /// The keys of `space` were discarded, so its packets are forgotten, and no receipt is settled (RFC 9002
    /// §6.4). Calls `landed` with the path and size of packets that are no longer in flight.
    pub(crate) fn discard_space(
        &mut self,
        space: Space,
        now: Timestamp,
        landed: &mut impl FnMut(PathId, u64),
    ) {
        self.abandon(space, landed, &mut |_, _| {});
        if space == Space::Handshake {
            // Those of the Initial space were discarded before (RFC 9001 §4.9.1).
            self.abandon(Space::Initial, landed, &mut |_, _| {});
            self.ledgers.end_handshake();
        }
        // RFC 9002 §6.2.2: the timers start over.
        self.pto_count = 0;
        self.idle_since = Some(now);
    }

    /// Gives up the packets of `space` because 0-RTT was rejected. Each receipt is settled as lost, but this
    /// is no sign of congestion.
    pub(crate) fn abandon(
        &mut self,
        space: Space,
        landed: &mut impl FnMut(PathId, u64),
        settle: &mut impl FnMut(R, Outcome),
    ) {
        if let Some(ledger) = self.ledgers.get_mut(space) {
            ledger.abandon(landed, settle);
        }
    }

    /// Passes the receipts of the oldest `count` packets of `space` to `repeat`, which returns whether it
    /// sends their data again. Probes repeat data rather than being mere PINGs (RFC 9002 §6.2.4). The packets
    /// stay in flight.
    pub(crate) fn repeat_oldest(&mut self, space: Space, count: usize, repeat: &mut impl FnMut(R) -> bool) {
        if let Some(ledger) = self.ledgers.get_mut(space) {
            ledger.repeat_oldest(count, repeat);
        }
    }

    /// A Retry arrived: everything sent so far is sent again (RFC 9002 §6.3). The caller resets the path's
    /// controller and may take the time since the first packet as the initial round-trip time.
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

    /// Packets are sent on `path` from now on. Packets of the old path are still settled, but do not count
    /// for the new path's bytes in flight, round-trip times, rates and congestion (RFC 9000 §9.4).
    pub(crate) fn on_path_changed(&mut self, path: PathId) {
        self.ledgers.iter_mut().for_each(|ledger| ledger.on_path_changed(path));
        self.thresholds = Thresholds::default();
        self.pto_count = 0;
    }

    /// Calls `landed` with the bytes that have left the flight on paths that are not in use, since the last
    /// call.
    pub(crate) fn take_landed_elsewhere(&mut self, mut landed: impl FnMut(PathId, u64)) {
        self.elsewhere.drain(..).for_each(|(path, bytes)| landed(path, bytes));
    }

    /// How often the probe timeout fired since the last acknowledgment.
    pub(crate) fn pto_count(&self) -> u32 {
        self.pto_count
    }

    /// The highest packet number that the peer acknowledged.
    pub(crate) fn largest_acked(&self, space: Space) -> Option<u64> {
        self.ledgers.get(space)?.largest_acked
    }

    /// The lowest packet number that is in flight.
    #[cfg(test)]
    pub(crate) fn oldest_unacked(&self, space: Space) -> Option<u64> {
        self.ledgers.get(space)?.oldest_unacked()
    }

    /// Whether an ack-eliciting packet is in flight.
    pub(crate) fn has_ack_eliciting_in_flight(&self, space: Space) -> bool {
        self.ledgers.get(space).is_some_and(|ledger| ledger.ack_eliciting > 0)
    }

    /// When the last ack-eliciting packet was sent.
    pub(crate) fn last_ack_eliciting(&self, space: Space) -> Option<Timestamp> {
        self.ledgers.get(space)?.last_ack_eliciting
    }

    /// The packets that the last call of [`Self::on_ack`] or [`Self::on_timeout`] declared lost; its summary
    /// counts them.
    pub(crate) fn just_lost(&self) -> &[LostPacket] {
        &self.lost
    }

    /// Forgets the losses once the controller has been told, so that a whole lost flight is not kept until
    /// the next event.
    pub(crate) fn forget_lost(&mut self) {
        self.lost.clear();
        self.lost.shrink_to(KEPT_LOST);
    }

    /// How many bytes to charge for the memory of losses that may prove spurious.
    pub(crate) fn loss_memory(&self) -> usize {
        self.ledgers.iter().map(SpaceLedger::loss_memory).sum()
    }

    /// From now on losses are noted. The caller takes them after each call that may declare some.
    pub(crate) fn note_losses(&mut self) {
        self.noted.get_or_insert_default();
    }

    /// The losses noted since the last call, oldest first.
    pub(crate) fn take_noted(&mut self) -> Vec<NotedLoss> {
        self.noted.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Appends the numbers in `low..=high` that are not acknowledged yet, those of lost packets included.
    pub(crate) fn unacknowledged(&mut self, space: Space, low: u64, high: u64, into: &mut Vec<u64>) {
        if let Some(ledger) = self.ledgers.get_mut(space) {
            ledger.unacknowledged(low, high, into);
        }
    }

    /// Totals over the connection.
    pub(crate) fn counters(&self) -> Counters {
        self.counters
    }
}

enum Timer {
    LossTime,
    Pto(Probe),
}

//! Losses beyond those of a radio link or a worn cable.
//!
//! Delay shows queues, and beside it a single loss says little. A share of losses does say something: a
//! buffer is too short to be seen, or a policer drops. The threshold is drawn anew after each reaction, so
//! that flows that share a bottleneck do not all yield at once.

use crate::congestion::dice::Dice;
use crate::{
    base::Timestamp,
    congestion::{CongestionEvent, SpuriousLoss},
};

/// The share of losses that calls for a reduction. It is drawn between this and half as much more.
const THRESHOLD: f64 = 0.02;
/// The least number of packets to compute the share from, because a few losses among few packets are chance.
const LEAST: f64 = 200.0;
/// After how many round trips older losses count half, once there were enough packets.
const ROUNDS: u32 = 2;
/// The largest share of the window that is left after too many losses. If a smaller share of the packets
/// arrived, that share is left,
const LEFT: f64 = 0.85;
/// but no less than this.
const LEAST_LEFT: f64 = 0.25;

/// The losses of the latest round trips.
#[derive(Clone, Debug)]
pub(super) struct Losses {
    lost: f64,
    arrived: f64,
    rounds: u32,
    threshold: f64,
    /// The time of the last reaction: losses of packets that were sent before it count no more.
    answered: Timestamp,
    /// The time of the last reaction, and the losses that caused it.
    answer: Option<(Timestamp, f64)>,
}

impl Losses {
    pub(super) fn new(now: Timestamp, dice: &mut Dice) -> Self {
        Self {
            lost: 0.0,
            arrived: 0.0,
            rounds: 0,
            threshold: THRESHOLD * (1.0 + dice.unit() / 2.0),
            answered: now,
            answer: None,
        }
    }

    /// The share of the window to keep, if this event has losses and they call for a reduction.
    pub(super) fn on_event(&mut self, event: &CongestionEvent<'_>, mtu: u16) -> Option<f64> {
        self.arrived += event.bytes_acked as f64 / f64::from(mtu.max(1));
        let news = if event.lost.is_empty() {
            let is_news = event.newest_lost_sent.is_some_and(|sent| sent > self.answered);
            if is_news { event.packets_lost as usize } else { 0 }
        } else {
            event.lost.iter().filter(|packet| packet.sent > self.answered).count()
        };
        self.lost += news as f64;
        let all = self.arrived + self.lost;
        let too_many = news > 0 && self.lost > self.threshold * all.max(LEAST);
        too_many.then(|| (1.0 - self.lost / all).clamp(LEAST_LEFT, LEFT))
    }

    /// The reduction was made.
    pub(super) fn on_answered(&mut self, now: Timestamp, dice: &mut Dice) {
        let answer = Some((now, self.lost));
        *self = Self { answer, ..Self::new(now, dice) };
    }

    /// Packets that were declared lost have arrived. Returns whether nothing is left of the losses that
    /// caused the last reaction.
    pub(super) fn on_spurious(&mut self, spurious: &SpuriousLoss) -> bool {
        let count = f64::from(spurious.packets);
        self.lost = (self.lost - count).max(0.0);
        let Some((_, lost)) = &mut self.answer else { return false };
        *lost -= count;
        let void = *lost <= 0.0;
        if void {
            self.answer = None;
        }
        void
    }

    /// A round trip is over.
    pub(super) fn on_round(&mut self) {
        self.rounds += 1;
        if self.rounds >= ROUNDS && self.arrived + self.lost >= LEAST {
            (self.lost, self.arrived, self.rounds) = (self.lost / 2.0, self.arrived / 2.0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::congestion::Rtt;

    const MTU: u16 = 1_200;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_nanos(1_000_000_000 + ms * 1_000_000)
    }

    /// In how many of the rounds of 100 packets a reaction is due if every `one_in`th packet is lost.
    fn answers(one_in: u64) -> u32 {
        let rtt = Rtt::default();
        let mut dice = Dice::new(7);
        let mut losses = Losses::new(at(0), &mut dice);
        let mut answers = 0;
        for packet in 1..=10_000 {
            let now = at(packet);
            let is_lost = packet % one_in == 0;
            let event = CongestionEvent {
                bytes_acked: if is_lost { 0 } else { u64::from(MTU) },
                packets_lost: u32::from(is_lost),
                newest_lost_sent: is_lost.then_some(now),
                ..CongestionEvent::new(now, &rtt)
            };
            if losses.on_event(&event, MTU).is_some() {
                losses.on_answered(now, &mut dice);
                answers += 1;
            }
            if packet % 100 == 0 {
                losses.on_round();
            }
        }
        answers
    }

    #[test]
    fn one_loss_in_a_hundred_is_no_congestion_and_one_in_twenty_is() {
        assert_eq!(answers(100), 0);
        assert!(answers(20) > 10);
    }
}

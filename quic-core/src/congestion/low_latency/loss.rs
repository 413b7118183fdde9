//! Losses beyond what a radio or a worn cable loses.
//!
//! Delay tells of queues; one loss tells little beside it. A share of losses does: of a buffer too short to be seen, or of a policer.
//! The threshold is drawn anew after each answer, so that flows that share a bottleneck do not all yield at once.

use crate::congestion::dice::Dice;
use crate::{
    base::Timestamp,
    congestion::{CongestionEvent, SpuriousLoss},
};

/// The share that asks for less: between this and half as much more.
const THRESHOLD: f64 = 0.02;
/// Fewer packets count as this many: what a few losses among few packets tell is chance.
const LEAST: f64 = 200.0;
/// What is older weighs half after so many round trips, once there were enough packets.
const ROUNDS: u32 = 2;
/// After too many losses so much of the window is left, or as much as arrived of what was sent,
const LEFT: f64 = 0.85;
/// and no less than this.
const MOST_TAKEN: f64 = 0.25;

/// The losses of the latest round trips.
#[derive(Clone, Debug)]
pub(super) struct Losses {
    lost: f64,
    arrived: f64,
    rounds: u32,
    threshold: f64,
    /// Losses of packets sent before were answered already.
    answered: Timestamp,
    /// When it was, and the losses that it was for.
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

    /// What is to be left of the window, if this event told of losses and they ask for less.
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
        too_many.then(|| (1.0 - self.lost / all).clamp(MOST_TAKEN, LEFT))
    }

    /// They were answered.
    pub(super) fn on_answered(&mut self, now: Timestamp, dice: &mut Dice) {
        let answer = Some((now, self.lost));
        *self = Self { answer, ..Self::new(now, dice) };
    }

    /// Packets arrived after all. Whether nothing is left of the losses that were answered.
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

    /// Rounds of 100 packets, of which every `one_in`th is lost: in which of them an answer is due.
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

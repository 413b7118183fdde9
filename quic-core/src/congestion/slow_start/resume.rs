//! Careful resume (RFC 9959): a path that looks like a known one starts at half of what the known one held.
//!
//! | phase | the window | until |
//! |---|---|---|
//! | reconnaissance | grows as usual | the initial window has arrived with round-trip times like the saved
//! one, and there is more to send |
//! | unvalidated | is half of the saved one, sent over one round trip | it is in flight, a packet of it
//! arrives, or a round trip is over |
//! | validating | is what was in flight, and grows as usual | the last packet of the jump arrives |
//! | retreat ([`Landing`]) | is half of what had arrived | the controller's recovery ends |
//!
//! The usual growth is `HyStart++`. Owns the jump and its result. It must never know where the saved values
//! come from.

use std::time::Duration;

use super::{HyStart, Landing, Quarters, SavedPath, SlowStart, Step};
use crate::{
    base::{Rate, Timestamp},
    congestion::{CongestionEvent, LimitedBy, SentPacket, initial_window},
};

/// A round-trip time of more than this many times the saved one belongs to another path (RFC 9959 §4.2.1).
const LONGER: u32 = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// `arrived` bytes of the initial window have arrived.
    Reconnaissance { arrived: u64 },
    /// The window was enlarged at `since`.
    Unvalidated { since: Timestamp },
    /// The last packet of the jump was sent at `last`.
    Validating { last: Timestamp },
    /// Nothing is resumed, or the resumption is over.
    Normal,
}

/// The state of one path.
#[derive(Clone, Debug)]
pub(crate) struct CarefulResume {
    saved: SavedPath,
    phase: Phase,
    /// What the path was seen to hold (`PipeSize`).
    pipe: u64,
    hystart: HyStart,
}

impl CarefulResume {
    pub(super) fn new(saved: SavedPath) -> Self {
        Self { saved, phase: Phase::Reconnaissance { arrived: 0 }, pipe: 0, hystart: HyStart::default() }
    }

    fn jump(&self) -> u64 {
        self.saved.window / 2
    }

    /// Whether the path may be the known one. With a shorter round-trip time, the jump would be faster than
    /// the path ever was.
    fn is_confirmed(&self, shortest: Duration) -> bool {
        shortest > self.saved.min_rtt / 2 && shortest <= self.saved.min_rtt * LONGER
    }

    /// Handles packets that arrive before the jump.
    fn reconnoitre(&mut self, event: &CongestionEvent<'_>, window: u64, mtu: u16) -> Option<Step> {
        let Phase::Reconnaissance { arrived } = &mut self.phase else { return None };
        *arrived = arrived.saturating_add(event.bytes_acked);
        let has_more = matches!(event.limited_by, LimitedBy::Window | LimitedBy::Pacer);
        if *arrived < initial_window(mtu) || !has_more {
            return None;
        }
        let grown = window.saturating_add(event.bytes_acked);
        if self.jump() <= grown || !self.is_confirmed(event.rtt.min()) || self.hystart.is_conservative() {
            self.phase = Phase::Normal;
            return None;
        }
        self.phase = Phase::Unvalidated { since: event.now };
        self.pipe = event.in_flight;
        Some(Step::Set(self.jump()))
    }

    /// Handles packets that arrive while the jump is being sent.
    fn validate(&mut self, event: &CongestionEvent<'_>, since: Timestamp, mtu: u16) -> Step {
        self.pipe = self.pipe.saturating_add(event.bytes_acked);
        let arrives = event.newest_acked_sent.is_some_and(|sent| sent >= since);
        if !arrives && event.now.saturating_since(since) <= event.rtt.smoothed() {
            return Step::Grow(Quarters::NONE);
        }
        let (flight, least) = (event.in_flight, initial_window(mtu));
        if flight < least || flight <= self.pipe {
            // Little of the jump was used, so it says nothing about the path.
            self.phase = Phase::Normal;
            return Step::Set(self.pipe.max(least));
        }
        self.phase = Phase::Validating { last: event.now };
        Step::Set(flight)
    }
}

impl SlowStart for CarefulResume {
    fn on_sent(&mut self, now: Timestamp, packet: &SentPacket, window: u64, mtu: u16) {
        let flight = packet.in_flight.saturating_add(packet.bytes);
        if matches!(self.phase, Phase::Unvalidated { .. }) && flight.saturating_add(mtu.into()) > window {
            // The window is in flight, except for less than a datagram.
            self.phase = Phase::Validating { last: now };
        }
    }

    fn on_ack(&mut self, event: &CongestionEvent<'_>, window: u64, mtu: u16) -> Step {
        let usual = self.hystart.on_ack(event, window, mtu);
        match self.phase {
            Phase::Reconnaissance { .. } => self.reconnoitre(event, window, mtu).unwrap_or(usual),
            Phase::Unvalidated { since } => self.validate(event, since, mtu),
            Phase::Validating { last } => {
                self.pipe = self.pipe.saturating_add(event.bytes_acked);
                if event.newest_acked_sent.is_some_and(|sent| sent >= last) {
                    self.phase = Phase::Normal;
                }
                usual
            }
            Phase::Normal => usual,
        }
    }

    fn on_congestion(
        &mut self,
        _event: &CongestionEvent<'_>,
        _window: u64,
        mtu: u16,
        _beta: f64,
    ) -> Option<Landing> {
        match std::mem::replace(&mut self.phase, Phase::Normal) {
            Phase::Unvalidated { .. } | Phase::Validating { .. } => Some(Landing::retreat(self.pipe, mtu)),
            Phase::Reconnaissance { .. } | Phase::Normal => None,
        }
    }

    fn pacing_rate(&self, window: u64, smoothed: Option<Duration>) -> Option<Rate> {
        let is_jump = matches!(self.phase, Phase::Unvalidated { .. });
        Some(Rate::from_bytes_in(window, smoothed.filter(|_| is_jump)?))
    }

    fn is_conservative(&self) -> bool {
        self.hystart.is_conservative()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::congestion::Rtt;

    const MTU: u16 = 1_000;
    const JUMP: u64 = 50_000;
    const USUAL: Step = Step::Grow(Quarters::DOUBLE);

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_nanos(1_000_000_000 + ms * 1_000_000)
    }

    /// A path that is known with a window of twice [`JUMP`] and 100 ms, and now has a round-trip time of
    /// `rtt`.
    fn path(rtt: u64) -> (CarefulResume, Rtt) {
        let mut measured = Rtt::default();
        measured.on_sample(Duration::from_millis(rtt), Duration::ZERO, true, Duration::ZERO, at(0));
        (CarefulResume::new(SavedPath::new(2 * JUMP, Duration::from_millis(100))), measured)
    }

    /// `bytes` of packets that were sent at `sent` ms arrive, `in_flight` bytes remain, and there is more to
    /// send.
    fn acked(rtt: &Rtt, now: u64, sent: u64, bytes: u64, in_flight: u64) -> CongestionEvent<'_> {
        CongestionEvent {
            bytes_acked: bytes,
            newest_acked_sent: Some(at(sent)),
            in_flight,
            ..CongestionEvent::new(at(now), rtt)
        }
    }

    fn send(resume: &mut CarefulResume, now: u64, in_flight: u64, window: u64) {
        let packet = SentPacket { bytes: 1_000, in_flight, limited_by: LimitedBy::Window };
        resume.on_sent(at(now), &packet, window, MTU);
    }

    /// A slow start in the unvalidated phase.
    fn jumped() -> (CarefulResume, Rtt) {
        let (mut resume, rtt) = path(100);
        assert_eq!(resume.on_ack(&acked(&rtt, 100, 0, 9_999, 0), 10_000, MTU), USUAL);
        assert_eq!(resume.on_ack(&acked(&rtt, 101, 1, 1, 4_000), 19_999, MTU), Step::Set(JUMP));
        assert_eq!(resume.phase, Phase::Unvalidated { since: at(101) });
        (resume, rtt)
    }

    #[test]
    fn reconnaissance_ends_with_the_initial_window_on_a_path_like_the_known_one() {
        for (now, jumps) in [(50, false), (51, true), (1_000, true), (1_001, false)] {
            let (mut resume, rtt) = path(now);
            let step = resume.on_ack(&acked(&rtt, now, 0, 10_000, 0), 10_000, MTU);
            assert_eq!(step == Step::Set(JUMP), jumps, "{now} ms");
        }
    }

    #[test]
    fn reconnaissance_waits_for_data_and_ends_with_a_loss_or_a_large_window() {
        let (mut resume, rtt) = path(100);
        let event = CongestionEvent { limited_by: LimitedBy::Application, ..acked(&rtt, 100, 0, 10_000, 0) };
        assert_eq!(resume.on_ack(&event, 10_000, MTU), USUAL);
        assert_eq!(resume.on_ack(&acked(&rtt, 200, 110, 10_000, 0), 10_000, MTU), Step::Set(JUMP));
        let (mut resume, rtt) = path(100);
        assert!(resume.on_congestion(&acked(&rtt, 100, 0, 1_000, 0), 10_000, MTU, 0.7).is_none());
        assert_eq!(resume.on_ack(&acked(&rtt, 100, 0, 10_000, 0), 10_000, MTU), USUAL);
        let (mut resume, rtt) = path(100);
        assert_eq!(resume.on_ack(&acked(&rtt, 100, 0, 10_000, 0), JUMP, MTU), USUAL);
        assert_eq!(resume.phase, Phase::Normal);
    }

    #[test]
    fn the_jump_is_sent_over_a_present_round_trip_and_the_window_stays() {
        let (mut resume, rtt) = jumped();
        let rate = resume.pacing_rate(JUMP, Some(Duration::from_millis(100))).unwrap();
        assert_eq!(rate.bytes_per_second(), 10 * JUMP);
        assert_eq!(resume.on_ack(&acked(&rtt, 110, 10, 1_000, 9_000), JUMP, MTU), Step::Grow(Quarters::NONE));
        assert_eq!(resume.pipe, 5_000);
    }

    #[test]
    fn a_jump_fully_in_flight_is_validated_until_its_last_packet_arrives() {
        let (mut resume, rtt) = jumped();
        send(&mut resume, 150, JUMP - 3_000, JUMP);
        assert_eq!(resume.phase, Phase::Unvalidated { since: at(101) });
        send(&mut resume, 160, JUMP - 1_500, JUMP);
        assert_eq!(resume.phase, Phase::Validating { last: at(160) });
        assert_eq!(resume.on_ack(&acked(&rtt, 201, 102, 1_000, JUMP), JUMP, MTU), USUAL);
        assert_eq!(resume.pacing_rate(JUMP, Some(Duration::from_millis(100))), None);
        resume.on_ack(&acked(&rtt, 259, 159, 1_000, JUMP), JUMP, MTU);
        assert_eq!((resume.phase, resume.pipe), (Phase::Validating { last: at(160) }, 6_000));
        resume.on_ack(&acked(&rtt, 260, 160, 1_000, JUMP), JUMP, MTU);
        assert_eq!(resume.phase, Phase::Normal);
    }

    #[test]
    fn the_unused_part_of_the_jump_is_given_up() {
        // A packet of the jump arrives, and part of the jump was used.
        let (mut resume, rtt) = jumped();
        assert_eq!(resume.on_ack(&acked(&rtt, 190, 102, 1_000, 30_000), JUMP, MTU), Step::Set(30_000));
        assert_eq!(resume.phase, Phase::Validating { last: at(190) });
        // A round trip is over, and next to nothing was used.
        let (mut resume, rtt) = jumped();
        assert_eq!(resume.on_ack(&acked(&rtt, 202, 100, 20_000, 5_000), JUMP, MTU), Step::Set(24_000));
        assert_eq!(resume.phase, Phase::Normal);
        let (mut resume, rtt) = jumped();
        assert_eq!(resume.on_ack(&acked(&rtt, 202, 100, 1_000, 5_000), JUMP, MTU), Step::Set(10_000));
    }

    #[test]
    fn a_loss_of_the_jump_retreats_to_half_of_what_had_arrived_and_a_later_one_does_not() {
        for validating in [false, true] {
            let (mut resume, rtt) = jumped();
            if validating {
                send(&mut resume, 160, JUMP - 1_500, JUMP);
            }
            resume.on_ack(&acked(&rtt, 170, 70, 16_000, JUMP), JUMP, MTU);
            let event = acked(&rtt, 180, 80, 1_000, JUMP);
            let landing = resume.on_congestion(&event, JUMP, MTU, 0.7).unwrap();
            assert_eq!(landing.window(MTU), 10_000);
            assert!(resume.on_congestion(&event, JUMP, MTU, 0.7).is_none());
        }
    }
}

//! Guards against a flood of useless frames. A few are normal, many are an attack (RFC 9000 §21.9).
//!
//! A frame is useful if it brings something new. Owns a balance: useless frames spend it, useful frames and
//! time earn it back. Never knows more about a frame than that.

use crate::{base::Timestamp, error::Violation, frame::Frame};

/// The initial balance of a connection, and the most that time alone earns it.
const CAPACITY: u32 = 1 << 17;
/// Useful frames may raise the balance beyond [`CAPACITY`], by one for this many bytes of the largest window.
/// On a route that became shorter, a sender may declare a whole flight lost and send it again. Each frame of
/// that flight then arrives a second time and is useless.
const WINDOW_SHARE: u64 = 64;
/// The balance earned per millisecond.
const PER_MILLISECOND: u32 = 8;
/// The cost of a useless control frame. It permits bursts of 16,384 frames, and 1000 per second without end.
const CONTROL: u32 = 8;
/// The cost of resetting a stream. It is low because a peer with many streams may reset them all at once.
const RESET: u32 = 1;
/// The balance that a useful frame earns.
const REWARD: u32 = 8;

/// The cost of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameCost {
    /// The frame is free, or another component counts it.
    Free,
    /// A useful frame earns [`REWARD`]; a useless one costs [`CONTROL`].
    UnlessUseful,
    /// The frame costs this much.
    Fixed(u32),
}

impl FrameCost {
    /// The cost of a frame, before it is processed.
    pub(super) fn of(frame: &Frame<'_>) -> Self {
        match frame {
            Frame::Stream { .. }
            | Frame::MaxData(_)
            | Frame::MaxStreamData { .. }
            | Frame::MaxStreams { .. } => Self::UnlessUseful,
            Frame::ResetStream { .. } | Frame::ResetStreamAt { .. } | Frame::StopSending { .. } => {
                Self::Fixed(RESET)
            }
            Frame::Ping
            | Frame::DataBlocked(_)
            | Frame::StreamDataBlocked { .. }
            | Frame::StreamsBlocked { .. }
            | Frame::NewConnectionId { .. }
            | Frame::RetireConnectionId(_)
            | Frame::PathChallenge(_)
            | Frame::PathResponse(_)
            | Frame::ImmediateAck
            | Frame::AckFrequency { .. }
            | Frame::HandshakeDone => Self::Fixed(CONTROL),
            // Their own buffers limit these frames, or their effects cost nothing.
            Frame::Padding(_)
            | Frame::Ack(_)
            | Frame::Crypto { .. }
            | Frame::NewToken(_)
            | Frame::Datagram { .. }
            | Frame::TransportClose { .. }
            | Frame::ApplicationClose { .. } => Self::Free,
        }
    }
}

/// The guard of one connection.
#[derive(Debug)]
pub(super) struct FloodGuard {
    balance: u32,
    /// The highest balance.
    capacity: u32,
    since: Timestamp,
}

impl FloodGuard {
    /// The guard of a connection whose window may grow to `window` bytes.
    pub(super) fn new(now: Timestamp, window: u64) -> Self {
        let share = u32::try_from(window / WINDOW_SHARE).unwrap_or(u32::MAX);
        Self { balance: CAPACITY, capacity: CAPACITY.saturating_add(share), since: now }
    }

    /// A frame was processed; `useful` says whether it brought something new.
    ///
    /// # Errors
    /// [`Violation::Flood`] if the peer has sent too many useless frames.
    pub(super) fn on_frame(
        &mut self,
        cost: FrameCost,
        useful: bool,
        now: Timestamp,
    ) -> Result<(), Violation> {
        match cost {
            FrameCost::Free => Ok(()),
            FrameCost::UnlessUseful if useful => {
                self.balance = self.balance.saturating_add(REWARD).min(self.capacity);
                Ok(())
            }
            FrameCost::UnlessUseful => self.spend(CONTROL, now),
            FrameCost::Fixed(cost) => self.spend(cost, now),
        }
    }

    fn spend(&mut self, cost: u32, now: Timestamp) -> Result<(), Violation> {
        if self.balance < cost {
            self.refill(now);
        }
        self.balance = self.balance.checked_sub(cost).ok_or(Violation::Flood)?;
        Ok(())
    }

    /// Adds what time has earned. It is computed only when the balance is used up.
    fn refill(&mut self, now: Timestamp) {
        let milliseconds = (now - self.since).as_millis();
        let earned = u32::try_from(milliseconds).unwrap_or(u32::MAX).saturating_mul(PER_MILLISECOND);
        self.balance = self.balance.max(self.balance.saturating_add(earned).min(CAPACITY));
        if milliseconds > 0 {
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000);

    /// How many useless frames of a kind are accepted in a row.
    fn accepted(guard: &mut FloodGuard, cost: FrameCost, now: Timestamp) -> u32 {
        (0..).find(|_| guard.on_frame(cost, false, now).is_err()).expect("the guard refuses in the end")
    }

    #[test]
    fn a_burst_is_accepted_and_one_more_is_not() {
        let ping = FrameCost::of(&Frame::Ping);
        let mut guard = FloodGuard::new(NOW, 0);
        assert_eq!(accepted(&mut guard, ping, NOW), CAPACITY / CONTROL);
        assert_eq!(guard.on_frame(ping, false, NOW), Err(Violation::Flood));
        assert_eq!(accepted(&mut guard, ping, NOW + Duration::from_millis(100)), 100);
        let mut other = FloodGuard::new(NOW, 0);
        assert_eq!(accepted(&mut other, FrameCost::Fixed(RESET), NOW), CAPACITY);
    }

    #[test]
    fn a_thousand_a_second_are_accepted_for_ever() {
        let mut guard = FloodGuard::new(NOW, 0);
        for n in 0..1_000_000_u64 {
            let now = NOW + Duration::from_millis(n);
            assert_eq!(guard.on_frame(FrameCost::Fixed(CONTROL), false, now), Ok(()), "frame {n}");
        }
    }

    #[test]
    fn useful_frames_pay_for_useless_ones() {
        let mut guard = FloodGuard::new(NOW, 0);
        for _ in 0..CAPACITY {
            assert_eq!(guard.on_frame(FrameCost::UnlessUseful, false, NOW), Ok(()));
            assert_eq!(guard.on_frame(FrameCost::UnlessUseful, true, NOW), Ok(()));
        }
        assert_eq!(accepted(&mut guard, FrameCost::UnlessUseful, NOW), CAPACITY / CONTROL);
    }

    /// A whole window of data arrives twice; the second time it is useless.
    #[test]
    fn the_data_of_a_window_may_come_twice() {
        for window in [1 << 20, 24 << 20, 64 << 20, 1 << 30] {
            let mut guard = FloodGuard::new(NOW, window);
            let frames = window / 1_000;
            (0..frames).for_each(|_| {
                guard.on_frame(FrameCost::UnlessUseful, true, NOW).expect("useful frames are free");
            });
            for frame in 0..frames {
                assert_eq!(
                    guard.on_frame(FrameCost::UnlessUseful, false, NOW),
                    Ok(()),
                    "frame {frame} of {frames}"
                );
            }
            // The extra balance is earned; it is not there from the start.
            let mut other = FloodGuard::new(NOW, window);
            assert_eq!(accepted(&mut other, FrameCost::UnlessUseful, NOW), CAPACITY / CONTROL);
        }
    }
}

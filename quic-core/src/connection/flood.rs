//! Frames that bring nothing: a few are normal, a flood of them is an attack (RFC 9000 §21.9).
//!
//! Owns a balance: frames without news spend it, frames with news and time earn it back. Must never know what a frame
//! is about beyond that.

use crate::{base::Timestamp, error::Violation, frame::Frame};

/// What a connection begins with, and the most that time earns it.
const CAPACITY: u32 = 1 << 17;
/// So many bytes of the largest window let one more be saved up by frames with news: a sender that takes a whole flight for
/// lost, on a route that became shorter, sends it again, and each of its frames then comes once more without news.
const WINDOW_SHARE: u64 = 64;
/// Earned per millisecond.
const PER_MILLISECOND: u32 = 8;
/// What a control frame costs that brings nothing. Bursts of 16,384 and 1000 per second for ever are accepted.
const CONTROL: u32 = 8;
/// What the reset of a stream costs: a peer with many streams may give them all up at once.
const RESET: u32 = 1;
/// What a frame with news earns.
const NEWS: u32 = 8;

/// What a frame is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// Counted elsewhere, or free.
    Free,
    /// Earns if it brings news, and costs if it does not.
    News,
    /// Costs this much.
    Costs(u32),
}

impl Worth {
    /// Of a frame, before it is processed.
    pub(super) fn of(frame: &Frame<'_>) -> Self {
        match frame {
            Frame::Stream { .. }
            | Frame::MaxData(_)
            | Frame::MaxStreamData { .. }
            | Frame::MaxStreams { .. } => Self::News,
            Frame::ResetStream { .. } | Frame::ResetStreamAt { .. } | Frame::StopSending { .. } => {
                Self::Costs(RESET)
            }
            Frame::Ping
            | Frame::DataBlocked(_)
            | Frame::StreamDataBlocked { .. }
            | Frame::StreamsBlocked { .. }
            | Frame::NewConnectionId { .. }
            | Frame::RetireConnectionId(_)
            | Frame::PathChallenge(_)
            | Frame::PathResponse(_)
            | Frame::HandshakeDone => Self::Costs(CONTROL),
            // Limited by their own buffers, or without any effect that costs.
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

/// Guards one connection.
#[derive(Debug)]
pub(super) struct FloodGuard {
    balance: u32,
    /// The most that can be saved up.
    capacity: u32,
    since: Timestamp,
}

impl FloodGuard {
    /// Of a connection whose window may grow to `window` bytes.
    pub(super) fn new(now: Timestamp, window: u64) -> Self {
        let share = u32::try_from(window / WINDOW_SHARE).unwrap_or(u32::MAX);
        Self { balance: CAPACITY, capacity: CAPACITY.saturating_add(share), since: now }
    }

    /// A frame was processed; `news` says whether it brought any.
    ///
    /// # Errors
    /// The peer has sent too much that brings nothing.
    pub(super) fn on_frame(&mut self, worth: Worth, news: bool, now: Timestamp) -> Result<(), Violation> {
        match worth {
            Worth::Free => Ok(()),
            Worth::News if news => {
                self.balance = self.balance.saturating_add(NEWS).min(self.capacity);
                Ok(())
            }
            Worth::News => self.spend(CONTROL, now),
            Worth::Costs(cost) => self.spend(cost, now),
        }
    }

    fn spend(&mut self, cost: u32, now: Timestamp) -> Result<(), Violation> {
        if self.balance < cost {
            self.refill(now);
        }
        self.balance = self.balance.checked_sub(cost).ok_or(Violation::Flood)?;
        Ok(())
    }

    /// Time is looked at only when the balance is spent.
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

    /// How many frames of a kind are accepted in a row.
    fn accepted(guard: &mut FloodGuard, worth: Worth, now: Timestamp) -> u32 {
        (0..).find(|_| guard.on_frame(worth, false, now).is_err()).expect("there is an end")
    }

    #[test]
    fn a_burst_is_accepted_and_one_more_is_not() {
        let ping = Worth::of(&Frame::Ping);
        let mut guard = FloodGuard::new(NOW, 0);
        assert_eq!(accepted(&mut guard, ping, NOW), CAPACITY / CONTROL);
        assert_eq!(guard.on_frame(ping, false, NOW), Err(Violation::Flood));
        assert_eq!(accepted(&mut guard, ping, NOW + Duration::from_millis(100)), 100);
        let mut other = FloodGuard::new(NOW, 0);
        assert_eq!(accepted(&mut other, Worth::Costs(RESET), NOW), CAPACITY);
    }

    #[test]
    fn a_thousand_a_second_are_accepted_for_ever() {
        let mut guard = FloodGuard::new(NOW, 0);
        for n in 0..1_000_000_u64 {
            let now = NOW + Duration::from_millis(n);
            assert_eq!(guard.on_frame(Worth::Costs(CONTROL), false, now), Ok(()), "frame {n}");
        }
    }

    #[test]
    fn news_pays_for_what_brings_none() {
        let mut guard = FloodGuard::new(NOW, 0);
        for _ in 0..CAPACITY {
            assert_eq!(guard.on_frame(Worth::News, false, NOW), Ok(()));
            assert_eq!(guard.on_frame(Worth::News, true, NOW), Ok(()));
        }
        assert_eq!(accepted(&mut guard, Worth::News, NOW), CAPACITY / CONTROL);
    }

    /// A whole window that comes twice, the second time without news.
    #[test]
    fn what_a_window_holds_may_come_twice() {
        for window in [1 << 20, 24 << 20, 64 << 20, 1 << 30] {
            let mut guard = FloodGuard::new(NOW, window);
            let frames = window / 1_000;
            (0..frames).for_each(|_| guard.on_frame(Worth::News, true, NOW).expect("news"));
            for frame in 0..frames {
                assert_eq!(guard.on_frame(Worth::News, false, NOW), Ok(()), "frame {frame} of {frames}");
            }
            // Nothing of it is there from the start.
            let mut other = FloodGuard::new(NOW, window);
            assert_eq!(accepted(&mut other, Worth::News, NOW), CAPACITY / CONTROL);
        }
    }
}

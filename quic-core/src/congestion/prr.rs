//! Proportional Rate Reduction (RFC 9937): how much may be in flight between a reduction of the window and
//! the end of its recovery period.
//!
//! A window that took its new size at once would block all packets until enough of the flight is
//! acknowledged, and then release a burst. Instead, each acknowledgment releases a share of the bytes that it
//! reports, so that the flight shrinks to the new window over one round trip. Where losses have left less in
//! flight than the new window, about as much is released as arrives.
//!
//! Owns the counts of one recovery period. It must never know why the window was reduced, nor to what.

use super::{CongestionEvent, minimum_window};

/// The running recovery period.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reduction {
    /// Bytes in flight when the period began (`RecoverFS`).
    flight: u64,
    /// Bytes delivered since then.
    delivered: u64,
    /// Bytes sent since then.
    sent: u64,
    /// Bytes that may be in flight.
    window: u64,
}

impl Reduction {
    /// Starts with the event that begins the period, before anything of it was counted.
    pub(crate) fn new(event: &CongestionEvent<'_>) -> Self {
        Self { flight: event.prior_in_flight.max(1), delivered: 0, sent: 0, window: event.in_flight }
    }

    pub(crate) fn on_sent(&mut self, bytes: u64) {
        self.sent = self.sent.saturating_add(bytes);
    }

    /// Packets were declared lost, as told by `event`, or marked. The window is to become `target` bytes.
    pub(crate) fn on_loss(&mut self, event: &CongestionEvent<'_>, target: u64, mtu: u16) {
        self.update(event, 0, target, mtu);
    }

    /// Packets arrived, as told by `event`.
    pub(crate) fn on_ack(&mut self, event: &CongestionEvent<'_>, target: u64, mtu: u16) {
        self.delivered = self.delivered.saturating_add(event.bytes_acked);
        self.update(event, event.bytes_acked, target, mtu);
    }

    /// RFC 9937 §6.2.
    fn update(&mut self, event: &CongestionEvent<'_>, delivered: u64, target: u64, mtu: u16) {
        let datagram = u64::from(mtu);
        let in_flight = event.in_flight;
        let mut more = if in_flight > target {
            let share = u128::from(self.delivered) * u128::from(target);
            let share = share.div_ceil(u128::from(self.flight));
            u64::try_from(share).unwrap_or(u64::MAX).saturating_sub(self.sent)
        } else {
            // As much as arrives, and one datagram more each time where nothing shows that this is too much.
            let safe = event.bytes_lost == 0 && event.ce_delta == 0 && delivered > 0;
            let arrives = self.delivered.saturating_sub(self.sent).max(delivered);
            (target - in_flight).min(arrives.saturating_add(if safe { datagram } else { 0 }))
        };
        if self.sent == 0 {
            // What was lost is sent again at once.
            more = more.max(datagram);
        }
        self.window = in_flight.saturating_add(more);
    }

    /// How many bytes may be in flight now.
    pub(crate) fn window(&self, mtu: u16) -> u64 {
        self.window.max(minimum_window(mtu))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{base::Timestamp, congestion::Rtt};

    const MTU: u16 = 1_000;
    const DATAGRAM: u64 = 1_000;

    struct Flow {
        in_flight: u64,
        target: u64,
        reduction: Reduction,
        /// How many datagrams were sent after each acknowledgment.
        sent: Vec<u64>,
    }

    impl Flow {
        /// Starts with `flight` datagrams. The first acknowledgment, of one datagram, declares `lost` of them
        /// lost.
        fn begin(flight: u64, lost: u64, target: u64) -> Self {
            let rtt = Rtt::default();
            let event = CongestionEvent {
                bytes_acked: DATAGRAM,
                bytes_lost: lost * DATAGRAM,
                prior_in_flight: flight * DATAGRAM,
                in_flight: (flight - lost - 1) * DATAGRAM,
                ..CongestionEvent::new(Timestamp::ORIGIN, &rtt)
            };
            let target = target * DATAGRAM;
            let mut reduction = Reduction::new(&event);
            reduction.on_loss(&event, target, MTU);
            reduction.on_ack(&event, target, MTU);
            let mut flow = Self { in_flight: event.in_flight, target, reduction, sent: Vec::new() };
            flow.send();
            flow
        }

        fn send(&mut self) {
            let mut count = 0;
            while self.in_flight + DATAGRAM <= self.reduction.window(MTU) {
                self.in_flight += DATAGRAM;
                self.reduction.on_sent(DATAGRAM);
                count += 1;
            }
            self.sent.push(count);
        }

        fn ack(&mut self, lost: u64) {
            let rtt = Rtt::default();
            let prior_in_flight = self.in_flight;
            self.in_flight -= (1 + lost) * DATAGRAM;
            let event = CongestionEvent {
                bytes_acked: DATAGRAM,
                bytes_lost: lost * DATAGRAM,
                prior_in_flight,
                in_flight: self.in_flight,
                ..CongestionEvent::new(Timestamp::ORIGIN, &rtt)
            };
            self.reduction.on_ack(&event, self.target, MTU);
            self.send();
        }
    }

    #[test]
    fn one_loss_halves_the_flight_over_a_round_trip_by_sending_every_second_time() {
        let mut flow = Flow::begin(20, 1, 10);
        for _ in 0..18 {
            flow.ack(0);
        }
        assert_eq!(flow.in_flight, 10 * DATAGRAM);
        assert!(flow.sent.iter().all(|count| *count <= 1), "no burst: {:?}", flow.sent);
        assert!(
            flow.sent.windows(3).all(|three| three.iter().sum::<u64>() >= 1),
            "no pause: {:?}",
            flow.sent
        );
    }

    #[test]
    fn seven_tenths_leave_seven_tenths() {
        let mut flow = Flow::begin(100, 1, 70);
        for _ in 0..98 {
            flow.ack(0);
        }
        assert_eq!(flow.in_flight, 70 * DATAGRAM);
        assert!(flow.sent.iter().all(|count| *count <= 1), "{:?}", flow.sent);
    }

    /// Fifteen of twenty datagrams are lost. No burst makes up for them.
    #[test]
    fn many_losses_are_followed_by_slow_start_to_the_new_window() {
        let mut flow = Flow::begin(20, 15, 10);
        assert_eq!(flow.in_flight, 5 * DATAGRAM, "what arrived, and no more while losses are reported");
        for _ in 0..4 {
            flow.ack(0);
        }
        assert_eq!(flow.sent, [1, 2, 2, 2, 2]);
        for _ in 0..30 {
            flow.ack(0);
            assert!(flow.in_flight <= 10 * DATAGRAM);
        }
        assert_eq!(flow.in_flight, 10 * DATAGRAM);
        assert_eq!(flow.sent.last(), Some(&1));
    }

    #[test]
    fn continued_losses_release_as_much_as_arrives() {
        let mut flow = Flow::begin(20, 12, 10);
        flow.ack(2);
        flow.ack(2);
        assert_eq!(flow.sent, [1, 1, 1]);
        assert!(flow.reduction.window(MTU) >= 2 * DATAGRAM);
    }
}

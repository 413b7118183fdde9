//! Takes over a path in use from another controller.

use super::{control::Control, state::Bbr3};
use crate::congestion::{MAX_WINDOW, Predecessor, minimum_window};

impl Bbr3 {
    /// Keeps the bytes in flight. If the other controller had found the path's capacity, `Startup` is
    /// skipped: its queue is drained, and then the path is probed from its rate.
    pub(super) fn take_over(&mut self, before: &Predecessor) {
        let rate = before.rate.map(|rate| rate.bytes_per_second() as f64).filter(|rate| *rate > 0.0);
        self.control.take_over(before.window, rate, self.mtu);
        if let Some(rtt) = before.min_rtt {
            self.min_rtt.know(rtt);
        }
        if let (Some(rate), false) = (rate, before.in_slow_start) {
            self.rates.max.update(rate);
            self.bound_bw();
            self.full_pipe.fill();
            self.enter_drain();
        }
    }
}

impl Control {
    fn take_over(&mut self, window: u64, rate: Option<f64>, mtu: u16) {
        self.window = window.clamp(minimum_window(mtu), MAX_WINDOW);
        if let Some(rate) = rate {
            self.start_at(rate, mtu);
        }
    }
}

//! The control laws of queues, without datagrams: `CoDel` (RFC 8289) and PI2 (RFC 9332 §2.4 and appendix A).

/// The approximate size of the largest datagram, in bytes: `CoDel` ignores a queue that is no larger
/// (RFC 8289 §4.1).
const MAX_PACKET: u64 = 1_514;

/// Decides when `CoDel` drops.
#[derive(Clone, Debug)]
pub(super) struct CoDel {
    target: u64,
    interval: u64,
    /// When the delay will have exceeded the target for an interval.
    first_above: Option<u64>,
    dropping: bool,
    next: u64,
    count: u32,
    last_count: u32,
}

impl CoDel {
    pub(super) fn new(target: u64, interval: u64) -> Self {
        Self { target, interval, first_above: None, dropping: false, next: 0, count: 0, last_count: 0 }
    }

    /// Whether the datagram at the head of the queue must be dropped or marked. It has waited for `delay`,
    /// and `behind` bytes are queued after it. After a drop it must be called again for the next datagram.
    pub(super) fn drops(&mut self, now: u64, delay: u64, behind: u64) -> bool {
        let may = self.is_standing(now, delay, behind);
        if !may {
            self.dropping = false;
            return false;
        }
        if self.dropping {
            if now < self.next {
                return false;
            }
            self.count = self.count.saturating_add(1);
            self.next = self.after(self.next);
            return true;
        }
        self.dropping = true;
        // If the queue builds up again soon, dropping continues at the rate that worked before.
        let since = self.count.saturating_sub(self.last_count);
        let soon = now.saturating_sub(self.next) < 16 * self.interval;
        self.count = if since > 1 && soon { since } else { 1 };
        self.last_count = self.count;
        self.next = self.after(now);
        true
    }

    /// The queue is empty.
    pub(super) fn on_empty(&mut self) {
        self.first_above = None;
        self.dropping = false;
    }

    /// Whether the queue is standing: its delay has exceeded the target for an interval.
    fn is_standing(&mut self, now: u64, delay: u64, behind: u64) -> bool {
        if delay < self.target || behind <= MAX_PACKET {
            self.first_above = None;
            return false;
        }
        now >= *self.first_above.get_or_insert(now.saturating_add(self.interval))
    }

    fn after(&self, time: u64) -> u64 {
        time.saturating_add((self.interval as f64 / f64::from(self.count.max(1)).sqrt()) as u64)
    }
}

/// Nanoseconds between two updates of the probability (RFC 9332 appendix A: 16 ms).
const UPDATE: u64 = 16_000_000;
/// The largest round trip for which the gains are chosen, in seconds.
const MAX_RTT: f64 = 0.1;

/// A proportional-integral controller that keeps a queue at its target delay: it derives a probability from
/// the delay.
#[derive(Clone, Debug)]
pub(super) struct Pi {
    target: f64,
    /// The highest probability: beyond it only the queue's limit helps (RFC 9332 §4.2.3).
    most: f64,
    base: f64,
    previous: f64,
    next: u64,
}

impl Pi {
    pub(super) fn new(target: u64, most: f64) -> Self {
        Self { target: target as f64 / 1e9, most, base: 0.0, previous: 0.0, next: UPDATE }
    }

    /// Updates the probability with the time that the first datagram has waited.
    pub(super) fn update(&mut self, now: u64, delay: u64) {
        let interval = UPDATE as f64 / 1e9;
        let (alpha, beta) = (0.1 * interval / (MAX_RTT * MAX_RTT), 0.3 / MAX_RTT);
        let delay = delay as f64 / 1e9;
        while self.next <= now {
            self.next += UPDATE;
            let change = alpha * (delay - self.target) + beta * (delay - self.previous);
            self.base = (self.base + change).clamp(0.0, self.most);
            self.previous = delay;
            if self.base == 0.0 && delay == 0.0 {
                // Further updates would change nothing, so they are skipped.
                self.next = self.next.max(now - now % UPDATE + UPDATE);
            }
        }
    }

    /// The probability before it is squared or coupled.
    pub(super) fn base(&self) -> f64 {
        self.base
    }
}

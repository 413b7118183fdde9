//! The laws by which a queue is managed, free of datagrams: `CoDel`'s (RFC 8289) and that of PI2 (RFC 9332 §2.4 and appendix A).

/// The largest datagram on a link, roughly: a queue that holds no more than this is no queue (RFC 8289 §4.1).
const MAX_PACKET: u64 = 1_514;

/// When `CoDel` drops.
#[derive(Clone, Debug)]
pub(super) struct CoDel {
    target: u64,
    interval: u64,
    /// When the delay will have been above the target for an interval.
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

    /// Told of each datagram at the head of the queue, with how long it waited and how much waits behind it: whether it is
    /// one too many. To be asked again for what follows a drop; a mark takes the place of one.
    pub(super) fn drops(&mut self, now: u64, delay: u64, behind: u64) -> bool {
        let may = self.stands(now, delay, behind);
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
        // A queue that comes back soon is met with the rate that ended it before.
        let since = self.count.saturating_sub(self.last_count);
        let soon = now.saturating_sub(self.next) < 16 * self.interval;
        self.count = if since > 1 && soon { since } else { 1 };
        self.last_count = self.count;
        self.next = self.after(now);
        true
    }

    /// Nothing waits any more.
    pub(super) fn on_empty(&mut self) {
        self.first_above = None;
        self.dropping = false;
    }

    /// Whether the delay has been above the target for an interval.
    fn stands(&mut self, now: u64, delay: u64, behind: u64) -> bool {
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
/// The largest round trip that the gains are made for, in seconds.
const MAX_RTT: f64 = 0.1;

/// The proportional-integral law that keeps a queue at its target: a probability that follows the delay.
#[derive(Clone, Debug)]
pub(super) struct Pi {
    target: f64,
    /// What the probability may reach: beyond it the queue's own limit has to help (RFC 9332 §4.2.3).
    most: f64,
    base: f64,
    previous: f64,
    next: u64,
}

impl Pi {
    pub(super) fn new(target: u64, most: f64) -> Self {
        Self { target: target as f64 / 1e9, most, base: 0.0, previous: 0.0, next: UPDATE }
    }

    /// Brings the probability up to date with how long the head of the queue has waited.
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
                // Updates that change nothing more are passed over.
                self.next = self.next.max(now - now % UPDATE + UPDATE);
            }
        }
    }

    /// The probability before it is squared or coupled.
    pub(super) fn base(&self) -> f64 {
        self.base
    }
}

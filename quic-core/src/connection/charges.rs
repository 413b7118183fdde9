//! The memory that a connection is charged for, an account for each sake that it is held for.
//!
//! Owns three budgets, and how much of what the scripts tell is charged to them. Must never know what holds the bytes.

use crate::base::{Budget, EndpointBudget};

/// What is buffered is charged in steps of so many bytes.
const SEND_STEP: usize = 4 << 10;

/// What layers above cannot take of the memory that the connection needs for itself, in bytes.
const HEADROOM: usize = 128 << 10;

/// What a connection is charged for.
#[derive(Debug)]
pub(super) struct Charges {
    /// Peer-fed memory, but for that of streams.
    pub(super) fed: Budget,
    /// Memory of streams and of what layers above hold of them: all that their credit can cost, which nothing else may use.
    pub(super) streams: Budget,
    /// What was written and is not acknowledged, as far as it is charged; the endpoint's limit alone bounds it.
    sent: Budget,
    buffered: usize,
    /// What layers above hold of streams, of other things that came, and of what is to be sent, as far as it is charged.
    above: [usize; 3],
}

impl Charges {
    /// Nothing is charged yet. `fed` and `streams` are limits in bytes.
    pub(super) fn new(fed: usize, streams: usize, endpoint: &EndpointBudget) -> Self {
        Self {
            fed: Budget::new(fed, endpoint.clone()),
            streams: Budget::new(streams, endpoint.clone()),
            sent: Budget::new(usize::MAX, endpoint.clone()),
            buffered: 0,
            above: [0; 3],
        }
    }

    /// So many bytes were written and are not acknowledged. The endpoint counts them; what it has no room for is bounded by the
    /// limit all the same.
    pub(super) fn set_buffered(&mut self, bytes: usize) {
        // Charged is a little more, so that each small write and its acknowledgment need not be.
        let ahead = self.buffered.checked_sub(bytes).is_some_and(|spare| spare < 2 * SEND_STEP);
        if !ahead || bytes == 0 {
            let rounded = bytes.checked_next_multiple_of(SEND_STEP).unwrap_or(bytes);
            charge_held(&mut self.sent, &mut self.buffered, rounded, 0);
        }
    }

    /// Layers above hold so many bytes: of streams, of other things that came, of what is to be sent.
    pub(super) fn set_held_above(&mut self, [of_streams, of_others, to_send]: [usize; 3]) {
        let [streams, others, sending] = &mut self.above;
        charge_held(&mut self.streams, streams, of_streams, 0);
        charge_held(&mut self.fed, others, of_others, HEADROOM);
        charge_held(&mut self.sent, sending, to_send, 0);
    }

    /// Whether more than three quarters of the endpoint's memory are spent.
    pub(super) fn is_short(&self) -> bool {
        self.sent.is_tight()
    }

    /// Whether more than seven eighths of the endpoint's memory are spent.
    pub(super) fn is_nearly_spent(&self) -> bool {
        self.sent.is_nearly_spent()
    }

    /// Bytes that the peer makes this end hold now.
    pub(super) fn used(&self) -> usize {
        self.fed.used() + self.streams.used()
    }

    /// Bytes that it can make it hold.
    pub(super) fn limit(&self) -> usize {
        self.fed.limit().saturating_add(self.streams.limit())
    }

    /// The most of [`used`](Self::used) so far, each budget by itself.
    pub(super) fn peak(&self) -> usize {
        self.fed.peak() + self.streams.peak()
    }
}

/// Brings a charge to `bytes`, if the budget has room for them and for `headroom` more.
#[inline]
fn charge_held(budget: &mut Budget, charged: &mut usize, bytes: usize, headroom: usize) {
    if bytes <= *charged {
        budget.release(*charged - bytes);
        *charged = bytes;
    } else if budget.charge(bytes - *charged + headroom).is_ok() {
        budget.release(headroom);
        *charged = bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charges() -> Charges {
        Charges::new(HEADROOM + 100, 100, &EndpointBudget::new(1 << 20))
    }

    #[test]
    fn layers_above_leave_the_connection_its_headroom() {
        let mut charges = charges();
        charges.set_held_above([100, 100, 7]);
        assert_eq!((charges.streams.used(), charges.fed.used(), charges.sent.used()), (100, 100, 7));
        charges.set_held_above([101, 101, 0]);
        assert_eq!((charges.used(), charges.sent.used()), (200, 0), "no room: the charge stays");
        charges.set_held_above([0; 3]);
        assert_eq!((charges.used(), charges.peak()), (0, HEADROOM + 200));
        assert_eq!(charges.limit(), HEADROOM + 200);
    }

    #[test]
    fn what_is_buffered_is_charged_in_steps() {
        let mut charges = charges();
        for (bytes, charged) in
            [(1, 1), (SEND_STEP, 1), (SEND_STEP + 1, 2), (2, 2), (3 * SEND_STEP, 3), (2, 1), (0, 0)]
        {
            charges.set_buffered(bytes);
            assert_eq!(charges.sent.used(), charged * SEND_STEP, "{bytes}");
        }
    }
}

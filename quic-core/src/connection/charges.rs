//! The memory that a connection is charged for, with one account for each purpose.
//!
//! Owns three budgets, and how much of the reported memory is charged to them. Never knows what holds the
//! bytes.

use crate::base::{Budget, EndpointBudget};

/// Buffered data is charged in steps of this many bytes.
const SEND_STEP: usize = 4 << 10;

/// How much memory the connection keeps for itself, in bytes; layers above cannot take it.
const HEADROOM: usize = 128 << 10;

/// The accounts of a connection.
#[derive(Debug)]
pub(super) struct Charges {
    /// Memory that the peer fills, except that of streams.
    pub(super) fed: Budget,
    /// Memory of streams and of their data held above. It has room for everything that their credit can cost,
    /// and no other data may use it.
    pub(super) streams: Budget,
    /// Written data that is not acknowledged, as far as it is charged. Only the endpoint's limit bounds it.
    sent: Budget,
    buffered: usize,
    /// What layers above hold, as far as it is charged: data of streams, other received data, and data to be
    /// sent.
    above: [usize; 3],
}

impl Charges {
    /// Accounts without charges. `fed` and `streams` are limits in bytes.
    pub(super) fn new(fed: usize, streams: usize, endpoint: &EndpointBudget) -> Self {
        Self {
            fed: Budget::new(fed, endpoint.clone()),
            streams: Budget::new(streams, endpoint.clone()),
            sent: Budget::new(usize::MAX, endpoint.clone()),
            buffered: 0,
            above: [0; 3],
        }
    }

    /// `bytes` were written and are not acknowledged. The endpoint counts them. If it has no room for all of
    /// them, the send limit still bounds them.
    pub(super) fn set_buffered(&mut self, bytes: usize) {
        // The charge is a little higher than needed, so that not every small write and acknowledgment changes
        // it.
        let ahead = self.buffered.checked_sub(bytes).is_some_and(|spare| spare < 2 * SEND_STEP);
        if !ahead || bytes == 0 {
            let rounded = bytes.checked_next_multiple_of(SEND_STEP).unwrap_or(bytes);
            charge_held(&mut self.sent, &mut self.buffered, rounded, 0);
        }
    }

    /// Layers above hold this many bytes: of streams, of other received data, and of data to be sent.
    pub(super) fn set_held_above(&mut self, [of_streams, of_others, to_send]: [usize; 3]) {
        let [streams, others, sending] = &mut self.above;
        charge_held(&mut self.streams, streams, of_streams, 0);
        charge_held(&mut self.fed, others, of_others, HEADROOM);
        charge_held(&mut self.sent, sending, to_send, 0);
    }

    /// Whether more than three quarters of the endpoint's memory is spent.
    pub(super) fn is_short(&self) -> bool {
        self.sent.is_tight()
    }

    /// Whether more than seven eighths of the endpoint's memory is spent.
    pub(super) fn is_nearly_spent(&self) -> bool {
        self.sent.is_nearly_spent()
    }

    /// How many bytes the peer makes this end hold now.
    pub(super) fn used(&self) -> usize {
        self.fed.used() + self.streams.used()
    }

    /// How many bytes the peer can make this end hold.
    pub(super) fn limit(&self) -> usize {
        self.fed.limit().saturating_add(self.streams.limit())
    }

    /// The sum of each budget's highest [`used`](Self::used) so far.
    pub(super) fn peak(&self) -> usize {
        self.fed.peak() + self.streams.peak()
    }
}

/// Adjusts a charge to `bytes`, if the budget has room for them and for `headroom` more.
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
    fn buffered_data_is_charged_in_steps() {
        let mut charges = charges();
        for (bytes, charged) in
            [(1, 1), (SEND_STEP, 1), (SEND_STEP + 1, 2), (2, 2), (3 * SEND_STEP, 3), (2, 1), (0, 0)]
        {
            charges.set_buffered(bytes);
            assert_eq!(charges.sent.used(), charged * SEND_STEP, "{bytes}");
        }
    }
}

//! Budgets: every byte that a peer can make this endpoint hold is charged to one of them.
//!
//! A connection charges its own [`Budget`]; all connections of an endpoint draw on one [`EndpointBudget`], in
//! steps of [`STEP`] bytes, so that a charge on the data path costs two additions and a comparison.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use super::{
    Timestamp,
    addresses::{AddressLimits, Addresses, Admission, Place},
};

/// How much a connection takes from its endpoint's budget at a time, in bytes.
const STEP: usize = 4 << 10;

/// The charge would exceed a limit; nothing was charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BudgetExceeded {
    /// The connection's own limit.
    #[error("the connection's memory budget is spent")]
    Connection,
    /// The limit of the endpoint, which all its connections share.
    #[error("the endpoint's memory budget is spent")]
    Endpoint,
}

/// What all connections of one endpoint, or of several endpoints that share it, have together: memory,
/// pending handshakes, and the counts of each client's address. Clones are handles to the same budget.
///
/// ```
/// use quic_core::base::{Budget, EndpointBudget};
///
/// let endpoint = EndpointBudget::new(64 << 20);
/// let mut connection = Budget::new(1 << 20, endpoint.clone());
/// connection.charge(100).expect("far from both limits");
/// assert!(endpoint.used() >= 100);
/// drop(connection);
/// assert_eq!(endpoint.used(), 0);
/// ```
#[derive(Clone, Debug)]
pub struct EndpointBudget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: usize,
    used: AtomicUsize,
    handshakes: AtomicUsize,
    /// Locked when a connection begins, not for each packet.
    addresses: Mutex<Addresses>,
}

impl EndpointBudget {
    /// A budget of `limit` bytes for all connections together.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let (used, handshakes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self(Arc::new(Shared { limit, used, handshakes, addresses: Mutex::default() }))
    }

    /// A budget without a limit, for a connection without an endpoint.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::new(usize::MAX)
    }

    /// Bytes reserved by connections now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.0.used.load(Relaxed)
    }

    /// The limit in bytes.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// Whether `bytes` more could be reserved now.
    #[must_use]
    pub fn has_room_for(&self, bytes: usize) -> bool {
        self.used().checked_add(bytes).is_some_and(|used| used <= self.0.limit)
    }

    /// Handshakes with clients that are not complete yet.
    #[must_use]
    pub fn pending_handshakes(&self) -> usize {
        self.0.handshakes.load(Relaxed)
    }

    /// Counts a handshake as pending until the slot is dropped.
    #[must_use]
    pub(crate) fn begin_handshake(&self) -> HandshakeSlot {
        self.0.handshakes.fetch_add(1, Relaxed);
        HandshakeSlot(self.clone())
    }

    fn addresses(&self) -> MutexGuard<'_, Addresses> {
        self.0.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a client of this address may have a connection now, by these limits.
    pub(crate) fn judge(
        &self,
        limits: &AddressLimits,
        address: IpAddr,
        proved: bool,
        now: Timestamp,
    ) -> Admission {
        self.addresses().judge(limits, address, proved, now)
    }

    /// Counts a client of this address that was let in.
    pub(crate) fn take_place(&self, address: IpAddr, proved: bool, now: Timestamp) -> Place {
        self.addresses().take_place(address, proved, now)
    }

    fn reserve(&self, bytes: usize) -> Result<(), BudgetExceeded> {
        // Nothing else is published along with these figures, so relaxed ordering is enough.
        let limit = self.0.limit;
        self.0
            .used
            .fetch_update(Relaxed, Relaxed, |used| used.checked_add(bytes).filter(|used| *used <= limit))
            .map(drop)
            .map_err(|_| BudgetExceeded::Endpoint)
    }

    fn give_back(&self, bytes: usize) {
        self.0.used.fetch_sub(bytes, Relaxed);
    }
}

/// A pending handshake, counted by its endpoint.
#[derive(Debug)]
pub(crate) struct HandshakeSlot(EndpointBudget);

impl Drop for HandshakeSlot {
    fn drop(&mut self) {
        self.0.0.handshakes.fetch_sub(1, Relaxed);
    }
}

/// Bytes held on behalf of a peer, with a limit. Each connection has one and passes it to every component
/// that stores the peer's data.
#[derive(Debug)]
pub struct Budget {
    used: usize,
    peak: usize,
    limit: usize,
    endpoint: EndpointBudget,
    /// Taken from the endpoint's budget; at least `used`.
    reserved: usize,
}

impl Budget {
    /// A budget of `limit` bytes that draws on the endpoint's.
    #[must_use]
    pub const fn new(limit: usize, endpoint: EndpointBudget) -> Self {
        Self { used: 0, peak: 0, limit, endpoint, reserved: 0 }
    }

    /// A budget of `limit` bytes without an endpoint, for tests and for components used alone.
    #[must_use]
    pub fn alone(limit: usize) -> Self {
        Self::new(limit, EndpointBudget::unlimited())
    }

    /// Charges all of `bytes`, or nothing.
    pub fn charge(&mut self, bytes: usize) -> Result<(), BudgetExceeded> {
        let used = self.used.checked_add(bytes).filter(|used| *used <= self.limit);
        let used = used.ok_or(BudgetExceeded::Connection)?;
        if used > self.reserved {
            self.reserve(used)?;
        }
        self.used = used;
        self.peak = self.peak.max(used);
        Ok(())
    }

    fn reserve(&mut self, used: usize) -> Result<(), BudgetExceeded> {
        let missing = used - self.reserved;
        let step = missing.next_multiple_of(STEP);
        // Near the endpoint's limit, a connection takes only what it needs.
        let taken = self.endpoint.reserve(step).map(|()| step);
        self.reserved += taken.or_else(|_| self.endpoint.reserve(missing).map(|()| missing))?;
        Ok(())
    }

    /// Gives `bytes` back.
    pub fn release(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.used, "released {bytes} of {} charged bytes", self.used);
        self.used = self.used.saturating_sub(bytes);
        // The connection keeps one step in reserve, so that not every charge and release goes to the
        // endpoint.
        let spare = self.reserved - self.used;
        if spare >= 2 * STEP {
            let returned = spare - STEP;
            self.endpoint.give_back(returned);
            self.reserved -= returned;
        }
    }

    /// Changes the limit. Bytes already charged stay charged, even beyond it.
    pub const fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Whether more than three quarters of the endpoint's budget is spent.
    #[must_use]
    pub fn is_tight(&self) -> bool {
        let limit = self.endpoint.limit();
        self.endpoint.used() > limit - limit / 4
    }

    /// Whether more than seven eighths of the endpoint's budget is spent.
    #[must_use]
    pub fn is_nearly_spent(&self) -> bool {
        let limit = self.endpoint.limit();
        self.endpoint.used() > limit - limit / 8
    }

    /// Bytes charged now.
    #[must_use]
    pub const fn used(&self) -> usize {
        self.used
    }

    /// The most that was ever charged at once.
    #[must_use]
    pub const fn peak(&self) -> usize {
        self.peak
    }

    /// The limit in bytes.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        self.endpoint.give_back(self.reserved);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_full_budget_refuses_one_byte_more() {
        let mut budget = Budget::alone(10);
        assert_eq!(budget.charge(10), Ok(()));
        assert_eq!(budget.charge(1), Err(BudgetExceeded::Connection));
        assert_eq!(budget.charge(usize::MAX), Err(BudgetExceeded::Connection));
        budget.release(4);
        assert_eq!((budget.used(), budget.peak()), (6, 10));
        assert_eq!(budget.charge(4), Ok(()));
    }

    #[test]
    fn connections_share_the_endpoints_budget_to_the_last_byte() {
        let endpoint = EndpointBudget::new(3 * STEP + 5);
        let mut one = Budget::new(usize::MAX, endpoint.clone());
        let mut two = Budget::new(usize::MAX, endpoint.clone());
        assert_eq!(one.charge(2 * STEP), Ok(()));
        assert_eq!(two.charge(STEP + 5), Ok(()), "the last step is a short one");
        assert_eq!(two.charge(1), Err(BudgetExceeded::Endpoint));
        assert_eq!(two.used(), STEP + 5, "a refused charge charges nothing");
        drop(one);
        assert_eq!(two.charge(STEP), Ok(()));
        drop(two);
        assert_eq!(endpoint.used(), 0);
    }

    #[test]
    fn a_handshake_counts_until_its_slot_is_gone() {
        let endpoint = EndpointBudget::new(0);
        let slots = [endpoint.begin_handshake(), endpoint.begin_handshake()];
        assert_eq!(endpoint.pending_handshakes(), 2);
        drop(slots);
        assert_eq!(endpoint.pending_handshakes(), 0);
    }

    proptest! {
        /// For any charges and releases, the reservation covers the charge, wastes at most two steps, and
        /// ends at 0.
        #[test]
        fn reservations_follow_charges(steps in prop::collection::vec((any::<bool>(), 0..100_000_usize), 1..100)) {
            let endpoint = EndpointBudget::new(1 << 20);
            let mut budget = Budget::new(600_000, endpoint.clone());
            let mut model = 0;
            for (charge, bytes) in steps {
                if charge {
                    let fits = model + bytes <= 600_000;
                    prop_assert_eq!(budget.charge(bytes).is_ok(), fits);
                    model += if fits { bytes } else { 0 };
                } else {
                    let bytes = bytes.min(model);
                    budget.release(bytes);
                    model -= bytes;
                }
                prop_assert_eq!(budget.used(), model);
                prop_assert!(endpoint.used() >= model && endpoint.used() < model + 2 * STEP);
            }
            drop(budget);
            prop_assert_eq!(endpoint.used(), 0);
        }
    }
}

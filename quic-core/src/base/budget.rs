//! The fourth law: every byte that a peer can make this endpoint hold is charged to a budget.

/// Bytes held on behalf of a peer, with a limit. One per connection, passed to each component that stores peer data.
#[derive(Debug)]
pub struct Budget {
    used: usize,
    peak: usize,
    limit: usize,
}

/// The charge would exceed the limit; nothing was charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection's memory budget is spent")]
pub struct BudgetExceeded;

impl Budget {
    /// A budget of `limit` bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { used: 0, peak: 0, limit }
    }

    /// Charges `bytes`, all or nothing.
    pub fn charge(&mut self, bytes: usize) -> Result<(), BudgetExceeded> {
        let used = self.used.checked_add(bytes).filter(|used| *used <= self.limit).ok_or(BudgetExceeded)?;
        self.used = used;
        self.peak = self.peak.max(used);
        Ok(())
    }

    /// Gives `bytes` back.
    pub fn release(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.used, "released {bytes} of {} charged bytes", self.used);
        self.used = self.used.saturating_sub(bytes);
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

    /// Moves the limit, never below what is charged.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit.max(self.used);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filled_and_one_beyond() {
        let mut budget = Budget::new(10);
        assert_eq!(budget.charge(10), Ok(()));
        assert_eq!(budget.charge(1), Err(BudgetExceeded));
        assert_eq!(budget.charge(usize::MAX), Err(BudgetExceeded));
        budget.release(4);
        assert_eq!((budget.used(), budget.peak()), (6, 10));
        assert_eq!(budget.charge(4), Ok(()));
    }
}

//! Which address tokens of earlier connections were used (RFC 9000 §8.1.4).

use std::collections::BTreeSet;

/// How many tokens a generation has.
const GENERATION: usize = 4096;

/// The tokens that were used last, at least 4096 and at most 8192 of them, in about 200 KiB. A token that was
/// used before them is good again until it expires: that limits replay, and a token proves nothing but an
/// address.
#[derive(Debug, Default)]
pub(super) struct SpentTokens {
    recent: BTreeSet<u64>,
    older: BTreeSet<u64>,
}

impl SpentTokens {
    /// A client presents the token with this number. Returns whether nobody has, as far as is known.
    pub(super) fn spend(&mut self, number: u64) -> bool {
        if self.older.contains(&number) || !self.recent.insert(number) {
            return false;
        }
        if self.recent.len() >= GENERATION {
            self.older = std::mem::take(&mut self.recent);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_once_among_the_last_thousands() {
        let mut spent = SpentTokens::default();
        let generation = GENERATION as u64;
        for number in 0..10 * generation {
            assert!(spent.spend(number) && !spent.spend(number));
            assert!(spent.recent.len() < GENERATION && spent.older.len() <= GENERATION);
            assert!(!spent.spend(number.saturating_sub(generation - 1)));
        }
        assert!(spent.spend(0), "forgotten");
    }
}

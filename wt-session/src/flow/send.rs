//! The limits that the peer grants, and how much of them this side has used.

use super::limits::{ALL, FlowMessage, FlowViolation, Limited, Limits, RaiseRule, Raised, index, max_value};

/// One limit.
#[derive(Clone, Copy, Debug)]
struct Credit {
    limit: u64,
    used: u64,
    /// The limit in the last capsule.
    in_capsule: Option<u64>,
    /// Something waits for more credit.
    waiting: bool,
    /// The limit at which the peer was last told that it blocks this side.
    reported: Option<u64>,
}

/// The sending side of a session.
#[derive(Debug)]
pub(crate) struct SendSide {
    rule: RaiseRule,
    credits: [Credit; 3],
}

impl SendSide {
    pub(super) fn new(granted: Limits, rule: RaiseRule) -> Self {
        let [bidi, uni] = granted.streams;
        let credits =
            [(Limited::Data, granted.data), (ALL[1], bidi), (ALL[2], uni)].map(|(what, limit)| Credit {
                limit: limit.min(max_value(what)),
                used: 0,
                in_capsule: None,
                waiting: false,
                reported: None,
            });
        Self { rule, credits }
    }

    /// How much may still be used now.
    pub(crate) fn left(&self, what: Limited) -> u64 {
        let credit = self.credits[index(what)];
        credit.limit.saturating_sub(credit.used)
    }

    /// Counts what was sent or opened; at most what is left.
    pub(crate) fn charge(&mut self, what: Limited, amount: u64) {
        let credit = &mut self.credits[index(what)];
        debug_assert!(amount <= credit.limit.saturating_sub(credit.used));
        credit.used = credit.used.saturating_add(amount);
    }

    /// Returns the credit of charged bytes that will never be sent, because their stream was reset first
    /// (§5.4, RFC 9000 §4.5). True if something waits for credit.
    pub(crate) fn refund(&mut self, bytes: u64) -> bool {
        let credit = &mut self.credits[index(Limited::Data)];
        credit.used = credit.used.saturating_sub(bytes);
        bytes > 0 && std::mem::take(&mut credit.waiting)
    }

    /// Something is blocked by this limit. The peer is told once for each value of the limit.
    pub(crate) fn block(&mut self, what: Limited) {
        self.credits[index(what)].waiting = true;
    }

    /// Handles the limit in a capsule.
    pub(super) fn raise(&mut self, what: Limited, value: u64) -> Result<Raised, FlowViolation> {
        let credit = &mut self.credits[index(what)];
        // §5.6.2, §5.6.4: from draft 16 on, only an increase is permitted. A capsule may repeat the limit of
        // SETTINGS.
        let before = credit.in_capsule.unwrap_or(credit.limit);
        let broken = match self.rule {
            RaiseRule::Any => false,
            RaiseRule::NoDecrease => value < before,
            RaiseRule::Increase => value < before || credit.in_capsule == Some(value),
        };
        if broken {
            return Err(FlowViolation::NotRaised { what, before, now: value });
        }
        credit.in_capsule = Some(value);
        if value <= credit.limit {
            return Ok(Raised::Nothing);
        }
        credit.limit = value;
        let awaited = std::mem::take(&mut credit.waiting);
        Ok(if awaited { Raised::Awaited(what) } else { Raised::Nothing })
    }

    pub(super) fn is_due(&self) -> bool {
        self.credits.iter().any(|credit| credit.waiting && credit.reported != Some(credit.limit))
    }

    pub(super) fn take_message(&mut self) -> Option<FlowMessage> {
        ALL.into_iter().zip(&mut self.credits).find_map(|(what, credit)| {
            let due = credit.waiting && credit.reported != Some(credit.limit);
            due.then(|| {
                credit.reported = Some(credit.limit);
                FlowMessage::Blocked(what, credit.limit)
            })
        })
    }
}

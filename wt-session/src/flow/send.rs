//! What this side may send: the limits that the peer grants, and what of them is used.

use super::limits::{ALL, FlowViolation, Limited, Limits, Note, RaiseRule, Raised, greatest, place};

/// One limit.
#[derive(Clone, Copy, Debug)]
struct Credit {
    limit: u64,
    used: u64,
    /// The last value that a capsule brought.
    told: Option<u64>,
    /// Somebody wants more than there is.
    waiting: bool,
    /// The limit at which the peer was told so: once is enough.
    noted: Option<u64>,
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
        let credits = [(Limited::Data, granted.data), (ALL[1], bidi), (ALL[2], uni)].map(|(what, limit)| {
            Credit { limit: limit.min(greatest(what)), used: 0, told: None, waiting: false, noted: None }
        });
        Self { rule, credits }
    }

    /// How much more there may be now.
    pub(crate) fn left(&self, what: Limited) -> u64 {
        let credit = self.credits[place(what)];
        credit.limit.saturating_sub(credit.used)
    }

    /// So much more was sent or opened; at most what is left.
    pub(crate) fn charge(&mut self, what: Limited, amount: u64) {
        let credit = &mut self.credits[place(what)];
        debug_assert!(amount <= credit.limit.saturating_sub(credit.used));
        credit.used = credit.used.saturating_add(amount);
    }

    /// So many bytes that were charged will never be sent: their stream was reset before (§5.4, RFC 9000 §4.5). True
    /// if somebody waits for them.
    pub(crate) fn refund(&mut self, bytes: u64) -> bool {
        let credit = &mut self.credits[place(Limited::Data)];
        credit.used = credit.used.saturating_sub(bytes);
        bytes > 0 && std::mem::take(&mut credit.waiting)
    }

    /// More is wanted than is left: the peer is told, once for each limit.
    pub(crate) fn block(&mut self, what: Limited) {
        self.credits[place(what)].waiting = true;
    }

    /// A capsule names a limit.
    pub(super) fn raise(&mut self, what: Limited, value: u64) -> Result<Raised, FlowViolation> {
        let credit = &mut self.credits[place(what)];
        // §5.6.2, §5.6.4: from draft 16 on only more is permitted. What SETTINGS said may be said again.
        let before = credit.told.unwrap_or(credit.limit);
        let broken = match self.rule {
            RaiseRule::Any => false,
            RaiseRule::NoDecrease => value < before,
            RaiseRule::Increase => value < before || credit.told == Some(value),
        };
        if broken {
            return Err(FlowViolation::NotRaised { what, before, now: value });
        }
        credit.told = Some(value);
        if value <= credit.limit {
            return Ok(Raised::Nothing);
        }
        credit.limit = value;
        let awaited = std::mem::take(&mut credit.waiting);
        Ok(if awaited { Raised::Awaited(what) } else { Raised::Nothing })
    }

    pub(super) fn is_due(&self) -> bool {
        self.credits.iter().any(|credit| credit.waiting && credit.noted != Some(credit.limit))
    }

    pub(super) fn take_note(&mut self) -> Option<Note> {
        ALL.into_iter().zip(&mut self.credits).find_map(|(what, credit)| {
            let due = credit.waiting && credit.noted != Some(credit.limit);
            due.then(|| {
                credit.noted = Some(credit.limit);
                Note::Blocked(what, credit.limit)
            })
        })
    }
}

//! Session flow control (§5): how much each end may send in one session, apart from what QUIC permits.
//!
//! It owns the limits of one session, both ways: what the peer grants (`send`), what this side grants (`receive`). It
//! must never know streams, capsules' bytes or a transport: counts go in, counts and verdicts come out.
//!
//! What counts: the number of streams opened in the session's life, by direction, and the bytes of all its streams
//! together without the bytes that name the session (§5.3, §5.4).

mod limits;
mod receive;
mod send;
#[cfg(test)]
mod tests;

pub use limits::{FlowViolation, Limited};
pub(crate) use limits::{Limits, MAX_STREAMS, Note, RaiseRule, Raised};
pub(crate) use receive::ReceiveSide;
pub(crate) use send::SendSide;

/// Both sides of one session's flow control.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) send: SendSide,
    pub(crate) receive: ReceiveSide,
}

impl Flow {
    /// `granted` by the peer, `granting` by this side; `ceiling` bounds the window of data that this side grants.
    pub(crate) fn new(granted: Limits, granting: Limits, ceiling: u64, rule: RaiseRule) -> Self {
        Self { send: SendSide::new(granted, rule), receive: ReceiveSide::new(granting, ceiling) }
    }

    /// The peer said something.
    pub(crate) fn on_note(&mut self, note: Note) -> Result<Raised, FlowViolation> {
        let (Note::Max(what, value) | Note::Blocked(what, value)) = note;
        // §5.6.2, §5.6.3.
        if matches!(what, Limited::Streams(_)) && value > MAX_STREAMS {
            return Err(FlowViolation::TooMany { what, value });
        }
        match note {
            Note::Max(..) => self.send.raise(what, value),
            Note::Blocked(..) => {
                self.receive.on_blocked(what, value);
                Ok(Raised::Nothing)
            }
        }
    }

    /// Whether [`Flow::take_note`] has something.
    pub(crate) fn has_notes(&self) -> bool {
        self.receive.is_due() || self.send.is_due()
    }

    /// The next thing to tell the peer, with the newest values.
    pub(crate) fn take_note(&mut self) -> Option<Note> {
        self.receive.take_note().or_else(|| self.send.take_note())
    }
}

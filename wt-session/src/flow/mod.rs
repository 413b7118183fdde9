//! Session flow control (§5): how much each end may send in one session, in addition to QUIC's limits.
//!
//! It owns the limits of one session: those that the peer grants (`send`) and those that this side grants
//! (`receive`). It must never know streams, encoded capsules or a transport: it takes counts and returns
//! counts and errors.
//!
//! It counts the streams opened in the session's life, by direction, and the bytes of all its streams
//! together without their prefaces (§5.3, §5.4).

mod limits;
mod receive;
mod send;
#[cfg(test)]
mod tests;

pub(crate) use limits::{FlowMessage, Limits, MAX_STREAMS, RaiseRule, Raised};
pub use limits::{FlowViolation, Limited};
pub(crate) use receive::ReceiveSide;
pub(crate) use send::SendSide;

/// Both sides of one session's flow control.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) send: SendSide,
    pub(crate) receive: ReceiveSide,
}

impl Flow {
    /// The peer grants `granted`, and this side grants `granting`. `ceiling` bounds the data window of this
    /// side.
    pub(crate) fn new(granted: Limits, granting: Limits, ceiling: u64, rule: RaiseRule) -> Self {
        Self { send: SendSide::new(granted, rule), receive: ReceiveSide::new(granting, ceiling) }
    }

    /// Handles a message of the peer.
    pub(crate) fn on_flow_message(&mut self, message: FlowMessage) -> Result<Raised, FlowViolation> {
        let (FlowMessage::Max(what, value) | FlowMessage::Blocked(what, value)) = message;
        // §5.6.2, §5.6.3.
        if matches!(what, Limited::Streams(_)) && value > MAX_STREAMS {
            return Err(FlowViolation::TooMany { what, value });
        }
        match message {
            FlowMessage::Max(..) => self.send.raise(what, value),
            FlowMessage::Blocked(..) => {
                self.receive.on_blocked(what, value);
                Ok(Raised::Nothing)
            }
        }
    }

    /// Whether [`Flow::take_message`] has a message.
    pub(crate) fn has_messages(&self) -> bool {
        self.receive.is_due() || self.send.is_due()
    }

    /// The next message for the peer, with the newest values.
    pub(crate) fn take_message(&mut self) -> Option<FlowMessage> {
        self.receive.take_message().or_else(|| self.send.take_message())
    }
}

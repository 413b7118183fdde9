//! Frames without a home of their own: HANDSHAKE_DONE, NEW_TOKEN, PING (RFC 9000 §19.2, §19.7, §19.20).

use crate::frame::{Frame, FrameWriter, Receipt};

/// Wishes to send small frames.
#[derive(Debug, Default)]
pub(crate) struct Control {
    handshake_done: bool,
    token: Option<Vec<u8>>,
    token_pending: bool,
    ping: bool,
}

impl Control {
    /// The handshake is confirmed at the server, and the client has to hear it.
    pub(crate) fn send_handshake_done(&mut self) {
        self.handshake_done = true;
    }

    /// A token that lets the client's next connection skip address validation.
    pub(crate) fn send_token(&mut self, token: Vec<u8>) {
        self.token = Some(token);
        self.token_pending = true;
    }

    /// Something that the peer must acknowledge.
    pub(crate) fn send_ping(&mut self) {
        self.ping = true;
    }

    pub(crate) fn wants(&self) -> bool {
        self.handshake_done || self.token_pending || self.ping
    }

    pub(crate) fn write(&mut self, w: &mut FrameWriter<'_>) {
        if self.handshake_done && w.frame(&Frame::HandshakeDone, Receipt::HandshakeDone) {
            self.handshake_done = false;
        }
        if let (true, Some(token)) = (self.token_pending, &self.token)
            && w.frame(&Frame::NewToken(token), Receipt::NewToken)
        {
            self.token_pending = false;
        }
        // Any other ack-eliciting frame serves as well as a PING.
        if self.ping && (w.is_ack_eliciting() || w.frame(&Frame::Ping, Receipt::Nothing)) {
            self.ping = false;
        }
    }

    pub(crate) fn on_lost(&mut self, receipt: Receipt) {
        match receipt {
            Receipt::HandshakeDone => self.handshake_done = true,
            Receipt::NewToken => self.token_pending = self.token.is_some(),
            _ => {}
        }
    }

    pub(crate) fn on_acked(&mut self, receipt: Receipt) {
        if receipt == Receipt::NewToken {
            self.token = None;
            self.token_pending = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(control: &mut Control) -> Vec<Receipt> {
        let mut payload = [0; 200];
        let mut receipts = Vec::new();
        let mut w = FrameWriter::new(&mut payload, &mut receipts);
        control.write(&mut w);
        assert!(w.written() == 0 || w.is_ack_eliciting());
        receipts
    }

    #[test]
    fn frames_are_sent_once_and_again_when_lost() {
        let mut control = Control::default();
        control.send_handshake_done();
        control.send_token(vec![1, 2, 3]);
        control.send_ping();
        assert_eq!(written(&mut control), [Receipt::HandshakeDone, Receipt::NewToken]);
        assert!(!control.wants(), "the other frames stand in for the PING");
        control.on_lost(Receipt::NewToken);
        assert_eq!(written(&mut control), [Receipt::NewToken]);
        control.on_acked(Receipt::NewToken);
        control.on_lost(Receipt::NewToken);
        assert!(!control.wants());
        control.send_ping();
        assert_eq!(written(&mut control), []);
        assert!(!control.wants());
    }
}

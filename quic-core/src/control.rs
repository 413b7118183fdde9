//! Frames that belong to no other component: HANDSHAKE_DONE, NEW_TOKEN and PING (RFC 9000 §19.2, §19.7,
//! §19.20).

use crate::frame::{Frame, FrameWriter, Receipt};

/// Requests for small frames.
#[derive(Debug, Default)]
pub(crate) struct Control {
    /// How many packets are to carry HANDSHAKE_DONE.
    handshake_done: u8,
    /// Whether HANDSHAKE_DONE was sent and neither acknowledged nor lost.
    handshake_done_unacked: bool,
    ping: bool,
    /// The token for the peer's later connections, until it is acknowledged.
    token: Option<Vec<u8>>,
    /// Whether the token is to be sent, for the first time or again.
    token_wanted: bool,
}

impl Control {
    /// The handshake is confirmed at the server, and the client has to learn of it.
    pub(crate) fn send_handshake_done(&mut self) {
        self.handshake_done = 1;
    }

    /// Requests a frame that the peer must acknowledge.
    pub(crate) fn send_ping(&mut self) {
        self.ping = true;
    }

    /// The client gets this token for its later connections (RFC 9000 §8.1.3), in place of one that it does
    /// not have yet.
    pub(crate) fn send_token(&mut self, token: Vec<u8>) {
        self.token = Some(token);
        self.token_wanted = true;
    }

    pub(crate) fn wants(&self) -> bool {
        self.handshake_done > 0 || self.ping || self.token_wanted
    }

    pub(crate) fn write(&mut self, w: &mut FrameWriter<'_>) {
        if self.handshake_done > 0 && w.frame(&Frame::HandshakeDone, Receipt::HandshakeDone) {
            self.handshake_done -= 1;
            self.handshake_done_unacked = true;
        }
        if self.token_wanted
            && let Some(token) = &self.token
            && w.frame(&Frame::NewToken(token), Receipt::NewToken)
        {
            self.token_wanted = false;
        }
        // Any other ack-eliciting frame serves as well as a PING.
        if self.ping && (w.is_ack_eliciting() || w.frame(&Frame::Ping, Receipt::Nothing)) {
            self.ping = false;
        }
    }

    /// HANDSHAKE_DONE is repeated until it is acknowledged (RFC 9000 §13.3).
    pub(crate) fn on_handshake_done_lost(&mut self) {
        self.on_probes(1);
    }

    pub(crate) fn on_handshake_done_acked(&mut self) {
        self.handshake_done = 0;
        self.handshake_done_unacked = false;
    }

    /// NEW_TOKEN is repeated until it is acknowledged (RFC 9000 §13.3).
    pub(crate) fn on_token_lost(&mut self) {
        self.token_wanted = self.token.is_some();
    }

    /// If a newer token replaced the one that arrived, the newer one is forgotten with it: one is enough.
    pub(crate) fn on_token_acked(&mut self) {
        if !self.token_wanted {
            self.token = None;
        }
    }

    /// `count` probes are sent. Until the client learns of the confirmation it can do little else, so each
    /// probe repeats HANDSHAKE_DONE rather than being a mere PING (RFC 9002 §6.2.4).
    pub(crate) fn on_probes(&mut self, count: u8) {
        if self.handshake_done_unacked {
            self.handshake_done = self.handshake_done.max(count);
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
        control.send_ping();
        assert_eq!(written(&mut control), [Receipt::HandshakeDone]);
        assert!(!control.wants(), "the other frame stands in for the PING");
        control.on_handshake_done_lost();
        assert_eq!(written(&mut control), [Receipt::HandshakeDone]);
        control.send_ping();
        assert_eq!(written(&mut control), []);
        assert!(!control.wants());
    }

    /// Whatever happens meanwhile, one frame of each kind is pending.
    #[test]
    fn repeated_requests_make_one_frame_of_each_kind() {
        let mut control = Control::default();
        for _ in 0..10_000 {
            control.send_ping();
            control.send_handshake_done();
            control.on_handshake_done_lost();
        }
        assert_eq!(written(&mut control), [Receipt::HandshakeDone]);
        assert!(!control.wants());
        (0..10_000).for_each(|_| control.send_ping());
        assert!(control.wants());
        // A PING leaves no receipt.
        assert_eq!(written(&mut control), []);
        assert!(!control.wants());
    }

    #[test]
    fn probes_repeat_handshake_done_until_it_is_acknowledged() {
        let mut control = Control::default();
        control.on_probes(2);
        assert!(!control.wants(), "nothing was sent yet");
        control.send_handshake_done();
        assert_eq!(written(&mut control), [Receipt::HandshakeDone]);
        control.on_probes(2);
        assert_eq!(written(&mut control), [Receipt::HandshakeDone]);
        assert_eq!(written(&mut control), [Receipt::HandshakeDone]);
        assert!(!control.wants());
        control.on_probes(2);
        control.on_handshake_done_acked();
        control.on_probes(2);
        assert!(!control.wants());
    }

    #[test]
    fn a_token_is_sent_until_one_is_acknowledged() {
        let mut control = Control::default();
        control.send_token(vec![7; 60]);
        assert_eq!(written(&mut control), [Receipt::NewToken]);
        assert!(!control.wants());
        control.on_token_lost();
        assert_eq!(written(&mut control), [Receipt::NewToken]);
        control.send_token(vec![8; 60]);
        control.on_token_acked();
        assert_eq!(written(&mut control), [Receipt::NewToken], "the newer one was not sent yet");
        control.on_token_acked();
        control.on_token_lost();
        assert!(!control.wants());
    }

    #[test]
    fn a_token_waits_for_room() {
        let mut control = Control::default();
        control.send_token(vec![7; 300]);
        assert_eq!(written(&mut control), []);
        assert!(control.wants());
    }
}

//! Errors of this host and of the network while a connection is being made, or is silent.

use std::{io, sync::Arc, time::Duration};

use super::state::conn::{Conn, Role};
use crate::error::ErrorCause;

/// When a client first checks for an error of the network; each further wait is twice as long.
const FIRST_LOOK: Duration = Duration::from_millis(10);
/// How often it checks.
const MAX_LOOKS: u32 = 7;
impl Conn {
    /// An ICMP message says that the peer's port is closed. During the handshake that ends the attempt; later
    /// anyone could have forged it.
    pub(super) fn on_refused(&mut self) {
        let remote = self.remote_address();
        self.give_up_connecting(ErrorCause::ConnectionRefused { remote });
    }

    /// This host cannot send, or a router reports that there is no route. During the handshake that ends the
    /// attempt, so that the next address is tried at once. Later the route may return, and unsent packets
    /// count as lost. If it does not return and the peer stays silent, this is the cause.
    pub(super) fn on_unreachable(&mut self, error: io::Error) {
        let remote = self.remote_address();
        let cause = ErrorCause::Unreachable { remote, error: Arc::new(error) };
        self.cut_from = Some(cause.clone());
        self.give_up_connecting(cause);
    }

    /// Nothing that this connection sends leaves this host. That may pass; if it does not, it is why the
    /// connection ends.
    pub(super) fn on_stuck(&mut self, error: Arc<io::Error>) {
        self.stuck = Some(ErrorCause::Socket(error));
        self.tell_trouble();
    }

    pub(super) fn is_stuck(&self) -> bool {
        self.stuck.is_some()
    }

    /// Everything that it had to send has left.
    pub(super) fn on_leaving(&mut self) {
        if self.stuck.take().is_some() {
            self.tell_trouble();
        }
    }

    /// Nothing can be received; `lasts`: for so long that a client cannot connect.
    pub(super) fn on_deaf(&mut self, error: Arc<io::Error>, lasts: bool) {
        let cause = ErrorCause::Socket(error);
        self.deaf = Some(cause.clone());
        self.tell_trouble();
        if lasts {
            self.give_up_connecting(cause);
        }
    }

    /// Something arrived.
    pub(super) fn on_hearing(&mut self) {
        self.cut_from = None;
        if self.deaf.take().is_some() {
            self.tell_trouble();
        }
    }

    /// The reason on this host for which the peer may seem silent.
    pub(super) fn trouble(&self) -> Option<&ErrorCause> {
        self.stuck.as_ref().or(self.deaf.as_ref()).or(self.cut_from.as_ref())
    }

    /// A caller that waits for a client's connection may give up before the connection does.
    fn tell_trouble(&self) {
        if let (Role::Client { race, .. }, true) = (&self.role, self.is_connecting()) {
            race.note(self.trouble().cloned());
        }
    }

    fn give_up_connecting(&mut self, cause: ErrorCause) {
        let now = self.stack.now;
        if self.is_connecting() && !self.is_server() {
            self.unreachable = Some(cause);
            self.stack.quic.close(now, 0, b"");
        }
    }

    /// An ICMP error does not make a socket readable. A client that connects therefore checks for one now and
    /// then, so that a closed port is reported within milliseconds instead of with the first probe.
    pub(super) fn look_for_errors(&mut self) {
        let now = self.stack.now;
        if self.look_at.is_none() && self.looks < MAX_LOOKS && !self.is_server() && self.is_connecting() {
            self.look_at = Some(now + FIRST_LOOK * (1 << self.looks));
            self.looks += 1;
        }
    }
}

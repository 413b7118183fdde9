//! Panics of the application's code, and where they end.
//!
//! The driver's task runs code of the application in the turns of its connections: what a rustls
//! configuration contains (verifiers, resolvers, key log, session stores), congestion controllers and their
//! factories, wakers, owners of bytes. A panic in a turn ends only that connection. Its state may be
//! inconsistent, so nothing uses it any more but a last datagram for the peer. If panics abort the process,
//! they still do.
//!
//! Owns the end of such a connection. It must never know which code panicked.

use std::sync::Arc;

use quic_core::{ConnectionHandle, Response, base::Timestamp};

use super::{
    panics::{Panicked, contain, quietly},
    shard::Shard,
    state::conn::{Conn, Role},
};
use crate::{
    error::WebTransportError,
    lines::{LineLimit, brief},
    mailbox::RecvEnd,
};

/// Room for a connection's last datagram.
const FAREWELL: usize = 1200;

impl Shard {
    /// Limits log lines about failures that peers can cause; a server's shards share it.
    pub(super) fn lines(&self) -> &LineLimit {
        self.server.as_ref().map_or(&self.lines, |server| server.lines())
    }

    /// Runs a connection's turn, or a part of it: everything that may call code of the application. `None` if
    /// there is no such connection, or if it has just ended by a panic.
    pub(super) fn enter<T>(
        &mut self,
        index: usize,
        now: Timestamp,
        work: impl FnOnce(&mut Conn) -> T,
    ) -> Option<T> {
        let connection = self.connections.get_mut(index)?.as_mut()?;
        connection.stack.now = now;
        contain(|| work(connection)).map_err(|panicked| self.end_after_panic(index, &panicked, now)).ok()
    }

    /// Ends a connection in whose turn code of the application panicked. Frees its slot, memory and
    /// connection IDs.
    pub(super) fn end_after_panic(&mut self, index: usize, panicked: &Panicked, now: Timestamp) {
        let Some(mut connection) = self.connections.get_mut(index).and_then(Option::take) else { return };
        let (remote, Panicked(message)) = (connection.quic().remote_address(), panicked);
        if let Some(withheld) = self.lines().permit(now) {
            let message = brief(message);
            tracing::error!(%remote, message, withheld, "code of the application panicked; its connection ends");
        }
        if let Some(at) = connection.deadline {
            self.deadlines.remove(&(at, index));
        }
        self.endpoint.forget(ConnectionHandle(index));
        let mut bytes = vec![0; FAREWELL];
        if let Ok(Some(last)) = contain(|| connection.quic().farewell(now, &mut bytes)) {
            bytes.truncate(last.size);
            self.answer(Response { remote: last.remote, local_ip: last.local_ip, bytes });
        }
        self.retire(index, &connection);
        connection.end_for_panic(panicked);
    }

    /// Drops a connection whose end every caller knows.
    pub(super) fn release(connection: Option<Box<Conn>>) {
        quietly(|| drop(connection));
    }
}

impl Conn {
    /// Every caller that waits for this connection learns that code of the application panicked, each
    /// separately, because their wakers are code of the application, too. The layers below are not used.
    fn end_for_panic(mut self: Box<Self>, panicked: &Panicked) {
        let cause = panicked.cause();
        let error = WebTransportError::session(cause.clone());
        quietly(|| self.tell_end(&cause, None));
        for mut claimed in self.take_claims() {
            quietly(|| claimed.fail(&error));
        }
        for id in self.stream_ids(None) {
            let Some(stream) = self.streams.remove(&id) else { continue };
            if let Some(sending) = stream.send {
                quietly(|| sending.fail(&error));
            }
            if let Some(receiving) = stream.recv {
                let end = RecvEnd::Failed(error.clone());
                quietly(|| receiving.deliver(&mut Vec::new(), Some(end), false));
            }
        }
        for key in self.table.keys() {
            let Some(entry) = self.table.remove(key) else { continue };
            if let (Role::Server(server), true) = (&self.role, entry.counted) {
                server.session_ended(&entry.shared);
            }
            let shared = Arc::clone(&entry.shared);
            quietly(|| entry.end(Err(error.clone())));
            quietly(|| shared.refuse_opens(&error));
            quietly(|| drop(shared));
        }
        quietly(|| self.fail_exchanges(&error));
        if self.started {
            quietly(|| self.leave_pool());
            quietly(|| self.fail_job(&error));
        }
        Shard::release(Some(self));
    }
}

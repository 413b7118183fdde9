//! What the engine sends, and when its connections have to be looked at again.

use std::collections::BTreeSet;

use quic_core::{
    ConnectionHandle, Response,
    base::{Ecn, Timestamp},
};
use wt_api::udp::{Progress, Train};

use super::{Driven, Engine};

impl Engine {
    /// Sends what a connection has to say before the rest is received: its peer goes on with that meanwhile.
    pub(super) fn send_first(&mut self, handle: ConnectionHandle) {
        if let Some(driven) = self.connections.get_mut(&handle.0) {
            while let Some(change) = driven.connection.poll_cid_change() {
                self.endpoint.handle_cid_change(handle, change);
            }
        }
        self.transmit();
        self.active.insert(handle.0);
    }

    pub(super) fn transmit(&mut self) {
        let now = self.now();
        if self.again_at.is_some_and(|at| at > now) {
            return;
        }
        self.again_at = None;
        if let Some((index, train)) = self.blocked.take()
            && !self.send(index, train, now)
        {
            return;
        }
        for Response { remote, local_ip, bytes } in std::mem::take(&mut self.responses) {
            let (size, segment_size) = (bytes.len(), bytes.len());
            let transmit = quic_core::Transmit { remote, local_ip, ecn: Ecn::NotEct, size, segment_size };
            // Losing such an answer costs nothing, because the peer asks again.
            let _ = self.trains.send(&self.socket, &mut Train::new(transmit), &bytes);
        }
        let mut again = BTreeSet::new();
        while let Some(index) = self.active.first().copied() {
            while let Some(train) = self.next_train(index, now) {
                if !self.send(index, train, now) {
                    return;
                }
            }
            self.active.remove(&index);
            self.schedule(index);
            // Sending made room for data of the application.
            if self.connections.get(&index).is_some_and(|driven| driven.connection.has_events()) {
                again.insert(index);
            }
        }
        self.active = again;
    }

    /// Puts a connection's deadline into the set.
    fn schedule(&mut self, index: usize) {
        let Some(driven) = self.connections.get_mut(&index) else { return };
        let Driven { connection, deadline, .. } = &mut **driven;
        let next = connection.poll_timeout();
        if next != *deadline {
            if let Some(at) = *deadline {
                self.deadlines.remove(&(at, index));
            }
            self.deadlines.extend(next.map(|at| (at, index)));
            *deadline = next;
        }
    }

    /// Writes a connection's next train into the send buffer.
    fn next_train(&mut self, index: usize, now: Timestamp) -> Option<Train> {
        let connection = &mut self.connections.get_mut(&index)?.connection;
        let size = connection.datagram_size();
        let train = size * self.trains.segments(size, &connection.remote_address());
        let room = train.max(connection.next_datagram_size(now)).min(self.send.len());
        connection.poll_transmit(now, &mut self.send[..room]).map(Train::new)
    }

    /// Sends a train. Returns false if the system takes no more now; the train then waits.
    fn send(&mut self, index: usize, mut train: Train, now: Timestamp) -> bool {
        let contents = &self.send[..train.transmit().size];
        match self.trains.send(&self.socket, &mut train, contents) {
            Progress::Done(news) => {
                // Other errors look like loss on the network.
                if let (Some(size), Some(driven)) = (news.too_large, self.connections.get_mut(&index)) {
                    driven.connection.handle_datagram_refused(now, size);
                }
                true
            }
            Progress::Blocked => {
                self.blocked = Some((index, train));
                false
            }
            Progress::Later(wait) => {
                self.blocked = Some((index, train));
                self.again_at = Some(now + wait);
                false
            }
        }
    }
}

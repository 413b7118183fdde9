//! Moves stream data between QUIC and the mailboxes.

use std::sync::Arc;

use quic_core::{Dir, Priority, StreamId, StreamMap, error::call::ReadProgress};

use super::state::{
    KEPT,
    conn::Conn,
    sending::{Sending, priority},
    stack::Layers,
    stream::{DriverStream, Half, error_of, is_open},
    table::SessionTable,
};
use crate::{
    error::WebTransportError,
    mailbox::{NewStream, RecvBox, RecvEnd, SendBox, SendEnd},
};

/// Slots for streams that stay allocated while there are none.
const KEPT_STREAMS: usize = 128;

impl Conn {
    /// Creates the mailboxes of a stream that either side opened.
    pub(super) fn add_stream(&mut self, id: StreamId, session: u32, local: bool) -> NewStream {
        let boxes = Arc::clone(self.boxes());
        let bidi = id.dir() == Dir::Bidi;
        let send = (bidi || local).then(|| SendBox::new(id, Arc::clone(&boxes)));
        let held = self.table.get(session).filter(|_| self.stack.sessions.flow_control());
        let held = held.map(|entry| Arc::clone(&entry.held));
        let recv = (bidi || !local).then(|| RecvBox::new(id, boxes, held));
        let sending = send.as_ref().map(|shared| Sending::new(Arc::clone(shared)));
        let stream = DriverStream { session, send: sending, recv: recv.clone(), ..DriverStream::default() };
        self.insert_stream(id, stream);
        NewStream { send, recv }
    }

    /// Adds a stream whose mailboxes exist.
    pub(super) fn insert_stream(&mut self, id: StreamId, stream: DriverStream) {
        let key = stream.session;
        if let Some(sending) = &stream.send {
            let urgency = self.table.get(key).map_or(Priority::default().urgency, |entry| entry.urgency);
            let rank = priority(key, urgency, sending.rank());
            // Usually the first session's streams have the connection's default priority anyway.
            if rank != Priority::default() {
                self.stack.quic.set_priority(id, rank);
            }
        }
        self.streams.insert(id, stream);
    }

    /// Moves QUIC's data into the mailbox, as far as there is room.
    pub(super) fn pump_recv(&mut self, id: StreamId) {
        self.pump_body(id);
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let Some(recv) = &stream.recv else { return };
        match recv.room() {
            Err(code) => {
                let Layers { sessions, mut transport, .. } = self.stack.layers();
                let _ = sessions.stop(id, code, &mut transport);
                self.end_recv(id);
            }
            Ok(0) => set_full(&mut self.table, id, stream, true),
            Ok(room) => {
                if self.fill(id, room) {
                    self.end_recv(id);
                }
            }
        }
    }

    /// Bytes of a stream received without a gap, payload only; `None` once its receiving half has ended.
    pub(super) fn bytes_received(&mut self, id: StreamId) -> Option<u64> {
        let stream = self.streams.get(&id).filter(|stream| stream.recv.is_some())?;
        let stats = self.stack.quic.recv_stream_stats(id)?;
        Some(stream.delivered + stats.bytes_received.saturating_sub(stats.bytes_read))
    }

    /// Reads up to `room` bytes into the mailbox. True at the end of the stream.
    fn fill(&mut self, id: StreamId, room: usize) -> bool {
        let Self { streams, stack, table, chunks, .. } = self;
        let Some(stream) = streams.get_mut(&id) else { return false };
        let Some(recv) = &stream.recv else { return false };
        let Layers { sessions, mut transport, .. } = stack.layers();
        let read = sessions.read_chunks(id, room, chunks, &mut transport);
        let full = read == Ok(ReadProgress::Full);
        let end = match read {
            Ok(ReadProgress::Finished) => Some(RecvEnd::Finished),
            Ok(_) => None,
            Err(error) => {
                let open = is_open(table, sessions, stream.session);
                error_of(error, Half::Recv, open).map(RecvEnd::Failed)
            }
        };
        let over = end.is_some();
        stream.delivered += chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        recv.deliver(chunks, end, full);
        if chunks.capacity() > KEPT {
            *chunks = Vec::new();
        }
        set_full(table, id, stream, full);
        over
    }

    fn end_recv(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        set_full(&mut self.table, id, stream, false);
        let recv = stream.recv.take();
        if id.initiator() != self.stack.quic.side() {
            recv.iter().for_each(|shared| shared.linger());
        }
        if stream.is_over() {
            self.remove_stream(id);
        }
    }

    pub(super) fn remove_stream(&mut self, id: StreamId) {
        self.streams.remove(&id);
        // After a burst of streams an idle connection should be small again.
        if self.streams.is_empty() && self.streams.capacity() > KEPT_STREAMS {
            self.streams = StreamMap::default();
        }
    }

    /// A clean close ends the session, but not what the peer had finished before: that moves into the
    /// mailboxes now, beyond their limits; the connection's flow-control window bounds it.
    pub(super) fn drain_streams(&mut self, session: Option<u32>) {
        for id in self.stream_ids(session) {
            let Some(shared) = self.streams.get(&id).and_then(|stream| stream.recv.clone()) else { continue };
            if shared.stopped().is_none() && self.fill(id, usize::MAX) {
                self.end_recv(id);
            }
        }
    }

    /// The streams of one session, or all, in an order that is the same in each run: the order of wake-ups
    /// may decide what happens.
    pub(super) fn stream_ids(&self, session: Option<u32>) -> Vec<StreamId> {
        let of_session = |stream: &DriverStream| session.is_none_or(|key| stream.session == key);
        let mut ids: Vec<StreamId> =
            self.streams.iter().filter(|(_, stream)| of_session(stream)).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    /// Fails all remaining streams of one session, or all.
    pub(super) fn end_streams(&mut self, session: Option<u32>, error: &WebTransportError) {
        self.fail_claims(session, error);
        for id in self.stream_ids(session) {
            self.end_send(id, SendEnd::Failed(error.clone()));
            let recv = self.streams.get_mut(&id).and_then(|stream| stream.recv.take());
            if let Some(shared) = recv {
                shared.deliver(&mut Vec::new(), Some(RecvEnd::Failed(error.clone())), false);
                self.remove_stream(id);
            }
        }
    }
}

/// Records whether a stream's mailbox has no room: its session then counts what QUIC holds.
fn set_full(table: &mut SessionTable, id: StreamId, stream: &mut DriverStream, full: bool) {
    if std::mem::replace(&mut stream.full, full) == full {
        return;
    }
    let Some(entry) = table.get_mut(stream.session) else { return };
    if full {
        entry.full.insert(id);
    } else {
        entry.full.remove(&id);
    }
}

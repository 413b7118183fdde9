//! Moves stream data between QUIC and the boxes.

use std::sync::Arc;

use h3_core::transport::ConnTransport;
use quic_core::{Dir, Priority, StreamId, StreamMap, base::Timestamp, error::call::Read};

use super::state::{
    conn::Conn,
    sending::{Sending, priority},
    stream::{DriverStream, Half, error_of, is_open},
};
use crate::{
    error::WebTransportError,
    mailbox::{NewStream, RecvBox, RecvEnd, SendBox, SendEnd},
};

/// Places for streams that stay allocated while there is none.
const KEPT: usize = 64;
/// Pieces that one read of a stream finds room for before its list grows.
const AT_ONCE: usize = 16;

impl Conn {
    /// Makes the boxes of a stream that was opened by either side.
    pub(super) fn add_stream(&mut self, id: StreamId, session: u32, local: bool) -> NewStream {
        let boxes = Arc::clone(self.boxes());
        let bidi = id.dir() == Dir::Bidi;
        let send = (bidi || local).then(|| SendBox::new(id, Arc::clone(&boxes)));
        let held = self.lives.get(session).filter(|_| self.sessions.flow_control());
        let held = held.map(|live| Arc::clone(&live.held));
        let recv = (bidi || !local).then(|| RecvBox::new(id, boxes, held));
        let sending = send.as_ref().map(|shared| Sending::new(Arc::clone(shared)));
        let stream = DriverStream { session, send: sending, recv: recv.clone(), delivered: 0 };
        self.insert_stream(id, stream);
        NewStream { send, recv }
    }

    /// Adds a stream whose boxes are made.
    pub(super) fn insert_stream(&mut self, id: StreamId, stream: DriverStream) {
        let key = stream.session;
        if let Some(sending) = &stream.send {
            let urgency = self.lives.get(key).map_or(Priority::default().urgency, |live| live.urgency);
            let rank = priority(key, urgency, sending.rank());
            // The first session's streams rank as the connection ranks them anyway, as a rule.
            if rank != Priority::default() {
                self.quic.set_priority(id, rank);
            }
        }
        self.streams.insert(id, stream);
    }

    /// Moves what QUIC holds into the box, as far as there is room.
    pub(super) fn pump_recv(&mut self, id: StreamId, now: Timestamp) {
        self.pump_body(id, now);
        let Some(shared) = self.streams.get(&id).and_then(|stream| stream.recv.clone()) else { return };
        let mut transport = ConnTransport::new(&mut self.quic, now);
        if let Some(code) = shared.stopped() {
            let _ = self.sessions.stop(id, code, &mut transport);
            return self.end_recv(id);
        }
        let room = shared.room();
        if room == 0 {
            self.set_starved(id, true);
        } else if self.fill(id, &shared, room, now) {
            self.end_recv(id);
        }
    }

    /// Whether a stream's box has no room for more.
    fn set_starved(&mut self, id: StreamId, starved: bool) {
        let session = self.streams.get(&id).map(|stream| stream.session);
        let Some(live) = session.and_then(|session| self.lives.get_mut(session)) else { return };
        if starved {
            live.starved.insert(id);
        } else if !live.starved.is_empty() {
            live.starved.remove(&id);
        }
    }

    /// Bytes of a stream received without a gap, the payload alone; `None` once its receiving half is over.
    pub(super) fn bytes_received(&mut self, id: StreamId) -> Option<u64> {
        let stream = self.streams.get(&id).filter(|stream| stream.recv.is_some())?;
        let stats = self.quic.recv_stream_stats(id)?;
        Some(stream.delivered + stats.bytes_received.saturating_sub(stats.bytes_read))
    }

    /// Reads up to `room` bytes into the box; true at the end of the stream.
    fn fill(&mut self, id: StreamId, shared: &RecvBox, mut room: usize, now: Timestamp) -> bool {
        let mut transport = ConnTransport::new(&mut self.quic, now);
        let mut chunks = Vec::with_capacity(AT_ONCE);
        let mut end = None;
        while room > 0 {
            match self.sessions.read(id, room, &mut transport) {
                Ok(Read::Data(bytes)) => {
                    room = room.saturating_sub(bytes.len());
                    chunks.push(bytes);
                }
                Ok(Read::Finished) => end = Some(RecvEnd::Finished),
                Ok(Read::Blocked) => break,
                Err(error) => {
                    let key = self.streams.get(&id).map(|stream| stream.session);
                    let open = key.is_some_and(|key| is_open(&self.lives, &self.sessions, key));
                    end = error_of(error, Half::Recv, open).map(RecvEnd::Failed);
                    break;
                }
            }
            if end.is_some() {
                break;
            }
        }
        let over = end.is_some();
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.delivered += chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        }
        shared.deliver(&mut chunks, end, room == 0);
        self.set_starved(id, room == 0 && !over);
        over
    }

    fn end_recv(&mut self, id: StreamId) {
        self.set_starved(id, false);
        let recv = self.streams.get_mut(&id).and_then(|stream| stream.recv.take());
        if id.initiator() != self.quic.side() {
            recv.iter().for_each(|shared| shared.linger());
        }
        self.forget_stream(id);
    }

    pub(super) fn forget_stream(&mut self, id: StreamId) {
        if self.streams.get(&id).is_some_and(DriverStream::is_over) {
            self.streams.remove(&id);
        }
        // After a burst of streams an idle connection is to be small again.
        if self.streams.is_empty() && self.streams.capacity() > KEPT {
            self.streams = StreamMap::default();
        }
    }

    /// A clean close takes the session away, but not what the peer had finished before: it moves into the boxes now,
    /// beyond their limits; the connection's flow-control window bounds it.
    pub(super) fn drain_streams(&mut self, session: Option<u32>, now: Timestamp) {
        for id in self.stream_ids(session) {
            let Some(shared) = self.streams.get(&id).and_then(|stream| stream.recv.clone()) else { continue };
            if shared.stopped().is_none() && self.fill(id, &shared, usize::MAX, now) {
                self.end_recv(id);
            }
        }
    }

    /// The streams of one session, or of all, in an order that does not change from run to run: who is woken first may
    /// decide what happens.
    pub(super) fn stream_ids(&self, session: Option<u32>) -> Vec<StreamId> {
        let of_session = |stream: &DriverStream| session.is_none_or(|key| stream.session == key);
        let mut ids: Vec<StreamId> =
            self.streams.iter().filter(|(_, stream)| of_session(stream)).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    /// All streams that are left, of one session or of all, fail.
    pub(super) fn end_streams(&mut self, session: Option<u32>, error: &WebTransportError) {
        self.fail_claims(session, error);
        for id in self.stream_ids(session) {
            self.end_send(id, SendEnd::Failed(error.clone()));
            let recv = self.streams.get_mut(&id).and_then(|stream| stream.recv.take());
            if let Some(shared) = recv {
                shared.deliver(&mut Vec::new(), Some(RecvEnd::Failed(error.clone())), false);
            }
            self.forget_stream(id);
        }
    }
}

//! Moves stream data between QUIC and the boxes.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use h3_core::transport::ConnTransport;
use quic_core::{Dir, Priority, StreamId, base::Timestamp, error::call::Read};
use wt_session::StreamError;

use super::connection::Conn;
use crate::{
    error::{ErrorCause, WebTransportError},
    mailbox::{NewStream, RecvBox, RecvEnd, SendBox, SendEnd},
};

/// A stream that the application knows.
#[derive(Debug, Default)]
pub(super) struct DriverStream {
    send: Option<Sending>,
    recv: Option<Arc<RecvBox>>,
}

#[derive(Debug)]
struct Sending {
    shared: Arc<SendBox>,
    /// Taken from the box, not by QUIC yet.
    pending: VecDeque<Bytes>,
    finished: bool,
}

fn error_of(error: StreamError) -> WebTransportError {
    match error {
        StreamError::Reset(code) => WebTransportError::stream(ErrorCause::StreamReset(code)),
        StreamError::Stopped(code) => WebTransportError::stream(ErrorCause::StreamStopped(code)),
        _ => WebTransportError::session(ErrorCause::SessionClosed),
    }
}

impl DriverStream {
    fn is_over(&self) -> bool {
        self.send.is_none() && self.recv.is_none()
    }

    /// Whether data of a finished stream is not acknowledged yet.
    fn is_finishing(&self) -> bool {
        self.send.as_ref().is_some_and(|sending| sending.finished)
    }
}

impl Conn {
    /// Makes the boxes of a stream that was opened by either side.
    pub(super) fn add_stream(&mut self, id: StreamId, local: bool) -> NewStream {
        let boxes = Arc::clone(self.boxes());
        let bidi = id.dir() == Dir::Bidi;
        let send = (bidi || local).then(|| SendBox::new(id, Arc::clone(&boxes)));
        let recv = (bidi || !local).then(|| RecvBox::new(id, boxes));
        let sending = send.as_ref().map(|shared| Sending {
            shared: Arc::clone(shared),
            pending: VecDeque::new(),
            finished: false,
        });
        self.streams.insert(id, DriverStream { send: sending, recv: recv.clone() });
        NewStream { send, recv }
    }

    /// Moves what the box holds into QUIC.
    pub(super) fn pump_send(&mut self, id: StreamId, now: Timestamp) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let Some(sending) = &mut stream.send else { return };
        let taken = sending.shared.take(&mut sending.pending);
        let mut transport = ConnTransport::new(&mut self.quic, now);
        if let Some(order) = taken.order {
            transport.conn.set_priority(id, Priority { order, ..Priority::default() });
        }
        if let Some(code) = taken.reset {
            let _ = self.sessions.reset(id, code, &mut transport);
            sending.shared.end(SendEnd::Reset);
            stream.send = None;
            return self.forget_stream(id);
        }
        let mut sent = 0;
        let mut failed = None;
        while let Some(front) = sending.pending.front_mut() {
            match self.sessions.write(id, front, &mut transport) {
                Ok(0) => break,
                Ok(count) => sent += count,
                Err(error) => {
                    failed = Some(error_of(error));
                    break;
                }
            }
            if front.is_empty() {
                sending.pending.pop_front();
            }
        }
        if failed.is_none() && taken.finish && sending.pending.is_empty() && !sending.finished {
            sending.finished = true;
            failed = self.sessions.finish(id, &mut transport).err().map(error_of);
        }
        if let Some(error) = failed {
            sending.shared.end(SendEnd::Failed(error));
            stream.send = None;
            return self.forget_stream(id);
        }
        if sent > 0 {
            sending.shared.sent(sent);
        }
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
        if room > 0 && self.fill(id, &shared, room, now) {
            self.end_recv(id);
        }
    }

    /// Reads up to `room` bytes into the box; true at the end of the stream.
    fn fill(&mut self, id: StreamId, shared: &RecvBox, mut room: usize, now: Timestamp) -> bool {
        let mut transport = ConnTransport::new(&mut self.quic, now);
        let mut chunks = Vec::new();
        let mut end = None;
        while room > 0 {
            match self.sessions.read(id, room, &mut transport) {
                Ok(Read::Data(bytes)) => {
                    room = room.saturating_sub(bytes.len());
                    chunks.push(bytes);
                }
                Ok(Read::Finished) => end = Some(RecvEnd::Finished),
                Ok(Read::Blocked) => break,
                Err(error) => end = Some(RecvEnd::Failed(error_of(error))),
            }
            if end.is_some() {
                break;
            }
        }
        let over = end.is_some();
        shared.deliver(&mut chunks, end, room == 0);
        over
    }

    fn end_recv(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.recv = None;
        }
        self.forget_stream(id);
    }

    fn forget_stream(&mut self, id: StreamId) {
        if self.streams.get(&id).is_some_and(DriverStream::is_over) {
            self.streams.remove(&id);
        }
    }

    /// The peer stopped reading.
    pub(super) fn on_stopped(&mut self, id: StreamId, code: Option<u32>) {
        self.end_send(id, SendEnd::Failed(WebTransportError::stream(ErrorCause::StreamStopped(code))));
    }

    /// All data is acknowledged.
    pub(super) fn on_sent(&mut self, id: StreamId) {
        self.end_send(id, SendEnd::Acknowledged);
    }

    fn end_send(&mut self, id: StreamId, end: SendEnd) {
        if let Some(sending) = self.streams.get_mut(&id).and_then(|stream| stream.send.take()) {
            sending.shared.end(end);
        }
        self.forget_stream(id);
    }

    /// Whether data of finished streams is still on its way.
    pub(super) fn has_unacknowledged(&self) -> bool {
        self.streams.values().any(DriverStream::is_finishing)
    }

    /// A clean close takes the session away, but not what the peer had finished before: it moves into the boxes now,
    /// beyond their limits; the connection's flow-control window bounds it.
    pub(super) fn drain_streams(&mut self, now: Timestamp) {
        for id in self.stream_ids() {
            let Some(shared) = self.streams.get(&id).and_then(|stream| stream.recv.clone()) else { continue };
            if shared.stopped().is_none() && self.fill(id, &shared, usize::MAX, now) {
                self.end_recv(id);
            }
        }
    }

    /// The streams in an order that does not change from run to run: who is woken first may decide what happens.
    fn stream_ids(&self) -> Vec<StreamId> {
        let mut ids: Vec<StreamId> = self.streams.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// All streams that are left fail.
    pub(super) fn end_streams(&mut self, error: &WebTransportError) {
        for id in self.stream_ids() {
            let Some(stream) = self.streams.remove(&id) else { continue };
            if let Some(sending) = stream.send {
                sending.shared.end(SendEnd::Failed(error.clone()));
            }
            if let Some(shared) = stream.recv {
                shared.deliver(&mut Vec::new(), Some(RecvEnd::Failed(error.clone())), false);
            }
        }
    }
}

//! Streams of sessions (§4.2, §4.3, §4.4): opening, reading, writing, resets.

use bytes::Bytes;
use quic_core::{
    Dir, StreamId, StreamMap,
    error::call::{Read, ReadError, ReadProgress, WriteError},
};

use super::{Sessions, TAG};
use crate::{
    codes::{self, WT_SESSION_GONE},
    error::{SessionGone, StreamError},
    event::{Event, SessionId},
    flow::Limited,
    session::{Receiving, Sending, WtStream},
    transport::SessionTransport,
};

/// The credit that an own stream earns in the idle meter, in bytes: as much as one capsule costs.
const STREAM_CREDIT: u64 = 1024;

impl Sessions {
    /// Opens a stream of an established session. Returns `None` if the session or QUIC gives no credit now;
    /// `StreamsAvailable` follows. The peer does not see the stream until something is written or
    /// [flushed](Self::flush_preface); flush at once to announce an empty stream.
    pub fn open<T: SessionTransport>(
        &mut self,
        session: SessionId,
        dir: Dir,
        t: &mut T,
    ) -> Result<Option<StreamId>, SessionGone> {
        let entry = self.sessions.get_mut(&session).filter(|session| session.is_open()).ok_or(SessionGone)?;
        let preface = entry.preface(dir);
        // §5.3: this limit applies in addition to QUIC's.
        let limited = Limited::Streams(dir);
        if let Some(flow) = entry.flow.as_mut().filter(|flow| flow.send.left(limited) == 0) {
            flow.send.block(limited);
            self.touch(session);
            return Ok(None);
        }
        let Some(stream) = t.open(dir) else { return Ok(None) };
        if let Some(flow) = &mut entry.flow {
            flow.send.charge(limited, 1);
            // When it ends, the peer may send a capsule that grants another stream.
            self.idle.earn(STREAM_CREDIT);
        }
        t.set_tag(stream, TAG);
        let header = preface.len() as u64;
        let sending = Sending { reliable: header, preface, header, ..Sending::default() };
        self.unflushed += 1;
        let receiving = (dir == Dir::Bidi).then(Receiving::default);
        if receiving.is_some() {
            t.hand_over(stream);
        }
        self.streams.insert(stream, WtStream { session, sending: Some(sending), receiving });
        Ok(Some(stream))
    }

    /// Opens a stream that belongs to no session and resets it at once. The caller uses this for an ID that
    /// it promised to a session that is over, so that later IDs need not wait. Returns `None` if the
    /// transport opens no stream now.
    ///
    /// The peer sees a stream that was reset without data, and assigns it to no session.
    pub fn pass_over<T: SessionTransport>(&mut self, dir: Dir, t: &mut T) -> Option<StreamId> {
        let stream = t.open(dir)?;
        t.set_tag(stream, TAG);
        let _ = t.reset(stream, WT_SESSION_GONE, 0);
        if dir == Dir::Bidi {
            let _ = t.stop_sending(stream, WT_SESSION_GONE);
        }
        Some(stream)
    }

    /// How many streams the session's limit lets this end open now (§5.3); `None` without session flow
    /// control.
    #[must_use]
    pub fn streams_left(&self, session: SessionId, dir: Dir) -> Option<u64> {
        let flow = self.sessions.get(&session)?.flow.as_ref()?;
        Some(flow.send.left(Limited::Streams(dir)))
    }

    /// Whether a stream has a preface that the transport has not taken completely.
    #[must_use]
    pub fn has_unflushed(&self) -> bool {
        self.unflushed > 0
    }

    /// Reads the next bytes, at most `max`. It returns the end or a reset once; then the receiving side is
    /// gone.
    pub fn read<T: SessionTransport>(
        &mut self,
        stream: StreamId,
        max: usize,
        t: &mut T,
    ) -> Result<Read, StreamError> {
        // Counted first: once the end is read, the transport no longer knows the count.
        if self.flow && !self.count_received(stream, t) {
            return Err(StreamError::SessionGone);
        }
        match t.read(stream, max) {
            Ok(Read::Data(bytes)) => {
                if self.flow {
                    self.count_consumed(stream, Some(bytes.len()));
                }
                Ok(Read::Data(bytes))
            }
            Ok(Read::Finished) => {
                self.end_receiving(stream);
                Ok(Read::Finished)
            }
            Ok(read) => Ok(read),
            Err(error) => Err(self.read_error(stream, error)),
        }
    }

    /// As [`Sessions::read`], but reads until it has `max` bytes, nothing is left, or the stream ends. It
    /// appends what it read to `chunks`, also if it then fails.
    pub fn read_chunks<T: SessionTransport>(
        &mut self,
        stream: StreamId,
        max: usize,
        chunks: &mut Vec<Bytes>,
        t: &mut T,
    ) -> Result<ReadProgress, StreamError> {
        // Counted first: once the end is read, the transport no longer knows the count.
        if self.flow && !self.count_received(stream, t) {
            return Err(StreamError::SessionGone);
        }
        let before = chunks.len();
        let read = t.read_chunks(stream, max, chunks);
        if self.flow {
            let bytes = chunks.iter().skip(before).map(Bytes::len).sum();
            self.count_consumed(stream, Some(bytes));
        }
        match read {
            Ok(progress) => {
                if progress == ReadProgress::Finished {
                    self.end_receiving(stream);
                }
                Ok(progress)
            }
            Err(error) => Err(self.read_error(stream, error)),
        }
    }

    fn read_error(&mut self, stream: StreamId, error: ReadError) -> StreamError {
        let ReadError::Reset(code) = error else { return self.closed() };
        self.end_receiving(stream);
        if code == WT_SESSION_GONE {
            StreamError::SessionGone
        } else {
            StreamError::Reset(codes::to_application(code))
        }
    }

    /// Writes a prefix of `data`, removes it from `data` and returns its length in bytes. It returns 0 for
    /// non-empty `data` if the session's limit or QUIC blocks it; `Writable` follows.
    pub fn write<T: SessionTransport>(
        &mut self,
        stream: StreamId,
        data: &mut Bytes,
        t: &mut T,
    ) -> Result<usize, StreamError> {
        if self.unflushed > 0 && !self.flush_preface(stream, t)? {
            return Ok(0);
        }
        if self.flow {
            return self.write_within(stream, data, t);
        }
        t.write(stream, data).map_err(|error| self.write_error(error))
    }

    /// Makes the stream known to the peer before anything is written. Returns false if it is blocked;
    /// `Writable` follows.
    pub fn flush_preface<T: SessionTransport>(
        &mut self,
        stream: StreamId,
        t: &mut T,
    ) -> Result<bool, StreamError> {
        let Some(Sending { preface, finishing, .. }) =
            self.streams.get_mut(&stream).and_then(|stream| stream.sending.as_mut())
        else {
            return Ok(true);
        };
        if *finishing {
            return Err(StreamError::Closed);
        }
        if preface.is_empty() {
            return Ok(true);
        }
        let written = t.write(stream, preface);
        let done = preface.is_empty();
        self.unflushed -= usize::from(done);
        match written {
            Ok(_) => Ok(done),
            Err(error) => Err(self.write_error(error)),
        }
    }

    /// Ends the stream's sending side after the data written so far; `Sent` follows when all of it is
    /// acknowledged.
    pub fn finish<T: SessionTransport>(&mut self, stream: StreamId, t: &mut T) -> Result<(), StreamError> {
        let flushed = self.unflushed == 0 || self.flush_preface(stream, t)?;
        if flushed {
            t.finish(stream).map_err(|error| self.write_error(error))?;
        }
        let Some(entry) = self.streams.get_mut(&stream) else { return Ok(()) };
        let session = entry.session;
        if let Some(sending) = &mut entry.sending {
            sending.finished = true;
            sending.finishing = !flushed;
            let turn = sending.turn.take();
            self.stop_waiting(session, turn);
        }
        Ok(())
    }

    /// Makes sure that the data written so far arrives even if the stream is reset later, provided that the
    /// peer supports `RESET_STREAM_AT`.
    pub fn commit<T: SessionTransport>(&mut self, stream: StreamId, t: &mut T) -> Result<(), StreamError> {
        self.flush_preface(stream, t)?;
        let written = t.bytes_written(stream);
        let sending = self.streams.get_mut(&stream).and_then(|stream| stream.sending.as_mut());
        let (Some(sending), Some(written)) = (sending, written) else { return Err(self.closed()) };
        sending.reliable = sending.reliable.max(written);
        Ok(())
    }

    /// Resets the sending side with an application code. The preface and committed data still arrive if the
    /// peer supports `RESET_STREAM_AT` (§4.4).
    pub fn reset<T: SessionTransport>(
        &mut self,
        stream: StreamId,
        code: u32,
        t: &mut T,
    ) -> Result<(), StreamError> {
        // The preface tells the peer whose stream it was.
        let _ = self.flush_preface(stream, t);
        if self.reset_with(stream, codes::to_http(code), t) { Ok(()) } else { Err(self.closed()) }
    }

    /// Stops the receiving side with an application code; unread and later data is discarded.
    pub fn stop<T: SessionTransport>(
        &mut self,
        stream: StreamId,
        code: u32,
        t: &mut T,
    ) -> Result<(), StreamError> {
        if self.flow {
            self.count_received(stream, t);
        }
        let entry = self.streams.get(&stream);
        let counted = entry.and_then(|entry| Some((entry.session, entry.receiving?)));
        let code = codes::to_http(code);
        let stopped = match counted {
            Some((session, receiving)) => self.discard(stream, session, receiving, code, t),
            None => t.stop_sending(stream, code),
        };
        self.end_receiving(stream);
        stopped.map_err(|_| self.closed())
    }

    /// Resets the sending side with an HTTP/3 code; false if there is none.
    fn reset_with<T: SessionTransport>(&mut self, stream: StreamId, code: u64, t: &mut T) -> bool {
        let Some((session, sending)) = self.take_sending(stream) else { return false };
        let reliable = if sending.preface.is_empty() { sending.reliable } else { 0 };
        let sent = t.sent_end(stream);
        let reset = t.reset(stream, code, reliable).is_ok();
        if self.flow {
            // The final size is what was sent and what must still be sent, also if the peer's stop arrived
            // first.
            let size = t.sent_end(stream);
            self.settle(session, &sending, size);
            if sent < size {
                self.keep_resetting(stream, session, sending, size);
            }
        }
        reset
    }

    /// This end closes the session: holds back the resets of its streams until the peer has the close.
    /// Otherwise Chromium can lose the code and the reason.
    pub(super) fn hold_streams<T: SessionTransport>(&self, session: SessionId, t: &mut T) {
        for (stream, _) in self.streams.iter().filter(|(_, stream)| stream.session == session) {
            t.hold_back(*stream, session.0);
        }
    }

    /// Ends the streams of a session that is over (§6). After a clean close by the peer, the streams that
    /// have arrived completely stay readable. Missing bytes of the others will not arrive, because the peer
    /// stopped sending them.
    pub(super) fn end_streams<T: SessionTransport>(&mut self, session: SessionId, clean: bool, t: &mut T) {
        let streams: Vec<StreamId> = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.session == session)
            .map(|(stream, _)| *stream)
            .collect();
        for stream in streams {
            self.reset_with(stream, WT_SESSION_GONE, t);
            if !(clean && t.is_whole(stream)) {
                let _ = t.stop_sending(stream, WT_SESSION_GONE);
                self.end_receiving(stream);
            }
        }
        self.drop_early(session, WT_SESSION_GONE, t);
    }

    pub(super) fn on_readable<T: SessionTransport>(&mut self, stream: StreamId, t: &mut T) {
        // A stream that waits for its session is announced as readable later.
        if self.streams.get(&stream).is_some_and(|stream| stream.receiving.is_some()) {
            if self.flow {
                self.count_received(stream, t);
            }
            self.events.push_back(Event::Readable { stream });
        }
    }

    pub(super) fn on_writable<T: SessionTransport>(&mut self, stream: StreamId, t: &mut T) {
        let Some(sending) = self.streams.get_mut(&stream).and_then(|stream| stream.sending.as_mut()) else {
            return;
        };
        if std::mem::take(&mut sending.finishing) {
            // Writes the rest of the preface and the end that waited for it. A stop has its own event.
            let _ = self.finish(stream, t);
        } else if !matches!(self.flush_preface(stream, t), Ok(false)) {
            self.events.push_back(Event::Writable { stream });
        }
    }

    pub(super) fn on_stream_stopped<T: SessionTransport>(&mut self, stream: StreamId, code: u64, t: &mut T) {
        if let Some((session, sending)) = self.take_sending(stream) {
            if self.flow {
                // QUIC has answered with a reset.
                self.settle(session, &sending, t.sent_end(stream));
            }
            self.events.push_back(Event::Stopped { stream, code: codes::to_application(code) });
        } else {
            // RFC 9000 §3.5: a plain reset replaces one that was not sent completely.
            if let Some((session, sending)) = self.resetting.remove(&stream) {
                self.settle(session, &sending, t.sent_end(stream));
            }
            self.early.on_stopped(stream, code);
        }
    }

    pub(super) fn on_sent(&mut self, stream: StreamId) {
        self.resetting.remove(&stream);
        if self.take_sending(stream).is_some_and(|(_, sending)| sending.finished) {
            self.events.push_back(Event::Sent { stream });
        }
    }

    fn take_sending(&mut self, stream: StreamId) -> Option<(SessionId, Sending)> {
        let entry = self.streams.get_mut(&stream)?;
        let session = entry.session;
        let sending = entry.sending.take()?;
        let over = entry.is_over();
        self.unflushed -= usize::from(!sending.preface.is_empty());
        self.stop_waiting(session, sending.turn);
        if over {
            self.retire(stream, session);
        }
        Some((session, sending))
    }

    fn end_receiving(&mut self, stream: StreamId) {
        if self.flow {
            self.count_consumed(stream, None);
        }
        let Some(entry) = self.streams.get_mut(&stream) else { return };
        entry.receiving = None;
        let session = entry.session;
        if entry.is_over() {
            self.retire(stream, session);
        }
    }

    /// Removes a stream whose two sides are over.
    fn retire(&mut self, stream: StreamId, session: SessionId) {
        self.streams.remove(&stream);
        slim(&mut self.streams);
        if stream.initiator() == self.side {
            return;
        }
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        entry.peer_streams = entry.peer_streams.saturating_sub(1);
        if let Some(flow) = &mut entry.flow {
            flow.receive.close(stream.dir());
            self.touch(session);
        }
    }

    pub(super) fn write_error(&self, error: WriteError) -> StreamError {
        match error {
            WriteError::Stopped(WT_SESSION_GONE) => StreamError::SessionGone,
            WriteError::Stopped(code) => StreamError::Stopped(codes::to_application(code)),
            _ => self.closed(),
        }
    }

    /// The error for a stream that is not there: it is closed, or no session is open.
    fn closed(&self) -> StreamError {
        if self.sessions.values().any(|session| session.is_open()) {
            StreamError::Closed
        } else {
            StreamError::SessionGone
        }
    }
}

/// Shrinks the table after a burst of streams, so that it has room for at most eight times its entries.
fn slim(streams: &mut StreamMap<WtStream>) {
    if streams.capacity() > 128 && streams.len() < streams.capacity() / 8 {
        streams.shrink_to(2 * streams.len());
    }
}

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

/// What a stream of this side earns its peer, as bytes: as much as one capsule costs.
const STREAM_WORTH: u64 = 1024;

impl Sessions {
    /// Opens a stream of an established session; `None`: no credit now, of the session or of QUIC: `StreamsAvailable`
    /// follows. The peer does not see the stream before something is written or
    /// [flushed](Self::flush_preface): a user that is to be told of an empty stream flushes at once.
    pub fn open<T: SessionTransport>(
        &mut self,
        session: SessionId,
        dir: Dir,
        t: &mut T,
    ) -> Result<Option<StreamId>, SessionGone> {
        let entry = self.sessions.get_mut(&session).filter(|session| session.is_open()).ok_or(SessionGone)?;
        let preface = entry.preface(dir);
        // §5.3: beside QUIC's own limit.
        let limited = Limited::Streams(dir);
        if let Some(flow) = entry.flow.as_mut().filter(|flow| flow.send.left(limited) == 0) {
            flow.send.block(limited);
            self.touch(session);
            return Ok(None);
        }
        let Some(stream) = t.open(dir) else { return Ok(None) };
        if let Some(flow) = &mut entry.flow {
            flow.send.charge(limited, 1);
            // Its end may bring a capsule that grants another one.
            self.idle.earn(STREAM_WORTH);
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

    /// Opens a stream and gives it up at once, for no session: its ID was promised to somebody for whom there is none any
    /// more, and later ones must not wait for it. `None`: the transport opens none now.
    ///
    /// The peer learns of a stream without data that was reset, and asks nobody whose it is.
    pub fn pass_over<T: SessionTransport>(&mut self, dir: Dir, t: &mut T) -> Option<StreamId> {
        let stream = t.open(dir)?;
        t.set_tag(stream, TAG);
        let _ = t.reset(stream, WT_SESSION_GONE, 0);
        if dir == Dir::Bidi {
            let _ = t.stop_sending(stream, WT_SESSION_GONE);
        }
        Some(stream)
    }

    /// Streams that the session's own limit lets this end open now (§5.3); `None`: there is no session flow control.
    #[must_use]
    pub fn streams_left(&self, session: SessionId, dir: Dir) -> Option<u64> {
        let flow = self.sessions.get(&session)?.flow.as_ref()?;
        Some(flow.send.left(Limited::Streams(dir)))
    }

    /// Whether the transport has not taken the whole preface of some stream.
    #[must_use]
    pub fn has_unflushed(&self) -> bool {
        self.unflushed > 0
    }

    /// Reads the next bytes, at most `max`. The end and a reset are told once, then the stream's reading side is gone.
    pub fn read<T: SessionTransport>(
        &mut self,
        stream: StreamId,
        max: usize,
        t: &mut T,
    ) -> Result<Read, StreamError> {
        // Before the end is read: then there is nothing left to ask.
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

    /// As [`Sessions::read`], but reads until `max` bytes were, nothing is left, or the stream ends, and appends what it read
    /// to `chunks`: also before an error.
    pub fn read_chunks<T: SessionTransport>(
        &mut self,
        stream: StreamId,
        max: usize,
        chunks: &mut Vec<Bytes>,
        t: &mut T,
    ) -> Result<ReadProgress, StreamError> {
        // Before the end is read: then there is nothing left to ask.
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

    /// Writes a prefix of `data` and takes it off `data`: how many bytes. 0 for data that is not empty is blocked, by
    /// the session's limit or by QUIC: `Writable` follows.
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

    /// Makes the stream known to the peer before anything is written. False: blocked, `Writable` follows.
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

    /// Ends the stream's sending side after what was written; `Sent` follows when all of it is acknowledged.
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

    /// Makes sure that what was written so far arrives even if the stream is reset later, with a peer that knows
    /// `RESET_STREAM_AT`.
    pub fn commit<T: SessionTransport>(&mut self, stream: StreamId, t: &mut T) -> Result<(), StreamError> {
        self.flush_preface(stream, t)?;
        let written = t.bytes_written(stream);
        let sending = self.streams.get_mut(&stream).and_then(|stream| stream.sending.as_mut());
        let (Some(sending), Some(written)) = (sending, written) else { return Err(self.closed()) };
        sending.reliable = sending.reliable.max(written);
        Ok(())
    }

    /// Gives the sending side up with an application code. The preface and what was committed still arrive, if the
    /// peer knows `RESET_STREAM_AT` (§4.4).
    pub fn reset<T: SessionTransport>(
        &mut self,
        stream: StreamId,
        code: u32,
        t: &mut T,
    ) -> Result<(), StreamError> {
        // So that the peer learns whose stream it was.
        let _ = self.flush_preface(stream, t);
        if self.reset_with(stream, codes::to_http(code), t) { Ok(()) } else { Err(self.closed()) }
    }

    /// Gives the receiving side up with an application code: what is there and what comes is discarded.
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
            // The final size: what was sent, and what still has to be. Also if the peer's word came first.
            let size = t.sent_end(stream);
            self.settle(session, &sending, size);
            if sent < size {
                self.keep_resetting(stream, session, sending, size);
            }
        }
        reset
    }

    /// This end closes the session: the peer is to hear of that, and why, before it hears that the streams are gone.
    /// Chromium can lose the code and the reason else.
    pub(super) fn hold_streams<T: SessionTransport>(&self, session: SessionId, t: &mut T) {
        for (stream, _) in self.streams.iter().filter(|(_, stream)| stream.session == session) {
            t.hold_back(*stream, session.0);
        }
    }

    /// The session is over (§6): its streams go. After a clean close by the peer, those that are whole stay readable. Where
    /// bytes are missing before the end, nobody would wait for them: the peer has given up what it had not got across.
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
        // One that waits for its session is announced as readable later.
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
            // The rest of the preface, and the end that waited for it. A stop is told by its own event.
            let _ = self.finish(stream, t);
        } else if !matches!(self.flush_preface(stream, t), Ok(false)) {
            self.events.push_back(Event::Writable { stream });
        }
    }

    pub(super) fn on_stream_stopped<T: SessionTransport>(&mut self, stream: StreamId, code: u64, t: &mut T) {
        if let Some((session, sending)) = self.take_sending(stream) {
            if self.flow {
                // QUIC has answered by a reset.
                self.settle(session, &sending, t.sent_end(stream));
            }
            self.events.push_back(Event::Stopped { stream, code: codes::to_application(code) });
        } else {
            // RFC 9000 §3.5: of a reset that has not left, a plain one became.
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

    /// Forgets a stream of which both sides are over.
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

    /// Why a stream is not there: it was closed, or everything was.
    fn closed(&self) -> StreamError {
        if self.sessions.values().any(|session| session.is_open()) {
            StreamError::Closed
        } else {
            StreamError::SessionGone
        }
    }
}

/// After a burst of streams the table is to be small again: at most eight times as large as what is in it.
fn slim(streams: &mut StreamMap<WtStream>) {
    if streams.capacity() > 128 && streams.len() < streams.capacity() / 8 {
        streams.shrink_to(2 * streams.len());
    }
}

//! The box of a receiving half of a stream.

use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use quic_core::StreamId;

use super::{
    CONNECTION_INBOX, ConnectionBox, Place, UnreadBytes, Waited, Waiters, Work, chunks::Chunks, lock,
};
use crate::error::{ErrorCause, WebTransportError};

/// The most bytes that a box holds. The rest stays in QUIC's flow-controlled buffers.
const LIMIT: usize = 256 << 10;
/// How many bytes a waiting reader gets even if the connection's boxes are full.
const RESERVE: usize = 64 << 10;

/// How a receiving half ended.
#[derive(Clone, Debug)]
pub(crate) enum RecvEnd {
    /// All data has been delivered.
    Finished,
    /// The stream failed. The error is returned after the delivered data.
    Failed(WebTransportError),
}

/// Data between the driver and a reader.
#[derive(Debug)]
pub(crate) struct RecvBox {
    id: StreamId,
    connection: Arc<ConnectionBox>,
    /// What the boxes of the session hold, if the session has its own flow control.
    session: Option<Arc<UnreadBytes>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    chunks: Chunks,
    bytes: usize,
    end: Option<RecvEnd>,
    /// Whether the reader knows of the end.
    told: bool,
    /// Whether it counts among the streams that the application has not read to their end.
    lingers: bool,
    reader: Waiters,
    /// Whether the driver left data in QUIC and must be told when there is room.
    wants_mark: bool,
    stop: Option<u32>,
    received: u64,
    /// How many bytes the application has read, without those that a stop dropped.
    read: u64,
}

impl RecvBox {
    pub(crate) fn new(
        id: StreamId,
        connection: Arc<ConnectionBox>,
        session: Option<Arc<UnreadBytes>>,
    ) -> Arc<Self> {
        Arc::new(Self { id, connection, session, state: Mutex::default() })
    }

    /// `bytes` bytes were removed from the box.
    fn took(&self, bytes: usize) {
        let wakes = self.connection.inbox().sub(bytes);
        let session = self.session.as_ref().is_some_and(|held| held.sub(bytes));
        if wakes || session {
            self.connection.wake();
        }
    }

    pub(crate) fn id(&self) -> StreamId {
        self.id
    }

    /// The reader's side: the next bytes, at most `max`; `None` at the end.
    pub(crate) fn poll_chunk(
        &self,
        cx: &Context<'_>,
        place: &mut Place,
        max: usize,
    ) -> Poll<Result<Option<Bytes>, WebTransportError>> {
        let mut state = lock(&self.state);
        if state.stop.is_some() {
            return Poll::Ready(Err(WebTransportError::stream(ErrorCause::StreamFinished)));
        }
        let taken = state.chunks.take(max);
        let bytes = taken.as_ref().map_or(0, Bytes::len);
        state.bytes -= bytes;
        state.read += bytes as u64;
        let refill = state.wants_mark && state.bytes <= LIMIT / 2;
        if refill {
            state.wants_mark = false;
        }
        let polled = match (taken, &state.end) {
            (Some(taken), _) => Poll::Ready(Ok(Some(taken))),
            (None, Some(RecvEnd::Finished)) => Poll::Ready(Ok(None)),
            (None, Some(RecvEnd::Failed(error))) => Poll::Ready(Err(error.clone())),
            (None, None) => {
                state.reader.add(place, cx);
                Poll::Pending
            }
        };
        let at_end = matches!(&polled, Poll::Ready(Ok(None) | Err(_)));
        state.told |= at_end;
        let lingered = at_end && std::mem::take(&mut state.lingers);
        drop(state);
        if lingered {
            self.leave_lingering();
        }
        if let Poll::Ready(Ok(Some(taken))) = &polled {
            self.took(taken.len());
        }
        if refill {
            self.connection.mark(Work::Recv(self.id));
        }
        polled
    }

    /// The reader stops the stream.
    pub(crate) fn stop(&self, code: u32) {
        let mut state = lock(&self.state);
        let tells = state.stop.is_none() && state.end.is_none();
        if tells {
            state.stop = Some(code);
        }
        let dropped = std::mem::take(&mut state.bytes);
        state.chunks = Chunks::default();
        state.told = true;
        let lingered = std::mem::take(&mut state.lingers);
        drop(state);
        self.took(dropped);
        if lingered {
            self.leave_lingering();
        }
        if tells {
            self.connection.mark(Work::Recv(self.id));
        }
    }

    /// The driver's side: QUIC has forgotten the stream, which the peer opened. Until the application has
    /// read it to its end, the peer may not open another one in its place.
    pub(crate) fn linger(&self) {
        let mut state = lock(&self.state);
        if !state.told && state.stop.is_none() && !std::mem::replace(&mut state.lingers, true) {
            // Counted before a reader can leave, so that the count never becomes negative.
            self.connection.lingering().add(self.id.dir());
        }
    }

    fn leave_lingering(&self) {
        if self.connection.lingering().sub(self.id.dir()) {
            self.connection.wake();
        }
    }

    /// How many bytes arrived here, and how many of them were read.
    pub(crate) fn stats(&self) -> (u64, u64) {
        let state = lock(&self.state);
        (state.received, state.read)
    }

    /// The driver's side: the code with which the reader stopped the stream.
    pub(crate) fn stopped(&self) -> Option<u32> {
        lock(&self.state).stop
    }

    /// The driver's side: how many bytes it may put in now. With 0, it is told once there is room. The error
    /// is the code with which the reader stopped.
    pub(crate) fn room(&self) -> Result<usize, u32> {
        let mut state = lock(&self.state);
        if let Some(code) = state.stop {
            return Err(code);
        }
        let mut room = LIMIT.saturating_sub(state.bytes);
        let connection = CONNECTION_INBOX.saturating_sub(self.connection.inbox().bytes());
        if connection < room {
            room = if state.bytes == 0 && !state.reader.is_empty() { RESERVE } else { connection };
        }
        state.wants_mark = room == 0;
        Ok(room)
    }

    /// The driver's side: puts data in. `wants_mark` is whether more data waits in QUIC.
    pub(crate) fn deliver(&self, chunks: &mut Vec<Bytes>, end: Option<RecvEnd>, wants_mark: bool) {
        let bytes: usize = chunks.iter().map(Bytes::len).sum();
        let mut state = lock(&self.state);
        if state.stop.is_some() {
            chunks.clear();
            state.end = state.end.take().or(end);
            return;
        }
        state.bytes += bytes;
        state.received += bytes as u64;
        chunks.drain(..).for_each(|chunk| state.chunks.push(chunk));
        if state.end.is_none() {
            state.end = end;
        }
        state.wants_mark = wants_mark && state.end.is_none();
        // A reader may have arrived while the driver read. It must not wait for a wake-up that will not come.
        let reader = state.reader.take();
        // Counted before a reader can take the data, so that the count never becomes negative.
        self.connection.inbox().add(bytes);
        self.session.iter().for_each(|held| held.add(bytes));
        drop(state);
        reader.wake();
    }
}

impl Waited for RecvBox {
    type Queue = ();

    fn leave(&self, (): (), place: &mut Place) {
        let gone = lock(&self.state).reader.leave(place);
        drop(gone);
    }
}

impl Drop for RecvBox {
    fn drop(&mut self) {
        let (bytes, lingers) = {
            let state = lock(&self.state);
            (state.bytes, state.lingers)
        };
        self.took(bytes);
        if lingers {
            self.leave_lingering();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn cx() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    #[test]
    fn a_full_box_is_marked_when_half_of_it_was_read() {
        let connection = Arc::new(ConnectionBox::default());
        let stream = RecvBox::new(StreamId::from_value(0).unwrap(), Arc::clone(&connection), None);
        assert_eq!(stream.room(), Ok(LIMIT));
        stream.deliver(&mut vec![Bytes::from(vec![1; LIMIT])], None, true);
        assert_eq!((stream.room(), connection.inbox().bytes()), (Ok(0), LIMIT));
        let mut dirty = Vec::new();
        let read = |max| match stream.poll_chunk(&cx(), &mut Place::default(), max) {
            Poll::Ready(Ok(Some(bytes))) => bytes.len(),
            _ => 0,
        };
        assert_eq!(read(100), 100);
        connection.take_pending(&mut dirty, &mut Vec::new());
        assert!(dirty.is_empty());
        assert_eq!(read(LIMIT / 2), LIMIT / 2);
        connection.take_pending(&mut dirty, &mut Vec::new());
        assert_eq!(dirty, [Work::Recv(stream.id())]);
        assert!(stream.room().unwrap() > 0);
    }

    #[test]
    fn a_full_connection_still_serves_a_waiting_reader() {
        let connection = Arc::new(ConnectionBox::default());
        connection.inbox().add(CONNECTION_INBOX);
        let stream = RecvBox::new(StreamId::from_value(0).unwrap(), Arc::clone(&connection), None);
        assert_eq!(stream.room(), Ok(0));
        assert!(stream.poll_chunk(&cx(), &mut Place::default(), 1).is_pending());
        let mut dirty = Vec::new();
        connection.take_pending(&mut dirty, &mut Vec::new());
        assert_eq!(dirty, [Work::Recv(stream.id())]);
        assert_eq!(stream.room(), Ok(RESERVE));
    }

    /// A reader that polls without waiting takes data as soon as it is available, so the data must be counted
    /// before.
    #[test]
    fn data_is_counted_before_it_can_be_taken() {
        let connection = Arc::new(ConnectionBox::default());
        let stream = RecvBox::new(StreamId::from_value(0).unwrap(), Arc::clone(&connection), None);
        let reader = {
            let stream = Arc::clone(&stream);
            std::thread::spawn(move || {
                let mut read = 0;
                loop {
                    match stream.poll_chunk(&cx(), &mut Place::default(), 1 << 20) {
                        Poll::Ready(Ok(Some(bytes))) => read += bytes.len(),
                        Poll::Ready(Ok(None)) => return read,
                        Poll::Ready(Err(error)) => panic!("{error}"),
                        Poll::Pending => std::hint::spin_loop(),
                    }
                }
            })
        };
        for _ in 0..200_000 {
            stream.deliver(&mut vec![Bytes::from_static(b"ab")], None, false);
        }
        stream.deliver(&mut Vec::new(), Some(RecvEnd::Finished), false);
        assert_eq!((reader.join().unwrap(), connection.inbox().bytes()), (400_000, 0));
    }

    #[test]
    fn data_comes_before_the_end() {
        let stream = RecvBox::new(StreamId::from_value(0).unwrap(), Arc::default(), None);
        let error = WebTransportError::stream(ErrorCause::StreamReset(Some(7)));
        stream.deliver(&mut vec![Bytes::from_static(b"ab")], Some(RecvEnd::Failed(error)), false);
        assert!(
            matches!(stream.poll_chunk(&cx(), &mut Place::default(), 9), Poll::Ready(Ok(Some(bytes))) if bytes == "ab")
        );
        let Poll::Ready(Err(error)) = stream.poll_chunk(&cx(), &mut Place::default(), 9) else {
            panic!("no error")
        };
        assert_eq!(error.stream_error_code(), Some(7));
    }

    #[test]
    fn data_dropped_by_a_stop_does_not_count_as_read() {
        for ended in [false, true] {
            let stream = RecvBox::new(StreamId::from_value(0).unwrap(), Arc::default(), None);
            stream.deliver(&mut vec![Bytes::from(vec![1; 100])], ended.then_some(RecvEnd::Finished), false);
            assert!(
                matches!(stream.poll_chunk(&cx(), &mut Place::default(), 30), Poll::Ready(Ok(Some(bytes))) if bytes.len() == 30)
            );
            assert_eq!(stream.stats(), (100, 30));
            stream.stop(1);
            assert_eq!((stream.stats(), stream.connection.inbox().bytes()), ((100, 30), 0));
        }
    }
}

//! The box of a sending half of a stream.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
};

use bytes::Bytes;
use quic_core::StreamId;
use tokio::sync::oneshot;

use super::{
    ConnectionBox, Pieces, Place, Rank, Waited, Waiters, Work, lock, values::StreamCounts, wake_all,
};
use crate::error::{ErrorCause, WebTransportError};

/// How a sending half ended.
#[derive(Clone, Debug)]
pub(crate) enum SendEnd {
    /// Everything is acknowledged, including the end.
    Acknowledged,
    /// This side reset it.
    Reset,
    /// The peer stopped it, or the session has ended.
    Failed(WebTransportError),
}

/// What the driver takes from the box.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// Whether the stream ends after the written data.
    pub(crate) finish: bool,
    /// The code of a reset. Data that was written and not committed is then forgotten.
    pub(crate) reset: Option<u32>,
    /// The new rank.
    pub(crate) rank: Option<Rank>,
    /// How many bytes of all written ones must arrive even if the stream is reset.
    pub(crate) committed: Option<u64>,
    /// A chunk to be written whole, or not at all.
    pub(crate) atomic: Option<Atomic>,
}

/// A chunk to be written whole, or not at all.
#[derive(Debug)]
pub(crate) struct Atomic {
    pub(crate) data: Bytes,
    /// Reports whether it was written.
    pub(crate) reply: oneshot::Sender<bool>,
}

/// Data between a writer and the driver.
#[derive(Debug)]
pub(crate) struct SendBox {
    id: StreamId,
    connection: Arc<ConnectionBox>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    chunks: Pieces<Bytes>,
    /// How many bytes are in the box, or were taken by the driver and not yet by QUIC.
    bytes: usize,
    written: u64,
    /// How many bytes the driver has taken.
    taken: u64,
    committed: u64,
    commit: bool,
    finish: bool,
    reset: Option<u32>,
    rank: Rank,
    ranked: bool,
    atomic: Option<Atomic>,
    end: Option<SendEnd>,
    /// The counts when the stream ended.
    counts: Option<StreamCounts>,
    /// Whether the driver knows that there is work.
    marked: bool,
    writer: Waiters,
    /// The tasks that wait for the end.
    waiters: Waiters,
}

/// What tasks wait for at a sending half.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SendQueue {
    /// Room.
    Room,
    /// The end.
    End,
}

impl State {
    /// Fails if nothing can be written any more.
    fn check(&self) -> Result<(), WebTransportError> {
        match &self.end {
            Some(SendEnd::Failed(error)) => Err(error.clone()),
            None if !self.finish && self.reset.is_none() => Ok(()),
            _ => Err(WebTransportError::stream(ErrorCause::StreamFinished)),
        }
    }

    fn mark(&mut self) -> bool {
        !std::mem::replace(&mut self.marked, true)
    }

    /// Forgets data that the driver has not taken and the writer did not commit.
    fn forget_uncommitted(&mut self) {
        let mut keep = usize::try_from(self.committed.saturating_sub(self.taken)).unwrap_or(usize::MAX);
        self.atomic = None;
        self.chunks.retain_mut(|chunk| {
            chunk.truncate(keep);
            keep -= chunk.len();
            !chunk.is_empty()
        });
    }
}

impl SendBox {
    pub(crate) fn new(id: StreamId, connection: Arc<ConnectionBox>) -> Arc<Self> {
        Arc::new(Self { id, connection, state: Mutex::default() })
    }

    /// The same for a stream whose rank the driver already knows.
    pub(crate) fn ranked(id: StreamId, connection: Arc<ConnectionBox>, rank: Rank) -> Arc<Self> {
        let state = State { rank, ..State::default() };
        Arc::new(Self { id, connection, state: Mutex::new(state) })
    }

    pub(crate) fn id(&self) -> StreamId {
        self.id
    }

    /// Whether the writer has finished the stream, and not reset it.
    pub(crate) fn is_finished(&self) -> bool {
        let state = lock(&self.state);
        state.finish && state.reset.is_none()
    }

    /// `bytes` bytes are in the box or at the driver now. The connection counts them.
    fn hold(&self, state: &mut State, bytes: usize) {
        self.connection.outbox().change(std::mem::replace(&mut state.bytes, bytes), bytes);
    }

    /// Changes the state and tells the driver.
    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = lock(&self.state);
        let result = change(&mut state);
        let mark = state.mark();
        drop(state);
        if mark {
            self.connection.mark(Work::Send(self.id));
        }
        result
    }

    /// The writer's side: copies a prefix of `data`. Returns how many bytes.
    pub(crate) fn poll_write(
        &self,
        cx: &Context<'_>,
        place: &mut Place,
        data: &[u8],
    ) -> Poll<Result<usize, WebTransportError>> {
        let mut taken = 0;
        let polled = self.poll_push(cx, place, |room| {
            taken = data.len().min(room);
            Bytes::copy_from_slice(&data[..taken])
        });
        polled.map(|result| result.map(|()| taken))
    }

    /// The writer's side: takes all of `data` once there is room for a part of it.
    pub(crate) fn poll_write_chunk(
        &self,
        cx: &Context<'_>,
        place: &mut Place,
        data: &mut Bytes,
    ) -> Poll<Result<(), WebTransportError>> {
        self.poll_push(cx, place, |_| std::mem::take(data))
    }

    /// The writer's side: ready when there is room for data.
    pub(crate) fn poll_room(
        &self,
        cx: &Context<'_>,
        place: &mut Place,
    ) -> Poll<Result<(), WebTransportError>> {
        let mut state = lock(&self.state);
        state.check()?;
        if self.connection.outbox().room(state.bytes) > 0 {
            return Poll::Ready(Ok(()));
        }
        state.writer.add(place, cx);
        Poll::Pending
    }

    /// The writer's side: takes all of `data`. The writer has already waited for room.
    pub(crate) fn push(&self, data: Bytes) -> Result<(), WebTransportError> {
        let state = lock(&self.state);
        state.check()?;
        self.add(state, data);
        Ok(())
    }

    fn poll_push(
        &self,
        cx: &Context<'_>,
        place: &mut Place,
        piece: impl FnOnce(usize) -> Bytes,
    ) -> Poll<Result<(), WebTransportError>> {
        let mut state = lock(&self.state);
        state.check()?;
        let room = self.connection.outbox().room(state.bytes);
        if room == 0 {
            state.writer.add(place, cx);
            return Poll::Pending;
        }
        self.add(state, piece(room));
        Poll::Ready(Ok(()))
    }

    fn add(&self, mut state: MutexGuard<'_, State>, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        let bytes = state.bytes + piece.len();
        self.hold(&mut state, bytes);
        state.written += piece.len() as u64;
        state.chunks.push_back(piece);
        let mark = state.mark();
        drop(state);
        if mark {
            self.connection.mark(Work::Send(self.id));
        }
    }

    /// The writer's side: ends the stream after the written data, and is ready when the driver has taken all
    /// of it. Another call gives the same result. A reset stream is an error.
    pub(crate) fn poll_close(
        &self,
        cx: &Context<'_>,
        place: &mut Place,
    ) -> Poll<Result<(), WebTransportError>> {
        let finished = {
            let state = lock(&self.state);
            state.finish && state.reset.is_none()
        };
        if !finished {
            self.finish()?;
        }
        self.poll_flush(cx, place)
    }

    /// Ready when the driver has taken everything that was written.
    pub(crate) fn poll_flush(
        &self,
        cx: &Context<'_>,
        place: &mut Place,
    ) -> Poll<Result<(), WebTransportError>> {
        let mut state = lock(&self.state);
        match &state.end {
            Some(SendEnd::Failed(error)) => Poll::Ready(Err(error.clone())),
            Some(_) => Poll::Ready(Ok(())),
            // Committed data may still be in the box.
            None if state.bytes == 0 || state.reset.is_some() => Poll::Ready(Ok(())),
            None => {
                state.writer.add(place, cx);
                Poll::Pending
            }
        }
    }

    /// Ends the stream after the written data.
    pub(crate) fn finish(&self) -> Result<(), WebTransportError> {
        let mut state = lock(&self.state);
        state.check()?;
        state.finish = true;
        let mark = state.mark();
        drop(state);
        if mark {
            self.connection.mark(Work::Send(self.id));
        }
        Ok(())
    }

    /// Resets the stream. Has no effect once it has ended.
    pub(crate) fn reset(&self, code: u32) {
        self.change(|state| {
            if state.end.is_none() && state.reset.is_none() {
                state.reset = Some(code);
                state.forget_uncommitted();
                let accepted = state.written - state.bytes as u64;
                let left = state.committed.saturating_sub(accepted);
                self.hold(state, usize::try_from(left).unwrap_or(usize::MAX));
            }
        });
    }

    /// Commits the written data: it must arrive even if the stream is reset later.
    pub(crate) fn commit(&self) {
        self.change(|state| {
            if state.check().is_ok() && state.committed < state.written {
                (state.committed, state.commit) = (state.written, true);
            }
        });
    }

    /// Requests to write a chunk whole, or not at all. Fails if nothing can be written any more.
    pub(crate) fn write_atomic(&self, data: Bytes) -> Result<oneshot::Receiver<bool>, WebTransportError> {
        let (reply, answer) = oneshot::channel();
        self.change(|state| {
            state.check()?;
            state.atomic = Some(Atomic { data, reply });
            Ok(answer)
        })
    }

    /// Resets the stream unless it is finished; for writers that are dropped.
    pub(crate) fn abandon(&self) {
        let finished = lock(&self.state).finish;
        if !finished {
            self.reset(0);
        }
    }

    /// Changes the stream's rank.
    pub(crate) fn rank(&self, change: impl FnOnce(&mut Rank)) {
        self.change(|state| {
            change(&mut state.rank);
            state.ranked = true;
        });
    }

    /// The stream's rank.
    pub(crate) fn current_rank(&self) -> Rank {
        lock(&self.state).rank
    }

    /// The counts when the stream ended. Before that, only the written bytes.
    pub(crate) fn counts(&self) -> StreamCounts {
        let state = lock(&self.state);
        let written = state.written;
        state.counts.map_or(StreamCounts { written, ..StreamCounts::default() }, |counts| StreamCounts {
            written,
            ..counts
        })
    }

    /// Ready when everything is acknowledged; an error if that is impossible.
    pub(crate) fn poll_finished(
        &self,
        cx: &Context<'_>,
        place: &mut Place,
    ) -> Poll<Result<(), WebTransportError>> {
        let mut state = lock(&self.state);
        match &state.end {
            Some(SendEnd::Acknowledged) => Poll::Ready(Ok(())),
            Some(SendEnd::Failed(error)) => Poll::Ready(Err(error.clone())),
            Some(SendEnd::Reset) => Poll::Ready(Err(WebTransportError::stream(ErrorCause::StreamFinished))),
            None => {
                state.waiters.add(place, cx);
                Poll::Pending
            }
        }
    }

    /// How many bytes the application has written so far.
    pub(crate) fn written(&self) -> u64 {
        lock(&self.state).written
    }

    /// The driver's side: takes the content.
    pub(crate) fn take(&self, into: &mut Pieces<Bytes>) -> Taken {
        let mut state = lock(&self.state);
        state.marked = false;
        state.taken += state.chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        into.append(&mut state.chunks);
        Taken {
            finish: state.finish,
            reset: state.reset,
            rank: std::mem::take(&mut state.ranked).then_some(state.rank),
            committed: std::mem::take(&mut state.commit).then_some(state.committed),
            atomic: state.atomic.take(),
        }
    }

    /// The driver's side: tells the writer whether its chunk fits. Returns the chunk if it is to be written.
    /// If the writer does not wait for the reply any more, the chunk is dropped.
    ///
    /// The chunk is counted before the writer is told, because the writer may be on another thread and commit
    /// at once.
    pub(crate) fn answer_atomic(&self, atomic: Atomic, fits: bool) -> Option<Bytes> {
        let Atomic { data, reply } = atomic;
        let written = fits && !reply.is_closed() && !data.is_empty();
        if written {
            let mut state = lock(&self.state);
            state.written += data.len() as u64;
            state.taken += data.len() as u64;
            let bytes = state.bytes + data.len();
            self.hold(&mut state, bytes);
        }
        let _ = reply.send(fits);
        written.then_some(data)
    }

    /// The driver's side: QUIC has taken `bytes` bytes.
    pub(crate) fn sent(&self, bytes: usize) {
        let mut state = lock(&self.state);
        let left = state.bytes.saturating_sub(bytes);
        self.hold(&mut state, left);
        let wakes = self.connection.outbox().wakes(left);
        let writer = if wakes { state.writer.take() } else { Waiters::default() };
        drop(state);
        writer.wake();
    }

    /// The driver's side: the stream has ended, with these counts.
    pub(crate) fn end(&self, end: SendEnd, counts: StreamCounts) {
        let mut state = lock(&self.state);
        if state.end.is_some() {
            return;
        }
        state.end = Some(end);
        state.counts = Some(counts);
        state.atomic = None;
        self.hold(&mut state, 0);
        state.chunks = Pieces::default();
        let woken = [state.waiters.take(), state.writer.take()];
        drop(state);
        wake_all(woken);
    }
}

impl Drop for SendBox {
    /// The driver may have ended before the stream did.
    fn drop(&mut self) {
        self.connection.outbox().change(lock(&self.state).bytes, 0);
    }
}

impl Waited for SendBox {
    type Queue = SendQueue;

    fn leave(&self, queue: SendQueue, place: &mut Place) {
        let mut state = lock(&self.state);
        let gone = match queue {
            SendQueue::Room => state.writer.leave(place),
            SendQueue::End => state.waiters.leave(place),
        };
        drop(state);
        drop(gone);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        sync::atomic::{AtomicU64, Ordering},
        task::{Wake, Waker},
    };

    use super::{super::outbox::STREAM_LIMIT as LIMIT, *};

    /// Records what a writer on another thread sees when it is told about its chunk.
    struct Writer {
        stream: Arc<SendBox>,
        written: AtomicU64,
    }

    impl Wake for Writer {
        fn wake(self: Arc<Self>) {
            self.stream.commit();
            self.written.store(self.stream.written(), Ordering::Relaxed);
        }
    }

    #[test]
    fn a_chunk_counts_as_written_when_its_writer_is_told() {
        let stream = SendBox::new(StreamId::from_value(0).unwrap(), Arc::default());
        let mut answer = pin!(stream.write_atomic(Bytes::from_static(b"whole")).unwrap());
        let writer = Arc::new(Writer { stream: Arc::clone(&stream), written: AtomicU64::new(0) });
        let waker = Waker::from(Arc::clone(&writer));
        assert!(answer.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let atomic = stream.take(&mut Pieces::default()).atomic.unwrap();
        assert_eq!(stream.answer_atomic(atomic, true).unwrap(), "whole");
        assert_eq!(writer.written.load(Ordering::Relaxed), 5);
        assert_eq!(stream.take(&mut Pieces::default()).committed, Some(5), "a commit covers it");
    }

    #[test]
    fn a_chunk_of_a_writer_that_left_is_neither_written_nor_counted() {
        let stream = SendBox::new(StreamId::from_value(0).unwrap(), Arc::default());
        drop(stream.write_atomic(Bytes::from_static(b"whole")).unwrap());
        let atomic = stream.take(&mut Pieces::default()).atomic.unwrap();
        assert!(stream.answer_atomic(atomic, true).is_none());
        assert_eq!(stream.written(), 0);
    }

    fn cx() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    #[test]
    fn a_full_box_makes_the_writer_wait_until_half_is_gone() {
        let stream = SendBox::new(StreamId::from_value(0).unwrap(), Arc::default());
        let data = vec![0; LIMIT + 1];
        assert!(matches!(stream.poll_write(&cx(), &mut Place::default(), &data), Poll::Ready(Ok(LIMIT))));
        assert!(stream.poll_write(&cx(), &mut Place::default(), &data).is_pending());
        let mut taken = Pieces::default();
        let Taken { finish, reset, .. } = stream.take(&mut taken);
        assert!(!finish && reset.is_none() && taken.iter().count() == 1);
        assert!(
            stream.poll_write(&cx(), &mut Place::default(), &data).is_pending(),
            "the driver has taken it, but not QUIC"
        );
        stream.sent(LIMIT);
        assert!(matches!(stream.poll_write(&cx(), &mut Place::default(), &data[..1]), Poll::Ready(Ok(1))));
    }

    #[test]
    fn closing_ends_the_stream_and_waits_until_all_is_taken() {
        let stream = SendBox::new(StreamId::from_value(0).unwrap(), Arc::default());
        assert!(stream.poll_room(&cx(), &mut Place::default()).is_ready());
        stream.push(Bytes::from(vec![0; LIMIT])).unwrap();
        assert!(stream.poll_room(&cx(), &mut Place::default()).is_pending());
        assert!(stream.poll_close(&cx(), &mut Place::default()).is_pending());
        assert!(stream.push(Bytes::from_static(b"late")).is_err());
        let mut taken = Pieces::default();
        assert!(stream.take(&mut taken).finish);
        assert!(stream.poll_close(&cx(), &mut Place::default()).is_pending());
        stream.sent(LIMIT);
        assert!(matches!(stream.poll_close(&cx(), &mut Place::default()), Poll::Ready(Ok(()))));
        assert!(matches!(stream.poll_room(&cx(), &mut Place::default()), Poll::Ready(Err(_))));
    }

    #[test]
    fn a_reset_stream_cannot_be_closed() {
        let stream = SendBox::new(StreamId::from_value(0).unwrap(), Arc::default());
        stream.push(Bytes::from_static(b"a")).unwrap();
        stream.reset(1);
        assert!(matches!(stream.poll_close(&cx(), &mut Place::default()), Poll::Ready(Err(_))));
    }

    #[test]
    fn writes_after_the_end_fail_and_bursts_mark_once() {
        let connection = Arc::new(ConnectionBox::default());
        let stream = SendBox::new(StreamId::from_value(4).unwrap(), Arc::clone(&connection));
        assert!(stream.poll_write(&cx(), &mut Place::default(), b"a").is_ready());
        assert!(stream.poll_write(&cx(), &mut Place::default(), b"b").is_ready());
        stream.finish().unwrap();
        let mut dirty = Vec::new();
        connection.take_pending(&mut dirty, &mut Vec::new());
        assert_eq!(dirty, [Work::Send(stream.id())]);
        assert!(matches!(stream.poll_write(&cx(), &mut Place::default(), b"c"), Poll::Ready(Err(_))));
        assert!(stream.finish().is_err());
    }
}

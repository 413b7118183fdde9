//! The datagrams in a session's box, in both directions: the queues under its lock, and the tasks that wait
//! for them.

use std::{
    collections::VecDeque,
    sync::atomic::Ordering,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;

use super::{
    super::{OutgoingDatagram, Place, Rank, Waiters, datagrams::Inbox, lock},
    SessionBox, wake,
};
use crate::error::WebTransportError;

impl SessionBox {
    pub(crate) fn poll_datagram(
        &self,
        cx: &Context<'_>,
        place: &mut Place,
    ) -> Poll<Result<Bytes, WebTransportError>> {
        self.poll_incoming_datagram(cx, place, |inbox| inbox.pop(|| self.runtime.now()))
    }

    /// Copies the next datagram into `buffer` and returns its size. The error is the size if the buffer is
    /// too small.
    pub(crate) fn poll_datagram_into(
        &self,
        cx: &Context<'_>,
        place: &mut Place,
        buffer: &mut [u8],
    ) -> Poll<Result<Result<usize, usize>, WebTransportError>> {
        // The same time for both steps, so that the datagram that was checked is the one that is taken.
        let mut now = None;
        let mut clock = || *now.get_or_insert_with(|| self.runtime.now());
        self.poll_incoming_datagram(cx, place, |inbox| {
            let size = inbox.peek(&mut clock)?.len();
            let Some(room) = buffer.get_mut(..size) else { return Some(Err(size)) };
            room.copy_from_slice(&inbox.pop(&mut clock)?);
            Some(Ok(size))
        })
    }

    fn poll_incoming_datagram<R>(
        &self,
        cx: &Context<'_>,
        place: &mut Place,
        take: impl FnOnce(&mut Inbox) -> Option<R>,
    ) -> Poll<Result<R, WebTransportError>> {
        let mut state = lock(&self.state);
        if let Some(taken) = take(&mut state.datagrams_in) {
            return Poll::Ready(Ok(taken));
        }
        state.check()?;
        state.datagram_readers.add(place, cx);
        Poll::Pending
    }

    pub(crate) fn try_datagram(&self) -> Result<Option<Bytes>, WebTransportError> {
        let mut state = lock(&self.state);
        match state.datagrams_in.pop(|| self.runtime.now()) {
            Some(datagram) => Ok(Some(datagram)),
            None => state.check().map(|()| None),
        }
    }

    /// Queues a datagram unless the queue is full.
    pub(crate) fn poll_send_datagram(
        &self,
        waits: Option<(&Context<'_>, &mut Place)>,
        data: &Bytes,
        rank: Rank,
    ) -> Poll<Result<(), WebTransportError>> {
        let at = self.runtime.now();
        let mut state = lock(&self.state);
        state.check()?;
        if !state.datagrams_out.has_room() {
            if let Some((cx, place)) = waits {
                state.datagram_writers.add(place, cx);
            }
            return Poll::Pending;
        }
        state.datagrams_out.waiting.push_back(OutgoingDatagram { data: data.clone(), rank, at });
        let mark = state.mark();
        drop(state);
        wake(mark);
        Poll::Ready(Ok(()))
    }

    pub(crate) fn max_datagram_size(&self) -> usize {
        self.max_datagram.load(Ordering::Relaxed)
    }

    /// Ready when the maximum differs from `known`, or the session has ended.
    pub(crate) fn poll_max_datagram_size(
        &self,
        cx: &Context<'_>,
        place: &mut Place,
        known: usize,
    ) -> Poll<Option<usize>> {
        let mut state = lock(&self.state);
        let now = self.max_datagram_size();
        if state.end.is_some() || state.closing.is_some() {
            return Poll::Ready(None);
        }
        if now != known {
            return Poll::Ready(Some(now));
        }
        state.size_waiters.add(place, cx);
        Poll::Pending
    }

    /// The datagram counts that only the box has: dropped and expired incoming ones, expired outgoing ones.
    pub(crate) fn datagram_counts(&self) -> [u64; 3] {
        let state = lock(&self.state);
        [state.datagrams_in.dropped, state.datagrams_in.expired, state.datagrams_out.expired]
    }

    pub(crate) fn incoming_max_age(&self) -> Option<Duration> {
        lock(&self.state).datagrams_in.max_age
    }

    pub(crate) fn set_incoming_max_age(&self, age: Option<Duration>) {
        lock(&self.state).datagrams_in.max_age = age;
    }

    pub(crate) fn outgoing_max_age(&self) -> Option<Duration> {
        lock(&self.state).datagrams_out.max_age
    }

    pub(crate) fn set_outgoing_max_age(&self, age: Option<Duration>) {
        let mut state = lock(&self.state);
        state.datagrams_out.max_age = age;
        // The driver must apply it to datagrams that are already at the connection.
        let mark = state.mark();
        drop(state);
        wake(mark);
    }

    pub(crate) fn incoming_max_buffered(&self) -> usize {
        lock(&self.state).datagrams_in.max
    }

    pub(crate) fn set_incoming_max_buffered(&self, count: usize) {
        let mut state = lock(&self.state);
        state.datagrams_in.max = count;
        state.datagrams_in.trim();
    }

    pub(crate) fn outgoing_max_buffered(&self) -> usize {
        lock(&self.state).datagrams_out.max
    }

    pub(crate) fn set_outgoing_max_buffered(&self, count: usize) {
        let mut state = lock(&self.state);
        state.datagrams_out.max = count;
        let writers =
            if state.datagrams_out.has_room() { state.datagram_writers.take() } else { Waiters::default() };
        drop(state);
        writers.wake();
    }

    /// Takes datagrams, which count as queued until [`datagrams_gone`](Self::datagrams_gone). Returns their
    /// maximum age.
    pub(crate) fn take_datagrams(&self, datagrams: &mut VecDeque<OutgoingDatagram>) -> Option<Duration> {
        let mut state = lock(&self.state);
        let out = &mut state.datagrams_out;
        out.held += out.waiting.len();
        if datagrams.is_empty() {
            std::mem::swap(&mut out.waiting, datagrams);
        } else {
            datagrams.append(&mut out.waiting);
        }
        out.max_age
    }

    /// `sent` datagrams were sent or dropped, and `expired` ones were too old.
    pub(crate) fn datagrams_gone(&self, sent: usize, expired: usize) {
        let mut state = lock(&self.state);
        let out = &mut state.datagrams_out;
        out.held = out.held.saturating_sub(sent + expired);
        out.expired += expired as u64;
        let writers = if out.has_much_room() { state.datagram_writers.take() } else { Waiters::default() };
        drop(state);
        writers.wake();
    }

    pub(crate) fn set_max_datagram_size(&self, size: Option<usize>) {
        let size = size.unwrap_or(0);
        let mut state = lock(&self.state);
        let changed = self.max_datagram.swap(size, Ordering::Relaxed) != size;
        let waiters = if changed { state.size_waiters.take() } else { Waiters::default() };
        drop(state);
        waiters.wake();
    }

    /// How many bytes of received datagrams the application has not taken.
    pub(crate) fn datagram_bytes(&self) -> usize {
        lock(&self.state).datagrams_in.bytes()
    }

    pub(crate) fn push_datagrams(&self, datagrams: &mut Vec<Bytes>) {
        let now = self.runtime.now();
        let mut state = lock(&self.state);
        for datagram in datagrams.drain(..) {
            state.datagrams_in.push(datagram, now);
        }
        let readers = state.datagram_readers.take();
        drop(state);
        readers.wake();
    }
}

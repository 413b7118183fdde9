//! The box of a session.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use quic_core::{ConnectionStats, Dir};
use tokio::sync::oneshot;

use super::{ConnectionBox, RecvBox, SendBox, Waiters, lock};
use crate::{
    error::{ErrorCause, WebTransportError},
    session::{CloseInfo, Guard},
};

/// Received datagrams that wait for the application; the oldest go first.
const DATAGRAMS_IN: usize = 1024;
/// Their bytes.
const DATAGRAM_BYTES_IN: usize = 512 << 10;
/// Datagrams that wait for the driver; more make the sender wait.
const DATAGRAMS_OUT: usize = 256;

/// The boxes of a new stream; a unidirectional one has only one of them.
#[derive(Debug)]
pub(crate) struct NewStream {
    pub(crate) send: Option<Arc<SendBox>>,
    pub(crate) recv: Option<Arc<RecvBox>>,
}

/// A stream that was opened for the application, with what keeps its session open.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) stream: NewStream,
    pub(crate) guard: Arc<Guard>,
}

impl Opened {
    /// For the case that nobody takes it.
    pub(crate) fn discard(self) {
        self.stream.send.iter().for_each(|send| send.reset(0));
        self.stream.recv.iter().for_each(|recv| recv.stop(0));
    }
}

/// What handles ask of the driver.
#[derive(Debug)]
pub(crate) enum Command {
    /// Open a stream.
    Open {
        dir: Dir,
        order: i64,
        wait: bool,
        guard: Arc<Guard>,
        reply: oneshot::Sender<Result<Opened, WebTransportError>>,
    },
    /// Close the session.
    Close(CloseInfo),
    /// Announce that the session is to end.
    Drain,
    /// Keying material of the session, `length` bytes of it.
    Export { label: Vec<u8>, context: Vec<u8>, length: usize, reply: oneshot::Sender<Vec<u8>> },
    /// A snapshot of the counters.
    Stats(oneshot::Sender<ConnectionStats>),
    /// Accept the request (server).
    Accept(HeaderMap),
    /// Refuse the request (server).
    Reject(StatusCode, HeaderMap),
}

/// How the peer answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Established {
    pub(crate) headers: Arc<HeaderMap>,
    pub(crate) protocol: Option<Arc<str>>,
    pub(crate) draft: &'static str,
    pub(crate) why: Arc<str>,
}

/// State that a session's handles and its driver share.
#[derive(Debug, Default)]
pub(crate) struct SessionBox {
    pub(crate) connection: Arc<ConnectionBox>,
    state: Mutex<State>,
    /// 0: none can be sent.
    max_datagram: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    established: Option<Established>,
    draining: bool,
    /// The application closed: nothing new is begun.
    closing: bool,
    end: Option<Result<CloseInfo, WebTransportError>>,
    stats: Option<ConnectionStats>,
    commands: Vec<Command>,
    incoming: [VecDeque<NewStream>; 2],
    datagrams_in: VecDeque<Bytes>,
    datagram_bytes_in: usize,
    datagrams_dropped: u64,
    datagrams_out: VecDeque<Bytes>,
    state_waiters: Waiters,
    incoming_waiters: [Waiters; 2],
    datagram_readers: Waiters,
    datagram_writers: Waiters,
}

impl State {
    /// The error of calls that need an open session.
    fn check(&self) -> Result<(), WebTransportError> {
        match &self.end {
            Some(Err(error)) => Err(error.clone()),
            Some(Ok(_)) => Err(closed()),
            None if self.closing => Err(closed()),
            None => Ok(()),
        }
    }
}

fn closed() -> WebTransportError {
    WebTransportError::session(ErrorCause::SessionClosed)
}

impl SessionBox {
    pub(crate) fn new(connection: Arc<ConnectionBox>) -> Arc<Self> {
        Arc::new(Self { connection, ..Self::default() })
    }

    // The handles' side.

    pub(crate) fn poll_ready(&self, cx: &Context<'_>) -> Poll<Result<(), WebTransportError>> {
        let mut state = lock(&self.state);
        match (&state.established, &state.end) {
            (Some(_), _) => Poll::Ready(Ok(())),
            (None, Some(Err(error))) => Poll::Ready(Err(error.clone())),
            (None, Some(Ok(_))) => Poll::Ready(Err(closed())),
            (None, None) => {
                state.state_waiters.add(cx);
                Poll::Pending
            }
        }
    }

    /// Ready when the application gave the session up before it was there.
    pub(crate) fn poll_abandoned(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.established.is_none() && (state.closing || state.end.is_some()) {
            return Poll::Ready(());
        }
        state.state_waiters.add(cx);
        Poll::Pending
    }

    pub(crate) fn poll_closed(&self, cx: &Context<'_>) -> Poll<Result<CloseInfo, WebTransportError>> {
        let mut state = lock(&self.state);
        match &state.end {
            Some(end) => Poll::Ready(end.clone()),
            None => {
                state.state_waiters.add(cx);
                Poll::Pending
            }
        }
    }

    pub(crate) fn poll_draining(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.draining || state.end.is_some() {
            return Poll::Ready(());
        }
        state.state_waiters.add(cx);
        Poll::Pending
    }

    pub(crate) fn established(&self) -> Option<Established> {
        lock(&self.state).established.clone()
    }

    pub(crate) fn last_stats(&self) -> Option<ConnectionStats> {
        lock(&self.state).stats
    }

    /// Gives the driver a command; false if the session is over.
    pub(crate) fn command(&self, command: Command) -> Result<(), WebTransportError> {
        let mut state = lock(&self.state);
        let result = state.check();
        if result.is_ok() {
            state.commands.push(command);
        }
        drop(state);
        self.connection.wake();
        result
    }

    /// Closes; later calls change nothing.
    pub(crate) fn close(&self, info: CloseInfo) {
        let mut state = lock(&self.state);
        if state.check().is_err() {
            return;
        }
        state.closing = true;
        state.commands.push(Command::Close(info));
        let waiters = self.all_waiters(&mut state);
        drop(state);
        self.connection.wake();
        waiters.into_iter().for_each(Waiters::wake);
    }

    pub(crate) fn poll_incoming(
        &self,
        dir: Dir,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<NewStream, WebTransportError>>> {
        let mut state = lock(&self.state);
        if let Some(stream) = state.incoming[dir as usize].pop_front() {
            return Poll::Ready(Some(Ok(stream)));
        }
        match &state.end {
            Some(Ok(_)) => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(error.clone()))),
            None if state.closing => return Poll::Ready(None),
            None => {}
        }
        state.incoming_waiters[dir as usize].add(cx);
        Poll::Pending
    }

    pub(crate) fn poll_datagram(&self, cx: &Context<'_>) -> Poll<Result<Bytes, WebTransportError>> {
        let mut state = lock(&self.state);
        if let Some(datagram) = state.datagrams_in.pop_front() {
            state.datagram_bytes_in -= datagram.len();
            return Poll::Ready(Ok(datagram));
        }
        state.check()?;
        state.datagram_readers.add(cx);
        Poll::Pending
    }

    pub(crate) fn try_datagram(&self) -> Result<Option<Bytes>, WebTransportError> {
        let mut state = lock(&self.state);
        match state.datagrams_in.pop_front() {
            Some(datagram) => {
                state.datagram_bytes_in -= datagram.len();
                Ok(Some(datagram))
            }
            None => state.check().map(|()| None),
        }
    }

    /// Queues a datagram unless the queue is full.
    pub(crate) fn poll_send_datagram(
        &self,
        cx: Option<&Context<'_>>,
        data: &Bytes,
    ) -> Poll<Result<(), WebTransportError>> {
        let mut state = lock(&self.state);
        state.check()?;
        if state.datagrams_out.len() >= DATAGRAMS_OUT {
            if let Some(cx) = cx {
                state.datagram_writers.add(cx);
            }
            return Poll::Pending;
        }
        state.datagrams_out.push_back(data.clone());
        drop(state);
        self.connection.wake();
        Poll::Ready(Ok(()))
    }

    pub(crate) fn max_datagram_size(&self) -> usize {
        self.max_datagram.load(Ordering::Relaxed)
    }

    pub(crate) fn datagrams_dropped(&self) -> u64 {
        lock(&self.state).datagrams_dropped
    }

    // The driver's side.

    /// Takes commands and datagrams.
    pub(crate) fn take(&self, commands: &mut Vec<Command>, datagrams: &mut VecDeque<Bytes>) {
        let mut state = lock(&self.state);
        commands.append(&mut state.commands);
        // What the driver could not send yet stays in front: it takes more only when it has none left.
        let writers = if datagrams.is_empty() && !state.datagrams_out.is_empty() {
            std::mem::swap(&mut state.datagrams_out, datagrams);
            state.datagram_writers.take()
        } else {
            Waiters::default()
        };
        drop(state);
        writers.wake();
    }

    pub(crate) fn set_max_datagram_size(&self, size: Option<usize>) {
        self.max_datagram.store(size.unwrap_or(0), Ordering::Relaxed);
    }

    pub(crate) fn set_established(&self, established: Established) {
        self.change(|state| state.established = Some(established));
    }

    pub(crate) fn set_draining(&self) {
        self.change(|state| state.draining = true);
    }

    pub(crate) fn set_stats(&self, stats: ConnectionStats) {
        lock(&self.state).stats = Some(stats);
    }

    /// The session is over; the first end counts. Replies that wait are dropped, which tells their askers.
    pub(crate) fn set_end(&self, end: Result<CloseInfo, WebTransportError>) {
        let mut dropped = Vec::new();
        self.change(|state| {
            state.end.get_or_insert(end);
            dropped = std::mem::take(&mut state.commands);
        });
        // Outside the lock: commands hold handles, whose last one would close the session.
        drop(dropped);
    }

    pub(crate) fn is_over(&self) -> bool {
        lock(&self.state).end.is_some()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = lock(&self.state);
        change(&mut state);
        let waiters = self.all_waiters(&mut state);
        drop(state);
        waiters.into_iter().for_each(Waiters::wake);
    }

    fn all_waiters(&self, state: &mut State) -> [Waiters; 5] {
        let [bidi, uni] = &mut state.incoming_waiters;
        [
            state.state_waiters.take(),
            bidi.take(),
            uni.take(),
            state.datagram_readers.take(),
            state.datagram_writers.take(),
        ]
    }

    /// Bytes of received datagrams that the application has not taken.
    pub(crate) fn datagram_bytes(&self) -> usize {
        lock(&self.state).datagram_bytes_in
    }

    pub(crate) fn push_incoming(&self, dir: Dir, stream: NewStream) {
        let mut state = lock(&self.state);
        state.incoming[dir as usize].push_back(stream);
        let waiters = state.incoming_waiters[dir as usize].take();
        drop(state);
        waiters.wake();
    }

    pub(crate) fn push_datagrams(&self, datagrams: &mut Vec<Bytes>) {
        let mut state = lock(&self.state);
        for datagram in datagrams.drain(..) {
            state.datagram_bytes_in += datagram.len();
            state.datagrams_in.push_back(datagram);
        }
        while state.datagrams_in.len() > DATAGRAMS_IN || state.datagram_bytes_in > DATAGRAM_BYTES_IN {
            let Some(oldest) = state.datagrams_in.pop_front() else { break };
            state.datagram_bytes_in -= oldest.len();
            state.datagrams_dropped += 1;
        }
        let readers = state.datagram_readers.take();
        drop(state);
        readers.wake();
    }
}

//! The box of a session.

mod datagrams;
mod opens;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use quic_core::{ConnectionStats, Dir};

use super::{
    ConnectionBox, OutgoingDatagram, Place, Waited, Waiters, Work,
    datagrams::{Inbox, Outbox},
    lock,
    values::{Answer, Command, Established, NewStream, PendingChanges, SessionQueue, StreamCounts},
    wake_all,
};
use crate::{
    close::{CloseInfo, CloseOutcome, ClosedBy},
    error::{ErrorCause, WebTransportError},
    runtime::RuntimeHandle,
};
pub(crate) use opens::Open;
use opens::{Opens, Permit};

/// For how many commands the empty queue keeps capacity.
const KEPT_COMMANDS: usize = 64;

/// State that a session's handles and its driver share.
#[derive(Debug)]
pub(crate) struct SessionBox {
    runtime: RuntimeHandle,
    state: Mutex<State>,
    /// The largest datagram; 0 if none can be sent.
    max_datagram: AtomicUsize,
    /// How many send groups were made so far.
    groups: AtomicU32,
}

#[derive(Debug, Default)]
struct State {
    established: Option<Established>,
    draining: bool,
    /// The close that the application requested. Nothing new can be started.
    closing: Option<CloseInfo>,
    /// Whether a shared connection could not take the session, so that it needs another one.
    handed_back: bool,
    /// Whether the requested connection does not answer.
    unanswered: bool,
    end: Option<Result<CloseInfo, WebTransportError>>,
    /// How the peer reacted to this side's close.
    outcome: Option<CloseOutcome>,
    stats: Option<ConnectionStats>,
    /// The sums over the streams of each group, once the session has ended.
    groups: BTreeMap<u32, StreamCounts>,
    /// How many streams of the peer are expected at once: bidirectional, unidirectional.
    anticipated: [Option<u16>; 2],
    commands: VecDeque<Command>,
    changes: PendingChanges,
    /// The requested streams: bidirectional, unidirectional.
    opens: [Opens; 2],
    /// How much of the session's own limits handles may use to open streams by themselves.
    permit: Permit,
    /// The connection and the session's key there, once there is a connection.
    link: Option<(Arc<ConnectionBox>, u32)>,
    /// Whether the driver knows that there is work.
    marked: bool,
    incoming: [VecDeque<NewStream>; 2],
    datagrams_in: Inbox,
    datagrams_out: Outbox,
    state_waiters: Waiters,
    incoming_waiters: [Waiters; 2],
    datagram_readers: Waiters,
    datagram_writers: Waiters,
    size_waiters: Waiters,
}

impl State {
    /// The error of calls that need an open session.
    fn check(&self) -> Result<(), WebTransportError> {
        match &self.end {
            Some(Err(error)) => Err(error.clone()),
            Some(Ok(info)) => Err(self.closed(info)),
            None => self.closing.as_ref().map_or(Ok(()), |info| Err(self.closed(info))),
        }
    }

    /// The error of a close with this information. A close without an outcome came from the peer.
    fn closed(&self, info: &CloseInfo) -> WebTransportError {
        let here = self.end.is_none() || self.outcome.is_some();
        WebTransportError::closed(if here { ClosedBy::ThisSide } else { ClosedBy::Peer }, info.clone())
    }

    fn waiters(&mut self, queue: SessionQueue) -> &mut Waiters {
        match queue {
            SessionQueue::State => &mut self.state_waiters,
            SessionQueue::Incoming(dir) => &mut self.incoming_waiters[dir as usize],
            SessionQueue::DatagramReaders => &mut self.datagram_readers,
            SessionQueue::DatagramWriters => &mut self.datagram_writers,
            SessionQueue::Size => &mut self.size_waiters,
        }
    }

    /// The driver that must be told of work, if it does not know yet.
    fn mark(&mut self) -> Option<(Arc<ConnectionBox>, u32)> {
        if std::mem::replace(&mut self.marked, true) { None } else { self.link.clone() }
    }
}

/// Tells the driver that there is work. The state must be unlocked.
fn wake(mark: Option<(Arc<ConnectionBox>, u32)>) {
    if let Some((connection, key)) = mark {
        connection.mark(Work::Session(key));
    }
}

fn push(mut state: MutexGuard<'_, State>, command: Command) {
    let mut abandoned = VecDeque::new();
    // Before the list grows, abandoned commands are removed, so that they take no room even if the driver is
    // busy.
    if state.commands.len() == state.commands.capacity() {
        let all = std::mem::take(&mut state.commands);
        let kept;
        (abandoned, kept) = all.into_iter().partition(Command::is_abandoned);
        state.commands = kept;
    }
    state.commands.push_back(command);
    let mark = state.mark();
    drop(state);
    drop(abandoned);
    wake(mark);
}

impl SessionBox {
    pub(crate) fn new(runtime: RuntimeHandle) -> Arc<Self> {
        Arc::new(Self {
            runtime,
            state: Mutex::default(),
            max_datagram: AtomicUsize::new(0),
            groups: AtomicU32::new(0),
        })
    }

    // The handles' side.

    /// The number of a new send group.
    pub(crate) fn new_group(&self) -> u32 {
        self.groups.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn poll_ready(
        &self,
        cx: &Context<'_>,
        place: &mut Place,
    ) -> Poll<Result<(), WebTransportError>> {
        let mut state = lock(&self.state);
        match (&state.established, &state.end) {
            (Some(_), _) => Poll::Ready(Ok(())),
            (None, Some(Err(error))) => Poll::Ready(Err(error.clone())),
            (None, Some(Ok(info))) => Poll::Ready(Err(state.closed(info))),
            (None, None) => {
                state.state_waiters.add(place, cx);
                Poll::Pending
            }
        }
    }

    /// Ready when the application gave up the session before it was established.
    pub(crate) fn poll_abandoned(&self, cx: &Context<'_>, place: &mut Place) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.established.is_none() && (state.closing.is_some() || state.end.is_some()) {
            return Poll::Ready(());
        }
        state.state_waiters.add(place, cx);
        Poll::Pending
    }

    pub(crate) fn poll_closed(
        &self,
        cx: &Context<'_>,
        place: &mut Place,
    ) -> Poll<Result<CloseInfo, WebTransportError>> {
        let mut state = lock(&self.state);
        match &state.end {
            Some(end) => Poll::Ready(end.clone()),
            None => {
                state.state_waiters.add(place, cx);
                Poll::Pending
            }
        }
    }

    pub(crate) fn poll_draining(&self, cx: &Context<'_>, place: &mut Place) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.draining || state.end.is_some() {
            return Poll::Ready(());
        }
        state.state_waiters.add(place, cx);
        Poll::Pending
    }

    pub(crate) fn established(&self) -> Option<Established> {
        lock(&self.state).established.clone()
    }

    /// The connection of the session, even after its end.
    pub(crate) fn connection(&self) -> Option<Arc<ConnectionBox>> {
        lock(&self.state).link.as_ref().map(|(connection, _)| Arc::clone(connection))
    }

    pub(crate) fn last_stats(&self) -> Option<ConnectionStats> {
        lock(&self.state).stats
    }

    /// The sums over a group's streams when the session ended.
    pub(crate) fn last_group_counts(&self, group: u32) -> StreamCounts {
        lock(&self.state).groups.get(&group).copied().unwrap_or_default()
    }

    /// Fails unless something new can be started.
    pub(crate) fn check_open(&self) -> Result<(), WebTransportError> {
        lock(&self.state).check()
    }

    /// Why a caller got no reply from the driver: the session has ended, or the driver.
    pub(crate) fn gone(&self) -> WebTransportError {
        let ended = self.check_open().err();
        ended.unwrap_or_else(|| WebTransportError::session(ErrorCause::RuntimeGone))
    }

    /// Queues a command for the driver. Fails if the session has ended or is closing.
    pub(crate) fn command(&self, command: Command) -> Result<(), WebTransportError> {
        let state = lock(&self.state);
        state.check()?;
        push(state, command);
        Ok(())
    }

    /// Asks the driver for counts. Returns false once the session has ended, because the driver then has
    /// none.
    pub(crate) fn enquire(&self, command: Command) -> bool {
        let state = lock(&self.state);
        if state.end.is_some() {
            return false;
        }
        push(state, command);
        true
    }

    /// How many streams of a kind the application expects the peer to have open at once.
    pub(crate) fn anticipated(&self, dir: Dir) -> Option<u16> {
        lock(&self.state).anticipated[dir as usize]
    }

    /// Sets this expectation. The driver reads it when it establishes the session, and is told of later
    /// changes.
    pub(crate) fn set_anticipated(&self, dir: Dir, streams: Option<u16>) {
        let mut state = lock(&self.state);
        state.anticipated[dir as usize] = streams;
        if state.established.is_none() || state.check().is_err() {
            return;
        }
        self.request_change(state, |changes| changes.anticipate = true);
    }

    /// Announces that the session will end.
    pub(crate) fn drain(&self) {
        let state = lock(&self.state);
        if state.check().is_ok() {
            self.request_change(state, |changes| changes.drain = true);
        }
    }

    fn request_change(&self, mut state: MutexGuard<'_, State>, change: impl FnOnce(&mut PendingChanges)) {
        change(&mut state.changes);
        let mark = state.mark();
        drop(state);
        wake(mark);
    }

    /// Closes the session. Later calls have no effect.
    pub(crate) fn close(&self, info: CloseInfo) {
        let mut state = lock(&self.state);
        if state.check().is_err() {
            return;
        }
        state.closing = Some(info.clone());
        state.commands.push_back(Command::Close(info));
        let waiters = self.all_waiters(&mut state);
        let mark = state.mark();
        drop(state);
        wake(mark);
        wake_all(waiters);
    }

    pub(crate) fn poll_incoming(
        &self,
        dir: Dir,
        cx: &Context<'_>,
        place: &mut Place,
    ) -> Poll<Option<Result<NewStream, WebTransportError>>> {
        let mut state = lock(&self.state);
        if let Some(stream) = state.incoming[dir as usize].pop_front() {
            return Poll::Ready(Some(Ok(stream)));
        }
        match &state.end {
            Some(Ok(_)) => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(error.clone()))),
            None if state.closing.is_some() => return Poll::Ready(None),
            None => {}
        }
        state.incoming_waiters[dir as usize].add(place, cx);
        Poll::Pending
    }

    /// Ready when the session must be requested on another connection.
    pub(crate) fn poll_handed_back(&self, cx: &Context<'_>, place: &mut Place) -> Poll<()> {
        let mut state = lock(&self.state);
        if std::mem::take(&mut state.handed_back) {
            return Poll::Ready(());
        }
        state.state_waiters.add(place, cx);
        Poll::Pending
    }

    /// Ready when a shared connection has answered, has handed the session back, or was silent for too long.
    pub(crate) fn poll_answer(&self, cx: &Context<'_>, place: &mut Place) -> Poll<Answer> {
        let mut state = lock(&self.state);
        if state.established.is_some() || state.end.is_some() {
            return Poll::Ready(Answer::Settled);
        }
        if std::mem::take(&mut state.handed_back) {
            return Poll::Ready(Answer::HandedBack);
        }
        if std::mem::take(&mut state.unanswered) {
            return Poll::Ready(Answer::Unanswered);
        }
        state.state_waiters.add(place, cx);
        Poll::Pending
    }

    /// Asks the connection to hand the session back if it is not answered yet. Without a connection that has
    /// already happened.
    pub(crate) fn retract(&self) {
        let state = lock(&self.state);
        if state.link.is_some() {
            self.request_change(state, |changes| changes.retract = true);
        }
    }

    // The driver's side.

    /// The requested connection does not answer.
    pub(crate) fn set_unanswered(&self) {
        self.change(|state| state.unanswered = true);
    }

    /// Links the box to a connection, where its key is `key`. The driver then handles earlier requests at
    /// once.
    pub(crate) fn attach(&self, connection: Arc<ConnectionBox>, key: u32) {
        lock(&self.state).link = Some((connection, key));
    }

    /// Takes at most `most` commands. Once all are taken, it takes the other requests too. Returns false if
    /// there are more commands.
    pub(crate) fn take_commands(&self, commands: &mut Vec<Command>, most: usize) -> (bool, PendingChanges) {
        let mut state = lock(&self.state);
        let count = state.commands.len().min(most);
        commands.extend(state.commands.drain(..count));
        let all = state.commands.is_empty();
        // Until then the driver needs no mark, because it comes again.
        state.marked = !all;
        if !all {
            return (all, PendingChanges::default());
        }
        if state.commands.capacity() > KEPT_COMMANDS {
            state.commands = VecDeque::new();
        }
        (all, std::mem::take(&mut state.changes))
    }

    /// Requests another connection from the application's side, and returns the datagrams that were taken.
    pub(crate) fn hand_back(&self, mut datagrams: VecDeque<OutgoingDatagram>) {
        self.change(|state| {
            (state.handed_back, state.unanswered, state.changes.retract) = (true, false, false);
            (state.link, state.marked) = (None, false);
            datagrams.append(&mut state.datagrams_out.waiting);
            (state.datagrams_out.waiting, state.datagrams_out.held) = (datagrams, 0);
        });
    }

    pub(crate) fn set_established(&self, established: Established) {
        self.change(|state| state.established = Some(established));
    }

    pub(crate) fn set_draining(&self) {
        self.change(|state| state.draining = true);
    }

    /// Sets the last counts of the connection and of the session's groups.
    pub(crate) fn set_stats(&self, stats: ConnectionStats, groups: BTreeMap<u32, StreamCounts>) {
        let mut state = lock(&self.state);
        // Only once: afterwards the driver does not have them any more.
        if state.stats.replace(stats).is_none() {
            state.groups = groups;
        }
    }

    /// The session has ended. Only the first end counts. Pending replies are dropped, which their callers
    /// notice.
    pub(crate) fn set_end(&self, end: Result<CloseInfo, WebTransportError>) {
        self.set_over(end, None);
    }

    /// The session has ended because this side closed it.
    pub(crate) fn set_closed(&self, info: CloseInfo, outcome: CloseOutcome) {
        self.set_over(Ok(info), Some(outcome));
    }

    /// How the peer reacted to this side's close, once the session has ended.
    pub(crate) fn close_outcome(&self) -> Option<CloseOutcome> {
        lock(&self.state).outcome
    }

    fn set_over(&self, end: Result<CloseInfo, WebTransportError>, outcome: Option<CloseOutcome>) {
        let mut dropped = VecDeque::new();
        let mut mark = None;
        self.change(|state| {
            if state.end.is_none() {
                (state.end, state.outcome) = (Some(end), outcome);
            }
            dropped = std::mem::take(&mut state.commands);
            mark = state.mark();
        });
        // If the driver did not cause the end, it must be told.
        wake(mark);
        // Dropped outside the lock, because it wakes the tasks that wait for replies.
        drop(dropped);
        self.refuse_opens(&self.gone());
    }

    pub(crate) fn is_over(&self) -> bool {
        lock(&self.state).end.is_some()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = lock(&self.state);
        change(&mut state);
        let waiters = self.all_waiters(&mut state);
        drop(state);
        wake_all(waiters);
    }

    fn all_waiters(&self, state: &mut State) -> [Waiters; 6] {
        let [bidi, uni] = &mut state.incoming_waiters;
        [
            state.state_waiters.take(),
            bidi.take(),
            uni.take(),
            state.datagram_readers.take(),
            state.datagram_writers.take(),
            state.size_waiters.take(),
        ]
    }

    pub(crate) fn push_incoming(&self, dir: Dir, stream: NewStream) {
        let mut state = lock(&self.state);
        state.incoming[dir as usize].push_back(stream);
        let waiters = state.incoming_waiters[dir as usize].take();
        drop(state);
        waiters.wake();
    }
}

impl Waited for SessionBox {
    type Queue = SessionQueue;

    fn leave(&self, queue: SessionQueue, place: &mut Place) {
        let gone = lock(&self.state).waiters(queue).leave(place);
        drop(gone);
    }
}

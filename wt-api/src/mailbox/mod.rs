//! The exchange between the application's handles and the driver.
//!
//! Each stream half, and each session, has a small box behind a mutex. Handles put commands and data in, and
//! wake the driver once per burst. The driver moves data in and out, and wakes the handles. No lock is held
//! while packets are built. No lock is taken while another one is held, except for the shard's list of woken
//! connections.
//!
//! Owns the boxes and the wake-ups. It must never know QUIC connections or sockets.

mod about;
mod chunks;
mod claims;
mod datagrams;
mod exchange;
mod lingering;
mod outbox;
mod pieces;
mod recv;
mod send;
mod session;
mod unread;
mod values;

use std::{
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Waker},
};

use quic_core::{ConnectionStats, Dir, StreamId};
use tokio::sync::oneshot;

use crate::congestion::CongestionControl;

pub(crate) use crate::waiters::{Place, Waited, Waiter, Waiters, lock, wait, wake_all};
pub(crate) use about::{About, CloseRequest, PendingChanges as ConnectionChanges};
pub(crate) use claims::Claimed;
use claims::Claims;
pub(crate) use datagrams::{OutgoingDatagram, Rank};
pub(crate) use exchange::{Answered, ExchangeBox, ExchangeQueue, Found, Next, Part, Tickets};
pub(crate) use lingering::Lingering;
pub(crate) use outbox::Outbox;
pub(crate) use pieces::Pieces;
pub(crate) use recv::{RecvBox, RecvEnd};
pub(crate) use send::{Atomic, SendBox, SendEnd, SendQueue};
pub(crate) use session::{Open, SessionBox};
pub(crate) use unread::UnreadBytes;
pub(crate) use values::{Addresses, Answer, Command, Established, NewStream, SessionQueue, StreamCounts};

/// How many bytes of received data a connection's boxes may hold before data of streams without a waiting
/// reader is left in QUIC.
pub(crate) const CONNECTION_INBOX: usize = 8 << 20;

/// Work for a driver from outside its task.
#[derive(Debug)]
pub(crate) struct ShardBox<C> {
    state: Mutex<ShardState<C>>,
}

#[derive(Debug)]
struct ShardState<C> {
    commands: Vec<C>,
    woken: Vec<usize>,
    waker: Option<Waker>,
    /// Whether the driver has ended.
    closed: bool,
}

/// A command that may expect a reply.
pub(crate) trait Abandoned {
    /// Whether nobody waits for the reply any more.
    fn is_abandoned(&self) -> bool;
}

impl<C: Abandoned> ShardBox<C> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(ShardState {
                commands: Vec::new(),
                woken: Vec::new(),
                waker: None,
                closed: false,
            }),
        })
    }

    /// Queues a command for the driver. Returns the command if the driver has ended.
    pub(crate) fn try_command(&self, command: C) -> Result<(), C> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(command);
        }
        let mut abandoned = Vec::new();
        // Before the list grows, abandoned commands are removed, so that they take no room even if the driver
        // is busy.
        if state.commands.len() == state.commands.capacity() {
            let all = std::mem::take(&mut state.commands);
            (abandoned, state.commands) = all.into_iter().partition(C::is_abandoned);
        }
        state.commands.push(command);
        let waker = state.waker.take();
        drop(state);
        drop(abandoned);
        waker.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Queues a command that has no meaning once the driver has ended.
    pub(crate) fn command(&self, command: C) {
        let _ = self.try_command(command);
    }

    /// Wakes the driver for something other than a command.
    pub(crate) fn wake(&self) {
        let waker = lock(&self.state).waker.take();
        waker.into_iter().for_each(Waker::wake);
    }

    /// The driver's side: ends the exchange. Returns the remaining commands.
    pub(crate) fn close(&self) -> Vec<C> {
        let mut state = lock(&self.state);
        state.closed = true;
        std::mem::take(&mut state.commands)
    }

    /// The driver's side: ends the exchange unless there is a command. Returns whether it ended.
    pub(crate) fn close_if_idle(&self) -> bool {
        let mut state = lock(&self.state);
        state.closed |= state.commands.is_empty();
        state.closed
    }

    /// The driver's side: takes everything, and registers for the next wake-up.
    pub(crate) fn take(&self, commands: &mut Vec<C>, woken: &mut Vec<usize>, cx: &Context<'_>) {
        let mut state = lock(&self.state);
        commands.append(&mut state.commands);
        woken.append(&mut state.woken);
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
    }
}

/// Wakes a driver for one of its connections.
pub(crate) trait WakeDriver: std::fmt::Debug + Send + Sync {
    /// Connection `index` has work.
    fn wake_connection(&self, index: usize);
}

impl<C: Send + std::fmt::Debug> WakeDriver for ShardBox<C> {
    fn wake_connection(&self, index: usize) {
        let mut state = lock(&self.state);
        state.woken.push(index);
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }
}

/// The object that has work for the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// The receiving half of a stream.
    Recv(StreamId),
    /// The sending half of a stream.
    Send(StreamId),
    /// An HTTP exchange.
    Exchange(StreamId),
    /// A session, by its key.
    Session(u32),
    /// The connection itself.
    Connection,
}

/// Work that the driver has not handled yet.
#[derive(Debug, Default)]
struct Pending {
    dirty: Vec<Work>,
    claims: Claims,
}

/// What all boxes of a connection share: which of them have work, and the link to the driver.
#[derive(Debug)]
pub(crate) struct ConnectionBox {
    about: About,
    pending: Mutex<Pending>,
    /// Whether the driver was woken and has not looked yet.
    queued: AtomicBool,
    link: OnceLock<(Arc<dyn WakeDriver>, usize)>,
    /// The received bytes in all boxes.
    inbox: UnreadBytes,
    lingering: Lingering,
    /// The written bytes in all boxes.
    outbox: Outbox,
}

#[cfg(test)]
impl Default for ConnectionBox {
    fn default() -> Self {
        Self::new(([127, 0, 0, 1], 1).into(), CongestionControl::Default)
    }
}

impl ConnectionBox {
    pub(crate) fn new(remote: std::net::SocketAddr, congestion: CongestionControl) -> Self {
        Self {
            about: About::new(remote, congestion),
            pending: Mutex::default(),
            queued: AtomicBool::default(),
            link: OnceLock::new(),
            inbox: UnreadBytes::default(),
            lingering: Lingering::default(),
            outbox: Outbox::default(),
        }
    }

    /// The connection's own state.
    pub(crate) fn about(&self) -> &About {
        &self.about
    }

    /// Requests another kind of congestion control.
    pub(crate) fn ask_congestion(&self, wanted: CongestionControl) {
        if self.about.request_congestion(wanted) {
            self.mark(Work::Connection);
        }
    }

    /// Requests to close the connection.
    pub(crate) fn ask_close(&self, request: CloseRequest) {
        if self.about.request_close(request) {
            self.mark(Work::Connection);
        }
    }

    /// Requests the connection's counts.
    pub(crate) fn ask_counts(&self, reply: oneshot::Sender<ConnectionStats>) {
        if self.about.request_counts(reply) {
            self.mark(Work::Connection);
        }
    }

    /// Links the box to a connection of a driver, which then handles earlier work at once.
    pub(crate) fn attach(&self, driver: Arc<dyn WakeDriver>, index: usize) {
        let _ = self.link.set((driver, index));
    }

    /// Wakes the driver unless it was woken already.
    pub(crate) fn wake(&self) {
        if let Some((driver, index)) = self.link.get()
            && !self.queued.swap(true, Ordering::AcqRel)
        {
            driver.wake_connection(*index);
        }
    }

    /// Marks work for the driver.
    pub(crate) fn mark(&self, work: Work) {
        lock(&self.pending).dirty.push(work);
        self.wake();
    }

    /// Claims a stream for a session, if there is credit. `make` builds what the driver opens.
    pub(crate) fn claim(
        &self,
        dir: Dir,
        make: impl FnOnce(StreamId) -> (NewStream, Claimed),
    ) -> Option<NewStream> {
        let mut pending = lock(&self.pending);
        let id = pending.claims.next(dir)?;
        let (stream, claimed) = make(id);
        pending.claims.claimed.push(claimed);
        drop(pending);
        self.wake();
        Some(stream)
    }

    /// The driver's side: takes all work; later work wakes the driver again. Claimed streams must be opened
    /// before other work on them.
    pub(crate) fn take_pending(&self, dirty: &mut Vec<Work>, claimed: &mut Vec<Claimed>) {
        // A read as well as a write: a thread that found the flag set has already put in what is taken now.
        self.queued.swap(false, Ordering::AcqRel);
        let mut pending = lock(&self.pending);
        std::mem::swap(&mut pending.dirty, dirty);
        std::mem::swap(&mut pending.claims.claimed, claimed);
    }

    /// Whether there is work that the driver has not taken.
    #[cfg(test)]
    pub(crate) fn has_work(&self) -> bool {
        !lock(&self.pending).dirty.is_empty()
    }

    /// The driver's side: permits claims up to index `end`. `next` is the first ID, if no claims were
    /// possible before.
    pub(crate) fn show_credit(&self, next: StreamId, end: u64) {
        lock(&self.pending).claims.show(next, end);
    }

    /// The driver's side: permits no claims until credit is shown again. Takes the claimed streams.
    pub(crate) fn withdraw_credit(&self, claimed: &mut Vec<Claimed>) {
        let mut pending = lock(&self.pending);
        pending.claims.withdraw();
        std::mem::swap(&mut pending.claims.claimed, claimed);
    }

    /// The received bytes in all boxes.
    pub(crate) fn inbox(&self) -> &UnreadBytes {
        &self.inbox
    }

    /// The written bytes in all boxes and at the driver.
    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// The streams of the peer that the application has not read to their end.
    pub(crate) fn lingering(&self) -> &Lingering {
        &self.lingering
    }
}

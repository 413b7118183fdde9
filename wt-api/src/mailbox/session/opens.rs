//! The streams that the application requests. If the peer's limits permit one, the handle gets it at once:
//! see [`SessionBox::claim`]. The other requests stay in the session's box until there is credit. A caller
//! that gives up removes its request, and a session that changes its connection keeps its requests.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use quic_core::Dir;
use tokio::sync::oneshot;

use super::{
    super::{Claimed, Rank, RecvBox, SendBox, UnreadBytes, lock},
    NewStream, SessionBox, State, wake,
};
use crate::error::{ErrorCause, WebTransportError};

type Reply = Result<NewStream, WebTransportError>;

/// A requested stream.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) rank: Rank,
    /// Whether the request waits for the peer's credit. Otherwise missing credit is an error.
    wait: bool,
    pub(crate) reply: oneshot::Sender<Reply>,
}

/// The requested streams of a kind, in the order of the requests. A single one costs no allocation.
#[derive(Debug, Default)]
pub(super) struct Opens {
    next: u64,
    one: Option<(u64, Open)>,
    more: BTreeMap<u64, Open>,
    /// The tickets of requests that do not wait for credit.
    hasty: BTreeSet<u64>,
}

impl Opens {
    fn is_empty(&self) -> bool {
        self.one.is_none() && self.more.is_empty()
    }

    fn remove(&mut self, ticket: u64) -> Option<Open> {
        self.hasty.remove(&ticket);
        match self.one.take_if(|(at, _)| *at == ticket) {
            Some((_, open)) => Some(open),
            None => self.more.remove(&ticket),
        }
    }

    fn pop_first(&mut self) -> Option<(u64, Open)> {
        let more = self.more.first_key_value().map(|(ticket, _)| *ticket);
        let is_first = |(at, _): &mut (u64, Open)| more.is_none_or(|ticket| *at < ticket);
        let first = self.one.take_if(is_first).or_else(|| self.more.pop_first())?;
        self.hasty.remove(&first.0);
        Some(first)
    }

    fn insert(&mut self, ticket: u64, open: Open) {
        if !open.wait {
            self.hasty.insert(ticket);
        }
        if self.is_empty() {
            self.one = Some((ticket, open));
        } else {
            self.more.insert(ticket, open);
        }
    }

    /// Takes the requests that do not wait for credit.
    fn take_hasty(&mut self) -> Vec<Open> {
        let hasty = std::mem::take(&mut self.hasty);
        hasty.into_iter().filter_map(|ticket| self.remove(ticket)).collect()
    }

    fn take(&mut self) -> impl Iterator<Item = Open> + use<> {
        self.hasty.clear();
        let one = self.one.take().map(|(_, open)| open);
        one.into_iter().chain(std::mem::take(&mut self.more).into_values())
    }
}

/// How much of the session's own limits its handles may use without the driver.
#[derive(Debug, Default)]
pub(super) struct Permit {
    /// How many streams handles may have opened by themselves over the session's life, by kind; 0 before it
    /// is established.
    most: [u64; 2],
    /// The counter for the contents of boxes, if the session has flow control.
    held: Option<Arc<UnreadBytes>>,
    /// How many streams they have opened.
    claimed: [u64; 2],
}

/// A pending request for a stream. Dropping it cancels the request, and gives up the stream if it was opened
/// already.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    session: &'a SessionBox,
    dir: Dir,
    ticket: u64,
    reply: oneshot::Receiver<Reply>,
}

impl Asked<'_> {
    /// The stream, or why there is none; `None` if the session ended before the request was handled. Cancel
    /// safe.
    pub(crate) async fn answer(&mut self) -> Option<Reply> {
        (&mut self.reply).await.ok()
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if self.reply.is_terminated() {
            return;
        }
        // Closed first, so that a driver that holds the request now does not put it back.
        self.reply.close();
        let change = lock(&self.session.state).opens[self.dir as usize].remove(self.ticket);
        drop(change);
    }
}

impl SessionBox {
    /// Opens a stream at once, if the limits of session and connection are known to permit it and no request
    /// is pending. The driver is told and need not reply.
    pub(crate) fn claim(
        self: &Arc<Self>,
        dir: Dir,
        rank: Rank,
    ) -> Result<Option<NewStream>, WebTransportError> {
        let at = dir as usize;
        let mut state = lock(&self.state);
        state.check()?;
        let State { opens, permit, link, .. } = &mut *state;
        if permit.claimed[at] >= permit.most[at] || !opens[at].is_empty() {
            return Ok(None);
        }
        let Some((connection, key)) = link.clone() else { return Ok(None) };
        permit.claimed[at] += 1;
        let held = permit.held.clone();
        drop(state);
        let stream = connection.claim(dir, |id| {
            let send = SendBox::ranked(id, Arc::clone(&connection), rank);
            let recv = (dir == Dir::Bidi).then(|| RecvBox::new(id, Arc::clone(&connection), held));
            let boxes = (Some(send), recv);
            let (send, recv) = boxes.clone();
            let claimed = Claimed { id, session: Arc::clone(self), key, rank, send, recv, late: false };
            (NewStream { send: boxes.0, recv: boxes.1 }, claimed)
        });
        if stream.is_none() {
            lock(&self.state).permit.claimed[at] -= 1;
        }
        Ok(stream)
    }

    /// Requests a stream.
    pub(crate) fn ask(&self, dir: Dir, rank: Rank, wait: bool) -> Result<Asked<'_>, WebTransportError> {
        let (sender, reply) = oneshot::channel();
        let mut state = lock(&self.state);
        state.check()?;
        let opens = &mut state.opens[dir as usize];
        let ticket = opens.next;
        opens.next += 1;
        opens.insert(ticket, Open { rank, wait, reply: sender });
        let mark = state.mark();
        drop(state);
        wake(mark);
        Ok(Asked { session: self, dir, ticket, reply })
    }

    // The driver's side.

    /// Takes the oldest request.
    pub(crate) fn take_open(&self, dir: Dir) -> Option<(u64, Open)> {
        let mut state = lock(&self.state);
        state.opens[dir as usize].pop_first()
    }

    /// Whether any request is pending.
    pub(crate) fn has_opens(&self, dir: Dir) -> bool {
        !lock(&self.state).opens[dir as usize].is_empty()
    }

    /// Sets how many streams handles may open by themselves over the session's life.
    pub(crate) fn permit(&self, most: [u64; 2], held: Option<&Arc<UnreadBytes>>) {
        let mut state = lock(&self.state);
        state.permit.most = most;
        state.permit.held = held.cloned();
    }

    /// Puts a request back because there is no credit. It keeps waiting, with those after it, and requests
    /// that do not wait are refused.
    pub(crate) fn put_back(&self, dir: Dir, ticket: u64, open: Open) {
        let mut state = lock(&self.state);
        let opens = &mut state.opens[dir as usize];
        let gone = if open.reply.is_closed() {
            Some(open)
        } else {
            opens.insert(ticket, open);
            None
        };
        let refused = opens.take_hasty();
        drop((state, gone));
        refuse(refused, &WebTransportError::session(ErrorCause::QuotaExceeded));
    }

    /// Refuses all requests, because no stream will be opened any more.
    pub(crate) fn refuse_opens(&self, error: &WebTransportError) {
        let opens = lock(&self.state).opens.each_mut().map(Opens::take);
        refuse(opens.into_iter().flatten(), error);
    }
}

fn refuse(opens: impl IntoIterator<Item = Open>, error: &WebTransportError) {
    for open in opens {
        let _ = open.reply.send(Err(error.clone()));
    }
}

//! The streams that the application wants. They stay in the session's box until there is credit for them, so that whoever
//! gives up takes the wish back, and a session that changes its connection takes its wishes along.

use std::collections::{BTreeMap, BTreeSet};

use quic_core::Dir;
use tokio::sync::oneshot;

use super::{
    super::{Rank, lock},
    NewStream, SessionBox, State, wake,
};
use crate::error::{ErrorCause, WebTransportError};

type Reply = Result<NewStream, WebTransportError>;

/// A stream that is wanted.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) rank: Rank,
    /// For the peer's credit; else the lack of it is an error.
    wait: bool,
    pub(crate) reply: oneshot::Sender<Reply>,
}

/// Streams of a kind that are wanted, first asked first opened.
#[derive(Debug, Default)]
pub(super) struct Opens {
    next: u64,
    wanted: BTreeMap<u64, Open>,
    /// Those among them that do not wait for credit.
    hasty: BTreeSet<u64>,
}

impl Opens {
    fn remove(&mut self, ticket: u64) -> Option<Open> {
        self.hasty.remove(&ticket);
        self.wanted.remove(&ticket)
    }

    fn insert(&mut self, ticket: u64, open: Open) -> Option<Open> {
        if !open.wait {
            self.hasty.insert(ticket);
        }
        self.wanted.insert(ticket, open)
    }

    fn take(&mut self) -> BTreeMap<u64, Open> {
        self.hasty.clear();
        std::mem::take(&mut self.wanted)
    }
}

/// A stream that was asked for: dropped, it is not wanted any more, and goes back if it was opened already.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    session: &'a SessionBox,
    dir: Dir,
    ticket: u64,
    reply: oneshot::Receiver<Reply>,
}

impl Asked<'_> {
    /// The stream, or why there is none; `None`: the session ended before anybody looked. Cancel safe.
    pub(crate) async fn answer(&mut self) -> Option<Reply> {
        (&mut self.reply).await.ok()
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if self.reply.is_terminated() {
            return;
        }
        // Closed first: a driver that holds the wish now does not put it back.
        self.reply.close();
        let wish = lock(&self.session.state).opens[self.dir as usize].remove(self.ticket);
        drop(wish);
    }
}

impl SessionBox {
    /// Asks for a stream.
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

    /// Takes the one that was asked for first.
    pub(crate) fn take_open(&self, dir: Dir) -> Option<(u64, Open)> {
        let mut state = lock(&self.state);
        let opens = &mut state.opens[dir as usize];
        let (ticket, open) = opens.wanted.pop_first()?;
        opens.hasty.remove(&ticket);
        Some((ticket, open))
    }

    /// There is no credit for it: it waits on, with those behind it, and who does not want to wait is refused.
    pub(crate) fn put_back(&self, dir: Dir, ticket: u64, open: Open) {
        let mut state = lock(&self.state);
        let State { opens, .. } = &mut *state;
        let opens = &mut opens[dir as usize];
        let gone = if open.reply.is_closed() { Some(open) } else { opens.insert(ticket, open) };
        let hasty = std::mem::take(&mut opens.hasty);
        let refused: Vec<Open> = hasty.iter().filter_map(|ticket| opens.wanted.remove(ticket)).collect();
        drop((state, gone));
        refuse(refused, &WebTransportError::session(ErrorCause::QuotaExceeded));
    }

    /// No stream is opened any more: those who wait for one hear it.
    pub(crate) fn refuse_opens(&self, error: &WebTransportError) {
        let opens = lock(&self.state).opens.each_mut().map(Opens::take);
        refuse(opens.into_iter().flat_map(BTreeMap::into_values), error);
    }
}

fn refuse(opens: impl IntoIterator<Item = Open>, error: &WebTransportError) {
    for open in opens {
        let _ = open.reply.send(Err(error.clone()));
    }
}

//! Streams that handles have opened themselves: see `mailbox/claims.rs`.
//!
//! QUIC opens them in the order of their IDs, before any other stream. If a caller waits for a stream, or a
//! request needs one, the connection first withdraws the credit and opens what was claimed by then. Then the
//! others get their streams, and the handles see the rest of the credit again.

use std::collections::VecDeque;

use quic_core::{Dir, StreamId};

use super::state::{
    KEPT,
    conn::{Conn, H3_INTERNAL_ERROR},
    sending::Sending,
    stack::Layers,
    stream::DriverStream,
    table::SessionEntry,
};
use crate::{
    error::WebTransportError,
    mailbox::{Claimed, Work},
};

impl Conn {
    /// Takes what the handles have put into the mailboxes since the last time.
    pub(super) fn take_pending(&mut self) {
        self.boxes.take_pending(&mut self.scratch, &mut self.claims_taken);
        self.backlog.extend(self.scratch.drain(..));
        self.claimed.extend(self.claims_taken.drain(..));
        // Two queues of each kind take turns: one is here, the other one in the mailboxes.
        if self.scratch.capacity() > KEPT {
            self.scratch = Vec::new();
        }
        if self.claims_taken.capacity() > KEPT {
            self.claims_taken = Vec::new();
        }
    }

    /// Frees the capacity that a burst of claims and work needed, when all is done.
    pub(super) fn give_up_room(&mut self) {
        if self.claimed.is_empty() && self.claimed.capacity() > KEPT {
            self.claimed = VecDeque::new();
        }
        if self.backlog.is_empty() && self.backlog.capacity() > KEPT {
            self.backlog = VecDeque::new();
        }
    }

    /// Opens what was claimed, at most `left` streams, and counts them down.
    pub(super) fn open_claimed(&mut self, left: &mut usize) {
        let held_up = self.claimed.front().is_some_and(|claimed| claimed.late);
        while *left > 0 && !self.claimed.is_empty() && self.open_first() {
            *left -= 1;
        }
        // From now on data written to them waits in their mailboxes.
        self.claimed.iter_mut().for_each(|claimed| claimed.late = true);
        if held_up && self.claimed.is_empty() {
            let waiting = |entry: &SessionEntry| {
                [Dir::Bidi, Dir::Uni].into_iter().any(|dir| entry.shared.has_opens(dir))
            };
            let keys = self.table.entries_mut().filter(|(_, entry)| waiting(entry)).map(|(key, _)| key);
            self.backlog.extend(keys.map(Work::Session));
        }
    }

    /// Opens the first one, or skips it if its session is gone. False: QUIC has no room for it now.
    fn open_first(&mut self) -> bool {
        let now = self.stack.now;
        let Some(claimed) = self.claimed.front_mut() else { return false };
        let (id, key) = (claimed.id, claimed.key);
        let entry = self.table.get_mut(key).filter(|entry| entry.is_open() && claimed.send.is_some());
        let Layers { sessions, mut transport, .. } = self.stack.layers();
        let opened = match entry.and_then(|entry| Some((entry.id?, entry))) {
            None => None,
            Some((session, entry)) => match sessions.open(session, id.dir(), &mut transport) {
                Ok(None) => return false,
                Ok(Some(stream)) => {
                    entry.claimed[id.dir() as usize] += 1;
                    Some(stream)
                }
                Err(_) => None,
            },
        };
        let Some(stream) = opened else {
            let gone = claimed.session.gone();
            claimed.fail(&gone);
            let passed = sessions.pass_over(id.dir(), &mut transport).is_some();
            if passed {
                self.claimed.pop_front();
            }
            return passed;
        };
        if stream != id {
            // The library opened a stream whose ID an application already has. Nothing that the application
            // does with that ID can be right.
            tracing::error!(%stream, %id, "streams were opened out of their order");
            self.stack.quic.close(now, H3_INTERNAL_ERROR, b"");
            return false;
        }
        let Some(claimed) = self.claimed.pop_front() else { return false };
        let sending = claimed.send.map(|shared| Sending::ranked(shared, claimed.rank));
        self.insert_stream(
            id,
            DriverStream { session: key, send: sending, recv: claimed.recv, ..DriverStream::default() },
        );
        // The peer has to learn of the stream even if nothing is ever written to it.
        self.unannounced.push(id);
        if claimed.late {
            self.pump_send(id);
            self.pump_recv(id);
        }
        true
    }

    /// Ends claiming, and opens what was claimed. False: QUIC has no room for some of it.
    pub(super) fn withdraw_credit(&mut self) -> bool {
        self.shown = [None; 2];
        self.boxes.withdraw_credit(&mut self.claims_taken);
        self.claimed.extend(self.claims_taken.drain(..));
        self.open_claimed(&mut { usize::MAX });
        self.claimed.is_empty()
    }

    /// The connection has ended: handles can claim no more streams, and claimed streams fail.
    pub(super) fn refuse_claims(&mut self, error: &WebTransportError) {
        // Kept until all have learned of it: wakers may panic.
        self.claimed = self.take_claims();
        self.fail_claims(None, error);
        self.claimed.clear();
    }

    /// Ends claiming, and returns what was claimed.
    pub(super) fn take_claims(&mut self) -> VecDeque<Claimed> {
        self.shown = [None; 2];
        self.boxes.withdraw_credit(&mut self.claims_taken);
        self.claimed.extend(self.claims_taken.drain(..));
        std::mem::take(&mut self.claimed)
    }

    /// Fails the claimed streams of one session, or all. Their IDs still have to be skipped.
    pub(super) fn fail_claims(&mut self, session: Option<u32>, error: &WebTransportError) {
        let of_session = |claimed: &&mut Claimed| session.is_none_or(|key| claimed.key == key);
        self.claimed.iter_mut().filter(of_session).for_each(|claimed| claimed.fail(error));
    }

    /// Shows the handles what the peer's limits permit now. Other uses of the credit come first.
    pub(super) fn show_credit(&mut self) {
        if !self.claimed.is_empty() || !self.backlog.is_empty() || self.stack.quic.is_closed() {
            return;
        }
        // HTTP/3 opens its own streams first, as soon as the peer permits it.
        if !self.stack.h3.has_critical_streams() {
            return;
        }
        // Before the connection's credit: a session without credit of its own must not claim with old credit.
        self.permit_sessions();
        let asking = |entry: &SessionEntry| entry.request.is_some() && entry.id.is_none();
        // A request that waits for its stream may open one at any time.
        let asks = !self.is_server() && self.table.iter().any(asking);
        for dir in [Dir::Bidi, Dir::Uni] {
            let end = self.stack.quic.stream_limit(self.stack.quic.side(), dir);
            let shown = &mut self.shown[dir as usize];
            if *shown != Some(end) && !(asks && dir == Dir::Bidi) {
                *shown = Some(end);
                self.boxes.show_credit(self.stack.quic.next_stream(dir), end);
            }
        }
    }

    /// Does the same for the sessions' own limits.
    fn permit_sessions(&mut self) {
        let flow = self.stack.sessions.flow_control();
        for entry in self.table.iter_mut().filter(|entry| entry.is_open()) {
            let Some(id) = entry.id.filter(|_| flow || entry.permitted == [0; 2]) else { continue };
            let most = [Dir::Bidi, Dir::Uni].map(|dir| {
                let left = self.stack.sessions.streams_left(id, dir).unwrap_or(u64::MAX);
                entry.claimed[dir as usize].saturating_add(left)
            });
            if entry.permitted != most {
                entry.permitted = most;
                entry.shared.permit(most, flow.then_some(&entry.held));
            }
        }
    }

    /// Takes in what the application finished before it closed a session, so that it counts. There is no such
    /// promise for other streams, and today's Chromium crashes at data of an unfinished stream right before
    /// the close.
    pub(super) fn catch_up(&mut self) {
        self.take_pending();
        let finished = |claimed: &Claimed| claimed.send.as_ref().is_some_and(|send| send.is_finished());
        if self.claimed.iter().any(finished) {
            self.open_claimed(&mut { usize::MAX });
        }
        for id in self.finished_sends() {
            self.pump_send(id);
        }
    }

    /// Returns the streams whose mailboxes have something new, including the end. Other work stays.
    fn finished_sends(&mut self) -> Vec<StreamId> {
        let Self { backlog, streams, .. } = self;
        let mut finished = Vec::new();
        backlog.retain(|work| {
            let Work::Send(id) = work else { return true };
            let sending = streams.get(id).and_then(|stream| stream.send.as_ref());
            let ends = sending.is_some_and(Sending::is_finished);
            if ends {
                finished.push(*id);
            }
            !ends
        });
        finished
    }
}

//! The commands of a session's handles.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use quic_core::{DatagramOptions, Dir};
use wt_session::DatagramError;

use super::state::{
    KEPT,
    conn::Conn,
    sending::priority,
    stack::Layers,
    table::{Phase, SessionEntry},
};
use crate::{
    close::{CloseInfo, ClosedBy},
    error::{ErrorCause, WebTransportError},
    limits::HTTP3_STREAMS,
    mailbox::{Command, Open, Rank, Work},
};

/// Commands of a session that are processed before others get their turn, and streams of a kind that are
/// opened for it.
const COMMAND_TURN: usize = 64;
/// Datagrams of a session that are sent before the next one gets its turn.
const DATAGRAM_TURN: usize = 16;

impl Conn {
    /// Processes the commands of a session's handles, the streams that they request, and its datagrams. What
    /// takes longer than a turn continues in the next one. Returns the number of commands.
    pub(super) fn process_commands(&mut self, key: u32) -> usize {
        let Some(entry) = self.table.get_mut(key) else { return 0 };
        let mut commands = std::mem::take(&mut entry.commands);
        let (all, changes) = entry.shared.take_commands(&mut commands, COMMAND_TURN);
        // The application gave up waiting for the response, which may have arrived by now: no handle is left
        // that could close the session.
        if entry.shared.is_over() && matches!(entry.phase, Phase::Open) {
            self.close_session(key, CloseInfo::default());
            return commands.len();
        }
        if !all {
            self.backlog.push_back(Work::Session(key));
        }
        // Before the commands: a close among them came later.
        self.open_waiting(key, Dir::Bidi);
        self.open_waiting(key, Dir::Uni);
        let count = commands.len();
        for command in commands.drain(..) {
            self.on_command(key, command);
        }
        if let Some(entry) = self.table.get_mut(key) {
            entry.commands = commands;
        }
        if changes.anticipate {
            self.anticipate(key);
        }
        if changes.retract {
            self.retract(key);
        }
        if changes.drain {
            self.announce_drain(key);
        }
        while self.pump_datagrams_of(key) {}
        count
    }

    fn announce_drain(&mut self, key: u32) {
        if let Some(id) = self.table.get(key).and_then(|entry| entry.id) {
            let Layers { sessions, h3, mut transport } = self.stack.layers();
            let _ = sessions.drain(id, h3, &mut transport);
        }
    }

    fn on_command(&mut self, key: u32, command: Command) {
        let id = self.table.get(key).and_then(|entry| entry.id);
        match command {
            Command::Close(info) => {
                self.catch_up();
                self.close_session(key, info);
            }
            Command::Export { label, context, length, reply } => {
                let mut out = vec![0; length];
                let Layers { sessions, transport, .. } = self.stack.layers();
                let exported = id.is_some_and(|id| {
                    sessions.export_keying_material(id, &mut out, &label, &context, &transport).is_ok()
                });
                if exported {
                    let _ = reply.send(out);
                }
            }
            Command::Stats(reply) => drop(reply.send(self.stack.quic.stats())),
            Command::SendStats(stream, reply) => {
                if let Some(counts) = self.send_counts(stream) {
                    let _ = reply.send(counts);
                }
            }
            Command::RecvStats(stream, reply) => {
                if let Some(received) = self.bytes_received(stream) {
                    let _ = reply.send(received);
                }
            }
            Command::GroupStats(group, reply) => {
                // Once the session has ended, the mailbox has the last counters.
                match self.table.get(key) {
                    Some(entry) if matches!(entry.phase, Phase::Open | Phase::Holding(_)) => {
                        let _ = reply.send(self.group_counts(key, group));
                    }
                    Some(entry) => drop(reply.send(entry.shared.last_group_counts(group))),
                    None => {}
                }
            }
            Command::Accept(status, headers) => self.accept(key, status, headers),
            Command::Reject(status, headers) => {
                self.server_lets_go(key);
                if let Some(id) = id {
                    let Layers { sessions, h3, mut transport } = self.stack.layers();
                    sessions.reject(id, status, headers, h3, &mut transport);
                }
            }
            Command::Refuse => {
                self.server_lets_go(key);
                if let Some(id) = id {
                    let Layers { sessions, h3, mut transport } = self.stack.layers();
                    sessions.close(id, wt_session::CloseInfo::default(), h3, &mut transport);
                }
            }
        }
    }

    /// The application rejects a session that it was offered.
    fn server_lets_go(&mut self, key: u32) {
        if let Some(entry) = self.table.remove(key) {
            self.end_session(entry, Err(WebTransportError::closed(ClosedBy::ThisSide, CloseInfo::default())));
        }
    }

    /// Permits the peer as many streams as the session's application anticipates. Without session flow
    /// control only QUIC's limit applies; with it, QUIC's limit has to suffice for all sessions together, and
    /// for HTTP/3's own streams.
    pub(super) fn anticipate(&mut self, key: u32) {
        for dir in [Dir::Bidi, Dir::Uni] {
            let Some(entry) = self.table.get(key) else { return };
            let (Some(id), Some(streams)) = (entry.id, entry.shared.anticipated(dir)) else { continue };
            self.stack.sessions.set_max_streams(id, dir, streams.into());
            let open = self.table.iter().filter(|entry| matches!(entry.phase, Phase::Open));
            let expected: u64 = open.map(|entry| u64::from(entry.shared.anticipated(dir).unwrap_or(0))).sum();
            let own = match dir {
                Dir::Uni => HTTP3_STREAMS,
                // The CONNECT streams of the sessions.
                Dir::Bidi if self.is_server() => self.table.len() as u64,
                Dir::Bidi => 0,
            };
            self.stack.quic.set_max_streams(dir, expected + own);
        }
    }

    fn accept(&mut self, key: u32, status: StatusCode, headers: HeaderMap) {
        let Some(entry) = self.table.get_mut(key) else { return };
        let Some(id) = entry.id else { return };
        let Layers { sessions, h3, mut transport } = self.stack.layers();
        match sessions.accept_with(id, status, headers, h3, &mut transport) {
            Ok(()) => {
                entry.established = true;
                self.begin(key);
            }
            Err(error) => {
                // The application's fields cannot be sent, but the client waits for a response.
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                sessions.reject(id, status, HeaderMap::new(), h3, &mut transport);
                let error = WebTransportError::session(ErrorCause::SessionFailed(error.to_string().into()));
                if let Some(entry) = self.table.remove(key) {
                    self.end_session(entry, Err(error));
                }
            }
        }
    }

    /// Opens a stream. Returns the request if there is no credit.
    fn try_open(&mut self, key: u32, dir: Dir, open: Open) -> Option<Open> {
        let Some(id) = self.table.get(key).and_then(|entry| entry.id) else { return Some(open) };
        if open.reply.is_closed() {
            return None;
        }
        let Layers { sessions, mut transport, .. } = self.stack.layers();
        match sessions.open(id, dir, &mut transport) {
            Ok(Some(stream)) => {
                let new = self.add_stream(stream, key, true);
                if let (Some(send), true) = (&new.send, open.rank != Rank::default()) {
                    send.rank(|current| *current = open.rank);
                }
                // The peer has to learn of the stream even if nothing is ever written to it.
                self.unannounced.push(stream);
                // A caller that has given up drops it, and the stream returns.
                drop(open.reply.send(Ok(new)));
            }
            Ok(None) => return Some(open),
            // The session has ended. Its mailbox learns of it next, and then reports how.
            Err(_) => drop(open.reply),
        }
        None
    }

    /// Whether there are open streams that the peer does not know of yet.
    pub(super) fn has_unannounced(&mut self) -> bool {
        // Usually the data written to them has announced them.
        if !self.stack.sessions.has_unflushed() {
            self.unannounced.clear();
            if self.unannounced.capacity() > KEPT {
                self.unannounced = Vec::new();
            }
        }
        !self.unannounced.is_empty()
    }

    /// Announces open streams to the peer, unless their data has done so.
    pub(super) fn announce(&mut self) {
        let Layers { sessions, mut transport, .. } = self.stack.layers();
        for stream in std::mem::take(&mut self.unannounced) {
            // A stream that was given up meanwhile has nothing to announce.
            let _ = sessions.flush_preface(stream, &mut transport);
        }
    }

    /// Waiting callers get their streams in order, as far as there is credit. Before the session is ready all
    /// of them wait; after that, callers that do not want to wait for credit are refused.
    pub(super) fn open_waiting(&mut self, key: u32, dir: Dir) {
        let waits = |entry: &SessionEntry| entry.established && entry.shared.has_opens(dir);
        if !self.table.get(key).is_some_and(waits) || !self.withdraw_credit() {
            return;
        }
        for _ in 0..COMMAND_TURN {
            let Some(entry) = self.table.get(key).filter(|entry| entry.established) else { return };
            let shared = Arc::clone(&entry.shared);
            let Some((ticket, open)) = shared.take_open(dir) else { return };
            if let Some(open) = self.try_open(key, dir, open) {
                return shared.put_back(dir, ticket, open);
            }
        }
        self.backlog.push_back(Work::Session(key));
    }

    /// Sends some datagrams of a session. False: there are none left, or QUIC's queue is full.
    pub(super) fn pump_datagrams_of(&mut self, key: u32) -> bool {
        let now = self.stack.now;
        let Some(entry) = self.table.get_mut(key).filter(|entry| entry.established) else { return false };
        let Some(id) = entry.id else { return false };
        let SessionEntry { shared, datagrams_out: queue, datagrams_below: below, urgency, .. } = entry;
        let max_age = shared.take_datagrams(queue);
        if std::mem::replace(&mut entry.datagram_age, max_age) != max_age {
            self.stack.quic.set_datagrams_max_age(key, max_age);
        }
        let Layers { sessions, h3, mut transport } = self.stack.layers();
        let (mut sent, mut gone, mut expired, mut full) = (0, 0, 0, false);
        while let Some(front) = queue.front()
            && sent < DATAGRAM_TURN
        {
            let waited = now - front.at;
            if max_age.is_some_and(|age| waited > age) {
                queue.pop_front();
                expired += 1;
                continue;
            }
            let options = DatagramOptions::default()
                .with_priority(priority(key, *urgency, front.rank))
                .with_max_age(max_age)
                .after(waited);
            match sessions.send_datagram_with(id, front.data.clone(), options, h3, &mut transport) {
                // It still waits, in QUIC's queue.
                Ok(()) => *below += 1,
                // Too large by now, or the peer accepts no datagrams: a datagram may be lost.
                Err(DatagramError::TooLarge { .. } | DatagramError::Unsupported) => gone += 1,
                Err(DatagramError::Full) => {
                    full = true;
                    break;
                }
                Err(_) => {
                    gone += queue.len();
                    queue.clear();
                    break;
                }
            }
            queue.pop_front();
            sent += 1;
        }
        if gone + expired > 0 {
            shared.datagrams_gone(gone, expired);
        }
        !full && !queue.is_empty()
    }

    /// Tells the mailboxes how many datagrams QUIC has sent or dropped: those in QUIC's queue count against
    /// the application's limit.
    pub(super) fn report_datagrams(&mut self) {
        for (key, entry) in self.table.entries_mut().filter(|(_, entry)| entry.datagrams_below > 0) {
            let waiting = self.stack.quic.datagrams_waiting(key);
            let gone = entry.datagrams_below.saturating_sub(waiting);
            if gone > 0 {
                entry.datagrams_below = waiting;
                entry.shared.datagrams_gone(gone, 0);
            }
        }
    }
}

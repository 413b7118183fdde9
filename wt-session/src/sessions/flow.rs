//! Applies session flow control to sessions and streams: counts, wakes blocked streams, sends messages. The
//! rules are in [`crate::flow`].

use std::collections::BTreeMap;

use bytes::{Buf, Bytes};
use h3_core::{Connection, Settings};
use quic_core::{Dir, StreamId, StreamMap, error::call::ReadError};

use super::{Sessions, parameters};
use crate::{
    codes::WT_FLOW_CONTROL_ERROR,
    dialect::{Dialect, negotiate},
    error::{SessionError, StreamError},
    event::{Event, SessionId},
    flow::{Flow, FlowMessage, FlowViolation, Limited, Limits, Raised},
    session::{Receiving, Sending, Session, Turn, WtStream},
    transport::SessionTransport,
};

impl Sessions {
    /// Whether session flow control is in force on this connection (§5.1). False before the peer's SETTINGS.
    #[must_use]
    pub fn flow_control(&self) -> bool {
        self.flow
    }

    /// How many sessions are not over: requested, undecided or open.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.sessions.values().filter(|session| !session.is_ended()).count()
    }

    /// How many bytes the session of `stream` may still send now, on all its streams (§5.4). `None` without
    /// session flow control.
    #[must_use]
    pub fn data_left(&self, stream: StreamId) -> Option<u64> {
        let session = self.sessions.get(&self.session_of(stream)?)?;
        session.flow.as_ref().map(|flow| flow.send.left(Limited::Data))
    }

    /// Sets how many of the bytes that were [`read`](Self::read) in a session the layer above still holds for
    /// the application. Held bytes earn the peer no new credit. Returns `Some(most)` if only these prevent
    /// new credit: call this again when at most `most` bytes are held. [`Sessions::flush`] sends the credit.
    /// Does nothing without session flow control. A layer that passes everything on at once need not call
    /// this.
    ///
    /// Unread data takes at most half of the window as long as the window can grow: up to its ceiling, and up
    /// to this session's share of half of the sum of all windows.
    pub fn set_held(&mut self, session: SessionId, bytes: u64) -> Option<u64> {
        let receive = &mut self.sessions.get_mut(&session)?.flow.as_mut()?.receive;
        let mut most = receive.hold(bytes);
        if receive.is_crowded() {
            let (window, spare) = (receive.window(), self.spare_window());
            let share =
                self.config.flow().unwrap_or_default().max_data_together / 2 / self.windows().count() as u64;
            let receive = &mut self.sessions.get_mut(&session)?.flow.as_mut()?.receive;
            receive.make_room(share.min(window.saturating_add(spare)));
            most = receive.hold(bytes);
        }
        self.touch(session);
        most
    }

    /// Counts what has arrived on a stream whose data is left in the transport, which makes no events. A
    /// layer that uses [`set_held`](Self::set_held) first calls this for each such stream.
    pub fn count_unread<T: SessionTransport>(&mut self, stream: StreamId, t: &mut T) {
        self.count_received(stream, t);
    }

    /// Widens the window of a session if it blocks the peer and the sum of all windows leaves room.
    pub(super) fn grow_window(&mut self, id: SessionId) {
        let wants = |session: &Session| session.flow.as_ref().is_some_and(|flow| flow.receive.wants_wider());
        if self.sessions.get(&id).is_some_and(|session| wants(session)) {
            let spare = self.spare_window();
            if let Some(flow) = self.sessions.get_mut(&id).and_then(|session| session.flow.as_mut()) {
                flow.receive.grow(spare);
            }
        }
    }

    /// The windows of data of all sessions, in bytes.
    fn windows(&self) -> impl Iterator<Item = u64> {
        self.sessions.values().filter_map(|session| session.flow.as_ref()).map(|flow| flow.receive.window())
    }

    /// How many bytes the bound of all windows leaves for widening one.
    fn spare_window(&self) -> u64 {
        let limits = self.config.flow().unwrap_or_default();
        let taken = self.windows().fold(0, u64::saturating_add);
        // The first windows of further sessions are reserved, but at most half of the bound.
        let to_come = self.max_sessions.unwrap_or(1).saturating_sub(self.windows().count() as u64);
        let kept = to_come.saturating_mul(limits.max_data).min(limits.max_data_together / 2);
        limits.max_data_together.saturating_sub(taken).saturating_sub(kept)
    }

    /// Lets the peer have at least `count` streams of a kind open at once in a session, at most 2^60. Does
    /// nothing without session flow control, or if as many are already permitted. [`Sessions::flush`] sends
    /// the new limit.
    pub fn set_max_streams(&mut self, session: SessionId, dir: Dir, count: u64) {
        if let Some(flow) = self.sessions.get_mut(&session).and_then(|session| session.flow.as_mut()) {
            flow.receive.widen(dir, count);
            self.touch(session);
        }
    }

    /// Sends the messages of session flow control, ends sessions whose peer broke it, and sends a GOAWAY that
    /// [`go_away`](Self::go_away) delayed, once it may be sent. Call it after [`read`](Self::read),
    /// [`write`](Self::write), [`open`](Self::open), [`stop`](Self::stop) and
    /// [`set_max_streams`](Self::set_max_streams), before the transport sends. One call after many of them is
    /// best. [`on_event`](Self::on_event) calls it itself.
    pub fn flush<T: SessionTransport>(&mut self, h3: &mut Connection, t: &mut T) {
        self.count_discarding(t);
        // Calls since the last event may have made HTTP/3 events.
        self.take_http_events(h3, t);
        while let Some(id) = self.dirty.pop() {
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            session.dirty = false;
            match session.fault.take() {
                None => self.flush_capsules(id, h3, t),
                Some(fault) => {
                    self.fail(id, SessionError::FlowControl(fault), WT_FLOW_CONTROL_ERROR, h3, t);
                }
            }
            self.take_http_events(h3, t);
        }
        self.release_goaway(h3, t);
    }

    /// Decides from both ends' settings whether flow control is in force, and how many sessions there may be.
    pub(super) fn agree<T: SessionTransport>(&mut self, h3: &Connection, t: &T) {
        let (own, Some(peer)) = (h3.settings(), h3.peer_settings()) else { return };
        let agreed = negotiate(own, peer, parameters(t), self.side, self.config.strict);
        let dialect = agreed.map_or(Dialect::Draft02, |agreed| agreed.dialect);
        self.flow = dialect.has_flow_control(own, peer);
        self.max_sessions = Some(self.most_sessions(dialect, peer));
    }

    /// How many sessions there may be (§5.1, §5.2). Without flow control a client must not have more than
    /// one. A server of the older drafts accepts as many as it announced.
    fn most_sessions(&self, dialect: Dialect, peer: &Settings) -> u64 {
        let own = self.config.sessions();
        match dialect {
            Dialect::Draft02 => 1,
            Dialect::Draft07 | Dialect::Draft14 if !self.side.is_client() => own,
            _ if !self.flow => 1,
            Dialect::Draft07 | Dialect::Draft14 => own.min(dialect.announced(peer)).max(1),
            Dialect::Draft16 => own,
        }
    }

    /// The flow control of a new session.
    pub(super) fn new_flow(&self, dialect: Dialect, h3: &Connection) -> Option<Box<Flow>> {
        let peer = h3.peer_settings().filter(|_| self.flow)?;
        let limits = |settings: &Settings| Limits {
            data: settings.wt_initial_max_data,
            streams: [settings.wt_initial_max_streams_bidi, settings.wt_initial_max_streams_uni],
        };
        let ceiling = self.config.flow().unwrap_or_default().max_data_ceiling;
        Some(Box::new(Flow::new(limits(peer), limits(h3.settings()), ceiling, dialect.raise_rule())))
    }

    /// Handles a flow control capsule and wakes what waited for it.
    pub(super) fn on_flow_message(
        &mut self,
        id: SessionId,
        message: FlowMessage,
    ) -> Result<(), FlowViolation> {
        let Some(flow) = self.sessions.get_mut(&id).and_then(|session| session.flow.as_mut()) else {
            return Ok(());
        };
        match flow.on_flow_message(message)? {
            Raised::Nothing => {}
            Raised::Awaited(Limited::Data) => self.wake(id),
            Raised::Awaited(Limited::Streams(dir)) => {
                self.events.push_back(Event::StreamsAvailable { session: Some(id), dir });
            }
        }
        Ok(())
    }

    /// Wakes the streams that waited for the session's credit. It looks at no other stream.
    fn wake(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        for stream in session.waiters.take() {
            if let Some(sending) = self.streams.get_mut(&stream).and_then(|stream| stream.sending.as_mut()) {
                sending.turn = None;
                self.events.push_back(Event::Writable { stream });
            }
        }
    }

    /// Writes as much as the limits of the session (§5.4) and of the stream permit. Written data uses the
    /// session's credit, and a stream that its own limit blocks must not take credit from the others.
    pub(super) fn write_within<T: SessionTransport>(
        &mut self,
        stream: StreamId,
        data: &mut Bytes,
        t: &mut T,
    ) -> Result<usize, StreamError> {
        let Some((sending, session)) = sending_of(&mut self.streams, &mut self.sessions, stream) else {
            return t.write(stream, data).map_err(|error| self.write_error(error));
        };
        let Some(flow) = &mut session.flow else {
            return t.write(stream, data).map_err(|error| self.write_error(error));
        };
        let room = usize::try_from(flow.send.left(Limited::Data)).unwrap_or(usize::MAX).min(data.len());
        let mut part = data.slice(..room);
        // The write is tried even without room, because the stream may be over.
        let taken = match t.write_within_limit(stream, &mut part) {
            Ok(taken) => taken,
            Err(error) => return Err(self.write_error(error)),
        };
        data.advance(taken);
        sending.charged = sending.charged.saturating_add(taken as u64);
        flow.send.charge(Limited::Data, taken as u64);
        self.idle.earn(taken as u64);
        // If QUIC took less, its own event follows.
        if taken == room && !data.is_empty() {
            flow.send.block(Limited::Data);
            if let Some(turn) = sending.turn.take() {
                session.waiters.remove(turn);
            }
            sending.turn = Some(session.waiters.add(stream, taken > 0));
            let id = self.streams.get(&stream).map(|stream| stream.session);
            id.into_iter().for_each(|id| self.touch(id));
        }
        Ok(taken)
    }

    /// Refunds the session's credit when the sending side of a stream is over: data written beyond the final
    /// size is never sent (§5.4).
    pub(super) fn settle(&mut self, id: SessionId, sending: &Sending, final_size: Option<u64>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let (Some(flow), Some(size)) = (&mut session.flow, final_size) else { return };
        let refund = sending.charged.saturating_sub(size.saturating_sub(sending.header));
        if flow.send.refund(refund) {
            self.wake(id);
        }
    }

    /// Remembers a stream that was reset while committed bytes, up to its final size, were not sent. If the
    /// peer stops it first, they are never sent, and it must be settled again.
    pub(super) fn keep_resetting(
        &mut self,
        stream: StreamId,
        id: SessionId,
        mut sending: Sending,
        final_size: Option<u64>,
    ) {
        let counted = self.sessions.get(&id).is_some_and(|session| session.flow.is_some());
        if let (Some(size), true) = (final_size, counted) {
            sending.charged = sending.charged.min(size.saturating_sub(sending.header));
            self.resetting.insert(stream, (id, sending));
        }
    }

    /// Removes a stream from those that wait for the session's credit.
    pub(super) fn stop_waiting(&mut self, id: SessionId, turn: Option<Turn>) {
        if let (Some(turn), Some(session)) = (turn, self.sessions.get_mut(&id)) {
            session.waiters.remove(turn);
        }
    }

    /// Counts what arrived on a stream. Returns false if the session's limit is exceeded; [`Sessions::flush`]
    /// then ends the session.
    pub(super) fn count_received<T: SessionTransport>(&mut self, stream: StreamId, t: &mut T) -> bool {
        let Some(entry) = self.streams.get_mut(&stream) else { return true };
        let Some(receiving) = &mut entry.receiving else { return true };
        let id = entry.session;
        let Some(session) = self.sessions.get_mut(&id) else { return true };
        let (Some(flow), Some(end)) = (&mut session.flow, t.received_end(stream)) else { return true };
        let more = end.saturating_sub(receiving.header).saturating_sub(receiving.received);
        if more == 0 {
            return session.fault.is_none();
        }
        receiving.received = receiving.received.saturating_add(more);
        self.idle.earn(more);
        if let Err(fault) = flow.receive.receive(more) {
            session.fault.get_or_insert(fault);
            self.touch(id);
            return false;
        }
        true
    }

    /// Counts bytes that the application took from a stream; `None` if it will not take the rest.
    pub(super) fn count_consumed(&mut self, stream: StreamId, bytes: Option<usize>) {
        let Some(entry) = self.streams.get_mut(&stream) else { return };
        let Some(receiving) = &mut entry.receiving else { return };
        let rest = receiving.received.saturating_sub(receiving.consumed);
        let bytes = bytes.map_or(rest, |bytes| bytes as u64);
        receiving.consumed = receiving.consumed.saturating_add(bytes);
        let id = entry.session;
        if let Some(flow) = self.sessions.get_mut(&id).and_then(|session| session.flow.as_mut()) {
            flow.receive.consume(bytes);
            self.touch(id);
        }
    }

    /// Counts a stream that the peer opened. Returns false if the limit did not permit it;
    /// [`Sessions::flush`] then ends the session.
    pub(super) fn count_opened(&mut self, id: SessionId, dir: Dir) -> bool {
        let Some(session) = self.sessions.get_mut(&id) else { return true };
        let Some(flow) = &mut session.flow else { return true };
        let opened = flow.receive.open(dir);
        if let Err(fault) = opened {
            session.fault.get_or_insert(fault);
            self.touch(id);
        }
        opened.is_ok()
    }

    /// Stops reading a stream. What the peer has sent on it still counts, at the latest when its final size
    /// is known.
    pub(super) fn discard<T: SessionTransport>(
        &mut self,
        stream: StreamId,
        session: SessionId,
        receiving: Receiving,
        code: u64,
        t: &mut T,
    ) -> Result<(), ReadError> {
        let known = t.final_size(stream);
        t.stop_sending(stream, code)?;
        // Before the peer's SETTINGS, flow control may still come into force.
        if self.flow || self.max_sessions.is_none() {
            self.discarding.insert(stream, (session, receiving));
            if let Some(final_size) = known {
                self.on_discarded(stream, final_size);
            }
        }
        Ok(())
    }

    /// Counts what arrives on stopped streams as it arrives, not only with their final sizes.
    fn count_discarding<T: SessionTransport>(&mut self, t: &mut T) {
        let dropped = t.bytes_dropped();
        if std::mem::replace(&mut self.dropped, dropped) == dropped || !self.flow {
            return;
        }
        let mut more = BTreeMap::<SessionId, u64>::new();
        #[expect(clippy::iter_over_hash_type, reason = "what is summed up is the same in any order")]
        for (stream, (session, receiving)) in &mut self.discarding {
            // Before the session exists, the final size counts.
            let Some(end) = t.received_end(*stream).filter(|_| self.sessions.contains_key(session)) else {
                continue;
            };
            let new = end.saturating_sub(receiving.header).saturating_sub(receiving.received);
            receiving.received = receiving.received.saturating_add(new);
            *more.entry(*session).or_default() += new;
        }
        more.into_iter().for_each(|(session, bytes)| self.count_dropped(session, bytes));
    }

    /// Handles the final size of a stopped stream.
    pub(super) fn on_discarded(&mut self, stream: StreamId, final_size: u64) {
        let Some((session, receiving)) = self.discarding.remove(&stream) else { return };
        let rest = final_size.saturating_sub(receiving.header).saturating_sub(receiving.received);
        if self.sessions.get(&session).is_some_and(|session| session.flow.is_some()) {
            self.count_dropped(session, rest);
        } else {
            self.early.on_discarded(session, rest);
        }
    }

    /// Counts received bytes that reach no application.
    pub(super) fn count_dropped(&mut self, id: SessionId, bytes: u64) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(flow) = &mut session.flow else { return };
        if let Err(fault) = flow.receive.receive(bytes) {
            session.fault.get_or_insert(fault);
        }
        flow.receive.consume(bytes);
        self.touch(id);
    }

    /// Counts a refused stream of the peer as opened and closed. `known` says that it was already counted as
    /// opened.
    pub(super) fn count_refused(&mut self, id: SessionId, dir: Dir, known: bool) {
        if !known && !self.count_opened(id, dir) {
            return;
        }
        if let Some(flow) = self.sessions.get_mut(&id).and_then(|session| session.flow.as_mut()) {
            flow.receive.close(dir);
            self.touch(id);
        }
    }

    /// Puts the session on the list for [`Sessions::flush`] if it has something to send or must end.
    pub(super) fn touch(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let due = session.fault.is_some() || session.flow.as_ref().is_some_and(|flow| flow.has_messages());
        if due && !std::mem::replace(&mut session.dirty, true) {
            self.dirty.push(id);
        }
    }
}

/// The sending side of a stream, and its session.
fn sending_of<'a>(
    streams: &'a mut StreamMap<WtStream>,
    sessions: &'a mut BTreeMap<SessionId, Box<Session>>,
    stream: StreamId,
) -> Option<(&'a mut Sending, &'a mut Session)> {
    let entry = streams.get_mut(&stream)?;
    Some((entry.sending.as_mut()?, sessions.get_mut(&entry.session)?))
}

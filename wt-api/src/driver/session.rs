//! The sessions of a connection: their beginning, their events, their end.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use quic_core::Dir;
use wt_session::{ConnectError, Event, Refusal, SessionId, SessionResponse, protocols::WT_PROTOCOL};

use super::state::{
    conn::{Conn, Role},
    stack::Layers,
    table::{SessionEntry, cost_of, cost_of_request},
};
use crate::{
    close::CloseInfo,
    error::{ErrorCause, WebTransportError},
    mailbox::{Established, SessionBox},
    reception::{Origin, offer::Offer, stats::Count},
};

/// The server has not processed a request, which may be made again (RFC 9114 §8.1).
const H3_REQUEST_REJECTED: u64 = 0x10b;
/// Datagrams that are collected before they are delivered.
const DATAGRAM_BATCH: usize = 64;

impl Conn {
    pub(super) fn on_session_event(&mut self, event: Event) {
        match event {
            Event::Incoming { session, request } => self.on_incoming(session, *request),
            Event::Requested { request, session } => self.table.name(request, session),
            Event::Established { session, response } => {
                let SessionResponse { mut headers, protocol, dialect, why, .. } = *response;
                // W3C: the attribute `protocol` has it.
                headers.remove(WT_PROTOCOL);
                let established = Established {
                    headers: Arc::new(headers),
                    protocol: protocol.map(Into::into),
                    draft: dialect.name(),
                    why: why.into(),
                };
                self.on_established(session, established);
            }
            Event::Refused { request, session, reason } => {
                let key = request.and_then(|request| self.table.key_of_request(request));
                let key = key.or_else(|| session.and_then(|id| self.table.key_of(id)));
                self.on_refusal(key, &reason);
            }
            Event::StreamOpened { session, stream, dir } => {
                let Some(key) = self.table.key_of(session) else { return };
                let new = self.add_stream(stream, key, false);
                if let Some(entry) = self.table.get(key) {
                    entry.shared.push_incoming(dir, new);
                }
            }
            Event::Readable { stream } => self.pump_recv(stream),
            Event::Writable { stream } => self.pump_send(stream),
            Event::Stopped { stream, code } => self.on_stopped(stream, code),
            Event::Sent { stream } => self.on_sent(stream),
            Event::StreamsAvailable { session, dir } => {
                let key = session.and_then(|id| self.table.key_of(id));
                let keys = key.map_or_else(|| self.table.round(), |key| vec![key]);
                keys.into_iter().for_each(|key| self.open_waiting(key, dir));
            }
            Event::Datagram { session, payload } => {
                let Some(entry) = self.table.by_id(session) else { return };
                entry.datagrams_in.push(payload);
                if entry.datagrams_in.len() >= DATAGRAM_BATCH {
                    entry.deliver_datagrams();
                }
            }
            Event::Ranked { session, priority } => {
                if let Some(key) = self.table.key_of(session) {
                    self.rank_session(key, priority.urgency);
                }
            }
            Event::Draining { session } => {
                if let Some(entry) = self.table.by_id(session) {
                    entry.shared.set_draining();
                }
            }
            Event::Closed { session, result } => self.on_session_closed(session, result),
            Event::Finished { session } => self.on_session_finished(session),
            Event::Http(event) => self.on_http_event(event),
            // QUIC's own event follows and has the reason.
            _ => {}
        }
    }

    fn on_incoming(&mut self, session: SessionId, request: wt_session::SessionRequest) {
        let now = self.stack.now;
        let Role::Server(server) = &self.role else { return };
        let server = Arc::clone(server);
        let fields = cost_of_request(&request);
        let others: usize = self.table.iter().map(|entry| entry.fields).sum();
        let refusal = if self.going_away || server.is_closed() {
            Some((StatusCode::SERVICE_UNAVAILABLE, Count::RequestShutdown))
        } else if others + fields > self.stack.quic.room_above() {
            Some((StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, Count::RequestFields))
        } else {
            match server.judge_origin(request.origin.as_deref(), now) {
                Origin::Permitted => None,
                Origin::Refused => Some((StatusCode::FORBIDDEN, Count::RequestOrigin)),
            }
        };
        if let Some((status, why)) = refusal {
            server.count(why);
            return self.turn_down(session, status);
        }
        let shared = SessionBox::new(Arc::clone(&self.runtime));
        for dir in [Dir::Bidi, Dir::Uni] {
            shared.set_anticipated(dir, server.anticipated(dir));
        }
        self.boxes.about().set_draft(request.dialect.name());
        let mut entry = SessionEntry::new(Arc::clone(&shared));
        entry.id = Some(session);
        (entry.urgency, entry.fields) = (request.priority.urgency, fields);
        // Registered here first, then offered: the application may answer at once.
        let key = self.table.add(entry);
        shared.attach(Arc::clone(&self.boxes), key);
        self.update_datagram_size(key);
        let (addresses, certificates) = (self.addresses(), self.certificates());
        let offer = Offer::new(request, shared, self.handle(), addresses, certificates);
        if server.offer(offer) {
            server.count(Count::RequestOffered);
            if let Some(entry) = self.table.get_mut(key) {
                entry.counted = true;
            }
        } else {
            // The application does not accept requests as fast as they arrive, or has as many sessions as it
            // wants.
            server.count(Count::RequestBusy);
            self.table.remove(key);
            self.turn_down(session, StatusCode::TOO_MANY_REQUESTS);
        }
    }

    /// The client's certificates. They do not change and may be large, so all requests share one copy.
    fn certificates(&mut self) -> Arc<[Vec<u8>]> {
        let certificates =
            self.certificates.get_or_insert_with(|| self.stack.quic.peer_certificates().into());
        Arc::clone(certificates)
    }

    /// Answers a request that the application does not see.
    fn turn_down(&mut self, session: SessionId, status: StatusCode) {
        let Layers { sessions, h3, mut transport } = self.stack.layers();
        sessions.reject(session, status, HeaderMap::new(), h3, &mut transport);
    }

    /// Requests a client's session, as soon as the connection is established, or at once if it is shared
    /// (`joined`).
    pub(super) fn ask(
        &mut self,
        shared: &Arc<SessionBox>,
        request: wt_session::ConnectRequest,
        joined: bool,
    ) {
        let mut entry = SessionEntry::new(Arc::clone(shared));
        entry.joined = joined;
        // The request takes the next stream ID.
        if !self.withdraw_credit() && joined {
            return entry.hand_back();
        }
        let Layers { sessions, h3, mut transport } = self.stack.layers();
        let asked = sessions.connect(request, h3, &mut transport);
        match asked {
            Ok(request) => {
                entry.request = Some(request);
                let key = self.table.add(entry);
                shared.attach(Arc::clone(&self.boxes), key);
                self.note_presence();
                self.process_commands(key);
            }
            Err(error) if self.pooled().is_some() => {
                entry.hand_back();
                if matches!(error, ConnectError::GoingAway | ConnectError::ConnectionLost) {
                    self.leave_pool();
                }
            }
            Err(error) => {
                let key = self.table.add(entry);
                self.fail_session(key, ErrorCause::Refused(error.to_string().into()));
            }
        }
    }

    fn on_established(&mut self, session: SessionId, established: Established) {
        let Some(key) = self.table.key_of(session) else { return };
        // Before the application learns of the session: it may run on another thread and send a datagram at
        // once.
        self.update_datagram_size(key);
        if let Some(entry) = self.table.get_mut(key) {
            entry.established = true;
            entry.request = None;
            entry.fields = cost_of(&established.headers);
            self.boxes.about().set_draft(established.draft);
            entry.shared.set_established(established);
        }
        self.begin(key);
    }

    /// The session is established: what waited for it continues.
    pub(super) fn begin(&mut self, key: u32) {
        self.update_datagram_size(key);
        self.anticipate(key);
        self.open_waiting(key, Dir::Bidi);
        self.open_waiting(key, Dir::Uni);
        while self.pump_datagrams_of(key) {}
    }

    fn on_refusal(&mut self, key: Option<u32>, reason: &Refusal) {
        if self.is_server() {
            tracing::debug!(%reason, "session request refused");
            if let Some(entry) = key.and_then(|key| self.table.remove(key)) {
                let error = ErrorCause::SessionFailed(reason.to_string().into());
                self.end_session(entry, Err(WebTransportError::session(error)));
            }
            return self.close_if_idle();
        }
        let Some(key) = key else { return };
        let elsewhere = match reason {
            Refusal::TooManySessions { .. } | Refusal::GoingAway => true,
            // RFC 9114 §8.1: the server has not processed it, probably because there are too many others. A
            // session that was given up a moment ago may still count there.
            Refusal::Reset(code) => *code == H3_REQUEST_REJECTED && self.shares(key),
            _ => false,
        };
        if elsewhere && self.pooled().is_some() {
            if let Some(entry) = self.table.remove(key) {
                entry.hand_back();
            }
            if matches!(reason, Refusal::GoingAway) {
                self.leave_pool();
            }
            return self.rest();
        }
        let cause = match reason {
            Refusal::Status { status, .. } => ErrorCause::Status { status: *status },
            Refusal::ConnectionLost => return,
            reason => ErrorCause::Refused(reason.to_string().into()),
        };
        self.fail_session(key, cause);
    }

    /// Whether the connection has had other sessions than this one.
    fn shares(&self, key: u32) -> bool {
        self.table.len() > 1 || self.table.get(key).is_some_and(|entry| entry.joined)
    }

    /// A client's session failed. A connection that was made for it has no other use.
    pub(super) fn fail_session(&mut self, key: u32, cause: ErrorCause) {
        if self.pooled().is_some() {
            if let Some(entry) = self.table.remove(key) {
                self.end_session(entry, Err(WebTransportError::session(cause)));
            }
            return self.rest();
        }
        self.fail_everything(&cause);
        self.failure = Some(cause);
        self.part_unused();
    }

    /// Sends datagrams until QUIC's queue is full, in rounds over the sessions.
    pub(super) fn pump_datagrams(&mut self) {
        let mut keys = self.table.round();
        while !keys.is_empty() {
            keys.retain(|key| self.pump_datagrams_of(*key));
        }
    }

    /// Delivers the collected datagrams.
    pub(super) fn deliver_datagrams(&mut self) {
        self.table.iter_mut().for_each(SessionEntry::deliver_datagrams);
    }

    pub(super) fn update_datagram_size(&mut self, key: u32) {
        if let Some(entry) = self.table.get(key)
            && let Some(id) = entry.id
        {
            let Layers { h3, transport, .. } = self.stack.layers();
            // Also for a session that the application has not accepted yet: it may send as soon as it has.
            entry.shared.set_max_datagram_size(h3.max_datagram_size(id.0, &transport));
        }
    }

    /// The session has ended: every waiting caller learns how. If this side closed it before, that is its
    /// end.
    pub(super) fn end_session(&mut self, mut entry: SessionEntry, end: Result<CloseInfo, WebTransportError>) {
        self.retire_session(&mut entry);
        entry.end(end);
    }

    /// The session no longer counts.
    pub(super) fn retire_session(&mut self, entry: &mut SessionEntry) {
        entry.deliver_datagrams();
        // The rest of an ended session has the same mailbox, which is no longer used.
        if !std::mem::replace(&mut entry.retired, true) {
            let counts = entry.shared.datagram_counts();
            self.datagrams_retired.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        entry.shared.set_stats(self.stack.quic.stats(), std::mem::take(&mut entry.groups));
        if let (Role::Server(server), true) = (&self.role, entry.counted) {
            server.session_ended(&entry.shared);
        }
    }
}

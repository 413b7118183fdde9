//! One connection of a shard: drives QUIC, HTTP/3 and sessions together, and serves the application's
//! mailboxes.
//!
//! Owns the order in which the layers run. It must never know sockets.

use std::{net::SocketAddr, sync::Arc};

use quic_core::{
    ConnectionStats, HeldAbove, StreamTag,
    base::Timestamp,
    error::{CloseReason, ConnectionError, TransportErrorCode},
};
use wt_session::SessionId;

use super::{
    panics::contain,
    state::{
        conn::{Conn, Role},
        patience::Doubt,
        stack::Layers,
        table::{Phase, SessionEntry},
    },
};
use crate::{
    error::{ErrorCause, WebTransportError},
    jobs::ClientJob,
    mailbox::Work,
    reception::stats::Count,
    tls::ALPN_H3,
};

/// The TLS alert of a server that supports none of the client's protocols (RFC 7301 §3.2).
const NO_APPLICATION_PROTOCOL: u8 = 120;

/// Events, commands and mailboxes with work that a connection processes before others get their turn.
const TURN: usize = 1024;

impl Conn {
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        let doubt = self.doubts.front().map(Doubt::until);
        let requests = [self.stack.h3.poll_timeout(), self.stack.sessions.poll_timeout()];
        let bodies = self.http.check_at;
        [self.stack.quic.poll_timeout(), self.table.alarm(), self.rest_until, self.look_at, doubt, bodies]
            .into_iter()
            .chain(requests)
            .flatten()
            .min()
    }

    pub(super) fn handle_timeout(&mut self) {
        let now = self.stack.now;
        self.stack.quic.handle_timeout(now);
        let Layers { sessions, h3, mut transport } = self.stack.layers();
        h3.handle_timeout(now, &mut transport);
        sessions.handle_timeout(now, h3, &mut transport);
        for key in self.table.take_due(now) {
            self.on_alarm(key);
        }
        self.look_at = self.look_at.filter(|at| *at > now);
        self.end_still_bodies(now);
        self.end_doubts();
        if self.rest_until.is_some_and(|at| at <= now) {
            self.rest_until = None;
            self.end_rest();
        }
    }

    /// Runs all layers until none has anything new, or until the turn is over: a peer or an application that
    /// is never done must not keep other connections waiting. True: there is more.
    pub(super) fn process(&mut self) -> bool {
        let mut left = TURN;
        if self.is_server() && !self.started && self.stack.quic.can_send() {
            self.start();
        }
        loop {
            let before = left;
            while left > 0
                && let Some(event) = self.stack.quic.poll_event()
            {
                left -= 1;
                // What arrived before the end still counts; usually that is a close of the session.
                if matches!(event, quic_core::Event::Closed(_)) {
                    self.process_sessions(&mut { usize::MAX });
                }
                self.on_quic_event(&event);
                // How many requests may be read depends on what happened to those before.
                if matches!(event, quic_core::Event::StreamReadable(_, StreamTag(0))) {
                    self.process_sessions(&mut left);
                }
                self.take_session_events(&mut left);
            }
            self.process_sessions(&mut left);
            self.process_exchanges(&mut left);
            self.process_boxes(&mut left);
            if left == before || left == 0 {
                break;
            }
        }
        self.deliver_datagrams();
        self.show_credit();
        self.keep_alive();
        self.report_held();
        self.look_for_errors();
        left == 0
    }

    /// Keeps the connection alive for open sessions, and for requests that wait for their response.
    fn keep_alive(&mut self) {
        let wanted = match &self.role {
            Role::Client { job: ClientJob::Session(job), .. } => job.keep_alive,
            Role::Client { job: ClientJob::Http(link), .. } => link.keeps_alive(),
            Role::Server(server) => server.keeps_alive(),
        };
        let is_open = |entry: &SessionEntry| {
            (entry.established || entry.request.is_some()) && matches!(entry.phase, Phase::Open)
        };
        let waits = !self.is_server() && !self.http.all.is_empty();
        self.stack.quic.hold_alive(wanted && (waits || self.table.iter().any(is_open)));
    }

    /// Passes on the sessions' events, at most `left`, and counts them down.
    fn process_sessions(&mut self, left: &mut usize) {
        self.report_held_of_sessions();
        let Layers { sessions, h3, mut transport } = self.stack.layers();
        sessions.flush(h3, &mut transport);
        self.take_session_events(left);
    }

    fn take_session_events(&mut self, left: &mut usize) {
        while *left > 0
            && let Some(event) = self.stack.sessions.poll_event()
        {
            *left -= 1;
            self.show_session_event(&event);
            self.on_session_event(event);
        }
    }

    /// What the application has not read yet counts in the connection's window, its stream limits and its
    /// memory.
    fn report_held(&mut self) {
        let boxes = Arc::clone(self.boxes());
        loop {
            let of_sessions: usize =
                self.table.iter().map(|entry| entry.shared.datagram_bytes() + entry.fields).sum();
            let heads = self.http.heads() + self.stack.sessions.heads_waiting();
            let other_bytes = of_sessions + heads;
            let send_bytes = boxes.outbox().bytes() + self.http.held();
            let (stream_bytes, streams) = (boxes.inbox().bytes(), boxes.lingering().counts());
            let held = HeldAbove::new()
                .stream_bytes(stream_bytes)
                .streams(streams)
                .other_bytes(other_bytes)
                .send_bytes(send_bytes);
            let most = self.stack.quic.set_held_above(&held);
            boxes.outbox().set_limit(self.stack.quic.send_room_above());
            let bytes_stay = most.is_none_or(|most| boxes.inbox().wake_when_left(most));
            let streams_stay =
                !self.stack.quic.withholds_streams() || boxes.lingering().wake_when_fewer(streams);
            if bytes_stay && streams_stay {
                return;
            }
        }
    }

    /// Does the same for each session with flow control.
    fn report_held_of_sessions(&mut self) {
        if !self.stack.sessions.flow_control() {
            return;
        }
        let Layers { sessions, mut transport, .. } = self.stack.layers();
        for entry in self.table.iter() {
            let Some(id) = entry.id else { continue };
            entry.full.iter().for_each(|stream| sessions.count_unread(*stream, &mut transport));
            while let Some(most) = sessions.set_held(id, entry.held.bytes() as u64) {
                if entry.held.wake_when_left(usize::try_from(most).unwrap_or(usize::MAX)) {
                    break;
                }
            }
        }
    }

    fn on_quic_event(&mut self, event: &quic_core::Event) {
        let now = self.stack.now;
        match event {
            quic_core::Event::HandshakeComplete => self.on_handshake_complete(),
            quic_core::Event::Closed(error) => self.on_connection_closed(error),
            quic_core::Event::DatagramSizeChanged => {
                self.table.keys().into_iter().for_each(|key| self.update_datagram_size(key));
            }
            quic_core::Event::PathChanged { .. } => self.boxes.about().set_addresses(self.addresses()),
            quic_core::Event::DatagramWritable => self.pump_datagrams(),
            quic_core::Event::StreamsAvailable(quic_core::Dir::Bidi) => self.open_exchanges(),
            // Streams of HTTP/3: an exchange, or a CONNECT stream.
            quic_core::Event::StreamSent(id, StreamTag(0))
            | quic_core::Event::StreamStopped(id, StreamTag(0), _) => {
                if self.http.release(*id) {
                    self.end_content(*id);
                }
                self.on_connect_sent(SessionId(*id));
                if self.going_away {
                    self.close_if_idle();
                }
            }
            _ => {}
        }
        if self.started {
            let Layers { sessions, h3, mut transport } = self.stack.layers();
            sessions.on_event(event, now, h3, &mut transport);
        }
    }

    fn on_handshake_complete(&mut self) {
        match &self.role {
            Role::Client { race, .. } => {
                if self.stack.quic.alpn_protocol() != Some(ALPN_H3) {
                    let remote = self.stack.quic.remote_address();
                    race.fail(remote, ErrorCause::NoHttp3 { remote });
                    return self.part_unused();
                }
                if !race.claim(self.stack.quic.remote_address()) {
                    return self.part_unused();
                }
            }
            Role::Server(server) => server.count(Count::HandshakeDone),
        }
        self.tell_parameters();
        self.start();
        self.start_job();
        if self.going_away {
            self.go_away();
        }
    }

    /// Starts HTTP/3. A server does so before the client has finished the handshake, because settings are
    /// sent as soon as the transport can send (RFC 9114 §7.2.4.2). With the settings in the server's first
    /// flight, the client requests a session as it finishes the handshake, and a session takes two round
    /// trips instead of three.
    fn start(&mut self) {
        if !std::mem::replace(&mut self.started, true) {
            let Layers { h3, mut transport, .. } = self.stack.layers();
            h3.start(&mut transport);
        }
    }

    fn start_job(&mut self) {
        let Role::Client { job, .. } = &self.role else { return };
        let job = job.clone();
        match &job {
            ClientJob::Session(job) if job.asks => self.ask(&job.shared, job.request.clone(), false),
            // Sessions may join later.
            ClientJob::Session(_) => self.rest(),
            // The way to it leads requests here.
            ClientJob::Http(_) => self.rest(),
        }
    }

    /// The client's job, if it is a session with a connection of its own.
    pub(super) fn is_dedicated(&self) -> bool {
        matches!(&self.role, Role::Client { job: ClientJob::Session(job), .. } if job.pooled.is_none())
    }

    /// QUIC reports that the connection has ended. Read now what the peer finished before: QUIC drops it
    /// next.
    fn on_connection_closed(&mut self, error: &ConnectionError) {
        let now = self.stack.now;
        self.drain_streams(None);
        self.deliver_datagrams();
        if let (Role::Server(server), Some(limit)) = (&self.role, error.own_limit()) {
            server.tell_of_limit(self.stack.quic.remote_address(), limit, now);
        }
        self.conclude(&self.cause_of(error));
    }

    /// The connection has ended: every caller learns why, and nothing waits any more.
    pub(super) fn conclude(&mut self, cause: &ErrorCause) {
        self.failure.get_or_insert_with(|| cause.clone());
        self.tell_end(cause, Some(self.stack.quic.stats()));
        (self.rest_until, self.look_at) = (None, None);
        self.doubts.clear();
        self.fail_everything(cause);
    }

    /// Tells the connection's handles, and a client's attempts, once that it has ended. `stats`: the last
    /// counters.
    pub(super) fn tell_end(&mut self, cause: &ErrorCause, stats: Option<ConnectionStats>) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        if let Role::Server(server) = &self.role
            && self.stack.quic.is_handshaking()
        {
            server.count(Count::of_failure(cause));
        }
        self.boxes.about().set_end(WebTransportError::session(cause.clone()), stats);
        match &self.role {
            Role::Client { race, .. } if !self.started => {
                race.fail(self.stack.quic.remote_address(), cause.clone());
            }
            _ => {}
        }
    }

    fn cause_of(&self, error: &ConnectionError) -> ErrorCause {
        let remote: SocketAddr = self.stack.quic.remote_address();
        if let Some(cause) = &self.unreachable {
            return cause.clone();
        }
        let silence = matches!(error, ConnectionError::IdleTimeout | ConnectionError::HandshakeTimeout);
        if let (true, Some(trouble)) = (silence, self.trouble()) {
            return trouble.clone();
        }
        if let Some(cause) = self.closed_cause(error) {
            return cause;
        }
        let verdict = match &self.role {
            Role::Client { verdict, .. } => verdict.of(self.stack.quic.tls_failure()),
            Role::Server(_) => None,
        };
        if let (ConnectionError::Tls { .. }, Some(verdict)) = (error, verdict) {
            return ErrorCause::Certificate(verdict);
        }
        match error {
            ConnectionError::Tls { alert: NO_APPLICATION_PROTOCOL, .. } => ErrorCause::NoHttp3 { remote },
            ConnectionError::Tls { alert, message } => {
                ErrorCause::Tls { alert: *alert, message: Arc::clone(message) }
            }
            ConnectionError::PeerClosed(CloseReason::Transport { code, reason, .. }) => match code.alert() {
                Some(NO_APPLICATION_PROTOCOL) => ErrorCause::NoHttp3 { remote },
                Some(alert) => {
                    let message = format!("the peer refused: {}", String::from_utf8_lossy(reason));
                    ErrorCause::Tls { alert, message: message.into() }
                }
                None if *code == TransportErrorCode::CONNECTION_REFUSED
                    && matches!(self.role, Role::Client { .. }) =>
                {
                    ErrorCause::ServerBusy { remote }
                }
                None => ErrorCause::Connection(error.clone()),
            },
            error => match self.stack.h3.failure() {
                Some(failure) => ErrorCause::Http3(failure),
                None => ErrorCause::Connection(error.clone()),
            },
        }
    }

    /// Processes what the application's handles put into the mailboxes, at most `left` items, and counts them
    /// down.
    fn process_boxes(&mut self, left: &mut usize) {
        self.take_pending();
        self.open_claimed(left);
        while *left > 0
            && let Some(work) = self.backlog.pop_front()
        {
            *left -= 1;
            match work {
                Work::Recv(id) => self.pump_recv(id),
                Work::Send(id) => self.pump_send(id),
                Work::Exchange(id) => self.http.wake(id),
                Work::Connection => self.process_changes(),
                Work::Session(key) => *left = left.saturating_sub(self.process_commands(key)),
            }
        }
        self.give_up_room();
    }

    /// The server accepts no more requests (RFC 9114 §5.2) and asks sessions to end, in the way of their
    /// dialect.
    pub(super) fn go_away(&mut self) {
        self.going_away = true;
        // A client that is still in its handshake gets a close with a reason when the handshake ends.
        if self.started && !self.stack.quic.is_handshaking() {
            let Layers { sessions, h3, mut transport } = self.stack.layers();
            sessions.go_away(h3, &mut transport);
            self.reject_waiting();
            self.close_if_idle();
        }
    }

    /// Waits only for closes that are on their way.
    pub(super) fn is_cut_off(&self) -> bool {
        self.cut_off
    }

    /// Ends the connection as soon as the clients of closed sessions know why, or when a close has had its
    /// time.
    pub(super) fn cut_off(&mut self) {
        // A close may be among them.
        self.process_boxes(&mut { 16 * TURN });
        (self.going_away, self.cut_off) = (true, true);
        self.close_if_idle();
    }

    /// A connection that is going away ends when nothing is left on it, or nothing worth waiting for.
    pub(super) fn close_if_idle(&mut self) {
        let is_idle = if self.cut_off {
            !self.table.iter().any(SessionEntry::is_closing)
        } else {
            self.table.is_empty() && self.stack.h3.open_requests() == 0 && self.http.is_idle()
        };
        if self.going_away && is_idle {
            self.part_for_shutdown();
        }
    }

    /// Every caller that waits on this connection learns why it ended.
    pub(super) fn fail_everything(&mut self, cause: &ErrorCause) {
        let error = WebTransportError::session(cause.clone());
        self.refuse_claims(&error);
        self.end_streams(None, &error);
        let closed = self.is_closed_by_application();
        for entry in
            self.table.keys().into_iter().filter_map(|key| self.table.remove(key)).collect::<Vec<_>>()
        {
            // The connection that got this request may have been dead for long: another one may take the
            // request.
            if entry.joined && entry.request.is_some() && !closed {
                entry.hand_back();
            } else {
                self.end_session(entry, Err(error.clone()));
            }
        }
        // A lost race says nothing about the connection that won.
        if self.started {
            self.leave_pool();
        }
        self.fail_exchanges(&error);
        if self.started {
            self.fail_job(&error);
        }
    }

    /// The purpose for which a client opened the connection has failed.
    pub(super) fn fail_job(&self, error: &WebTransportError) {
        let Role::Client { job, .. } = &self.role else { return };
        match job {
            // A session that may share its connection may use another one by now.
            ClientJob::Session(job) if job.pooled.is_some() => {}
            ClientJob::Session(job) => job.shared.set_end(Err(error.clone())),
            ClientJob::Http(_) => {}
        }
    }

    /// Everything that the connection had to send has been sent.
    pub(super) fn on_all_sent(&mut self) {
        if self.over
            && !std::mem::replace(&mut self.said_all, true)
            && let Role::Server(server) = &self.role
        {
            server.connection_ended();
        }
        self.note_presence();
    }

    /// Whether QUIC has reported the connection's end.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Whether the connection's last packets have been sent.
    pub(super) fn has_said_all(&self) -> bool {
        self.said_all
    }

    /// Sessions count from their requests to their last packets, and so does a client's connection unless it
    /// is idle.
    pub(super) fn note_presence(&mut self) {
        let shared = self.pooled().is_some() || self.link().is_some_and(|link| link.is_kept());
        let rests = self.is_server() || (self.started && shared && !self.released);
        if self.table.is_empty() && (self.said_all || rests) {
            self.presence = None;
        } else if self.presence.is_none() && !self.table.is_empty() {
            self.presence = Some(self.runtime.tally().enter());
        }
    }
}

impl Drop for Conn {
    /// The task ended, with its runtime or because all was sent: no caller must be left waiting.
    fn drop(&mut self) {
        if !self.over {
            let gone = ErrorCause::RuntimeGone;
            // This may call a congestion controller of the application: no caller must be left waiting if it
            // panics.
            let stats = contain(|| self.stack.quic.stats()).ok();
            self.tell_end(&gone, stats);
            self.fail_everything(&gone);
        }
        if let (Role::Server(server), false) = (&self.role, self.said_all) {
            server.connection_ended();
        }
    }
}

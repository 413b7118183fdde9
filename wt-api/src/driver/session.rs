//! The session of a connection: its events, its commands, its datagrams.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use h3_core::transport::ConnTransport;
use http::{HeaderMap, StatusCode};
use quic_core::{Dir, base::Timestamp};
use tokio::sync::oneshot;
use wt_session::{DatagramError, Event, Refusal, SessionId};

use super::connection::{ClientJob, Conn, Role};
use crate::{
    error::{ErrorCause, WebTransportError},
    mailbox::{Command, Established, Opened, SessionBox},
    server::Origin,
    session::{CloseInfo, Guard},
};

/// Datagrams that are gathered before they are handed over.
const DATAGRAM_BATCH: usize = 64;

/// A session and what waits on it.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) shared: Arc<SessionBox>,
    pub(super) id: Option<SessionId>,
    pub(super) established: bool,
    pub(super) phase: Phase,
    opens: [VecDeque<Open>; 2],
    datagrams_out: VecDeque<Bytes>,
    datagrams_in: Vec<Bytes>,
    commands: Vec<Command>,
}

/// How far the end has come.
#[derive(Debug)]
pub(super) enum Phase {
    Open,
    /// The application closed; data of finished streams is still on its way.
    Holding(CloseInfo),
    /// This side has closed; the peer has not said that it knows.
    Closing,
    /// The peer has closed; it is to end the connection.
    Closed,
}

#[derive(Debug)]
struct Open {
    order: i64,
    guard: Arc<Guard>,
    reply: oneshot::Sender<Result<Opened, WebTransportError>>,
}

impl Live {
    pub(super) fn new(shared: Arc<SessionBox>) -> Self {
        Self {
            shared,
            id: None,
            established: false,
            phase: Phase::Open,
            opens: Default::default(),
            datagrams_out: VecDeque::new(),
            datagrams_in: Vec::new(),
            commands: Vec::new(),
        }
    }
}

impl Conn {
    pub(super) fn on_session_event(&mut self, event: Event, now: Timestamp) {
        match event {
            Event::Incoming { session, request } => self.on_incoming(session, *request, now),
            Event::Established { session, headers, protocol, dialect, why, .. } => {
                self.on_established(session, headers, protocol, dialect.name(), &why, now);
            }
            Event::Refused { reason, .. } => self.on_refusal(&reason, now),
            Event::StreamOpened { stream, dir, .. } => {
                let new = self.add_stream(stream, false);
                if let Some(live) = &self.live {
                    live.shared.push_incoming(dir, new);
                }
            }
            Event::Readable { stream } => self.pump_recv(stream, now),
            Event::Writable { stream } => self.pump_send(stream, now),
            Event::Stopped { stream, code } => self.on_stopped(stream, code),
            Event::Sent { stream } => {
                self.on_sent(stream);
                self.close_when_acknowledged(now);
            }
            Event::StreamsAvailable { dir, .. } => self.open_waiting(dir, now),
            Event::Datagram { payload, .. } => {
                let full = self.live.as_mut().is_some_and(|live| {
                    live.datagrams_in.push(payload);
                    live.datagrams_in.len() >= DATAGRAM_BATCH
                });
                if full {
                    self.deliver_datagrams();
                }
            }
            Event::Draining { .. } => {
                if let Some(live) = &self.live {
                    live.shared.set_draining();
                }
            }
            Event::Closed { result, .. } => self.on_session_closed(result, now),
            Event::Finished { .. } => self.on_session_finished(now),
            Event::Http(event) => self.on_http_event(event, now),
            // QUIC's own event follows and carries the reason.
            _ => {}
        }
    }

    fn on_incoming(&mut self, session: SessionId, request: wt_session::SessionRequest, now: Timestamp) {
        let Role::Server(server) = &self.role else { return };
        let server = Arc::clone(server);
        let refusal = if self.going_away || self.live.is_some() {
            Some(StatusCode::SERVICE_UNAVAILABLE)
        } else {
            match server.judge_origin(request.origin.as_deref()) {
                Origin::Permitted => None,
                Origin::Refused => {
                    tracing::warn!(
                        origin = request.origin.as_deref().unwrap_or_default(),
                        "session refused with 403: the origin is not among the server's allowed_origins"
                    );
                    Some(StatusCode::FORBIDDEN)
                }
            }
        };
        if let Some(status) = refusal {
            let mut transport = ConnTransport::new(&mut self.quic, now);
            return self.sessions.reject(session, status, HeaderMap::new(), &mut self.h3, &mut transport);
        }
        let shared = SessionBox::new(Arc::clone(&self.boxes));
        let mut live = Live::new(Arc::clone(&shared));
        live.id = Some(session);
        let remote = self.quic.remote_address();
        if server.offer(request, shared, remote) {
            self.live = Some(live);
        } else {
            // The application does not take requests as fast as they come.
            let mut transport = ConnTransport::new(&mut self.quic, now);
            let status = StatusCode::TOO_MANY_REQUESTS;
            self.sessions.reject(session, status, HeaderMap::new(), &mut self.h3, &mut transport);
        }
    }

    fn on_established(
        &mut self,
        session: SessionId,
        headers: HeaderMap,
        protocol: Option<String>,
        draft: &'static str,
        why: &str,
        now: Timestamp,
    ) {
        if let Some(live) = &mut self.live {
            live.id = Some(session);
            live.established = true;
            self.update_datagram_size();
        }
        if let Some(live) = &self.live {
            live.shared.set_established(Established {
                headers: Arc::new(headers),
                protocol: protocol.map(Into::into),
                draft,
                why: why.into(),
            });
        }
        self.open_waiting(Dir::Bidi, now);
        self.open_waiting(Dir::Uni, now);
        self.pump_datagrams(now);
    }

    fn on_refusal(&mut self, reason: &Refusal, now: Timestamp) {
        if self.is_server() {
            tracing::debug!(%reason, "session request refused");
            return;
        }
        let cause = match reason {
            Refusal::Status(status) => ErrorCause::Status { status: *status },
            Refusal::ConnectionLost => return,
            reason => ErrorCause::Refused(reason.to_string().into()),
        };
        self.fail_session(cause, now);
    }

    /// A client's session could not be had: the connection has no other use.
    pub(super) fn fail_session(&mut self, cause: ErrorCause, now: Timestamp) {
        self.fail_everything(&cause);
        self.failure = Some(cause);
        self.quic.close(now, super::connection::H3_NO_ERROR, b"");
    }

    /// Commands of the session's handles, and datagrams. True if there were commands.
    pub(super) fn process_commands(&mut self, now: Timestamp) -> bool {
        let Some(live) = &mut self.live else { return false };
        let mut commands = std::mem::take(&mut live.commands);
        live.shared.take(&mut commands, &mut live.datagrams_out);
        let active = !commands.is_empty();
        if !live.datagrams_out.is_empty() {
            self.pump_datagrams(now);
        }
        for command in commands.drain(..) {
            self.on_command(command, now);
        }
        if let Some(live) = &mut self.live {
            live.commands = commands;
        }
        active
    }

    fn on_command(&mut self, command: Command, now: Timestamp) {
        match command {
            Command::Open { dir, order, wait, guard, reply } => {
                self.open(dir, Open { order, guard, reply }, wait, now);
            }
            Command::Close(info) => self.close_session(info, now),
            Command::Drain => {
                if let Some(id) = self.live.as_ref().and_then(|live| live.id) {
                    let mut transport = ConnTransport::new(&mut self.quic, now);
                    let _ = self.sessions.drain(id, &mut self.h3, &mut transport);
                }
            }
            Command::Export { label, context, length, reply } => {
                let mut out = vec![0; length];
                let transport = ConnTransport::new(&mut self.quic, now);
                let exported = self.live.as_ref().and_then(|live| live.id).is_some_and(|id| {
                    self.sessions.export_keying_material(id, &mut out, &label, &context, &transport).is_ok()
                });
                if exported {
                    let _ = reply.send(out);
                }
            }
            Command::Stats(reply) => drop(reply.send(self.quic.stats())),
            Command::Accept(headers) => self.accept(headers, now),
            Command::Reject(status, headers) => {
                if let Some(id) = self.live.take().and_then(|live| live.id) {
                    let mut transport = ConnTransport::new(&mut self.quic, now);
                    self.sessions.reject(id, status, headers, &mut self.h3, &mut transport);
                }
            }
        }
    }

    fn accept(&mut self, headers: HeaderMap, now: Timestamp) {
        let Some(live) = &mut self.live else { return };
        let Some(id) = live.id else { return };
        let mut transport = ConnTransport::new(&mut self.quic, now);
        match self.sessions.accept(id, headers, &mut self.h3, &mut transport) {
            Ok(_) => {
                live.established = true;
                self.update_datagram_size();
                self.open_waiting(Dir::Bidi, now);
                self.open_waiting(Dir::Uni, now);
                self.pump_datagrams(now);
            }
            Err(error) => {
                let error = WebTransportError::session(ErrorCause::SessionFailed(error.to_string().into()));
                if let Some(live) = self.live.take() {
                    self.end_session(live, Err(error));
                }
            }
        }
    }

    fn open(&mut self, dir: Dir, open: Open, wait: bool, now: Timestamp) {
        let Some(live) = &mut self.live else { return };
        let waiting = &mut live.opens[dir as usize];
        if !live.established || !waiting.is_empty() {
            return waiting.push_back(open);
        }
        if let Some(open) = self.try_open(dir, open, now) {
            if wait {
                if let Some(live) = &mut self.live {
                    live.opens[dir as usize].push_back(open);
                }
            } else {
                let _ = open.reply.send(Err(WebTransportError::session(ErrorCause::QuotaExceeded)));
            }
        }
    }

    /// Opens a stream; gives the request back if there is no credit.
    fn try_open(&mut self, dir: Dir, open: Open, now: Timestamp) -> Option<Open> {
        let Some(id) = self.live.as_ref().and_then(|live| live.id) else { return Some(open) };
        if open.reply.is_closed() {
            return None;
        }
        let mut transport = ConnTransport::new(&mut self.quic, now);
        let Open { order, guard, reply } = open;
        match self.sessions.open(id, dir, &mut transport) {
            Ok(Some(stream)) => {
                let new = self.add_stream(stream, true);
                if let (Some(send), true) = (&new.send, order != 0) {
                    send.set_order(order);
                }
                if let Err(Ok(opened)) = reply.send(Ok(Opened { stream: new, guard })) {
                    opened.discard();
                }
            }
            Ok(None) => return Some(Open { order, guard, reply }),
            Err(_) => drop(reply.send(Err(WebTransportError::session(ErrorCause::SessionClosed)))),
        }
        None
    }

    /// Credit came: those who wait get their streams, in their order.
    pub(super) fn open_waiting(&mut self, dir: Dir, now: Timestamp) {
        while let Some(live) = self.live.as_mut().filter(|live| live.established)
            && let Some(open) = live.opens[dir as usize].pop_front()
        {
            if let Some(open) = self.try_open(dir, open, now) {
                if let Some(live) = &mut self.live {
                    live.opens[dir as usize].push_front(open);
                }
                break;
            }
        }
    }

    /// Sends datagrams until the queue below is full.
    pub(super) fn pump_datagrams(&mut self, now: Timestamp) {
        let Some(live) = self.live.as_mut().filter(|live| live.established) else { return };
        let Some(id) = live.id else { return };
        let mut transport = ConnTransport::new(&mut self.quic, now);
        loop {
            while let Some(front) = live.datagrams_out.front() {
                match self.sessions.send_datagram(id, front.clone(), &mut self.h3, &mut transport) {
                    // Too large since it was queued, or for a peer that takes none: datagrams may be lost.
                    Ok(()) | Err(DatagramError::TooLarge { .. } | DatagramError::Unsupported) => {}
                    Err(DatagramError::Full) => return,
                    Err(_) => return live.datagrams_out.clear(),
                }
                live.datagrams_out.pop_front();
            }
            live.shared.take(&mut live.commands, &mut live.datagrams_out);
            if live.datagrams_out.is_empty() {
                break;
            }
        }
    }

    /// Hands over what was gathered.
    pub(super) fn deliver_datagrams(&mut self) {
        if let Some(live) = &mut self.live
            && !live.datagrams_in.is_empty()
        {
            live.shared.push_datagrams(&mut live.datagrams_in);
        }
    }

    pub(super) fn update_datagram_size(&mut self) {
        if let Some(live) = &self.live
            && let Some(id) = live.id
        {
            let transport = ConnTransport::new(&mut self.quic, Timestamp::ORIGIN);
            live.shared.set_max_datagram_size(self.sessions.max_datagram_size(id, &self.h3, &transport));
        }
    }

    /// The session is over: everybody who waits for it hears how.
    pub(super) fn end_session(&self, mut live: Live, end: Result<CloseInfo, WebTransportError>) {
        if !live.datagrams_in.is_empty() {
            live.shared.push_datagrams(&mut live.datagrams_in);
        }
        live.shared.set_stats(self.quic.stats());
        live.shared.set_end(end.clone());
        let error = match end {
            Ok(_) => WebTransportError::session(ErrorCause::SessionClosed),
            Err(error) => error,
        };
        for open in live.opens.iter_mut().flat_map(std::mem::take) {
            let _ = open.reply.send(Err(error.clone()));
        }
    }

    /// The client's job, if it is a session.
    pub(super) fn is_dedicated(&self) -> bool {
        matches!(&self.role, Role::Client { job: ClientJob::Session(_), .. })
    }
}

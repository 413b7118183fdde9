//! A server's requests: the order in which its application hears of them.
//!
//! The application's content is in memory as soon as its service has made it, and the peer decides for how
//! long: until all of it is acknowledged, because a part of a piece that QUIC holds keeps the whole piece. So
//! the application hears of as many requests as the connection has room for, and the others wait. Waiting
//! header sections are limited as well: beyond that limit HTTP/3 leaves requests unread.

use std::sync::Arc;

use h3_core::{RequestHead, ResponseHead, error::code};
use http::StatusCode;
use quic_core::{StreamId, base::Timestamp};

use super::state::{
    conn::{Conn, Role},
    exchanges::{EXCHANGE, Exchange, failed},
    stack::Layers,
    table::cost_of,
};
use crate::{
    exchange_error::HttpError,
    mailbox::{ExchangeBox, RecvBox, RecvEnd},
    reception::{
        ServerShared,
        plain::{request, serve},
    },
};

/// The cost of waiting requests' header sections, in bytes, above which further ones stay unread.
pub(super) const MAX_HEADS: usize = 256 << 10;
/// How much of a connection's turn a new request takes, as a number of events.
const REQUEST: usize = 8;

impl Conn {
    /// A plain request arrived: the application hears of it when it is its turn.
    pub(super) fn on_request(&mut self, stream: StreamId, head: Box<RequestHead>) {
        let Role::Server(server) = &self.role else { return };
        // A proxy is none of this server's uses, nor is another protocol than WebTransport.
        let refusal = if head.is_connect() {
            Some(StatusCode::NOT_IMPLEMENTED)
        } else if server.service().is_none() {
            Some(StatusCode::NOT_FOUND)
        } else {
            None
        };
        if let Some(status) = refusal {
            return self.answer_alone(stream, status);
        }
        let path = head.path.as_ref().map_or(0, |path| path.as_str().len());
        let cost = EXCHANGE + path + cost_of(&head.headers);
        let body = RecvBox::new(stream, Arc::clone(&self.boxes), None);
        let mut exchange = Exchange::new(ExchangeBox::new(), body);
        exchange.waiting = Some((head, cost));
        self.http.all.insert(stream, exchange);
        self.http.waiting.push_back(stream);
        self.http.heads += cost;
        self.begin_requests(&mut { 1 });
        if self.going_away && self.http.waiting.back() == Some(&stream) {
            return self.reject(stream);
        }
        if self.http.heads >= MAX_HEADS {
            self.stack.h3.hold_requests();
        }
    }

    /// Responds without the application and without content.
    fn answer_alone(&mut self, stream: StreamId, status: StatusCode) {
        let Layers { h3, mut transport, .. } = self.stack.layers();
        if h3.send_response(stream, &ResponseHead::new(status), true, &mut transport).is_err() {
            return self.abandon(stream);
        }
        self.http.charge(stream, EXCHANGE);
    }

    /// RFC 9114 §5.2: the request was not processed, so its client may send it elsewhere.
    fn reject(&mut self, stream: StreamId) {
        self.http.remove(stream);
        let Layers { h3, mut transport, .. } = self.stack.layers();
        h3.reset(stream, code::H3_REQUEST_REJECTED, &mut transport);
        h3.stop(stream, code::H3_REQUEST_REJECTED, &mut transport);
    }

    /// The server shuts down, and its application does not hear of waiting requests any more.
    pub(super) fn reject_waiting(&mut self) {
        for stream in std::mem::take(&mut self.http.waiting) {
            self.reject(stream);
        }
    }

    /// The response is complete, or no longer wanted. Unread request content must not keep the stream and its
    /// credit (RFC 9114 §4.1).
    pub(super) fn end_content(&mut self, stream: StreamId) {
        if !self.is_server() {
            return;
        }
        if let Some(body) = self.http.all.get_mut(&stream).and_then(|exchange| exchange.body.take()) {
            let error = failed("the response has arrived, and the rest of the request was refused");
            body.deliver(&mut Vec::new(), Some(RecvEnd::Failed(error)), false);
        }
        let Layers { h3, mut transport, .. } = self.stack.layers();
        h3.stop(stream, code::H3_NO_ERROR, &mut transport);
        self.end_if_over(stream);
    }

    /// Ends both directions of the stream after an error on this side.
    pub(super) fn abandon(&mut self, stream: StreamId) {
        let Layers { h3, mut transport, .. } = self.stack.layers();
        h3.reset(stream, code::H3_INTERNAL_ERROR, &mut transport);
        h3.stop(stream, code::H3_NO_ERROR, &mut transport);
    }

    /// Lets the application hear of waiting requests, as far as there is room, and counts them down.
    fn begin_requests(&mut self, share: &mut usize) {
        let Role::Server(server) = &self.role else { return };
        let server = Arc::clone(server);
        while *share > 0
            && !self.http.waiting.is_empty()
            && self.http.may_begin(&self.stack.quic)
            && let Some(stream) = self.http.waiting.pop_front()
        {
            *share = share.saturating_sub(REQUEST);
            self.begin_request(&server, stream);
        }
    }

    fn begin_request(&mut self, server: &Arc<ServerShared>, stream: StreamId) {
        // A body for each connection would mean as many bodies as connections.
        if self.stack.quic.is_memory_nearly_spent() {
            return self.reject(stream);
        }
        let connection = self.handle();
        let http = &mut self.http;
        let Some(exchange) = http.all.get_mut(&stream) else { return };
        let (Some((head, cost)), Some(service)) = (exchange.waiting.take(), server.service()) else { return };
        http.heads -= cost;
        let shared = Arc::clone(&exchange.shared);
        // Without a body the content was over before the application heard of it.
        let recv = exchange.body.clone().unwrap_or_else(|| {
            let recv = RecvBox::new(stream, Arc::clone(&self.boxes), None);
            recv.deliver(&mut Vec::new(), Some(RecvEnd::Finished), false);
            recv
        });
        shared.attach(&self.boxes, stream);
        shared.grant(&http.tickets);
        let request = request(*head, recv, &shared, connection);
        let task = serve(
            Arc::clone(server),
            Arc::clone(service),
            Arc::clone(&self.runtime),
            Arc::clone(&shared),
            request,
        );
        http.charge(stream, EXCHANGE);
        self.stack.quic.hand_over(stream);
        self.runtime.spawn(Box::pin(task));
        self.watch_bodies();
        self.pump_body(stream);
    }

    /// Lets the application hear of waiting requests, and continues messages, for a part of the turn, which
    /// it counts down from `left`. Endless content of an application must not block the application's other
    /// streams.
    pub(super) fn process_exchanges(&mut self, left: &mut usize) {
        let mut share = left.div_ceil(2);
        *left -= share;
        if share > 0 && self.is_server() && self.read_held_request() {
            share -= 1;
        }
        loop {
            self.begin_requests(&mut share);
            if share == 0 {
                break;
            }
            let Some(stream) = self.http.ready.pop_front() else { break };
            share = share.saturating_sub(1);
            self.pump_message(stream, &mut share);
        }
        *left += share;
    }

    /// Lets HTTP/3 read one of the requests that it left unread, if there is room for its header section.
    /// True if there was one.
    fn read_held_request(&mut self) -> bool {
        let now = self.stack.now;
        let Layers { sessions, h3, mut transport } = self.stack.layers();
        let room = self.going_away || self.http.heads < MAX_HEADS;
        let read = room && h3.read_held_request(now, &mut transport);
        if read {
            sessions.flush(h3, &mut transport);
        }
        read
    }

    /// Contents of requests that stand still are looked for once in the time that they have.
    fn watch_bodies(&mut self) {
        let Role::Server(server) = &self.role else { return };
        let timeout = server.body_timeout().filter(|timeout| !timeout.is_zero());
        if let (Some(timeout), None) = (timeout, self.http.check_at) {
            self.http.check_at = Some(self.stack.now + timeout);
        }
    }

    /// Ends the contents of which nothing was read since they were looked for last: the client sends nothing,
    /// or the application does not read. The rest is dropped as it arrives.
    pub(super) fn end_still_bodies(&mut self, now: Timestamp) {
        if self.http.check_at.is_none_or(|at| at > now) {
            return;
        }
        self.http.check_at = None;
        let (mut still, mut left) = (Vec::new(), false);
        for (stream, exchange) in &mut self.http.all {
            let (Some(body), None) = (&exchange.body, &exchange.waiting) else { continue };
            let (_, read) = body.stats();
            if exchange.read.replace(read) == Some(read) {
                still.push(*stream);
            } else {
                left = true;
            }
        }
        for stream in still {
            if let Some(exchange) = self.http.all.get_mut(&stream)
                && let Some(body) = exchange.body.take()
            {
                exchange.shared.fail_content(&HttpError::Timeout);
                let error = failed("the content of the request did not go on in time");
                body.deliver(&mut Vec::new(), Some(RecvEnd::Failed(error)), false);
            }
            self.drop_content(stream);
            self.end_if_over(stream);
        }
        if left {
            self.watch_bodies();
        }
    }
}

//! A server's responses to plain requests: the order of their turns, the memory that they hold, and what is
//! sent next.
//!
//! The application's content is in memory as soon as the handler was called, and the peer decides for how
//! long: until all of it is acknowledged, because a part of a piece that QUIC holds keeps the whole piece. So
//! the handler is called for as many requests as the connection has room for, and the others wait. Waiting
//! header sections are limited as well: beyond that limit HTTP/3 leaves requests unread.

use std::sync::Arc;

use bytes::Bytes;
use h3_core::{
    RequestHead, ResponseHead,
    error::{SendError, code},
};
use http::{Method, StatusCode};
use quic_core::StreamId;

use super::state::{
    conn::{Conn, Role},
    responses::{EXCHANGE, Next, Sending, Waiting},
    stack::Layers,
    table::cost_of,
};
use crate::reception::{
    ServerShared,
    plain::{Body, HttpRequest, HttpResponse, Sound},
};

/// The cost of waiting requests' header sections, in bytes, above which further ones stay unread.
pub(super) const MAX_HEADS: usize = 256 << 10;
/// Pieces of one response before others get their turn.
const PIECES: usize = 8;
/// How much of a connection's turn a piece takes, as a number of events: getting one calls code of the
/// application.
const PIECE: usize = 8;
/// The result of an attempt to continue a response.
enum Gone {
    /// HTTP/3 accepts more later, and reports that.
    Blocked,
    /// Others get their turn.
    Turn,
    /// There is no room for its next piece.
    Full,
    /// All of it was accepted, or nothing more will be.
    Over,
}

impl Conn {
    /// A plain request arrived: the server's handler answers when it is the request's turn.
    pub(super) fn on_request(&mut self, stream: StreamId, head: Box<RequestHead>) {
        let Role::Server(server) = &self.role else { return };
        if head.is_connect() {
            if self.respond(stream, false, Sound::empty(StatusCode::NOT_IMPLEMENTED)).is_err() {
                self.abandon(stream);
            }
            return;
        }
        let responses = &mut self.http.responses;
        if responses.waiting.is_empty() && responses.may_begin(&self.stack.quic) {
            let server = Arc::clone(server);
            return self.answer(&server, stream, *head);
        }
        if self.going_away {
            return self.reject(stream);
        }
        let path = head.path.as_ref().map_or(0, |path| path.as_str().len());
        let cost = EXCHANGE + path + cost_of(&head.headers);
        responses.heads += cost;
        responses.waiting.push_back(Waiting { stream, head, cost });
        if responses.heads >= MAX_HEADS {
            self.stack.h3.hold_requests();
        }
    }

    /// RFC 9114 §5.2: the request was not processed, so its client may send it elsewhere.
    fn reject(&mut self, stream: StreamId) {
        let Layers { h3, mut transport, .. } = self.stack.layers();
        h3.reset(stream, code::H3_REQUEST_REJECTED, &mut transport);
        h3.stop(stream, code::H3_REQUEST_REJECTED, &mut transport);
    }

    /// The server shuts down and does not answer waiting requests.
    pub(super) fn reject_waiting(&mut self) {
        for Waiting { stream, .. } in std::mem::take(&mut self.http.responses.waiting) {
            self.reject(stream);
        }
        self.http.responses.heads = 0;
    }

    /// The response is complete, or no longer wanted. Unread request content must not keep the stream and its
    /// credit (RFC 9114 §4.1).
    pub(super) fn end_content(&mut self, stream: StreamId) {
        if self.is_server() {
            let Layers { h3, mut transport, .. } = self.stack.layers();
            h3.stop(stream, code::H3_NO_ERROR, &mut transport);
        }
    }

    /// Ends both directions of the stream after an error on this side.
    fn abandon(&mut self, stream: StreamId) {
        let Layers { h3, mut transport, .. } = self.stack.layers();
        h3.reset(stream, code::H3_INTERNAL_ERROR, &mut transport);
        h3.stop(stream, code::H3_NO_ERROR, &mut transport);
    }

    fn answer(&mut self, server: &ServerShared, stream: StreamId, head: RequestHead) {
        let now = self.stack.now;
        // A body for each connection would mean as many bodies as connections.
        if self.stack.quic.is_memory_nearly_spent() {
            return self.reject(stream);
        }
        let path = head.path.as_ref().map_or("/", |path| path.as_str()).to_owned();
        let request =
            HttpRequest { method: head.method, path, headers: head.headers, connection: self.handle() };
        let answer = server.answer(&request, now);
        let Err(error) = self.respond(stream, request.method == Method::HEAD, answer) else { return };
        // Nothing of it was sent: a field is invalid in HTTP/3, or there are more fields than the client
        // accepts.
        if matches!(error, SendError::Invalid(_) | SendError::TooLarge { .. }) {
            server.tell_of_answer(&request.path, &error.to_string(), now);
            let answer = Sound::empty(StatusCode::INTERNAL_SERVER_ERROR);
            if self.respond(stream, false, answer).is_ok() {
                return;
            }
        }
        tracing::debug!(%error, "response not sent");
        self.abandon(stream);
    }

    fn respond(&mut self, stream: StreamId, head_only: bool, answer: Sound) -> Result<(), SendError> {
        let Sound { response: HttpResponse { status, headers, body }, declared } = answer;
        let (current, rest) = match body {
            Body::Bytes(bytes) => (bytes, None),
            Body::Iter(parts) => (Bytes::new(), Some(parts)),
        };
        let bodiless = head_only || (current.is_empty() && rest.is_none());
        let cost = EXCHANGE + cost_of(&headers) + if bodiless { 0 } else { current.len() };
        let response = ResponseHead::new(status).with_headers(headers);
        let Layers { h3, mut transport, .. } = self.stack.layers();
        h3.send_response(stream, &response, bodiless, &mut transport)?;
        let responses = &mut self.http.responses;
        responses.charge(stream, cost);
        if !bodiless {
            let largest = current.len();
            responses.sending.insert(stream, Sending { current, rest, declared, largest, queued: false });
            responses.wake(stream);
        }
        Ok(())
    }

    /// Calls the handler for waiting requests, and continues responses, for a part of the turn, which it
    /// counts down from `left`. Endless content of an application must not block the application's other
    /// streams.
    pub(super) fn process_responses(&mut self, left: &mut usize) {
        let Role::Server(server) = &self.role else { return };
        let server = Arc::clone(server);
        let mut share = left.div_ceil(2);
        *left -= share;
        if share > 0 && self.read_held_request() {
            share -= 1;
        }
        while share > 0 {
            let responses = &mut self.http.responses;
            if responses.may_begin(&self.stack.quic)
                && let Some(Waiting { stream, head, cost }) = responses.waiting.pop_front()
            {
                responses.heads -= cost;
                share = share.saturating_sub(PIECE);
                self.answer(&server, stream, *head);
            } else if let Some(stream) = self.http.responses.ready.pop_front() {
                share = share.saturating_sub(1);
                self.go_on(&server, stream, &mut share);
            } else {
                break;
            }
        }
        *left += share;
    }

    /// Lets HTTP/3 read one of the requests that it left unread, if there is room for its header section.
    /// True if there was one.
    fn read_held_request(&mut self) -> bool {
        let now = self.stack.now;
        let Layers { sessions, h3, mut transport } = self.stack.layers();
        let room = self.going_away || self.http.responses.heads < MAX_HEADS;
        let read = room && h3.read_held_request(now, &mut transport);
        if read {
            sessions.flush(h3, &mut transport);
        }
        read
    }

    /// Sends as much of a response as there is room for.
    fn go_on(&mut self, server: &ServerShared, stream: StreamId, share: &mut usize) {
        match self.pump_response(server, stream, share) {
            Gone::Blocked => {}
            Gone::Turn => self.http.responses.wake(stream),
            Gone::Full => {
                if let Some(sending) = self.http.responses.sending.get_mut(&stream) {
                    sending.queued = true;
                    self.http.responses.parked.push(stream);
                }
            }
            Gone::Over => {
                // Now another response is the oldest.
                let responses = &mut self.http.responses;
                responses.sending.remove(&stream);
                responses.ready.extend(responses.parked.drain(..));
                self.close_if_idle();
            }
        }
    }

    fn pump_response(&mut self, server: &ServerShared, stream: StreamId, share: &mut usize) -> Gone {
        let now = self.stack.now;
        let room = self.stack.quic.send_room_above();
        let mut pieces = 0;
        loop {
            let responses = &mut self.http.responses;
            let Some(sending) = responses.sending.get(&stream) else { return Gone::Blocked };
            let may_ask = responses.may_ask(stream, sending.largest, room);
            let Some(sending) = responses.sending.get_mut(&stream) else { return Gone::Blocked };
            sending.queued = false;
            let Layers { h3, mut transport, .. } = self.stack.layers();
            if !sending.current.is_empty() {
                match h3.send_data(stream, &mut sending.current, &mut transport) {
                    Ok(0) => return Gone::Blocked,
                    Ok(_) => continue,
                    Err(_) => {
                        responses.release(stream);
                        return Gone::Over;
                    }
                }
            }
            if sending.rest.is_some() {
                match (may_ask, pieces < PIECES && *share > 0) {
                    (false, _) => return Gone::Full,
                    (true, false) => return Gone::Turn,
                    (true, true) => {}
                }
            }
            pieces += 1;
            *share = share.saturating_sub(PIECE);
            match sending.next(server, now) {
                Next::Piece(piece) => {
                    let growth = piece.len().saturating_sub(sending.largest);
                    sending.largest += growth;
                    sending.current = piece;
                    responses.charge(stream, growth);
                }
                Next::End => {
                    let _ = h3.finish(stream, &mut transport);
                    return Gone::Over;
                }
                Next::Broken => {
                    responses.release(stream);
                    self.abandon(stream);
                    return Gone::Over;
                }
            }
        }
    }
}

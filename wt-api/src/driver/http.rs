//! HTTP exchanges: their events, the content that arrives, a client's requests, and how exchanges end. A
//! server's requests are in `responses.rs`, the messages that this end sends in `messages.rs`.

use std::sync::Arc;

use h3_core::{
    Event, ResponseHead,
    error::{BodyError, SendError, code},
};
use quic_core::{StreamId, error::call::Read};

use super::state::{
    conn::Conn,
    exchanges::{EXCHANGE, Exchange, Outgoing, failed},
    stack::Layers,
};
use crate::{
    error::WebTransportError,
    exchange_error::HttpError,
    jobs::ExchangeJob,
    mailbox::{Answered, RecvBox, RecvEnd},
};

impl Conn {
    pub(super) fn on_http_event(&mut self, event: Event) {
        match event {
            Event::Request { stream, head, .. } => self.on_request(stream, head),
            Event::Writable { stream } => self.http.wake(stream),
            Event::Response { stream, head, informational } => self.on_response(stream, *head, informational),
            Event::Data { stream } if self.is_server() && !self.http.all.contains_key(&stream) => {
                self.drop_content(stream);
            }
            Event::Data { stream } => self.pump_body(stream),
            Event::Trailers { stream, trailers } => {
                if let Some(exchange) = self.http.all.get(&stream) {
                    exchange.shared.set_trailers(*trailers);
                }
            }
            Event::Finished { stream } => self.finish_body(stream),
            Event::Reset { stream, code } => {
                // RFC 9114 §4.1.1: a client that cancels its request does not want the rest of the response.
                self.fail_exchange(stream, &HttpError::of_reset(code), code::H3_REQUEST_CANCELLED);
            }
            Event::StreamError { stream, violation } => {
                self.fail_exchange(stream, &HttpError::Malformed(violation), violation.code());
            }
            Event::Stopped { stream, code } => self.on_message_stopped(stream, code),
            Event::GoAway { id } => self.on_goaway(id),
            _ => {}
        }
    }

    /// The peer does not want what this end sends.
    fn on_message_stopped(&mut self, stream: StreamId, code: u64) {
        if self.is_server() {
            return self.fail_exchange(stream, &HttpError::Reset { code }, code::H3_NO_ERROR);
        }
        // RFC 9114 §4.1: a server that has responded may not want the rest of the request.
        self.http.release(stream);
        if let Some(exchange) = self.http.all.get_mut(&stream) {
            exchange.message = Outgoing { over: true, ..Outgoing::default() };
            exchange.shared.end_writing();
        }
        self.end_if_over(stream);
    }

    /// Nobody reads the content of a request. If it stayed unread, it would hold the connection's credit for
    /// as long as the client likes, because the client decides when the response is complete and the rest is
    /// refused.
    pub(super) fn drop_content(&mut self, stream: StreamId) {
        let Layers { h3, mut transport, .. } = self.stack.layers();
        while let Ok(Read::Data(_)) = h3.read_data(stream, usize::MAX, &mut transport) {}
    }

    /// Moves content into its mailbox, as far as there is room.
    pub(super) fn pump_body(&mut self, stream: StreamId) {
        let Some(exchange) = self.http.all.get_mut(&stream) else { return };
        if exchange.waiting.is_some() {
            return;
        }
        let Some(body) = exchange.body.clone() else {
            if self.is_server() {
                self.drop_content(stream);
            }
            return;
        };
        let Ok(mut room) = body.room() else {
            exchange.body = None;
            if !self.is_server() {
                return self.cancel(stream);
            }
            self.drop_content(stream);
            return self.end_if_over(stream);
        };
        if room == 0 {
            return;
        }
        let Layers { h3, mut transport, .. } = self.stack.layers();
        let mut chunks = Vec::new();
        let mut over = None;
        while room > 0 && over.is_none() {
            match h3.read_data(stream, room, &mut transport) {
                Ok(Read::Data(bytes)) => {
                    room = room.saturating_sub(bytes.len());
                    chunks.push(bytes);
                }
                // The end, and why there was none, come as events, after the trailers.
                Ok(Read::Finished) | Err(BodyError::Reset(_) | BodyError::Malformed(_)) => over = Some(()),
                Ok(Read::Blocked) | Err(_) => break,
            }
        }
        body.deliver(&mut chunks, None, room == 0);
    }

    /// A message has arrived to its end.
    fn finish_body(&mut self, stream: StreamId) {
        let Some(exchange) = self.http.all.get_mut(&stream) else { return self.close_if_idle() };
        if let Some(body) = exchange.body.take() {
            body.deliver(&mut Vec::new(), Some(RecvEnd::Finished), false);
        }
        self.end_if_over(stream);
    }

    /// An exchange ends before it is complete, and what is left of its stream with this code.
    pub(super) fn fail_exchange(&mut self, stream: StreamId, error: &HttpError, code: u64) {
        let Layers { h3, mut transport, .. } = self.stack.layers();
        h3.reset(stream, code, &mut transport);
        h3.stop(stream, code, &mut transport);
        self.http.release(stream);
        let Some(exchange) = self.http.remove(stream) else { return self.close_if_idle() };
        end(exchange, error);
        self.after_exchange();
    }

    /// The application gives an exchange up.
    pub(super) fn cancel(&mut self, stream: StreamId) {
        self.fail_exchange(stream, &HttpError::Cancelled, code::H3_REQUEST_CANCELLED);
    }

    /// Forgets an exchange of which nothing is left but acknowledgments.
    pub(super) fn end_if_over(&mut self, stream: StreamId) {
        if self.http.all.get(&stream).is_some_and(Exchange::is_over) {
            self.http.remove(stream);
            self.after_exchange();
        }
    }

    /// What a connection does that has one exchange less.
    fn after_exchange(&mut self) {
        if let Some(link) = self.link()
            && self.http.all.is_empty()
            && self.http.unopened.is_empty()
        {
            if !link.is_kept() || link.is_closed() {
                return self.part_unused();
            }
            self.rest();
        }
        self.close_if_idle();
    }

    /// Sends a client's request.
    pub(super) fn send_exchange(&mut self, job: ExchangeJob) {
        if !self.started || self.stack.quic.is_closed() {
            return job.hand_back();
        }
        self.rest_until = None;
        self.http.unopened.push_back(job);
        self.open_exchanges();
        self.rest();
    }

    /// Gives waiting requests their streams, as far as there is credit.
    pub(super) fn open_exchanges(&mut self) {
        while let Some(job) = self.http.unopened.pop_front() {
            if job.shared.is_gone() {
                continue;
            }
            // The request takes the next stream ID.
            if !self.withdraw_credit() {
                return self.http.unopened.push_front(job);
            }
            let Layers { h3, mut transport, .. } = self.stack.layers();
            match h3.send_request(&job.head, job.end, &mut transport) {
                Ok(stream) => self.open_exchange(stream, &job),
                Err(SendError::NoStream) => return self.http.unopened.push_front(job),
                Err(SendError::Unavailable) => job.hand_back(),
                Err(error) => job.shared.end(&HttpError::of_send(&error)),
            }
        }
    }

    fn open_exchange(&mut self, stream: StreamId, job: &ExchangeJob) {
        self.stack.quic.hand_over(stream);
        let body = RecvBox::new(stream, Arc::clone(&self.boxes), None);
        let mut exchange = Exchange::new(Arc::clone(&job.shared), body);
        exchange.message.over = job.end;
        job.shared.attach(&self.boxes, stream);
        self.http.all.insert(stream, exchange);
        self.http.charge(stream, EXCHANGE);
        self.http.wake(stream);
    }

    fn on_response(&mut self, stream: StreamId, head: ResponseHead, informational: bool) {
        if let Some(exchange) = self.http.all.get(&stream) {
            let body = exchange.body.clone().filter(|_| !informational);
            exchange.shared.answer(Answered { head, body });
        }
    }

    /// The server accepts no more requests, and has not processed those from `id` on (RFC 9114 §5.2).
    fn on_goaway(&mut self, id: u64) {
        if self.link().is_none() {
            return;
        }
        self.leave_pool();
        let rejected: Vec<StreamId> =
            self.http.all.keys().copied().filter(|stream| stream.value() >= id).collect();
        for stream in rejected {
            self.fail_exchange(stream, &HttpError::Rejected, code::H3_REQUEST_CANCELLED);
        }
        self.http.unopened.drain(..).for_each(|job| job.hand_back());
        self.after_exchange();
    }

    /// The connection ended before its exchanges did.
    pub(super) fn fail_exchanges(&mut self, error: &WebTransportError) {
        let http = std::mem::take(&mut self.http);
        for (_, exchange) in http.all {
            end(exchange, &HttpError::Exchange(error.clone()));
        }
        http.unopened.into_iter().for_each(|job| job.hand_back());
    }
}

/// Everybody who waits for the exchange learns why it ended.
fn end(exchange: Exchange, error: &HttpError) {
    exchange.shared.end(error);
    if let Some(body) = exchange.body {
        body.deliver(&mut Vec::new(), Some(RecvEnd::Failed(failed(&error.to_string()))), false);
    }
}

//! The messages that this end sends: a server's responses, and a client's requests.

use h3_core::error::{SendError, code};
use quic_core::StreamId;

use super::state::{
    conn::{Conn, Role},
    exchanges::Outgoing,
    stack::Layers,
    table::cost_of,
};
use crate::{
    exchange_error::HttpError,
    mailbox::{Found, Part},
    reception::plain::internal_error,
};

/// Parts of one message before others get their turn.
const PARTS: usize = 8;
/// How much of a connection's turn a part takes, as a number of events: its writer is a task of the
/// application.
const PART: usize = 8;

/// The result of an attempt to continue a message.
enum Went {
    /// HTTP/3 accepts more later, or the writer makes more, and either is reported.
    Blocked,
    /// Others get their turn.
    Turn,
    /// There is no room for its next piece.
    Full,
    /// All of it was accepted, or nothing more will be.
    Over,
}

/// What became of a part.
enum Sent {
    Taken,
    /// It was the message's last one.
    Last,
    /// It cannot be sent.
    Refused(SendError),
}

impl Conn {
    /// Sends as much of a message as there is room for.
    pub(super) fn pump_message(&mut self, stream: StreamId, share: &mut usize) {
        let Some(exchange) = self.http.all.get_mut(&stream) else { return };
        exchange.message.queued = false;
        let shared = std::sync::Arc::clone(&exchange.shared);
        let Found { gone, granted, came_back } = shared.take_parts(&mut exchange.message.parts);
        exchange.message.granted = granted;
        if came_back {
            self.http.unpark_one();
        }
        if gone {
            return self.cancel(stream);
        }
        match self.send_parts(stream, share) {
            Went::Blocked => {}
            Went::Turn => self.http.wake(stream),
            Went::Full => {
                if let Some(exchange) = self.http.all.get_mut(&stream) {
                    exchange.message.queued = true;
                    self.http.parked.push_back(stream);
                }
            }
            Went::Over => {
                if let Some(exchange) = self.http.all.get_mut(&stream) {
                    exchange.message = Outgoing { over: true, ..Outgoing::default() };
                    exchange.shared.end_writing();
                }
                // Now another message is the oldest.
                self.http.unpark();
                self.end_if_over(stream);
            }
        }
    }

    fn send_parts(&mut self, stream: StreamId, share: &mut usize) -> Went {
        let mut parts = 0;
        loop {
            let Some(exchange) = self.http.all.get_mut(&stream) else { return Went::Blocked };
            let message = &mut exchange.message;
            if message.over {
                return Went::Blocked;
            }
            while let Some(front) = message.current.front_mut() {
                let Layers { h3, mut transport, .. } = self.stack.layers();
                match h3.send_data(stream, front, &mut transport) {
                    Ok(0) if !front.is_empty() => return Went::Blocked,
                    Ok(_) if !front.is_empty() => {}
                    Ok(_) => drop(message.current.pop_front()),
                    Err(_) => {
                        self.http.release(stream);
                        return Went::Over;
                    }
                }
            }
            let Some(part) = message.parts.pop_front() else {
                let (largest, granted) = (message.largest, message.granted);
                return self.grant(stream, largest, granted);
            };
            parts += 1;
            *share = share.saturating_sub(PART);
            match self.send_part(stream, part) {
                Sent::Taken if parts < PARTS && *share > 0 => {}
                Sent::Taken => return Went::Turn,
                Sent::Last => return Went::Over,
                Sent::Refused(error) => return self.refuse_part(stream, &error),
            }
        }
    }

    /// Everything was taken: the writer may make its next piece if there is room for that.
    fn grant(&mut self, stream: StreamId, largest: usize, granted: bool) -> Went {
        if granted {
            return Went::Blocked;
        }
        if !self.http.may_go_on(stream, largest, &self.stack.quic) {
            return Went::Full;
        }
        if let Some(exchange) = self.http.all.get_mut(&stream) {
            exchange.message.granted = true;
            exchange.shared.grant(&self.http.tickets);
        }
        Went::Blocked
    }

    fn send_part(&mut self, stream: StreamId, part: Part) -> Sent {
        let Layers { h3, mut transport, .. } = self.stack.layers();
        match part {
            Part::Interim(head) => {
                // It is a hint: the final response comes without it as well.
                if let Err(error) = h3.send_response(stream, &head, false, &mut transport) {
                    tracing::debug!(%error, "interim response not sent");
                }
                Sent::Taken
            }
            Part::Head { head, end } => match h3.send_response(stream, &head, end, &mut transport) {
                Ok(()) => {
                    self.http.charge(stream, cost_of(&head.headers));
                    if end { Sent::Last } else { Sent::Taken }
                }
                Err(error) => Sent::Refused(error),
            },
            Part::Data(data) => {
                let Some(exchange) = self.http.all.get_mut(&stream) else { return Sent::Last };
                let message = &mut exchange.message;
                message.current.push_back(data);
                let size: usize = message.current.iter().map(bytes::Bytes::len).sum();
                let growth = size.saturating_sub(message.largest);
                message.largest += growth;
                self.http.learn(size);
                self.http.charge(stream, growth);
                Sent::Taken
            }
            Part::Trailers(trailers) => match h3.send_trailers(stream, &trailers, &mut transport) {
                Ok(()) => Sent::Last,
                Err(error) => Sent::Refused(error),
            },
            Part::End => {
                let _ = h3.finish(stream, &mut transport);
                Sent::Last
            }
            Part::Reset(code) => {
                h3.reset(stream, code, &mut transport);
                if self.is_server() {
                    self.http.release(stream);
                    self.end_content(stream);
                } else {
                    // A request without its end has no response.
                    self.cancel(stream);
                }
                Sent::Last
            }
        }
    }

    /// A part cannot be sent: a field is invalid in HTTP/3, or there are more fields than the peer accepts.
    fn refuse_part(&mut self, stream: StreamId, error: &SendError) -> Went {
        let now = self.stack.now;
        if let Role::Server(server) = &self.role
            && matches!(error, SendError::Invalid(_) | SendError::TooLarge { .. })
        {
            server.tell_of_answer("", &error.to_string(), now);
            // If the head was sent, it were trailers: they end the response early.
            let Layers { h3, mut transport, .. } = self.stack.layers();
            if let Part::Head { head, end } = internal_error()
                && h3.send_response(stream, &head, end, &mut transport).is_ok()
            {
                return Went::Over;
            }
        }
        tracing::debug!(%error, "message not sent");
        self.http.release(stream);
        if self.is_server() {
            self.abandon(stream);
            self.end_content(stream);
        } else {
            let error = HttpError::of_send(error);
            self.fail_exchange(stream, &error, code::H3_REQUEST_CANCELLED);
        }
        Went::Over
    }
}

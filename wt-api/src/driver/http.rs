//! Plain HTTP/3 exchanges: their events, and a client's single request. A server's responses are in
//! `responses.rs`.

use std::sync::Arc;

use h3_core::{Event, ResponseHead, error::code};
use quic_core::{StreamId, error::call::Read};

use super::state::{conn::Conn, exchanges::GetState, stack::Layers};
use crate::{
    error::{ErrorCause, WebTransportError},
    jobs::{GetJob, Head},
    mailbox::{RecvBox, RecvEnd, lock},
    streams::ReceiveStream,
};

fn failed(text: &str) -> WebTransportError {
    WebTransportError::session(ErrorCause::Http(text.into()))
}

impl Conn {
    pub(super) fn on_http_event(&mut self, event: Event) {
        match event {
            Event::Request { stream, head, .. } => self.on_request(stream, head),
            Event::Writable { stream } => self.http.responses.wake(stream),
            Event::Response { stream, head, informational: false } => self.on_response(stream, *head),
            Event::Data { stream } if self.is_server() => self.drop_content(stream),
            Event::Data { stream } => self.pump_body(stream),
            Event::Finished { stream } => self.end_get(stream, RecvEnd::Finished),
            Event::Reset { stream, code } => {
                let error = failed(&format!("the server reset the response with code {code:#x}"));
                self.http.responses.forget(stream);
                if self.is_server() {
                    // RFC 9114 §4.1.1: a client that cancels its request does not want the rest of the response.
                    let Layers { h3, mut transport, .. } = self.stack.layers();
                    h3.reset(stream, code::H3_REQUEST_CANCELLED, &mut transport);
                }
                self.end_get(stream, RecvEnd::Failed(error));
            }
            Event::StreamError { stream, violation } => {
                let error = failed(&violation.to_string());
                self.http.responses.forget(stream);
                self.end_get(stream, RecvEnd::Failed(error));
            }
            Event::Stopped { stream, .. } => {
                self.http.responses.forget(stream);
                self.end_content(stream);
                self.close_if_idle();
            }
            _ => {}
        }
    }

    /// No handler reads the content of a request. If it stayed unread, it would hold the connection's credit
    /// for as long as the client likes, because the client decides when the response is complete and the rest
    /// is refused.
    fn drop_content(&mut self, stream: StreamId) {
        let Layers { h3, mut transport, .. } = self.stack.layers();
        while let Ok(Read::Data(_)) = h3.read_data(stream, usize::MAX, &mut transport) {}
    }

    /// Sends the client's request.
    pub(super) fn start_get(&mut self, job: &Arc<GetJob>) {
        let Layers { h3, mut transport, .. } = self.stack.layers();
        match h3.send_request(&job.head, true, &mut transport) {
            Ok(stream) => {
                self.stack.quic.hand_over(stream);
                let body = RecvBox::new(stream, Arc::clone(&self.boxes), None);
                self.http.get = Some(GetState { stream, body, job: Arc::clone(job) });
            }
            Err(error) => {
                job.fail(&failed(&error.to_string()));
                self.part_unused();
            }
        }
    }

    fn on_response(&mut self, stream: StreamId, head: ResponseHead) {
        let Some(get) = self.http.get.as_ref().filter(|get| get.stream == stream) else { return };
        if let Some(reply) = lock(&get.job.reply).take() {
            let body = ReceiveStream::new(Arc::clone(&get.body), None);
            // A caller that has given up drops it, and the body is stopped.
            drop(reply.send(Ok(Head { status: head.status, headers: head.headers, body })));
        }
    }

    /// Moves the response's content into its mailbox. False if the stream is not the client's request.
    pub(super) fn pump_body(&mut self, stream: StreamId) {
        let Some(get) = self.http.get.as_ref().filter(|get| get.stream == stream) else { return };
        let body = Arc::clone(&get.body);
        let Ok(mut room) = body.room() else {
            self.http.get = None;
            return self.part_unused();
        };
        let Layers { h3, mut transport, .. } = self.stack.layers();
        let (mut chunks, mut end) = (Vec::new(), None);
        let limited = room == 0;
        while room > 0 && end.is_none() {
            match h3.read_data(stream, room, &mut transport) {
                Ok(Read::Data(bytes)) => {
                    room = room.saturating_sub(bytes.len());
                    chunks.push(bytes);
                }
                Ok(Read::Finished) => end = Some(RecvEnd::Finished),
                Ok(Read::Blocked) => break,
                Err(error) => end = Some(RecvEnd::Failed(failed(&error.to_string()))),
            }
        }
        if limited {
            return;
        }
        body.deliver(&mut chunks, None, room == 0);
        if let Some(end) = end {
            self.end_get(stream, end);
        }
    }

    /// The exchange has ended, and the connection has no other use.
    fn end_get(&mut self, stream: StreamId, end: RecvEnd) {
        if self.http.get.as_ref().is_none_or(|get| get.stream != stream) {
            return self.close_if_idle();
        }
        if let Some(get) = self.http.get.take() {
            if let RecvEnd::Failed(error) = &end {
                get.job.fail(error);
            }
            get.body.deliver(&mut Vec::new(), Some(end), false);
            self.part_unused();
        }
    }

    /// The connection ended before the exchange did.
    pub(super) fn fail_gets(&mut self, error: &WebTransportError) {
        if let Some(get) = self.http.get.take() {
            get.job.fail(error);
            get.body.deliver(&mut Vec::new(), Some(RecvEnd::Failed(error.clone())), false);
        }
        self.http.responses.clear();
    }
}

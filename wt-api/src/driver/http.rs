//! Plain HTTP/3 exchanges: requests that a server's handler answers, and the one that a client makes.

use std::sync::Arc;

use bytes::Bytes;
use h3_core::{Event, RequestHead, ResponseHead, transport::ConnTransport};
use http::{Method, StatusCode};
use quic_core::{StreamId, StreamMap, base::Timestamp, error::call::Read};

use super::connection::{Conn, GetJob, H3_NO_ERROR, Role};
use crate::{
    error::{ErrorCause, WebTransportError},
    http3::Head,
    mailbox::{RecvBox, RecvEnd, lock},
    server::{Body, HttpRequest, HttpResponse},
    streams::ReceiveStream,
};

/// Plain exchanges of a connection.
#[derive(Default)]
pub(super) struct HttpExchanges {
    sending: StreamMap<Sending>,
    get: Option<GetState>,
}

/// What is left of a response.
struct Sending {
    current: Bytes,
    rest: Option<Box<dyn Iterator<Item = Bytes> + Send>>,
}

/// The application's iterator panicked.
struct Panicked;

impl Sending {
    /// The next part. The application's code runs on the driver's task, which serves others as well.
    fn next(&mut self) -> Result<Option<Bytes>, Panicked> {
        let Some(rest) = &mut self.rest else { return Ok(None) };
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| rest.next())).map_err(|_| {
            tracing::error!("the content of an HTTP response panicked; the response is reset");
            Panicked
        })
    }
}

/// The client's request.
pub(super) struct GetState {
    stream: StreamId,
    body: Arc<RecvBox>,
    job: Arc<GetJob>,
}

impl HttpExchanges {
    pub(super) fn is_idle(&self) -> bool {
        self.sending.is_empty() && self.get.is_none()
    }
}

fn failed(text: &str) -> WebTransportError {
    WebTransportError::session(ErrorCause::Http(text.into()))
}

impl Conn {
    pub(super) fn on_http_event(&mut self, event: Event, now: Timestamp) {
        match event {
            Event::Request { stream, head, .. } => self.answer(stream, &head, now),
            Event::Writable { stream } => self.pump_response(stream, now),
            Event::Response { stream, head, informational: false } => self.on_response(stream, *head),
            // Content of requests is not wanted: without reading it, flow control keeps it small.
            Event::Data { stream } => self.pump_body(stream, now),
            Event::Finished { stream } => self.end_get(stream, RecvEnd::Finished, now),
            Event::Reset { stream, code } => {
                let error = failed(&format!("the server reset the response with code {code:#x}"));
                self.http.sending.remove(&stream);
                self.end_get(stream, RecvEnd::Failed(error), now);
            }
            Event::StreamError { stream, violation } => {
                let error = failed(&violation.to_string());
                self.http.sending.remove(&stream);
                self.end_get(stream, RecvEnd::Failed(error), now);
            }
            Event::Stopped { stream, .. } => {
                self.http.sending.remove(&stream);
                self.close_if_idle(now);
            }
            _ => {}
        }
    }

    /// A plain request: the server's handler answers.
    fn answer(&mut self, stream: StreamId, head: &RequestHead, now: Timestamp) {
        let Role::Server(server) = &self.role else { return };
        let request = HttpRequest {
            method: head.method.clone(),
            path: head.path.as_ref().map_or("/", |path| path.as_str()).to_owned(),
            headers: head.headers.clone(),
        };
        let HttpResponse { status, headers, body } = if head.is_connect() {
            HttpResponse::new(StatusCode::NOT_IMPLEMENTED)
        } else {
            server.answer(&request, now)
        };
        let (current, rest) = match body {
            Body::Bytes(bytes) => (bytes, None),
            Body::Iter(parts) => (Bytes::new(), Some(parts)),
        };
        let bodiless = request.method == Method::HEAD || (current.is_empty() && rest.is_none());
        let response = ResponseHead { status, headers };
        let mut transport = ConnTransport::new(&mut self.quic, now);
        if let Err(error) = self.h3.send_response(stream, &response, bodiless, &mut transport) {
            tracing::debug!(%error, "response not sent");
            return self.h3.reset(stream, h3_core::error::code::H3_INTERNAL_ERROR, &mut transport);
        }
        if !bodiless {
            self.http.sending.insert(stream, Sending { current, rest });
            self.pump_response(stream, now);
        }
    }

    /// Sends what there is room for.
    fn pump_response(&mut self, stream: StreamId, now: Timestamp) {
        let Some(sending) = self.http.sending.get_mut(&stream) else { return };
        let mut transport = ConnTransport::new(&mut self.quic, now);
        loop {
            if sending.current.is_empty() {
                match sending.next() {
                    Ok(Some(part)) => sending.current = part,
                    Ok(None) => {
                        let _ = self.h3.finish(stream, &mut transport);
                        break;
                    }
                    Err(Panicked) => {
                        self.h3.reset(stream, h3_core::error::code::H3_INTERNAL_ERROR, &mut transport);
                        break;
                    }
                }
                continue;
            }
            match self.h3.send_data(stream, &mut sending.current, &mut transport) {
                Ok(0) => return,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        self.http.sending.remove(&stream);
        self.close_if_idle(now);
    }

    /// Sends the client's request.
    pub(super) fn start_get(&mut self, job: &Arc<GetJob>, now: Timestamp) {
        let mut transport = ConnTransport::new(&mut self.quic, now);
        match self.h3.send_request(&job.head, true, &mut transport) {
            Ok(stream) => {
                let body = RecvBox::new(stream, Arc::clone(&self.boxes), None);
                self.http.get = Some(GetState { stream, body, job: Arc::clone(job) });
            }
            Err(error) => {
                job.fail(&failed(&error.to_string()));
                self.quic.close(now, H3_NO_ERROR, b"");
            }
        }
    }

    fn on_response(&mut self, stream: StreamId, head: ResponseHead) {
        let Some(get) = self.http.get.as_ref().filter(|get| get.stream == stream) else { return };
        if let Some(reply) = lock(&get.job.reply).take() {
            let body = ReceiveStream::new(Arc::clone(&get.body), None);
            // Whoever does not wait any more drops it, and the body is stopped.
            drop(reply.send(Ok(Head { status: head.status, headers: head.headers, body })));
        }
    }

    /// Moves the response's content into its box; false if the stream is not the client's request.
    pub(super) fn pump_body(&mut self, stream: StreamId, now: Timestamp) {
        let Some(get) = self.http.get.as_ref().filter(|get| get.stream == stream) else { return };
        let body = Arc::clone(&get.body);
        if body.stopped().is_some() {
            self.http.get = None;
            return self.quic.close(now, H3_NO_ERROR, b"");
        }
        let mut transport = ConnTransport::new(&mut self.quic, now);
        let (mut room, mut chunks, mut end) = (body.room(), Vec::new(), None);
        let limited = room == 0;
        while room > 0 && end.is_none() {
            match self.h3.read_data(stream, room, &mut transport) {
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
            self.end_get(stream, end, now);
        }
    }

    /// The exchange is over, and the connection has no other use.
    fn end_get(&mut self, stream: StreamId, end: RecvEnd, now: Timestamp) {
        if self.http.get.as_ref().is_none_or(|get| get.stream != stream) {
            return self.close_if_idle(now);
        }
        if let Some(get) = self.http.get.take() {
            if let RecvEnd::Failed(error) = &end {
                get.job.fail(error);
            }
            get.body.deliver(&mut Vec::new(), Some(end), false);
            self.quic.close(now, H3_NO_ERROR, b"");
        }
    }

    /// The connection ended before the exchange did.
    pub(super) fn fail_gets(&mut self, error: &WebTransportError) {
        if let Some(get) = self.http.get.take() {
            get.job.fail(error);
            get.body.deliver(&mut Vec::new(), Some(RecvEnd::Failed(error.clone())), false);
        }
        self.http.sending.clear();
    }
}

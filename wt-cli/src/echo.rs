//! The service of `weft serve` and `weft demo`: WebTransport echo on /echo, a greeting and bytes over plain HTTP/3.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use wt_api::{
    AcceptOptions, Request, Server, WebTransport,
    http3::{Body, IncomingBody, Response},
};

use crate::{
    exec::{Environment, Exec},
    lab, lines,
    mirror::{CHUNK, copy, datagrams, unidirectional},
    modes,
};

/// The path of the echo service.
pub(crate) const PATH: &str = "/echo";
/// The methods of plain HTTP requests that the service answers.
const METHODS: [Method; 2] = [Method::GET, Method::HEAD];
/// `/bytes/N` gives at most this many bytes.
const MAX_BYTES: u64 = 1 << 40;

/// How many sessions are open.
#[derive(Clone, Default)]
pub(crate) struct Open(Arc<AtomicUsize>);

impl Open {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Relaxed)
    }

    /// Counts one more until the guard is dropped.
    fn enter(&self) -> OpenGuard {
        self.0.fetch_add(1, Relaxed);
        OpenGuard(self.clone())
    }
}

struct OpenGuard(Open);

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}

/// What is done for sessions.
#[derive(Clone, Default)]
pub(crate) struct Service {
    pub(crate) open: Open,
    /// The application protocols that are accepted.
    pub(crate) protocols: Arc<[String]>,
    /// If set, programs serve the streams of all sessions.
    pub(crate) exec: Option<Arc<Exec>>,
    /// Whether the kinds of congestion control are demonstrated too.
    pub(crate) modes: bool,
}

impl Service {
    /// The first protocol offered by the client that the server accepts.
    fn protocol(&self, request: &Request) -> Option<String> {
        request.protocols().iter().find(|offered| self.protocols.contains(offered)).cloned()
    }
}

/// Accepts sessions until the server shuts down.
pub(crate) async fn accept(server: &Server, service: &Service) {
    while let Some(request) = server.accept().await {
        tokio::spawn(serve(request, service.clone()));
    }
}

async fn serve(request: Request, service: Service) {
    let remote = request.remote_address();
    let tell = lines::permit();
    let path = request.path().to_owned();
    let shows_modes = service.modes && path == modes::PATH;
    if path != PATH && path != lab::PATH && !shows_modes && service.exec.is_none() {
        if tell {
            tracing::info!(%remote, path = lines::brief(&path), "no session at this path");
        }
        if resource(&path).is_some() {
            request.reject_unsupported(&METHODS).await;
        } else {
            request.reject(StatusCode::NOT_FOUND).await;
        }
        return;
    }
    let protocol = service.protocol(&request);
    let exec = service.exec.map(|exec| (exec, Arc::new(Environment::of(&request, protocol.as_deref()))));
    let options = match protocol {
        Some(protocol) => AcceptOptions::new().protocol(protocol),
        None if path == lab::PATH && exec.is_none() => lab::answer_to(&request),
        None if shows_modes => modes::answer_to(&request),
        None => AcceptOptions::new(),
    };
    match request.accept(options).await {
        Ok(session) => {
            let _open = service.open.enter();
            if tell {
                tracing::info!(%remote, "session");
            }
            if let Some((exec, environment)) = &exec {
                exec.serve(&session, environment).await;
            } else if shows_modes {
                modes::serve(&session).await;
            } else if path == PATH {
                echo(&session).await;
            } else {
                lab::serve(&session).await;
            }
            match session.closed().await {
                Ok(info) if tell => {
                    let reason = lines::brief(&info.reason);
                    tracing::info!(%remote, code = info.close_code, reason, "session closed");
                }
                Err(error) if tell => tracing::info!(%remote, %error, "session failed"),
                _ => {}
            }
        }
        Err(error) if tell => tracing::info!(%remote, %error, "no session"),
        Err(_) => {}
    }
}

/// Echoes until the session ends: bidirectional streams on themselves, each unidirectional one on a new one, datagrams.
async fn echo(session: &WebTransport) {
    let bidirectional = async {
        let mut streams = session.incoming_bidirectional_streams();
        while let Some(Ok(stream)) = streams.next().await {
            let (readable, writable) = stream.split();
            tokio::spawn(copy(readable, writable));
        }
    };
    tokio::join!(bidirectional, unidirectional(session), datagrams(session));
}

/// Answers plain HTTP/3 requests: GET and HEAD of `/` and of `/bytes/N`.
pub(crate) async fn http(request: http::Request<IncomingBody>) -> Response {
    let Some((content_type, size, body)) = resource(request.uri().path()) else {
        return status(StatusCode::NOT_FOUND);
    };
    let with_body = request.method() == Method::GET;
    if !with_body && request.method() != Method::HEAD {
        let mut response = status(StatusCode::METHOD_NOT_ALLOWED);
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let mut response = Response::new(if with_body { body } else { Body::empty() });
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    response
}

/// A response without content.
pub(crate) fn status(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// The resource at a path: its type, its size in bytes and its content.
fn resource(path: &str) -> Option<(&'static str, u64, Body)> {
    if path == "/" {
        let text = Bytes::from_static(b"weft: WebTransport echo is at /echo, bytes are at /bytes/N\n");
        return Some(("text/plain; charset=utf-8", text.len() as u64, Body::from(text)));
    }
    let size = path.strip_prefix("/bytes/")?.parse().ok().filter(|size| *size <= MAX_BYTES)?;
    Some(("application/octet-stream", size, Body::new(Zeros::new(size))))
}

/// Zero bytes, in slices of one buffer.
struct Zeros {
    buffer: Bytes,
    left: u64,
}

impl Zeros {
    fn new(left: u64) -> Self {
        Self { buffer: Bytes::from(vec![0; CHUNK]), left }
    }
}

impl http_body::Body for Zeros {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        let next = self.left.min(self.buffer.len() as u64);
        self.left -= next;
        let piece = self.buffer.slice(..next as usize);
        Poll::Ready((next > 0).then_some(Ok(http_body::Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.left)
    }
}

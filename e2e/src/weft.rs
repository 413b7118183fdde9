//! Our server, as the scenarios want it, in the test's own process.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::{sync::mpsc, task::JoinHandle};
use wt_api::{
    AcceptOptions, BidirectionalStream, CloseInfo, HttpRequest, HttpResponse, Identity, Request,
    SendStreamOptions, WebTransport, WebTransportError,
};

use crate::{LIMIT, certificate::Certificate, scenarios::Place};

/// What the server saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A session was accepted: its origin and dialect.
    Session(Option<String>, &'static str),
    /// A session ended, by a close or in another way.
    Closed(Result<CloseInfo, String>),
    /// The peer reset a stream, with the code if it has one.
    Reset(Option<u32>),
    /// The peer asked to stop sending, with the code if it has one.
    Stopped(Option<u32>),
}

/// A running server on 127.0.0.1. It has `/echo`, `/close` (closed at once with code 7, "bye") and `/reset/CODE` (a
/// bidirectional stream that begins with `s` is stopped, any other reset, with that code); 405 for `/post-only`; 404 elsewhere.
#[derive(Debug)]
pub struct Server {
    /// Where it is.
    pub place: Place,
    /// Its port.
    pub port: u16,
    seen: mpsc::UnboundedReceiver<Seen>,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts it; sessions are open to pages of this origin.
    ///
    /// # Panics
    /// If it cannot start.
    #[must_use]
    pub fn start(certificate: &Certificate, origin: &str) -> Self {
        let identity = Identity::from_pem(certificate.certificate.as_bytes(), certificate.key.as_bytes());
        let server = wt_api::Server::builder()
            .identity(identity.expect("a certificate with its key"))
            .listen(([127, 0, 0, 1], 0).into())
            .allowed_origins([origin])
            .http_handler(plain)
            .build()
            .expect("a server");
        let port = server.local_addresses()[0].port();
        let (tell, seen) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            while let Some(request) = server.accept().await {
                tokio::spawn(serve(request, tell.clone()));
            }
        });
        Self { place: Place::new(port, &certificate.hash), port, seen, task }
    }

    /// Waits until the server has seen what `wanted` picks out.
    ///
    /// # Panics
    /// If it does not in time; what it saw instead is told.
    pub async fn saw(&mut self, what: &str, wanted: impl Fn(&Seen) -> bool) -> Seen {
        let mut others = Vec::new();
        let waiting = tokio::time::timeout(LIMIT, async {
            loop {
                let seen = self.seen.recv().await.expect("the server runs");
                if wanted(&seen) {
                    return seen;
                }
                others.push(seen);
            }
        });
        let found = waiting.await.ok();
        found.unwrap_or_else(|| panic!("no {what} within {LIMIT:?}, but {others:?}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn plain(request: &HttpRequest) -> HttpResponse {
    let size = request.path.strip_prefix("/bytes/").and_then(|size| size.parse::<usize>().ok());
    match (request.path.as_str(), size) {
        ("/", _) => HttpResponse::new(StatusCode::OK).with_body("weft says hello\n"),
        (_, Some(size @ ..10_000_000)) => HttpResponse::new(StatusCode::OK).with_body(vec![b'x'; size]),
        _ => HttpResponse::new(StatusCode::NOT_FOUND),
    }
}

type Tell = mpsc::UnboundedSender<Seen>;

async fn serve(request: Request, tell: Tell) {
    let (path, origin, dialect) =
        (request.path().to_owned(), request.origin().map(str::to_owned), request.dialect());
    let reset_code = path.strip_prefix("/reset/").and_then(|code| code.parse().ok());
    match path.as_str() {
        "/echo" | "/close" => {}
        _ if reset_code.is_some() => {}
        "/post-only" => return request.reject(StatusCode::METHOD_NOT_ALLOWED).await,
        _ => return request.reject(StatusCode::NOT_FOUND).await,
    }
    let Ok(session) = request.accept(AcceptOptions::new()).await else { return };
    let _ = tell.send(Seen::Session(origin, dialect));
    match (path.as_str(), reset_code) {
        ("/close", _) => session.close(CloseInfo { close_code: 7, reason: "bye".to_owned() }),
        (_, Some(code)) => reset_streams(&session, code).await,
        _ => echo(&session, &tell).await,
    }
    let closed = session.closed().await.map_err(|error| error.to_string());
    let _ = tell.send(Seen::Closed(closed));
}

async fn reset_streams(session: &WebTransport, code: u32) {
    let mut incoming = session.incoming_bidirectional_streams();
    let mut stopped = Vec::new();
    while let Some(Ok(mut stream)) = incoming.next().await {
        // A browser makes the stream known before the page's first write, which a stop would make fail.
        match stream.readable.read_chunk(1).await {
            Ok(Some(wish)) if wish[..] == *b"s" => {
                stream.readable.stop(code);
                stopped.push(stream);
            }
            _ => stream.writable.reset(code),
        }
    }
}

async fn echo(session: &WebTransport, tell: &Tell) {
    let both = async {
        let mut incoming = session.incoming_bidirectional_streams();
        while let Some(Ok(stream)) = incoming.next().await {
            tokio::spawn(echo_stream(stream, tell.clone()));
        }
    };
    let one = async {
        let mut incoming = session.incoming_unidirectional_streams();
        while let Some(Ok(mut stream)) = incoming.next().await {
            let content = stream.read_to_end(16 << 20).await;
            let Ok(content) = content.inspect_err(|error| note(tell, error)) else { continue };
            let Ok(mut back) = session.create_unidirectional_stream(SendStreamOptions::new()).await else {
                break;
            };
            let _ = back.write_chunk(content).await;
            let _ = back.finish();
        }
    };
    let datagrams = async {
        let mut datagrams = session.datagrams();
        while let Ok(datagram) = datagrams.readable.recv().await {
            // One that does not fit or find room is lost, as datagrams are.
            let _ = datagrams.writable.send(datagram).await;
        }
    };
    tokio::join!(both, one, datagrams);
}

async fn echo_stream(mut stream: BidirectionalStream, tell: Tell) {
    loop {
        let chunk: Result<Option<Bytes>, _> = tokio::select! {
            chunk = stream.readable.read_chunk(64 << 10) => chunk,
            Ok(code) = stream.writable.stopped() => {
                let _ = tell.send(Seen::Stopped(code));
                return;
            }
        };
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => {
                note(&tell, &error);
                return stream.writable.reset(0);
            }
        };
        let Some(chunk) = chunk else { break };
        if let Err(error) = stream.writable.write_chunk(chunk).await {
            let _ = tell.send(Seen::Stopped(error.stream_error_code()));
            return;
        }
    }
    let _ = stream.writable.finish();
    // The stream is not dropped, and so not given up, before everything has arrived.
    let _ = tokio::time::timeout(Duration::from_secs(10), stream.writable.finished()).await;
}

fn note(tell: &Tell, error: &WebTransportError) {
    let _ = tell.send(Seen::Reset(error.stream_error_code()));
}

//! Plain HTTP/1.1 over TCP, for a page and for metrics. Each connection gets one response.
//!
//! Owns the limits: how many connections exist at once, how long each may take, and how long its request head
//! may be. It must never know the content.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

/// The limits of connections.
#[derive(Clone, Copy)]
struct Bounds {
    /// The most connections at once; further ones wait in the system's queue.
    connections: usize,
    /// How long a connection may take, from its start to the end of the response.
    time: Duration,
}

const BOUNDS: Bounds = Bounds { connections: 32, time: Duration::from_secs(10) };
/// The largest request head. Browsers and metrics collectors send smaller ones.
const MAX_HEAD: usize = 16 * 1024;
/// How long to wait before the next accept when the system has run out of resources for connections.
const PAUSE: Duration = Duration::from_millis(100);

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    status: &'static str,
    content_type: &'static str,
    body: String,
}

impl Answer {
    pub(crate) fn ok(content_type: &'static str, body: String) -> Self {
        Self { status: "200 OK", content_type, body }
    }

    pub(crate) fn not_found() -> Self {
        Self::failed("404 Not Found", "not here\n")
    }

    fn failed(status: &'static str, text: &str) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: text.to_owned() }
    }
}

/// Serves requests until the task is dropped. `answer` is called with a path, without its query.
pub(crate) async fn serve<F>(listener: TcpListener, answer: impl Fn(String) -> F + Send + Sync + 'static)
where
    F: Future<Output = Answer> + Send,
{
    serve_within(BOUNDS, listener, answer).await;
}

async fn serve_within<F>(
    bounds: Bounds,
    listener: TcpListener,
    answer: impl Fn(String) -> F + Send + Sync + 'static,
) where
    F: Future<Output = Answer> + Send,
{
    let (places, answer) = (Arc::new(Semaphore::new(bounds.connections)), Arc::new(answer));
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let answer = Arc::clone(&answer);
                tokio::spawn(async move {
                    let _ = tokio::time::timeout(bounds.time, exchange(stream, &*answer)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "no connection over TCP");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn exchange<F: Future<Output = Answer>>(mut stream: TcpStream, answer: impl Fn(String) -> F) {
    let Some(head) = head(&mut stream).await else { return };
    let (answer, with_body) = match request(&head) {
        Some((b"GET", path)) => (answer(path).await, true),
        Some((b"HEAD", path)) => (answer(path).await, false),
        Some(_) => (Answer::failed("405 Method Not Allowed", "GET and HEAD alone\n"), true),
        None => (Answer::failed("400 Bad Request", "this is not an HTTP request\n"), true),
    };
    let Answer { status, content_type, body } = answer;
    let mut told = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\nallow: GET, HEAD\r\n\
         cache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n",
        body.len()
    );
    if with_body {
        told += &body;
    }
    let _ = stream.write_all(told.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// Reads up to and including the empty line; `None` if there is none.
async fn head(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(size) => head.extend_from_slice(&buffer[..size]),
        }
        if head.len() > MAX_HEAD {
            return None;
        }
    }
    Some(head)
}

/// The method and path of a request.
fn request(head: &[u8]) -> Option<(&[u8], String)> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let target = std::str::from_utf8(target).ok().filter(|target| target.starts_with('/'))?;
    let path = target.split('?').next().unwrap_or_default().to_owned();
    (version.starts_with(b"HTTP/1.") && words.next().is_none()).then_some((method, path))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    async fn listener() -> (TcpListener, std::net::SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    async fn ask(address: std::net::SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut told = String::new();
        stream.read_to_string(&mut told).await.unwrap();
        told
    }

    #[tokio::test]
    async fn a_silent_connection_gives_up_its_place() {
        let (listener, address) = listener().await;
        let bounds = Bounds { connections: 1, time: Duration::from_millis(50) };
        let answer = |_| std::future::ready(Answer::not_found());
        let serving = tokio::spawn(serve_within(bounds, listener, answer));
        let silent = TcpStream::connect(address).await.unwrap();
        assert!(ask(address).await.starts_with("HTTP/1.1 404"));
        drop(silent);
        serving.abort();
    }

    #[tokio::test]
    async fn only_so_many_connections_are_served_at_once() {
        let (listener, address) = listener().await;
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let highest = Arc::clone(&most);
        let answer = move |_| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            async move {
                most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                for _ in 0..1000 {
                    tokio::task::yield_now().await;
                }
                now.fetch_sub(1, SeqCst);
                Answer::not_found()
            }
        };
        let bounds = Bounds { connections: 2, ..BOUNDS };
        let serving = tokio::spawn(serve_within(bounds, listener, answer));
        let asking: Vec<_> = (0..8).map(|_| tokio::spawn(ask(address))).collect();
        for asked in asking {
            assert!(asked.await.unwrap().starts_with("HTTP/1.1 404"));
        }
        assert_eq!(highest.load(SeqCst), 2);
        serving.abort();
    }

    #[test]
    fn requests_are_read_and_noise_is_refused() {
        assert_eq!(request(b"GET /a?b HTTP/1.1\r\n\r\n"), Some((&b"GET"[..], "/a".to_owned())));
        for noise in
            ["", "GET\r\n", "GET a HTTP/1.1\r\n", "GET / HTTP/2\r\n", "GET / / HTTP/1.1\r\n", "\x16\x03\x01"]
        {
            assert_eq!(request(noise.as_bytes()), None, "{noise:?}");
        }
    }
}

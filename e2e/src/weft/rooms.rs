//! What the server does with the sessions of each path.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::sync::{mpsc, watch};
use wt_api::{
    AcceptOptions, BidirectionalStream, CloseInfo, Request, SendStreamOptions, WebTransport,
    WebTransportError,
};

use super::Seen;

type Tell = mpsc::UnboundedSender<Seen>;

pub(super) async fn serve(request: Request, tell: Tell, mut release: watch::Receiver<bool>) {
    let (path, origin, dialect) =
        (request.path().to_owned(), request.origin().map(str::to_owned), request.dialect());
    let reset_code = path.strip_prefix("/reset/").and_then(|code| code.parse().ok());
    let mut options = AcceptOptions::new();
    match path.as_str() {
        "/echo" | "/close" | "/drain" | "/opens" | "/silent" | "/patient" => {}
        "/last-protocol" => options = last_protocol(&request),
        "/fields" => options = last_protocol(&request).headers(answer(request.headers())),
        _ if reset_code.is_some() => {}
        "/post-only" => return request.reject(StatusCode::METHOD_NOT_ALLOWED).await,
        _ => return request.reject(StatusCode::NOT_FOUND).await,
    }
    let Ok(session) = request.accept(options).await else { return };
    let _ = tell.send(Seen::Session(origin, dialect));
    if path == "/patient" {
        let _ = release.wait_for(|&released| released).await;
    }
    match (path.as_str(), reset_code) {
        ("/close", _) => session.close(CloseInfo::new(7, "bye")),
        ("/opens", _) => drop(open_streams(&session).await),
        ("/silent", _) => drop(open_and_say_nothing(&session).await),
        ("/patient", _) => drop(count_bytes(&session).await),
        (_, Some(code)) => reset_streams(&session, code).await,
        (path, _) => {
            if path == "/drain" {
                session.drain();
            }
            echo(&session, &tell).await;
        }
    }
    let closed = session.closed().await.map_err(|error| error.to_string());
    let _ = tell.send(Seen::Closed(closed));
}

fn last_protocol(request: &Request) -> AcceptOptions {
    let options = AcceptOptions::new();
    match request.protocols().last() {
        Some(protocol) => options.protocol(protocol),
        None => options,
    }
}

fn answer(asked: &HeaderMap) -> HeaderMap {
    let nothing = HeaderValue::from_static("nothing was asked");
    let answer = asked.get("x-question").cloned().unwrap_or(nothing);
    std::iter::once((http::HeaderName::from_static("x-answer"), answer)).collect()
}

async fn open_streams(session: &WebTransport) -> Result<(), WebTransportError> {
    let mut one = session.create_unidirectional_stream(SendStreamOptions::new()).await?;
    one.write_all(b"one way").await?;
    one.finish()?;
    let mut both = session.create_bidirectional_stream(SendStreamOptions::new()).await?;
    both.writable.write_all(b"both ways: ").await?;
    while let Some(chunk) = both.readable.read_chunk(64 << 10).await? {
        both.writable.write_chunk(chunk).await?;
    }
    both.writable.finish()?;
    one.finished().await?;
    both.writable.finished().await
}

async fn open_and_say_nothing(session: &WebTransport) -> Result<(), WebTransportError> {
    let one = session.create_unidirectional_stream(SendStreamOptions::new()).await?;
    let both = session.create_bidirectional_stream(SendStreamOptions::new()).await?;
    let _ = session.closed().await;
    drop((one, both));
    Ok(())
}

async fn count_bytes(session: &WebTransport) -> Result<(), WebTransportError> {
    let mut incoming = session.incoming_bidirectional_streams();
    while let Some(stream) = incoming.next().await {
        let mut stream = stream?;
        let mut count = 0;
        while let Some(chunk) = stream.readable.read_chunk(64 << 10).await? {
            count += chunk.len();
        }
        stream.writable.write_all(count.to_string().as_bytes()).await?;
        stream.writable.finish()?;
        stream.writable.finished().await?;
    }
    Ok(())
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

async fn echo_stream(stream: BidirectionalStream, tell: Tell) {
    let (mut readable, mut writable) = stream.split();
    loop {
        let chunk: Result<Option<Bytes>, _> = tokio::select! {
            chunk = readable.read_chunk(64 << 10) => chunk,
            Ok(code) = writable.stopped() => {
                let _ = tell.send(Seen::Stopped(code));
                return;
            }
        };
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => {
                note(&tell, &error);
                return writable.reset(0);
            }
        };
        let Some(chunk) = chunk else { break };
        if let Err(error) = writable.write_chunk(chunk).await {
            let _ = tell.send(Seen::Stopped(error.stream_error_code()));
            return;
        }
    }
    let _ = writable.finish();
    // The stream is not dropped, and so not given up, before everything has arrived.
    let _ = tokio::time::timeout(Duration::from_secs(10), writable.finished()).await;
}

fn note(tell: &Tell, error: &WebTransportError) {
    let _ = tell.send(Seen::Reset(error.stream_error_code()));
}

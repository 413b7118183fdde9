//! The level of WebTransport: sessions over `wt-api`, as applications use them. The response to `DOWN`
//! arrives on a unidirectional stream of the server. [`connections`] has the modes with many sessions.

mod connections;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::task::JoinSet;
use wt_api::{
    AcceptOptions, AddressLimits, BidirectionalStream, Client, SendStreamOptions, Server, WebTransport,
    WebTransportOptions,
};

use super::{
    growth::AskServer,
    report::Outcome,
    terms::{GRACE, clock, failed, too_large, transport},
    tls,
    wire::{HEADER, Request},
};
use crate::{
    args::{Perf, PerfMode},
    exit::Ended,
};

/// How much is written at once.
const CHUNK: usize = 1 << 20;

fn data() -> Bytes {
    Bytes::from(vec![0x5a; CHUNK])
}

/// Serves until the process is ended.
pub(super) async fn server(options: &Perf, ready: impl FnOnce(SocketAddr)) -> Result<(), Ended> {
    let server = Server::builder()
        .rustls_config(tls::server(&options.directory(), tls::ALPN_H3)?)
        .listen(options.addr)
        .transport(transport(options))
        // All clients have the same address.
        .address_limits(AddressLimits::UNLIMITED)
        .max_connections(usize::MAX)
        .build()
        .map_err(|error| failed("server", error))?;
    ready(server.local_addresses().first().copied().unwrap_or(options.addr));
    let data = data();
    let counts = !matches!(options.mode, PerfMode::Handshake | PerfMode::Resume | PerfMode::Idle);
    while let Some(request) = server.accept().await {
        let data = data.clone();
        tokio::spawn(async move {
            let Ok(session) = request.accept(AcceptOptions::new()).await else { return };
            let mut streams = session.incoming_bidirectional_streams();
            let (mut datagrams, count) = (session.datagrams().readable, Arc::new(AtomicU64::new(0)));
            let counted = Arc::clone(&count);
            if counts {
                tokio::spawn(async move {
                    while datagrams.recv().await.is_ok() {
                        counted.fetch_add(1, Relaxed);
                    }
                });
            }
            while let Some(Ok(stream)) = streams.next().await {
                // A client that is done leaves in the middle of a stream.
                drop(tokio::spawn(serve(session.clone(), stream, data.clone(), Arc::clone(&count))));
            }
        });
    }
    Ok(())
}

async fn serve(
    session: WebTransport,
    mut stream: BidirectionalStream,
    data: Bytes,
    datagrams: Arc<AtomicU64>,
) -> Result<(), wt_api::WebTransportError> {
    let (mut header, mut received) = (Vec::new(), 0_u64);
    let request = loop {
        let Some(chunk) = stream.readable.read_chunk(usize::MAX).await? else { return Ok(()) };
        received += chunk.len() as u64;
        let missing = HEADER - header.len();
        header.extend_from_slice(&chunk[..missing.min(chunk.len())]);
        if let Some(header) = header.first_chunk() {
            break Request::decode(header);
        }
    };
    match request {
        // Boxed, because it would make every request's task larger.
        Some(Request::Down(size)) => return Box::pin(send_down(session, data, size)).await,
        Some(request) => {
            while let Some(chunk) = stream.readable.read_chunk(usize::MAX).await? {
                received += chunk.len() as u64;
            }
            let answer = match request {
                Request::Echo { answer, .. } => {
                    data.slice(..usize::try_from(answer).unwrap_or(CHUNK).min(CHUNK))
                }
                Request::Count => Bytes::copy_from_slice(&datagrams.load(Relaxed).to_be_bytes()),
                _ => Bytes::copy_from_slice(&received.to_be_bytes()),
            };
            stream.writable.write_chunk(answer).await?;
        }
        None => {}
    }
    stream.writable.finish()
}

async fn send_down(
    session: WebTransport,
    data: Bytes,
    mut left: u64,
) -> Result<(), wt_api::WebTransportError> {
    let mut answer = session.create_unidirectional_stream(SendStreamOptions::new()).await?;
    while left > 0 {
        let size = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        answer.write_chunk(data.slice(..size)).await?;
        left -= size as u64;
    }
    answer.finish()
}

/// Measures as the options say.
pub(super) async fn client(options: &Perf, ask: AskServer<'_>) -> Result<Outcome, Ended> {
    let wanted = WebTransportOptions::new()
        .rustls_config(tls::client(&options.directory(), tls::ALPN_H3, options.mode == PerfMode::Resume)?)
        .transport(transport(options));
    let url = format!("https://{}/", options.addr);
    let client = Client::builder().options(wanted).build().map_err(|error| failed("client", error))?;
    match options.mode {
        PerfMode::Handshake | PerfMode::Resume => {
            return connections::handshakes(&client, &url, options).await;
        }
        PerfMode::Idle => return connections::idle(&client, &url, options, ask).await,
        _ => {}
    }
    let session = connections::session(&client, &url).await?;
    let duration = Duration::from_secs_f64(options.seconds);
    let outcome = match options.mode {
        PerfMode::Bulk => download(&session, 1, options.bytes, duration).await,
        PerfMode::Multi => download(&session, options.streams.max(1), options.bytes, duration).await,
        PerfMode::Upload => upload(&session, duration).await,
        PerfMode::Rr => round_trips(&session, options, duration).await,
        PerfMode::Datagram | PerfMode::Handshake | PerfMode::Resume | PerfMode::Idle => {
            let outcome = datagrams(&session, options.size, duration).await;
            return outcome.map_err(|error| match error {
                wt_api::DatagramError::TooLarge { max, .. } => too_large(options, max),
                error => failed("datagrams", error),
            });
        }
    };
    outcome.map_err(|error| failed("session", error))
}

async fn download(
    session: &WebTransport,
    streams: usize,
    bytes: u64,
    duration: Duration,
) -> Result<Outcome, wt_api::WebTransportError> {
    let (total, started) = (Arc::new(AtomicU64::new(0)), clock());
    let mut tasks = JoinSet::new();
    for _ in 0..streams {
        let (session, total) = (session.clone(), Arc::clone(&total));
        let request = Request::Down(bytes / streams as u64).encode();
        tasks.spawn(async move {
            let mut asked = session.create_bidirectional_stream(SendStreamOptions::new()).await?;
            asked.writable.write_chunk(Bytes::copy_from_slice(&request)).await?;
            asked.writable.finish()?;
            let Some(answer) = session.incoming_unidirectional_streams().next().await else { return Ok(()) };
            let mut answer = answer?;
            while let Some(chunk) = answer.read_chunk(usize::MAX).await? {
                total.fetch_add(chunk.len() as u64, Relaxed);
            }
            Ok::<_, wt_api::WebTransportError>(())
        });
    }
    // Either the time or the bytes ran out.
    let _ = tokio::time::timeout(duration, async { while tasks.join_next().await.is_some() {} }).await;
    Ok(Outcome { bytes: total.load(Relaxed), elapsed: started.elapsed(), ..Outcome::default() })
}

async fn upload(session: &WebTransport, duration: Duration) -> Result<Outcome, wt_api::WebTransportError> {
    let (data, started) = (data(), clock());
    let mut stream = session.create_bidirectional_stream(SendStreamOptions::new()).await?;
    stream.writable.write_chunk(Bytes::copy_from_slice(&Request::Up.encode())).await?;
    while started.elapsed() < duration {
        stream.writable.write_chunk(data.clone()).await?;
    }
    stream.writable.finish()?;
    let count = stream.readable.read_to_end(64).await?;
    let bytes = count.first_chunk().map_or(0, |chunk| u64::from_be_bytes(*chunk));
    Ok(Outcome { bytes, elapsed: started.elapsed(), ..Outcome::default() })
}

/// Sends datagrams as fast as they are taken. Only those that arrived count.
async fn datagrams(
    session: &WebTransport,
    size: usize,
    duration: Duration,
) -> Result<Outcome, wt_api::DatagramError> {
    let (data, started) = (data().slice(..size.min(CHUNK)), clock());
    let writable = session.datagrams().writable;
    let mut sent = 0;
    while started.elapsed() < duration {
        for _ in 0..64 {
            writable.send(data.clone()).await?;
        }
        sent += 64;
    }
    let elapsed = started.elapsed();
    tokio::time::sleep(GRACE).await;
    let mut stream = session.create_bidirectional_stream(SendStreamOptions::new()).await?;
    stream.writable.write_chunk(Bytes::copy_from_slice(&Request::Count.encode())).await?;
    stream.writable.finish()?;
    let count = stream.readable.read_to_end(64).await?;
    let operations = count.first_chunk().map_or(0, |chunk| u64::from_be_bytes(*chunk));
    let bytes = operations * size as u64;
    Ok(Outcome { bytes, operations, elapsed, sent: Some(sent), ..Outcome::default() })
}

async fn round_trips(
    session: &WebTransport,
    options: &Perf,
    duration: Duration,
) -> Result<Outcome, wt_api::WebTransportError> {
    let size = options.size.max(HEADER);
    let mut request = Request::Echo { request: size as u64, answer: size as u64 }.encode().to_vec();
    request.resize(size, 0);
    let (request, started) = (Bytes::from(request), clock());
    let mut tasks = JoinSet::new();
    for _ in 0..options.inflight.max(1) {
        let (session, request) = (session.clone(), request.clone());
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            while started.elapsed() < duration {
                let asked = clock();
                let mut stream = session.create_bidirectional_stream(SendStreamOptions::new()).await?;
                stream.writable.write_chunk(request.clone()).await?;
                stream.writable.finish()?;
                let mut received = 0;
                while let Some(chunk) = stream.readable.read_chunk(usize::MAX).await? {
                    received += chunk.len();
                }
                assert_eq!(
                    received,
                    request.len(),
                    "the server answers with as many bytes as it was asked for"
                );
                latencies.push(asked.elapsed());
            }
            Ok::<_, wt_api::WebTransportError>(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(task) = tasks.join_next().await {
        // A task that panicked has printed why.
        latencies.extend(task.unwrap_or_else(|_| Ok(Vec::new()))?);
    }
    let operations = latencies.len() as u64;
    let bytes = operations * size as u64;
    Ok(Outcome { bytes, operations, elapsed: started.elapsed(), latencies, ..Outcome::default() })
}

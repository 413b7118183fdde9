//! What the tests on virtual networks share: the server's application, and errors that may end a session.
#![allow(dead_code, reason = "every test file uses a part")]

pub(crate) mod world;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use quic_core::error::ConnectionError;
use wt_api::{
    AcceptOptions, BidirectionalStream, CertificateHash, ErrorCause, ReceiveStream, SendStream,
    SendStreamOptions, Server, TransportConfig, WebTransport, WebTransportError, WebTransportOptions,
    testing::{Host, Network},
};

/// The code with which the server's application stops streams that begin with [`STOP_ME`].
pub(crate) const STOP_CODE: u32 = 77;
/// The first byte of such streams.
pub(crate) const STOP_ME: u8 = 0xff;

/// Bytes that depend on their offset and on `salt`; none is [`STOP_ME`].
pub(crate) fn pattern(salt: u64, size: usize) -> Bytes {
    (0..size).map(|i| ((i % 251) as u8 ^ (i >> 8) as u8 ^ salt as u8) & 0x7f).collect::<Vec<u8>>().into()
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A server on `host`, with the host's name, and the hash of its certificate.
pub(crate) fn serve(
    network: &Network,
    host: &Host,
    transport: TransportConfig,
) -> (Arc<Server>, CertificateHash) {
    let identity = network.identity([host.name()]);
    let hash = identity.certificate_hash();
    let server = host.enter(|| Server::builder().identity(identity).transport(transport).build().unwrap());
    (Arc::new(server), hash)
}

/// Echoes all sessions of a server, each in its own task.
pub(crate) async fn echo_all(host: Host, server: Arc<Server>) {
    while let Some(request) = server.accept().await {
        let Ok(session) = request.accept(AcceptOptions::new()).await else { continue };
        drop(host.spawn(echo(host.clone(), session)));
    }
}

/// Echoes whatever arrives: a bidirectional stream on itself, a unidirectional stream on a new one, and
/// datagrams.
pub(crate) async fn echo(host: Host, session: WebTransport) {
    let uni = session.clone();
    let datagrams = session.datagrams();
    let streams = host.clone();
    drop(host.spawn(async move {
        let mut incoming = uni.incoming_unidirectional_streams();
        while let Some(Ok(from)) = incoming.next().await {
            let session = uni.clone();
            drop(streams.spawn(async move {
                if let Ok(to) = session.create_unidirectional_stream(Default::default()).await {
                    let _ = copy(from, to).await;
                }
            }));
        }
    }));
    drop(host.spawn(async move {
        let (mut readable, writable) = (datagrams.readable, datagrams.writable);
        while let Ok(datagram) = readable.recv().await {
            let _ = writable.send(datagram).await;
        }
    }));
    let mut incoming = session.incoming_bidirectional_streams();
    while let Some(Ok(stream)) = incoming.next().await {
        let (from, to) = stream.split();
        drop(host.spawn(async move { drop(copy(from, to).await) }));
    }
}

async fn copy(mut from: ReceiveStream, mut to: SendStream) -> Result<(), WebTransportError> {
    while let Some(chunk) = from.read_chunk(64 << 10).await? {
        if chunk.first() == Some(&STOP_ME) {
            from.stop(STOP_CODE);
            to.reset(STOP_CODE + 1);
            return Ok(());
        }
        to.write_chunk(chunk).await?;
    }
    to.finish()
}

/// A client's options for a server with this certificate.
pub(crate) fn options(hash: CertificateHash) -> WebTransportOptions {
    WebTransportOptions::new().server_certificate_hashes([hash])
}

/// A session with the server of this name.
pub(crate) async fn connect(
    name: &str,
    options: WebTransportOptions,
) -> Result<WebTransport, WebTransportError> {
    let session = WebTransport::new(&format!("https://{name}/"), options).unwrap();
    session.ready().await?;
    Ok(session)
}

/// Sends `data` on a bidirectional stream and returns what comes back.
pub(crate) async fn round_trip(session: &WebTransport, data: Bytes) -> Result<Bytes, WebTransportError> {
    let limit = data.len();
    let stream = session.create_bidirectional_stream(Default::default()).await?;
    let (mut from, mut to) = stream.split();
    let write = async {
        to.write_chunk(data).await?;
        to.finish()
    };
    let (written, read) = tokio::join!(write, from.read_to_end(limit));
    written?;
    read
}

/// Whether the error is an idle timeout.
pub(crate) fn is_idle_timeout(error: &WebTransportError) -> bool {
    matches!(error.cause(), ErrorCause::Connection(ConnectionError::IdleTimeout))
}

/// Opens bidirectional streams until opening one would have to wait, and returns them.
pub(crate) async fn open_all(session: &WebTransport) -> Vec<BidirectionalStream> {
    let mut streams = Vec::new();
    loop {
        let options = SendStreamOptions::new().wait_until_available(false);
        match session.create_bidirectional_stream(options).await {
            Ok(stream) => streams.push(stream),
            Err(error) => {
                assert!(matches!(error.cause(), ErrorCause::QuotaExceeded), "{error}");
                return streams;
            }
        }
    }
}

/// The same for unidirectional streams.
pub(crate) async fn open_all_uni(session: &WebTransport) -> Vec<SendStream> {
    let mut streams = Vec::new();
    let options = || SendStreamOptions::new().wait_until_available(false);
    while let Ok(stream) = session.create_unidirectional_stream(options()).await {
        streams.push(stream);
    }
    streams
}

/// Both ends of a session, client first.
pub(crate) async fn session(
    server: &Server,
    client: &Host,
    options: WebTransportOptions,
) -> (WebTransport, WebTransport) {
    let client = client.enter(|| WebTransport::new("https://server/", options).unwrap());
    let accepted = server.accept().await.unwrap().accept(AcceptOptions::new()).await.unwrap();
    client.ready().await.unwrap();
    (client, accepted)
}

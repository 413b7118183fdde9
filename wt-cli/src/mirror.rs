//! Echoes streams and datagrams.

use wt_api::{ReceiveStream, SendStream, SendStreamOptions, WebTransport, WebTransportError};

use crate::discovery::Discovery;

/// The most bytes that one read takes.
pub(crate) const CHUNK: usize = 64 * 1024;

/// Echoes each unidirectional stream on a new one.
pub(crate) async fn unidirectional(session: &WebTransport) {
    let mut streams = session.incoming_unidirectional_streams();
    while let Some(Ok(readable)) = streams.next().await {
        let session = session.clone();
        tokio::spawn(async move {
            if let Ok(writable) = session.create_unidirectional_stream(SendStreamOptions::new()).await {
                copy(readable, writable).await;
            }
        });
    }
}

/// Echoes datagrams.
pub(crate) async fn datagrams(session: &WebTransport) {
    let (mut datagrams, mut discovery) = (session.datagrams(), Discovery::of(session));
    while let Ok(payload) = datagrams.readable.recv().await {
        discovery.room(payload.len()).await;
        // A datagram that does not fit is lost, as datagrams may be.
        let _ = datagrams.writable.send(payload).await;
    }
}

/// Copies a stream. A reset on one side becomes a reset on the other, and so does STOP_SENDING.
pub(crate) async fn copy(mut readable: ReceiveStream, mut writable: SendStream) {
    let code = |error: &WebTransportError| error.stream_error_code().unwrap_or(0);
    loop {
        match readable.read_chunk(CHUNK).await {
            Ok(Some(chunk)) => {
                if let Err(error) = writable.write_chunk(chunk).await {
                    readable.stop(code(&error));
                    return;
                }
            }
            Ok(None) => {
                let _ = writable.finish();
                return;
            }
            Err(error) => {
                writable.reset(code(&error));
                return;
            }
        }
    }
}

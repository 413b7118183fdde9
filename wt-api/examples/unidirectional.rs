//! MDN's unidirectional streams: the client opens and writes one, and reads the server's as they arrive.
//!
//! `cargo run -p wt-api --example unidirectional -- https://localhost:4433/echo <hash of the certificate>`

mod arguments;

use std::error::Error;

use bytes::Bytes;
use wt_api::{CloseInfo, SendStreamOptions, WebTransport, WebTransportError};

/// The most that one stream of the server may contain, in bytes.
const LIMIT: usize = 1 << 20;

/// Opens a stream, writes to it, and waits until the peer has acknowledged everything.
pub(crate) async fn write_data(transport: &WebTransport, parts: &[&[u8]]) -> Result<(), WebTransportError> {
    let mut stream = transport.create_unidirectional_stream(SendStreamOptions::new()).await?;
    for part in parts {
        stream.write_all(part).await?;
    }
    stream.finished().await
}

/// Reads the next stream that the server opens, to its end. Returns `None` once the session was closed.
pub(crate) async fn receive_unidirectional(
    transport: &WebTransport,
) -> Result<Option<Bytes>, WebTransportError> {
    let mut streams = transport.incoming_unidirectional_streams();
    match streams.next().await {
        Some(stream) => stream?.read_to_end(LIMIT).await.map(Some),
        None => Ok(None),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (url, options) = arguments::parse()?;
    let transport = WebTransport::new(&url, options)?;
    transport.ready().await?;
    match write_data(&transport, &[&[65, 66, 67], &[68, 69, 70]]).await {
        Ok(()) => println!("all data has been sent"),
        Err(error) => println!("an error occurred while sending: {error}"),
    }
    match receive_unidirectional(&transport).await {
        Ok(Some(data)) => println!("the server's stream: {data:?}"),
        Ok(None) => println!("the server closed the session"),
        Err(error) => println!("an error occurred while receiving: {error}"),
    }
    transport.close(CloseInfo::default());
    transport.closed().await?;
    wt_api::wait_idle().await;
    Ok(())
}

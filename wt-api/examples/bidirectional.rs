//! MDN's bidirectional streams: the client opens one, and writes and reads it at the same time.
//!
//! `cargo run -p wt-api --example bidirectional -- https://localhost:4433/echo <hash of the certificate>`

mod arguments;

use std::error::Error;

use wt_api::{CloseInfo, ReceiveStream, SendStream, SendStreamOptions, WebTransport, WebTransportError};

/// Opens a stream, writes `data` and returns the server's answer. Reading and writing run concurrently: a
/// server may stop reading until the client has read its answer.
pub(crate) async fn exchange(transport: &WebTransport, data: &[u8]) -> Result<Vec<u8>, WebTransportError> {
    let stream = transport.create_bidirectional_stream(SendStreamOptions::new()).await?;
    let (readable, writable) = stream.split();
    let (written, received) = tokio::join!(write_data(writable, data), read_data(readable));
    written?;
    received
}

async fn write_data(mut writable: SendStream, data: &[u8]) -> Result<(), WebTransportError> {
    writable.write_all(data).await?;
    writable.finish()
}

async fn read_data(mut readable: ReceiveStream) -> Result<Vec<u8>, WebTransportError> {
    let mut received = Vec::new();
    while let Some(chunk) = readable.read_chunk(64 << 10).await? {
        received.extend_from_slice(&chunk);
    }
    Ok(received)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (url, options) = arguments::parse()?;
    let transport = WebTransport::new(&url, options)?;
    transport.ready().await?;
    let data = vec![65; 1 << 20];
    match exchange(&transport, &data).await {
        Ok(answer) => println!("{} bytes sent, {} came back", data.len(), answer.len()),
        Err(error) => println!("an error occurred: {error}"),
    }
    transport.close(CloseInfo::default());
    transport.closed().await?;
    wt_api::wait_idle().await;
    Ok(())
}

//! MDN's "unreliable transmission via datagrams": the network may lose datagrams; the server echoes those
//! that arrive.
//!
//! `cargo run -p wt-api --example datagrams -- https://localhost:4433/echo <hash of the certificate>`

mod arguments;

use std::{error::Error, time::Duration};

use bytes::Bytes;
use wt_api::{CloseInfo, DatagramError, Datagrams, WebTransport};

/// Sends datagrams. A datagram that is too large for the path is an error; a lost one is not.
pub(crate) async fn write_data(datagrams: &Datagrams, payloads: &[Bytes]) -> Result<(), DatagramError> {
    println!("one datagram holds up to {} bytes", datagrams.max_datagram_size());
    for payload in payloads {
        datagrams.writable.send(payload.clone()).await?;
    }
    Ok(())
}

/// Reads until the expected number of datagrams has arrived, or none has arrived for `patience`: the rest
/// counts as lost.
pub(crate) async fn read_data(datagrams: &mut Datagrams, expected: usize, patience: Duration) -> Vec<Bytes> {
    let mut received = Vec::new();
    while received.len() < expected {
        match tokio::time::timeout(patience, datagrams.readable.recv()).await {
            Ok(Ok(payload)) => received.push(payload),
            Ok(Err(error)) => {
                println!("the session ended: {error}");
                break;
            }
            Err(_) => break,
        }
    }
    received
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (url, options) = arguments::parse()?;
    let transport = WebTransport::new(&url, options)?;
    transport.ready().await?;
    let mut datagrams = transport.datagrams();
    let payloads = [Bytes::from_static(&[65, 66, 67]), Bytes::from_static(&[68, 69, 70])];
    write_data(&datagrams, &payloads).await?;
    let received = read_data(&mut datagrams, payloads.len(), Duration::from_secs(1)).await;
    println!("{} of {} came back: {received:?}", received.len(), payloads.len());
    transport.close(CloseInfo::default());
    transport.closed().await?;
    wt_api::wait_idle().await;
    Ok(())
}

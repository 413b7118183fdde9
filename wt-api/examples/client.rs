//! MDN's first examples: connect, wait until ready, use a stream and a datagram, and hear how the session ends.
//!
//! `cargo run -p wt-api --example client -- https://localhost:4433/echo <hash of the certificate>`

use bytes::Bytes;
use wt_api::{CertificateHash, CloseInfo, SendStreamOptions, WebTransport, WebTransportOptions};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "https://localhost:4433/echo".to_owned());
    let mut options = WebTransportOptions::new();
    if let Some(hash) = arguments.next() {
        options = options.server_certificate_hashes([hash.parse::<CertificateHash>()?]);
    }
    let transport = WebTransport::new(&url, options)?;
    // `closed` can be awaited from the start, as often as one likes.
    let watched = transport.clone();
    let closed = tokio::spawn(async move {
        match watched.closed().await {
            Ok(CloseInfo { close_code, reason }) => println!("closed gracefully: {close_code} {reason:?}"),
            Err(error) => println!("closed abruptly: {error}"),
        }
    });
    if let Err(error) = transport.ready().await {
        println!("not ready: {error}");
        closed.await?;
        return Ok(());
    }
    println!("ready, {:?}", transport.negotiated_draft());
    let mut stream = transport.create_bidirectional_stream(SendStreamOptions::new()).await?;
    stream.writable.write_all(b"hello").await?;
    stream.writable.finish()?;
    println!("echo: {:?}", stream.readable.read_to_end(1 << 20).await?);
    transport.datagrams().writable.send(Bytes::from_static(b"maybe")).await?;
    transport.close(CloseInfo { close_code: 0, reason: "done".to_owned() });
    closed.await?;
    Ok(())
}

//! A server and a client in one program: a line goes to the server and comes back.
//!
//! `cargo run -p wt-api --example hello`

use std::error::Error;

use wt_api::{
    AcceptOptions, CloseInfo, Identity, SendStreamOptions, Server, WebTransport, WebTransportError,
    WebTransportOptions,
};

/// Echoes whatever arrives on bidirectional streams, one session after the other.
pub(crate) async fn serve(server: Server) -> Result<(), WebTransportError> {
    while let Some(request) = server.accept().await {
        let session = request.accept(AcceptOptions::new()).await?;
        let mut streams = session.incoming_bidirectional_streams();
        while let Some(stream) = streams.next().await {
            let mut stream = stream?;
            let data = stream.readable.read_to_end(1 << 20).await?;
            stream.writable.write_chunk(data).await?;
            stream.writable.finish()?;
        }
    }
    Ok(())
}

/// Sends a line and returns what comes back.
pub(crate) async fn ask(session: &WebTransport, line: &str) -> Result<String, WebTransportError> {
    let mut stream = session.create_bidirectional_stream(SendStreamOptions::new()).await?;
    stream.writable.write_all(line.as_bytes()).await?;
    // Without this the stream would not end, and the server would keep waiting for more.
    stream.writable.finish()?;
    let echo = stream.readable.read_to_end(1 << 20).await?;
    Ok(String::from_utf8_lossy(&echo).into_owned())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::builder()
        .identity(Identity::self_signed(["localhost"])?)
        .listen("127.0.0.1:0".parse()?)
        .build()?;
    let address = server.local_addresses().first().copied().ok_or("no address")?;
    let hash = server.certificate_hash();
    tokio::spawn(serve(server));

    let options = WebTransportOptions::new().server_certificate_hashes(hash);
    let session = WebTransport::new(&format!("https://{address}/"), options)?;
    session.ready().await?;
    println!("{}", ask(&session, "hello").await?);
    session.close(CloseInfo::default());
    session.closed().await?;
    // The close of the session may still be on its way.
    wt_api::wait_idle().await;
    Ok(())
}

//! Exports a server's counters to Prometheus: on a TCP port, in its text format.
//!
//! `cargo run -p wt-api --example prometheus -- fullchain.pem privkey.pem 127.0.0.1:9464`

use std::{error::Error, io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use wt_api::{AcceptOptions, Identity, Request, Server};

/// How long a scrape may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest head of a request, in bytes.
const MAX_HEAD: usize = 8 << 10;

/// Answers one scrape after the other, whatever path it requests. Bind the listener to an address that only
/// the monitoring system can reach: there is no password.
pub(crate) async fn export(server: &Server, listener: &TcpListener) -> io::Result<()> {
    loop {
        let (mut scrape, _) = listener.accept().await?;
        // A scrape that is slow or has gone away is not worth an error.
        let _ = timeout(PATIENCE, answer(server, &mut scrape)).await;
    }
}

async fn answer(server: &Server, scrape: &mut TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD {
        head.push(scrape.read_u8().await?);
    }
    let text = server.stats().await.to_prometheus();
    let length = text.len();
    let fields =
        format!("content-type: text/plain; version=0.0.4\r\ncontent-length: {length}\r\nconnection: close");
    scrape.write_all(format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{text}").as_bytes()).await?;
    scrape.shutdown().await
}

/// The service. This one waits until the client leaves.
async fn serve(request: Request) {
    if let Ok(session) = request.accept(AcceptOptions::new()).await {
        let _ = session.closed().await;
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [chain, key, address] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "CHAIN KEY ADDRESS")?;
    let identity = Identity::from_pem_files(chain, key)?;
    let server = Arc::new(Server::builder().identity(identity).build()?);
    let listener = TcpListener::bind(address).await?;
    let watched = Arc::clone(&server);
    tokio::spawn(async move { export(&watched, &listener).await });
    while let Some(request) = server.accept().await {
        tokio::spawn(serve(request));
    }
    Ok(())
}

//! An `axum` router over HTTP/3, and WebTransport sessions on the same port: `/` is a page, `/upload` counts
//! what it is sent, and sessions at `/echo` get their streams back.
//!
//! `cargo run -p wt-api --features tower --example axum`

use std::{error::Error, net::SocketAddr};

use axum::{
    Extension, Router,
    body::Bytes,
    routing::{get, post},
};
use wt_api::{AcceptOptions, Connection, Identity, Request, Server, ServerBuilder, WebTransportError};

/// What is served, as for a server over TCP.
pub(crate) fn router() -> Router {
    Router::new()
        .route("/", get(page))
        .route("/upload", post(async |body: Bytes| format!("{} bytes\n", body.len())))
}

/// Handlers find the QUIC connection of their request in its extensions.
async fn page(Extension(connection): Extension<Connection>) -> String {
    format!("hello, {}\n", connection.remote_address().ip())
}

/// Serves the router, and sessions.
pub(crate) fn builder(identity: Identity, address: SocketAddr) -> ServerBuilder {
    Server::builder().identity(identity).listen(address).tower_service(router())
}

/// Echoes the bidirectional streams of a session.
pub(crate) async fn session(request: Request) -> Result<(), WebTransportError> {
    if request.path() != "/echo" {
        request.reject(http::StatusCode::NOT_FOUND).await;
        return Ok(());
    }
    let session = request.accept(AcceptOptions::new()).await?;
    let mut streams = session.incoming_bidirectional_streams();
    while let Some(stream) = streams.next().await {
        let mut stream = stream?;
        let data = stream.readable.read_to_end(1 << 20).await?;
        stream.writable.write_chunk(data).await?;
        stream.writable.finish()?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let identity = Identity::self_signed(["localhost", "127.0.0.1"])?;
    let server = builder(identity, "127.0.0.1:4433".parse()?).build()?;
    println!("a server over TCP tells of this one with the field alt-svc: {}", server.alt_svc());
    while let Some(request) = server.accept().await {
        tokio::spawn(session(request));
    }
    Ok(())
}

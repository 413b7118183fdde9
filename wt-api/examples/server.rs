//! An echo server on both families of loopback: streams and datagrams come back, plain requests get a page.
//!
//! `cargo run -p wt-api --example server`

use http::StatusCode;
use wt_api::{AcceptOptions, HttpResponse, Identity, Request, Server, WebTransport};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder()
        .identity(Identity::self_signed(["localhost", "127.0.0.1", "::1"])?)
        .listen("127.0.0.1:4433".parse()?)
        .listen("[::1]:4433".parse()?)
        .allowed_origins(["http://localhost:8080"])
        .http_handler(|_| HttpResponse::new(StatusCode::OK).with_body("WebTransport lives at /echo\n"))
        .build()?;
    println!("listening on {:?}", server.local_addresses());
    if let Some(hash) = server.certificate_hash() {
        println!("certificate hash {hash}");
    }
    while let Some(request) = server.accept().await {
        tokio::spawn(answer(request));
    }
    Ok(())
}

async fn answer(request: Request) {
    if request.path() != "/echo" {
        return request.reject(StatusCode::NOT_FOUND).await;
    }
    println!("session from {} by {}", request.remote_address(), request.dialect());
    match request.accept(AcceptOptions::new()).await {
        Ok(session) => echo(session).await,
        Err(error) => println!("the client has gone: {error}"),
    }
}

async fn echo(session: WebTransport) {
    let mut datagrams = session.datagrams();
    tokio::spawn(async move {
        while let Ok(datagram) = datagrams.readable.recv().await {
            if datagrams.writable.send(datagram).await.is_err() {
                break;
            }
        }
    });
    let mut streams = session.incoming_bidirectional_streams();
    while let Some(Ok(stream)) = streams.next().await {
        tokio::spawn(async move {
            let (mut readable, mut writable) = stream.split();
            while let Ok(Some(chunk)) = readable.read_chunk(1 << 16).await {
                if writable.write_chunk(chunk).await.is_err() {
                    return;
                }
            }
            let _ = writable.finish();
            // The stream's last bytes are acknowledged before its handle goes.
            let _ = writable.finished().await;
        });
    }
    println!("{:?}", session.closed().await);
}

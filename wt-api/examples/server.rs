//! An echo server on both address families of loopback. It echoes streams and datagrams, and answers plain
//! requests with a page. The echo of a unidirectional stream comes on a new one.
//!
//! `cargo run -p wt-api --example server`

use http::StatusCode;
use wt_api::{
    AcceptOptions, Identity, ReceiveStream, Request, SendStream, SendStreamOptions, Server, WebTransport,
    http3::IncomingBody,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder()
        .identity(Identity::self_signed(["localhost", "127.0.0.1", "::1"])?)
        .listen("127.0.0.1:4433".parse()?)
        .listen("[::1]:4433".parse()?)
        .allowed_origins(["http://localhost:8080"])
        .http_service(page)
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

async fn page(_: http::Request<IncomingBody>) -> http::Response<String> {
    http::Response::new("WebTransport lives at /echo\n".to_owned())
}

pub(crate) async fn answer(request: Request) {
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
    let datagrams = async {
        let mut datagrams = session.datagrams();
        while let Ok(datagram) = datagrams.readable.recv().await {
            // A datagram that does not fit is dropped, as any datagram may be.
            let _ = datagrams.writable.send(datagram).await;
        }
    };
    let bidirectional = async {
        let mut streams = session.incoming_bidirectional_streams();
        while let Some(Ok(stream)) = streams.next().await {
            let (readable, writable) = stream.split();
            tokio::spawn(copy(readable, writable));
        }
    };
    let unidirectional = async {
        let mut streams = session.incoming_unidirectional_streams();
        while let Some(Ok(readable)) = streams.next().await {
            let session = session.clone();
            tokio::spawn(async move {
                if let Ok(writable) = session.create_unidirectional_stream(SendStreamOptions::new()).await {
                    copy(readable, writable).await;
                }
            });
        }
    };
    tokio::join!(datagrams, bidirectional, unidirectional);
    println!("{:?}", session.closed().await);
}

async fn copy(mut readable: ReceiveStream, mut writable: SendStream) {
    loop {
        match readable.read_chunk(64 << 10).await {
            Ok(Some(chunk)) => {
                if let Err(error) = writable.write_chunk(chunk).await {
                    return readable.stop(error.stream_error_code().unwrap_or(0));
                }
            }
            Ok(None) => break,
            Err(error) => return writable.reset(error.stream_error_code().unwrap_or(0)),
        }
    }
    // The peer acknowledges the stream's last bytes before the handle is dropped.
    let _ = writable.finished().await;
}

//! A server as one deploys it: it reads its certificate files again when they change, sets limits, and gives
//! its clients time to leave at the end.
//!
//! `cargo run -p wt-api --example deploy -- fullchain.pem privkey.pem https://example.org`

use std::{
    error::Error,
    future::Future,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use wt_api::{AcceptOptions, Identity, Request, Server};

/// How long sessions may take to end.
const DRAIN: Duration = Duration::from_secs(10);
/// How often the server checks the certificate files. They are small.
const LOOK: Duration = Duration::from_secs(10);

/// The certificate chain and its key, as ACME clients write them.
pub(crate) struct Files {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
}

impl Files {
    fn read(&self) -> Result<Identity, wt_api::IdentityError> {
        Identity::from_pem_files(&self.chain, &self.key)
    }
}

/// Starts the server; only pages of `origin` may connect.
pub(crate) fn start(files: &Files, address: SocketAddr, origin: &str) -> Result<Server, Box<dyn Error>> {
    let server = Server::builder()
        .identity(files.read()?)
        .listen(address)
        .allowed_origins([origin])
        .max_connections(2_000)
        .max_sessions(4_000)
        .max_sessions_per_connection(4)
        .memory_budget(512 << 20)
        .build()?;
    Ok(server)
}

/// Shows new clients a new certificate as soon as the files contain it. While the files are not usable, the
/// old certificate stays: a tool that writes one file after the other leaves them inconsistent for a moment.
pub(crate) async fn follow(server: &Server, files: &Files, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    loop {
        ticks.tick().await;
        match files.read() {
            Ok(identity) if Some(identity.certificate_hash()) == server.certificate_hash() => {}
            Ok(identity) => match server.set_identity(identity) {
                Ok(()) => println!("the certificate was replaced"),
                Err(error) => println!("the certificate stays: {error}"),
            },
            Err(error) => println!("the certificate stays: {error}"),
        }
    }
}

/// Serves until `stop` completes, then asks the clients to leave and gives them some time for it.
pub(crate) async fn serve(server: &Server, files: &Files, every: Duration, stop: impl Future<Output = ()>) {
    let accept = async {
        while let Some(request) = server.accept().await {
            tokio::spawn(answer(request));
        }
    };
    tokio::select! {
        () = accept => {}
        () = follow(server, files, every) => {}
        () = stop => {}
    }
    server.shutdown(DRAIN).await;
}

/// Your application. This one echoes every datagram until the client leaves or the server starts to shut
/// down.
async fn answer(request: Request) {
    if request.path() != "/app" {
        return request.reject(http::StatusCode::NOT_FOUND).await;
    }
    let Ok(session) = request.accept(AcceptOptions::new()).await else { return };
    let mut datagrams = session.datagrams();
    while let Ok(datagram) = datagrams.readable.recv().await {
        let _ = datagrams.writable.send(datagram).await;
    }
    match session.closed().await {
        Ok(info) => println!("closed with {} {:?}", info.close_code, info.reason),
        Err(error) => println!("lost: {error}"),
    }
}

/// Completes at Ctrl-C, or at the signal that service managers send.
async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [chain, key, origin] = &*arguments else {
        return Err("usage: deploy CHAIN.pem KEY.pem ORIGIN".into());
    };
    let files = Files { chain: Path::new(chain).to_owned(), key: Path::new(key).to_owned() };
    let server = start(&files, "[::]:4433".parse()?, origin)?;
    println!("listening on {:?}", server.local_addresses());
    serve(&server, &files, LOOK, stop_signal()).await;
    Ok(())
}

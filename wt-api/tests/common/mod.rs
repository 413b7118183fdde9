//! What the tests share: a server on loopback, a client that trusts it, and a generous limit for each wait.
#![allow(dead_code, reason = "every test file uses a part")]

use std::{future::Future, net::SocketAddr, time::Duration};

use wt_api::{
    AcceptOptions, Identity, Request, Server, ServerBuilder, TransportConfig, WebTransport,
    WebTransportOptions,
};

/// Waits for `work`, and fails the test if that takes ten seconds.
pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), work).await.expect("done within ten seconds")
}

pub(crate) fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

pub(crate) fn builder() -> ServerBuilder {
    Server::builder().identity(Identity::self_signed(["localhost", "127.0.0.1"]).unwrap())
}

pub(crate) fn server() -> Server {
    builder().listen(loopback()).build().unwrap()
}

pub(crate) fn url(server: &Server, path: &str) -> String {
    format!("https://127.0.0.1:{}{path}", server.local_addresses()[0].port())
}

pub(crate) fn options(server: &Server) -> WebTransportOptions {
    WebTransportOptions::new().server_certificate_hashes(server.certificate_hash())
}

pub(crate) fn connect(server: &Server) -> WebTransport {
    WebTransport::new(&url(server, "/test"), options(server)).unwrap()
}

pub(crate) async fn request(server: &Server) -> Request {
    within(server.accept()).await.expect("a request")
}

/// Both ends of a session, client first.
pub(crate) async fn pair(server: &Server) -> (WebTransport, WebTransport) {
    pair_with(server, options(server)).await
}

pub(crate) async fn pair_with(server: &Server, options: WebTransportOptions) -> (WebTransport, WebTransport) {
    let client = WebTransport::new(&url(server, "/test"), options).unwrap();
    let accepted = request(server).await.accept(AcceptOptions::new()).await.unwrap();
    within(client.ready()).await.unwrap();
    (client, accepted)
}

pub(crate) fn transport() -> TransportConfig {
    TransportConfig::default()
}

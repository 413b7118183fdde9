//! Both ends of a session in one process.

use netsim::LinkConfig;

use super::{host::Host, link::Link, network::Network};
use crate::{
    options::WebTransportOptions,
    server::{AcceptOptions, Server},
    session::WebTransport,
};

/// A client and a server with a session between them.
#[derive(Debug)]
#[non_exhaustive]
pub struct Pair {
    /// The network. The session exists as long as the network.
    pub network: Network,
    /// The client's end.
    pub client: WebTransport,
    /// The server's end.
    pub server: WebTransport,
    /// The client's host.
    pub client_host: Host,
    /// The server's host.
    pub server_host: Host,
    /// The link between them, with a delay of 1 ms and no faults until it is changed.
    pub link: Link,
}

/// A client and a server with an established session between them, on their own virtual network.
///
/// ```
/// use wt_api::{CloseInfo, testing};
/// let pair = testing::pair(1);
/// pair.network.run(async {
///     pair.client.datagrams().writable.send("ping".into()).await.unwrap();
///     assert_eq!(pair.server.datagrams().readable.recv().await.unwrap(), "ping");
///     pair.server.close(CloseInfo::new(7, "enough"));
///     assert_eq!(pair.client.closed().await.unwrap().close_code, 7);
/// });
/// ```
#[must_use]
pub fn pair(seed: u64) -> Pair {
    let network = Network::new(seed);
    let (server_host, client_host) = (network.host("server"), network.host("client"));
    let link = network.link(&server_host, &client_host, &LinkConfig::new().delay(netsim::MILLISECOND));
    let identity = network.identity(["server"]);
    let hash = identity.certificate_hash();
    let listener = server_host
        .enter(|| Server::builder().identity(identity).build())
        .expect("an identity and a free port are all that it takes");
    let options = WebTransportOptions::new().server_certificate_hashes([hash]);
    let client = client_host
        .enter(|| WebTransport::new("https://server/", options))
        .expect("the URL and the options are valid");
    let server = network.run(async {
        let request = listener.accept().await.expect("the server is open");
        let server = request.accept(AcceptOptions::new()).await.expect("the network is perfect");
        client.ready().await.expect("the network is perfect");
        server
    });
    // Dropping the server would ask its clients to leave, so it is kept as long as the network.
    drop(server_host.spawn(async move {
        std::future::pending::<()>().await;
        drop(listener);
    }));
    Pair { network, client, server, client_host, server_host, link }
}

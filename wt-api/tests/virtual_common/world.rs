//! A server and a client on a link, for tests of connections and of the sessions that share them.

use std::sync::Arc;

use wt_api::{
    AcceptOptions, Server, ServerBuilder, WebTransport, WebTransportOptions,
    testing::{Host, LinkConfig, MILLISECOND, Network},
};

/// A server without an application, and a client's host.
pub(crate) struct World {
    pub(crate) network: Network,
    pub(crate) server: Arc<Server>,
    pub(crate) client: Host,
}

impl World {
    /// 10 Mbit/s and 20 ms between them.
    pub(crate) fn new(seed: u64, configure: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        let network = Network::new(seed);
        let (host, client) = (network.host("server"), network.host("client"));
        let config = LinkConfig::new().rate(10_000_000).delay(10 * MILLISECOND);
        drop(network.link(&host, &client, &config));
        let builder = Server::builder().identity(network.identity(["server"]));
        let server = Arc::new(host.enter(|| configure(builder).build().unwrap()));
        Self { network, server, client }
    }

    /// A client's session that the server has not accepted yet.
    pub(crate) fn ask(&self, options: WebTransportOptions) -> WebTransport {
        self.client.enter(|| WebTransport::new("https://server/", options).unwrap())
    }

    /// Both ends of a session, client first, and the index of its connection at the server.
    pub(crate) async fn session(
        &self,
        options: WebTransportOptions,
        accept: AcceptOptions,
    ) -> (WebTransport, WebTransport, u64) {
        let client = self.ask(options);
        let request = self.server.accept().await.unwrap();
        let connection = request.connection().id();
        let server = request.accept(accept).await.unwrap();
        client.ready().await.unwrap();
        (client, server, connection)
    }
}

/// Options of a client that trusts any certificate. Sessions share a connection only if they trust
/// certificates in the same way, and the virtual network has no authorities.
pub(crate) fn trusting() -> WebTransportOptions {
    WebTransportOptions::new().dangerous().no_certificate_verification()
}

//! The application's handle of a client.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response};

use crate::{
    connect::Means,
    error::{ClientError, ConnectOptionsError},
    exchange::IncomingBody,
    exchange_error::{BoxError, HttpError},
    http3,
    mailbox::lock,
    options::WebTransportOptions,
    session::WebTransport,
};

/// Makes sessions from its own sockets. One socket serves all connections of an address family.
///
/// This is a handle: clones refer to the same client. It belongs to the runtime on which it was built, and
/// can be used from anywhere. The sockets stay open as long as there is a handle, or a connection of one of
/// its sessions. [`WebTransport::new`] uses sockets that all callers on the runtime share; these are closed
/// with the last connection.
///
/// One task drives all connections of a socket. A program that sends more than one processor can encrypt
/// should build several clients, which its runtime runs in parallel.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use wt_api::{Client, WebTransportOptions};
/// let options = WebTransportOptions::new().protocols(["chat.v1"]);
/// let client = Client::builder().bind("0.0.0.0:7000".parse()?).options(options).build()?;
/// let session = client.connect("https://example.org/chat")?;
/// session.ready().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    pub(super) means: Means,
    pub(super) options: Arc<WebTransportOptions>,
    pub(super) addresses: Arc<Mutex<Vec<SocketAddr>>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("addresses", &self.local_addresses()).finish_non_exhaustive()
    }
}

impl Client {
    /// Starts to connect to `url` with the client's [options](super::ClientBuilder::options), like
    /// [`WebTransport::new`].
    ///
    /// # Errors
    /// As [`WebTransport::new`].
    pub fn connect(&self, url: &str) -> Result<WebTransport, ConnectOptionsError> {
        self.connect_with(url, WebTransportOptions::clone(&self.options))
    }

    /// The same with other options than the client's. Each connection of a socket has its own options.
    ///
    /// # Errors
    /// As [`WebTransport::new`].
    pub fn connect_with(
        &self,
        url: &str,
        options: WebTransportOptions,
    ) -> Result<WebTransport, ConnectOptionsError> {
        WebTransport::with(self.means.clone(), url, options)
    }

    /// Sends an HTTP/3 request with the client's options, and returns the response as soon as its head has
    /// arrived. The content of both is streamed: what the server's flow control permits is taken from the
    /// request's body, and what the application reads of the response is permitted to the server.
    ///
    /// Requests to the same host and port share a connection, which stays open for 5 s after the last one.
    /// Each has as many streams as the server permits; further requests wait for a stream. A request that was
    /// not sent because its connection ended is sent on another one.
    ///
    /// Dropping the future gives the exchange up, as does dropping the content of the response before its
    /// end (`H3_REQUEST_CANCELLED`, RFC 9114 §4.1.1). There is no time limit but that of the connection
    /// attempt ([`connect_timeout`](WebTransportOptions::connect_timeout)) and the connection's idle timeout.
    /// [`on_informational`](http3::on_informational) tells of interim responses. The response has the
    /// [`Connection`](crate::Connection) in its [extensions](Response::extensions). A `priority` field is
    /// applied to what this client sends as well (RFC 9218 §4).
    ///
    /// ```no_run
    /// # async fn example(client: wt_api::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let request = http::Request::post("https://example.org/upload").body("a line\n".to_owned())?;
    /// let response = client.request(request).await?;
    /// println!("{}: {:?}", response.status(), response.into_body().read_to_end(1 << 20).await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Why there is no response; [`HttpError::may_be_repeated`] says whether the request was not processed.
    pub async fn request<B>(&self, request: Request<B>) -> Result<Response<IncomingBody>, HttpError>
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        http3::send(self.means.clone(), &self.options, request, true).await
    }

    /// Gets `url` with a [request](Self::request) without content, and waits for the response at most for the
    /// connect timeout.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    pub async fn get(&self, url: &str) -> Result<Response<IncomingBody>, HttpError> {
        self.get_with(url, WebTransportOptions::clone(&self.options)).await
    }

    /// The same with other options than the client's. Requests with the same options share connections.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    pub async fn get_with(
        &self,
        url: &str,
        options: WebTransportOptions,
    ) -> Result<Response<IncomingBody>, HttpError> {
        http3::get_by(self.means.clone(), url, &options, true).await
    }

    /// Moves the client to another address of this host, because its network has changed: a new socket at
    /// `address` replaces the one of the same address family, for connections that exist and for later ones.
    /// Port 0 lets the system choose. Returns the address of the new socket.
    ///
    /// Sessions, streams and datagrams go on. The servers are asked whether they receive from the new address
    /// (RFC 9000 §9.2), and a connection whose server does not answer ends. Congestion control starts again
    /// (§9.4). A connection that may not move, because its handshake is not confirmed yet or its server
    /// forbids it, continues from the new socket as if a NAT had moved it: its server may drop it.
    ///
    /// Sockets that are bound to all addresses of this host need no such call when its network changes: the
    /// system chooses the address from which each datagram leaves.
    ///
    /// # Errors
    /// The client stays as it is. [`ClientError::Bind`]: the address cannot be bound. [`ClientError::Socket`]:
    /// the client has no socket of its own for this address family alone.
    pub fn rebind(&self, address: SocketAddr) -> Result<SocketAddr, ClientError> {
        let bound = self.means.sockets.rebind(&self.means.runtime, address)?;
        let mut addresses = lock(&self.addresses);
        match addresses.iter_mut().find(|known| known.is_ipv6() == bound.is_ipv6()) {
            Some(known) => *known = bound,
            None => addresses.push(bound),
        }
        Ok(bound)
    }

    /// The addresses of the client's sockets, in the order in which they were given. Empty if none was given:
    /// then the sockets are made with the first connections, and [`WebTransport::local_address`] returns
    /// their addresses.
    #[must_use]
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        lock(&self.addresses).clone()
    }
}

//! The application's handle of a client.

use std::{fmt, net::SocketAddr, sync::Arc};

use crate::{
    connect::Means,
    error::ConnectOptionsError,
    http3::{self, HttpError},
    options::WebTransportOptions,
    reception::plain::HttpResponse,
    session::WebTransport,
    streams::ReceiveStream,
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
    pub(super) addresses: Arc<[SocketAddr]>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("addresses", &self.addresses).finish_non_exhaustive()
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

    /// Gets `url` over HTTP/3 with the client's options, like [`http3::get`]. Cancel safe in the same way.
    ///
    /// # Errors
    /// As [`http3::get`].
    pub async fn get(&self, url: &str) -> Result<HttpResponse<ReceiveStream>, HttpError> {
        self.get_with(url, WebTransportOptions::clone(&self.options)).await
    }

    /// The same with other options than the client's. Cancel safe in the same way.
    ///
    /// # Errors
    /// As [`http3::get`].
    pub async fn get_with(
        &self,
        url: &str,
        options: WebTransportOptions,
    ) -> Result<HttpResponse<ReceiveStream>, HttpError> {
        http3::get_by(self.means.clone(), url, options).await
    }

    /// The addresses of the client's sockets, in the order in which they were given. Empty if none was given:
    /// then the sockets are made with the first connections, and [`WebTransport::local_address`] returns
    /// their addresses.
    #[must_use]
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

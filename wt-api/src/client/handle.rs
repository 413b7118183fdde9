//! A client as the application holds it.

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

/// Makes sessions from sockets of its own, all connections of an address family from one.
///
/// A handle: clones name the same client. It belongs to the runtime that it was built on, and can be used from anywhere. The
/// sockets stay as long as there is a handle, or a connection of one of its sessions. [`WebTransport::new`] makes its sessions
/// in the same way from sockets that all on the runtime share; these go with the last connection.
///
/// One task drives all connections of a socket. A program that has more to send than one processor can encrypt builds several
/// clients, and its runtime runs them side by side.
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
    /// Starts to connect to `url` with the client's [options](super::ClientBuilder::options), as [`WebTransport::new`] does.
    ///
    /// # Errors
    /// As there.
    pub fn connect(&self, url: &str) -> Result<WebTransport, ConnectOptionsError> {
        self.connect_with(url, WebTransportOptions::clone(&self.options))
    }

    /// The same with other options than the client's: connections of one socket have each their own.
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

    /// Gets `url` by HTTP/3 with the client's options, as [`http3::get`] does. Cancel safe, as there.
    ///
    /// # Errors
    /// As there.
    pub async fn get(&self, url: &str) -> Result<HttpResponse<ReceiveStream>, HttpError> {
        self.get_with(url, WebTransportOptions::clone(&self.options)).await
    }

    /// The same with other options than the client's. Cancel safe, as there.
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

    /// The addresses that the client was bound to, or its sockets are, in the order in which they were given. Empty for one that
    /// was given none: its sockets are made with the first connections, and
    /// [`WebTransport::local_address`] tells theirs.
    #[must_use]
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

//! A server as the application holds it: the queue of requests, what it tells, shutting down.

use std::{
    future::Future,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use quic_core::base::EndpointBudget;
use tokio::sync::oneshot;

use super::{request::Request, ways::Ways};
use crate::{
    client::ClientBuilder,
    close::CloseInfo,
    connection::Connection,
    error::ServerError,
    jobs::{Inbox, ShardCommand},
    mailbox::wait,
    options::CertificateHash,
    reception::{
        ServerQueue, ServerShared,
        stats::{ServerStats, ShardStats},
    },
    runtime::{self, RuntimeHandle},
    tls::{Identities, Identity},
};

/// A WebTransport server. Dropped, it takes no further sessions and lets those that exist go on; see
/// [`shutdown`](Self::shutdown).
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use wt_api::{AcceptOptions, Identity, Server};
/// let identity = Identity::from_pem_files("fullchain.pem", "privkey.pem")?;
/// let server = Server::builder().identity(identity).allowed_origins(["https://example.org"]).build()?;
/// while let Some(request) = server.accept().await {
///     tokio::spawn(async move {
///         let session = request.accept(AcceptOptions::new()).await?;
///         session.closed().await
///     });
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    pub(super) shared: Arc<ServerShared>,
    pub(super) inboxes: Vec<Arc<Inbox>>,
    pub(super) ways: Ways,
    /// What the drivers have counted that are gone.
    pub(super) bequests: Vec<Arc<OnceLock<ShardStats>>>,
    pub(super) budget: EndpointBudget,
    pub(super) addresses: Vec<SocketAddr>,
    /// None with a rustls configuration of the application's own.
    pub(super) identities: Option<Arc<Identities>>,
    pub(super) runtime: RuntimeHandle,
}

impl Server {
    /// The addresses that are listened on, in the order of [`listen`](crate::ServerBuilder::listen).
    #[must_use]
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The SHA-256 of the current certificate, for clients that accept it by hash; `None` with a rustls configuration of the
    /// application's own.
    #[must_use]
    pub fn certificate_hash(&self) -> Option<CertificateHash> {
        self.identities.as_ref().map(|identities| identities.default_identity().certificate_hash())
    }

    /// The hashes that clients should know: that of the current certificate and, with
    /// [`renew_self_signed`](crate::ServerBuilder::renew_self_signed), that of the next one. Empty with a rustls configuration of
    /// the application's own.
    #[must_use]
    pub fn certificate_hashes(&self) -> Vec<CertificateHash> {
        self.identities.as_ref().map(|identities| identities.hashes()).unwrap_or_default()
    }

    /// Replaces the identity for new connections, such as before its certificate expires. Connections and sessions that
    /// exist go on with the one that their handshake took, one that is under way may show either.
    ///
    /// # Errors
    /// The server was built with a rustls configuration of the application's own.
    pub fn set_identity(&self, identity: Identity) -> Result<(), ServerError> {
        self.identities.as_ref().ok_or(ServerError::OwnConfiguration)?.set_default(identity);
        Ok(())
    }

    /// Replaces or adds the identity for a name in the same way, see [`identity_for`](crate::ServerBuilder::identity_for).
    ///
    /// # Errors
    /// Those of [`set_identity`](Self::set_identity); a name that is no DNS name, nor `*.` and one.
    pub fn set_identity_for(&self, name: &str, identity: &Identity) -> Result<(), ServerError> {
        self.identities.as_ref().ok_or(ServerError::OwnConfiguration)?.set_named(name, identity)?;
        Ok(())
    }

    /// The next request for a session; `None` as soon as [`shutdown`](Self::shutdown) is called, while sessions still have its
    /// deadline to end, and when the runtime that serves is gone. A program does not end here: it waits for `shutdown`.
    /// Cancel safe; several callers share the queue.
    pub async fn accept(&self) -> Option<Request> {
        wait(&*self.shared, ServerQueue::Acceptors, ServerShared::poll_accept).await.map(Request::new)
    }

    /// The connections that there are now, those in their handshake included, in no order; no more than
    /// [`max_connections`](crate::ServerBuilder::max_connections). The drivers of the sockets are asked: it costs each a moment, and
    /// nothing when nobody asks. Empty when the runtime that serves is gone. Cancel safe.
    ///
    /// ```no_run
    /// # async fn example(server: wt_api::Server) {
    /// for connection in server.connections().await {
    ///     if connection.remote_address().ip().is_loopback() {
    ///         connection.close(0x100, "not from here");
    ///     }
    /// }
    /// # }
    /// ```
    pub async fn connections(&self) -> Vec<Connection> {
        self.ask(ShardCommand::Connections).await.into_iter().flatten().flatten().collect()
    }

    /// A snapshot of what the server counts. Counting costs what an addition does; asking costs the drivers of the sockets a
    /// moment for each connection, a few hundred at a time. The sums go on when the runtime that serves is gone. Cancel safe.
    ///
    /// ```no_run
    /// # async fn example(server: wt_api::Server) {
    /// let stats = server.stats().await;
    /// println!("{} connections, {} handshakes failed in TLS", stats.connections, stats.handshakes.failed_tls);
    /// # }
    /// ```
    pub async fn stats(&self) -> ServerStats {
        let mut stats = ServerStats::default();
        let answers = self.ask(ShardCommand::Stats).await;
        for (answer, bequest) in answers.into_iter().zip(&self.bequests) {
            // Whose driver is gone has left its last counts.
            answer.as_ref().or(bequest.get()).into_iter().for_each(|counts| counts.add_to(&mut stats));
        }
        self.shared.show(&mut stats);
        stats.handshakes_pending = self.budget.pending_handshakes() as u64;
        stats.memory_used = self.budget.used() as u64;
        stats.memory_limit = self.budget.limit() as u64;
        stats
    }

    /// What the drivers answer, in the order of the addresses. One that is gone does not.
    async fn ask<T>(&self, question: impl Fn(oneshot::Sender<T>) -> ShardCommand) -> Vec<Option<T>> {
        let mut asked = Vec::with_capacity(self.inboxes.len());
        for inbox in &self.inboxes {
            let (reply, answer) = oneshot::channel();
            inbox.command(question(reply));
            asked.push(answer);
        }
        let mut answers = Vec::with_capacity(asked.len());
        for answer in asked {
            answers.push(answer.await.ok());
        }
        answers
    }

    /// A client to configure that connects from the server's own sockets: for peers that serve and connect at once, under one
    /// address. Its connections go on as long as the server serves; [`shutdown`](Self::shutdown) closes them with the others at
    /// its deadline, and a connection that is asked for later fails ([`ErrorCause::Socket`](crate::ErrorCause::Socket)). Of
    /// what the server counts they are no part, but for its memory.
    ///
    /// An address family is reached from the address of all interfaces if one of the family is listened on, else
    /// from the first of the family. Where several [shards](crate::ServerBuilder::shards) have the address they take turns, one
    /// connection each; what the system gives to another one is handed over.
    ///
    /// ```no_run
    /// # async fn example(server: wt_api::Server) -> Result<(), Box<dyn std::error::Error>> {
    /// let client = server.client().build()?;
    /// let session = client.connect("https://peer.example.org/")?;
    /// session.ready().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn client(&self) -> ClientBuilder {
        let sockets = self.ways.sockets(self.budget.clone());
        ClientBuilder::of_server(Arc::clone(&self.runtime), sockets, self.addresses.clone().into())
    }

    fn go_away(&self) {
        self.shared.close();
        if self.shared.tells(0) {
            self.inboxes.iter().for_each(|inbox| inbox.command(ShardCommand::GoAway));
        }
    }

    /// Closes every session that was accepted, with this code and this reason, as
    /// [`WebTransport::close`](crate::WebTransport::close) closes one: data of finished streams is still delivered, and a page
    /// hears the code and the reason in its `closed`. Those that are closed already keep what they were closed with. Returns at
    /// once. New sessions are still taken: a server that ends calls [`shutdown`](Self::shutdown) before, which asks clients to
    /// end by themselves, and after, which waits until they have heard.
    ///
    /// ```no_run
    /// # async fn example(server: wt_api::Server) {
    /// use std::time::Duration;
    /// use wt_api::CloseInfo;
    /// // Ten seconds to end by themselves; dropped, a shutdown leaves sessions as they are.
    /// if tokio::time::timeout(Duration::from_secs(10), server.shutdown(Duration::MAX)).await.is_err() {
    ///     server.close_sessions(CloseInfo::new(1, "the server restarts"));
    ///     server.shutdown(Duration::ZERO).await;
    /// }
    /// # }
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "as the close of one session")]
    pub fn close_sessions(&self, info: CloseInfo) {
        self.inboxes.iter().for_each(|inbox| inbox.command(ShardCommand::CloseSessions(info.clone())));
    }

    /// Shuts down: no further sessions, and all clients are told (their `draining` resolves); then waits until they have
    /// gone, at most `deadline`; then all connections are closed. Requests that wait are rejected unseen
    /// (`H3_REQUEST_REJECTED`). Returns when every close has been sent and the sockets are closed: the process may end, and
    /// the port is free. Where a session was closed before then, its client has up
    /// to 4 s more, 12 s on paths with long probe timeouts, to hear the code and the reason.
    ///
    /// Clients hear it by GOAWAY, those of draft 02 by the session's own `WT_DRAIN_SESSION`, and by GOAWAY when the session
    /// is over: a Chromium of today that opens a bidirectional stream after GOAWAY crashes. Cancel safe: dropped, no session
    /// is taken any more and those that exist go on; another call waits anew.
    pub async fn shutdown(&self, deadline: Duration) {
        self.go_away();
        let until = self.runtime.now() + deadline;
        let mut limit = pin!(runtime::sleep_until(&self.runtime, until));
        wait(&*self.shared, ServerQueue::Idlers, |shared, cx, place| {
            if shared.poll_idle(cx, place).is_ready() {
                return Poll::Ready(());
            }
            limit.as_mut().poll(&mut Context::from_waker(cx.waker()))
        })
        .await;
        if self.shared.tells(1) {
            self.inboxes.iter().for_each(|inbox| inbox.command(ShardCommand::CloseAll));
        }
        // The drivers end when the last words have left.
        wait(&*self.shared, ServerQueue::Idlers, ServerShared::poll_over).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.go_away();
    }
}

//! The application's handle of a server: the queue of requests, its state, and its shutdown.

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
    certificate_hash::CertificateHash,
    client::ClientBuilder,
    close::CloseInfo,
    connection::Connection,
    error::ServerError,
    jobs::{Inbox, ShardCommand},
    mailbox::wait,
    reception::{
        ServerQueue, ServerShared,
        stats::{ServerStats, ShardStats},
    },
    runtime::{self, RuntimeHandle},
    tls::{Identities, Identity},
};

/// A WebTransport server. If it is dropped, it accepts no further sessions, and existing ones continue; see
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
    /// The last counts of drivers that have ended.
    pub(super) bequests: Vec<Arc<OnceLock<ShardStats>>>,
    pub(super) budget: EndpointBudget,
    pub(super) addresses: Vec<SocketAddr>,
    /// `None` with an application's own rustls configuration.
    pub(super) identities: Option<Arc<Identities>>,
    pub(super) runtime: RuntimeHandle,
}

impl Server {
    /// The addresses on which the server listens, in the order of [`listen`](crate::ServerBuilder::listen).
    #[must_use]
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The value of an `Alt-Svc` field (RFC 7838 §3) with which a server over TCP tells browsers that this one
    /// offers HTTP/3 on the same host, for a day: `h3=":443"; ma=86400`. It names the port of the first
    /// address. Browsers need a certificate that they trust by authority.
    #[must_use]
    pub fn alt_svc(&self) -> String {
        let port = self.addresses.first().map_or(443, SocketAddr::port);
        format!("h3=\":{port}\"; ma=86400")
    }

    /// The SHA-256 of the current certificate, for clients that accept it by hash. `None` with an
    /// application's own rustls configuration.
    #[must_use]
    pub fn certificate_hash(&self) -> Option<CertificateHash> {
        self.identities.as_ref().map(|identities| identities.default_identity().certificate_hash())
    }

    /// The hashes that clients should know: that of the current certificate and, with
    /// [`renew_self_signed`](crate::ServerBuilder::renew_self_signed), that of the next one. Empty with an
    /// application's own rustls configuration.
    #[must_use]
    pub fn certificate_hashes(&self) -> Vec<CertificateHash> {
        self.identities.as_ref().map(|identities| identities.hashes()).unwrap_or_default()
    }

    /// Replaces the identity for new connections, for example before its certificate expires. Existing
    /// connections and sessions keep the identity of their handshake. A handshake in progress may use either.
    ///
    /// # Errors
    /// The server was built with an application's own rustls configuration.
    pub fn set_identity(&self, identity: Identity) -> Result<(), ServerError> {
        self.identities.as_ref().ok_or(ServerError::OwnConfiguration)?.set_default(identity);
        Ok(())
    }

    /// Replaces or adds the identity for a name in the same way; see
    /// [`identity_for`](crate::ServerBuilder::identity_for).
    ///
    /// # Errors
    /// Those of [`set_identity`](Self::set_identity); the name is neither a DNS name nor `*.` followed by
    /// one.
    pub fn set_identity_for(&self, name: &str, identity: &Identity) -> Result<(), ServerError> {
        self.identities.as_ref().ok_or(ServerError::OwnConfiguration)?.set_named(name, identity)?;
        Ok(())
    }

    /// The next request for a session. `None` as soon as [`shutdown`](Self::shutdown) is called, while
    /// sessions still have its deadline to end, and when the server's runtime is gone. A program should not
    /// exit then, but wait for `shutdown`. Cancel safe; several callers share the queue.
    pub async fn accept(&self) -> Option<Request> {
        wait(&*self.shared, ServerQueue::Acceptors, ServerShared::poll_accept).await.map(Request::new)
    }

    /// The current connections in no particular order, including those in their handshake; at most
    /// [`max_connections`](crate::ServerBuilder::max_connections). The call asks the drivers of the sockets,
    /// which takes each of them a moment. Empty when the server's runtime is gone. Cancel safe.
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

    /// A snapshot of the server's counters. Counting is cheap. A call takes the drivers of the sockets a
    /// moment for each connection, a few hundred at a time. The sums still exist when the server's runtime is
    /// gone. Cancel safe.
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
            // A driver that has ended has left its last counts.
            answer.as_ref().or(bequest.get()).into_iter().for_each(|counts| counts.add_to(&mut stats));
        }
        self.shared.show(&mut stats);
        stats.handshakes_pending = self.budget.pending_handshakes() as u64;
        stats.memory_used = self.budget.used() as u64;
        stats.memory_limit = self.budget.limit() as u64;
        stats
    }

    /// The replies of the drivers, in the order of the addresses. A driver that has ended does not reply.
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

    /// Configures a client that connects from the server's own sockets, for peers that accept and open
    /// connections under the same address. Its connections work as long as the server serves.
    /// [`shutdown`](Self::shutdown) closes them with the others at its deadline, and later attempts to
    /// connect fail ([`ErrorCause::Socket`](crate::ErrorCause::Socket)). The server's counters do not include
    /// them, except for memory.
    ///
    /// An address family is reached from the wildcard address if the server listens on that, and otherwise
    /// from the first address of the family. If several [shards](crate::ServerBuilder::shards) have the
    /// address, connections use them in turn, and datagrams that the system delivers to another one are
    /// handed over.
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

    /// Closes every accepted session with this code and this reason, like
    /// [`WebTransport::close`](crate::WebTransport::close): data of finished streams is still delivered, and
    /// a page gets the code and the reason in its `closed`. Sessions that are closed already keep their code
    /// and reason. Returns at once. New sessions are still accepted. A server that ends should call
    /// [`shutdown`](Self::shutdown) before this, to ask clients to end by themselves, and after it, to wait
    /// until they were told.
    ///
    /// ```no_run
    /// # async fn example(server: wt_api::Server) {
    /// use std::time::Duration;
    /// use wt_api::CloseInfo;
    /// // Ten seconds to end by themselves. Dropping the shutdown does not close sessions.
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

    /// Shuts down. No further sessions are accepted, and all clients are told (their `draining` resolves). It
    /// then waits until they have ended, at most for `deadline`, and closes all connections. Waiting requests
    /// are rejected unprocessed (`H3_REQUEST_REJECTED`). Returns when every close has been sent and the
    /// sockets are closed, so the process may exit and the port is free. If a session was closed before, its
    /// client has up to 4 s more to get the code and the reason, and 12 s on paths with long probe timeouts.
    ///
    /// Clients are told by GOAWAY. Those of draft 02 are told by the session's own `WT_DRAIN_SESSION`, and by
    /// GOAWAY when the session has ended, because current Chromium crashes if it opens a bidirectional stream
    /// after GOAWAY. Cancel safe: after dropping, no session is accepted any more and existing ones continue;
    /// another call waits again.
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
        // The drivers end when the final packets were sent.
        wait(&*self.shared, ServerQueue::Idlers, ServerShared::poll_over).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.go_away();
    }
}

//! Our server, as the scenarios want it, in the test's own process.

mod plain;
mod rooms;
mod seen;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use wt_api::{Identity, TransportConfig};

use crate::{certificate::Certificate, place::Place, wait::LIMIT};
pub use plain::large_sum;
pub use seen::Seen;

/// A running server on 127.0.0.1; its paths:
///
/// - `/echo`: all streams and datagrams come back;
/// - `/close`: closed at once with code 7, "bye";
/// - `/reset/CODE`: a bidirectional stream that begins with `s` is stopped, any other reset, with that code;
/// - `/last-protocol`: as `/echo`, and of the protocols that the page offers the last one is chosen;
/// - `/fields`: as `/last-protocol`, and the response says in `x-answer` what the request says in `x-question`;
/// - `/drain`: as `/echo`, but the server asks at once to wind the session up;
/// - `/opens`: opens a unidirectional stream with the text "one way" and a bidirectional one, which begins with "both
///   ways: " and then echoes what comes until its end;
/// - `/silent`: opens a stream of each kind and writes nothing until the session ends;
/// - `/patient`: reads nothing before [`Server::release`], then answers each bidirectional stream with the number of its
///   bytes;
/// - `/post-only` is refused with 405, anything else with 404.
///
/// Plain requests get a greeting at `/`, `N` bytes at `/bytes/N`, `N` MiB at `/large/N`, what they send at `/echo`, and
/// its SHA-256 at `/sha256`.
#[derive(Debug)]
pub struct Server {
    /// Where it is.
    pub place: Place,
    /// Its port.
    pub port: u16,
    server: Arc<wt_api::Server>,
    released: watch::Sender<bool>,
    seen: mpsc::UnboundedReceiver<Seen>,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts it; sessions are open to pages of this origin.
    ///
    /// # Panics
    /// If it cannot start.
    #[must_use]
    pub fn start(certificate: &Certificate, origin: &str) -> Self {
        Self::start_with(certificate, origin, TransportConfig::default())
    }

    /// As [`start`](Self::start), with these settings of QUIC.
    ///
    /// # Panics
    /// If it cannot start.
    #[must_use]
    pub fn start_with(certificate: &Certificate, origin: &str, transport: TransportConfig) -> Self {
        let identity = Identity::from_pem(certificate.certificate.as_bytes(), certificate.key.as_bytes());
        let server = wt_api::Server::builder()
            .identity(identity.expect("a certificate with its key"))
            .listen(([127, 0, 0, 1], 0).into())
            .allowed_origins([origin])
            .transport(transport)
            .http_service(plain::answer)
            .build()
            .expect("a server");
        let port = server.local_addresses()[0].port();
        let (tell, seen) = mpsc::unbounded_channel();
        let (released, release) = watch::channel(false);
        let server = Arc::new(server);
        let task = tokio::spawn({
            let server = Arc::clone(&server);
            async move {
                while let Some(request) = server.accept().await {
                    tokio::spawn(rooms::serve(request, tell.clone(), release.clone()));
                }
            }
        });
        Self { place: Place::new(port, &certificate.hash), port, server, released, seen, task }
    }

    /// Lets `/patient` begin to read.
    pub fn release(&self) {
        self.released.send_replace(true);
    }

    /// Shuts down in a task of its own: all clients are told, and the server waits for the end of their sessions.
    pub fn shutdown(&self, deadline: Duration) -> JoinHandle<()> {
        let server = Arc::clone(&self.server);
        tokio::spawn(async move { server.shutdown(deadline).await })
    }

    /// Waits until the server has seen what `wanted` picks out.
    ///
    /// # Panics
    /// If it does not in time; what it saw instead is told.
    pub async fn saw(&mut self, what: &str, wanted: impl Fn(&Seen) -> bool) -> Seen {
        let mut others = Vec::new();
        let waiting = tokio::time::timeout(LIMIT, async {
            loop {
                let seen = self.seen.recv().await.expect("the server runs");
                if wanted(&seen) {
                    return seen;
                }
                others.push(seen);
            }
        });
        let found = waiting.await.ok();
        found.unwrap_or_else(|| panic!("no {what} within {LIMIT:?}, but {others:?}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

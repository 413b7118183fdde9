//! The resources of a client: its runtime, its sockets and its resolver.

use std::{fmt, io, net::SocketAddr, sync::Arc};

use quic_core::crypto::SessionCache;

use super::sockets::Sockets;
use crate::{
    runtime::{self, BoxFuture, RuntimeHandle},
    tls::Trusted,
};

/// The addresses that a resolver will find.
pub(crate) type Answer = BoxFuture<io::Result<Vec<SocketAddr>>>;

/// Resolves a name and a port to addresses.
#[derive(Clone)]
pub(crate) struct Resolver(pub(crate) Arc<dyn Fn(String, u16) -> Answer + Send + Sync>);

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

/// A reference to sockets, and the runtime that drives them. Dropping the last clone releases them.
#[derive(Debug)]
struct Lease(Arc<Sockets>, RuntimeHandle);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.release(&self.1);
    }
}

/// What a client remembers of servers: TLS sessions and address tokens, and the verifiers under which the
/// sessions were made.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) sessions: SessionCache,
    pub(crate) trusted: Trusted,
}

/// The resources of a client.
#[derive(Clone, Debug)]
pub(crate) struct Means {
    pub(crate) runtime: RuntimeHandle,
    pub(crate) sockets: Arc<Sockets>,
    /// `None` for the runtime's resolver.
    pub(crate) resolver: Option<Resolver>,
    /// What connections share of their knowledge about servers, if they share any.
    pub(crate) memory: Option<Arc<Memory>>,
    _lease: Option<Arc<Lease>>,
}

impl Means {
    /// The resources that all callers on this runtime share if they have no client of their own.
    pub(crate) fn of_runtime() -> Option<Self> {
        let runtime = runtime::current()?;
        let sockets = Sockets::of_runtime(&runtime);
        Some(Self { runtime, sockets, resolver: None, memory: None, _lease: None })
    }

    /// The resources of a client with its own sockets.
    pub(crate) fn of_client(
        runtime: RuntimeHandle,
        sockets: Arc<Sockets>,
        resolver: Option<Resolver>,
        sessions: SessionCache,
    ) -> Self {
        let lease = Some(Arc::new(Lease(Arc::clone(&sockets), Arc::clone(&runtime))));
        let memory = Some(Arc::new(Memory { sessions, trusted: Trusted::default() }));
        Self { runtime, sockets, resolver, memory, _lease: lease }
    }
}

//! What a client connects with: its runtime, its sockets, and whom it asks for addresses.

use std::{fmt, io, net::SocketAddr, sync::Arc};

use super::sockets::Sockets;
use crate::runtime::{self, BoxFuture, RuntimeHandle};

/// The addresses that a resolver finds, one day.
pub(crate) type Answer = BoxFuture<io::Result<Vec<SocketAddr>>>;

/// Who is asked for the addresses of a name and a port.
#[derive(Clone)]
pub(crate) struct Resolver(pub(crate) Arc<dyn Fn(String, u16) -> Answer + Send + Sync>);

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

/// The sockets are wanted. With the last clone they are released.
#[derive(Debug)]
struct Lease(Arc<Sockets>);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// What a client connects with.
#[derive(Clone, Debug)]
pub(crate) struct Means {
    pub(crate) runtime: RuntimeHandle,
    pub(crate) sockets: Arc<Sockets>,
    /// The runtime's if none.
    pub(crate) resolver: Option<Resolver>,
    _lease: Option<Arc<Lease>>,
}

impl Means {
    /// Those of all on the runtime around the caller who have no client of their own.
    pub(crate) fn of_runtime() -> Option<Self> {
        let runtime = runtime::current()?;
        let sockets = Sockets::of_runtime(&runtime);
        Some(Self { runtime, sockets, resolver: None, _lease: None })
    }

    /// Those of a client of its own.
    pub(crate) fn of_client(
        runtime: RuntimeHandle,
        sockets: Arc<Sockets>,
        resolver: Option<Resolver>,
    ) -> Self {
        let lease = Some(Arc::new(Lease(Arc::clone(&sockets))));
        Self { runtime, sockets, resolver, _lease: lease }
    }
}

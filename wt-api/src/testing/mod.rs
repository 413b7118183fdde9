//! A virtual network for testing applications: the same API, no sockets, no waiting. Feature `testing`.
//!
//! Hosts are joined by simulated links that delay, drop, reorder, duplicate and damage datagrams. Code that
//! runs on a [`Host`] uses this crate as in production: [`Server`](crate::Server), [`WebTransport`] and
//! [`http3`](crate::http3) use the host in place of tokio, and names resolve to hosts. Time is virtual. It
//! stands still while any task is ready, and then jumps to the next event, so that an idle timeout of half a
//! minute takes microseconds.
//!
//! One seed decides everything that the network does, and every random number of the endpoints. A failed test
//! prints the line that repeats it. Only TLS draws its own keys. So the contents of packets differ from run
//! to run, while their times, numbers and sizes are the same (with an identity from [`Network::identity`],
//! whose signatures have a fixed length).
//!
//! ```
//! use std::time::Duration;
//! use wt_api::{AcceptOptions, CloseInfo, SendStreamOptions, Server, WebTransport, WebTransportOptions};
//! use wt_api::testing::{LinkConfig, MILLISECOND, Network, for_seeds};
//!
//! for_seeds(0..3, |seed| {
//!     let network = Network::new(seed);
//!     let (server, client) = (network.host("example.org"), network.host("client"));
//!     // A round trip takes 20 ms, and 5 % of the datagrams are lost.
//!     network.link(&server, &client, &LinkConfig::new().delay(10 * MILLISECOND).bernoulli(0.05));
//!
//!     // The application under test: it would run on tokio in the same way.
//!     let identity = network.identity(["example.org"]);
//!     let hash = identity.certificate_hash();
//!     server.spawn(async move {
//!         let server = Server::builder().identity(identity).build().unwrap();
//!         let request = server.accept().await.unwrap();
//!         let session = request.accept(AcceptOptions::new()).await.unwrap();
//!         let mut stream = session.incoming_bidirectional_streams().next().await.unwrap().unwrap();
//!         let received = stream.readable.read_to_end(100).await.unwrap();
//!         stream.writable.write_chunk(received).await.unwrap();
//!         stream.writable.finish().unwrap();
//!         session.closed().await.unwrap();
//!     });
//!
//!     client.run(async {
//!         let options = WebTransportOptions::new().server_certificate_hashes([hash]);
//!         let session = WebTransport::new("https://example.org/echo", options).unwrap();
//!         let mut stream = session.create_bidirectional_stream(SendStreamOptions::new()).await.unwrap();
//!         stream.writable.write_all(b"hello").await.unwrap();
//!         stream.writable.finish().unwrap();
//!         assert_eq!(stream.readable.read_to_end(100).await.unwrap(), "hello");
//!         session.close(CloseInfo::default());
//!         session.closed().await.unwrap();
//!     });
//!     assert!(network.now() < Duration::from_secs(10));
//! });
//! ```
//!
//! Features of tokio outside this crate do not exist here: instead of `tokio::spawn` and `tokio::time`, use
//! [`Host::spawn`] and [`Network::sleep`]. `tokio::sync`, `select!` and `join!` work. No port refuses
//! connections, as behind a firewall, so connecting to a port without a listener ends with the connect
//! timeout.
//!
//! Owns the executor, virtual time and the virtual sockets. It must never know QUIC.

mod executor;
mod host;
mod link;
mod network;
mod node;
mod pair;
mod script;
mod task;
mod turns;
mod virtual_runtime;
mod world;

#[cfg(doc)]
use crate::session::WebTransport;
pub use host::Host;
pub use link::Link;
pub use netsim::{
    Discipline, DropCause, Ecn, Entry, Happened, LinkConfig, LinkStats, Loss, MICROSECOND, MILLISECOND,
    Policer, Random, Reorder, SECOND, SEED_VARIABLE, Trace, TraceError, for_seeds, with_seed,
};
pub use network::Network;
pub use pair::{Pair, pair};
pub use script::SendAttempt;
pub use task::Task;

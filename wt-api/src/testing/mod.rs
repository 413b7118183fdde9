//! A virtual network for testing applications: the same API, no sockets, no waiting. Feature `testing`.
//!
//! Hosts are joined by simulated links that delay, drop, reorder, duplicate and damage datagrams. Code that runs on a
//! [`Host`] uses this crate as it does in production: [`Server`](crate::Server), [`WebTransport`] and
//! [`http3`](crate::http3) find the host as they find tokio elsewhere, and names resolve to hosts. Time is virtual: it
//! stands still while anything can be done and then jumps to the next moment at which something happens, so that an
//! idle timeout of half a minute takes microseconds.
//!
//! One seed decides everything that the network does and every random number of the endpoints: a test that fails prints
//! the line that repeats it. TLS alone draws keys of its own; contents of packets therefore differ from run to run, while
//! their times, numbers and sizes are the same (with an identity of [`Network::identity`], whose signatures have a
//! fixed length).
//!
//! ```
//! use std::time::Duration;
//! use wt_api::{AcceptOptions, CloseInfo, SendStreamOptions, Server, WebTransport, WebTransportOptions};
//! use wt_api::testing::{LinkConfig, MILLISECOND, Network, for_seeds};
//!
//! for_seeds(0..3, |seed| {
//!     let network = Network::new(seed);
//!     let (server, client) = (network.host("example.org"), network.host("client"));
//!     // 20 ms there and back, and 5 % of the datagrams are lost.
//!     network.link(&server, &client, &LinkConfig::new().delay(10 * MILLISECOND).bernoulli(0.05));
//!
//!     // The application under test: it would run on tokio just so.
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
//! What tokio gives beside this crate does not exist here: in place of `tokio::spawn` and `tokio::time` use
//! [`Host::spawn`] and [`Network::sleep`]; `tokio::sync`, `select!` and `join!` work. No port is ever refused, as behind
//! a firewall: who connects where nobody listens runs into the connect timeout.
//!
//! Owns the executor, virtual time and the virtual sockets. Must never know QUIC.

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

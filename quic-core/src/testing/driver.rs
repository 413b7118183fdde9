//! An endpoint and its connections, driven in memory.
//!
//! Owns the endpoint, the table of its connections and the buffer that they write into. Never knows what
//! carries the datagrams, what time it is, or what an application does with a connection: callers bring all
//! three.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, net::SocketAddr};

use bytes::BytesMut;

use crate::{
    base::{DatagramMeta, Timestamp},
    config::ClientConfig,
    connection::{Connection, Transmit},
    crypto::TlsError,
    endpoint::{AcceptError, ConnectionHandle, DatagramEvent, Endpoint, Incoming, Response},
    error::DropReason,
};

/// How many bytes a connection may fill at once, about as many as a socket with segmentation offload takes.
const BUFFER: usize = 64 << 10;

/// A connection, or what an application keeps beside its connection.
pub trait HasConnection {
    /// The connection.
    fn connection(&self) -> &Connection;

    /// The connection.
    fn connection_mut(&mut self) -> &mut Connection;
}

impl HasConnection for Connection {
    #[inline]
    fn connection(&self) -> &Connection {
        self
    }

    #[inline]
    fn connection_mut(&mut self) -> &mut Connection {
        self
    }
}

impl<C: HasConnection> HasConnection for Box<C> {
    fn connection(&self) -> &Connection {
        (**self).connection()
    }

    fn connection_mut(&mut self) -> &mut Connection {
        (**self).connection_mut()
    }
}

/// What became of a datagram that the driver [received](Driver::receive).
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a caller that overlooks one does the wrong thing")]
pub enum Received {
    /// The datagram went to this connection. A connection that the caller took out of the table gets nothing.
    Connection(ConnectionHandle),
    /// The datagram was a stateless reset, and this connection was told.
    StatelessReset(ConnectionHandle),
    /// A client asks for a connection. The caller decides: [`Driver::accept`], or [`Endpoint::retry`] or
    /// [`Endpoint::refuse`] of [`Driver::endpoint`], or nothing.
    Incoming(Incoming),
    /// The endpoint answers a datagram that belongs to no connection. The caller sends the answer.
    Response(Response),
    /// The datagram is for another of the [endpoints that share the
    /// address](crate::EndpointConfig::siblings): the caller takes it to the driver of that shard.
    Sibling(u8, BytesMut),
    /// The endpoint dropped the datagram.
    Dropped(DropReason),
}

/// An endpoint with its connections, driven in memory: the caller carries the datagrams and moves the clock.
///
/// Each step of a simulation is: [`receive`](Self::receive) what arrives now,
/// [`handle_timeouts`](Self::handle_timeouts), let the application read and write,
/// [`transmit`](Self::transmit), [`forget_drained`](Self::forget_drained); then the clock moves to the next
/// arrival or to [`next_timeout`](Self::next_timeout), whichever comes first. Pacing is among the timers:
/// what a connection holds back leaves with a later step.
///
/// ```
/// use std::{net::SocketAddr, sync::Arc, time::Duration};
///
/// use bytes::{Bytes, BytesMut};
/// use quic_core::{
///     CidFactory, ClientConfig, DatagramMeta, Dir, Endpoint, EndpointConfig, ServerConfig,
///     base::{SeededEntropy, Timestamp},
///     error::call::Read,
///     testing::{Driver, Received, tls_client_config, tls_server_config},
/// };
///
/// let (tls, certificate) = tls_server_config(b"echo");
/// let server = ServerConfig::new(tls, [7; 32]);
/// let config = ClientConfig::new(tls_client_config(&certificate, b"echo"));
/// // Each end has a key for its reset tokens, and randomness from a seed.
/// let endpoint = |seed: u8, server| {
///     let config = EndpointConfig::new(CidFactory::new(8, 0, &[seed; 32]));
///     Driver::new(Endpoint::new(config, server, Box::new(SeededEntropy::new(seed.into()))))
/// };
/// let mut ends: [Driver; 2] = [endpoint(1, None), endpoint(2, Some(Arc::new(server)))];
/// let addresses: [SocketAddr; 2] = ["192.0.2.1:4433".parse()?, "192.0.2.2:4433".parse()?];
///
/// let mut now = Timestamp::ORIGIN + Duration::from_secs(1);
/// ends[0].connect(now, &config, addresses[1])?;
/// let mut stream = None;
/// let mut received = Vec::new();
/// for _ in 0..100 {
///     for from in [0, 1] {
///         // Taken out, so that the other end can receive meanwhile.
///         let mut datagrams = Vec::new();
///         ends[from].handle_timeouts(now);
///         ends[from].transmit(now, |_, datagram| datagrams.push(BytesMut::from(datagram)));
///         for datagram in datagrams {
///             let meta = DatagramMeta::new(addresses[from]);
///             if let Received::Incoming(client) = ends[1 - from].receive(now, &meta, datagram) {
///                 ends[1 - from].accept(now, client)?;
///             }
///         }
///     }
///     let client = ends[0].first_mut();
///     if stream.is_none()
///         && let Some(id) = client.open(Dir::Uni)
///     {
///         client.write(id, &mut Bytes::from_static(b"hello"))?;
///         client.finish(id)?;
///         stream = Some(id);
///     }
///     if let (Some(id), Some(server)) = (stream, ends[1].connections.values_mut().next())
///         && let Ok(Read::Data(bytes)) = server.read(now, id, usize::MAX)
///     {
///         received.extend_from_slice(&bytes);
///     }
///     now += Duration::from_millis(5);
/// }
/// assert_eq!(received, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// `C` is what the table holds of each connection. Connections alone are boxed, because a map leaves room for
/// several more behind the first.
#[derive(Debug)]
pub struct Driver<C = Box<Connection>> {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The connections. The driver adds those that [`connect`](Self::connect) and [`accept`](Self::accept)
    /// make, and removes drained ones when [`forget_drained`](Self::forget_drained) is called. The caller may
    /// add and remove others.
    pub connections: BTreeMap<ConnectionHandle, C>,
    buffer: Vec<u8>,
    longest_train: usize,
}

// The driver is inlined or generic, so that callers compile it and this crate does not. Its code among that
// of connections changed what the compiler inlined there, and benches measured the difference.
impl Driver {
    /// Opens a connection to `localhost` at `remote`. [`tls_server_config`](super::tls_server_config) makes
    /// certificates for that name.
    ///
    /// # Errors
    /// TLS refuses its configuration.
    #[inline]
    pub fn connect(
        &mut self,
        now: Timestamp,
        config: &ClientConfig,
        remote: SocketAddr,
    ) -> Result<ConnectionHandle, TlsError> {
        let (handle, connection) = self.endpoint.connect(now, config, "localhost", remote)?;
        self.connections.insert(handle, Box::new(connection));
        Ok(handle)
    }

    /// Accepts the connection that a client asks for.
    ///
    /// # Errors
    /// The endpoint does not accept it; see [`Endpoint::accept`].
    #[inline]
    pub fn accept(&mut self, now: Timestamp, incoming: Incoming) -> Result<ConnectionHandle, AcceptError> {
        let (handle, connection) = self.endpoint.accept(now, incoming)?;
        self.connections.insert(handle, Box::new(connection));
        Ok(handle)
    }
}

impl<C: HasConnection> Driver<C> {
    /// Drives `endpoint`, which has no connections yet.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, connections: BTreeMap::new(), buffer: vec![0; BUFFER], longest_train: usize::MAX }
    }

    /// Lets a connection write at most `datagrams` datagrams at once, at least one. Without this, 64 KiB are
    /// the limit.
    #[must_use]
    pub fn with_longest_train(mut self, datagrams: usize) -> Self {
        self.longest_train = datagrams.max(1);
        self
    }

    /// The first connection in the table. Callers with a single connection use this.
    ///
    /// # Panics
    /// If there is no connection.
    #[must_use]
    pub fn first(&self) -> &C {
        self.connections.values().next().expect("a connection")
    }

    /// The first connection in the table. Callers with a single connection use this.
    ///
    /// # Panics
    /// If there is no connection.
    pub fn first_mut(&mut self) -> &mut C {
        self.connections.values_mut().next().expect("a connection")
    }

    /// Hands a datagram to the connection that it belongs to, and says what became of it.
    #[must_use = "a client may ask for a connection, or there may be an answer to send"]
    pub fn receive(&mut self, now: Timestamp, meta: &DatagramMeta, datagram: BytesMut) -> Received {
        match self.endpoint.handle_datagram(now, meta, datagram) {
            DatagramEvent::Connection(handle, data) => {
                if let Some(entry) = self.connections.get_mut(&handle) {
                    entry.connection_mut().handle_datagram(now, meta, data);
                    tell_ids(&mut self.endpoint, handle, entry);
                }
                Received::Connection(handle)
            }
            DatagramEvent::StatelessReset(handle) => {
                if let Some(entry) = self.connections.get_mut(&handle) {
                    entry.connection_mut().handle_stateless_reset(now);
                    tell_ids(&mut self.endpoint, handle, entry);
                }
                Received::StatelessReset(handle)
            }
            DatagramEvent::Incoming(incoming) => Received::Incoming(incoming),
            DatagramEvent::Respond(response) => Received::Response(response),
            DatagramEvent::Sibling(shard, data) => Received::Sibling(shard, data),
            DatagramEvent::Dropped(reason) => Received::Dropped(reason),
        }
    }

    /// Gives `send` every datagram that the connections want to send now, connection by connection in the
    /// order of their handles. [`Transmit`] describes the train of which the datagram is a part. Returns
    /// whether there was any.
    pub fn transmit(&mut self, now: Timestamp, mut send: impl FnMut(&Transmit, &[u8])) -> bool {
        let mut any = false;
        for (handle, entry) in &mut self.connections {
            // The application may have called the connection since the driver last looked.
            tell_ids(&mut self.endpoint, *handle, entry);
            let connection = entry.connection_mut();
            let size = connection.datagram_size();
            let length = (BUFFER / size).min(self.longest_train) * size;
            if self.buffer.len() < length {
                self.buffer.resize(length, 0);
            }
            while let Some(train) = connection.poll_transmit(now, &mut self.buffer[..length]) {
                any = true;
                for datagram in self.buffer[..train.size].chunks(train.segment_size) {
                    send(&train, datagram);
                }
            }
            tell_ids(&mut self.endpoint, *handle, entry);
        }
        any
    }

    /// The time at which the first connection wants [`handle_timeouts`](Self::handle_timeouts).
    #[must_use]
    pub fn next_timeout(&self) -> Option<Timestamp> {
        self.connections.values().filter_map(|entry| entry.connection().poll_timeout()).min()
    }

    /// Tells the time to the connections whose timers are due. The others hear nothing.
    pub fn handle_timeouts(&mut self, now: Timestamp) {
        for (handle, entry) in &mut self.connections {
            if entry.connection().poll_timeout().is_some_and(|at| at <= now) {
                entry.connection_mut().handle_timeout(now);
                tell_ids(&mut self.endpoint, *handle, entry);
            }
        }
    }

    /// Removes the drained connections, makes the endpoint forget them, and returns them in the order of
    /// their handles.
    pub fn forget_drained(&mut self) -> Vec<C> {
        let mut drained = Vec::new();
        for (handle, entry) in &mut self.connections {
            tell_ids(&mut self.endpoint, *handle, entry);
            if entry.connection().is_drained() {
                drained.push(*handle);
            }
        }
        let forget = |handle| {
            self.endpoint.forget(handle);
            self.connections.remove(&handle)
        };
        drained.into_iter().filter_map(forget).collect()
    }
}

/// Tells the endpoint which connection IDs and reset tokens are the connection's. The driver does so after
/// each call, so that the endpoint knows an ID before the peer can use it.
fn tell_ids(endpoint: &mut Endpoint, handle: ConnectionHandle, entry: &mut impl HasConnection) {
    while let Some(change) = entry.connection_mut().poll_cid_change() {
        endpoint.handle_cid_change(handle, change);
    }
}

//! Shared by the benches: two connections that exchange datagrams in memory, on a clock that moves only when
//! nothing is left to do.
//!
//! It measures only quic-core, without sockets, runtime, network and losses.
#![deny(unsafe_code)]

pub mod lab;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use quic_core::{
    CidFactory, ClientConfig, DatagramMeta, Dir, Endpoint, EndpointConfig, Event, ServerConfig, StreamId,
    TransportConfig,
    base::{SeededEntropy, Timestamp},
    error::call::{Read, ReadError},
    testing::{Driver, Received, tls_client_config, tls_server_config},
};

const ALPN: &[u8] = b"bench";
/// The time that a datagram takes from one end to the other.
const DELAY: Duration = Duration::from_micros(50);
/// How many datagrams are written at once, as for a socket with segmentation offload.
const BATCH: usize = 32;

/// An endpoint with one connection.
struct Peer {
    driver: Driver,
    address: SocketAddr,
}

/// A client and a server.
pub struct Pair {
    now: Timestamp,
    client: Peer,
    server: Peer,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").field("now", &self.now).finish_non_exhaustive()
    }
}

/// Certificates and settings, shared by many pairs.
#[derive(Clone, Debug)]
pub struct Setup {
    client: ClientConfig,
    server: Arc<ServerConfig>,
}

impl Setup {
    /// A fresh certificate and datagrams of `datagram_size` bytes.
    #[must_use]
    pub fn new(datagram_size: u16) -> Self {
        let (tls, certificate) = tls_server_config(ALPN);
        let transport = Arc::new(TransportConfig::new().datagram_size(datagram_size));
        let server = ServerConfig::new(tls, [7; 32]).transport(Arc::clone(&transport));
        let client = ClientConfig::new(tls_client_config(&certificate, ALPN)).transport(transport);
        Self { client, server: Arc::new(server) }
    }
}

impl Peer {
    fn new(server: Option<Arc<ServerConfig>>, port: u16) -> Self {
        let config = EndpointConfig::new(CidFactory::new(8, 0, &[3; 32]));
        let endpoint = Endpoint::new(config, server, Box::new(SeededEntropy::new(u64::from(port))));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Self { driver: Driver::new(endpoint).with_longest_train(BATCH), address }
    }

    /// Sends everything pending to `other`. True if anything was sent.
    fn send_to(&mut self, other: &mut Self, now: Timestamp) -> bool {
        let (remote, arrival) = (self.address, now + DELAY);
        self.driver.transmit(now, |train, datagram| {
            let meta = DatagramMeta::new(remote).ecn(train.ecn).allocation(train.segment_size);
            other.receive(arrival, &meta, BytesMut::from(datagram));
        })
    }

    fn receive(&mut self, now: Timestamp, meta: &DatagramMeta, datagram: BytesMut) {
        match self.driver.receive(now, meta, datagram) {
            Received::Connection(_) => {}
            Received::Incoming(incoming) => {
                self.driver.accept(now, incoming).expect("the client is genuine");
            }
            other => panic!("a datagram between two honest ends is for a connection: {other:?}"),
        }
    }
}

impl Pair {
    /// Two connected ends whose handshake is confirmed on both.
    ///
    /// # Panics
    /// If the handshake fails.
    #[must_use]
    pub fn connected(setup: &Setup) -> Self {
        let mut client = Peer::new(None, 1);
        let server = Peer::new(Some(Arc::clone(&setup.server)), 2);
        let now = Timestamp::ORIGIN + Duration::from_secs(1);
        client.driver.connect(now, &setup.client, server.address).expect("a valid configuration");
        let mut pair = Self { now, client, server };
        for _ in 0..100 {
            pair.round();
            let confirmed = |event| event == Event::HandshakeConfirmed;
            let client = pair.client.driver.first_mut();
            if std::iter::from_fn(|| client.poll_event()).any(confirmed) {
                return pair;
            }
        }
        panic!("the handshake ends in a hundred rounds");
    }

    /// Sends and receives everything that both ends have pending; if there is nothing, advances the clock.
    fn round(&mut self) {
        let there = self.client.send_to(&mut self.server, self.now);
        self.now += DELAY;
        let back = self.server.send_to(&mut self.client, self.now);
        self.now += DELAY;
        if !there && !back {
            let timeouts = [&self.client, &self.server].map(|peer| peer.driver.next_timeout());
            let next = timeouts.into_iter().flatten().min();
            self.now = next.map_or(self.now, |next| next.max(self.now));
        }
        self.client.driver.handle_timeouts(self.now);
        self.server.driver.handle_timeouts(self.now);
    }

    /// The client sends `size` bytes on one stream; the server reads them to their end. Returns how many it
    /// read.
    ///
    /// # Panics
    /// If the stream does not end.
    pub fn transfer(&mut self, size: usize) -> usize {
        let chunk = Bytes::from(vec![0x5a; 64 << 10]);
        let stream = self.client.driver.first_mut().open(Dir::Uni).expect("credit");
        let (mut left, mut read) = (size, 0);
        for _ in 0..1_000_000 {
            left -= self.write(stream, &chunk, left);
            self.round();
            if self.read(stream, &mut read) {
                return read;
            }
        }
        panic!("the transfer ends");
    }

    /// Writes as much as the send buffer takes, and FIN after the last byte.
    fn write(&mut self, stream: StreamId, chunk: &Bytes, left: usize) -> usize {
        let connection = self.client.driver.first_mut();
        let mut written = 0;
        while written < left {
            let mut data = chunk.slice(..chunk.len().min(left - written));
            match connection.write(stream, &mut data) {
                Ok(taken @ 1..) => {
                    written += taken;
                    if written == left {
                        connection.finish(stream).expect("the stream is open");
                    }
                }
                _ => break,
            }
        }
        written
    }

    /// Reads all available bytes; true at the end of the stream.
    fn read(&mut self, stream: StreamId, read: &mut usize) -> bool {
        let now = self.now;
        let connection = self.server.driver.first_mut();
        loop {
            match connection.read(now, stream, usize::MAX) {
                Ok(Read::Data(data)) => *read += data.len(),
                Ok(Read::Finished) => return true,
                Ok(Read::Blocked) | Err(ReadError::Closed) => return false,
                Err(error) => panic!("the stream is not reset: {error}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_arrives_whole() {
        let mut pair = Pair::connected(&Setup::new(1200));
        assert_eq!(pair.transfer(3_000_000), 3_000_000);
        assert_eq!(pair.transfer(1), 1);
        let stats = pair.client.driver.first().stats();
        assert_eq!((stats.packets_lost, stats.stream_bytes_retransmitted), (0, 0));
    }
}

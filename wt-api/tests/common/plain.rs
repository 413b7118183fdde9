//! A server of plain HTTP/3, which supports everything but WebTransport. It uses only the lower layers, so
//! that a test can choose its settings.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::BytesMut;
use h3_core::{Settings, transport::ConnTransport};
use quic_core::{
    CidFactory, Connection, DatagramEvent, DatagramMeta, Endpoint, EndpointConfig, ServerConfig, Side,
    base::{SystemEntropy, Timestamp},
    crypto::TlsServerConfig,
};
use tokio::net::UdpSocket;

/// Serves one connection with these settings until the runtime ends. Returns the server's address.
pub(crate) async fn serve(tls: rustls::ServerConfig, settings: Settings) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let config = ServerConfig::new(TlsServerConfig::new(Arc::new(tls)), [1; 32]);
    let cids = EndpointConfig::new(CidFactory::new(8, 0, &[2; 32]));
    let endpoint = Endpoint::new(cids, Some(Arc::new(config)), Box::new(SystemEntropy::new()));
    tokio::spawn(run(socket, endpoint, settings));
    address
}

async fn run(socket: UdpSocket, mut endpoint: Endpoint, settings: Settings) {
    let origin = tokio::time::Instant::now();
    let clock = || Timestamp::from_nanos(1_000_000_000) + origin.elapsed();
    let mut h3 = h3_core::Connection::new(h3_core::Config::new(settings), Side::Server);
    let mut served: Option<Connection> = None;
    let mut buffer = vec![0; 2048];
    loop {
        let wait = match served.as_ref().and_then(Connection::poll_timeout) {
            Some(at) => at - clock(),
            None => Duration::from_secs(60),
        };
        let received = tokio::time::timeout(wait, socket.recv_from(&mut buffer)).await;
        let now = clock();
        match received {
            Ok(Ok((length, remote))) => {
                let meta = DatagramMeta::new(remote).allocation(length);
                match endpoint.handle_datagram(now, &meta, BytesMut::from(&buffer[..length])) {
                    DatagramEvent::Incoming(incoming) if served.is_none() => {
                        served = Some(endpoint.accept(now, incoming).unwrap().1);
                    }
                    DatagramEvent::Connection(_, data) => {
                        served.as_mut().unwrap().handle_datagram(now, &meta, data);
                    }
                    _ => {}
                }
            }
            Ok(Err(_)) => {}
            Err(_) => served.iter_mut().for_each(|quic| quic.handle_timeout(now)),
        }
        let Some(quic) = &mut served else { continue };
        while let Some(event) = quic.poll_event() {
            let complete = matches!(event, quic_core::Event::HandshakeComplete);
            let mut transport = ConnTransport::new(quic, now);
            if complete {
                h3.start(&mut transport);
            }
            h3.on_event(&event, now, &mut transport);
        }
        let mut packet = [0; 2048];
        let size = quic.datagram_size();
        while let Some(transmit) = quic.poll_transmit(now, &mut packet[..size]) {
            let _ = socket.send_to(&packet[..transmit.size], transmit.remote).await;
        }
    }
}

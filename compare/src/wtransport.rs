//! The library wtransport.

use bytes::Bytes;
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use wt_api::{CertificateHash, Identity};
use wtransport::{
    ClientConfig, Connection, Endpoint, RecvStream, SendStream, ServerConfig, VarInt,
    endpoint::endpoint_side,
    error::{ConnectingError, ConnectionError, StreamReadError, StreamReadExactError, StreamWriteError},
    tls::{Certificate, CertificateChain, PrivateKey, Sha256Digest},
};

use crate::peer::{Code, End, FORBIDDEN, Listener, Peer, ReceiveHalf, Refused, SESSION, SendHalf, Session};

/// How many bytes are read at once.
const CHUNK: usize = 64 << 10;

/// The library.
#[derive(Debug)]
pub struct Wtransport;

impl Peer for Wtransport {
    const DRAFT: &'static str = "draft-07";
    type Session = Connection;
    type Listener = Listening;

    async fn listen(identity: &Identity) -> Listening {
        let chain = identity.certificate_chain().into_iter().map(Certificate::from_der);
        let chain = CertificateChain::new(chain.map(|certificate| certificate.expect("X.509")).collect());
        let key = PrivateKeyDer::from_pem_slice(identity.private_key_pem().as_bytes()).expect("a key");
        let key = PrivateKey::from_der_pkcs8(key.secret_der().to_vec());
        let config = ServerConfig::builder()
            .with_bind_address(([127, 0, 0, 1], 0).into())
            .with_identity(wtransport::Identity::new(chain, key))
            .build();
        Listening { endpoint: Endpoint::server(config).expect("a server") }
    }

    async fn connect(url: &str, hash: CertificateHash, _protocols: &[&str]) -> Result<Connection, Refused> {
        let config = ClientConfig::builder()
            .with_bind_address(([127, 0, 0, 1], 0).into())
            .with_server_certificate_hashes([Sha256Digest::new(*hash.as_bytes())])
            .build();
        let client = Endpoint::client(config).expect("a client");
        client.connect(url).await.map_err(|error| match error {
            ConnectingError::SessionRejected => Refused::WithoutStatus,
            error => Refused::Otherwise(format!("{error:?}")),
        })
    }
}

/// A server.
pub struct Listening {
    endpoint: Endpoint<endpoint_side::Server>,
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listening").finish_non_exhaustive()
    }
}

impl Listener for Listening {
    type Session = Connection;

    fn port(&self) -> u16 {
        self.endpoint.local_addr().expect("bound").port()
    }

    async fn answer(&mut self) -> Option<Connection> {
        let request = self.endpoint.accept().await.await.expect("a request");
        match request.path() {
            SESSION => Some(request.accept().await.expect("accepted")),
            FORBIDDEN => {
                request.forbidden().await;
                None
            }
            _ => {
                request.not_found().await;
                None
            }
        }
    }
}

impl Session for Connection {
    type Send = SendStream;
    type Receive = RecvStream;

    async fn open_bidirectional(&self) -> (SendStream, RecvStream) {
        self.open_bi().await.expect("credit").await.expect("a stream")
    }

    async fn accept_bidirectional(&self) -> (SendStream, RecvStream) {
        self.accept_bi().await.expect("a stream")
    }

    async fn open_unidirectional(&self) -> SendStream {
        self.open_uni().await.expect("credit").await.expect("a stream")
    }

    async fn accept_unidirectional(&self) -> RecvStream {
        self.accept_uni().await.expect("a stream")
    }

    fn send_datagram(&self, data: Bytes) {
        Self::send_datagram(self, data).expect("room for a datagram");
    }

    async fn receive_datagram(&self) -> Bytes {
        Self::receive_datagram(self).await.expect("a datagram").payload()
    }

    fn close(&self, code: u32, reason: &str) {
        Self::close(self, VarInt::from_u32(code), reason.as_bytes());
    }

    async fn closed(&self) -> End {
        // `Connection::closed` only reports the end of the QUIC connection. The code of a close capsule comes
        // from here.
        loop {
            match self.accept_uni().await {
                Ok(_) => {}
                Err(ConnectionError::ApplicationClosed(close)) => {
                    let reason = String::from_utf8_lossy(close.reason()).into_owned();
                    return End::Closed { code: close.code().into_inner(), reason };
                }
                Err(error) => return End::Otherwise(format!("{error:?}")),
            }
        }
    }

    fn protocol(&self) -> Option<String> {
        None
    }
}

impl SendHalf for SendStream {
    async fn write_all(&mut self, data: &[u8]) {
        Self::write_all(self, data).await.expect("written");
    }

    async fn finish(&mut self) {
        Self::finish(self).await.expect("open");
    }

    fn reset(&mut self, code: u32) {
        Self::reset(self, VarInt::from_u32(code)).expect("open");
    }

    async fn stopped(&mut self) -> Code {
        match Self::stopped(self).await {
            StreamWriteError::Stopped(code) => Code::Quic(code.into_inner()),
            error => panic!("stopped: {error}"),
        }
    }
}

impl ReceiveHalf for RecvStream {
    async fn read_to_end(&mut self) -> Result<Vec<u8>, Code> {
        let (mut all, mut chunk) = (Vec::new(), vec![0; CHUNK]);
        loop {
            match self.read(&mut chunk).await {
                Ok(Some(size)) => all.extend_from_slice(&chunk[..size]),
                Ok(None) => return Ok(all),
                Err(StreamReadError::Reset(code)) => return Err(Code::Quic(code.into_inner())),
                Err(error) => panic!("reading: {error}"),
            }
        }
    }

    async fn read_byte(&mut self) -> u8 {
        let mut byte = [0];
        let read: Result<(), StreamReadExactError> = self.read_exact(&mut byte).await;
        read.expect("a byte");
        byte[0]
    }

    fn stop(self, code: u32) {
        Self::stop(self, VarInt::from_u32(code));
    }
}

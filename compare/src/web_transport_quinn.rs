//! The library web-transport-quinn.

use bytes::Bytes;
use http::StatusCode;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use web_transport_quinn::{
    ClientBuilder, ClientError, ConnectError, ReadError, ReadExactError, ReadToEndError, RecvStream, Request,
    SendStream, Server, ServerBuilder, SessionError, WebTransportError,
    proto::{ConnectError as ProtoError, ConnectRequest, ConnectResponse},
};
use wt_api::{CertificateHash, Identity};

use crate::peer::{
    Code, End, FORBIDDEN, Listener, PROTOCOL, Peer, ReceiveHalf, Refused, SESSION, SendHalf, Session,
};

/// How much is read of one stream at most, in bytes.
const MAX_READ: usize = 16 << 20;

/// The library.
#[derive(Debug)]
pub struct WebTransportQuinn;

impl Peer for WebTransportQuinn {
    const DRAFT: &'static str = "draft-07";
    type Session = web_transport_quinn::Session;
    type Listener = Listening;

    async fn listen(identity: &Identity) -> Listening {
        let chain = identity.certificate_chain().into_iter().map(CertificateDer::from).collect();
        let key = PrivateKeyDer::from_pem_slice(identity.private_key_pem().as_bytes()).expect("a key");
        let address = ([127, 0, 0, 1], 0).into();
        let server = ServerBuilder::new().with_addr(address).with_certificate(chain, key);
        Listening { server: server.expect("a server"), refused: Vec::new() }
    }

    async fn connect(
        url: &str,
        hash: CertificateHash,
        protocols: &[&str],
    ) -> Result<web_transport_quinn::Session, Refused> {
        let hashes = vec![hash.as_bytes().to_vec()];
        let client = ClientBuilder::new().with_server_certificate_hashes(hashes).expect("a client");
        let url: url::Url = url.parse().expect("a URL");
        let protocols = protocols.iter().map(ToString::to_string);
        let request = ConnectRequest::new(url).with_protocols(protocols);
        client.connect(request).await.map_err(|error| match error {
            ClientError::HttpError(ConnectError::ErrorStatus(status))
            | ClientError::HttpError(ConnectError::ProtoError(ProtoError::WrongStatus(Some(status)))) => {
                Refused::Status(status.as_u16())
            }
            error => Refused::Otherwise(format!("{error:?}")),
        })
    }
}

/// A server.
pub struct Listening {
    server: Server,
    /// The refused sessions that `respond` returned. `reject` would end the control stream and drop the
    /// connection together with the response. Keeping the sessions prevents both.
    refused: Vec<web_transport_quinn::Session>,
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listening").field("refused", &self.refused.len()).finish_non_exhaustive()
    }
}

impl Listening {
    /// The next request, before a response.
    ///
    /// # Panics
    /// If the server is over.
    pub async fn request(&mut self) -> Request {
        self.server.accept().await.expect("a request")
    }
}

impl Listener for Listening {
    type Session = web_transport_quinn::Session;

    fn port(&self) -> u16 {
        self.server.local_addr().expect("bound").port()
    }

    async fn answer(&mut self) -> Option<web_transport_quinn::Session> {
        let request = self.request().await;
        let status = match request.url.path() {
            SESSION => {
                let offered = request.protocols.iter().any(|protocol| protocol == PROTOCOL);
                let response = ConnectResponse::OK;
                let response = if offered { response.with_protocol(PROTOCOL) } else { response };
                return Some(request.respond(response).await.expect("accepted"));
            }
            FORBIDDEN => StatusCode::FORBIDDEN,
            _ => StatusCode::NOT_FOUND,
        };
        self.refused.push(request.respond(status).await.expect("refused"));
        None
    }
}

impl Session for web_transport_quinn::Session {
    type Send = SendStream;
    type Receive = RecvStream;

    async fn open_bidirectional(&self) -> (SendStream, RecvStream) {
        self.open_bi().await.expect("a stream")
    }

    async fn accept_bidirectional(&self) -> (SendStream, RecvStream) {
        self.accept_bi().await.expect("a stream")
    }

    async fn open_unidirectional(&self) -> SendStream {
        self.open_uni().await.expect("a stream")
    }

    async fn accept_unidirectional(&self) -> RecvStream {
        self.accept_uni().await.expect("a stream")
    }

    fn send_datagram(&self, data: Bytes) {
        Self::send_datagram(self, data).expect("room for a datagram");
    }

    async fn receive_datagram(&self) -> Bytes {
        self.read_datagram().await.expect("a datagram")
    }

    fn close(&self, code: u32, reason: &str) {
        Self::close(self, code, reason.as_bytes());
    }

    async fn closed(&self) -> End {
        match Self::closed(self).await {
            SessionError::WebTransportError(WebTransportError::Closed(code, reason)) => {
                End::Closed { code: code.into(), reason }
            }
            error => End::Otherwise(format!("{error:?}")),
        }
    }

    fn protocol(&self) -> Option<String> {
        Self::protocol(self).map(str::to_owned)
    }
}

impl SendHalf for SendStream {
    async fn write_all(&mut self, data: &[u8]) {
        Self::write_all(self, data).await.expect("written");
    }

    async fn finish(&mut self) {
        Self::finish(self).expect("open");
    }

    fn reset(&mut self, code: u32) {
        Self::reset(self, code).expect("open");
    }

    async fn stopped(&mut self) -> Code {
        let code = Self::stopped(self).await.expect("a session");
        Code::Application(code.expect("stopped with a code of WebTransport"))
    }
}

impl ReceiveHalf for RecvStream {
    async fn read_to_end(&mut self) -> Result<Vec<u8>, Code> {
        Self::read_to_end(self, MAX_READ).await.map_err(|error| match error {
            ReadToEndError::ReadError(ReadError::Reset(code)) => Code::Application(code),
            ReadToEndError::ReadError(ReadError::InvalidReset(code)) => Code::Quic(code.into_inner()),
            error => panic!("reading: {error}"),
        })
    }

    async fn read_byte(&mut self) -> u8 {
        let mut byte = [0];
        let read: Result<(), ReadExactError> = self.read_exact(&mut byte).await;
        read.expect("a byte");
        byte[0]
    }

    fn stop(mut self, code: u32) {
        Self::stop(&mut self, code).expect("open");
    }
}

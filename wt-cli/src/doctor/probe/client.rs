//! One connection, driven by hand from the handshake to the response to the request for a session.
//!
//! Owns the order of the stages and the time limit of each. It judges nothing.

use std::{io, mem, net::SocketAddr, sync::Arc, time::Duration};

use bytes::BytesMut;
use h3_core::transport::ConnTransport;
use quic_core::{
    CidFactory, ClientConfig, Connection, ConnectionHandle, DatagramEvent, DatagramMeta, Endpoint,
    EndpointConfig, Event, Side, TransportConfig,
    base::{Entropy as _, SystemEntropy, Timestamp},
    crypto::TlsClientConfig,
    error::ConnectionError,
};
use tokio::{
    net::UdpSocket,
    time::{Instant, timeout_at},
};
use wt_session::{ConnectRequest, SessionResponse, Sessions};

use super::{
    super::facts::{Attempt, Handshake, Noise, Session},
    plan::{Plan, connect},
};
use crate::platform;
use crate::qlogs;

/// `H3_NO_ERROR` (RFC 9114 §8.1).
const H3_NO_ERROR: u64 = 0x100;
/// The largest datagram that UDP carries.
const DATAGRAM: usize = 65_536;
/// The largest datagram that is sent, because the path is not measured.
const SENT: u16 = 1_200;
/// The time of the first call, well above the least timestamp.
const START: Timestamp = Timestamp::from_nanos(1_000_000_000);

pub(super) struct Client {
    socket: UdpSocket,
    endpoint: Endpoint,
    handle: ConnectionHandle,
    quic: Connection,
    h3: h3_core::Connection,
    sessions: Sessions,
    /// Taken when the request is sent.
    request: Option<ConnectRequest>,
    begun: Instant,
    limit: Duration,
    /// The end of the running stage.
    deadline: Instant,
    /// Whether any datagram arrived for this connection.
    heard: bool,
    /// A response that belongs to no connection.
    noise: Option<Noise>,
    /// The last datagram that was sent.
    sent: Vec<u8>,
    started: bool,
    over: bool,
    attempt: Attempt,
}

impl Client {
    pub(super) async fn new(plan: &Plan, remote: SocketAddr) -> Result<Self, String> {
        let socket = connect(remote).await.map_err(|error| error.to_string())?;
        let mut entropy = SystemEntropy::new();
        let mut key = [0; 32];
        entropy.fill(&mut key);
        let config = EndpointConfig::new(CidFactory::new(8, 0, &key));
        let mut endpoint = Endpoint::new(config, None, Box::new(entropy));
        let transport =
            TransportConfig::new().max_datagram_size(SENT).ecn(false).observers(qlogs::observers());
        let client =
            ClientConfig::new(TlsClientConfig::new(Arc::clone(&plan.tls))).transport(Arc::new(transport));
        let connected = endpoint.connect(START, &client, &plan.host, remote);
        let (handle, quic) = connected.map_err(|error| error.to_string())?;
        let config = wt_session::Config::default();
        let h3 = h3_core::connection::Config::new(Sessions::settings(&config));
        let begun = Instant::now();
        Ok(Self {
            socket,
            endpoint,
            handle,
            quic,
            h3: h3_core::Connection::new(h3, Side::Client),
            sessions: Sessions::new(config, Side::Client),
            request: Some(plan.request.clone()),
            begun,
            limit: plan.limit,
            deadline: begun + plan.limit,
            heard: false,
            noise: None,
            sent: Vec::new(),
            started: false,
            over: false,
            attempt: Attempt::new(remote),
        })
    }

    /// Runs the stages as far as the server cooperates.
    pub(super) async fn run(mut self) -> Attempt {
        let mut buffer = vec![0; DATAGRAM];
        while !self.over {
            if let Err(error) = self.transmit().await {
                self.on_socket_error(&error);
                continue;
            }
            let timer = self.quic.poll_timeout().map(|at| self.begun + (at - START));
            let until = timer.map_or(self.deadline, |timer| timer.min(self.deadline));
            match timeout_at(until, self.socket.recv(&mut buffer)).await {
                Ok(Ok(size)) => self.on_datagram(&buffer[..size]),
                Ok(Err(error)) => self.on_socket_error(&error),
                Err(_) => {}
            }
            let now = self.now();
            if self.quic.poll_timeout().is_some_and(|at| at <= now) {
                self.quic.handle_timeout(now);
            }
            self.process();
            self.over |= Instant::now() >= self.deadline;
        }
        self.finish().await
    }

    async fn finish(mut self) -> Attempt {
        if self.attempt.handshake == Handshake::Silent {
            self.attempt.handshake = match self.noise {
                _ if self.heard => Handshake::Unfinished,
                Some(noise) => Handshake::Noise(noise),
                None => Handshake::Silent,
            };
        }
        self.attempt.settings = self.h3.peer_settings().cloned();
        self.attempt.payload = platform::path_payload(&self.socket, self.attempt.address);
        let now = self.now();
        self.quic.close(now, H3_NO_ERROR, b"");
        // Whether the close arrives changes nothing.
        let _ = self.transmit().await;
        self.attempt
    }

    fn now(&self) -> Timestamp {
        START + self.begun.elapsed()
    }

    async fn transmit(&mut self) -> io::Result<()> {
        let mut buffer = [0; SENT as usize];
        loop {
            let now = self.now();
            let Some(transmit) = self.quic.poll_transmit(now, &mut buffer) else { return Ok(()) };
            self.sent = buffer[..transmit.size].to_vec();
            let sent = self.socket.send(&self.sent).await;
            match sent {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Err(error),
                // Other errors look like loss, and what is lost is sent again.
                _ => {}
            }
        }
    }

    /// A refusal ends the attempt only while nothing was heard from the server; later anyone could have
    /// forged it.
    fn on_socket_error(&mut self, error: &io::Error) {
        if error.kind() == io::ErrorKind::ConnectionRefused && !self.heard {
            self.attempt.handshake = Handshake::Refused;
            self.over = true;
        }
    }

    fn on_datagram(&mut self, datagram: &[u8]) {
        let now = self.now();
        let about = DatagramMeta::new(self.attempt.address).allocation(datagram.len());
        match self.endpoint.handle_datagram(now, &about, BytesMut::from(datagram)) {
            DatagramEvent::Connection(_, data) => {
                self.heard = true;
                self.quic.handle_datagram(now, &about, data);
            }
            DatagramEvent::StatelessReset(_) => {
                self.heard = true;
                self.quic.handle_stateless_reset(now);
            }
            // The datagram has no connection ID of ours.
            _ => self.noise = Some(Noise::of(datagram, &self.sent)),
        }
    }

    /// Passes events between the layers until there are none.
    fn process(&mut self) {
        let mut active = true;
        while mem::take(&mut active) {
            while let Some(event) = self.quic.poll_event() {
                active = true;
                self.on_quic_event(&event);
            }
            while let Some(event) = self.sessions.poll_event() {
                active = true;
                self.on_session_event(event);
            }
            while let Some(change) = self.quic.poll_cid_change() {
                self.endpoint.handle_cid_change(self.handle, change);
            }
        }
        // The next stage starts when the SETTINGS have arrived.
        if self.attempt.settings.is_none() && self.h3.peer_settings().is_some() {
            self.attempt.settings = self.h3.peer_settings().cloned();
            self.deadline = Instant::now() + self.limit;
        }
    }

    fn on_quic_event(&mut self, event: &Event) {
        match event {
            Event::HandshakeComplete => self.on_handshake_complete(),
            Event::Closed(error) => self.on_closed(error),
            _ => {}
        }
        if self.started {
            let now = self.now();
            let mut transport = ConnTransport::new(&mut self.quic, now);
            self.sessions.on_event(event, now, &mut self.h3, &mut transport);
        }
    }

    fn on_handshake_complete(&mut self) {
        let attempt = &mut self.attempt;
        attempt.handshake = Handshake::Complete(self.begun.elapsed(), self.quic.version());
        attempt.alpn = self.quic.alpn_protocol().map(<[u8]>::to_vec);
        attempt.parameters = Some(self.quic.peer_parameters().clone());
        attempt.chain = self.quic.peer_certificates();
        self.deadline = Instant::now() + self.limit;
        if attempt.alpn.as_deref() != Some(b"h3") {
            self.over = true;
            return;
        }
        self.started = true;
        attempt.session = Session::Unanswered;
        let now = self.now();
        let mut transport = ConnTransport::new(&mut self.quic, now);
        self.h3.start(&mut transport);
        let Some(request) = self.request.take() else { return };
        if let Err(error) = self.sessions.connect(request, &mut self.h3, &mut transport) {
            self.attempt.session = Session::Lost(error.to_string());
            self.over = true;
        }
    }

    fn on_closed(&mut self, error: &ConnectionError) {
        self.over = true;
        let idle = *error == ConnectionError::IdleTimeout;
        if self.started {
            self.lose(self.h3.failure().map_or_else(|| error.to_string(), |failure| failure.to_string()));
        } else if !matches!(self.attempt.handshake, Handshake::Complete(..)) && !idle {
            self.attempt.handshake = Handshake::Ended(error.clone());
        }
    }

    fn lose(&mut self, why: String) {
        if self.attempt.session == Session::Unanswered {
            self.attempt.session = Session::Lost(why);
        }
    }

    fn on_session_event(&mut self, event: wt_session::Event) {
        let unanswered = self.attempt.session == Session::Unanswered;
        match event {
            wt_session::Event::Established { response, .. } if unanswered => {
                let SessionResponse { status, headers, protocol, dialect, why, .. } = *response;
                self.attempt.session = Session::Established { status, headers, protocol, dialect, why };
                self.over = true;
            }
            wt_session::Event::Refused { reason, .. } if unanswered => {
                self.attempt.session = Session::Refused(reason);
                self.over = true;
            }
            wt_session::Event::ConnectionFailed(error) => {
                self.lose(error.to_string());
                self.over = true;
            }
            _ => {}
        }
    }
}

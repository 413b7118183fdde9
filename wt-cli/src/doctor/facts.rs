//! What was observed. The steps judge it; this file does not.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use h3_core::Settings;
use http::{HeaderMap, StatusCode};
use quic_core::{TransportParameters, Version, error::ConnectionError};
use wt_session::{Dialect, Refusal};

/// A response that is not QUIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noise {
    /// The same bytes that were sent.
    Echo,
    /// Other data, of this many bytes.
    Bytes(usize),
}

impl Noise {
    /// Classifies a response that no QUIC endpoint sends to `question`.
    pub(super) fn of(answer: &[u8], question: &[u8]) -> Self {
        if answer == question { Self::Echo } else { Self::Bytes(answer.len()) }
    }
}

/// The response of an address to a packet of a reserved version, which asks for the versions that it
/// supports.
#[derive(Clone, Debug)]
pub(super) enum Versions {
    /// It supports these versions.
    Offered(Vec<u32>),
    /// The network reported that nothing listens there.
    Refused,
    /// There was no response.
    Silent,
    /// The response was not QUIC.
    Noise(Noise),
    /// The system refused to send.
    NotSent(Arc<io::Error>),
}

/// How far the handshake got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Handshake {
    /// It completed in this time, as a connection of this version.
    Complete(Duration, Version),
    /// The network reported that nothing listens there.
    Refused,
    /// There was no response.
    Silent,
    /// Only data that belongs to no connection came back.
    Noise(Noise),
    /// A response came, but the time ran out.
    Unfinished,
    /// The connection ended.
    Ended(ConnectionError),
    /// It could not be started.
    NotStarted(String),
}

/// The server's response to the request for a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Session {
    /// The request was not sent.
    NotAsked,
    /// No response came in time.
    Unanswered,
    /// The server accepted.
    Established {
        status: StatusCode,
        headers: HeaderMap,
        protocol: Option<String>,
        dialect: Dialect,
        why: String,
    },
    /// The server refused, or lacks what a session needs.
    Refused(Refusal),
    /// HTTP/3 or QUIC ended first, for this reason.
    Lost(String),
}

/// Everything that was observed at one address.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) address: SocketAddr,
    pub(super) versions: Versions,
    pub(super) handshake: Handshake,
    /// The largest datagram that the path carries, in bytes, as far as the system knows.
    pub(super) payload: Option<u32>,
    /// The certificate chain in DER, end entity first; empty if none came.
    pub(super) chain: Vec<Vec<u8>>,
    pub(super) alpn: Option<Vec<u8>>,
    /// Set once the handshake is complete.
    pub(super) parameters: Option<TransportParameters>,
    /// Set once the server's SETTINGS have arrived.
    pub(super) settings: Option<Settings>,
    pub(super) session: Session,
}

impl Attempt {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            versions: Versions::Silent,
            handshake: Handshake::Silent,
            payload: None,
            chain: Vec::new(),
            alpn: None,
            parameters: None,
            settings: None,
            session: Session::NotAsked,
        }
    }

    /// A response that is not QUIC, if there was no other.
    pub(super) fn noise(&self) -> Option<Noise> {
        match (&self.handshake, &self.versions) {
            _ if self.is_alive() => None,
            (Handshake::Noise(noise), _) | (_, Versions::Noise(noise)) => Some(*noise),
            _ => None,
        }
    }

    /// Whether a QUIC server responded at all.
    pub(super) fn is_alive(&self) -> bool {
        let heard = matches!(self.versions, Versions::Offered(_));
        heard
            || matches!(self.handshake, Handshake::Complete(..) | Handshake::Unfinished | Handshake::Ended(_))
    }

    /// How far the attempt got. The address that got furthest explains most.
    pub(super) fn progress(&self) -> u8 {
        let established = matches!(self.session, Session::Established { .. });
        let complete = matches!(self.handshake, Handshake::Complete(..));
        u8::from(established)
            + u8::from(self.settings.is_some())
            + u8::from(complete)
            + u8::from(self.is_alive())
    }
}

//! What was observed. The steps judge it; nothing here does.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use h3_core::Settings;
use http::{HeaderMap, StatusCode};
use quic_core::{TransportParameters, error::ConnectionError};
use wt_session::{Dialect, Refusal};

/// Something that came back and is not QUIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noise {
    /// What was sent.
    Echo,
    /// Something else, of so many bytes.
    Bytes(usize),
}

impl Noise {
    /// What an answer is that nobody who speaks QUIC gives to this question.
    pub(super) fn of(answer: &[u8], question: &[u8]) -> Self {
        if answer == question { Self::Echo } else { Self::Bytes(answer.len()) }
    }
}

/// What came back when an address was asked for the versions it speaks, by a packet of a version that nobody does.
#[derive(Clone, Debug)]
pub(super) enum Versions {
    /// These.
    Offered(Vec<u32>),
    /// The network said that nobody listens.
    Refused,
    /// Nothing.
    Silent,
    /// Something that answers no such question.
    Noise(Noise),
    /// The system would not send.
    NotSent(Arc<io::Error>),
}

/// How far the handshake went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Handshake {
    /// To its end, in this time.
    Complete(Duration),
    /// The network said that nobody listens.
    Refused,
    /// Nothing came back.
    Silent,
    /// Something came back that belongs to no connection, and nothing else.
    Noise(Noise),
    /// An answer came back, and then the time was over.
    Unfinished,
    /// The connection ended.
    Ended(ConnectionError),
    /// It did not begin.
    NotStarted(String),
}

/// What the server answered to the request for a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Session {
    /// It was not asked.
    NotAsked,
    /// Nothing in time.
    Unanswered,
    /// It accepted.
    Established {
        status: StatusCode,
        headers: HeaderMap,
        protocol: Option<String>,
        dialect: Dialect,
        why: String,
    },
    /// It did not, or lacks what a session needs.
    Refused(Refusal),
    /// HTTP/3 or QUIC ended first, for this reason.
    Lost(String),
}

/// Everything that one address showed.
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
    /// Once the handshake is complete.
    pub(super) parameters: Option<TransportParameters>,
    /// Once they have come.
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

    /// What came back instead of QUIC, if nothing else did.
    pub(super) fn noise(&self) -> Option<Noise> {
        match (&self.handshake, &self.versions) {
            _ if self.is_alive() => None,
            (Handshake::Noise(noise), _) | (_, Versions::Noise(noise)) => Some(*noise),
            _ => None,
        }
    }

    /// Whether a server of QUIC answered anything at all.
    pub(super) fn is_alive(&self) -> bool {
        let heard = matches!(self.versions, Versions::Offered(_));
        heard
            || matches!(self.handshake, Handshake::Complete(_) | Handshake::Unfinished | Handshake::Ended(_))
    }

    /// How far it went: the address that went farthest explains most.
    pub(super) fn progress(&self) -> u8 {
        let established = matches!(self.session, Session::Established { .. });
        let complete = matches!(self.handshake, Handshake::Complete(_));
        u8::from(established)
            + u8::from(self.settings.is_some())
            + u8::from(complete)
            + u8::from(self.is_alive())
    }
}

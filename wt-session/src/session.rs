//! What is known of one session, and of one of its streams.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use h3_core::{RequestHead, capsule::CapsuleReader};
use quic_core::{Dir, base::varint};

use crate::{Dialect, SessionId};

/// The signal at the start of a bidirectional stream (§4.3).
const SIGNAL_BIDI: u64 = 0x41;
/// The type of a unidirectional stream (§4.2).
const TYPE_UNI: u64 = 0x54;

#[derive(Debug)]
pub(crate) enum State {
    /// Server: the request came, the client's SETTINGS did not (§3.1).
    Waiting(Box<RequestHead>),
    /// Server: the application decides.
    Asked,
    /// Client: the CONNECT was sent.
    Requested,
    /// Established.
    Open,
    /// Closed was told; the peer's end of the CONNECT stream is still to come.
    Ended {
        /// By a capsule of the peer, after which no byte may come (§6).
        by_peer: bool,
    },
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) state: State,
    pub(crate) dialect: Dialect,
    pub(crate) why: String,
    pub(crate) reader: CapsuleReader,
    /// Capsules that HTTP/3 has not taken yet: at most a drain and a close.
    pub(crate) out: VecDeque<Bytes>,
    /// End the CONNECT stream after them.
    pub(crate) fin: bool,
    /// The peer's reader is gone, with this code.
    pub(crate) stopped: Option<u64>,
    pub(crate) drain_sent: bool,
    pub(crate) drain_told: bool,
    /// Client: the application protocols it offered.
    pub(crate) offered: Vec<String>,
    /// What own streams of each direction begin with.
    prefaces: [Bytes; 2],
}

impl Session {
    pub(crate) fn new(id: SessionId, state: State, dialect: Dialect, why: String) -> Self {
        Self {
            state,
            dialect,
            why,
            reader: CapsuleReader::new(),
            out: VecDeque::new(),
            fin: false,
            stopped: None,
            drain_sent: false,
            drain_told: false,
            offered: Vec::new(),
            prefaces: [preface(SIGNAL_BIDI, id), preface(TYPE_UNI, id)],
        }
    }

    pub(crate) fn preface(&self, dir: Dir) -> Bytes {
        let [bidi, uni] = &self.prefaces;
        if dir == Dir::Bidi { bidi.clone() } else { uni.clone() }
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended { .. })
    }
}

fn preface(kind: u64, id: SessionId) -> Bytes {
    let mut out = BytesMut::with_capacity(10);
    varint::put(&mut out, kind);
    varint::put(&mut out, id.0.value());
    out.freeze()
}

/// The sending side of a stream.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    /// What the transport has not taken of the preface yet.
    pub(crate) preface: Bytes,
    /// What must arrive even if the stream is reset, in bytes: the preface (§4.4) and what was committed.
    pub(crate) reliable: u64,
    /// Finish it as soon as the preface is out.
    pub(crate) finishing: bool,
    /// Finished: the acknowledgment is worth an event.
    pub(crate) finished: bool,
}

/// A stream of a session. Gone when both sides are.
#[derive(Debug)]
pub(crate) struct WtStream {
    pub(crate) session: SessionId,
    pub(crate) sending: Option<Sending>,
    pub(crate) receiving: bool,
}

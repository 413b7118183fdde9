//! What is known of one session, and of one of its streams.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use h3_core::{RequestHead, capsule::CapsuleReader};
use quic_core::{Dir, Priority, StreamId, base::varint};

use crate::{
    dialect::Dialect,
    event::{RequestId, SessionId},
    flow::{Flow, FlowViolation, Note},
};

/// The signal at the start of a bidirectional stream (§4.3).
const SIGNAL_BIDI: u64 = 0x41;
/// The type of a unidirectional stream (§4.2).
const TYPE_UNI: u64 = 0x54;

#[derive(Debug)]
pub(crate) enum State {
    /// Server: the request came with this rank, the client's SETTINGS did not (§3.1).
    Waiting(Box<RequestHead>, Priority),
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
    /// Capsules that HTTP/3 has not taken yet: at most a drain, a close and one of flow control.
    pub(crate) out: VecDeque<Bytes>,
    /// End the CONNECT stream after them.
    pub(crate) fin: bool,
    /// The peer's reader is gone, with this code.
    pub(crate) stopped: Option<u64>,
    pub(crate) drain_sent: bool,
    pub(crate) drain_told: bool,
    /// Client: the application protocols it offered.
    pub(crate) offered: Vec<String>,
    /// Client: by what it was asked for.
    pub(crate) request: Option<RequestId>,
    /// Its flow control, if that was agreed upon and the session is not over.
    pub(crate) flow: Option<Box<Flow>>,
    /// The peer broke flow control: to be ended.
    pub(crate) fault: Option<FlowViolation>,
    /// On the list of sessions that have something to tell the peer.
    pub(crate) dirty: bool,
    /// Streams that the session's limit of data holds back.
    pub(crate) waiters: Waiters,
    /// Streams of the peer that are open.
    pub(crate) peer_streams: usize,
    /// The newest rank that the client asked for, if the event of a change waits.
    pub(crate) ranked: Option<Priority>,
    /// Datagrams of its own among the events.
    pub(crate) queued_datagrams: usize,
    /// Datagrams that found no room there.
    pub(crate) dropped_datagrams: u64,
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
            request: None,
            flow: None,
            fault: None,
            dirty: false,
            waiters: Waiters::default(),
            peer_streams: 0,
            ranked: None,
            queued_datagrams: 0,
            dropped_datagrams: 0,
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

    /// Whether a GOAWAY has to wait until it is over. One that waits for the client's SETTINGS may have to hold it back.
    pub(crate) fn holds_goaway(&self) -> bool {
        matches!(self.state, State::Waiting(..)) || !self.dialect.bears_goaway()
    }

    /// What flow control has to tell the peer next. Only while the session is open.
    pub(crate) fn take_note(&mut self) -> Option<Note> {
        if self.is_open() { self.flow.as_mut()?.take_note() } else { None }
    }
}

/// The place of a stream among those that wait: first those that got nothing last time, each group in the order in
/// which it came. So all get their turn, however little credit comes at a time.
pub(crate) type Turn = (bool, u64);

/// Streams of one session that its limit of data holds back. Each is woken once.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    waiting: BTreeMap<Turn, StreamId>,
    next: u64,
}

impl Waiters {
    /// A stream waits. `served`: it got something now.
    pub(crate) fn add(&mut self, stream: StreamId, served: bool) -> Turn {
        let turn = (served, self.next);
        self.next += 1;
        self.waiting.insert(turn, stream);
        turn
    }

    /// A stream waits no longer.
    pub(crate) fn remove(&mut self, turn: Turn) {
        self.waiting.remove(&turn);
    }

    /// All of them, in the order of their turns.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = StreamId> + use<> {
        std::mem::take(&mut self.waiting).into_values()
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
    /// Bytes of the whole preface, which session flow control does not count (§5.3).
    pub(crate) header: u64,
    /// Bytes written that session flow control counts.
    pub(crate) charged: u64,
    /// Waits for credit of the session.
    pub(crate) turn: Option<Turn>,
    /// What must arrive even if the stream is reset, in bytes: the preface (§4.4) and what was committed.
    pub(crate) reliable: u64,
    /// Finish it as soon as the preface is out.
    pub(crate) finishing: bool,
    /// Finished: the acknowledgment is worth an event.
    pub(crate) finished: bool,
}

/// The receiving side of a stream, as session flow control counts it: in bytes without the preface.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Receiving {
    /// Bytes of the preface as the peer sent it.
    pub(crate) header: u64,
    pub(crate) received: u64,
    pub(crate) consumed: u64,
}

/// A stream of a session. Gone when both sides are.
#[derive(Debug)]
pub(crate) struct WtStream {
    pub(crate) session: SessionId,
    pub(crate) sending: Option<Sending>,
    pub(crate) receiving: Option<Receiving>,
}

impl WtStream {
    /// Both sides are over.
    pub(crate) fn is_over(&self) -> bool {
        self.sending.is_none() && self.receiving.is_none()
    }
}

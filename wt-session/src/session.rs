//! The state of one session and of one of its streams.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use h3_core::{RequestHead, capsule::CapsuleReader};
use quic_core::{Dir, Priority, StreamId, base::varint};

use crate::{
    dialect::Dialect,
    event::{RequestId, SessionId},
    flow::{Flow, FlowMessage, FlowViolation},
};

/// The signal at the start of a bidirectional stream (§4.3).
const SIGNAL_BIDI: u64 = 0x41;
/// The type of a unidirectional stream (§4.2).
const TYPE_UNI: u64 = 0x54;

#[derive(Debug)]
pub(crate) enum State {
    /// Server: the request arrived with this priority, the client's SETTINGS have not (§3.1).
    AwaitingSettings(Box<RequestHead>, Priority),
    /// Server: the application has yet to decide.
    Undecided,
    /// Client: the CONNECT was sent.
    Requested,
    /// Established.
    Open,
    /// `Closed` was emitted; the peer has not ended its side of the CONNECT stream.
    Ended {
        /// A capsule of the peer ended it, after which no byte may follow (§6).
        by_peer: bool,
    },
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) state: State,
    pub(crate) dialect: Dialect,
    pub(crate) why: String,
    pub(crate) reader: CapsuleReader,
    /// Capsules that HTTP/3 has not taken yet: at most a drain, a close and one flow control capsule.
    pub(crate) out: VecDeque<Bytes>,
    /// Whether to end the CONNECT stream after them.
    pub(crate) fin: bool,
    /// The code with which the peer stopped reading the CONNECT stream.
    pub(crate) stopped: Option<u64>,
    pub(crate) drain_sent: bool,
    pub(crate) drain_reported: bool,
    /// Client: the application protocols that it offered.
    pub(crate) offered: Vec<String>,
    /// Client: the ID of its request.
    pub(crate) request: Option<RequestId>,
    /// Its flow control, if that is in force and the session is not over.
    pub(crate) flow: Option<Box<Flow>>,
    /// The peer broke flow control; the session must be ended.
    pub(crate) fault: Option<FlowViolation>,
    /// Whether it is on the list of sessions with something to send.
    pub(crate) dirty: bool,
    /// Streams that the session's data limit blocks.
    pub(crate) waiters: Waiters,
    /// How many streams of the peer are open.
    pub(crate) peer_streams: usize,
    /// The newest priority that the client asked for, if an event of the change is queued.
    pub(crate) ranked: Option<Priority>,
    /// How many of its datagrams are in the event queue.
    pub(crate) queued_datagrams: usize,
    /// How many of its datagrams found no room there.
    pub(crate) dropped_datagrams: u64,
    /// The prefaces of own streams, indexed by `Dir`.
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
            drain_reported: false,
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

    /// Whether a GOAWAY must wait until the session is over. As long as the client's SETTINGS are missing,
    /// this is unknown, so it must wait too.
    pub(crate) fn delays_goaway(&self) -> bool {
        matches!(self.state, State::AwaitingSettings(..)) || !self.dialect.survives_goaway()
    }

    /// The next flow control message for the peer, while the session is open.
    pub(crate) fn take_message(&mut self) -> Option<FlowMessage> {
        if self.is_open() { self.flow.as_mut()?.take_message() } else { None }
    }
}

/// The place of a stream among the blocked ones: first those that could write nothing last time, then the
/// others, each group in order of arrival. So every stream gets its turn, however little credit arrives at a
/// time.
pub(crate) type Turn = (bool, u64);

/// The streams of one session that its data limit blocks. Each is woken once.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    waiting: BTreeMap<Turn, StreamId>,
    next: u64,
}

impl Waiters {
    /// Adds a stream. `served` says that it could write something now.
    pub(crate) fn add(&mut self, stream: StreamId, served: bool) -> Turn {
        let turn = (served, self.next);
        self.next += 1;
        self.waiting.insert(turn, stream);
        turn
    }

    /// Removes a stream.
    pub(crate) fn remove(&mut self, turn: Turn) {
        self.waiting.remove(&turn);
    }

    /// Removes all of them, in the order of their turns.
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
    /// The part of the preface that the transport has not taken yet.
    pub(crate) preface: Bytes,
    /// The length of the whole preface in bytes, which session flow control does not count (§5.3).
    pub(crate) header: u64,
    /// How many written bytes session flow control counts.
    pub(crate) charged: u64,
    /// Its place while it waits for the session's credit.
    pub(crate) turn: Option<Turn>,
    /// How many bytes must arrive even if the stream is reset: the preface (§4.4) and committed data.
    pub(crate) reliable: u64,
    /// Whether to finish it once the preface is written.
    pub(crate) finishing: bool,
    /// Whether it is finished: then its acknowledgment makes an event.
    pub(crate) finished: bool,
}

/// The receiving side of a stream, as session flow control counts it: in bytes without the preface.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Receiving {
    /// The length of the preface as the peer sent it, in bytes.
    pub(crate) header: u64,
    pub(crate) received: u64,
    pub(crate) consumed: u64,
}

/// A stream of a session. It is removed when both sides are over.
#[derive(Debug)]
pub(crate) struct WtStream {
    pub(crate) session: SessionId,
    pub(crate) sending: Option<Sending>,
    pub(crate) receiving: Option<Receiving>,
}

impl WtStream {
    /// Whether both sides are over.
    pub(crate) fn is_over(&self) -> bool {
        self.sending.is_none() && self.receiving.is_none()
    }
}

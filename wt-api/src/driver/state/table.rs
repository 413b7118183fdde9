//! What the driver knows of a session: the box it shares with the handles, and what waits on the connection.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    hash::BuildHasherDefault,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use quic_core::{Priority, StreamId, StreamIdHasher, base::Timestamp};
use wt_session::{RequestId, SessionId};

use crate::{
    close::{CloseInfo, CloseOutcome},
    error::WebTransportError,
    mailbox::{Command, OutgoingDatagram, SessionBox, StreamCounts, UnreadBytes},
};

/// A session and what waits on it.
#[derive(Debug)]
pub(crate) struct SessionEntry {
    pub(crate) shared: Arc<SessionBox>,
    /// What a client asked for, until it is answered.
    pub(crate) request: Option<RequestId>,
    /// It came to a connection that stood already.
    pub(crate) joined: bool,
    /// The session's name, once it has one.
    pub(crate) id: Option<SessionId>,
    pub(crate) established: bool,
    /// How urgent its client says it is.
    pub(crate) urgency: u8,
    /// Streams that were claimed and are open, or were, and how many handles may claim, by kind.
    pub(crate) claimed: [u64; 2],
    pub(crate) permitted: [u64; 2],
    /// What it has dropped and expired counts among that of sessions that are over.
    pub(crate) retired: bool,
    /// Counted among the server's sessions.
    pub(crate) counted: bool,
    pub(crate) phase: Phase,
    /// When the choreography of a close goes on.
    pub(crate) alarm: Option<Timestamp>,
    /// Finished streams whose data is not acknowledged yet.
    pub(crate) finishing: usize,
    /// How far they had come when that last changed, and when it did; until when the close waits for more at most.
    pub(crate) progress: Progress,
    pub(crate) progressed: Timestamp,
    pub(crate) hold_until: Timestamp,
    /// Received bytes of streams that the application has not taken; counted with session flow control alone.
    pub(crate) held: Arc<UnreadBytes>,
    /// What the peer's fields cost, in bytes: the application can ask for them as long as the session lasts.
    pub(crate) fields: usize,
    /// Streams whose boxes are full: there is more where it came from.
    pub(crate) full: BTreeSet<StreamId>,
    pub(crate) datagrams_out: VecDeque<OutgoingDatagram>,
    /// Those that QUIC held when it was last looked at.
    pub(crate) datagrams_below: usize,
    /// The age that QUIC knows for them.
    pub(crate) datagram_age: Option<Duration>,
    pub(crate) datagrams_in: Vec<Bytes>,
    /// Empty between turns.
    pub(crate) commands: Vec<Command>,
    /// Sums over the streams that are over, by group.
    pub(crate) groups: BTreeMap<u32, StreamCounts>,
}

/// How far the finished streams of a session have come: how many are left, and how many of their bytes are acknowledged. It
/// changes with what the peer acknowledges alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) streams: usize,
    pub(crate) acknowledged: u64,
}

/// How far the end has come.
#[derive(Debug)]
pub(crate) enum Phase {
    Open,
    /// The application closed; data of finished streams is still on its way.
    Holding(CloseInfo),
    /// This side has closed; the peer has not said that it knows.
    Closing(CloseInfo),
    /// The peer has closed; it is to end the connection.
    Closed,
    /// Both sides have ended, and the peer may not know of this side's end yet.
    Ended,
}

/// What a field costs beside its text: its place in the table, which may be twice as large as what is in it, and the
/// allocations of name and value.
const FIELD_COST: usize = 256;

/// What it costs to keep these fields, in bytes.
pub(crate) fn cost_of(fields: &HeaderMap) -> usize {
    fields.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_COST).sum()
}

/// What a name costs beside its text: its place in a list, which may be twice as long as what is in it, and its allocation.
const NAME_COST: usize = 64;

/// What it costs to keep a request, in bytes. The protocols that it offers are held as names of their own, beside the field
/// that offers them: three bytes of that can be one.
pub(crate) fn cost_of_request(request: &wt_session::SessionRequest) -> usize {
    let names: usize = request.protocols.iter().map(|name| name.len() + NAME_COST).sum();
    let texts = request.path.as_str().len() + request.origin.as_ref().map_or(0, String::len);
    cost_of(&request.headers) + names + texts
}

impl SessionEntry {
    pub(crate) fn new(shared: Arc<SessionBox>) -> Self {
        Self {
            shared,
            request: None,
            joined: false,
            id: None,
            established: false,
            urgency: Priority::default().urgency,
            claimed: [0; 2],
            permitted: [0; 2],
            retired: false,
            counted: false,
            phase: Phase::Open,
            alarm: None,
            finishing: 0,
            progress: Progress::default(),
            progressed: Timestamp::ORIGIN,
            hold_until: Timestamp::ORIGIN,
            held: Arc::default(),
            fields: 0,
            full: BTreeSet::new(),
            datagrams_out: VecDeque::new(),
            datagrams_below: 0,
            datagram_age: None,
            datagrams_in: Vec::new(),
            commands: Vec::new(),
            groups: BTreeMap::new(),
        }
    }

    /// Streams may be opened.
    pub(crate) fn is_open(&self) -> bool {
        self.established && matches!(self.phase, Phase::Open)
    }

    /// This side closes, or answers the peer's close, and the peer may not know it yet.
    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Holding(_) | Phase::Closing(_) | Phase::Ended)
    }

    /// Hands the received datagrams over.
    pub(crate) fn deliver_datagrams(&mut self) {
        if !self.datagrams_in.is_empty() {
            self.shared.push_datagrams(&mut self.datagrams_in);
        }
    }

    /// Everybody who waits for the session hears how it ended. If this side had closed it, what the peer made of that will
    /// not be known.
    pub(crate) fn end(self, end: Result<CloseInfo, WebTransportError>) {
        match self.phase {
            Phase::Closing(info) => self.shared.set_closed(info, CloseOutcome::ConnectionLost),
            _ => self.shared.set_end(end),
        }
    }

    /// Gives everything back that another connection will want to know.
    pub(crate) fn hand_back(self) {
        self.shared.hand_back(self.datagrams_out);
    }
}

/// The sessions of a connection, by key and by name.
#[derive(Debug, Default)]
pub(crate) struct SessionTable {
    /// Apart from each other: a map has places for eleven where there is one.
    by_key: BTreeMap<u32, Box<SessionEntry>>,
    keys: HashMap<SessionId, u32, BuildHasherDefault<StreamIdHasher>>,
    next: u32,
    /// Where the next round over all begins.
    turn: u32,
}

impl SessionTable {
    /// Adds a session; its key. The first one has 0.
    pub(crate) fn add(&mut self, entry: SessionEntry) -> u32 {
        let key = self.next;
        self.next = self.next.wrapping_add(1);
        if let Some(id) = entry.id {
            self.keys.insert(id, key);
        }
        self.by_key.insert(key, Box::new(entry));
        key
    }

    pub(crate) fn get(&self, key: u32) -> Option<&SessionEntry> {
        self.by_key.get(&key).map(Box::as_ref)
    }

    pub(crate) fn get_mut(&mut self, key: u32) -> Option<&mut SessionEntry> {
        self.by_key.get_mut(&key).map(Box::as_mut)
    }

    /// The session's request has left: it has its name now.
    pub(crate) fn name(&mut self, request: RequestId, id: SessionId) {
        if let Some((key, entry)) = self.by_key.iter_mut().find(|(_, entry)| entry.request == Some(request)) {
            entry.id = Some(id);
            self.keys.insert(id, *key);
        }
    }

    pub(crate) fn key_of(&self, id: SessionId) -> Option<u32> {
        self.keys.get(&id).copied()
    }

    pub(crate) fn key_of_request(&self, request: RequestId) -> Option<u32> {
        self.by_key.iter().find(|(_, entry)| entry.request == Some(request)).map(|(key, _)| *key)
    }

    pub(crate) fn by_id(&mut self, id: SessionId) -> Option<&mut SessionEntry> {
        let key = self.keys.get(&id)?;
        self.by_key.get_mut(key).map(Box::as_mut)
    }

    /// What is left of a session takes its place.
    pub(crate) fn replace(&mut self, key: u32, rest: SessionEntry) {
        if let Some(id) = rest.id {
            self.keys.insert(id, key);
        }
        self.by_key.insert(key, Box::new(rest));
    }

    pub(crate) fn remove(&mut self, key: u32) -> Option<SessionEntry> {
        let entry = self.by_key.remove(&key)?;
        entry.id.map(|id| self.keys.remove(&id));
        Some(*entry)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    pub(crate) fn keys(&self) -> Vec<u32> {
        self.by_key.keys().copied().collect()
    }

    /// All keys, beginning each time with another one: who comes first gets the last room there is.
    pub(crate) fn round(&mut self) -> Vec<u32> {
        if self.by_key.len() == 1 {
            return self.keys();
        }
        let from = self.turn;
        let keys = self
            .by_key
            .range(from..)
            .chain(self.by_key.range(..from))
            .map(|(key, _)| *key)
            .collect::<Vec<_>>();
        self.turn = keys.first().map_or(0, |first| first.wrapping_add(1));
        keys
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &SessionEntry> {
        self.by_key.values().map(Box::as_ref)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut SessionEntry> {
        self.by_key.values_mut().map(Box::as_mut)
    }

    pub(crate) fn entries_mut(&mut self) -> impl Iterator<Item = (u32, &mut SessionEntry)> {
        self.by_key.iter_mut().map(|(key, entry)| (*key, entry.as_mut()))
    }

    /// The next alarm.
    pub(crate) fn alarm(&self) -> Option<Timestamp> {
        self.by_key.values().filter_map(|entry| entry.alarm).min()
    }

    /// The sessions whose alarms ring, which are off then.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Vec<u32> {
        let due = self.by_key.iter_mut().filter(|(_, entry)| entry.alarm.is_some_and(|at| at <= now));
        due.map(|(key, entry)| {
            entry.alarm = None;
            *key
        })
        .collect()
    }
}

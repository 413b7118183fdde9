//! What the driver knows of a session: the box that it shares with the handles, and what waits for the
//! connection.

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

/// A session and what waits for it.
#[derive(Debug)]
pub(crate) struct SessionEntry {
    pub(crate) shared: Arc<SessionBox>,
    /// A client's request, until it is answered.
    pub(crate) request: Option<RequestId>,
    /// Whether the session joined a connection that existed before.
    pub(crate) joined: bool,
    /// The session's ID, once it has one.
    pub(crate) id: Option<SessionId>,
    pub(crate) established: bool,
    /// The urgency that its client asked for (RFC 9218 §4.1).
    pub(crate) urgency: u8,
    /// By direction: how many claimed streams were opened, and how many the handles may claim.
    pub(crate) claimed: [u64; 2],
    pub(crate) permitted: [u64; 2],
    /// Whether its dropped and expired datagrams are counted with those of sessions that are over.
    pub(crate) retired: bool,
    /// Whether the server counts it among its sessions.
    pub(crate) counted: bool,
    pub(crate) phase: Phase,
    /// When the next step of a close is due.
    pub(crate) alarm: Option<Timestamp>,
    /// Finished streams whose data is not acknowledged yet.
    pub(crate) finishing: usize,
    /// Their progress when it last changed, and when that was; and how long the close waits for more at most.
    pub(crate) progress: Progress,
    pub(crate) progressed: Timestamp,
    pub(crate) hold_until: Timestamp,
    /// Received bytes of streams that the application has not taken. Counted only with session flow control.
    pub(crate) held: Arc<UnreadBytes>,
    /// The memory that the peer's fields take, in bytes. The application can read them while the session lasts.
    pub(crate) fields: usize,
    /// Streams whose boxes are full while QUIC has more data for them.
    pub(crate) full: BTreeSet<StreamId>,
    pub(crate) datagrams_out: VecDeque<OutgoingDatagram>,
    /// How many datagrams QUIC held when the driver last looked.
    pub(crate) datagrams_below: usize,
    /// The maximum age that QUIC was told for them.
    pub(crate) datagram_age: Option<Duration>,
    pub(crate) datagrams_in: Vec<Bytes>,
    /// Empty between turns.
    pub(crate) commands: Vec<Command>,
    /// Totals of the streams that are over, by group.
    pub(crate) groups: BTreeMap<u32, StreamCounts>,
}

/// The progress of a session's finished streams: how many are left, and how many of their bytes are
/// acknowledged. Only acknowledgments change it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) streams: usize,
    pub(crate) acknowledged: u64,
}

/// How far the session's end has come.
#[derive(Debug)]
pub(crate) enum Phase {
    Open,
    /// The application closed it. Data of finished streams is still on its way.
    Holding(CloseInfo),
    /// This end has closed it. The peer has not confirmed that.
    Closing(CloseInfo),
    /// The peer has closed it and is expected to end the connection.
    Closed,
    /// Both ends have closed it. The peer may not have received this end's close.
    Ended,
}

/// What a field costs besides its text: its place in a table that may be twice as large as needed, and the
/// allocations of its name and value.
const FIELD_COST: usize = 256;

/// The memory that these fields take, in bytes.
pub(crate) fn cost_of(fields: &HeaderMap) -> usize {
    fields.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_COST).sum()
}

/// What a name costs besides its text: its place in a list that may be twice as long as needed, and its
/// allocation.
const NAME_COST: usize = 64;

/// The memory that a request takes, in bytes. The protocols that it offers are kept as separate names besides
/// the field that offers them, and three bytes of that field can be a whole name.
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

    /// Whether streams may be opened.
    pub(crate) fn is_open(&self) -> bool {
        self.established && matches!(self.phase, Phase::Open)
    }

    /// Whether this end closes the session or answers the peer's close, and the peer may not know that yet.
    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Holding(_) | Phase::Closing(_) | Phase::Ended)
    }

    /// Gives the received datagrams to the application.
    pub(crate) fn deliver_datagrams(&mut self) {
        if !self.datagrams_in.is_empty() {
            self.shared.push_datagrams(&mut self.datagrams_in);
        }
    }

    /// Tells everybody who waits for the session how it ended. If this end had closed it, nobody will know
    /// whether the peer received that.
    pub(crate) fn end(self, end: Result<CloseInfo, WebTransportError>) {
        match self.phase {
            Phase::Closing(info) => self.shared.set_closed(info, CloseOutcome::ConnectionLost),
            _ => self.shared.set_end(end),
        }
    }

    /// Returns what another connection needs to take the session over.
    pub(crate) fn hand_back(self) {
        self.shared.hand_back(self.datagrams_out);
    }
}

/// The sessions of a connection, by key and by ID.
#[derive(Debug, Default)]
pub(crate) struct SessionTable {
    /// Boxed, because a B-tree node has places for eleven entries and most connections have one session.
    by_key: BTreeMap<u32, Box<SessionEntry>>,
    keys: HashMap<SessionId, u32, BuildHasherDefault<StreamIdHasher>>,
    next: u32,
    /// The key at which the next round over all sessions begins.
    turn: u32,
}

impl SessionTable {
    /// Adds a session and returns its key. The first key is 0.
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

    /// The session's request was sent, so it has its ID now.
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

    /// Puts what is left of a session in its place.
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

    /// All keys, starting with another one each time, because the first one gets the room that is left.
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

    /// When the next alarm is due.
    pub(crate) fn alarm(&self) -> Option<Timestamp> {
        self.by_key.values().filter_map(|entry| entry.alarm).min()
    }

    /// The sessions whose alarms are due. The alarms are cleared.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Vec<u32> {
        let due = self.by_key.iter_mut().filter(|(_, entry)| entry.alarm.is_some_and(|at| at <= now));
        due.map(|(key, entry)| {
            entry.alarm = None;
            *key
        })
        .collect()
    }
}

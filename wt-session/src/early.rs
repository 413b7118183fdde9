//! Keeps streams and datagrams that arrived before their session (§4.6), within bounds, until the session is
//! decided.
//!
//! It owns IDs of streams and payloads of datagrams. It must never know the states of sessions. Beyond the
//! bounds it drops datagrams and tells the caller to refuse streams.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::RangeBounds,
    time::Duration,
};

use bytes::Bytes;
use quic_core::{Dir, StreamId, StreamMap, base::Timestamp};

use crate::event::SessionId;

/// For how many sessions refused streams are counted.
const MAX_REFUSED: usize = 64;
/// The least time between two searches for expired entries, since each search looks at all entries.
const SEARCH_INTERVAL: Duration = Duration::from_secs(1);

/// A stream that arrived before its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EarlyStream {
    pub(crate) stream: StreamId,
    /// The code of a `STOP_SENDING` that arrived meanwhile.
    pub(crate) stopped: Option<u64>,
}

/// A stream that waits for its session, and its deadline.
#[derive(Debug)]
struct WaitingStream {
    stream: StreamId,
    until: Option<Timestamp>,
}

/// A datagram that waits for its session, and its deadline.
#[derive(Debug)]
struct WaitingDatagram {
    session: SessionId,
    payload: Bytes,
    until: Option<Timestamp>,
}

#[derive(Debug)]
pub(crate) struct Early {
    /// The streams by session, in order of arrival.
    streams: BTreeMap<(SessionId, u64), WaitingStream>,
    /// The same streams, each with the code of its `STOP_SENDING`, if one arrived.
    stopped: StreamMap<Option<u64>>,
    /// How many streams were kept so far.
    arrived: u64,
    datagrams: VecDeque<WaitingDatagram>,
    bytes: usize,
    /// When to search for expired entries.
    search_at: Option<Timestamp>,
    max_streams: usize,
    max_datagrams: usize,
    max_bytes: usize,
    /// Refused streams by session: flow control counts them, since the peer has opened them.
    refused: Vec<Refused>,
}

/// The refused streams of a session.
#[derive(Debug)]
struct Refused {
    session: SessionId,
    /// How many, indexed by `Dir`.
    streams: [u64; 2],
    /// The bytes, without prefaces, of those whose final size is known.
    bytes: u64,
}

/// What arrived before a session.
#[derive(Debug, Default)]
pub(crate) struct EarlyArrivals {
    pub(crate) streams: Vec<EarlyStream>,
    pub(crate) datagrams: Vec<Bytes>,
    /// How many further streams were refused, indexed by `Dir`.
    pub(crate) refused: [u64; 2],
    /// The bytes of the refused streams.
    pub(crate) dropped: u64,
}

impl Early {
    pub(crate) fn new(max_streams: usize, max_datagrams: usize, max_bytes: usize) -> Self {
        Self {
            streams: BTreeMap::new(),
            stopped: StreamMap::default(),
            arrived: 0,
            datagrams: VecDeque::new(),
            bytes: 0,
            search_at: None,
            max_streams,
            max_datagrams,
            max_bytes,
            refused: Vec::new(),
        }
    }

    /// Keeps a stream for its session, at most until `until`. Returns false if there is no room.
    pub(crate) fn keep_stream(
        &mut self,
        session: SessionId,
        stream: StreamId,
        until: Option<Timestamp>,
    ) -> bool {
        let room = self.streams.len() < self.max_streams;
        if room {
            self.search_no_later(until);
            self.streams.insert((session, self.arrived), WaitingStream { stream, until });
            self.stopped.insert(stream, None);
            self.arrived += 1;
        } else {
            self.count_refused(session, stream.dir());
        }
        room
    }

    /// Counts a stream of this session that was refused.
    pub(crate) fn count_refused(&mut self, session: SessionId, dir: Dir) {
        let known = self.refused.iter_mut().find(|refused| refused.session == session);
        if let Some(refused) = known {
            refused.streams[dir as usize] += 1;
        } else if self.refused.len() < MAX_REFUSED {
            let mut streams = [0; 2];
            streams[dir as usize] = 1;
            self.refused.push(Refused { session, streams, bytes: 0 });
        }
    }

    /// Counts the final size of a refused stream, in bytes without its preface.
    pub(crate) fn on_discarded(&mut self, session: SessionId, bytes: u64) {
        if let Some(refused) = self.refused.iter_mut().find(|refused| refused.session == session) {
            refused.bytes = refused.bytes.saturating_add(bytes);
        }
    }

    /// Keeps a datagram for its session, at most until `until`, or drops it if there is no room.
    pub(crate) fn keep_datagram(&mut self, session: SessionId, payload: Bytes, until: Option<Timestamp>) {
        let room = self.datagrams.len() < self.max_datagrams
            && self.bytes.saturating_add(payload.len()) <= self.max_bytes;
        if room {
            self.bytes += payload.len();
            self.search_no_later(until);
            self.datagrams.push_back(WaitingDatagram { session, payload, until });
        }
    }

    fn search_no_later(&mut self, until: Option<Timestamp>) {
        self.search_at = [self.search_at, until].into_iter().flatten().min();
    }

    /// When [`expire`](Self::expire) is due.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.search_at
    }

    /// Removes and returns the expired streams with their sessions, and drops the expired datagrams. An entry
    /// stays if `more` returns a later deadline for its session.
    pub(crate) fn expire(
        &mut self,
        now: Timestamp,
        more: impl Fn(SessionId) -> Option<Timestamp>,
    ) -> Vec<(SessionId, EarlyStream)> {
        if self.search_at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        let mut next: Option<Timestamp> = None;
        let mut stays = |session: SessionId, until: &mut Option<Timestamp>| {
            if until.is_some_and(|until| until <= now) {
                let Some(later) = more(session) else { return false };
                *until = Some(later);
            }
            next = [next, *until].into_iter().flatten().min();
            true
        };
        self.datagrams.retain_mut(|waiting| stays(waiting.session, &mut waiting.until));
        let late: Vec<_> = self
            .streams
            .iter_mut()
            .filter_map(|(turn, waiting)| (!stays(turn.0, &mut waiting.until)).then_some(*turn))
            .collect();
        self.bytes = self.datagrams.iter().map(|waiting| waiting.payload.len()).sum();
        self.search_at = next.map(|next| next.max(now + SEARCH_INTERVAL));
        let sessions: Vec<_> = late.iter().map(|turn| turn.0).collect();
        sessions.into_iter().zip(self.remove(&late)).collect()
    }

    /// The streams that wait for `session`, in order of arrival.
    pub(crate) fn streams_of(&self, session: SessionId) -> impl Iterator<Item = StreamId> {
        self.streams.range((session, 0)..=(session, u64::MAX)).map(|(_, waiting)| waiting.stream)
    }

    /// Whether this stream waits for its session.
    pub(crate) fn holds(&self, stream: StreamId) -> bool {
        self.stopped.contains_key(&stream)
    }

    /// Records the peer's `STOP_SENDING` if the stream is kept here.
    pub(crate) fn on_stopped(&mut self, stream: StreamId, code: u64) {
        if let Some(stopped) = self.stopped.get_mut(&stream) {
            *stopped = Some(code);
        }
    }

    /// Whether nothing waits and nothing is counted, which is the usual case.
    pub(crate) fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.datagrams.is_empty() && self.refused.is_empty()
    }

    /// Removes and returns what waits for `session`, in order of arrival.
    pub(crate) fn take(&mut self, session: SessionId) -> EarlyArrivals {
        let streams = self.take_streams((session, 0)..=(session, u64::MAX));
        let datagrams = self.take_datagrams(|of| of == session);
        let refused = self.refused.extract_if(.., |refused| refused.session == session).next();
        let (refused, dropped) = refused.map_or_else(Default::default, |all| (all.streams, all.bytes));
        EarlyArrivals { streams, datagrams, refused, dropped }
    }

    /// Removes what waits for `first` and all later sessions, which will never exist, and returns the
    /// streams.
    pub(crate) fn take_from(&mut self, first: SessionId) -> Vec<EarlyStream> {
        self.take_datagrams(|of| of >= first);
        self.refused.retain(|refused| refused.session < first);
        self.take_streams((first, 0)..)
    }

    fn take_streams(&mut self, which: impl RangeBounds<(SessionId, u64)>) -> Vec<EarlyStream> {
        let turns: Vec<_> = self.streams.range(which).map(|(turn, _)| *turn).collect();
        self.remove(&turns)
    }

    fn remove(&mut self, turns: &[(SessionId, u64)]) -> Vec<EarlyStream> {
        let taken = turns.iter().filter_map(|turn| self.streams.remove(turn));
        let streams = taken
            .map(|WaitingStream { stream, .. }| EarlyStream {
                stream,
                stopped: self.stopped.remove(&stream).flatten(),
            })
            .collect();
        if self.stopped.is_empty() {
            // This frees the memory of a burst.
            self.stopped = StreamMap::default();
        }
        self.reset_if_empty();
        streams
    }

    /// Stops the search and frees memory if nothing waits.
    fn reset_if_empty(&mut self) {
        if self.streams.is_empty() && self.datagrams.is_empty() {
            self.search_at = None;
            self.datagrams = VecDeque::new();
        }
    }

    fn take_datagrams(&mut self, which: impl Fn(SessionId) -> bool) -> Vec<Bytes> {
        let mut taken = Vec::new();
        self.datagrams.retain(|waiting| {
            let leaves = which(waiting.session);
            if leaves {
                taken.push(waiting.payload.clone());
            }
            !leaves
        });
        self.bytes -= taken.iter().map(Bytes::len).sum::<usize>();
        self.reset_if_empty();
        taken
    }

    /// How many streams and datagrams wait now.
    pub(crate) fn len(&self) -> (usize, usize) {
        (self.streams.len(), self.datagrams.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quic_core::Side;

    fn session(index: u64) -> SessionId {
        SessionId(StreamId::new(Side::Client, Dir::Bidi, index))
    }

    fn stream(index: u64) -> StreamId {
        StreamId::new(Side::Client, Dir::Uni, index)
    }

    #[test]
    fn bounds_are_filled_and_not_passed() {
        let mut early = Early::new(2, 3, 10);
        assert!(early.keep_stream(session(0), stream(1), None));
        assert!(early.keep_stream(session(1), stream(2), None));
        assert!(!early.keep_stream(session(0), stream(3), None));
        for size in [4, 7, 6, 0, 0] {
            early.keep_datagram(session(size as u64 % 2), Bytes::from(vec![0; size]), None);
        }
        // 4 bytes fit, 7 do not, 6 fill the bytes, and an empty datagram fills the count.
        assert_eq!(early.len(), (2, 3));
        early.on_discarded(session(0), 5);
        early.on_discarded(session(1), 6);
        early.on_discarded(session(0), 7);
        let EarlyArrivals { streams, datagrams, refused, dropped } = early.take(session(0));
        assert_eq!((refused, dropped), ([0, 1], 12));
        assert_eq!(streams.iter().map(|early| early.stream).collect::<Vec<_>>(), [stream(1)]);
        assert_eq!(datagrams.iter().map(Bytes::len).collect::<Vec<_>>(), [4, 6, 0]);
        assert_eq!(early.len(), (1, 0));
        // Removal makes room again.
        early.keep_datagram(session(1), Bytes::from(vec![0; 10]), None);
        assert_eq!(early.len(), (1, 1));
        assert!(early.keep_stream(session(0), stream(3), None));
        // Refused streams are counted for a bounded number of sessions.
        for index in 0..1000 {
            assert!(!early.keep_stream(session(index), stream(10 + index), None));
        }
        assert_eq!(early.refused.len(), 64);
    }

    #[test]
    fn expired_entries_go_and_extended_ones_stay() {
        let at = |seconds| Timestamp::ORIGIN + Duration::from_secs(seconds);
        let mut early = Early::new(10_000, 10_000, 1 << 20);
        // A hundred streams a second; every other one is of a session with an extended deadline, and one has
        // no deadline.
        for n in 0..1000 {
            let until = Some(at(30) + Duration::from_millis(10 * n));
            assert!(early.keep_stream(session(n % 2), stream(n), until));
            early.keep_datagram(session(n % 2), Bytes::from_static(b"ten bytes."), until);
        }
        assert!(early.keep_stream(session(2), stream(1000), None));
        let more = |of: SessionId| (of == session(1)).then(|| at(100));
        assert!(early.expire(at(29), more).is_empty());
        let mut searches = 0;
        let mut gone = Vec::new();
        while let Some(due) = early.deadline().filter(|due| *due < at(100)) {
            gone.extend(early.expire(due, more));
            searches += 1;
        }
        assert_eq!(searches, 11, "at 30 s, and at each second from then on");
        let even: Vec<_> = (0..500).map(|n| (session(0), stream(2 * n))).collect();
        assert_eq!(gone.iter().map(|(of, early)| (*of, early.stream)).collect::<Vec<_>>(), even);
        assert_eq!((early.len(), early.bytes, early.deadline()), ((501, 500), 5_000, Some(at(100))));
        assert_eq!(early.expire(at(200), |_| None).len(), 500);
        assert_eq!((early.len(), early.deadline()), ((1, 0), None));
    }
}

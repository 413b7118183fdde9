//! Streams and datagrams that came before their session (§4.6): kept, within bounds, until it is decided.
//!
//! It owns names of streams and payloads of datagrams. It must never know sessions' states. What is over the bounds
//! is given back to the caller: a stream to be refused, a datagram to be dropped.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::RangeBounds,
};

use bytes::Bytes;
use quic_core::{Dir, StreamId, StreamMap};

use crate::SessionId;

/// Sessions whose refused streams are counted.
const MAX_REFUSED: usize = 64;

/// A stream that waited for its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EarlyStream {
    pub(crate) stream: StreamId,
    /// The peer asked to stop in the meantime, with this code.
    pub(crate) stopped: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Early {
    /// By session, in the order in which they came.
    streams: BTreeMap<(SessionId, u64), StreamId>,
    /// The same streams, and with which code the peer asked to stop each, if it did.
    stopped: StreamMap<Option<u64>>,
    /// Streams that came so far.
    came: u64,
    datagrams: VecDeque<(SessionId, Bytes)>,
    bytes: usize,
    max_streams: usize,
    max_datagrams: usize,
    max_bytes: usize,
    /// Streams that found no room, by session: the peer counts them among those that it opened.
    refused: Vec<Refused>,
}

/// Streams of a session that found no room.
#[derive(Debug)]
struct Refused {
    session: SessionId,
    /// How many, by `Dir`.
    streams: [u64; 2],
    /// The bytes, without prefaces, of those whose final size has come.
    bytes: u64,
}

/// What waited for a session.
#[derive(Debug, Default)]
pub(crate) struct Waited {
    pub(crate) streams: Vec<EarlyStream>,
    pub(crate) datagrams: Vec<Bytes>,
    /// How many more streams were refused, by `Dir`.
    pub(crate) refused: [u64; 2],
    /// Bytes of these.
    pub(crate) dropped: u64,
}

impl Early {
    pub(crate) fn new(max_streams: usize, max_datagrams: usize, max_bytes: usize) -> Self {
        Self {
            streams: BTreeMap::new(),
            stopped: StreamMap::default(),
            came: 0,
            datagrams: VecDeque::new(),
            bytes: 0,
            max_streams,
            max_datagrams,
            max_bytes,
            refused: Vec::new(),
        }
    }

    /// Keeps a stream; false if there is no room.
    pub(crate) fn keep_stream(&mut self, session: SessionId, stream: StreamId) -> bool {
        let room = self.streams.len() < self.max_streams;
        if room {
            self.streams.insert((session, self.came), stream);
            self.stopped.insert(stream, None);
            self.came += 1;
        } else {
            self.count_refused(session, stream.dir());
        }
        room
    }

    fn count_refused(&mut self, session: SessionId, dir: Dir) {
        let known = self.refused.iter_mut().find(|refused| refused.session == session);
        if let Some(refused) = known {
            refused.streams[dir as usize] += 1;
        } else if self.refused.len() < MAX_REFUSED {
            let mut streams = [0; 2];
            streams[dir as usize] = 1;
            self.refused.push(Refused { session, streams, bytes: 0 });
        }
    }

    /// The final size of a stream that found no room, in bytes without its preface.
    pub(crate) fn on_discarded(&mut self, session: SessionId, bytes: u64) {
        if let Some(refused) = self.refused.iter_mut().find(|refused| refused.session == session) {
            refused.bytes = refused.bytes.saturating_add(bytes);
        }
    }

    /// Keeps a datagram, or drops it if there is no room.
    pub(crate) fn keep_datagram(&mut self, session: SessionId, payload: Bytes) {
        let room = self.datagrams.len() < self.max_datagrams
            && self.bytes.saturating_add(payload.len()) <= self.max_bytes;
        if room {
            self.bytes += payload.len();
            self.datagrams.push_back((session, payload));
        }
    }

    /// Whether this stream waits here.
    pub(crate) fn holds(&self, stream: StreamId) -> bool {
        self.stopped.contains_key(&stream)
    }

    /// The peer asked to stop a stream; nothing if it is not kept here.
    pub(crate) fn on_stopped(&mut self, stream: StreamId, code: u64) {
        if let Some(stopped) = self.stopped.get_mut(&stream) {
            *stopped = Some(code);
        }
    }

    /// Takes out what waited for `session`, in the order in which it came.
    pub(crate) fn take(&mut self, session: SessionId) -> Waited {
        let streams = self.take_streams((session, 0)..=(session, u64::MAX));
        let datagrams = self.take_datagrams(|of| of == session);
        let refused = self.refused.extract_if(.., |refused| refused.session == session).next();
        let (refused, dropped) = refused.map_or_else(Default::default, |all| (all.streams, all.bytes));
        Waited { streams, datagrams, refused, dropped }
    }

    /// Takes out what waits for sessions from this one on, none of which will ever be: the streams.
    pub(crate) fn take_from(&mut self, first: SessionId) -> Vec<EarlyStream> {
        self.take_datagrams(|of| of >= first);
        self.refused.retain(|refused| refused.session < first);
        self.take_streams((first, 0)..)
    }

    fn take_streams(&mut self, which: impl RangeBounds<(SessionId, u64)>) -> Vec<EarlyStream> {
        let turns: Vec<_> = self.streams.range(which).map(|(turn, _)| *turn).collect();
        let taken = turns.iter().filter_map(|turn| self.streams.remove(turn));
        let streams = taken
            .map(|stream| EarlyStream { stream, stopped: self.stopped.remove(&stream).flatten() })
            .collect();
        if self.stopped.is_empty() {
            // After a burst it is to be small again.
            self.stopped = StreamMap::default();
        }
        streams
    }

    fn take_datagrams(&mut self, which: impl Fn(SessionId) -> bool) -> Vec<Bytes> {
        let mut taken = Vec::new();
        self.datagrams.retain(|(of, payload)| {
            let leaves = which(*of);
            if leaves {
                taken.push(payload.clone());
            }
            !leaves
        });
        self.bytes -= taken.iter().map(Bytes::len).sum::<usize>();
        taken
    }

    /// Streams and datagrams kept now.
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
        assert!(early.keep_stream(session(0), stream(1)));
        assert!(early.keep_stream(session(1), stream(2)));
        assert!(!early.keep_stream(session(0), stream(3)));
        for size in [4, 7, 6, 0, 0] {
            early.keep_datagram(session(size as u64 % 2), Bytes::from(vec![0; size]));
        }
        // 4 fits, 7 does not, 6 fills the bytes, one empty one fills the count.
        assert_eq!(early.len(), (2, 3));
        early.on_discarded(session(0), 5);
        early.on_discarded(session(1), 6);
        early.on_discarded(session(0), 7);
        let Waited { streams, datagrams, refused, dropped } = early.take(session(0));
        assert_eq!((refused, dropped), ([0, 1], 12));
        assert_eq!(streams.iter().map(|early| early.stream).collect::<Vec<_>>(), [stream(1)]);
        assert_eq!(datagrams.iter().map(Bytes::len).collect::<Vec<_>>(), [4, 6, 0]);
        assert_eq!(early.len(), (1, 0));
        // What was taken out makes room again.
        early.keep_datagram(session(1), Bytes::from(vec![0; 10]));
        assert_eq!(early.len(), (1, 1));
        assert!(early.keep_stream(session(0), stream(3)));
    }
}

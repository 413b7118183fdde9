//! One end of the in-memory connection.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::{Buf, Bytes, BytesMut};
use quic_core::{
    DatagramOptions, Dir, Event, Priority, Side, StreamId, StreamTag,
    error::call::{DatagramError, Read, ReadError, WriteError},
};

use crate::transport::Transport;

/// The sending half of a stream.
#[derive(Debug, Default)]
pub(super) struct Send {
    pub(super) queue: BytesMut,
    pub(super) written: u64,
    pub(super) finished: bool,
    pub(super) reset: Option<(u64, u64)>,
    pub(super) stopped: Option<u64>,
    pub(super) delivered: u64,
    pub(super) end_delivered: bool,
    pub(super) blocked: bool,
    /// The reset that answers a stop has not left: this end gets the event of the stop first.
    pub(super) answering: bool,
}

/// The receiving half of a stream.
#[derive(Debug, Default)]
pub(super) struct Recv {
    pub(super) queue: BytesMut,
    pub(super) received: u64,
    pub(super) read: u64,
    pub(super) finished: bool,
    pub(super) reset: Option<u64>,
    pub(super) stop: Option<u64>,
    pub(super) stop_delivered: bool,
    pub(super) closed: bool,
    /// The stream was closed, and its end or reset has arrived.
    pub(super) over: bool,
}

/// One stream as one end sees it.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) send: Option<Send>,
    pub(super) recv: Option<Recv>,
    pub(super) tag: StreamTag,
    pub(super) priority: Option<Priority>,
    pub(super) handed_over: bool,
}

/// One end of the connection.
#[derive(Debug)]
pub struct End {
    pub(super) side: Side,
    pub(super) streams: BTreeMap<StreamId, Stream>,
    /// For each stream whose reset and stop are held back, the stream that they wait for.
    pub(super) held: BTreeMap<StreamId, StreamId>,
    pub(super) opened: [u64; 2],
    pub(super) remote_opened: [u64; 2],
    /// Streams of the peer that a later one opened implicitly and that received nothing yet.
    pub(super) implicit: BTreeSet<StreamId>,
    pub(super) datagrams_out: VecDeque<Bytes>,
    pub(super) datagrams_in: VecDeque<Bytes>,
    /// How many streams the peer may open: bidirectional, unidirectional.
    pub grants: [u64; 2],
    /// How many streams this end may open; each delivery copies the peer's `grants`.
    pub(super) limits: [u64; 2],
    /// How many written and undelivered bytes one stream may have.
    pub window: u64,
    /// The peer's limit of each stream, in bytes. Only [`End::write_within_limit`] and
    /// [`Transport::send_credit`] obey it.
    pub stream_limit: u64,
    /// [`Transport::withholds_credit`] is true when the streams that were handed over have this many unread
    /// bytes together. It limits nothing.
    pub receive_window: u64,
    /// Streams of which nothing leaves this end.
    pub stalled: BTreeSet<StreamId>,
    /// Streams that act as if bytes were missing, although their ends have arrived.
    pub holes: BTreeSet<StreamId>,
    /// The largest datagram; `None` refuses them.
    pub max_datagram: Option<usize>,
    /// The options of the last datagram sent.
    pub datagram_options: Option<DatagramOptions>,
    /// Whether the peer supports `RESET_STREAM_AT`.
    pub reset_stream_at: bool,
    /// Events for this end, oldest first.
    pub events: VecDeque<Event>,
    /// The code and reason with which this end closed the connection.
    pub closed: Option<(u64, Vec<u8>)>,
    /// Bytes that arrived for streams after they were closed.
    pub(super) dropped: u64,
    /// How many times [`Transport::close`] was called.
    pub closes: usize,
}

impl End {
    pub(super) fn new(side: Side) -> Self {
        Self {
            side,
            streams: BTreeMap::new(),
            held: BTreeMap::new(),
            opened: [0; 2],
            remote_opened: [0; 2],
            implicit: BTreeSet::new(),
            datagrams_out: VecDeque::new(),
            datagrams_in: VecDeque::new(),
            grants: [100; 2],
            limits: [100; 2],
            window: 1 << 20,
            stream_limit: u64::MAX,
            receive_window: u64::MAX,
            stalled: BTreeSet::new(),
            holes: BTreeSet::new(),
            max_datagram: Some(1200),
            datagram_options: None,
            reset_stream_at: true,
            events: VecDeque::new(),
            closed: None,
            dropped: 0,
            closes: 0,
        }
    }

    pub(super) fn stream(&mut self, id: StreamId) -> &mut Stream {
        let side = self.side;
        self.streams.entry(id).or_insert_with(|| {
            let both = id.dir() == Dir::Bidi;
            Stream {
                send: (both || id.initiator() == side).then(Send::default),
                recv: (both || id.initiator() != side).then(Recv::default),
                ..Stream::default()
            }
        })
    }

    pub(super) fn is_held(&self, id: StreamId) -> bool {
        let sends = |until| {
            self.streams
                .get(until)
                .and_then(|stream| stream.send.as_ref())
                .is_some_and(|send| !send.end_delivered)
        };
        self.held.get(&id).is_some_and(sends)
    }

    pub(super) fn notify(&mut self, id: StreamId, event: fn(StreamId, StreamTag) -> Event) {
        let tag = self.stream(id).tag;
        self.events.push_back(event(id, tag));
    }

    /// Queues `StreamOpened` when a stream of the peer receives something for the first time.
    pub(super) fn announce(&mut self, id: StreamId) {
        if id.initiator() == self.side {
            return;
        }
        let opened = self.remote_opened[id.dir() as usize];
        if id.index() >= opened {
            let skipped = (opened..id.index()).map(|index| StreamId::new(id.initiator(), id.dir(), index));
            self.implicit.extend(skipped);
            self.remote_opened[id.dir() as usize] = id.index() + 1;
        } else if !self.implicit.remove(&id) {
            return;
        }
        self.stream(id);
        self.events.push_back(Event::StreamOpened(id));
    }

    /// Sets the peer's limit of each stream, in bytes, and unblocks streams.
    pub fn raise_stream_limit(&mut self, limit: u64) {
        self.stream_limit = limit;
        let room =
            |send: &Send| send.blocked && send.written < limit && (send.queue.len() as u64) < self.window;
        let due = |stream: &Stream| stream.send.as_ref().is_some_and(room);
        let ids: Vec<_> = self.streams.iter().filter(|(_, stream)| due(stream)).map(|(id, _)| *id).collect();
        for id in ids {
            if let Some(send) = &mut self.stream(id).send {
                send.blocked = false;
            }
            self.notify(id, Event::StreamWritable);
        }
    }

    /// Writes bytes; for scripts that play a hostile peer.
    ///
    /// # Panics
    /// If the stream does not take all the bytes.
    pub fn push(&mut self, id: StreamId, bytes: &[u8]) {
        let mut data = Bytes::copy_from_slice(bytes);
        self.write(id, &mut data).expect("the script's stream is writable");
        assert!(data.is_empty(), "the script's stream has room");
    }

    /// Reads all available bytes; for scripts.
    pub fn pull(&mut self, id: StreamId) -> Vec<u8> {
        let mut all = Vec::new();
        while let Ok(Read::Data(bytes)) = self.read(id, usize::MAX) {
            all.extend_from_slice(&bytes);
        }
        all
    }

    /// The code of the peer's reset of this stream.
    #[must_use]
    pub fn reset_received(&self, id: StreamId) -> Option<u64> {
        self.streams.get(&id)?.recv.as_ref()?.reset
    }

    /// The code of the peer's `STOP_SENDING`.
    #[must_use]
    pub fn stop_received(&self, id: StreamId) -> Option<u64> {
        self.streams.get(&id)?.send.as_ref()?.stopped
    }

    /// Whether the peer's FIN arrived after all its bytes.
    #[must_use]
    pub fn finish_received(&self, id: StreamId) -> bool {
        self.streams.get(&id).and_then(|stream| stream.recv.as_ref()).is_some_and(|recv| recv.finished)
    }

    /// The priority that was set last.
    #[must_use]
    pub fn priority(&self, id: StreamId) -> Option<Priority> {
        self.streams.get(&id)?.priority
    }

    /// Removes streams whose two sides are done, as a transport does.
    pub fn forget_closed(&mut self) {
        self.streams.retain(|_, stream| {
            let sent = stream.send.as_ref().is_none_or(|send| send.end_delivered);
            let read =
                stream.recv.as_ref().is_none_or(|recv| recv.closed && (recv.stop.is_none() || recv.over));
            !(sent && read)
        });
    }

    /// How many streams this end has.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.streams.len()
    }
}

impl Transport for End {
    fn open(&mut self, dir: Dir) -> Option<StreamId> {
        let index = self.opened[dir as usize];
        if index >= self.limits[dir as usize] {
            return None;
        }
        self.opened[dir as usize] += 1;
        let id = StreamId::new(self.side, dir, index);
        self.stream(id);
        Some(id)
    }

    fn read(&mut self, id: StreamId, max: usize) -> Result<Read, ReadError> {
        let recv =
            self.streams.get_mut(&id).and_then(|stream| stream.recv.as_mut()).ok_or(ReadError::Closed)?;
        if recv.closed || recv.stop.is_some() {
            return Err(ReadError::Closed);
        }
        if let (Some(code), true) = (recv.reset, recv.queue.is_empty()) {
            recv.closed = true;
            return Err(ReadError::Reset(code));
        }
        if recv.queue.is_empty() {
            recv.closed = recv.finished;
            return Ok(if recv.finished { Read::Finished } else { Read::Blocked });
        }
        let part = recv.queue.split_to(max.min(recv.queue.len())).freeze();
        recv.read += part.len() as u64;
        Ok(if part.is_empty() { Read::Blocked } else { Read::Data(part) })
    }

    fn write(&mut self, id: StreamId, data: &mut Bytes) -> Result<usize, WriteError> {
        let window = self.window;
        let send =
            self.streams.get_mut(&id).and_then(|stream| stream.send.as_mut()).ok_or(WriteError::Closed)?;
        if let Some(code) = send.stopped {
            return Err(WriteError::Stopped(code));
        }
        if send.finished || send.reset.is_some() {
            return Err(WriteError::Closed);
        }
        let room = usize::try_from(window).unwrap_or(usize::MAX).saturating_sub(send.queue.len());
        let taken = room.min(data.len());
        send.queue.extend_from_slice(&data[..taken]);
        send.written += taken as u64;
        send.blocked = !data.is_empty() && taken < data.len();
        data.advance(taken);
        Ok(taken)
    }

    fn writable(&mut self, id: StreamId) -> usize {
        let send = self.streams.get(&id).and_then(|stream| stream.send.as_ref());
        let queued = send.filter(|send| !send.finished && send.reset.is_none()).map(|send| send.queue.len());
        let window = usize::try_from(self.window).unwrap_or(usize::MAX);
        queued.map_or(0, |queued| window.saturating_sub(queued))
    }

    fn send_credit(&mut self, id: StreamId) -> u64 {
        let limit = self.stream_limit;
        let send = self.streams.get(&id).and_then(|stream| stream.send.as_ref());
        send.map_or(0, |send| limit.saturating_sub(send.written))
    }

    fn finish(&mut self, id: StreamId) -> Result<(), WriteError> {
        let send =
            self.streams.get_mut(&id).and_then(|stream| stream.send.as_mut()).ok_or(WriteError::Closed)?;
        if let Some(code) = send.stopped {
            return Err(WriteError::Stopped(code));
        }
        if send.finished || send.reset.is_some() {
            return Err(WriteError::Closed);
        }
        send.finished = true;
        Ok(())
    }

    fn reset(&mut self, id: StreamId, code: u64, reliable_size: u64) -> Result<(), WriteError> {
        let reliable = if self.reset_stream_at { reliable_size } else { 0 };
        let send =
            self.streams.get_mut(&id).and_then(|stream| stream.send.as_mut()).ok_or(WriteError::Closed)?;
        if send.reset.is_some() || send.end_delivered {
            return Err(WriteError::Closed);
        }
        let keep = usize::try_from(reliable.saturating_sub(send.delivered)).unwrap_or(usize::MAX);
        send.queue.truncate(keep);
        send.reset = Some((code, reliable));
        Ok(())
    }

    fn stop_sending(&mut self, id: StreamId, code: u64) -> Result<(), ReadError> {
        let recv =
            self.streams.get_mut(&id).and_then(|stream| stream.recv.as_mut()).ok_or(ReadError::Closed)?;
        if recv.closed || recv.stop.is_some() {
            return Err(ReadError::Closed);
        }
        recv.queue.clear();
        recv.stop = Some(code);
        recv.closed = true;
        recv.over = recv.finished || recv.reset.is_some();
        Ok(())
    }

    fn set_priority(&mut self, id: StreamId, priority: Priority) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.priority = Some(priority);
        }
    }

    fn withholds_credit(&self) -> bool {
        let handed_over = self.streams.values().filter(|stream| stream.handed_over);
        let unread =
            handed_over.filter_map(|stream| stream.recv.as_ref()).map(|recv| recv.queue.len() as u64);
        unread.sum::<u64>() >= self.receive_window
    }

    fn stream_limit(&self, initiator: Side, dir: Dir) -> u64 {
        if initiator == self.side { self.limits[dir as usize] } else { self.grants[dir as usize] }
    }

    fn send_datagram(&mut self, data: Bytes, options: DatagramOptions) -> Result<(), DatagramError> {
        let max = self.max_datagram.ok_or(DatagramError::Unsupported)?;
        if data.len() > max {
            return Err(DatagramError::TooLarge { max });
        }
        if self.datagrams_out.len() >= 1000 {
            return Err(DatagramError::Full);
        }
        self.datagram_options = Some(options);
        self.datagrams_out.push_back(data);
        Ok(())
    }

    fn receive_datagram(&mut self) -> Option<Bytes> {
        self.datagrams_in.pop_front()
    }

    fn max_datagram_size(&self) -> Option<usize> {
        self.max_datagram
    }

    fn close(&mut self, code: u64, reason: &[u8]) {
        self.closes += 1;
        self.closed.get_or_insert_with(|| (code, reason.to_vec()));
    }
}

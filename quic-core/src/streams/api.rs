//! The calls of the application on streams.

use std::time::Duration;

use bytes::Bytes;

use super::{
    HELD_STREAM_COST, RECEIVERS, Streams,
    buffered::Buffered,
    recv::{RecvHalf, Taken},
    send::{SendHalf, SendStats, Within},
    table::{STREAM_COST, Stream, pending},
};
use crate::{
    base::{Budget, Timestamp},
    buf::{Held, cost},
    error::call::{Read, ReadError, ReadProgress, WriteError},
    event::{Event, HeldAbove, Priority, StreamTag},
    ids::{Dir, Side, StreamId},
    schedule::{Schedule, Sender},
};

/// How many streams of this end a layer above opens on every connection, with a few to spare.
const USUAL_STREAMS: usize = 8;

/// The counts of a receiving half, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecvStats {
    /// Bytes received without a gap from the start.
    pub(crate) received: u64,
    /// Bytes read by the application.
    pub(crate) read: u64,
    /// One past the highest byte received, or the final size.
    pub(crate) highest: u64,
}

impl Streams {
    /// Permits the peer to have at least `count` streams of a kind open at once.
    pub(crate) fn set_max_streams(&mut self, dir: Dir, count: u64) {
        self.limits.remote(dir).widen(count);
        self.limit_changed = true;
    }

    /// Opens a stream. `None` while the peer's limit permits none; a `StreamsAvailable` event follows then.
    pub(crate) fn open(&mut self, dir: Dir) -> Option<StreamId> {
        let known = self.peer.is_some();
        let index = self.limits.local(dir).next(known)?;
        let id = StreamId::new(self.config.side, dir, index);
        self.enter(id)?;
        self.limits.local(dir).opened = index + 1;
        self.counters.opened_local += 1;
        self.limit_changed |= dir == Dir::Bidi && self.local_receivers.is_multiple_of(RECEIVERS);
        self.local_receivers += usize::from(dir == Dir::Bidi);
        self.local += 1;
        Some(id)
    }

    /// Reads the next bytes in order, at most `max`. `rtt` is the smoothed round-trip time, for auto-tuning.
    pub(crate) fn read(
        &mut self,
        id: StreamId,
        max: usize,
        budget: &mut Budget,
        now: Timestamp,
        rtt: Duration,
    ) -> Result<Read, ReadError> {
        let mut chunk = None;
        let read = self.read_from(id, budget, now, rtt, |recv, budget| match recv.read(max, budget) {
            Taken::Data(bytes) => {
                chunk = Some(bytes);
                Ok(ReadProgress::Full)
            }
            taken => taken.progress(),
        });
        match (chunk, read?) {
            (Some(bytes), _) => Ok(Read::Data(bytes)),
            (None, ReadProgress::Finished) => Ok(Read::Finished),
            (None, _) => Ok(Read::Blocked),
        }
    }

    /// Reads until it has `max` bytes, nothing is left, or the stream ends. Appends the bytes to `chunks`.
    pub(crate) fn read_chunks(
        &mut self,
        id: StreamId,
        max: usize,
        budget: &mut Budget,
        now: Timestamp,
        rtt: Duration,
        chunks: &mut Vec<Bytes>,
    ) -> Result<ReadProgress, ReadError> {
        let mut left = max;
        self.read_from(id, budget, now, rtt, |recv, budget| {
            loop {
                match recv.read(left, budget) {
                    Taken::Data(bytes) => {
                        left -= bytes.len().min(left);
                        chunks.push(bytes);
                    }
                    Taken::Blocked if left == 0 => return Ok(ReadProgress::Full),
                    taken => return taken.progress(),
                }
            }
        })
    }

    /// Reads from a stream by `read`, and gives credit back for the bytes taken.
    #[inline]
    fn read_from(
        &mut self,
        id: StreamId,
        budget: &mut Budget,
        now: Timestamp,
        rtt: Duration,
        read: impl FnOnce(&mut RecvHalf, &mut Budget) -> Result<ReadProgress, ReadError>,
    ) -> Result<ReadProgress, ReadError> {
        self.balance(budget);
        let Some(slot) = self.slot(id) else { return Err(ReadError::Closed) };
        let Some(stream) = self.table.get_mut(slot) else { return Err(ReadError::Closed) };
        let Some(recv) = &mut stream.recv else { return Err(ReadError::Closed) };
        let before = recv.bytes_read();
        let read = read(recv, budget);
        self.counters.bytes_read += recv.bytes_read() - before;
        let credit = recv.take_credit();
        let grown = if credit > 0 { recv.tune(now, rtt) } else { None };
        let update = recv.wants_data() && recv.window.update_due();
        self.consume(credit);
        if credit > 0 {
            self.tune_connection(grown, now, rtt);
        }
        if update {
            self.want(slot, pending::MAX_DATA);
        }
        if matches!(read, Ok(ReadProgress::Finished) | Err(ReadError::Reset(_))) {
            self.end_receiving(slot, budget);
        }
        read
    }

    /// What the data held above costs, in bytes: as much as it cost here.
    pub(crate) fn cost_above(held: &HeldAbove) -> usize {
        let streams = held.streams.iter().fold(0, |sum: u64, count| sum.saturating_add(*count));
        let streams = usize::try_from(streams).unwrap_or(usize::MAX).saturating_mul(HELD_STREAM_COST);
        cost(held.stream_bytes, 0).saturating_add(streams)
    }

    /// A layer above holds this much of what was read. The connection's window does not move for these bytes,
    /// nor does the stream limit for held streams that were read to their end. If the window has stopped for
    /// that reason, returns how many bytes may be held at most for it to move on.
    ///
    /// Unread data, above or here, may take at most half of the window while the window can grow, so that
    /// streams without a reader do not block the others.
    pub(crate) fn set_held_above(&mut self, held: &HeldAbove) -> Option<u64> {
        let bytes = held.stream_bytes as u64;
        self.receive_window.hold(bytes);
        let unread = self.receive_window.unread(self.received);
        self.receive_window.grow_to(unread.saturating_mul(2));
        self.max_data_wanted |= self.receive_window.update_due();
        for (limits, count) in self.limits.remote.iter_mut().zip(held.streams) {
            limits.hold(count);
        }
        self.receive_window.most_held().filter(|most| bytes > *most)
    }

    /// From now on, the application decides how long the stream's data stays unread. Returns false if the
    /// stream is gone.
    pub(crate) fn hand_over(&mut self, id: StreamId) -> bool {
        let Some(stream) = self.slot(id).and_then(|slot| self.table.get_mut(slot)) else { return false };
        stream.handed_over = true;
        true
    }

    /// How many bytes the application leaves unread: those that a layer above holds for it, and those it
    /// could read of streams that were handed over to it. Data behind a gap does not count, nor does data of
    /// other streams: the peer is responsible for those. This looks at every stream.
    fn unread_by_application(&self) -> u64 {
        let handed_over = self.table.streams().filter(|stream| stream.handed_over);
        let here = handed_over.filter_map(|stream| stream.recv.as_ref()).map(RecvHalf::readable);
        here.fold(self.receive_window.held(), u64::saturating_add)
    }

    /// Whether the connection's limit blocks the peer, and would do so even if nothing were held but what the
    /// application leaves unread.
    pub(crate) fn withholds_credit(&self) -> bool {
        self.received >= self.receive_window.advertised()
            && self.receive_window.is_filled_by(self.unread_by_application())
    }

    /// Whether streams held above keep a stream limit from being raised now.
    pub(crate) fn withholds_streams(&self) -> bool {
        self.limits.remote.iter().any(super::limits::RemoteStreams::withholds)
    }

    /// Writes as much of `bytes` as there is room for and removes it from their front. If not all was taken,
    /// a `StreamWritable` event follows.
    pub(crate) fn write_chunk(
        &mut self,
        id: StreamId,
        bytes: &mut Bytes,
        within: Within,
        schedule: &mut Schedule,
    ) -> Result<usize, WriteError> {
        let slot = self.slot_to_send(id)?;
        let stream = self.table.get_mut(slot).ok_or(WriteError::Closed)?;
        let (send, scheduled) = (stream.send.as_mut().ok_or(WriteError::Closed)?, stream.scheduled);
        let (limit, room) = Self::room_of_one(&self.buffered, self.config.send_buffer, send.buffer.held());
        let taken = send.write(bytes, limit.min(room), within)?;
        if room < limit && !bytes.is_empty() && !std::mem::replace(&mut send.waits_for_room, true) {
            let table = &self.table;
            self.buffered.wait(slot, |slot| table.get(slot).is_some());
        }
        self.buffered.add(taken as u64);
        // A write that took nothing counts, too: the peer is then told that its limit blocks the stream. A
        // stream that already has something to send is in the right place.
        if if taken > 0 { !scheduled } else { within == Within::PeerLimit } {
            self.activate(slot, schedule);
        }
        Ok(taken)
    }

    /// How many bytes a write would take now; 0 for a stream that takes no more data.
    pub(crate) fn writable(&mut self, id: StreamId) -> usize {
        let Ok(slot) = self.slot_to_send(id) else { return 0 };
        let Ok(held) = self.send_half(slot).map(|send| send.buffer.held()) else { return 0 };
        let (limit, room) = Self::room_of_one(&self.buffered, self.config.send_buffer, held);
        self.send_half(slot).map_or(0, |send| send.writable(limit.min(room), Within::Buffer))
    }

    /// How many bytes beyond those written the peer's limits, that of the stream and that of the connection,
    /// permit to send now. What other streams have written and not sent does not count.
    pub(crate) fn send_credit(&mut self, id: StreamId) -> u64 {
        let credit = self.credit.available();
        let Ok(send) = self.slot_to_send(id).and_then(|slot| self.send_half(slot)) else { return 0 };
        let unsent = send.buffer.end() - send.buffer.sent_end();
        send.room().min(credit.saturating_sub(unsent))
    }

    /// How much a stream may hold that now holds `held`: by its own limit, and by the room of the connection.
    pub(super) fn room_of_one(buffered: &Buffered, send_buffer: usize, held: Held) -> (usize, usize) {
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let limit = send_buffer.max(size(buffered.most_of_one(held.early)));
        (limit, size(buffered.room(held.bytes).saturating_add(held.bytes)))
    }

    /// Sets how many bytes all streams together may hold, besides a small share for each. `limit` counts
    /// unacknowledged bytes, sent or not. `most` also counts acknowledged bytes that follow an unacknowledged
    /// one.
    pub(crate) fn set_send_limits(&mut self, limit: u64, most: u64) {
        self.buffered.set_limits(limit, most);
    }

    /// How many bytes are held for all streams.
    pub(crate) fn buffered(&self) -> u64 {
        self.buffered.bytes()
    }

    /// The memory, in bytes, that this end needs because the peer has not acknowledged its data: the data
    /// written to all streams, and this end's streams that are not over.
    pub(crate) fn send_memory(&self) -> usize {
        let written = usize::try_from(self.buffered.bytes()).unwrap_or(usize::MAX);
        // The charge of every connection already includes the streams that each connection has.
        let streams = self.local.saturating_sub(USUAL_STREAMS);
        written.saturating_add(streams * (STREAM_COST + HELD_STREAM_COST))
    }

    /// Notifies writers that waited for room on the connection, as far as there is room.
    pub(crate) fn wake_writers(&mut self, out: &mut std::collections::VecDeque<Event>) {
        let mut woken = 0;
        while let Some(slot) = self.buffered.next_to_wake(woken) {
            let Some(stream) = self.table.get_mut(slot) else { continue };
            if stream.send.as_mut().is_some_and(SendHalf::take_room) {
                out.push_back(Event::StreamWritable(stream.id, stream.tag));
                woken += 1;
            }
        }
    }

    /// Ends the stream after the data written so far.
    pub(crate) fn finish(&mut self, id: StreamId, schedule: &mut Schedule) -> Result<(), WriteError> {
        let slot = self.slot_to_send(id)?;
        self.send_half(slot)?.finish()?;
        self.activate(slot, schedule);
        Ok(())
    }

    /// Resets the stream with an application code. Data below `reliable_size` still arrives by
    /// `RESET_STREAM_AT`. For a peer without that frame, a plain reset waits until this data is acknowledged,
    /// and `reset_fallbacks` counts it. A second reset can lower the reliable size.
    pub(crate) fn reset(
        &mut self,
        id: StreamId,
        code: u64,
        reliable_size: u64,
        schedule: &mut Schedule,
    ) -> Result<(), WriteError> {
        let slot = self.slot_to_send(id)?;
        let supported = self.peer.is_some_and(|peer| peer.reset_stream_at);
        let send = self.send_half(slot)?;
        let (first, before) = (send.reset_state().is_none(), send.buffer.held());
        let frame = send.reset(code, reliable_size, !supported)?;
        let after = send.buffer.held();
        self.buffered.change(before, after);
        if first && reliable_size > 0 && !supported {
            self.counters.reset_fallbacks += 1;
        }
        if frame {
            self.want(slot, pending::RESET);
        }
        self.activate(slot, schedule);
        Ok(())
    }

    /// Asks the peer to stop sending (RFC 9000 §3.5). Data that it has sent, or still sends, is dropped.
    /// `StreamDiscarded` follows when the final size arrives; if the final size is already known, the half is
    /// gone at once.
    pub(crate) fn stop_sending(
        &mut self,
        id: StreamId,
        code: u64,
        budget: &mut Budget,
    ) -> Result<(), ReadError> {
        let slot = self.slot(id).ok_or(ReadError::Closed)?;
        let stream = self.table.get_mut(slot).ok_or(ReadError::Closed)?;
        let recv = stream.recv.as_mut().ok_or(ReadError::Closed)?;
        let tell = recv.stop(code, budget)?;
        let credit = recv.take_credit();
        let done = recv.discarded().is_some();
        self.consume(credit);
        if tell {
            self.want(slot, pending::STOP);
        }
        if done {
            self.end_receiving(slot, budget);
        }
        Ok(())
    }

    /// Delays the RESET_STREAM and STOP_SENDING frames of a stream until the sending half of `until` is done,
    /// that is, all its data and its end have arrived. Their local effects are immediate. A half that is done
    /// delays nothing.
    pub(crate) fn hold_back(&mut self, id: StreamId, until: StreamId) {
        let (Some(slot), Some(by)) = (self.slot(id), self.slot(until)) else { return };
        let Some(holding) = self.table.get_mut(by).filter(|stream| stream.send.is_some()) else { return };
        holding.is_awaited = true;
        if let Some(stream) = self.table.get_mut(slot) {
            stream.waits_for = Some(by);
        }
    }

    /// Sets the tag that the stream's events carry. Returns false if the stream is gone. A tag other than 0
    /// claims the stream for an owner: if the stream was reset, nothing more is read of it.
    pub(crate) fn set_tag(&mut self, id: StreamId, tag: StreamTag) -> bool {
        let Some(slot) = self.slot(id) else { return false };
        let Some(stream) = self.table.get_mut(slot) else { return false };
        stream.tag = tag;
        if let Some(recv) = stream.recv.as_mut().filter(|_| tag != StreamTag::default()) {
            recv.claim();
        }
        true
    }

    /// Sets the priority of the stream's data. Returns false if the stream is gone.
    pub(crate) fn set_priority(&mut self, id: StreamId, priority: Priority, schedule: &mut Schedule) -> bool {
        let Some(slot) = self.slot(id) else { return false };
        let Some(stream) = self.table.get_mut(slot) else { return false };
        if stream.scheduled && stream.priority != priority {
            schedule.remove(Sender::Stream(slot), id.value(), &stream.priority);
            schedule.insert(Sender::Stream(slot), id.value(), &priority);
        }
        stream.priority = priority;
        true
    }

    /// The final size of the receiving half, from when it is known until the read that returns the stream's
    /// end.
    pub(crate) fn final_size(&mut self, id: StreamId) -> Option<u64> {
        self.existing(id)?.recv.as_ref()?.final_size()
    }

    /// Whether everything that can be read of the receiving half has arrived, including its end or reset;
    /// `None` if the half is gone.
    pub(crate) fn is_whole(&mut self, id: StreamId) -> Option<bool> {
        Some(!self.existing(id)?.recv.as_ref()?.awaits_data())
    }

    /// The counts of the sending half, until it is gone.
    pub(crate) fn send_stats(&mut self, id: StreamId) -> Option<SendStats> {
        Some(self.existing(id)?.send.as_ref()?.stats())
    }

    /// How many bytes written now could be sent within the limits of the stream and the connection.
    pub(crate) fn send_capacity(&mut self, id: StreamId) -> Option<u64> {
        let room = self.existing(id)?.send.as_ref()?.room();
        let halves = self.table.slots().into_iter().filter_map(|slot| self.table.get(slot)?.send.as_ref());
        let unsent: u64 = halves.map(|half| half.buffer.end() - half.buffer.sent_end()).sum();
        Some(room.min(self.credit.available().saturating_sub(unsent)))
    }

    /// The counts of the receiving half, until it is gone.
    pub(crate) fn recv_stats(&mut self, id: StreamId) -> Option<RecvStats> {
        let recv = self.existing(id)?.recv.as_ref()?;
        Some(RecvStats { received: recv.contiguous_end(), read: recv.bytes_read(), highest: recv.highest() })
    }

    /// How many streams of a kind may be opened over the connection's life, by the limits known now.
    pub(crate) fn stream_limit(&self, initiator: Side, dir: Dir) -> u64 {
        if initiator == self.config.side {
            self.limits.local[dir as usize].limit
        } else {
            self.limits.remote[dir as usize].advertised
        }
    }

    /// The ID of the stream that `open` would open next.
    pub(crate) fn next_stream(&self, dir: Dir) -> StreamId {
        StreamId::new(self.config.side, dir, self.limits.local[dir as usize].opened)
    }

    /// The connection has ended: removes all streams and returns their charge to the budget. The schedule
    /// still names them and must not be used any more.
    pub(crate) fn clear(&mut self, budget: &mut Budget) {
        self.balance(budget);
        for slot in self.table.slots() {
            if let Some(stream) = self.table.get_mut(slot) {
                if let Some(recv) = &mut stream.recv {
                    recv.clear(budget);
                }
                if stream.id.initiator() != self.config.side {
                    self.owed += STREAM_COST;
                }
            }
            self.table.remove(slot);
        }
        self.limits.remote.iter_mut().for_each(super::limits::RemoteStreams::forget_unseen);
        self.balance(budget);
        self.waiting = 0;
        self.buffered.clear();
        (self.local_receivers, self.local) = (0, 0);
        self.control = std::collections::VecDeque::new();
        self.blocked = Vec::new();
    }

    fn tune_connection(&mut self, grown: Option<u64>, now: Timestamp, rtt: Duration) {
        self.receive_window.tune(now, rtt, self.received);
        if let Some(stream) = grown {
            // The connection's window must not limit a stream that is alone.
            self.receive_window.grow_to(stream.saturating_add(stream / 2));
        }
        self.max_data_wanted |= self.receive_window.update_due();
    }

    fn end_receiving(&mut self, slot: u32, budget: &mut Budget) {
        if let Some(stream) = self.table.get_mut(slot)
            && let Some(recv) = &mut stream.recv
        {
            recv.clear(budget);
            stream.recv = None;
            let id = stream.id;
            self.on_receiver_gone(id);
        }
        self.retire(slot);
        self.balance(budget);
    }

    /// The slot of an open stream. A stream that the peer opened only implicitly gets its entry here.
    fn slot(&mut self, id: StreamId) -> Option<u32> {
        if let Some(slot) = self.table.find(id) {
            return Some(slot);
        }
        if id.initiator() == self.config.side || !self.limits.remote(id.dir()).see(id.index()) {
            return None;
        }
        let slot = self.enter(id)?;
        self.uncharged += STREAM_COST;
        Some(slot)
    }

    fn slot_to_send(&mut self, id: StreamId) -> Result<u32, WriteError> {
        self.slot(id).ok_or(WriteError::Closed)
    }

    fn send_half(&mut self, slot: u32) -> Result<&mut SendHalf, WriteError> {
        self.table.get_mut(slot).and_then(|stream| stream.send.as_mut()).ok_or(WriteError::Closed)
    }

    fn existing(&mut self, id: StreamId) -> Option<&Stream> {
        let slot = self.table.find(id)?;
        self.table.get(slot)
    }
}

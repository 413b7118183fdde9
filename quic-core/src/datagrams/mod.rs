//! Datagrams (RFC 9221).
//!
//! Owns the queues of received datagrams and of datagrams to send, with their ages; the schedule decides
//! which of the latter goes next. Never knows packets, congestion control or what the payload means. A lost
//! datagram is counted, never sent again (§5).

mod outgoing;
mod queued;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;

use crate::{
    base::{Budget, Timestamp, varint},
    error::{Violation, call::DatagramError},
    event::{DatagramOptions, Event},
    frame::{Frame, FrameWriter, Receipt},
    schedule::{Schedule, Sender, Turn},
};
use outgoing::Outgoing;
use queued::Queued;

/// What a queued datagram costs besides its payload, in bytes. It bounds a flood of empty ones.
const ENTRY: usize = 64;
/// A datagram may keep a receive buffer alive of at most this many times its size.
const PIN_RATIO: usize = 4;

/// Settings of the datagrams of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DatagramsConfig {
    /// Our `max_datagram_frame_size` in bytes; 0 means that we accept none.
    pub(crate) max_frame_size: u64,
    /// How many received datagrams are kept for the application; further ones push out the oldest.
    pub(crate) incoming_count: usize,
    /// The same limit in payload bytes.
    pub(crate) incoming_bytes: usize,
    /// How many datagrams may wait to be sent.
    pub(crate) outgoing_count: usize,
    /// The same limit in payload bytes.
    pub(crate) outgoing_bytes: usize,
    /// Received datagrams older than this are dropped unread.
    pub(crate) incoming_max_age: Option<Duration>,
    /// Datagrams that have waited longer than this are dropped unsent.
    pub(crate) outgoing_max_age: Option<Duration>,
}

impl Default for DatagramsConfig {
    fn default() -> Self {
        Self {
            max_frame_size: 65_535,
            incoming_count: 1_024,
            incoming_bytes: 1 << 20,
            outgoing_count: 256,
            outgoing_bytes: 256 << 10,
            incoming_max_age: None,
            outgoing_max_age: None,
        }
    }
}

/// Plain counts since the connection began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DatagramsCounters {
    /// Datagrams received, including dropped ones.
    pub(crate) received: u64,
    /// Datagrams written into packets.
    pub(crate) sent: u64,
    /// Payload bytes of the datagrams sent.
    pub(crate) bytes_sent: u64,
    /// Payload bytes acknowledged.
    pub(crate) bytes_acked: u64,
    /// Received datagrams that were pushed out of the queue unread.
    pub(crate) dropped_incoming: u64,
    /// Received datagrams that became too old before they were read.
    pub(crate) expired_incoming: u64,
    /// Datagrams that became too old before they were sent.
    pub(crate) expired_outgoing: u64,
    /// Datagrams that were larger than any packet when their turn came, because the path had shrunk.
    pub(crate) too_large_outgoing: u64,
    /// Datagrams sent and declared lost. It decreases when a loss proves spurious.
    pub(crate) lost_outgoing: u64,
}

/// The datagrams of one connection.
#[derive(Debug)]
pub(crate) struct Datagrams {
    config: DatagramsConfig,
    /// The peer's `max_datagram_frame_size`, 0 until known.
    peer_max_frame: u64,
    incoming: VecDeque<Queued>,
    incoming_bytes: usize,
    outgoing: Outgoing,
    /// Whether the next datagram to arrive causes an event.
    notify: bool,
    /// Whether a send was refused: an event follows when there is room.
    blocked: bool,
    counters: DatagramsCounters,
}

impl Datagrams {
    /// Empty queues. Nothing can be sent before [`Self::set_peer_max_frame`].
    pub(crate) fn new(config: DatagramsConfig) -> Self {
        Self {
            config,
            peer_max_frame: 0,
            incoming: VecDeque::new(),
            incoming_bytes: 0,
            outgoing: Outgoing::default(),
            notify: true,
            blocked: false,
            counters: DatagramsCounters::default(),
        }
    }

    /// The peer's `max_datagram_frame_size` is known; 0 or absent means that it takes none (RFC 9221 §3).
    pub(crate) fn set_peer_max_frame(&mut self, size: u64) {
        self.peer_max_frame = size;
    }

    /// The peer's `max_datagram_frame_size`.
    pub(crate) fn peer_max_frame(&self) -> u64 {
        self.peer_max_frame
    }

    /// Changes how long datagrams may wait unread and unsent.
    pub(crate) fn set_max_ages(&mut self, incoming: Option<Duration>, outgoing: Option<Duration>) {
        self.config.incoming_max_age = incoming;
        self.config.outgoing_max_age = outgoing;
    }

    /// A DATAGRAM frame arrived (RFC 9221 §4). `allocation` is the size of the buffer that `data` keeps
    /// alive.
    pub(crate) fn on_datagram(
        &mut self,
        data: Bytes,
        has_length: bool,
        allocation: usize,
        now: Timestamp,
        budget: &mut Budget,
        out: &mut VecDeque<Event>,
    ) -> Result<(), Violation> {
        // RFC 9221 §3: we accept no datagrams, or none this large; the limit covers the whole frame.
        let length = data.len() as u64;
        let frame = 1 + length + if has_length { varint::size(length) as u64 } else { 0 };
        if frame > self.config.max_frame_size {
            return Err(Violation::DatagramUnexpected);
        }
        self.counters.received += 1;
        while !self.incoming.is_empty()
            && (self.incoming.len() >= self.config.incoming_count
                || self.incoming_bytes + data.len() > self.config.incoming_bytes)
        {
            self.drop_oldest(budget);
        }
        let pins = allocation <= data.len().saturating_mul(PIN_RATIO);
        let data = if pins { data } else { Bytes::copy_from_slice(&data) };
        let charged = ENTRY + if pins { allocation.max(data.len()) } else { data.len() };
        if data.len() > self.config.incoming_bytes || self.config.incoming_count == 0 {
            self.counters.dropped_incoming += 1;
            return Ok(());
        }
        while budget.charge(charged).is_err() {
            if !self.drop_oldest(budget) {
                // Other data has used up the budget. Datagrams may be dropped, so this does not close the
                // connection.
                self.counters.dropped_incoming += 1;
                return Ok(());
            }
        }
        self.incoming_bytes += data.len();
        self.incoming.push_back(Queued { data, at: now, max_age: None, waited: Duration::ZERO, charged });
        if std::mem::take(&mut self.notify) {
            out.push_back(Event::DatagramReadable);
        }
        Ok(())
    }

    /// Takes the oldest datagram that is not too old, with its time of arrival. After `None`, an event
    /// announces the next.
    pub(crate) fn recv(&mut self, now: Timestamp, budget: &mut Budget) -> Option<(Bytes, Timestamp)> {
        while let Some(next) = self.take_incoming(budget) {
            if next.is_older_than(self.config.incoming_max_age, now) {
                self.counters.expired_incoming += 1;
                continue;
            }
            return Some((next.data, next.at));
        }
        self.notify = true;
        None
    }

    /// Queues a datagram, and adds its queue to the schedule. `packet_room` is how many bytes of frames a
    /// packet of the current path holds.
    pub(crate) fn send(
        &mut self,
        data: Bytes,
        options: DatagramOptions,
        packet_room: usize,
        now: Timestamp,
        schedule: &mut Schedule,
    ) -> Result<(), DatagramError> {
        let max = max_size(self.peer_max_frame, packet_room).ok_or(DatagramError::Unsupported)?;
        if data.len() > max {
            return Err(DatagramError::TooLarge { max });
        }
        if self.wants()
            && (self.outgoing.len() >= self.config.outgoing_count
                || self.outgoing.bytes() + data.len() > self.config.outgoing_bytes)
        {
            self.blocked = true;
            return Err(DatagramError::Full);
        }
        let DatagramOptions { priority, max_age, waited } = options;
        let datagram = Queued { data, at: now, max_age, waited, charged: 0 };
        self.outgoing.push(datagram, priority, schedule);
        Ok(())
    }

    /// How many datagrams of a bundle are waiting to be sent.
    pub(crate) fn waiting_of(&self, bundle: u32) -> usize {
        self.outgoing.len_of(bundle)
    }

    /// Changes the maximum age of a bundle's datagrams that are waiting to be sent.
    pub(crate) fn set_max_age_of(&mut self, bundle: u32, max_age: Option<Duration>) {
        self.outgoing.of(bundle).for_each(|datagram| datagram.max_age = max_age);
    }

    /// Whether datagrams are waiting to be sent. They may prove too old when their turn comes.
    pub(crate) fn wants(&self) -> bool {
        self.outgoing.len() > 0
    }

    /// Whether the next datagram of a queue fits into `room` bytes of frames.
    pub(crate) fn fits(&self, queue: u32, room: usize) -> bool {
        self.outgoing.front(queue).is_some_and(|next| {
            let length = next.data.len();
            let frame = 1 + length;
            frame == room || frame + varint::size(length as u64) <= room
        })
    }

    /// Writes the next datagram of the queue whose turn it is. Drops the datagram instead if it is too old,
    /// or too large even for an empty packet of the path (`packet_room` bytes). Returns false if it has to
    /// wait for a packet with more room than this one has left.
    pub(crate) fn write(
        &mut self,
        turn: Turn,
        writer: &mut FrameWriter<'_>,
        packet_room: usize,
        now: Timestamp,
        schedule: &mut Schedule,
        out: &mut VecDeque<Event>,
    ) -> bool {
        let Sender::Datagrams(queue) = turn.sender else { return false };
        let Some(next) = self.outgoing.front(queue) else { return false };
        if next.is_older_than(self.config.outgoing_max_age, now) {
            self.counters.expired_outgoing += 1;
        } else if max_size(self.peer_max_frame, packet_room).is_none_or(|max| next.data.len() > max) {
            self.counters.too_large_outgoing += 1;
        } else {
            let before = writer.written();
            // A datagram that ends the packet exactly needs no length (RFC 9221 §4).
            let has_length = writer.remaining() != 1 + next.data.len();
            let receipt = Receipt::Datagrams { count: 1, bytes: next.data.len() as u32 };
            if !writer.frame(&Frame::Datagram { data: &next.data, has_length }, receipt) {
                return false;
            }
            self.counters.sent += 1;
            self.counters.bytes_sent += next.data.len() as u64;
            // The schedule counts frames, not payloads, so that a flood of empty datagrams takes turns, too.
            schedule.on_sent(turn, writer.written() - before);
        }
        self.outgoing.pop(queue, schedule);
        let room = self.outgoing.len() <= self.config.outgoing_count / 2
            && self.outgoing.bytes() <= self.config.outgoing_bytes / 2;
        if self.blocked && room {
            self.blocked = false;
            out.push_back(Event::DatagramWritable);
        }
        true
    }

    /// `count` datagrams of one packet were declared lost.
    pub(crate) fn on_lost(&mut self, count: u32) {
        self.counters.lost_outgoing += u64::from(count);
    }

    /// The peer has received `count` datagrams of one packet, with `bytes` of payload together. They may have
    /// been declared lost before.
    pub(crate) fn on_acked(&mut self, count: u32, bytes: u32, was_lost: bool) {
        self.counters.bytes_acked += u64::from(bytes);
        self.counters.lost_outgoing -= if was_lost { u64::from(count) } else { 0 };
    }

    /// Counts since the connection began.
    pub(crate) fn counters(&self) -> DatagramsCounters {
        self.counters
    }

    /// The connection has ended: empties the queues and returns their charge to the budget.
    pub(crate) fn clear(&mut self, budget: &mut Budget) {
        while self.take_incoming(budget).is_some() {}
        self.outgoing.clear();
    }

    fn drop_oldest(&mut self, budget: &mut Budget) -> bool {
        let dropped = self.take_incoming(budget).is_some();
        self.counters.dropped_incoming += u64::from(dropped);
        dropped
    }

    fn take_incoming(&mut self, budget: &mut Budget) -> Option<Queued> {
        let next = self.incoming.pop_front()?;
        self.incoming_bytes -= next.data.len();
        budget.release(next.charged);
        Some(next)
    }
}

/// The largest payload that a DATAGRAM frame of at most `peer_max_frame` bytes can carry in `packet_room`
/// bytes. `None` if the peer accepts none, or there is no room for any. It allows for a length field, so that
/// a payload of this size fits whatever else is in the packet.
pub(crate) fn max_size(peer_max_frame: u64, packet_room: usize) -> Option<usize> {
    let frame = usize::try_from(peer_max_frame).unwrap_or(usize::MAX).min(packet_room);
    let with_length = frame.checked_sub(1)?;
    with_length.checked_sub(varint::size(with_length as u64))
}

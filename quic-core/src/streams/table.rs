//! The stream table: a slab of streams, and a look-up by ID.
//!
//! To callers, a slot is an index and a generation. A stream is forgotten as soon as both halves are done,
//! even if receipts still name its slot: their generation no longer matches, so they are ignored. Closed
//! streams therefore cost nothing.

use std::collections::VecDeque;

use super::{recv::RecvHalf, send::SendHalf};
use crate::{
    event::{Priority, StreamTag},
    ids::{StreamId, StreamMap},
};

const INDEX_BITS: u32 = 17;
const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;
const GENERATION_MASK: u32 = u32::MAX >> INDEX_BITS;
/// Entries that stay allocated while few streams are open.
const KEPT: usize = 64;
/// An idle connection has no more open streams than this: the lasting ones of the layers above, and a session
/// or two.
const FEW: usize = 24;
/// Streams that can be open at once on a connection.
pub(super) const CAPACITY: usize = 1 << INDEX_BITS;
/// How many free slots wait before one is used again. With a generation of 15 bits, an old receipt would have
/// to outlive more than 100,000 closed streams to be mistaken for a new one.
const RESTING: usize = 4;
/// What a stream costs besides the data it holds, in bytes.
pub(super) const STREAM_COST: usize = size_of::<Entry>() + 32;

/// Control frames that a stream wants to send, as bits.
pub(super) mod pending {
    pub(in crate::streams) const RESET: u8 = 1;
    pub(in crate::streams) const STOP: u8 = 2;
    pub(in crate::streams) const MAX_DATA: u8 = 4;
    pub(in crate::streams) const BLOCKED: u8 = 8;
}

/// One stream. A half is `None` if it is done, or if this kind of stream does not have it.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: StreamId,
    pub(super) tag: StreamTag,
    pub(super) priority: Priority,
    pub(super) send: Option<SendHalf>,
    pub(super) recv: Option<RecvHalf>,
    /// Bits of [`pending`].
    pub(super) pending: u8,
    /// The slot of the stream that this one waits for: it sends no RESET_STREAM or STOP_SENDING before the
    /// end of that one.
    pub(super) waits_for: Option<u32>,
    /// Whether other streams wait for this one.
    pub(super) is_awaited: bool,
    /// Whether the slot is in the queue of control frames.
    pub(super) in_control_queue: bool,
    /// Whether the slot is in the schedule.
    pub(super) scheduled: bool,
    /// Whether the limit of the stream or the connection blocks new data, and nothing else can be sent.
    pub(super) waits_for_credit: bool,
    /// Whether the slot is in the list of streams that wait for the connection's credit.
    pub(super) in_blocked_list: bool,
    /// Whether the application decides how long the stream's data stays unread.
    pub(super) handed_over: bool,
    /// What 0-RTT has to do with the stream.
    pub(super) early: Early,
}

/// What 0-RTT has to do with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Early {
    Nothing,
    /// Data of this stream of the peer came in 0-RTT packets.
    Arrived,
    /// The peer does not permit this stream of this end yet: 0-RTT was rejected, and the limit is lower than
    /// remembered.
    Unpermitted,
}

impl Stream {
    pub(super) fn new(id: StreamId, send: Option<SendHalf>, recv: Option<RecvHalf>) -> Self {
        Self {
            id,
            tag: StreamTag::default(),
            priority: Priority::default(),
            send,
            recv,
            pending: 0,
            waits_for: None,
            is_awaited: false,
            in_control_queue: false,
            scheduled: false,
            waits_for_credit: false,
            in_blocked_list: false,
            handed_over: false,
            early: Early::Nothing,
        }
    }

    /// Whether a frame is pending and does not wait for another stream.
    pub(super) fn may_send(&self, bit: u8) -> bool {
        let held = self.waits_for.is_some() && bit & (pending::RESET | pending::STOP) != 0;
        self.pending & bit != 0 && !held && self.early != Early::Unpermitted
    }

    /// Whether a pending frame would still be written: it may no longer be needed.
    pub(super) fn wants_control(&self) -> bool {
        let (send, recv) = (self.send.as_ref(), self.recv.as_ref());
        let due = |bit, is_due: bool| self.may_send(bit) && is_due;
        due(pending::RESET, send.is_some_and(|send| send.reset_to_send().is_some()))
            || due(pending::STOP, recv.is_some_and(|recv| recv.final_size().is_none()))
            || due(pending::MAX_DATA, recv.is_some_and(RecvHalf::wants_data))
            || due(pending::BLOCKED, send.is_some_and(|send| send.blocked_limit().is_some()))
    }
}

#[derive(Debug)]
struct Entry {
    generation: u32,
    stream: Option<Stream>,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    entries: Vec<Entry>,
    free: VecDeque<u32>,
    /// The generation of new entries. It is above those of all entries that were freed.
    first_generation: u32,
    by_id: StreamMap<u32>,
    /// The result of the last look-up, because frames of one stream come in bursts.
    last: Option<(StreamId, u32)>,
}

impl Table {
    /// How many streams are alive.
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The slot of a live stream.
    pub(super) fn find(&mut self, id: StreamId) -> Option<u32> {
        if let Some((last, slot)) = self.last
            && last == id
        {
            return Some(slot);
        }
        let slot = *self.by_id.get(&id)?;
        self.last = Some((id, slot));
        Some(slot)
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Stream> {
        let entry = self.entries.get((slot & INDEX_MASK) as usize)?;
        if entry.generation == slot >> INDEX_BITS { entry.stream.as_ref() } else { None }
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Stream> {
        let entry = self.entries.get_mut((slot & INDEX_MASK) as usize)?;
        if entry.generation == slot >> INDEX_BITS { entry.stream.as_mut() } else { None }
    }

    /// Adds a stream with the halves that `halves` makes; `None` if the table is full.
    #[inline]
    pub(super) fn insert(
        &mut self,
        id: StreamId,
        halves: impl FnOnce() -> (Option<SendHalf>, Option<RecvHalf>),
    ) -> Option<u32> {
        let full = self.entries.len() >= CAPACITY;
        let index = if self.free.len() > RESTING || full {
            self.free.pop_front()?
        } else {
            self.entries.push(Entry { generation: self.first_generation, stream: None });
            (self.entries.len() - 1) as u32
        };
        let entry = self.entries.get_mut(index as usize)?;
        let (send, recv) = halves();
        entry.stream = Some(Stream::new(id, send, recv));
        let slot = index | entry.generation << INDEX_BITS;
        self.by_id.insert(id, slot);
        Some(slot)
    }

    /// Removes a stream, if it is still there.
    pub(super) fn remove(&mut self, slot: u32) {
        let index = slot & INDEX_MASK;
        let Some(entry) = self.entries.get_mut(index as usize) else { return };
        if entry.generation != slot >> INDEX_BITS {
            return;
        }
        let Some(id) = entry.stream.as_ref().map(|stream| stream.id) else { return };
        // The stream is dropped in place: it is large, and moving it out costs more than everything else.
        entry.stream = None;
        entry.generation = (entry.generation + 1) & GENERATION_MASK;
        self.free.push_back(index);
        self.by_id.remove(&id);
        self.last = None;
        let most = if self.by_id.is_empty() { KEPT } else { 2 * KEPT };
        if self.by_id.len() <= FEW && self.entries.len() > most {
            self.give_up_memory();
        }
    }

    /// Frees memory after a burst of streams, so that an idle connection is small again. Streams that live as
    /// long as the connection do not prevent this, because they came first; a lasting stream that came late
    /// keeps the entries before it.
    fn give_up_memory(&mut self) {
        let unused = self.entries.iter().rev().take_while(|entry| entry.stream.is_none()).count();
        let used = self.entries.len() - unused;
        let left = if used == 0 { 0 } else { used.max(KEPT) };
        if self.entries.len() - left < KEPT {
            return;
        }
        let highest = self.entries[left..].iter().map(|entry| entry.generation).max().unwrap_or(0);
        self.first_generation = (self.first_generation.max(highest) + 1) & GENERATION_MASK;
        self.entries.truncate(left);
        self.entries.shrink_to_fit();
        self.free.retain(|index| (*index as usize) < left);
        self.free.shrink_to_fit();
        self.by_id.shrink_to_fit();
    }

    /// All open streams, in no particular order.
    pub(super) fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.entries.iter().filter_map(|entry| entry.stream.as_ref())
    }

    /// The slots of all live streams.
    pub(super) fn slots(&self) -> Vec<u32> {
        self.by_id.values().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Dir, Side};

    fn id(index: u64) -> StreamId {
        StreamId::new(Side::Client, Dir::Uni, index)
    }

    /// HTTP/3's own streams never end. The entries of a burst are freed all the same, and old slots are not
    /// mistaken for new ones.
    #[test]
    fn a_burst_leaves_little_though_some_streams_last() {
        let mut table = Table::default();
        let insert = |table: &mut Table, index| table.insert(id(index), || (None, None)).unwrap();
        let lasting: Vec<u32> = (0..6).map(|index| insert(&mut table, index)).collect();
        let burst: Vec<u32> = (6..1006).map(|index| insert(&mut table, index)).collect();
        burst.iter().for_each(|slot| table.remove(*slot));
        assert_eq!(table.len(), 6);
        assert!(table.entries.capacity() < 128, "{} places stay", table.entries.capacity());
        assert!(table.free.capacity() < 256 && table.by_id.capacity() < 128);
        assert!(lasting.iter().all(|slot| table.get(*slot).is_some()));
        let next: Vec<u32> = (2000..3000).map(|index| insert(&mut table, index)).collect();
        assert!(burst.iter().all(|slot| table.get(*slot).is_none()), "they are gone");
        assert!(next.iter().all(|slot| table.get(*slot).is_some()));
    }
}

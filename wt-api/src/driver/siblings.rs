//! The shards of one address, and the datagrams that the system delivered to another one's socket.
//!
//! The system chooses a socket by a datagram's addresses. It chooses another one when a client's address
//! changes, and when a socket of the address closes. The connection ID names the shard that has the
//! connection.
//!
//! Owns the datagrams that wait to be handed over. It must never know connections.

use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use quic_core::DatagramMeta;

use crate::{jobs::Inbox, mailbox::lock};

/// Bytes that may wait for one shard. Beyond that, datagrams are dropped, as a full socket buffer drops them.
const WAITING: usize = 256 << 10;
/// The cost of a datagram besides its payload: its entry, in a list that doubles as it grows, and its
/// allocation.
const OVERHEAD: usize = 256;

/// A datagram, and where it came from.
pub(super) type Datagram = (DatagramMeta, BytesMut);

/// The result of handing a datagram to another shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handover {
    /// It waits there.
    Done,
    /// Too much is waiting: it was dropped.
    Full,
    /// That shard is gone.
    Gone,
}

#[derive(Debug, Default)]
struct Queue {
    datagrams: Vec<Datagram>,
    bytes: usize,
    closed: bool,
}

/// The queue into a shard.
#[derive(Debug)]
struct Door {
    inbox: Arc<Inbox>,
    queue: Mutex<Queue>,
}

/// A shard among those of its address.
#[derive(Debug)]
pub(crate) struct Siblings {
    /// The first shard's number in connection IDs.
    first: u8,
    /// This shard's position after it.
    place: usize,
    doors: Arc<[Door]>,
}

impl Siblings {
    /// The shards of an address, one for each of the inboxes, numbered from `first` on.
    pub(crate) fn group(first: u8, inboxes: &[Arc<Inbox>]) -> Vec<Self> {
        let door = |inbox: &Arc<Inbox>| Door { inbox: Arc::clone(inbox), queue: Mutex::default() };
        let doors: Arc<[Door]> = inboxes.iter().map(door).collect();
        (0..doors.len()).map(|place| Self { first, place, doors: Arc::clone(&doors) }).collect()
    }

    /// A shard that is alone at its address.
    pub(crate) fn alone() -> Self {
        Self { first: 0, place: 0, doors: Arc::from([]) }
    }

    /// Hands a datagram to the shard with this number. It is copied, because its block belongs to this shard.
    pub(super) fn forward(&self, shard: u8, meta: &DatagramMeta, data: &[u8]) -> Handover {
        let place = shard.checked_sub(self.first).map(usize::from);
        let Some(door) = place.and_then(|place| self.doors.get(place)) else { return Handover::Gone };
        let mut queue = lock(&door.queue);
        let bytes = queue.bytes + data.len() + OVERHEAD;
        if queue.closed {
            return Handover::Gone;
        }
        if bytes > WAITING {
            return Handover::Full;
        }
        let mut meta = *meta;
        meta.allocation = data.len();
        queue.datagrams.push((meta, BytesMut::from(data)));
        queue.bytes = bytes;
        drop(queue);
        door.inbox.wake();
        Handover::Done
    }

    /// What other shards have handed to this one.
    pub(super) fn take(&self) -> Vec<Datagram> {
        // Alone at its address it gets nothing: no lock in each turn.
        let door = self.doors.get(self.place).filter(|_| self.doors.len() > 1);
        let Some(door) = door else { return Vec::new() };
        let mut queue = lock(&door.queue);
        queue.bytes = 0;
        std::mem::take(&mut queue.datagrams)
    }
}

impl Drop for Siblings {
    fn drop(&mut self) {
        if let Some(door) = self.doors.get(self.place) {
            let mut queue = lock(&door.queue);
            queue.closed = true;
            let datagrams = std::mem::take(&mut queue.datagrams);
            drop(queue);
            drop(datagrams);
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::mailbox::ShardBox;

    fn meta() -> DatagramMeta {
        DatagramMeta::new(([192, 0, 2, 1], 4433).into()).allocation(1 << 20)
    }

    #[test]
    fn a_datagram_goes_to_the_shard_of_its_number_until_that_is_full_or_gone() {
        let inboxes = [ShardBox::new(), ShardBox::new(), ShardBox::new()];
        let mut group = Siblings::group(4, &inboxes);
        assert_eq!(group[0].forward(6, &meta(), b"hello"), Handover::Done);
        assert!(group[0].take().is_empty() && group[1].take().is_empty());
        let [(meta_there, data)] = &group[2].take()[..] else { panic!("one datagram") };
        assert_eq!((&data[..], meta_there.allocation), (&b"hello"[..], 5), "the copy holds no block");
        for outside in [0, 3, 7, 255] {
            assert_eq!(group[0].forward(outside, &meta(), b"hello"), Handover::Gone);
        }
        // What waits is bounded, whatever its size is.
        for size in [0, 1, 1200, 65_000] {
            let datagram = vec![0; size];
            let taken = (0..10_000).take_while(|_| group[1].forward(4, &meta(), &datagram) == Handover::Done);
            assert_eq!(taken.count(), WAITING / (size + OVERHEAD), "of {size} bytes");
            assert_eq!(group[1].forward(4, &meta(), &datagram), Handover::Full);
            drop(group[0].take());
            assert_eq!(group[1].forward(4, &meta(), b"again"), Handover::Done);
            drop(group[0].take());
        }
        drop(group.remove(2));
        assert_eq!(group[0].forward(6, &meta(), b"hello"), Handover::Gone);
        assert_eq!(Siblings::alone().forward(0, &meta(), b"hello"), Handover::Gone);
    }
}

//! The dynamic table as encoder and decoder share it: entries in order of insertion, their sizes, the capacity
//! (RFC 9204 §3.2), and the form in which a section carries its Required Insert Count (§4.5.1.1).
//!
//! It owns the entries and must never know what an entry means to its owner.

use std::collections::VecDeque;

/// What an entry adds to its name and value, in bytes; no entry is smaller (RFC 9204 §3.2.1).
pub(crate) const ENTRY_OVERHEAD: u64 = 32;

/// The size of an entry as it counts against the capacity, in bytes (RFC 9204 §3.2.1).
pub(crate) const fn entry_size(name: usize, value: usize) -> u64 {
    (name as u64).saturating_add(value as u64).saturating_add(ENTRY_OVERHEAD)
}

/// A first-in-first-out table. An entry's absolute index is its place among all insertions, from 0
/// (RFC 9204 §3.2.4).
#[derive(Debug)]
pub(crate) struct Table<T> {
    entries: VecDeque<(T, u64)>,
    /// How many entries were evicted: the absolute index of the oldest entry.
    evicted: u64,
    size: u64,
    capacity: u64,
}

impl<T> Table<T> {
    /// An empty table of this capacity in bytes.
    pub(crate) const fn new(capacity: u64) -> Self {
        Self { entries: VecDeque::new(), evicted: 0, size: 0, capacity }
    }

    /// The number of insertions so far.
    pub(crate) fn inserted(&self) -> u64 {
        self.evicted + self.entries.len() as u64
    }

    /// The absolute index of the oldest entry; that of the next insertion if the table is empty.
    pub(crate) const fn first(&self) -> u64 {
        self.evicted
    }

    pub(crate) const fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The size of all entries, in bytes.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// The entry with this absolute index, unless it was evicted or never inserted.
    pub(crate) fn get(&self, index: u64) -> Option<&T> {
        let place = usize::try_from(index.checked_sub(self.evicted)?).ok()?;
        self.entries.get(place).map(|(entry, _)| entry)
    }

    pub(crate) fn get_mut(&mut self, index: u64) -> Option<&mut T> {
        let place = usize::try_from(index.checked_sub(self.evicted)?).ok()?;
        self.entries.get_mut(place).map(|(entry, _)| entry)
    }

    /// The entries with their sizes, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(T, u64)> {
        self.entries.iter()
    }

    /// Evicts what no longer fits (RFC 9204 §3.2.2). The memory of the entries goes with them.
    pub(crate) fn set_capacity(&mut self, capacity: u64) {
        self.capacity = capacity;
        self.evict_to(capacity);
        if self.entries.is_empty() {
            self.entries.shrink_to(0);
        }
    }

    /// Inserts an entry and evicts the oldest ones to make room for it. Returns false, and changes nothing, if
    /// the entry is larger than the table.
    pub(crate) fn insert(&mut self, entry: T, size: u64) -> bool {
        let Some(rest) = self.capacity.checked_sub(size) else { return false };
        self.evict_to(rest);
        self.entries.push_back((entry, size));
        self.size += size;
        true
    }

    fn evict_to(&mut self, size: u64) {
        while self.size > size {
            // A size above zero is that of entries.
            let Some((_, evicted)) = self.entries.pop_front() else { return };
            self.size -= evicted;
            self.evicted += 1;
        }
    }
}

/// The most entries that a table of the largest permitted capacity holds (RFC 9204 §4.5.1.1).
pub(crate) const fn max_entries(max_capacity: u64) -> u64 {
    max_capacity / ENTRY_OVERHEAD
}

/// How the Required Insert Count is sent: modulo twice the number of entries that the table can hold
/// (RFC 9204 §4.5.1.1).
pub(crate) const fn encode_required(required: u64, max_entries: u64) -> u64 {
    // Without a table nothing can be required.
    if required == 0 || max_entries == 0 { 0 } else { required % (2 * max_entries) + 1 }
}

/// The Required Insert Count that was sent as `encoded`, after `inserted` insertions (RFC 9204 §4.5.1.1).
/// `None` if no conforming encoder could have sent it.
pub(crate) const fn decode_required(encoded: u64, max_entries: u64, inserted: u64) -> Option<u64> {
    if encoded == 0 {
        return Some(0);
    }
    let full_range = 2 * max_entries;
    if encoded > full_range {
        return None;
    }
    let max_value = inserted + max_entries;
    let required = max_value / full_range * full_range + encoded - 1;
    let required = match required > max_value {
        true if required <= full_range => return None,
        true => required - full_range,
        false => required,
    };
    if required == 0 { None } else { Some(required) }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// An encoder may refer to the entries in the table, and to as many later ones as fit into it.
    #[test]
    fn counts_come_back_as_they_were_sent() {
        for capacity in [32, 100, 4096] {
            let max_entries = max_entries(capacity);
            for count in 0..5 * max_entries {
                for required in 1 + count.saturating_sub(max_entries)..=count + max_entries {
                    assert_eq!(
                        decode_required(encode_required(required, max_entries), max_entries, count),
                        Some(required),
                        "{capacity} bytes, {count} insertions"
                    );
                }
            }
        }
    }

    #[test]
    fn what_no_encoder_sends_is_refused() {
        let decode = |encoded| decode_required(encoded, max_entries(100), 0);
        // RFC 9204 §4.5.1.1: a value above the range, and a second encoding of zero.
        assert_eq!((decode(7), decode(1)), (None, None));
        // More than the table can hold at once: counts 4 and 5 of a table of 3 entries.
        assert_eq!((decode(5), decode(6)), (None, None));
        // Without a table only zero is valid.
        assert_eq!((decode_required(0, 0, 0), decode_required(1, 0, 0)), (Some(0), None));
    }

    proptest! {
        /// Against a table that keeps every entry for ever and counts from the newest.
        #[test]
        fn entries_leave_in_order_and_only_for_room(
            steps in vec(prop_oneof![(0_u64..200).prop_map(Ok), (0_u64..600).prop_map(Err)], 0..100),
        ) {
            let mut table = Table::new(0);
            let mut all: Vec<u64> = Vec::new();
            let (mut first, mut capacity) = (0, 0);
            let fit = |all: &[u64], first: &mut usize, room: u64| {
                while all[*first..].iter().sum::<u64>() > room {
                    *first += 1;
                }
            };
            for step in steps {
                match step {
                    Ok(size) if size <= capacity => {
                        fit(&all, &mut first, capacity - size);
                        prop_assert!(table.insert(all.len(), size));
                        all.push(size);
                    }
                    Ok(size) => prop_assert!(!table.insert(all.len(), size)),
                    Err(new) => {
                        capacity = new;
                        table.set_capacity(capacity);
                        fit(&all, &mut first, capacity);
                    }
                }
                // A model's entry of no size may stay or leave with the ones before it.
                prop_assert_eq!(table.inserted(), all.len() as u64);
                prop_assert_eq!(table.size(), all[first..].iter().sum::<u64>());
                prop_assert!(table.size() <= table.capacity());
                for index in 0..all.len() {
                    let stays = index as u64 >= table.first();
                    prop_assert_eq!(table.get(index as u64).copied(), stays.then_some(index));
                }
                prop_assert_eq!(table.get(all.len() as u64), None);
            }
        }
    }
}

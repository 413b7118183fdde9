//! The encoder's side of the dynamic table: the entries, who refers to them, what they saved, and where a name
//! or a line is.
//!
//! It owns the entries and their index. A look-up takes a bounded number of steps, so field lines with hashes
//! that collide cost compression and no time. It must never know sections or bytes.

use super::{hashes::Hashes, policy::BYTE};
use crate::{
    field::FieldRef,
    table::{Table, entry_size, max_entries},
};

/// How many entries of one place in the index a look-up visits.
const STEPS: usize = 8;
/// The places of the index while there are few entries.
const FEW_PLACES: usize = 16;
/// The most places of the index, for a very large table.
const MAX_PLACES: u64 = 4096;

/// An entry of the encoder's table.
#[derive(Debug)]
pub(super) struct Entry {
    /// The name and then the value.
    text: Box<[u8]>,
    name: usize,
    hashes: Hashes,
    /// The next older entry of the same place, by line and by name: its absolute index and one, or 0.
    older: [u64; 2],
    /// The size of all entries before this one, since the beginning.
    start: u64,
    /// How many sections that are not acknowledged have this entry as their oldest reference. Entries leave
    /// in order, so that protects all their references.
    pins: u32,
    /// The number of the last section that used the entry.
    used: u64,
    worth: Worth,
}

/// What an entry saves.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Worth {
    /// How many bytes a reference to the line saves.
    pub(super) each: u32,
    /// What was expected of the entry when it was inserted, in fractions of a byte.
    pub(super) expected: i64,
    /// The bytes that it has saved since then.
    pub(super) saved: u32,
}

impl Worth {
    /// What the entry will save if it stays, in fractions of a byte: mostly what it has saved.
    pub(super) fn forecast(self) -> i64 {
        (self.expected + 7 * BYTE * i64::from(self.saved)) / 8
    }
}

impl Entry {
    pub(super) fn field(&self) -> FieldRef<'_> {
        let (name, value) = self.text.split_at_checked(self.name).unwrap_or_default();
        FieldRef::new(name, value)
    }

    pub(super) const fn worth(&self) -> Worth {
        self.worth
    }

    pub(super) const fn is_used_by(&self, section: u64) -> bool {
        self.used == section
    }
}

/// What a look-up compares.
#[derive(Clone, Copy)]
enum Key {
    Line = 0,
    Name = 1,
}

/// The table and its index.
#[derive(Debug)]
pub(super) struct Entries {
    table: Table<Entry>,
    /// The newest entry of each place, by line and then by name: its absolute index and one, or 0. Entries
    /// that were evicted stay linked: their indexes tell.
    newest: Vec<u64>,
    /// How many places the index has at most, by line and by name each.
    most_places: usize,
    /// The size of all entries, since the beginning.
    end: u64,
}

impl Entries {
    pub(super) const fn new() -> Self {
        Self { table: Table::new(0), newest: Vec::new(), most_places: 0, end: 0 }
    }

    pub(super) const fn capacity(&self) -> u64 {
        self.table.capacity()
    }

    pub(super) const fn free(&self) -> u64 {
        self.table.capacity() - self.table.size()
    }

    pub(super) fn inserted(&self) -> u64 {
        self.table.inserted()
    }

    /// The size of all entries since the beginning, in bytes.
    pub(super) const fn inserted_bytes(&self) -> u64 {
        self.end
    }

    pub(super) fn get(&self, index: u64) -> Option<&Entry> {
        self.table.get(index)
    }

    /// The entries, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.table.iter().map(|(entry, _)| entry)
    }

    /// Changes the capacity; the caller has asked whether the entries that go [may](Self::may_shrink).
    pub(super) fn set_capacity(&mut self, capacity: u64) {
        self.table.set_capacity(capacity);
        self.most_places = max_entries(capacity).clamp(1, MAX_PLACES).next_power_of_two() as usize;
        self.index_anew(self.most_places.min(FEW_PLACES));
    }

    /// Links all entries in an index with so many places, or with more if there are more entries.
    fn index_anew(&mut self, places: usize) {
        let entries = usize::try_from(self.inserted() - self.table.first()).unwrap_or(usize::MAX);
        let places = entries.min(self.most_places).max(places).next_power_of_two();
        self.newest = vec![0; 2 * places];
        for index in self.table.first()..self.table.inserted() {
            self.link(index);
        }
    }

    fn place(&self, key: Key, hash: u32) -> usize {
        // The number of places is a power of two.
        let places = self.newest.len() / 2;
        key as usize * places + (hash as usize & places.wrapping_sub(1))
    }

    fn link(&mut self, index: u64) {
        let Some(hashes) = self.table.get(index).map(|entry| entry.hashes) else { return };
        for (key, hash) in [(Key::Line, hashes.line), (Key::Name, hashes.name)] {
            let place = self.place(key, hash);
            if let (Some(newest), Some(entry)) = (self.newest.get_mut(place), self.table.get_mut(index)) {
                entry.older[key as usize] = std::mem::replace(newest, index + 1);
            }
        }
    }

    fn find(&self, key: Key, hash: u32, matches: impl Fn(u64, &Entry) -> bool) -> Option<u64> {
        let mut at = *self.newest.get(self.place(key, hash))?;
        for _ in 0..STEPS {
            let index = at.checked_sub(1)?;
            // What is older than an entry that was evicted was evicted too.
            let entry = self.table.get(index)?;
            if matches(index, entry) {
                return Some(index);
            }
            at = entry.older[key as usize];
        }
        None
    }

    /// The absolute index of the newest entry with the line that `usable` permits.
    pub(super) fn find_line(
        &self,
        field: FieldRef<'_>,
        hashes: Hashes,
        usable: impl Fn(u64) -> bool,
    ) -> Option<u64> {
        self.find(Key::Line, hashes.line, |index, entry| {
            let same = entry.hashes == hashes && entry.name == field.name.len();
            same && entry.text.split_at_checked(entry.name) == Some((field.name, field.value))
                && usable(index)
        })
    }

    /// The absolute index of the newest entry with the name that `usable` permits.
    pub(super) fn find_name(&self, name: &[u8], hash: u32, usable: impl Fn(u64) -> bool) -> Option<u64> {
        self.find(Key::Name, hash, |index, entry| {
            entry.hashes.name == hash && entry.text.get(..entry.name) == Some(name) && usable(index)
        })
    }

    /// The entries from the oldest on, with their absolute indexes and sizes, up to the first that must not be
    /// evicted: one from `limit` on, or one to which a section refers (RFC 9204 §2.1.1).
    pub(super) fn evictable(&self, limit: u64) -> impl Iterator<Item = (u64, &Entry, u64)> {
        let entries = (self.table.first()..).zip(self.table.iter());
        let entries = entries.map(|(index, (entry, size))| (index, entry, *size));
        entries.take_while(move |(index, entry, _)| *index < limit && entry.pins == 0)
    }

    /// Whether the table may shrink to this size when entries below `limit` may go.
    pub(super) fn may_shrink(&self, size: u64, limit: u64) -> bool {
        let mut excess = self.table.size().saturating_sub(size);
        for (_, _, entry_size) in self.evictable(limit) {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(entry_size);
        }
        excess == 0
    }

    /// Whether an entry of this size fits when entries below `limit` may go.
    pub(super) fn has_room(&self, size: u64, limit: u64) -> bool {
        self.table.capacity().checked_sub(size).is_some_and(|rest| self.may_shrink(rest, limit))
    }

    /// How many bytes of new entries evict this one.
    pub(super) fn distance(&self, index: u64) -> u64 {
        let start = |index| self.table.get(index).map_or(0, |entry| entry.start);
        self.free() + start(index).saturating_sub(start(self.table.first()))
    }

    /// Inserts a line, which the caller knows to have room. Returns its absolute index.
    pub(super) fn insert(&mut self, field: FieldRef<'_>, hashes: Hashes, worth: Worth) -> u64 {
        self.put([field.name, field.value].concat().into(), field.name.len(), hashes, worth)
    }

    /// Inserts the entry `index` again, under the same condition. Returns its new absolute index.
    pub(super) fn duplicate(&mut self, index: u64, expected: i64) -> u64 {
        let Some(entry) = self.table.get(index) else { return index };
        let (text, name, hashes) = (entry.text.clone(), entry.name, entry.hashes);
        self.put(text, name, hashes, Worth { each: entry.worth.each, expected, saved: 0 })
    }

    fn put(&mut self, text: Box<[u8]>, name: usize, hashes: Hashes, worth: Worth) -> u64 {
        let index = self.table.inserted();
        let size = entry_size(text.len(), 0);
        let entry = Entry { text, name, hashes, older: [0; 2], start: self.end, pins: 0, used: 0, worth };
        if self.table.insert(entry, size) {
            self.end += size;
            let places = self.newest.len() / 2;
            if places < self.most_places && self.inserted() - self.table.first() > places as u64 {
                self.index_anew(2 * places);
            } else {
                self.link(index);
            }
        }
        index
    }

    /// The section with this number refers to the entry: it must stay or be duplicated.
    pub(super) fn mark(&mut self, index: u64, section: u64) {
        if let Some(entry) = self.table.get_mut(index) {
            entry.used = section;
        }
    }

    /// A reference to the entry saves so many bytes; by default what one to the whole line does.
    pub(super) fn credit(&mut self, index: u64, bytes: Option<u32>) {
        if let Some(entry) = self.table.get_mut(index) {
            entry.worth.saved = entry.worth.saved.saturating_add(bytes.unwrap_or(entry.worth.each));
        }
    }

    /// A section whose oldest reference is this entry was sent.
    pub(super) fn pin(&mut self, index: u64) {
        if let Some(entry) = self.table.get_mut(index) {
            entry.pins += 1;
        }
    }

    /// That section was acknowledged or cancelled.
    pub(super) fn unpin(&mut self, index: u64) {
        if let Some(entry) = self.table.get_mut(index) {
            entry.pins = entry.pins.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// A peer that chooses lines whose hashes are equal makes look-ups no longer than these.
    #[test]
    fn a_look_up_visits_few_entries() {
        let mut entries = Entries::new();
        entries.set_capacity(1 << 20);
        let hashes = Hashes { name: 7, line: 7 };
        let field = FieldRef::new(b"x-name", b"value");
        for _ in 0..10_000 {
            entries.insert(field, hashes, Worth::default());
        }
        let visits = Cell::new(0);
        let refuses = |_| {
            visits.set(visits.get() + 1);
            false
        };
        assert_eq!(entries.find_line(field, hashes, refuses), None);
        assert_eq!(entries.find_name(field.name, hashes.name, refuses), None);
        assert_eq!(visits.get(), 2 * STEPS);
        // Links lead to the newest entry, and end where the table does.
        assert_eq!(entries.find_line(field, hashes, |_| true), Some(9_999));
        assert_eq!(entries.find_line(FieldRef::new(b"x-name", b"other"), hashes, |_| true), None);
        entries.set_capacity(2 * 43);
        assert_eq!(entries.find_line(field, hashes, |index| index < 9_999), Some(9_998));
        assert_eq!(entries.find_line(field, hashes, |index| index < 9_998), None);
    }
}

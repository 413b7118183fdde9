//! Decides how the lines of one section are sent, and changes the table for them.
//!
//! It borrows the encoder's parts for one section. First it looks all lines up, then it inserts, so that no
//! insertion evicts what a later line refers to.

use super::{
    entries::{Entries, Worth},
    hashes::Hashes,
    instructions::Instructions,
    policy::{self, BYTE, Forecast, History, Policy},
    write::{self, Form, Name},
};
use crate::{field::FieldRef, huffman, table::entry_size};

/// One line of the section.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) field: FieldRef<'a>,
    pub(super) form: Form,
    hashes: Hashes,
    forecast: Forecast,
}

/// The encoder's parts.
#[derive(Debug)]
pub(super) struct Planner<'e> {
    pub(super) policy: Policy,
    pub(super) entries: &'e mut Entries,
    pub(super) history: &'e mut History,
    pub(super) instructions: &'e mut Instructions,
    /// The number of this section.
    pub(super) section: u64,
    /// How many insertions the decoder is known to have.
    pub(super) known: u64,
    /// Whether the section may refer to others.
    pub(super) may_block: bool,
    /// Whether other sections are outstanding.
    pub(super) in_flight: bool,
    /// Whether the table takes insertions.
    pub(super) grows: bool,
    /// Entries from here on must stay.
    pub(super) hold: u64,
    /// The entries that this section has moved to the new end of the table: from where to where.
    pub(super) moved: Vec<(u64, u64)>,
}

impl Planner<'_> {
    pub(super) fn plan<'a>(&mut self, fields: impl IntoIterator<Item = FieldRef<'a>>) -> Vec<Line<'a>> {
        let fields = fields.into_iter();
        let mut lines = Vec::with_capacity(fields.size_hint().0);
        for field in fields {
            lines.push(self.look_up(field));
        }
        if self.in_flight {
            self.drain(&lines);
        }
        for line in &mut lines {
            self.settle(line);
        }
        for line in &mut lines {
            self.finish(line);
        }
        lines
    }

    fn is_usable(&self, index: u64) -> bool {
        self.may_block || index < self.known
    }

    fn look_up<'a>(&mut self, mut field: FieldRef<'a>) -> Line<'a> {
        field.never_index |= is_sensitive(field);
        let form = Form::of_static(field);
        if let Form::Static(_) = form {
            return Line { field, form, hashes: Hashes::default(), forecast: Forecast::default() };
        }
        let mut line = Line { field, form, hashes: Hashes::of(field), forecast: Forecast::default() };
        if field.never_index {
            return line;
        }
        let found = self.entries.find_line(field, line.hashes, |index| self.is_usable(index));
        // A line seen so lately would be there if it had been inserted, also if others had been.
        let horizon = self.entries.capacity() / 4 * 3;
        let inserted = self.entries.inserted_bytes();
        line.forecast = self.history.see(line.hashes, inserted, horizon, found.is_some());
        if let Some(index) = found {
            line.form = Form::Entry(index);
            self.entries.mark(index, self.section);
            self.entries.credit(index, None);
            // What evicts entries for a forecast moves those that it meets; others must leave them.
            if !self.may_block || self.policy == Policy::Greedy {
                self.hold = self.hold.min(index);
            }
        }
        line
    }

    /// Moves used entries that are soon evicted to the new end: references to them would keep the table from
    /// taking insertions until they are acknowledged (RFC 9204 §2.1.1.1).
    fn drain(&mut self, lines: &[Line<'_>]) {
        let zone = self.entries.capacity() / 8;
        let draining = |line: &Line<'_>| match line.form {
            Form::Entry(index) if self.entries.distance(index) < zone => Some(index),
            _ => None,
        };
        let mut indexes: Vec<u64> = lines.iter().filter_map(draining).collect();
        indexes.sort_unstable();
        indexes.dedup();
        for index in indexes {
            if !self.keep(index) {
                self.hold = self.hold.min(index);
            }
        }
    }

    /// Duplicates an entry if there is room. The duplicate evicts at most the entry itself and those before it.
    fn keep(&mut self, index: u64) -> bool {
        let Some(entry) = self.entries.get(index) else { return false };
        let (field, worth, used) = (entry.field(), entry.worth(), entry.is_used_by(self.section));
        let size = entry_size(field.name.len(), field.value.len());
        let inserted = self.entries.inserted();
        let fits = self.grows
            && self.entries.has_room(size, self.hold.min(self.known))
            && self.instructions.put(|out| write::duplicate(index, inserted, out));
        if fits {
            let new = self.entries.duplicate(index, worth.forecast());
            if used && self.may_block {
                self.entries.mark(new, self.section);
                self.moved.push((index, new));
            }
        }
        fits
    }

    /// Inserts a line that is in no table, if that is worth it.
    fn settle(&mut self, line: &mut Line<'_>) {
        let (field, hashes) = (line.field, line.hashes);
        if !self.grows || field.never_index || !matches!(line.form, Form::Literal(_)) {
            return;
        }
        if let Some(index) = self.entries.find_line(field, hashes, |_| true) {
            // It was inserted for an earlier line, of this section or of one that is not acknowledged.
            if self.is_usable(index) {
                line.form = Form::Entry(index);
                self.entries.mark(index, self.section);
                self.entries.credit(index, None);
            }
            return;
        }
        let literal = literal_length(field, line.form);
        let each = literal.saturating_sub(1);
        let expected = line.forecast.repeats.saturating_mul(i64::from(each));
        // A section that may not block has the literal as well.
        let twice = if self.may_block { 0 } else { BYTE * i64::from(literal) };
        if self.make_room(field, expected - policy::REFERENCE - twice) {
            let name = match line.form {
                Form::Literal(Name::Static(index)) => Name::Static(index),
                _ => self
                    .entries
                    .find_name(field.name, hashes.name, |_| true)
                    .map_or(Name::Literal, Name::Entry),
            };
            let inserted = self.entries.inserted();
            if self.instructions.put(|out| write::insert(field, name, inserted, out)) {
                if let Name::Entry(index) = name {
                    self.entries.credit(index, Some(text_length(field.name)));
                }
                let new = self.entries.insert(field, hashes, Worth { each, expected, saved: 0 });
                if self.may_block {
                    line.form = Form::Entry(new);
                }
                return;
            }
        }
        if line.form == Form::Literal(Name::Literal) {
            self.settle_name(line);
        }
    }

    /// Inserts the name of a line whose value is not worth it.
    fn settle_name(&mut self, line: &Line<'_>) {
        let only = FieldRef::new(line.field.name, b"");
        if self.entries.find_name(only.name, line.hashes.name, |_| true).is_some() {
            return;
        }
        let each = text_length(only.name);
        let expected = line.forecast.uses.saturating_mul(BYTE / 2).saturating_mul(i64::from(each));
        let length = if self.may_block { 2 } else { i64::from(each) + 2 };
        if self.make_room(only, expected - length * BYTE) {
            let inserted = self.entries.inserted();
            if self.instructions.put(|out| write::insert(only, Name::Literal, inserted, out)) {
                self.entries.insert(only, Hashes::of(only), Worth { each: 0, expected, saved: 0 });
            }
        }
    }

    /// Makes room for a line whose entry is likely to save `gain`, in fractions of a byte. Of the entries that
    /// are next to go, those stay that are worth more for their size: they are duplicated. False, and nothing
    /// changes, if the line is not worth what that costs.
    fn make_room(&mut self, field: FieldRef<'_>, gain: i64) -> bool {
        let size = entry_size(field.name.len(), field.value.len());
        let limit = self.hold.min(self.known);
        if size > self.entries.capacity() || self.policy == Policy::Greedy {
            return self.entries.has_room(size, limit);
        }
        let gain = if self.instructions.is_empty() { gain - policy::FRAME } else { gain };
        let mut free = self.entries.free();
        if free >= size {
            return gain > policy::FREE.saturating_mul(size as i64);
        }
        let (mut loss, mut kept) = (0_i64, Vec::new());
        for (index, entry, entry_size) in self.entries.evictable(limit) {
            if free >= size || loss >= gain {
                break;
            }
            let forecast = entry.worth().forecast();
            // Compares the savings for each byte of the table, without a division.
            let worth_more = i128::from(forecast) * i128::from(size)
                > i128::from(policy::KEEP * gain / 4) * i128::from(entry_size);
            if entry.is_used_by(self.section) || worth_more {
                kept.push(index);
                loss += policy::DUPLICATE;
            } else {
                free += entry_size;
                loss += forecast;
            }
        }
        free >= size
            && loss < gain
            && kept.iter().all(|&index| self.keep(index))
            && self.entries.has_room(size, limit)
    }

    /// Settles what a line refers to, after all insertions.
    fn finish(&mut self, line: &mut Line<'_>) {
        match &mut line.form {
            Form::Entry(index) => {
                while let Some((_, new)) = self.moved.iter().find(|(old, _)| old == index) {
                    *index = *new;
                }
            }
            Form::Literal(Name::Literal) => {
                let (name, hash) = (line.field.name, line.hashes.name);
                if let Some(index) = self.entries.find_name(name, hash, |index| self.is_usable(index)) {
                    line.form = Form::Literal(Name::Entry(index));
                    self.entries.credit(index, Some(text_length(name)));
                }
            }
            Form::Static(_) | Form::Literal(_) => {}
        }
    }
}

/// Whether a line is sent as a literal that is never indexed, although the caller did not say so
/// (RFC 9204 §7.1.3): credentials, and cookies that are short enough to be guessed.
pub(super) fn is_sensitive(field: FieldRef<'_>) -> bool {
    match field.name {
        b"authorization" | b"proxy-authorization" | b"set-cookie" => true,
        b"cookie" => field.value.len() < 20,
        _ => false,
    }
}

/// The length of a string in the shorter of its two forms, in bytes.
fn text_length(text: &[u8]) -> u32 {
    u32::try_from(huffman::encoded_length(text).min(text.len())).unwrap_or(u32::MAX)
}

/// About how long a line is as a literal, in bytes.
fn literal_length(field: FieldRef<'_>, form: Form) -> u32 {
    let name = match form {
        Form::Literal(Name::Static(..15)) => 1,
        _ => 2,
    };
    let value = text_length(field.value);
    value.saturating_add(name + if value < 127 { 1 } else { 2 })
}

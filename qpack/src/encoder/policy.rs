//! What is worth an entry of the table: the policies, and what the encoder remembers of lines that it sent.
//!
//! It owns two tables of fixed size, indexed by hash: a collision makes a forecast worse, and costs nothing
//! else. It must never know entries or bytes.

use super::hashes::Hashes;

/// How much an encoder uses the dynamic table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// Not at all: static references and literals only.
    StaticOnly,
    /// For what is likely to save more bytes than it costs, by what was seen so far.
    #[default]
    Balanced,
    /// For each line that is not sensitive, as far as it fits.
    Greedy,
}

/// Amounts of bytes are counted in this fraction of a byte.
pub(super) const BYTE: i64 = 256;

/// How many lines and names are remembered.
const PLACES: (usize, usize) = (512, 64);
/// How many are while so few lines were seen: a connection for one session has no more.
const FEW: (usize, usize) = (64, 64);
const FEW_LINES: u32 = 32;

// The forecasts and prices below are the ones with which the lists of requests and responses of the offline
// interoperability corpus take the fewest bytes, in tables of several sizes; near values do about as well.

/// An instruction that goes alone needs a frame of the encoder stream of its own, of about so many bytes.
pub(super) const FRAME: i64 = 10 * BYTE;
/// What an insertion costs beyond the literal that it replaces: the reference to it.
pub(super) const REFERENCE: i64 = BYTE;
/// What it costs to keep an entry in the table.
pub(super) const DUPLICATE: i64 = BYTE;
/// An entry stays if it saves so many quarters as much for its size as one for which it would have to go.
pub(super) const KEEP: i64 = 7;
/// The price of a byte of the table although it is free: what comes later will need it.
pub(super) const FREE: i64 = BYTE / 64;
/// The first line of a name is likely to come again so often.
const FIRST: i64 = BYTE * 3 / 4;

/// A line's forecast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Forecast {
    /// How often the line is likely to come again while its entry is there, in fractions of one.
    pub(super) repeats: i64,
    /// How many lines of the name were seen lately.
    pub(super) uses: i64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    line: u32,
    /// The bytes inserted into the table until then, modulo 2^32.
    at: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Name {
    name: u32,
    /// The first line of that name: fields of which the value never changes tell nothing of those of which
    /// it does.
    first: u32,
    /// How many lines were new, and how many came again.
    new: u16,
    again: u16,
}

#[derive(Debug, Default)]
pub(super) struct History {
    lines: Vec<Seen>,
    names: Vec<Name>,
    /// How many lines were seen, up to one more than [`FEW_LINES`].
    count: u32,
}

impl History {
    /// Remembers a line, and whether it is in the table, and forecasts how often it will come again.
    /// `inserted` is the number of bytes that were inserted so far; a line seen within the last `horizon` of
    /// them would still be in the table.
    pub(super) fn see(&mut self, hashes: Hashes, inserted: u64, horizon: u64, found: bool) -> Forecast {
        match self.count {
            0 => self.resize(FEW),
            FEW_LINES => self.resize(PLACES),
            _ => {}
        }
        self.count = self.count.saturating_add(1).min(FEW_LINES + 1);
        let at = inserted as u32;
        let place = hashes.line as usize % self.lines.len();
        let seen = &mut self.lines[place];
        let lately = seen.line == hashes.line && u64::from(at.wrapping_sub(seen.at)) <= horizon;
        *seen = Seen { line: hashes.line, at };
        let place = hashes.name as usize % self.names.len();
        let name = &mut self.names[place];
        if name.name != hashes.name {
            *name = Name { name: hashes.name, first: hashes.line, new: 0, again: 0 };
            return Forecast { repeats: FIRST, uses: 0 };
        }
        let (new, again) = (i64::from(name.new), i64::from(name.again));
        // The mean of earlier lines of the name, which counts a new line more than one that came again: what
        // varies goes on varying.
        let mut repeats = BYTE * (again + 1) / (4 * new + 3);
        if lately {
            // Few lines come twice and not a third time.
            repeats = repeats * 8 + BYTE * 3 / 8;
        }
        if name.first != hashes.line {
            match lately || found {
                true => name.again += 1,
                false => name.new += 1,
            }
            if name.new + name.again > 96 {
                name.new /= 2;
                name.again /= 2;
            }
        }
        Forecast { repeats, uses: new + again }
    }

    /// Makes room for so many lines and names, and keeps those that are there.
    fn resize(&mut self, (lines, names): (usize, usize)) {
        let old_lines = std::mem::replace(&mut self.lines, vec![Seen::default(); lines]);
        let old_names = std::mem::replace(&mut self.names, vec![Name::default(); names]);
        for seen in old_lines.into_iter().filter(|seen| seen.line != 0) {
            self.lines[seen.line as usize % lines] = seen;
        }
        for name in old_names.into_iter().filter(|name| name.name != 0) {
            self.names[name.name as usize % names] = name;
        }
    }
}

//! The field sections that refer to the dynamic table and are not acknowledged yet (RFC 9204 §2.1).
//!
//! It owns, for each of them, what it requires and its oldest reference, and knows which streams may be
//! blocked. It must never know entries or bytes.

use std::collections::BTreeMap;

/// The most sections that are remembered. A peer that acknowledges nothing gets sections without references
/// after that.
pub(super) const MAX_SECTIONS: usize = 512;

/// What a section needs of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Section {
    /// The Required Insert Count.
    pub(super) required: u64,
    /// The absolute index of the oldest entry that it refers to.
    pub(super) oldest: u64,
}

#[derive(Debug, Default)]
pub(super) struct Sections {
    /// By stream and then in the order of sending.
    sections: BTreeMap<(u64, u64), Section>,
    next: u64,
    /// The streams with a section that requires insertions that the decoder may not have, and the most that
    /// one of their sections requires.
    blocking: Vec<(u64, u64)>,
}

impl Sections {
    pub(super) fn is_full(&self) -> bool {
        self.sections.len() >= MAX_SECTIONS
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    /// Whether a section of this stream may be blocked, when `limit` streams may (RFC 9204 §2.1.2). On a
    /// stream that may be blocked already, one more makes no difference.
    pub(super) fn may_block(&self, stream: u64, limit: u64) -> bool {
        (self.blocking.len() as u64) < limit || self.blocking.iter().any(|(other, _)| *other == stream)
    }

    /// Remembers a section that is sent, while the decoder is known to have `known` insertions.
    pub(super) fn add(&mut self, stream: u64, section: Section, known: u64) {
        self.sections.insert((stream, self.next), section);
        self.next += 1;
        if section.required > known {
            match self.blocking.iter_mut().find(|(other, _)| *other == stream) {
                Some((_, required)) => *required = (*required).max(section.required),
                None => self.blocking.push((stream, section.required)),
            }
        }
    }

    /// Takes the oldest section of a stream.
    pub(super) fn acknowledge(&mut self, stream: u64) -> Option<Section> {
        let (key, section) = self.sections.range((stream, 0)..=(stream, u64::MAX)).next()?;
        let (key, section) = (*key, *section);
        self.sections.remove(&key);
        Some(section)
    }

    /// Takes the oldest section of a stream that is cancelled; to be repeated until there is none.
    pub(super) fn cancel(&mut self, stream: u64) -> Option<Section> {
        let section = self.acknowledge(stream);
        if section.is_none() {
            self.blocking.retain(|(other, _)| *other != stream);
        }
        section
    }

    /// The decoder is known to have `known` insertions.
    pub(super) fn on_known(&mut self, known: u64) {
        self.blocking.retain(|(_, required)| *required > known);
    }
}

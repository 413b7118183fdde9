//! The instructions that wait to be sent on the encoder stream, and the room that it has for them.

use bytes::BufMut;

/// Instructions are begun only if they fit whole: one of which a part waits for credit could keep back the
/// sections that need it, and these the credit (RFC 9204 §2.1.3).
#[derive(Debug)]
pub(super) struct Instructions {
    bytes: Vec<u8>,
    room: usize,
}

impl Instructions {
    pub(super) const fn new() -> Self {
        Self { bytes: Vec::new(), room: usize::MAX }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn length(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn set_room(&mut self, room: usize) {
        self.room = room;
    }

    /// Appends the instruction that `write` writes; false, and nothing is appended, if there is no room.
    pub(super) fn put(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let before = self.bytes.len();
        write(&mut self.bytes);
        let fits = self.bytes.len() <= self.room;
        if !fits {
            self.bytes.truncate(before);
        }
        fits
    }

    pub(super) fn take(&mut self, out: &mut impl BufMut) {
        out.put_slice(&self.bytes);
        self.room = self.room.saturating_sub(self.bytes.len());
        self.bytes.clear();
    }
}

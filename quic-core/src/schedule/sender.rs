//! Who waits for a turn, and how much one may send in it.

/// Who can send, by the name that its component gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// A stream, by its slot.
    Stream(u32),
    /// A queue of datagrams, by its index.
    Datagrams(u32),
}

/// Bytes that a sender, a group and a bundle send before the turn goes on: a few packets, so that a packet rarely
/// carries many streams and none waits long.
pub(super) const QUANTUM: usize = 4096;

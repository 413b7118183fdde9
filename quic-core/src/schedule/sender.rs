//! The senders that take turns, and how much one may send in its turn.

/// A sender, by the name that its component gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// A stream, by its slot.
    Stream(u32),
    /// A queue of datagrams, by its index.
    Datagrams(u32),
}

/// How many bytes a sender, a group or a bundle sends before its turn ends. It is a few packets: a packet
/// then rarely carries many streams, and no sender waits long.
pub(super) const QUANTUM: usize = 4096;

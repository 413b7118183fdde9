//! `Schedule`: who sends next (RFC 9000 §2.3, RFC 9218 §10, W3C send groups and orders).
//!
//! Owns queues of senders, streams and queues of datagrams, that can send now. Urgency first; groups of one urgency
//! take turns; inside a group a higher order goes first, strictly; equals take turns if incremental and go by id if
//! not. Must never know what a stream or a datagram is: it keeps names and counts bytes.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use crate::event::Priority;

/// Who can send, by the name that its component gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// A stream, by its slot.
    Stream(u32),
    /// A queue of datagrams, by its index.
    Datagrams(u32),
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) sender: Sender,
    /// Among the senders of this urgency.
    pub(crate) urgency: u8,
}

/// Bytes that a sender, and a group, sends before the turn goes on: a few packets, so that a packet rarely
/// carries many streams and none waits long.
const QUANTUM: usize = 4096;
const LEVELS: usize = 8;

/// Senders of one order of one group.
#[derive(Debug)]
struct Class {
    order: i64,
    ring: VecDeque<Sender>,
    sequential: BTreeMap<u64, Sender>,
    /// Sequential senders as a whole take turns with the ring.
    sequential_turn: bool,
    sent: usize,
}

impl Class {
    fn new(order: i64) -> Self {
        Self { order, ring: VecDeque::new(), sequential: BTreeMap::new(), sequential_turn: true, sent: 0 }
    }

    fn is_empty(&self) -> bool {
        self.ring.is_empty() && self.sequential.is_empty()
    }

    fn peek(&self) -> Option<Sender> {
        let sequential = self.sequential.first_key_value().map(|(_, &sender)| sender);
        let ring = self.ring.front().copied();
        if self.sequential_turn { sequential.or(ring) } else { ring.or(sequential) }
    }

    fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
        if self.sent >= QUANTUM {
            self.sent = 0;
            let sequential_was_on =
                !self.sequential.is_empty() && (self.sequential_turn || self.ring.is_empty());
            if !sequential_was_on && self.ring.len() > 1 {
                self.ring.rotate_left(1);
            }
            self.sequential_turn = !sequential_was_on;
        }
    }
}

#[derive(Debug)]
struct Group {
    id: u32,
    /// Highest order first.
    classes: Vec<Class>,
    senders: usize,
}

#[derive(Debug, Default)]
struct Level {
    groups: Vec<Group>,
    turn: usize,
    sent: usize,
    senders: usize,
}

impl Level {
    /// The group whose turn it is; groups without senders are skipped.
    fn current(&self) -> Option<usize> {
        let count = self.groups.len();
        (0..count)
            .map(|step| (self.turn + step) % count)
            .find(|&at| self.groups.get(at).is_some_and(|group| group.senders > 0))
    }

    fn group_mut(&mut self, id: u32) -> Option<&mut Group> {
        let at = match self.groups.binary_search_by_key(&id, |group| group.id) {
            Ok(at) => at,
            Err(at) => {
                if at <= self.turn && !self.groups.is_empty() {
                    self.turn += 1;
                }
                self.groups.insert(at, Group { id, classes: Vec::new(), senders: 0 });
                at
            }
        };
        self.groups.get_mut(at)
    }

    /// Removes what is empty, but for the default group and order: there they come and go all the time.
    fn tidy(&mut self, id: u32, order: i64) {
        let Ok(at) = self.groups.binary_search_by_key(&id, |group| group.id) else { return };
        let Some(group) = self.groups.get_mut(at) else { return };
        if order != 0 {
            group.classes.retain(|class| class.order != order || !class.is_empty());
        }
        if id != 0 && group.senders == 0 {
            self.groups.remove(at);
            if at < self.turn {
                self.turn -= 1;
            } else if at == self.turn {
                self.sent = 0;
            }
            if self.turn >= self.groups.len() {
                self.turn = 0;
            }
        }
    }
}

/// The senders that can send now, in queues.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    levels: [Level; LEVELS],
    /// Bit n: level n has senders.
    occupied: u8,
}

impl Schedule {
    /// True when nobody can send.
    pub(crate) fn is_empty(&self) -> bool {
        self.occupied == 0
    }

    /// Adds a sender that is not there yet. `id` ranks it if it is not incremental.
    pub(crate) fn insert(&mut self, sender: Sender, id: u64, priority: &Priority) {
        let urgency = urgency(priority);
        let Some(level) = self.levels.get_mut(urgency) else { return };
        let Some(group) = level.group_mut(priority.group) else { return };
        let at = match group.classes.binary_search_by(|class| priority.order.cmp(&class.order)) {
            Ok(at) => at,
            Err(at) => {
                group.classes.insert(at, Class::new(priority.order));
                at
            }
        };
        let Some(class) = group.classes.get_mut(at) else { return };
        if priority.incremental {
            class.ring.push_back(sender);
        } else {
            class.sequential.insert(id, sender);
        }
        group.senders += 1;
        level.senders += 1;
        self.occupied |= 1 << urgency;
    }

    /// Removes a sender that was added with this priority.
    pub(crate) fn remove(&mut self, sender: Sender, id: u64, priority: &Priority) {
        let urgency = urgency(priority);
        let Some(level) = self.levels.get_mut(urgency) else { return };
        let Some(group) = level.groups.iter_mut().find(|group| group.id == priority.group) else { return };
        let found = group.classes.binary_search_by(|class| priority.order.cmp(&class.order));
        let Some(class) = found.ok().and_then(|at| group.classes.get_mut(at)) else { return };
        let removed = if priority.incremental {
            let at = class.ring.iter().position(|&other| other == sender);
            if at == Some(0) {
                class.sent = 0;
            }
            at.is_some_and(|at| class.ring.remove(at).is_some())
        } else {
            class.sequential.remove(&id).is_some()
        };
        debug_assert!(removed, "a sender that is not in the queue of its priority");
        if removed {
            group.senders -= 1;
            level.senders -= 1;
        }
        if level.senders == 0 {
            self.occupied &= !(1 << urgency);
        }
        level.tidy(priority.group, priority.order);
    }

    /// Whose turn it is among the senders that are no more urgent than `from` (0 asks all).
    pub(crate) fn peek(&self, from: u8) -> Option<Turn> {
        let urgency = self.occupied & u8::MAX.checked_shl(u32::from(from)).unwrap_or(0);
        let urgency = urgency.trailing_zeros() as u8;
        let level = self.levels.get(usize::from(urgency))?;
        let group = level.groups.get(level.current()?)?;
        let sender = group.classes.iter().find(|class| !class.is_empty())?.peek()?;
        Some(Turn { sender, urgency })
    }

    /// The sender that [`Self::peek`] told sent `bytes`. To be called before it is removed.
    pub(crate) fn on_sent(&mut self, turn: Turn, bytes: usize) {
        let Some(level) = self.levels.get_mut(usize::from(turn.urgency)) else { return };
        let Some(current) = level.current() else { return };
        let Some(group) = level.groups.get_mut(current) else { return };
        if let Some(class) = group.classes.iter_mut().find(|class| !class.is_empty()) {
            class.sent(bytes);
        }
        if level.turn != current {
            level.turn = current;
            level.sent = 0;
        }
        level.sent += bytes;
        if level.sent >= QUANTUM {
            level.sent = 0;
            level.turn = (current + 1) % level.groups.len();
        }
    }

    /// All senders, in no special order.
    pub(crate) fn senders(&self) -> impl Iterator<Item = Sender> + '_ {
        self.levels
            .iter()
            .flat_map(|level| &level.groups)
            .flat_map(|group| &group.classes)
            .flat_map(|class| class.ring.iter().chain(class.sequential.values()).copied())
    }
}

fn urgency(priority: &Priority) -> usize {
    usize::from(priority.urgency).min(LEVELS - 1)
}

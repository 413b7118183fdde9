//! `Schedule`: who sends next (RFC 9000 §2.3, RFC 9218 §10, W3C send groups and orders).
//!
//! Owns queues of the senders that can send now. A sender is a stream or a queue of datagrams. The more
//! urgent goes first. Bundles of one urgency take turns, and so do the groups of a bundle. Inside a group, a
//! higher order goes strictly first; senders of equal order take turns if they are incremental, and go by ID
//! if not. The schedule never knows what a stream or a datagram is: it keeps names and counts bytes.

mod sender;
#[cfg(test)]
mod tests;
mod turns;

use std::collections::{BTreeMap, VecDeque};

pub(crate) use self::sender::Sender;
use self::{
    sender::QUANTUM,
    turns::{Branch, Turns},
};
use crate::event::Priority;

/// The sender whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) sender: Sender,
    /// The urgency at which the sender has its turn.
    pub(crate) urgency: u8,
}

const LEVELS: usize = 8;

/// The senders of one group that have the same order.
#[derive(Debug)]
struct Class {
    order: i64,
    incremental: VecDeque<Sender>,
    sequential: BTreeMap<u64, Sender>,
    /// All sequential senders together take turns with the incremental ones, as if they were one of them.
    sequential_turn: bool,
    sent: usize,
}

impl Class {
    fn new(order: i64) -> Self {
        Self {
            order,
            incremental: VecDeque::new(),
            sequential: BTreeMap::new(),
            sequential_turn: true,
            sent: 0,
        }
    }

    fn is_empty(&self) -> bool {
        self.incremental.is_empty() && self.sequential.is_empty()
    }

    fn peek(&self) -> Option<Sender> {
        let sequential = self.sequential.first_key_value().map(|(_, &sender)| sender);
        let incremental = self.incremental.front().copied();
        if self.sequential_turn { sequential.or(incremental) } else { incremental.or(sequential) }
    }

    fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
        if self.sent >= QUANTUM {
            self.sent = 0;
            let sequential_was_on =
                !self.sequential.is_empty() && (self.sequential_turn || self.incremental.is_empty());
            if !sequential_was_on && self.incremental.len() > 1 {
                self.incremental.rotate_left(1);
            }
            self.sequential_turn = !sequential_was_on;
        }
    }
}

/// The senders of one group.
#[derive(Debug, Default)]
struct Group {
    /// Highest order first.
    classes: Vec<Class>,
    senders: usize,
}

impl Group {
    fn insert(&mut self, sender: Sender, id: u64, priority: &Priority) {
        let at = match self.classes.binary_search_by(|class| priority.order.cmp(&class.order)) {
            Ok(at) => at,
            Err(at) => {
                if self.classes.is_empty() {
                    // Most groups never have a second one.
                    self.classes.reserve_exact(1);
                }
                self.classes.insert(at, Class::new(priority.order));
                at
            }
        };
        let Some(class) = self.classes.get_mut(at) else { return };
        if priority.incremental {
            class.incremental.push_back(sender);
        } else {
            class.sequential.insert(id, sender);
        }
        self.senders += 1;
    }

    /// Returns false if the sender was not there.
    fn remove(&mut self, sender: Sender, id: u64, priority: &Priority) -> bool {
        let found = self.classes.binary_search_by(|class| priority.order.cmp(&class.order));
        let Some((at, class)) = found.ok().and_then(|at| Some((at, self.classes.get_mut(at)?))) else {
            return false;
        };
        let removed = if priority.incremental {
            let at = class.incremental.iter().position(|&other| other == sender);
            if at == Some(0) {
                class.sent = 0;
            }
            at.is_some_and(|at| class.incremental.remove(at).is_some())
        } else {
            class.sequential.remove(&id).is_some()
        };
        self.senders -= usize::from(removed);
        // The class of the default order stays, as the default group does.
        if priority.order != 0 && class.is_empty() {
            self.classes.remove(at);
        }
        removed
    }

    fn senders(&self) -> impl Iterator<Item = Sender> {
        self.classes
            .iter()
            .flat_map(|class| class.incremental.iter().chain(class.sequential.values()).copied())
    }
}

impl Branch for Group {
    fn is_empty(&self) -> bool {
        self.senders == 0
    }

    fn peek(&self) -> Option<Sender> {
        self.classes.iter().find(|class| !class.is_empty())?.peek()
    }

    fn on_sent(&mut self, bytes: usize) {
        if let Some(class) = self.classes.iter_mut().find(|class| !class.is_empty()) {
            class.sent(bytes);
        }
    }
}

/// The senders of one urgency, by bundle and group.
type Level = Turns<Turns<Group>>;

/// The senders that can send now, in queues.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    levels: [Level; LEVELS],
    /// Bit n is set if level n has senders.
    occupied: u8,
}

impl Schedule {
    /// True if there is no sender.
    pub(crate) fn is_empty(&self) -> bool {
        self.occupied == 0
    }

    /// Adds a sender that is not in the schedule yet. `id` is its rank if it is not incremental.
    pub(crate) fn insert(&mut self, sender: Sender, id: u64, priority: &Priority) {
        let urgency = urgency(priority);
        let bundle = self.levels.get_mut(urgency).and_then(|level| level.enter(priority.bundle));
        let Some(group) = bundle.and_then(|bundle| bundle.enter(priority.group)) else { return };
        group.insert(sender, id, priority);
        self.occupied |= 1 << urgency;
    }

    /// Removes a sender that was added with this priority.
    pub(crate) fn remove(&mut self, sender: Sender, id: u64, priority: &Priority) {
        let urgency = urgency(priority);
        let Some(level) = self.levels.get_mut(urgency) else { return };
        let Some(bundle) = level.find(priority.bundle) else { return };
        let removed = bundle.find(priority.group).is_some_and(|group| group.remove(sender, id, priority));
        debug_assert!(removed, "a sender that is not in the queue of its priority");
        if removed {
            bundle.left(priority.group);
            level.left(priority.bundle);
        }
        if level.is_empty() {
            self.occupied &= !(1 << urgency);
        }
    }

    /// The sender whose turn it is, among those no more urgent than `from` (0 includes all).
    pub(crate) fn peek(&self, from: u8) -> Option<Turn> {
        let urgency = self.occupied & u8::MAX.checked_shl(u32::from(from)).unwrap_or(0);
        let urgency = urgency.trailing_zeros() as u8;
        let sender = self.levels.get(usize::from(urgency))?.peek()?;
        Some(Turn { sender, urgency })
    }

    /// The sender that [`Self::peek`] returned sent `bytes`. The caller must report this before it removes
    /// the sender.
    pub(crate) fn on_sent(&mut self, turn: Turn, bytes: usize) {
        if let Some(level) = self.levels.get_mut(usize::from(turn.urgency)) {
            // A lone sender keeps the turn; another one that joins it waits for at most a quantum.
            if level.senders() > 1 {
                level.on_sent(bytes);
            }
        }
    }

    /// All senders, in no special order.
    pub(crate) fn senders(&self) -> impl Iterator<Item = Sender> + '_ {
        self.levels.iter().flat_map(Turns::children).flat_map(Turns::children).flat_map(Group::senders)
    }
}

fn urgency(priority: &Priority) -> usize {
    usize::from(priority.urgency).min(LEVELS - 1)
}

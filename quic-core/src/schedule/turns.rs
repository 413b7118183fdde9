//! Children that take turns: the groups of a bundle, or the bundles of an urgency.

use super::sender::{QUANTUM, Sender};

/// A child that can have a turn.
pub(super) trait Branch: Default {
    fn is_empty(&self) -> bool;

    /// The sender that goes next when this child has the turn.
    fn peek(&self) -> Option<Sender>;

    /// The sender that [`Self::peek`] returned sent `bytes`.
    fn on_sent(&mut self, bytes: usize);
}

/// Children in the order of their names. The child whose turn it is sends one quantum.
#[derive(Debug, Default)]
pub(super) struct Turns<T> {
    children: Vec<(u32, T)>,
    turn: usize,
    sent: usize,
    senders: usize,
}

impl<T: Branch> Turns<T> {
    /// The child whose turn it is; those without senders are skipped.
    fn current(&self) -> Option<usize> {
        let can_send = |(_, child): &(u32, T)| !child.is_empty();
        // The common case: the child whose turn it is continues its quantum.
        if self.children.get(self.turn).is_some_and(can_send) {
            return Some(self.turn);
        }
        let behind = self.children.iter().skip(self.turn).position(can_send).map(|at| self.turn + at);
        behind.or_else(|| self.children.iter().position(can_send))
    }

    pub(super) fn find(&mut self, id: u32) -> Option<&mut T> {
        let at = self.children.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        self.children.get_mut(at).map(|(_, child)| child)
    }

    /// Returns the child, which gets one more sender. Makes the child if there is none.
    pub(super) fn enter(&mut self, id: u32) -> Option<&mut T> {
        let at = match self.children.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(at) => at,
            Err(at) => {
                if at <= self.turn && !self.children.is_empty() {
                    self.turn += 1;
                }
                if self.children.is_empty() {
                    // Most connections never have a second one.
                    self.children.reserve_exact(1);
                }
                self.children.insert(at, (id, T::default()));
                at
            }
        };
        self.senders += 1;
        self.children.get_mut(at).map(|(_, child)| child)
    }

    /// The child has lost a sender. A child without senders is removed, except the default one, where senders
    /// come and go all the time.
    pub(super) fn left(&mut self, id: u32) {
        self.senders -= 1;
        let Ok(at) = self.children.binary_search_by_key(&id, |(id, _)| *id) else { return };
        if id == 0 || !self.children.get(at).is_some_and(|(_, child)| child.is_empty()) {
            return;
        }
        self.children.remove(at);
        if at < self.turn {
            self.turn -= 1;
        } else if at == self.turn {
            self.sent = 0;
        }
        if self.turn >= self.children.len() {
            self.turn = 0;
        }
    }

    /// How many senders can send.
    pub(super) fn senders(&self) -> usize {
        self.senders
    }

    pub(super) fn children(&self) -> impl Iterator<Item = &T> {
        self.children.iter().map(|(_, child)| child)
    }
}

impl<T: Branch> Branch for Turns<T> {
    fn is_empty(&self) -> bool {
        self.senders == 0
    }

    fn peek(&self) -> Option<Sender> {
        self.children.get(self.current()?)?.1.peek()
    }

    fn on_sent(&mut self, bytes: usize) {
        let Some(current) = self.current() else { return };
        let Some((_, child)) = self.children.get_mut(current) else { return };
        child.on_sent(bytes);
        if self.turn != current {
            self.turn = current;
            self.sent = 0;
        }
        self.sent += bytes;
        if self.sent >= QUANTUM {
            self.sent = 0;
            self.turn = (current + 1) % self.children.len();
        }
    }
}

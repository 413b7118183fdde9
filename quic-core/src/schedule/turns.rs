//! Children that take turns: the groups of a bundle, the bundles of an urgency.

use super::sender::{QUANTUM, Sender};

/// What can have a turn.
pub(super) trait Branch: Default {
    fn is_empty(&self) -> bool;

    /// Who sends when the turn is here.
    fn peek(&self) -> Option<Sender>;

    /// That sender sent `bytes`.
    fn on_sent(&mut self, bytes: usize);
}

/// Children in the order of their names; the one whose turn it is sends a quantum.
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
        // The child whose turn it is goes on with its quantum nearly always.
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

    /// The child, made if need be, that gets one more sender.
    pub(super) fn enter(&mut self, id: u32) -> Option<&mut T> {
        let at = match self.children.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(at) => at,
            Err(at) => {
                if at <= self.turn && !self.children.is_empty() {
                    self.turn += 1;
                }
                self.children.insert(at, (id, T::default()));
                at
            }
        };
        self.senders += 1;
        self.children.get_mut(at).map(|(_, child)| child)
    }

    /// The child has lost a sender. It goes when it has none left, but for the default one: there they come and go all
    /// the time.
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

    /// How many can send.
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

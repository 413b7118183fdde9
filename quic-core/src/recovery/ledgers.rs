//! The ledgers of the three packet number spaces.

use super::space::SpaceLedger;
use crate::ids::Space;

/// A ledger for each packet number space. Those of the handshake exist until its keys are discarded, and cost
/// nothing for the rest of the connection.
#[derive(Debug)]
pub(super) struct Ledgers<R> {
    /// Initial and Handshake.
    handshake: Option<Box<[SpaceLedger<R>; 2]>>,
    data: SpaceLedger<R>,
}

impl<R: Copy> Ledgers<R> {
    pub(super) fn new() -> Self {
        Self {
            handshake: Some(Box::new(std::array::from_fn(|_| SpaceLedger::new()))),
            data: SpaceLedger::new(),
        }
    }

    /// The ledger of a space, unless its packets are forgotten.
    pub(super) fn get(&self, space: Space) -> Option<&SpaceLedger<R>> {
        match space {
            Space::Data => Some(&self.data),
            Space::Initial | Space::Handshake => self.handshake.as_ref()?.get(space as usize),
        }
    }

    /// As [`Self::get`], to change it.
    pub(super) fn get_mut(&mut self, space: Space) -> Option<&mut SpaceLedger<R>> {
        match space {
            Space::Data => Some(&mut self.data),
            Space::Initial | Space::Handshake => self.handshake.as_mut()?.get_mut(space as usize),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &SpaceLedger<R>> {
        self.handshake.iter().flat_map(|both| both.iter()).chain([&self.data])
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut SpaceLedger<R>> {
        self.handshake.iter_mut().flat_map(|both| both.iter_mut()).chain([&mut self.data])
    }

    /// Frees the ledgers of the handshake. The caller has abandoned their packets.
    pub(super) fn forget_handshake(&mut self) {
        self.handshake = None;
    }
}

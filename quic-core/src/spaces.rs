//! What a connection has for each packet number space (RFC 9000 §12.3).

use crate::ids::Space;

/// A value for each packet number space. Those of Initial and Handshake are freed when their keys are
/// discarded, so they cost nothing for the rest of the connection.
#[derive(Debug)]
pub(crate) struct Spaces<T> {
    /// Initial and Handshake.
    handshake: Option<Box<[T; 2]>>,
    pub(crate) data: T,
}

impl<T> Spaces<T> {
    /// Makes the values.
    pub(crate) fn new(mut make: impl FnMut(Space) -> T) -> Self {
        let handshake = [make(Space::Initial), make(Space::Handshake)];
        Self { handshake: Some(Box::new(handshake)), data: make(Space::Data) }
    }

    /// The value of a space; `None` once it is freed.
    pub(crate) fn get(&self, space: Space) -> Option<&T> {
        match space {
            Space::Data => Some(&self.data),
            Space::Initial | Space::Handshake => self.handshake.as_ref()?.get(space as usize),
        }
    }

    /// As [`Self::get`], to change it.
    pub(crate) fn get_mut(&mut self, space: Space) -> Option<&mut T> {
        match space {
            Space::Data => Some(&mut self.data),
            Space::Initial | Space::Handshake => self.handshake.as_mut()?.get_mut(space as usize),
        }
    }

    /// The values that are left.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.handshake.iter().flat_map(|both| both.iter()).chain([&self.data])
    }

    /// As [`Self::iter`], to change them.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.handshake.iter_mut().flat_map(|both| both.iter_mut()).chain([&mut self.data])
    }

    /// Frees the values of Initial and Handshake.
    pub(crate) fn end_handshake(&mut self) {
        self.handshake = None;
    }
}

//! A queue with its first entry inline. Most streams hold one piece at a time, and then allocate nothing.

use std::collections::VecDeque;

/// The capacity that the empty list keeps.
const KEPT: usize = 4;

/// A queue of pieces, first in, first out.
#[derive(Debug)]
pub(crate) struct Pieces<T> {
    /// `None` only if the whole queue is empty.
    first: Option<T>,
    more: Option<VecDeque<T>>,
}

impl<T> Default for Pieces<T> {
    fn default() -> Self {
        Self { first: None, more: None }
    }
}

impl<T> Pieces<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(crate) fn push_back(&mut self, piece: T) {
        if self.first.is_none() {
            self.first = Some(piece);
        } else {
            self.more.get_or_insert_default().push_back(piece);
        }
    }

    pub(crate) fn front_mut(&mut self) -> Option<&mut T> {
        self.first.as_mut()
    }

    pub(crate) fn pop_front(&mut self) -> Option<T> {
        let next = self.more.as_mut().and_then(|more| {
            let next = more.pop_front();
            if more.is_empty() {
                more.shrink_to(KEPT);
            }
            next
        });
        std::mem::replace(&mut self.first, next)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(self.more.iter().flat_map(|more| more.iter()))
    }

    /// Keeps the pieces for which `keep` returns true, in order.
    pub(crate) fn retain_mut(&mut self, mut keep: impl FnMut(&mut T) -> bool) {
        let gone = self.first.take_if(|first| !keep(first)).is_some();
        if let Some(more) = &mut self.more {
            more.retain_mut(keep);
            if gone {
                self.first = more.pop_front();
            }
        }
    }

    /// Moves all pieces of `other` to the end of this queue.
    pub(crate) fn append(&mut self, other: &mut Self) {
        if self.is_empty() {
            std::mem::swap(self, other);
        }
        while let Some(piece) = other.pop_front() {
            self.push_back(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// It behaves like a `VecDeque` for any sequence of operations.
        #[test]
        fn it_behaves_as_a_queue(steps in proptest::collection::vec((0_u8..6, any::<u8>()), 0..200)) {
            let (mut pieces, mut model) = (Pieces::default(), VecDeque::new());
            for (step, value) in steps {
                match step {
                    0 | 1 => {
                        pieces.push_back(value);
                        model.push_back(value);
                    }
                    2 => prop_assert_eq!(pieces.pop_front(), model.pop_front()),
                    3 => {
                        let change = |piece: &mut u8| *piece = piece.wrapping_add(value);
                        pieces.front_mut().into_iter().for_each(change);
                        model.front_mut().into_iter().for_each(change);
                    }
                    4 => {
                        let keep = |piece: &mut u8| *piece % 3 != value % 3;
                        pieces.retain_mut(keep);
                        model.retain_mut(keep);
                    }
                    _ => {
                        let (mut other, mut same) = (Pieces::default(), VecDeque::new());
                        for piece in 0..value % 4 {
                            other.push_back(piece);
                            same.push_back(piece);
                        }
                        pieces.append(&mut other);
                        model.append(&mut same);
                        prop_assert!(other.is_empty());
                    }
                }
                prop_assert!(pieces.iter().eq(model.iter()));
                prop_assert_eq!(pieces.is_empty(), model.is_empty());
            }
        }
    }
}

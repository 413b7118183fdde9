//! How much of a runtime's sessions is not over yet.
//!
//! Owns the count and those who wait for nothing to be left. Must never know what is counted.

use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use crate::waiters::{Place, Waited, Waiters, lock};

/// What of a runtime is not over.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    present: usize,
    waiters: Waiters,
}

/// Something that is not over while this lives, also if its task ends by a panic or with its runtime.
#[derive(Debug)]
pub(crate) struct Presence(Arc<Tally>);

impl Tally {
    pub(crate) fn enter(self: &Arc<Self>) -> Presence {
        lock(&self.state).present += 1;
        Presence(Arc::clone(self))
    }

    /// Ready when nothing is left.
    pub(crate) fn poll_empty(&self, cx: &Context<'_>, place: &mut Place) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.present == 0 {
            return Poll::Ready(());
        }
        state.waiters.add(place, cx);
        Poll::Pending
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.present -= 1;
        let waiters = if state.present == 0 { state.waiters.take() } else { Waiters::default() };
        drop(state);
        waiters.wake();
    }
}

impl Waited for Tally {
    type Queue = ();

    fn leave(&self, (): (), place: &mut Place) {
        let gone = lock(&self.state).waiters.leave(place);
        drop(gone);
    }
}

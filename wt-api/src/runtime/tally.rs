//! Counts a runtime's sessions that have not ended.
//!
//! Owns the count, and the tasks that wait for it to be zero. It must never know what is counted.

use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use crate::waiters::{Place, Waited, Waiters, lock};

/// The number of sessions that have not ended.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    present: usize,
    waiters: Waiters,
}

/// Counts as one while it exists, even if its task panics or its runtime shuts down.
#[derive(Debug)]
pub(crate) struct Presence(Arc<Tally>);

impl Tally {
    pub(crate) fn enter(self: &Arc<Self>) -> Presence {
        lock(&self.state).present += 1;
        Presence(Arc::clone(self))
    }

    /// Ready when the count is zero.
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

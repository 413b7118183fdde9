//! Parallel attempts to reach a server at several addresses. The first one to complete its handshake wins.

use std::{
    net::SocketAddr,
    sync::Mutex,
    task::{Context, Poll},
};

use crate::{
    error::ErrorCause,
    mailbox::{Place, Waited, Waiters, lock},
    socket::unmapped,
};

/// The state of such a race.
#[derive(Debug, Default)]
pub(crate) struct Race {
    state: Mutex<RaceState>,
}

#[derive(Debug, Default)]
struct RaceState {
    /// The address of the winner.
    won: Option<SocketAddr>,
    /// Whether nobody waits any more. A late attempt must not win then.
    over: bool,
    failures: Vec<(SocketAddr, ErrorCause)>,
    /// A reason on this host why no server answers.
    trouble: Option<ErrorCause>,
    waiters: Waiters,
}

impl Race {
    /// An attempt's handshake is complete. Returns whether it is the first.
    pub(crate) fn claim(&self, remote: SocketAddr) -> bool {
        let mut state = lock(&self.state);
        let first = state.won.is_none() && !state.over;
        state.won.get_or_insert(unmapped(remote));
        let waiters = state.waiters.take();
        drop(state);
        waiters.wake();
        first
    }

    /// An attempt failed.
    pub(crate) fn fail(&self, remote: SocketAddr, cause: ErrorCause) {
        let mut state = lock(&self.state);
        state.failures.push((remote, cause));
        let waiters = state.waiters.take();
        drop(state);
        waiters.wake();
    }

    /// An attempt continues. `cause` tells whether this host's system cannot send or receive.
    pub(crate) fn note(&self, cause: Option<ErrorCause>) {
        lock(&self.state).trouble = cause;
    }

    pub(crate) fn trouble(&self) -> Option<ErrorCause> {
        lock(&self.state).trouble.clone()
    }

    /// Ready with true if an attempt has won, and with false if `attempts` attempts have failed.
    pub(crate) fn poll_outcome(&self, cx: &Context<'_>, place: &mut Place, attempts: usize) -> Poll<bool> {
        let mut state = lock(&self.state);
        if state.won.is_some() {
            return Poll::Ready(true);
        }
        if state.failures.len() >= attempts {
            return Poll::Ready(false);
        }
        state.waiters.add(place, cx);
        Poll::Pending
    }

    /// Ends the race. Returns the winner's address.
    pub(crate) fn finish(&self) -> Option<SocketAddr> {
        let mut state = lock(&self.state);
        state.over = true;
        state.won
    }

    pub(crate) fn winner(&self) -> Option<SocketAddr> {
        lock(&self.state).won
    }

    /// The most specific failure: a peer that answered knows more than a network that did not.
    pub(crate) fn failure(&self) -> Option<ErrorCause> {
        let state = lock(&self.state);
        let rank = |cause: &ErrorCause| match cause {
            ErrorCause::Socket(_) | ErrorCause::NoSocket { .. } => 4,
            ErrorCause::Unreachable { .. } => 3,
            ErrorCause::Timeout { .. } => 2,
            ErrorCause::ConnectionRefused { .. } => 1,
            _ => 0,
        };
        state.failures.iter().map(|(_, cause)| cause).min_by_key(|cause| rank(cause)).cloned()
    }
}

impl Waited for Race {
    type Queue = ();

    fn leave(&self, (): (), place: &mut Place) {
        let gone = lock(&self.state).waiters.leave(place);
        drop(gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_attempt_wins_and_none_after_the_end() {
        let remote = "127.0.0.1:1".parse().unwrap();
        let race = Race::default();
        assert!(race.claim(remote));
        assert!(!race.claim(remote));
        let race = Race::default();
        assert_eq!(race.finish(), None);
        assert!(!race.claim(remote));
    }
}

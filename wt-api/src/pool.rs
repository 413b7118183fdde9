//! Connections that several sessions share (W3C `allowPooling`).
//!
//! Owns which connection a session may join: one to the same place, trusted in the same way, with the same options. Must
//! never know what a connection is: it holds the way to the driver of each.

use std::sync::{Arc, Mutex, OnceLock, Weak};

use crate::{
    driver::{Inbox, SessionJob, ShardCommand},
    mailbox::lock,
};

/// What has to agree for sessions to share a connection (W3C "obtain a connection"): runtime, host, port and options.
pub(crate) type PoolKey = String;

/// A connection that sessions may share, from the first attempt to make it on.
#[derive(Debug)]
pub(crate) struct Pooled {
    key: PoolKey,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// It is being made; these wait for it.
    Connecting(Vec<SessionJob>),
    Open(Arc<Inbox>),
    /// It takes no session any more.
    Closed,
}

fn pool() -> &'static Mutex<Vec<Weak<Pooled>>> {
    static POOL: OnceLock<Mutex<Vec<Weak<Pooled>>>> = OnceLock::new();
    POOL.get_or_init(Mutex::default)
}

/// The connection of this key that is not among `tried`; else a new one, for the caller to make (true).
pub(crate) fn find(key: &PoolKey, tried: &[Arc<Pooled>]) -> (Arc<Pooled>, bool) {
    let mut all = lock(pool());
    all.retain(|pooled| pooled.strong_count() > 0);
    let found = all.iter().filter_map(Weak::upgrade).find(|pooled| {
        pooled.key == *key
            && !tried.iter().any(|other| Arc::ptr_eq(other, pooled))
            && !matches!(*lock(&pooled.state), State::Closed)
    });
    if let Some(found) = found {
        return (found, false);
    }
    let state = Mutex::new(State::Connecting(Vec::new()));
    let new = Arc::new(Pooled { key: key.clone(), state });
    all.push(Arc::downgrade(&new));
    (new, true)
}

impl Pooled {
    /// Asks the connection to take a session. One that cannot hands it back.
    pub(crate) fn join(&self, job: SessionJob) {
        let refused = match &mut *lock(&self.state) {
            State::Connecting(waiting) => return waiting.push(job),
            State::Open(inbox) => inbox.try_command(ShardCommand::Join(Box::new(job))).err(),
            State::Closed => Some(ShardCommand::Join(Box::new(job))),
        };
        if let Some(ShardCommand::Join(job)) = refused {
            job.hand_back();
        }
    }

    /// The connection stands; `inbox` leads to its driver.
    pub(crate) fn open(&self, inbox: &Arc<Inbox>) {
        let mut state = lock(&self.state);
        let waiting = match &mut *state {
            State::Connecting(waiting) => std::mem::take(waiting),
            State::Open(_) | State::Closed => return,
        };
        *state = State::Open(Arc::clone(inbox));
        drop(state);
        waiting.into_iter().for_each(|job| self.join(job));
    }

    /// Nobody makes the connection any more, if it does not stand yet.
    fn abandon(&self) {
        if matches!(*lock(&self.state), State::Connecting(_)) {
            self.close();
        }
    }

    /// The connection takes no further session; those that wait for it go elsewhere.
    pub(crate) fn close(&self) {
        let old = std::mem::replace(&mut *lock(&self.state), State::Closed);
        if let State::Connecting(waiting) = old {
            waiting.iter().for_each(SessionJob::hand_back);
        }
    }
}

/// Makes a connection that others wait for: gone before it stands, they go elsewhere.
pub(crate) struct Maker<'a>(pub(crate) &'a Pooled);

impl Drop for Maker<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

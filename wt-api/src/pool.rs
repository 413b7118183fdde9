//! Connections that several sessions share (W3C `allowPooling`).
//!
//! Owns which connection a session may join: one to the same place, trusted in the same way, with the same options. Must
//! never know what a connection is: it holds the way to the driver of each.

use std::sync::{Arc, Mutex, OnceLock, Weak};

use crate::{
    jobs::{PoolKey, Pooled},
    mailbox::lock,
};

fn pool() -> &'static Mutex<Vec<Weak<Pooled>>> {
    static POOL: OnceLock<Mutex<Vec<Weak<Pooled>>>> = OnceLock::new();
    POOL.get_or_init(Mutex::default)
}

/// The connection of this key that is not among `tried`; else a new one, for the caller to make (true).
pub(crate) fn find(key: &PoolKey, tried: &[Arc<Pooled>]) -> (Arc<Pooled>, bool) {
    let mut all = lock(pool());
    all.retain(|pooled| pooled.strong_count() > 0);
    let found = all
        .iter()
        .filter_map(Weak::upgrade)
        .find(|pooled| pooled.is_for(key) && !tried.iter().any(|other| Arc::ptr_eq(other, pooled)));
    if let Some(found) = found {
        return (found, false);
    }
    let new = Arc::new(Pooled::new(key.clone()));
    all.push(Arc::downgrade(&new));
    (new, true)
}

/// Makes a connection that others wait for: gone before it stands, they go elsewhere.
pub(crate) struct Maker<'a>(pub(crate) &'a Pooled);

impl Drop for Maker<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

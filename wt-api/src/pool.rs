//! Connections that several sessions share (W3C `allowPooling`), and those that several HTTP requests share.
//!
//! Owns the choice of a connection that a session or a request may join: one to the same host and port, with the same
//! trust and the same options. It must never know connections themselves: it only holds the link to each
//! driver.

use std::sync::{Arc, Mutex, OnceLock, Weak};

use crate::{
    jobs::{Link, PoolKey, Pooled},
    mailbox::lock,
};

fn pool() -> &'static Mutex<Vec<Weak<Pooled>>> {
    static POOL: OnceLock<Mutex<Vec<Weak<Pooled>>>> = OnceLock::new();
    POOL.get_or_init(Mutex::default)
}

/// The connection with this key that is not among `tried`. Otherwise a new one, which the caller must
/// establish (true).
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

/// Establishes a connection that others wait for. If it is dropped before that, they go elsewhere.
pub(crate) struct Maker<'a>(pub(crate) &'a Pooled);

impl Drop for Maker<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

fn links() -> &'static Mutex<Vec<Weak<Link>>> {
    static LINKS: OnceLock<Mutex<Vec<Weak<Link>>>> = OnceLock::new();
    LINKS.get_or_init(Mutex::default)
}

/// The link with this key. Otherwise `new`, whose connection the caller must establish (true).
pub(crate) fn link(key: &PoolKey, new: impl FnOnce() -> Link) -> (Arc<Link>, bool) {
    let mut all = lock(links());
    all.retain(|link| link.strong_count() > 0);
    if let Some(found) = all.iter().filter_map(Weak::upgrade).find(|link| link.is_for(key)) {
        return (found, false);
    }
    let new = Arc::new(new());
    all.push(Arc::downgrade(&new));
    (new, true)
}

/// Establishes the connection of a link. If it is dropped before that, those that wait go elsewhere.
pub(crate) struct LinkMaker(pub(crate) Arc<Link>);

impl Drop for LinkMaker {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

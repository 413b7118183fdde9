//! The state that all tasks of a run share.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use netsim::Random;
use tokio::sync::watch;
use wt_api::{CertificateHash, Identity};

use crate::{
    book::{Book, lock},
    pair::Pair,
    plan::Plan,
};

/// The address of the server.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    /// Scheme, host and port.
    pub(crate) base: String,
    pub(crate) hash: CertificateHash,
}

/// A run.
#[derive(Debug)]
pub(crate) struct Spin {
    pub(crate) plan: Plan,
    pub(crate) book: Arc<Book>,
    pub(crate) identity: Identity,
    /// Whether the time is up, so that all tasks end.
    stop: watch::Sender<bool>,
    address: watch::Sender<Option<Address>>,
    pairs: Mutex<BTreeMap<u64, Arc<Pair>>>,
    generators: Mutex<u64>,
}

impl Spin {
    pub(crate) fn new(plan: Plan, identity: Identity) -> Arc<Self> {
        Arc::new(Self {
            plan,
            book: Arc::default(),
            identity,
            stop: watch::Sender::new(false),
            address: watch::Sender::new(None),
            pairs: Mutex::default(),
            generators: Mutex::default(),
        })
    }

    /// A new generator for one task.
    pub(crate) fn random(&self) -> Random {
        let mut next = lock(&self.generators);
        *next += 1;
        Random::derived(self.plan.seed, *next)
    }

    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    pub(crate) fn stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits until the time is up.
    pub(crate) async fn until_stopped(&self) {
        let mut stop = self.stop.subscribe();
        // The sender is here.
        let _ = stop.wait_for(|stop| *stop).await;
    }

    pub(crate) fn serve_at(&self, address: Address) {
        self.address.send_replace(Some(address));
    }

    /// The address of the server, once there is one.
    pub(crate) async fn address(&self) -> Option<Address> {
        let mut address = self.address.subscribe();
        address.wait_for(Option::is_some).await.ok().and_then(|address| address.clone())
    }

    /// A new session that is about to be requested.
    pub(crate) fn new_pair(&self, pooled: bool) -> Arc<Pair> {
        let mut pairs = lock(&self.pairs);
        let pair = Arc::new(Pair::new(pairs.len() as u64, pooled));
        pairs.insert(pair.number, Arc::clone(&pair));
        pair
    }

    /// The session that the path of a request names.
    pub(crate) fn pair_of(&self, path: &str) -> Option<Arc<Pair>> {
        let number = path.strip_prefix("/s/")?.parse().ok()?;
        lock(&self.pairs).get(&number).cloned()
    }

    pub(crate) fn pairs(&self) -> Vec<Arc<Pair>> {
        lock(&self.pairs).values().cloned().collect()
    }
}

/// Random fields.
pub(crate) fn fields(random: &mut Random) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for n in 0..random.below(4) {
        let name = HeaderName::from_bytes(format!("x-field-{n}").as_bytes());
        let value = HeaderValue::from_str(&"v".repeat(random.below(300) as usize));
        if let (Ok(name), Ok(value)) = (name, value) {
            fields.insert(name, value);
        }
    }
    fields
}

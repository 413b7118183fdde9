//! The event loop: nodes, the links between them, address translation and virtual time.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BinaryHeap},
    hash::{Hash as _, Hasher as _},
    net::SocketAddr,
};

use crate::{
    config::LinkConfig,
    endpoint::{Datagram, Endpoint},
    histogram::Histogram,
    link::{Departure, Link},
    log::{DropCause, Entry, Happened},
    random::Random,
    stats::LinkStats,
};

/// How many datagrams an endpoint may send in one go, and how many events may happen at one time, before the
/// simulation fails.
const STUCK: u32 = 1_000_000;

/// The ID of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(usize);

/// The ID of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(usize);

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a caller must handle every variant")]
pub enum Outcome {
    /// The condition held.
    Reached,
    /// The time limit was reached first.
    TimedOut,
    /// No event is left.
    Idle,
}

struct Node<E> {
    endpoint: E,
    timer: Option<u64>,
    /// Whether the caller used the endpoint since it was last polled.
    dirty: bool,
}

/// A datagram in flight: its addresses outside of address translators, and its next hop.
#[derive(Clone, Debug)]
struct Travel {
    from: SocketAddr,
    to: SocketAddr,
    path: (NodeId, NodeId),
    hop: usize,
    bytes: usize,
    ecn: u8,
}

/// The flow of a datagram: a hash of the addresses and ports.
fn flow(travel: &Travel) -> u64 {
    let mut hash = std::hash::DefaultHasher::new();
    (travel.from, travel.to).hash(&mut hash);
    hash.finish()
}

type Action<E> = Box<dyn FnOnce(&mut Simulation<E>) + Send>;

enum Event<E> {
    Timer(NodeId),
    Departure(LinkId),
    Arrival { travel: Travel, ecn: u8, payload: Vec<u8> },
    Action(Action<E>),
}

struct Scheduled<E> {
    at: u64,
    sequence: u64,
    event: Event<E>,
}

impl<E> PartialEq for Scheduled<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl<E> Eq for Scheduled<E> {}
impl<E> PartialOrd for Scheduled<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<E> Ord for Scheduled<E> {
    /// The earliest event is the greatest, as the heap needs it; of two at one time, the one that was
    /// scheduled first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

/// A network of endpoints `E` (an enum or `Box<dyn Endpoint>` for different kinds) on virtual time.
pub struct Simulation<E> {
    seed: u64,
    now: u64,
    sequence: u64,
    events: BinaryHeap<Scheduled<E>>,
    nodes: Vec<Node<E>>,
    links: Vec<Link<Travel>>,
    paths: BTreeMap<(NodeId, NodeId), Vec<LinkId>>,
    /// The owner of each address, as others see the address.
    owners: BTreeMap<SocketAddr, NodeId>,
    /// Translated addresses: inside to outside, and back.
    outside: BTreeMap<SocketAddr, SocketAddr>,
    inside: BTreeMap<SocketAddr, SocketAddr>,
    log: Option<Vec<Entry>>,
    digest: u64,
    delivered: u64,
    unreachable: u64,
}

impl<E: Endpoint> Simulation<E> {
    /// An empty network at time zero; `seed` decides everything random.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            now: 0,
            sequence: 0,
            events: BinaryHeap::new(),
            nodes: Vec::new(),
            links: Vec::new(),
            paths: BTreeMap::new(),
            owners: BTreeMap::new(),
            outside: BTreeMap::new(),
            inside: BTreeMap::new(),
            log: None,
            digest: 0xcbf2_9ce4_8422_2325,
            delivered: 0,
            unreachable: 0,
        }
    }

    /// Adds a host that is reached at `address`.
    pub fn add_node(&mut self, endpoint: E, address: SocketAddr) -> NodeId {
        let id = NodeId(self.nodes.len());
        self.nodes.push(Node { endpoint, timer: None, dirty: true });
        self.add_address(id, address);
        id
    }

    /// Gives a host one more address.
    ///
    /// # Panics
    /// If another host has it.
    pub fn add_address(&mut self, node: NodeId, address: SocketAddr) {
        let before = self.owners.insert(address, node);
        assert!(before.is_none_or(|owner| owner == node), "{address} belongs to another node");
    }

    /// Removes an address from its host, with its translation. Datagrams to it then reach no host.
    pub fn remove_address(&mut self, address: SocketAddr) {
        let shown = self.outside.remove(&address).unwrap_or(address);
        self.inside.remove(&shown);
        self.owners.remove(&shown);
    }

    /// Adds a link that no path uses yet.
    pub fn add_link(&mut self, config: LinkConfig) -> LinkId {
        let id = LinkId(self.links.len());
        self.links.push(Link::new(config, Random::derived(self.seed, id.0 as u64)));
        id
    }

    /// Sends everything from one host to another over these links, one after the other. Several paths may
    /// share a link.
    pub fn set_path(&mut self, from: NodeId, to: NodeId, links: &[LinkId]) {
        self.paths.insert((from, to), links.to_vec());
    }

    /// Connects two hosts with a pair of equal links, one in each direction.
    pub fn connect(&mut self, a: NodeId, b: NodeId, config: &LinkConfig) -> (LinkId, LinkId) {
        let (there, back) = (self.add_link(config.clone()), self.add_link(config.clone()));
        self.set_path(a, b, &[there]);
        self.set_path(b, a, &[back]);
        (there, back)
    }

    /// Calls `action` at the time `at`, for example to change a link, rebind an address or use an endpoint.
    pub fn at(&mut self, at: u64, action: impl FnOnce(&mut Self) + Send + 'static) {
        self.schedule(at, Event::Action(Box::new(action)));
    }

    /// From now on others see `outside` instead of a host's own address `inside`, as after a NAT lost its
    /// mapping. Datagrams to the address seen before reach no host.
    ///
    /// # Panics
    /// If no host has the address `inside`.
    pub fn rebind(&mut self, inside: SocketAddr, outside: SocketAddr) {
        let shown = self.outside.get(&inside).copied().unwrap_or(inside);
        let Some(owner) = self.owners.remove(&shown) else { panic!("no node has the address {inside}") };
        self.inside.remove(&shown);
        self.add_address(owner, outside);
        self.outside.insert(inside, outside);
        self.inside.insert(outside, inside);
    }

    /// The time in nanoseconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// A host's endpoint.
    #[must_use]
    pub fn endpoint(&self, node: NodeId) -> &E {
        &self.nodes[node.0].endpoint
    }

    /// A host's endpoint, for calls that its application would make; it is polled when the run continues.
    pub fn endpoint_mut(&mut self, node: NodeId) -> &mut E {
        let node = &mut self.nodes[node.0];
        node.dirty = true;
        &mut node.endpoint
    }

    /// Ends the simulation and returns the endpoints, in the order in which their nodes were added.
    pub fn into_endpoints(self) -> impl Iterator<Item = E> {
        self.nodes.into_iter().map(|node| node.endpoint)
    }

    /// The configuration of a link, for changes.
    pub fn link_mut(&mut self, link: LinkId) -> &mut LinkConfig {
        self.links[link.0].config_mut()
    }

    /// The statistics of a link.
    #[must_use]
    pub fn link_stats(&self, link: LinkId) -> &LinkStats {
        self.links[link.0].stats()
    }

    /// How many bytes are queued at a link now.
    #[must_use]
    pub fn link_queue(&self, link: LinkId) -> u64 {
        self.links[link.0].waiting_bytes()
    }

    /// How long datagrams waited in a link's queue, in nanoseconds.
    #[must_use]
    pub fn link_delays(&self, link: LinkId) -> &Histogram {
        self.links[link.0].delays()
    }

    /// How many datagrams reached a host.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// How many datagrams had an address that no host has or no path leads to.
    #[must_use]
    pub fn unreachable(&self) -> u64 {
        self.unreachable
    }

    /// Keeps a log from now on.
    pub fn keep_log(&mut self) {
        self.log.get_or_insert_default();
    }

    /// The log; empty if none is kept.
    #[must_use]
    pub fn log(&self) -> &[Entry] {
        self.log.as_deref().unwrap_or_default()
    }

    /// A hash of all events so far: equal for equal runs.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Runs until `condition` holds, which is checked after each event, or no event is left, or the next
    /// event is after `limit`; then the time is `limit`.
    pub fn run_until(&mut self, mut condition: impl FnMut(&Self) -> bool, limit: u64) -> Outcome {
        let mut standing = 0;
        loop {
            self.poll_dirty();
            if condition(self) {
                return Outcome::Reached;
            }
            match self.events.peek() {
                None => return Outcome::Idle,
                Some(next) if next.at > limit => {
                    self.now = self.now.max(limit);
                    return Outcome::TimedOut;
                }
                Some(next) if next.at > self.now => standing = 0,
                Some(_) => standing += 1,
            }
            if standing > STUCK {
                self.fail("time stands still");
            }
            self.step();
        }
    }

    /// Advances the time to `at`, but not beyond the next event. For a caller with its own clock: a run
    /// without further events leaves the time at the last one.
    pub fn advance_to(&mut self, at: u64) {
        let next = self.events.peek().map_or(u64::MAX, |event| event.at);
        self.now = self.now.max(at.min(next));
    }

    /// Runs until `condition` holds.
    ///
    /// # Panics
    /// If `limit` passes first or no event is left; the message has the seed.
    pub fn expect_until(&mut self, what: &str, condition: impl FnMut(&Self) -> bool, limit: u64) {
        let outcome = self.run_until(condition, limit);
        if outcome != Outcome::Reached {
            self.fail(&format!("{what}: {outcome:?}"));
        }
    }

    /// Ends the test with `message`, the time and the seed.
    ///
    /// # Panics
    /// Always.
    pub fn fail(&self, message: &str) -> ! {
        let millis = self.now as f64 / 1e6;
        panic!(
            "{message} (at {millis} ms, seed {}; {}={})",
            self.seed,
            crate::seeds::SEED_VARIABLE,
            self.seed
        );
    }

    fn step(&mut self) {
        let Some(Scheduled { at, event, .. }) = self.events.pop() else { return };
        self.now = self.now.max(at);
        match event {
            Event::Timer(id) => {
                let now = self.now;
                let node = &mut self.nodes[id.0];
                // Skip the event of a timer that was changed since.
                if node.timer == Some(at) {
                    node.timer = None;
                    if node.endpoint.poll_timeout().is_some_and(|due| due <= now) {
                        node.endpoint.handle_timeout(now);
                    }
                    self.poll(id);
                }
            }
            Event::Departure(link) => self.depart(link),
            Event::Arrival { travel, ecn, payload } => self.forward(travel, ecn, payload),
            Event::Action(action) => action(self),
        }
    }

    fn schedule(&mut self, at: u64, event: Event<E>) {
        self.sequence += 1;
        self.events.push(Scheduled { at: at.max(self.now), sequence: self.sequence, event });
    }

    fn poll_dirty(&mut self) {
        for index in 0..self.nodes.len() {
            if self.nodes[index].dirty {
                self.poll(NodeId(index));
            }
        }
    }

    /// Takes the datagrams and the timer of a node. Called only after something happened to it.
    fn poll(&mut self, id: NodeId) {
        let mut count = 0;
        while let Some(datagram) = self.nodes[id.0].endpoint.poll_transmit(self.now) {
            count += 1;
            if count > STUCK {
                self.fail("a node sends without end");
            }
            self.send(id, datagram);
        }
        let node = &mut self.nodes[id.0];
        node.dirty = false;
        let due = node.endpoint.poll_timeout().map(|due| due.max(self.now));
        if due != node.timer {
            node.timer = due;
            if let Some(due) = due {
                self.schedule(due, Event::Timer(id));
            }
        }
    }

    fn send(&mut self, id: NodeId, datagram: Datagram) {
        let Datagram { from, to, ecn, payload } = datagram;
        let from = self.outside.get(&from).copied().unwrap_or(from);
        let mut travel = Travel { from, to, path: (id, id), hop: 0, bytes: payload.len(), ecn };
        self.record(Happened::Sent, &travel);
        let owner = self.owners.get(&to).copied();
        match owner.filter(|owner| self.paths.contains_key(&(id, *owner))) {
            Some(owner) => {
                travel.path = (id, owner);
                self.forward(travel, ecn, payload);
            }
            None => self.drop_unreachable(&travel),
        }
    }

    fn forward(&mut self, mut travel: Travel, ecn: u8, payload: Vec<u8>) {
        let next = self.paths.get(&travel.path).and_then(|path| path.get(travel.hop)).copied();
        let Some(id) = next else { return self.deliver(&travel, ecn, &payload) };
        travel.hop += 1;
        travel.ecn = ecn;
        let link = &mut self.links[id.0];
        let was_idle = link.next_departure().is_none();
        for (dropped, why) in link.offer(self.now, ecn, flow(&travel), payload, travel) {
            self.record(Happened::Dropped(why), &dropped);
        }
        if was_idle {
            self.schedule_departure(id);
        }
    }

    fn schedule_departure(&mut self, id: LinkId) {
        if let Some(at) = self.links[id.0].next_departure() {
            self.schedule(at, Event::Departure(id));
        }
    }

    fn depart(&mut self, id: LinkId) {
        let Departure { dropped, arrivals } = self.links[id.0].depart(self.now);
        for (travel, why) in dropped {
            self.record(Happened::Dropped(why), &travel);
        }
        for arrival in arrivals {
            let event = Event::Arrival { travel: arrival.tag, ecn: arrival.ecn, payload: arrival.payload };
            self.schedule(arrival.at, event);
        }
        self.schedule_departure(id);
    }

    fn deliver(&mut self, travel: &Travel, ecn: u8, payload: &[u8]) {
        // The owner of the address is looked up on arrival, since it may have changed while the datagram was
        // in flight.
        let Some(owner) = self.owners.get(&travel.to).copied().filter(|owner| *owner == travel.path.1) else {
            return self.drop_unreachable(travel);
        };
        let to = self.inside.get(&travel.to).copied().unwrap_or(travel.to);
        self.delivered += 1;
        self.record(Happened::Delivered, &Travel { ecn, ..travel.clone() });
        self.nodes[owner.0].endpoint.handle_datagram(self.now, travel.from, to, ecn, payload);
        self.poll(owner);
    }

    fn drop_unreachable(&mut self, travel: &Travel) {
        self.unreachable += 1;
        self.record(Happened::Dropped(DropCause::Unreachable), travel);
    }

    fn record(&mut self, happened: Happened, travel: &Travel) {
        let Travel { from, to, bytes, ecn, .. } = *travel;
        let kind = match happened {
            Happened::Sent => 0,
            Happened::Delivered => 1,
            Happened::Dropped(why) => 2 + why as u64,
        };
        for value in
            [self.now, kind, u64::from(from.port()), u64::from(to.port()), bytes as u64, u64::from(ecn)]
        {
            self.digest = (self.digest ^ value).wrapping_mul(0x0100_0000_01b3).rotate_left(29);
        }
        if let Some(log) = &mut self.log {
            log.push(Entry { at: self.now, happened, from, to, bytes, ecn });
        }
    }
}

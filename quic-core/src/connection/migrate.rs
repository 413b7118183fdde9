//! The choice of the path: a peer that moves, validation of paths, and the way back (RFC 9000 §8.2, §9).

use std::time::Duration;

use super::Connection;
use crate::{
    base::{DatagramMeta, Timestamp},
    cids::CidChange,
    congestion::Rtt,
    error::ConnectionError,
    event::Event,
    frame::Frames,
    ids::{ConnectionId, PathId},
    path::{Expired, Proof, Route},
};

/// The origin of a datagram.
pub(super) struct Origin<'a> {
    /// The path on which it came; `None` until one of its packets proves to be the peer's.
    pub(super) path: Option<PathId>,
    pub(super) meta: &'a DatagramMeta,
    size: usize,
}

impl Connection {
    /// The origin of a datagram; `None` if no datagram may come from there, and it is dropped (RFC 9000 §9).
    pub(super) fn locate<'a>(&mut self, meta: &'a DatagramMeta, size: usize) -> Option<Origin<'a>> {
        let mut origin = Origin { path: None, meta, size };
        let active = &mut self.paths.active;
        if active.route.is(meta.remote, meta.local_ip) {
            active.route.on_datagram_received(size);
            origin.path = Some(active.id);
            return Some(origin);
        }
        origin.path = self.paths.find(meta.remote, meta.local_ip).or_else(|| self.beside(meta));
        match origin.path {
            Some(id) => self.paths.get_mut(id)?.route.on_datagram_received(size),
            // Clients discard datagrams from addresses that they never sent to. Addresses must be stable
            // until the handshake is confirmed.
            None if self.side.is_client() || !self.handshake.is_confirmed() || !self.life.is_open() => {
                return None;
            }
            None => {}
        }
        Some(origin)
    }

    /// The path in use, if a datagram came from its remote address but to another address of this host. The
    /// driver was not told of that address, or does not care. A server with a preferred address does care.
    fn beside(&self, meta: &DatagramMeta) -> Option<PathId> {
        let active = &self.paths.active;
        let preferred =
            meta.local_ip.is_some_and(|ip| self.config.is_preferred(ip)) && !self.side.is_client();
        (meta.remote == active.route.remote && !preferred).then_some(active.id)
    }

    /// An authentic packet to `dcid` came from a new address. Adds a path, and asks the peer whether it is
    /// there (RFC 9000 §9.3).
    pub(super) fn meet(&mut self, origin: &mut Origin<'_>, dcid: ConnectionId, now: Timestamp) -> PathId {
        let mut route = Route::new(origin.meta.remote, origin.meta.local_ip, false);
        // RFC 9000 §9.5: a peer that changes its connection ID along with its address must not be recognised
        // by ours. A peer behind a NAT keeps its ID because it does not notice the change; an attacker who
        // sends copies has no other ID to show.
        let bound_anew = self.paths.iter().find(|path| path.route.asked == dcid).map(|path| path.route.cid);
        route.cid = bound_anew.unwrap_or_else(|| self.cids.remote.take_spare());
        route.asked = dcid;
        route.on_datagram_received(origin.size);
        let id = self.add_path(route, now);
        self.ask(id, now);
        origin.path = Some(id);
        id
    }

    pub(super) fn add_path(&mut self, route: Route, now: Timestamp) -> PathId {
        let (id, gone) = self.paths.add(route, &self.config, now, self.entropy.next_u64());
        self.forget_route(gone);
        id
    }

    /// RFC 9000 §8.2.4: three times the larger of two probe timeouts: that of the path in use, and that of an
    /// unknown path.
    fn patience(&self) -> Duration {
        let known = self.paths.active.rtt.pto_base();
        known.max(Rtt::default().pto_base()).saturating_add(self.requests.max_delay()).saturating_mul(3)
    }

    /// Begins the validation of a path.
    pub(super) fn ask(&mut self, id: PathId, now: Timestamp) {
        let (patience, delay) = (self.patience(), self.requests.max_delay());
        if let Some(path) = self.paths.get_mut(id) {
            let period = path.rtt.pto_base().saturating_add(delay);
            path.route.ask(now, period, patience);
            path.route.kept_until = now + patience;
        }
    }

    /// A 1-RTT packet that came on `id` was processed. Checks whether the peer has moved.
    pub(super) fn on_processed(
        &mut self,
        id: PathId,
        dcid: ConnectionId,
        number: u64,
        payload: &[u8],
        now: Timestamp,
    ) {
        if id == self.paths.active.id {
            self.paths.active.route.asked = dcid;
            // The few probes on this path count, too: a packet older than they are moves nothing.
            self.paths.is_newest(number);
        } else if let Some(path) = self.paths.get_mut(id) {
            path.route.asked = dcid;
            if !is_probe(payload) && self.paths.is_newest(number) {
                self.follow(id, now);
            }
        }
    }

    /// The newest non-probing packet came on `id`: the peer has moved (RFC 9000 §9.3).
    fn follow(&mut self, id: PathId, now: Timestamp) {
        let from = self.paths.active.route.local_ip;
        if self.side.is_client() {
            return;
        }
        let Some(path) = self.paths.get_mut(id) else { return };
        if path.route.cid.is_none() {
            // RFC 9000 §9.3: nothing can be sent there until the peer provides a connection ID.
            return;
        }
        // RFC 9000 §9.6.2: a server sends from its preferred address once it has validated the path.
        let to = path.route.local_ip;
        if from.is_some() && to.is_some() && to != from && !path.route.is_validated() {
            path.route.moves = true;
            return;
        }
        self.move_to(id, now);
    }

    /// Uses the path `id` from now on. Returns the ID of the route that was in use, if it is remembered.
    pub(super) fn move_to(&mut self, id: PathId, now: Timestamp) -> Option<PathId> {
        let keeps = self.paths.differs_by_port_only(id);
        self.change_path(id, keeps, now)
    }

    /// Uses the path `id` from now on, without what is known of the present way through the network.
    pub(super) fn move_afresh(&mut self, id: PathId, now: Timestamp) -> Option<PathId> {
        self.change_path(id, false, now)
    }

    fn change_path(&mut self, id: PathId, keeps: bool, now: Timestamp) -> Option<PathId> {
        let patience = self.patience();
        let before = &self.paths.active;
        let (remote, size) = (before.route.remote, before.datagram_size());
        let left = self.paths.activate(id, keeps)?;
        if !keeps {
            self.recovery.on_path_changed(self.paths.active.id);
            self.begin_path(now);
        }
        self.outgoing.pacing_release = None;
        let active = &self.paths.active;
        if let Some(cid) = active.route.cid {
            self.cids.remote.set_current(cid, &mut self.out.cid_changes);
        }
        if active.route.remote != remote {
            self.out.cid_changes.push(CidChange::Moved(active.route.remote));
        }
        if active.datagram_size() != size {
            self.out.events.push_back(Event::DatagramSizeChanged);
        }
        self.tell_path();
        self.set_send_limit();
        self.leave(left, now, patience)
    }

    /// Applies to the new path what is true of every path of this connection.
    fn begin_path(&mut self, now: Timestamp) {
        let active = &mut self.paths.active;
        active.limit_datagram_size(self.peer.max_udp_payload_size, now);
        active.start_mtu_discovery();
    }

    /// Leaves the path that was in use. If it never worked, it is forgotten. A server asks the peer whether
    /// it is still there, because an attacker may have forwarded its packets (RFC 9000 §9.3.3).
    fn leave(&mut self, id: PathId, now: Timestamp, patience: Duration) -> Option<PathId> {
        let path = self.paths.get_mut(id)?;
        path.route.kept_until = now + patience;
        if !path.route.is_validated() {
            let gone = self.paths.remove(id);
            self.forget_route(gone);
            return None;
        }
        if !self.side.is_client() {
            self.ask(id, now);
        }
        Some(id)
    }

    fn tell_path(&mut self) {
        let route = &self.paths.active.route;
        let event = Event::PathChanged { remote: route.remote, local_ip: route.local_ip };
        // A peer that moves back and forth causes no more events than the application reads.
        match self.out.events.back_mut() {
            Some(last @ Event::PathChanged { .. }) => *last = event,
            _ => self.out.events.push_back(event),
        }
    }

    /// The connection ID of an abandoned path is given back, unless another path uses it (RFC 9000 §5.1.2).
    pub(super) fn forget_route(&mut self, route: Option<Route>) {
        if let Some(cid) = route.and_then(|route| route.cid)
            && self.paths.iter().all(|path| path.route.cid != Some(cid))
        {
            self.cids.remote.give_back(cid);
        }
    }

    /// A PATH_RESPONSE arrived on any path (RFC 9000 §8.2.3).
    pub(super) fn on_path_response(&mut self, data: [u8; 8], now: Timestamp) {
        let Some((id, proof)) = self.paths.on_response(data) else { return };
        if proof == Proof::Address {
            // It is still open whether the path carries 1200 bytes.
            return self.ask(id, now);
        }
        let kept_until = now + self.patience();
        // RFC 9000 §8.1.3: the client has a new address, and no token for it.
        if id == self.paths.active.id && !self.side.is_client() {
            self.give_token(now);
        }
        if id == self.paths.active.id {
            self.paths.others_mut().for_each(|path| path.route.kept_until = kept_until);
        } else if let Some(path) = self.paths.get_mut(id) {
            path.route.kept_until = kept_until;
            if path.route.moves {
                self.move_to(id, now);
                self.control.send_ping();
            }
        }
    }

    /// NEW_CONNECTION_ID arrived, and may have retired IDs. Each path gets its own ID while there are enough.
    pub(super) fn renew_ids(&mut self, now: Timestamp) {
        let current = self.cids.remote.sequence();
        let stolen = self.paths.active.route.cid.replace(current) != Some(current);
        let mut renewed = Vec::new();
        for path in self.paths.others_mut() {
            let known = path.route.cid.and_then(|cid| self.cids.remote.id(cid)).is_some();
            if !known || stolen && path.route.cid == Some(current) {
                path.route.cid = self.cids.remote.take_spare();
                renewed.extend(path.route.cid.map(|_| path.id));
            }
        }
        renewed.into_iter().for_each(|id| self.ask(id, now));
    }

    /// Checks the timers of validations, and paths that are no longer needed.
    pub(super) fn expire_paths(&mut self, now: Timestamp) {
        while let Some(expired) = self.paths.expire(now) {
            match expired {
                Expired::Active => {
                    if !self.go_back(now) {
                        return;
                    }
                }
                Expired::Attempt(id) | Expired::Spare(id) => {
                    let gone = self.paths.remove(id);
                    if let Some(route) = gone.as_ref().filter(|route| route.moves) {
                        self.tell_failure(route.remote, route.local_ip);
                    }
                    self.forget_route(gone);
                }
            }
        }
    }

    /// The path in use does not work: goes back to the last one that did (RFC 9000 §9.3.2). Without one, the
    /// connection ends, and the peer cannot be told. Returns whether the connection goes on.
    fn go_back(&mut self, now: Timestamp) -> bool {
        let route = &self.paths.active.route;
        let (remote, local_ip) = (route.remote, route.local_ip);
        let Some(fallback) = self.paths.fallback() else {
            // A client need not protect its server's address from traffic: while datagrams arrive, it may ask
            // again.
            if self.side.is_client() && route.was_heard() {
                self.ask(self.paths.active.id, now);
                return true;
            }
            self.abandon(ConnectionError::NoViablePath, now);
            return false;
        };
        self.tell_failure(remote, local_ip);
        let left = self.move_to(fallback, now);
        let gone = left.and_then(|left| self.paths.remove(left));
        self.forget_route(gone);
        true
    }

    fn tell_failure(&mut self, remote: std::net::SocketAddr, local_ip: Option<std::net::IpAddr>) {
        self.out.events.push_back(Event::PathFailed { remote, local_ip });
    }
}

/// Whether a packet has nothing but probing frames (RFC 9000 §9.1).
fn is_probe(payload: &[u8]) -> bool {
    Frames::new(payload).all(|frame| frame.is_ok_and(|frame| frame.is_probing()))
}

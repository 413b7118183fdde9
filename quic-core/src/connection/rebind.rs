//! A client that moves: to another of its own addresses, or to the server's preferred address (RFC 9000 §9.2,
//! §9.6).

use std::net::{IpAddr, SocketAddr};

use super::Connection;
use crate::{base::Timestamp, error::call::MigrateError, ids::PathId, params::PreferredAddress, path::Route};

/// Migration (RFC 9000 §9); clients only.
impl Connection {
    /// Tries the path from another address of this host, and moves there when the server answers.
    /// [`Event::PathChanged`](crate::Event::PathChanged) reports the move;
    /// [`Event::PathFailed`](crate::Event::PathFailed) reports that the server did not answer. Until then the
    /// connection stays as it is (RFC 9000 §9.1). A new call ends the attempt of the previous one.
    ///
    /// [`Transmit::local_ip`](crate::Transmit::local_ip) names the address from which each datagram has to
    /// leave, and the caller has to set [`DatagramMeta::local_ip`](crate::DatagramMeta::local_ip) to the
    /// address at which datagrams arrive.
    ///
    /// # Errors
    /// The connection stays as it is; see [`MigrateError`].
    pub fn migrate(&mut self, now: Timestamp, local_ip: IpAddr) -> Result<(), MigrateError> {
        let now = self.clock.read(now);
        if self.paths.active.route.local_ip == Some(local_ip) {
            return Ok(());
        }
        self.may_move()?;
        self.end_attempts();
        let cid = self.spare_id()?;
        self.attempt(self.paths.active.route.remote, Some(local_ip), cid, now);
        Ok(())
    }

    /// Moves the connection at once, because the address of this host has changed and datagrams can no longer
    /// leave from the old one (RFC 9000 §9.2). The server is asked whether it receives; if it does not
    /// answer, the connection ends with
    /// [`ConnectionError::NoViablePath`](crate::error::ConnectionError::NoViablePath). `local_ip` is the new
    /// address, if known. The round-trip time and the congestion controller start again, unless only the port
    /// has changed.
    ///
    /// # Errors
    /// The connection stays as it is; see [`MigrateError`].
    pub fn rebind(&mut self, now: Timestamp, local_ip: Option<IpAddr>) -> Result<(), MigrateError> {
        let now = self.clock.read(now);
        self.may_move()?;
        self.end_attempts();
        let cid = self.spare_id()?;
        let mut route = Route::chosen(self.paths.active.route.remote, local_ip);
        route.cid = Some(cid);
        let id = self.add_path(route, now);
        self.ask(id, now);
        if local_ip.is_some() {
            self.move_to(id, now);
        } else {
            self.move_afresh(id, now);
        }
        // There is no way back, because all other paths start at the old address.
        for gone in self.paths.remove_others() {
            self.forget_route(Some(gone));
        }
        // A non-probing packet tells the server to follow.
        self.control.send_ping();
        Ok(())
    }

    fn may_move(&self) -> Result<(), MigrateError> {
        if !self.side.is_client() {
            return Err(MigrateError::NotAClient);
        }
        if !self.handshake.is_confirmed() || !self.life.is_open() {
            return Err(MigrateError::NotEstablished);
        }
        // RFC 9000 §9: a server's prohibition applies to the address of the handshake.
        if self.peer.disable_active_migration && !self.has_moved_to_preferred() {
            return Err(MigrateError::Forbidden);
        }
        Ok(())
    }

    fn has_moved_to_preferred(&self) -> bool {
        let remote = self.paths.active.route.remote;
        let preferred = self.peer.preferred_address.as_ref();
        preferred.is_some_and(|address| {
            [address.v4.map(Into::into), address.v6.map(Into::into)].contains(&Some(remote))
        })
    }

    /// RFC 9000 §9.5: a path from a new address needs its own connection ID, and a server without IDs permits
    /// no such path.
    fn spare_id(&mut self) -> Result<u64, MigrateError> {
        let spare = if self.cids.remote.has_spare() { self.cids.remote.take_spare() } else { None };
        spare.ok_or(MigrateError::NoConnectionId)
    }

    fn end_attempts(&mut self) {
        while let Some(route) = self.paths.remove_attempt() {
            self.forget_route(Some(route));
        }
    }

    /// Starts a path to which the connection moves as soon as the peer answers there.
    fn attempt(&mut self, remote: SocketAddr, local_ip: Option<IpAddr>, cid: u64, now: Timestamp) -> PathId {
        let mut route = Route::chosen(remote, local_ip);
        (route.cid, route.moves) = (Some(cid), true);
        let id = self.add_path(route, now);
        self.ask(id, now);
        id
    }

    /// The handshake is confirmed. A client moves to the server's preferred address of the family in use, if
    /// the server answers there (RFC 9000 §9.6.1).
    pub(super) fn prefer_address(&mut self, now: Timestamp) {
        let route = &self.paths.active.route;
        let (remote, local_ip) = (route.remote, route.local_ip);
        let address = self.peer.preferred_address.as_ref().and_then(|address| address_for(address, remote));
        if let Some(address) = address.filter(|address| *address != remote)
            && let Ok(cid) = self.spare_id()
        {
            self.attempt(address, local_ip, cid, now);
        }
    }
}

/// The address of the family of `remote`, unless no server on a network can have it (RFC 9000 §21.5.6).
fn address_for(address: &PreferredAddress, remote: SocketAddr) -> Option<SocketAddr> {
    let preferred = match remote {
        SocketAddr::V4(_) => address.v4.map(SocketAddr::V4),
        SocketAddr::V6(_) => address.v6.map(SocketAddr::V6),
    }?;
    let ip = preferred.ip();
    let is_local = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local(),
    };
    let usable = preferred.port() != 0
        && !ip.is_unspecified()
        && !ip.is_multicast()
        && (!is_local(ip) || is_local(remote.ip()));
    usable.then_some(preferred)
}

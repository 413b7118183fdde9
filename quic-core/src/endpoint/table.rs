//! The table that finds the connection of a datagram.

use std::{collections::HashMap, net::SocketAddr};

use crate::{frame::ResetToken, ids::ConnectionId};

/// Names a connection of an endpoint. Reused after [`Endpoint::forget`](crate::Endpoint::forget).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a name")]
pub struct ConnectionHandle(pub usize);

/// How many unused entries may stay allocated.
const KEPT: usize = 64;

#[derive(Debug)]
struct Entry {
    remote: SocketAddr,
    cids: Vec<ConnectionId>,
    tokens: Vec<ResetToken>,
}

/// Connection IDs and reset tokens of all connections.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: Vec<Option<Entry>>,
    /// Entries that may be free. An entry is skipped if it lies beyond the last one or was taken since.
    free: Vec<usize>,
    live: usize,
    by_cid: HashMap<ConnectionId, ConnectionHandle>,
    /// The result of the last look-up, because the datagrams of a train are for one connection.
    last: Option<(ConnectionId, ConnectionHandle)>,
    by_token: HashMap<(SocketAddr, ResetToken), ConnectionHandle>,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.live
    }

    pub(super) fn insert(&mut self, remote: SocketAddr) -> ConnectionHandle {
        let entry = Some(Entry { remote, cids: Vec::new(), tokens: Vec::new() });
        self.live += 1;
        while let Some(index) = self.free.pop() {
            if let Some(place) = self.entries.get_mut(index).filter(|place| place.is_none()) {
                *place = entry;
                return ConnectionHandle(index);
            }
        }
        self.entries.push(entry);
        ConnectionHandle(self.entries.len() - 1)
    }

    fn entry(&mut self, handle: ConnectionHandle) -> Option<&mut Entry> {
        self.entries.get_mut(handle.0)?.as_mut()
    }

    pub(super) fn find(&mut self, id: &ConnectionId) -> Option<ConnectionHandle> {
        if let Some((last, handle)) = &self.last
            && last == id
        {
            return Some(*handle);
        }
        let handle = self.by_cid.get(id).copied()?;
        self.last = Some((*id, handle));
        Some(handle)
    }

    pub(super) fn find_reset(&self, remote: &SocketAddr, token: &ResetToken) -> Option<ConnectionHandle> {
        self.by_token.get(&(*remote, *token)).copied()
    }

    pub(super) fn add_cid(&mut self, handle: ConnectionHandle, id: ConnectionId) {
        if let Some(entry) = self.entry(handle) {
            entry.cids.push(id);
            self.last = None;
            self.by_cid.insert(id, handle);
        }
    }

    pub(super) fn remove_cid(&mut self, handle: ConnectionHandle, id: &ConnectionId) {
        if let Some(entry) = self.entry(handle) {
            entry.cids.retain(|known| known != id);
            self.last = None;
            self.by_cid.remove(id);
        }
    }

    pub(super) fn add_token(&mut self, handle: ConnectionHandle, token: ResetToken) {
        if let Some(entry) = self.entry(handle) {
            entry.tokens.push(token);
            let remote = entry.remote;
            self.by_token.insert((remote, token), handle);
        }
    }

    pub(super) fn remove_token(&mut self, handle: ConnectionHandle, token: &ResetToken) {
        if let Some(entry) = self.entry(handle) {
            entry.tokens.retain(|known| known != token);
            let remote = entry.remote;
            self.by_token.remove(&(remote, *token));
        }
    }

    /// The peer's address has changed.
    pub(super) fn move_to(&mut self, handle: ConnectionHandle, remote: SocketAddr) {
        let Some(entry) = self.entries.get_mut(handle.0).and_then(Option::as_mut) else { return };
        let before = std::mem::replace(&mut entry.remote, remote);
        for token in &entry.tokens {
            self.by_token.remove(&(before, *token));
            self.by_token.insert((remote, *token), handle);
        }
    }

    pub(super) fn remove(&mut self, handle: ConnectionHandle) {
        let Some(entry) = self.entries.get_mut(handle.0).and_then(Option::take) else { return };
        self.live -= 1;
        self.free.push(handle.0);
        self.last = None;
        for id in &entry.cids {
            self.by_cid.remove(id);
        }
        for token in &entry.tokens {
            self.by_token.remove(&(entry.remote, *token));
        }
        self.slim();
    }

    /// Makes the table small again after a burst of connections. Entries after the last connection are
    /// removed; at most eight times as much memory as is in use stays for the rest.
    fn slim(&mut self) {
        while self.entries.pop_if(|entry| entry.is_none()).is_some() {}
        let last = self.entries.len();
        if self.free.len() > 2 * last + KEPT {
            self.free.retain(|index| *index < last);
        }
        slim(self.entries.len(), self.entries.capacity(), |size| self.entries.shrink_to(size));
        slim(self.free.len(), self.free.capacity(), |size| self.free.shrink_to(size));
        slim(self.by_cid.len(), self.by_cid.capacity(), |size| self.by_cid.shrink_to(size));
        slim(self.by_token.len(), self.by_token.capacity(), |size| self.by_token.shrink_to(size));
    }
}

fn slim(used: usize, capacity: usize, shrink_to: impl FnOnce(usize)) {
    if capacity > KEPT && used < capacity / 8 {
        shrink_to(2 * used);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_connection_leaves_nothing_behind() {
        let mut table = Table::default();
        let remote: SocketAddr = "192.0.2.1:443".parse().expect("an address");
        let id = ConnectionId::new(b"identify").expect("short");
        for _ in 0..3 {
            let handle = table.insert(remote);
            assert_eq!(handle, ConnectionHandle(0), "handles are reused");
            table.add_cid(handle, id);
            table.add_token(handle, [7; 16]);
            assert_eq!((table.find(&id), table.find_reset(&remote, &[7; 16])), (Some(handle), Some(handle)));
            table.remove(handle);
            table.remove(handle);
            assert_eq!((table.find(&id), table.find_reset(&remote, &[7; 16]), table.len()), (None, None, 0));
        }
    }

    #[test]
    fn reset_tokens_count_from_the_peers_current_address() {
        let mut table = Table::default();
        let address = |port| SocketAddr::from(([192, 0, 2, 1], port));
        let handle = table.insert(address(1));
        table.add_token(handle, [7; 16]);
        table.move_to(handle, address(2));
        assert_eq!(table.find_reset(&address(1), &[7; 16]), None);
        assert_eq!(table.find_reset(&address(2), &[7; 16]), Some(handle));
        table.remove(handle);
        assert_eq!(table.find_reset(&address(2), &[7; 16]), None);
    }

    #[test]
    fn the_cached_look_up_is_forgotten_with_its_connection_id() {
        let mut table = Table::default();
        let remote: SocketAddr = "192.0.2.1:443".parse().expect("an address");
        let id = ConnectionId::new(b"identify").expect("short");
        let (one, two) = (table.insert(remote), table.insert(remote));
        table.add_cid(one, id);
        assert_eq!(table.find(&id), Some(one));
        table.remove_cid(one, &id);
        assert_eq!(table.find(&id), None, "retired");
        table.add_cid(one, id);
        assert_eq!(table.find(&id), Some(one));
        table.add_cid(two, id);
        assert_eq!(table.find(&id), Some(two), "the connection that has the ID now");
        table.remove(two);
        assert_eq!(table.find(&id), None);
    }

    #[test]
    fn a_burst_of_connections_leaves_little_though_some_last() {
        let mut table = Table::default();
        let remote: SocketAddr = "192.0.2.1:443".parse().expect("an address");
        for round in 0..3_u64 {
            let mut insert = |n: u64| {
                let handle = table.insert(remote);
                for id in 0..5 {
                    let id = ConnectionId::new(&(100_000 * round + 5 * n + id).to_be_bytes()).expect("short");
                    table.add_cid(handle, id);
                }
                table.add_token(handle, [(n % 251) as u8; 16]);
                handle
            };
            let handles: Vec<_> = (0..10_000).map(&mut insert).collect();
            let mut distinct = handles.clone();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(distinct.len(), 10_000, "no handle is given twice");
            // The first connections last, and some from between last for a while.
            handles[10..]
                .iter()
                .filter(|handle| handle.0 % 100 != 0)
                .for_each(|handle| table.remove(*handle));
            handles[10..].iter().for_each(|handle| table.remove(*handle));
            assert_eq!(table.len(), 10 * (round as usize + 1));
            let places = [table.entries.capacity(), table.free.capacity()];
            assert!(places.iter().all(|places| *places <= 2 * KEPT), "{places:?} places stay");
            let names = [table.by_cid.capacity(), table.by_token.capacity()];
            assert!(names.iter().all(|names| *names <= 16 * 5 * table.len()), "{names:?} names stay");
        }
    }
}

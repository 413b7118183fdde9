//! Which connection a datagram belongs to.

use std::{collections::HashMap, net::SocketAddr};

use crate::{frame::ResetToken, ids::ConnectionId};

/// Names a connection of an endpoint. Reused after [`Endpoint::forget`](crate::Endpoint::forget).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionHandle(pub usize);

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
    free: Vec<usize>,
    by_cid: HashMap<ConnectionId, ConnectionHandle>,
    by_token: HashMap<(SocketAddr, ResetToken), ConnectionHandle>,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    pub(super) fn insert(&mut self, remote: SocketAddr) -> ConnectionHandle {
        let entry = Some(Entry { remote, cids: Vec::new(), tokens: Vec::new() });
        match self.free.pop() {
            Some(index) => {
                self.entries[index] = entry;
                ConnectionHandle(index)
            }
            None => {
                self.entries.push(entry);
                ConnectionHandle(self.entries.len() - 1)
            }
        }
    }

    fn entry(&mut self, handle: ConnectionHandle) -> Option<&mut Entry> {
        self.entries.get_mut(handle.0)?.as_mut()
    }

    pub(super) fn find(&self, id: &ConnectionId) -> Option<ConnectionHandle> {
        self.by_cid.get(id).copied()
    }

    pub(super) fn find_reset(&self, remote: &SocketAddr, token: &ResetToken) -> Option<ConnectionHandle> {
        self.by_token.get(&(*remote, *token)).copied()
    }

    pub(super) fn add_cid(&mut self, handle: ConnectionHandle, id: ConnectionId) {
        if let Some(entry) = self.entry(handle) {
            entry.cids.push(id);
            self.by_cid.insert(id, handle);
        }
    }

    pub(super) fn remove_cid(&mut self, handle: ConnectionHandle, id: &ConnectionId) {
        if let Some(entry) = self.entry(handle) {
            entry.cids.retain(|known| known != id);
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

    pub(super) fn remove(&mut self, handle: ConnectionHandle) {
        let Some(entry) = self.entries.get_mut(handle.0).and_then(Option::take) else { return };
        self.free.push(handle.0);
        for id in &entry.cids {
            self.by_cid.remove(id);
        }
        for token in &entry.tokens {
            self.by_token.remove(&(entry.remote, *token));
        }
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
}

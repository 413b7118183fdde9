//! Connection IDs: those issued to the peer and those the peer issued (RFC 9000 §5.1, §19.15, §19.16).
//!
//! The two halves share nothing: [`LocalCids`] holds the IDs of this end, [`RemoteCids`] those of the peer.
//! Neither knows paths or the endpoint. New IDs come from a [`CidFactory`]; changes for the endpoint's table
//! leave as [`CidChange`].

mod change;
mod factory;
mod local;
mod remote;
#[cfg(test)]
mod tests;

pub(crate) use local::LocalCids;
pub(crate) use remote::RemoteCids;

pub(crate) use change::ACTIVE_LIMIT;
pub use change::CidChange;
pub use factory::CidFactory;

use crate::{frame::FrameWriter, ids::ConnectionId};

/// The connection IDs of both ends.
#[derive(Debug)]
pub(crate) struct Cids {
    /// The IDs that name this end.
    pub(crate) local: LocalCids,
    /// The IDs that name the peer.
    pub(crate) remote: RemoteCids,
}

impl Cids {
    /// `local` begins with the source ID of this end's first packet, `remote` with its destination ID.
    pub(crate) fn new(local: LocalCids, remote: ConnectionId) -> Self {
        Self { local, remote: RemoteCids::new(remote) }
    }

    /// Whether either half has frames to send.
    pub(crate) fn wants(&self) -> bool {
        self.local.wants() || self.remote.wants()
    }

    pub(crate) fn write(&mut self, w: &mut FrameWriter<'_>) {
        self.local.write(w);
        self.remote.write(w);
    }
}

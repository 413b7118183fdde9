//! Connection IDs: those issued to the peer and those the peer issued (RFC 9000 §5.1, §19.15, §19.16).
//!
//! Two halves that share nothing: [`LocalCids`] names this end, [`RemoteCids`] the other. Neither knows paths nor
//! the endpoint; new IDs come from a [`CidFactory`] and changes for the endpoint's table go out as [`CidChange`].

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
    /// Those that name this end.
    pub(crate) local: LocalCids,
    /// Those that name the peer.
    pub(crate) remote: RemoteCids,
}

impl Cids {
    /// `local` begins with the source of this end's first packet, `remote` is its destination.
    pub(crate) fn new(local: LocalCids, remote: ConnectionId) -> Self {
        Self { local, remote: RemoteCids::new(remote) }
    }

    /// Whether one of both has frames to send.
    pub(crate) fn wants(&self) -> bool {
        self.local.wants() || self.remote.wants()
    }

    pub(crate) fn write(&mut self, w: &mut FrameWriter<'_>) {
        self.local.write(w);
        self.remote.write(w);
    }
}

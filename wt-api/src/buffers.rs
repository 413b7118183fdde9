//! The buffers that the sockets of a runtime share.
//!
//! Owns who has them. A shard has a set for as long as it is polled and keeps nothing in it: as many sets are made as shards
//! are polled at once, and a socket on which nothing happens costs none. With the last shard the sets go.

use std::sync::Mutex;

use bytes::BytesMut;

use crate::waiters::lock;

/// Messages of one receive call.
pub(crate) const BATCH: usize = 4;
/// The longest train, in bytes.
const TRAIN: usize = 64 << 10;

/// A set of buffers.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// Blocks to receive into, 256 KiB each once they were used, handed out in slices.
    pub(crate) blocks: [BytesMut; BATCH],
    /// Where a train is written.
    pub(crate) train: Vec<u8>,
}

/// The sets that nobody has.
#[derive(Debug, Default)]
pub(crate) struct BufferPool(Mutex<Vec<Buffers>>);

impl BufferPool {
    /// A set that nobody has, or a new one.
    pub(crate) fn take(&self) -> Buffers {
        let free = lock(&self.0).pop();
        let mut buffers = free.unwrap_or_default();
        if buffers.train.is_empty() {
            buffers.train = vec![0; TRAIN];
        }
        buffers
    }

    /// Leaves a set to whoever comes next.
    pub(crate) fn give_back(&self, buffers: Buffers) {
        lock(&self.0).push(buffers);
    }
}

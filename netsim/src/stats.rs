//! The statistics of a link.

/// The statistics of a link; they count datagrams unless stated otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkStats {
    /// Offered to the link.
    pub offered: u64,
    /// Arrived at the far end, duplicates included.
    pub delivered: u64,
    /// Bytes that arrived, headers included.
    pub delivered_bytes: u64,
    /// Dropped because the queue was full.
    pub queue_drops: u64,
    /// Dropped by the discipline of the queue although there was room.
    pub managed_drops: u64,
    /// Dropped by a policer.
    pub policer_drops: u64,
    /// Dropped because they were too large.
    pub mtu_drops: u64,
    /// Dropped in an outage.
    pub outage_drops: u64,
    /// Dropped because their ECN bits were not zero.
    pub ecn_drops: u64,
    /// Lost on the wire.
    pub lost: u64,
    /// Arrived twice.
    pub duplicated: u64,
    /// Arrived with a bit flipped.
    pub corrupted: u64,
    /// Held back so that others could overtake them.
    pub reordered: u64,
    /// Marked Congestion Experienced.
    pub marked: u64,
    /// The most bytes that were ever queued.
    pub max_queue: u64,
    /// The sum of the times that datagrams waited, in nanoseconds.
    pub queue_delay_sum: u64,
    /// The longest time that a datagram waited, in nanoseconds.
    pub queue_delay_max: u64,
}

impl LinkStats {
    /// The share that was used of a capacity of `bits_per_second` over `nanos` nanoseconds.
    #[must_use]
    pub fn utilization(&self, bits_per_second: u64, nanos: u64) -> f64 {
        let capacity = bits_per_second as f64 * nanos as f64 / 8e9;
        self.delivered_bytes as f64 / capacity
    }
}

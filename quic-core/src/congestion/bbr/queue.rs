//! Whether a queue stands on the path: no sample of a whole round came near the least round-trip time.
//! Jitter, unlike a queue, does not delay all packets.

use super::{model::Sample, state::Bbr3};

impl Bbr3 {
    pub(super) fn update_queue(&mut self, sample: &Sample) {
        self.queue.on_ack(sample.rtt, self.rounds.started);
    }

    /// Whether all packets of the last round waited in a queue.
    pub(super) fn has_queue(&self) -> bool {
        self.min_rtt.seconds().is_some_and(|least| self.queue.stands(least))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::memory::Queue;

    #[test]
    fn one_packet_that_did_not_wait_is_enough() {
        let mut queue = Queue::default();
        let mut round = |samples: &[u64]| {
            for (index, millis) in samples.iter().enumerate() {
                queue.on_ack(Some(Duration::from_millis(*millis)), index == 0);
            }
            queue.on_ack(None, true);
            queue.stands(0.040)
        };
        assert!(!round(&[]), "no round is known");
        assert!(round(&[70, 55, 60]));
        assert!(!round(&[70, 41, 60]));
    }
}

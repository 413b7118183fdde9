//! Credit is a promise: what keeps to it is taken, whatever its pattern costs in memory.

use netsim::{Random, for_seeds};

use super::*;

/// Frames of the worst kinds within all limits: a byte here and there, ends of pages first, in as many
/// streams as there may be, read now and then; and in the end every limit is used up.
#[test]
fn whatever_keeps_to_its_credit_is_taken() {
    for_seeds(0..60, |seed| {
        let mut random = Random::new(seed);
        let pick = |random: &mut Random, of: &[u64]| of[random.below(of.len() as u64) as usize];
        let window = pick(&mut random, &[2_000, 64 << 10, 1 << 20]);
        let count = pick(&mut random, &[2, 100, 2_000]);
        let config = StreamsConfig {
            connection_receive_window: window,
            connection_receive_window_max: window * pick(&mut random, &[1, 4]),
            stream_receive_window: window / pick(&mut random, &[1, 3]),
            stream_receive_window_max: window,
            max_bidi: count,
            max_uni: count,
            ..StreamsConfig::new(Side::Server)
        };
        let mut end = End::ready(config);
        end.budget = Budget::alone(0);
        let (size, reading) = (pick(&mut random, &[1, 30, 1_400]), random.chance(0.5));
        for _ in 0..6_000 {
            let dir = if random.chance(0.5) { Dir::Uni } else { Dir::Bidi };
            let id =
                StreamId::new(Side::Client, dir, random.below(end.streams.stream_limit(Side::Client, dir)));
            let credit = end.streams.receive_window.advertised() - end.streams.received;
            let known = end.streams.recv_stats(id).map_or(0, |stats| stats.highest);
            let limit = end.limit_of(id).min(known + credit);
            // Far ahead, or behind what is there.
            let highest = if random.chance(0.3) {
                known
            } else {
                limit.min(known + pick(&mut random, &[1, 1_024, 9_000]))
            };
            let length = size.min(highest);
            let fin = highest >= known && random.chance(0.02);
            let taken = end.stream(id, highest - length, &vec![7; length as usize], fin);
            match taken {
                // Behind its own end, which this peer does not remember.
                Err(Violation::FinalSizeChanged | Violation::FinalSizeExceeded) => {}
                other => assert_eq!(other, Ok(()), "{id} to {highest}, {} charged", end.budget.used()),
            }
            if reading && random.chance(0.1) {
                let _ = end.drain(id);
                end.packet(1_200);
            }
        }
        assert!(end.budget.used() <= end.streams.memory_limit());
    });
}

impl End {
    /// The limit of a stream of the peer, as the peer knows it.
    fn limit_of(&mut self, id: StreamId) -> u64 {
        let config = self.streams.config;
        let slot = self.streams.table.find(id);
        let known = slot.and_then(|slot| self.streams.table.get(slot)?.recv.as_ref());
        known.map_or(config.stream_receive_window, |recv| recv.window.advertised())
    }
}

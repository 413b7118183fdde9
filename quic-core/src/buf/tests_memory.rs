//! How much heap reassembly holds, for any pattern of fragments (RFC 9000 §21.6): at most [`cost`] of their
//! credit, and the budget shows it.

use bytes::{Bytes, BytesMut};
use heap_meter::Measure;

use super::{Assembler, INSERT_RESERVE, cost};
use crate::base::Budget;

/// Receive buffers as a driver has them: every datagram keeps a part of one block alive.
struct Blocks {
    size: usize,
    block: BytesMut,
}

impl Blocks {
    fn new(size: usize) -> Self {
        Self { size, block: BytesMut::new() }
    }

    fn fragment(&mut self, len: usize) -> Bytes {
        if self.block.len() < len {
            self.block = BytesMut::zeroed(self.size.max(len));
        }
        self.block.split_to(len).freeze()
    }
}

/// Inserts the fragments (offset, length) below `credit` and checks the heap after each.
fn hold(name: &str, credit: usize, block: usize, fragments: impl Iterator<Item = (usize, usize)>) {
    // The fragments exist before the measurement begins and are freed after it.
    let fragments: Vec<_> = fragments.collect();
    let mut blocks = Blocks::new(block);
    let mut budget = Budget::alone(usize::MAX);
    let mut assembler = Assembler::default();
    let measure = Measure::start();
    let mut highest = 0;
    for &(offset, len) in &fragments {
        highest = highest.max(offset + len);
        assert!(highest <= credit, "the pattern keeps within its credit");
        let bytes = blocks.fragment(len);
        assembler.insert(offset as u64, bytes, block.max(len), &mut budget).expect("no limit");
        // The driver's current block does not count as the peer's.
        let held = measure.growth() - blocks.size.cast_signed();
        let bound = cost(highest, 1);
        assert!(held <= bound.cast_signed(), "{name}: {held} bytes held for {highest} of credit");
        assert!(budget.used() <= bound, "{name}: {} bytes charged for {highest} of credit", budget.used());
        assert!(budget.peak() <= bound + INSERT_RESERVE, "{name}: {} bytes reserved", budget.peak());
        let known = budget.used().cast_signed() + (4 << 10);
        assert!(held <= known, "{name}: {held} bytes held, {} charged", budget.used());
    }
    drop(blocks);
    assembler.clear(&mut budget);
    assert_eq!(budget.used(), 0, "{name}");
    drop(assembler);
    assert_eq!(measure.growth(), 0, "{name}");
}

#[test]
fn gapped_fragments_hold_no_more_than_the_cost_of_their_credit() {
    let mib = 1 << 20;
    for block in [1500, 64 << 10, 256 << 10] {
        hold("every second byte", mib / 8, block, (0..mib / 16).map(|n| (2 * n + 1, 1)));
        hold("every second byte, last first", mib / 8, block, (0..mib / 16).rev().map(|n| (2 * n + 1, 1)));
        hold("one byte at the end of each page", mib, block, (0..mib / 4096).map(|n| (n * 4096 + 4095, 1)));
        hold("one byte at the start of each page", mib, block, (0..mib / 4096).map(|n| (n * 4096 + 1, 1)));
        hold("a burst behind one lost packet", mib, block, (1..mib / 1400).map(|n| (n * 1400, 1400)));
        hold("every third packet lost", mib, block, lost(mib, 3).into_iter());
        hold("large fragments with gaps", mib, block, (0..mib / 1200).map(|n| (n * 1200 + 1, 1199)));
        hold("in order, small", mib / 8, block, (0..mib / 8).map(|n| (n, 1)));
        hold("in order, just worth a pin", mib, block, (0..mib / 1024).map(|n| (n * 1024, 1024)));
        hold(
            "in order, 1200 and 300",
            mib,
            block,
            (0..mib / 1500).flat_map(|n| [(n * 1500, 1200), (n * 1500 + 1200, 300)]),
        );
        hold("three packets", 3_000, block, [(0, 1_200), (1_200, 1_200), (2_400, 600)].into_iter());
        hold("a byte behind a hole", 4_096, block, [(0, 10), (11, 1), (1_023, 1), (4_095, 1)].into_iter());
        hold("in order, one byte and one packet", mib, block, mixed(mib).into_iter());
    }
}

fn lost(credit: usize, every: usize) -> Vec<(usize, usize)> {
    (0..credit / 1400).filter(|n| n % every != 0).map(|n| (n * 1400, 1400)).collect()
}

fn mixed(credit: usize) -> Vec<(usize, usize)> {
    let lengths = [1, 1400];
    (0..credit / 1401 * 2)
        .scan(0, |offset, n| {
            let len = lengths[n % 2];
            *offset += len;
            Some((*offset - len, len))
        })
        .collect()
}

/// Reads at random times: a page may outlive the bytes before it, and bytes that were read keep little more
/// than themselves alive.
#[test]
fn bytes_read_pin_little_and_bytes_left_stay_within_their_cost() {
    netsim::for_seeds(0..200, |seed| {
        let mut random = netsim::Random::new(seed);
        let mut blocks = Blocks::new([1_500, 256 << 10][random.below(2) as usize]);
        let mut budget = Budget::alone(usize::MAX);
        let mut assembler = Assembler::default();
        let (mut read, mut highest, mut kept) = (0, 0_u64, Vec::new());
        let measure = Measure::start();
        for _ in 0..300 {
            let largest = [8, 100, 1_400][random.below(3) as usize];
            let len = 1 + random.below(largest);
            let hole = if random.chance(0.2) { random.below(3_000) } else { 0 };
            let offset = if random.chance(0.5) { assembler.contiguous_end() } else { highest } + hole;
            highest = highest.max(offset + len);
            let allocation = blocks.size.max(len as usize);
            assembler
                .insert(offset, blocks.fragment(len as usize), allocation, &mut budget)
                .expect("no limit");
            if random.chance(0.3) {
                let max = if random.chance(0.5) { usize::MAX } else { 1 + random.below(5_000) as usize };
                while let Some(bytes) = assembler.read(max, &mut budget) {
                    read += bytes.len() as u64;
                    // A part of a buffer keeps all of it alive, so the test keeps whole chunks only.
                    if max == usize::MAX {
                        kept.push(bytes);
                    } else if random.chance(0.5) {
                        break;
                    }
                }
            }
            let bound = cost((highest - read) as usize, 1);
            assert!(budget.used() <= bound, "{} bytes charged for {}", budget.used(), highest - read);
            let pinned: usize = kept.iter().map(|bytes| bytes.len() + bytes.len() / 4 + 256).sum();
            let slots = kept.capacity() * size_of::<Bytes>();
            let held = measure.growth() - blocks.size.cast_signed();
            assert!(
                held <= (bound + pinned + slots).cast_signed(),
                "{held} bytes held for {}",
                highest - read
            );
        }
    });
}

#[test]
fn a_full_window_behind_one_lost_packet_fits_its_cost() {
    let window = 24 << 20;
    let mut budget = Budget::alone(cost(window, 1) + INSERT_RESERVE);
    let mut assembler = Assembler::default();
    let mut blocks = Blocks::new(256 << 10);
    // Everything but the first byte, in the order in which a burst arrives.
    let mut offset = 1;
    while offset < window {
        let len = 1400.min(window - offset);
        let bytes = blocks.fragment(len);
        assembler.insert(offset as u64, bytes, 256 << 10, &mut budget).expect("a window is a promise");
        offset += len;
    }
    assembler.insert(0, Bytes::from_static(b"x"), 1500, &mut budget).expect("the last byte");
    assert_eq!(assembler.readable(), window as u64);
}

//! What reassembly holds on the heap, whatever the pattern of fragments (RFC 9000 §21.6): at most twice the credit that
//! they use plus 256 KiB, and the budget knows of it.

use bytes::{Bytes, BytesMut};
use heap_meter::Measure;

use super::Assembler;
use crate::base::Budget;

/// Receive buffers as a driver has them: one block that every datagram pins a part of.
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

/// Inserts the fragments (offset, length) below `credit`, checking the heap after each.
fn hold(name: &str, credit: usize, block: usize, fragments: impl Iterator<Item = (usize, usize)>) {
    // Made before the measurement, and gone after it.
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
        // The driver's own current block is not the peer's.
        let held = measure.growth() - blocks.size.cast_signed();
        let bound = (2 * highest + (256 << 10)).cast_signed();
        assert!(held <= bound, "{name}: {held} bytes held for {highest} of credit");
        let known = budget.used().cast_signed() + (16 << 10);
        assert!(held <= known, "{name}: {held} bytes held, {} charged", budget.used());
    }
    drop(blocks);
    assembler.clear(&mut budget);
    assert_eq!(budget.used(), 0, "{name}");
    drop(assembler);
    assert_eq!(measure.growth(), 0, "{name}");
}

#[test]
fn gapped_fragments_hold_no_more_than_twice_their_credit() {
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
        hold("in order, just worth a pin", mib, block, (0..mib / 520).map(|n| (n * 520, 520)));
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

#[test]
fn a_full_window_behind_one_lost_packet_fits_the_default_budget() {
    let config = crate::TransportConfig::default();
    let window = config.max_receive_window as usize;
    let mut budget = Budget::alone(config.memory_budget + window);
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

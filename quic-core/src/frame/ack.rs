//! ACK frames (RFC 9000 §19.3). Their ranges stay encoded and are walked in place.

use std::ops::RangeInclusive;

use crate::{
    base::{Reader, Writer, varint},
    error::Violation,
    frame::types,
};

/// ECN counts of an ACK frame (RFC 9000 §19.3.2), totals over the packet number space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the fields of RFC 9000 §19.3.2")]
pub struct EcnCounts {
    /// Packets received with ECT(0).
    pub ect0: u64,
    /// Packets received with ECT(1).
    pub ect1: u64,
    /// Packets received with CE.
    pub ce: u64,
}

/// An ACK frame. Parsing has checked its ranges: none falls below packet number zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// The largest packet number acknowledged.
    pub largest: u64,
    /// The acknowledgment delay as encoded, before the peer's `ack_delay_exponent` is applied.
    pub delay: u64,
    /// Packets acknowledged directly below the largest.
    first_range: u64,
    range_count: u64,
    /// Pairs of gap and range length, as encoded.
    ranges: &'a [u8],
    /// ECN counts, if the frame was of type 0x03.
    pub ecn: Option<EcnCounts>,
}

impl<'a> Ack<'a> {
    /// Parses what follows the frame type. Refuses ranges below zero (RFC 9000 §19.3.1) before anything is
    /// stored.
    pub(super) fn parse(reader: &mut Reader<'a>, with_ecn: bool) -> Result<Self, Violation> {
        let largest = reader.varint()?;
        let delay = reader.varint()?;
        let range_count = reader.varint()?;
        let first_range = reader.varint()?;
        let mut smallest = largest.checked_sub(first_range).ok_or(Violation::AckRangeNegative)?;
        let encoded = reader.peek();
        let start = reader.position();
        for _ in 0..range_count {
            let gap = reader.varint()?;
            let length = reader.varint()?;
            smallest = gap
                .checked_add(2)
                .and_then(|gap| smallest.checked_sub(gap))
                .and_then(|largest| largest.checked_sub(length))
                .ok_or(Violation::AckRangeNegative)?;
        }
        let ranges = &encoded[..reader.position() - start];
        let ecn = if with_ecn {
            Some(EcnCounts { ect0: reader.varint()?, ect1: reader.varint()?, ce: reader.varint()? })
        } else {
            None
        };
        Ok(Self { largest, delay, first_range, range_count, ranges, ecn })
    }

    /// The acknowledged packet numbers, highest range first.
    #[must_use]
    pub fn ranges(&self) -> AckRanges<'a> {
        AckRanges {
            next: Some(self.largest.saturating_sub(self.first_range)..=self.largest),
            left: self.range_count,
            reader: Reader::new(self.ranges),
        }
    }
}

/// Iterator over the ranges of an [`Ack`], highest first.
#[derive(Clone, Debug)]
pub struct AckRanges<'a> {
    next: Option<RangeInclusive<u64>>,
    left: u64,
    reader: Reader<'a>,
}

impl AckRanges<'_> {
    fn following(&mut self, current: &RangeInclusive<u64>) -> Option<RangeInclusive<u64>> {
        self.left = self.left.checked_sub(1)?;
        let gap = self.reader.varint().ok()?;
        let length = self.reader.varint().ok()?;
        let largest = current.start().checked_sub(gap.checked_add(2)?)?;
        Some(largest.checked_sub(length)?..=largest)
    }
}

impl Iterator for AckRanges<'_> {
    type Item = RangeInclusive<u64>;

    fn next(&mut self) -> Option<Self::Item> {
        let current = self.next.take()?;
        self.next = self.following(&current);
        Some(current)
    }
}

/// Writes an ACK frame with as many of `ranges` as fit, always including the highest. `ranges` come highest
/// first and do not touch each other.
///
/// Returns false and writes nothing if there is no range, or not even the first fits.
#[must_use]
pub fn write_ack(
    writer: &mut Writer<'_>,
    ranges: impl Iterator<Item = RangeInclusive<u64>> + Clone,
    delay: u64,
    ecn: Option<EcnCounts>,
) -> bool {
    let mut iter = ranges.clone();
    let Some(first) = iter.next() else { return false };
    let delay = delay.min(varint::MAX);
    let ecn_size = ecn.map_or(0, |c| varint::size(c.ect0) + varint::size(c.ect1) + varint::size(c.ce));
    // The range count takes at most two bytes: 2^14 ranges are more than any datagram holds.
    let fixed = 1
        + varint::size(*first.end())
        + varint::size(delay)
        + 2
        + varint::size(first.end() - first.start())
        + ecn_size;
    let Some(mut room) = writer.remaining().checked_sub(fixed) else { return false };
    let mut count = 0;
    let mut previous = *first.start();
    for range in iter {
        let size = varint::size(previous.saturating_sub(range.end() + 2))
            + varint::size(range.end() - range.start());
        if size > room || count == 0x3fff {
            break;
        }
        room -= size;
        count += 1;
        previous = *range.start();
    }
    let kind = if ecn.is_some() { types::ACK_ECN } else { types::ACK };
    let mut ok = writer.varint(kind)
        && writer.varint(*first.end())
        && writer.varint(delay)
        && writer.varint(count)
        && writer.varint(first.end() - first.start());
    let mut previous = *first.start();
    for range in ranges.skip(1).take(count as usize) {
        ok = ok
            && writer.varint(previous.saturating_sub(range.end() + 2))
            && writer.varint(range.end() - range.start());
        previous = *range.start();
    }
    if let Some(counts) = ecn {
        ok = ok && writer.varint(counts.ect0) && writer.varint(counts.ect1) && writer.varint(counts.ce);
    }
    debug_assert!(ok, "the size of the ACK frame was computed before");
    ok
}

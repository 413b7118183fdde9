//! Encodes frames: typed ones, raw ones, and false ACK frames.

use quic_core::{
    StreamId,
    base::{Writer, varint},
    frame::Frame,
};

/// The bytes of a frame.
#[must_use]
pub fn frame(frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = vec![0; frame.encoded_size()];
    let mut w = Writer::new(&mut bytes);
    assert!(frame.write(&mut w), "the room was computed from the frame");
    let size = w.position();
    bytes.truncate(size);
    bytes
}

/// Several frames, one after the other.
#[must_use]
pub fn frames(all: &[Frame<'_>]) -> Vec<u8> {
    all.iter().flat_map(frame).collect()
}

/// Variable-length integers in their shortest form, one after the other; mostly for raw frames.
#[must_use]
pub fn ints(values: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    for value in values {
        varint::put(&mut out, *value);
    }
    out
}

/// A variable-length integer encoded in `size` bytes (1, 2, 4 or 8), even if fewer suffice.
#[must_use]
pub fn long_int(value: u64, size: usize) -> Vec<u8> {
    let mut bytes = value.to_be_bytes()[8 - size..].to_vec();
    bytes[0] |= (size.trailing_zeros() as u8) << 6;
    bytes
}

/// An ACK frame with any content; `ranges` are (gap, length) as encoded.
#[must_use]
pub fn ack(largest: u64, delay: u64, first_range: u64, ranges: &[(u64, u64)]) -> Vec<u8> {
    let mut out = ints(&[0x02, largest, delay, ranges.len() as u64, first_range]);
    for (gap, length) in ranges {
        out.extend(ints(&[*gap, *length]));
    }
    out
}

/// An honest ACK of these numbers, given in ascending order.
#[must_use]
pub fn ack_of(numbers: impl DoubleEndedIterator<Item = u64>) -> Option<Vec<u8>> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in numbers.rev() {
        match ranges.last_mut() {
            Some((low, _)) if *low == number + 1 => *low = number,
            _ => ranges.push((number, number)),
        }
    }
    let (low, largest) = *ranges.first()?;
    let mut previous = low;
    let mut rest = Vec::new();
    for (low, high) in ranges.into_iter().skip(1).take(32) {
        rest.push((previous - high - 2, high - low));
        previous = low;
    }
    Some(ack(largest, 0, largest - low, &rest))
}

/// A STREAM frame.
#[must_use]
pub fn stream(id: StreamId, offset: u64, fin: bool, data: &[u8]) -> Vec<u8> {
    frame(&Frame::Stream { id, offset, fin, data })
}

//! QPACK. The first byte selects what follows (a field section, the encoder stream, the decoder stream, or pieces
//! of the encoder stream and sections for a decoder with a table) and the size of pieces.

use std::collections::BTreeMap;

use qpack::{Decoded, Decoder, Encoder, EncoderOptions, FIELD_OVERHEAD, FieldRef, Policy};

const LIMIT: u64 = 4096;
/// The table and the blocked streams that the decoder offers.
const CAPACITY: u64 = 220;
const BLOCKED: u64 = 2;

/// Sections are decoded, encoded and decoded again. Streams give the same verdict for pieces of any size.
pub fn target(data: &[u8]) -> bool {
    super::bound::bounded(data, 0, check)
}

fn check(data: &[u8]) -> bool {
    let Some((first, bytes)) = data.split_first() else { return false };
    let piece = usize::from(first >> 2).max(1);
    match first & 3 {
        0 => section(bytes),
        1 => exchange(bytes),
        2 => streams(bytes, piece, |bytes| {
            let mut decoder = Decoder::with_table(CAPACITY, BLOCKED);
            move_on(bytes, |piece| decoder.on_encoder_stream(piece).is_ok())
        }),
        _ => streams(bytes, piece, |bytes| {
            let mut encoder = sender();
            move_on(bytes, |piece| encoder.on_decoder_stream(piece).is_ok())
        }),
    }
}

/// An encoder with insertions and sections that are not acknowledged.
fn sender() -> Encoder {
    let mut encoder = Encoder::with_options(EncoderOptions::new().policy(Policy::Greedy));
    encoder.on_settings(CAPACITY, 100);
    for stream in [0, 4, 4, 8] {
        encoder.encode(
            stream,
            [FieldRef::new(b"x-a", b"1"), FieldRef::new(b"x-b", &[stream as u8])],
            &mut Vec::new(),
        );
    }
    encoder
}

/// Records of a kind with a stream, a length and bytes: a piece of the encoder stream, a section, or a cancellation.
fn exchange(mut rest: &[u8]) -> bool {
    let mut decoder = Decoder::with_table(CAPACITY, BLOCKED);
    let mut waiting = BTreeMap::new();
    let mut answers = Vec::new();
    while let Some((&[kind, length], tail)) = rest.split_first_chunk() {
        let (bytes, tail) = tail.split_at(usize::from(length).min(tail.len()));
        rest = tail;
        let stream = u64::from(kind >> 2);
        let mut ready = Vec::new();
        match kind & 3 {
            0 | 1 => {
                if decoder.on_encoder_stream(bytes).is_err() {
                    return false;
                }
                while let Some(stream) = decoder.poll_unblocked() {
                    ready.extend(waiting.remove(&stream).map(|bytes: Vec<u8>| (stream, bytes)));
                }
            }
            2 if !waiting.contains_key(&stream) => ready.push((stream, bytes.to_vec())),
            2 => {}
            _ => {
                waiting.remove(&stream);
                decoder.cancel_stream(stream);
            }
        }
        for (stream, bytes) in ready {
            match decoder.decode(stream, &bytes, LIMIT) {
                Ok(Decoded::Fields(fields)) => {
                    let size = |f: &qpack::Field| f.name.len() as u64 + f.value.len() as u64 + FIELD_OVERHEAD;
                    let size: u64 = fields.iter().map(size).sum();
                    assert!(size <= LIMIT, "no section expands beyond the limit (RFC 9114 §4.2.2)");
                }
                Ok(Decoded::Blocked { required_insert_count }) => {
                    assert!(required_insert_count > decoder.insert_count());
                    waiting.insert(stream, bytes);
                }
                Err(error) if error.code().is_some() => return false,
                Err(_) => decoder.cancel_stream(stream),
            }
        }
        assert_eq!(decoder.blocked_streams(), waiting.len());
        assert!(waiting.len() as u64 <= BLOCKED, "no more streams wait than permitted (RFC 9204 §2.1.2)");
        let size = |(name, value): (&[u8], &[u8])| (name.len() + value.len()) as u64 + 32;
        assert!(
            decoder.entries().map(size).sum::<u64>() <= CAPACITY,
            "the table keeps its capacity (RFC 9204 §3.2.2)"
        );
        answers.clear();
        decoder.take_instructions(&mut answers);
        assert!(decoder.pending_instructions() == 0);
    }
    true
}

fn section(bytes: &[u8]) -> bool {
    let mut decoder = Decoder::new();
    let Ok(fields) = decoder.decode(0, bytes, LIMIT).and_then(Decoded::fields) else { return false };
    let size: u64 = fields.iter().map(|f| f.name.len() as u64 + f.value.len() as u64 + FIELD_OVERHEAD).sum();
    assert!(size <= LIMIT, "no section expands beyond the limit (RFC 9114 §4.2.2)");
    let mut again = Vec::new();
    let lines = fields.iter().map(|field| {
        let mut line = FieldRef::new(&field.name, &field.value);
        line.never_index = field.never_index;
        line
    });
    Encoder::new().encode(0, lines, &mut again);
    let same = decoder.decode(0, &again, LIMIT).and_then(Decoded::fields).expect("what we encode is valid");
    assert_eq!(same.len(), fields.len());
    for (same, field) in same.iter().zip(&fields) {
        assert_eq!((&same.name, &same.value), (&field.name, &field.value));
        // The encoder marks credentials of its own accord.
        assert!(same.never_index >= field.never_index, "the mark survives (RFC 9204 §7.1.3)");
    }
    assert_eq!(
        decoder.decode(0, &again, size).and_then(Decoded::fields).map(|fields| fields.len()),
        decoder.decode(0, &again, LIMIT).and_then(Decoded::fields).map(|f| f.len())
    );
    if size > 0 {
        assert!(decoder.decode(0, &again, size - 1).and_then(Decoded::fields).is_err(), "the limit is exact");
    }
    true
}

fn streams(bytes: &[u8], piece: usize, read: impl Fn(Vec<&[u8]>) -> bool) -> bool {
    let whole = read(vec![bytes]);
    assert_eq!(read(bytes.chunks(piece).collect()), whole);
    whole
}

fn move_on(pieces: Vec<&[u8]>, feed: impl FnMut(&[u8]) -> bool) -> bool {
    pieces.into_iter().all(feed)
}

//! QPACK. The first byte selects what follows (a field section, the encoder stream or the decoder stream) and
//! the size of pieces.

use qpack::{Decoded, Decoder, Encoder, FIELD_OVERHEAD, FieldRef};

const LIMIT: u64 = 4096;

/// Sections are decoded, encoded and decoded again. Streams give the same verdict for pieces of any size.
pub fn target(data: &[u8]) -> bool {
    super::bound::bounded(data, 0, check)
}

fn check(data: &[u8]) -> bool {
    let Some((first, bytes)) = data.split_first() else { return false };
    let piece = usize::from(first >> 2).max(1);
    match first & 3 {
        0 | 1 => section(bytes),
        2 => streams(bytes, piece, |bytes| {
            let mut decoder = Decoder::new();
            move_on(bytes, |piece| decoder.on_encoder_stream(piece).is_ok())
        }),
        _ => streams(bytes, piece, |bytes| {
            let mut encoder = Encoder::new();
            move_on(bytes, |piece| encoder.on_decoder_stream(piece).is_ok())
        }),
    }
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
    assert_eq!(decoder.decode(0, &again, LIMIT).and_then(Decoded::fields), Ok(fields));
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

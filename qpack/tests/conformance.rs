//! Rows Q01 to Q15 of the conformance table, as far as they apply without a dynamic table, and the published
//! example of RFC 9204 Appendix B.1.

use heap_meter::{HeapMeter, Measure};
use qpack::{
    DecodeError, Decoded, Decoder, DecoderStreamError, Encoder, EncoderStreamError, Field, FieldRef,
    IntegerTooLarge,
};

#[global_allocator]
static HEAP: HeapMeter = HeapMeter;

fn decode(section: &[u8]) -> Result<Vec<Field>, DecodeError> {
    Decoder::new().decode(0, section, 64 * 1024).and_then(Decoded::fields)
}

fn refused(section: &[u8]) -> DecodeError {
    let error = decode(section).expect_err("the section is invalid");
    assert_eq!(error.code(), Some(0x200));
    error
}

fn encoder_stream(bytes: &[u8]) -> Result<(), EncoderStreamError> {
    Decoder::new().on_encoder_stream(bytes).map(drop)
}

fn decoder_stream(bytes: &[u8]) -> Result<(), DecoderStreamError> {
    Encoder::new().on_decoder_stream(bytes).map(drop)
}

/// RFC 9204 Appendix B.1.
#[test]
fn published_literal_with_name_reference() {
    let section = b"\x00\x00\x51\x0b/index.html";
    let fields = decode(section).unwrap();
    assert_eq!(fields.len(), 1);
    assert_eq!((&fields[0].name[..], &fields[0].value[..]), (&b":path"[..], &b"/index.html"[..]));
    assert!(!fields[0].never_index);
}

#[test]
fn the_never_indexed_mark_survives() {
    for (name, value) in
        [(&b"authorization"[..], &b"secret"[..]), (b"x-token", b"secret"), (b":method", b"GET")]
    {
        let mut section = Vec::new();
        Encoder::new().encode(0, [FieldRef::new(name, value).never_index(true)], &mut section);
        let fields = decode(&section).unwrap();
        assert!(fields[0].never_index);
        assert_eq!((&fields[0].name[..], &fields[0].value[..]), (name, value));
        let mut again = Vec::new();
        Encoder::new().encode(0, fields.iter().map(FieldRef::from), &mut again);
        assert_eq!(again, section);
    }
}

#[test]
fn q01_static_index_99() {
    // Index 98 as 63 + 35, index 99 as 63 + 36.
    assert_eq!(&decode(&[0, 0, 0xff, 35]).unwrap()[0].value[..], b"sameorigin");
    assert_eq!(refused(&[0, 0, 0xff, 36]), DecodeError::StaticIndex(99));
    assert_eq!(refused(&[0, 0, 0x5f, 84, 0]), DecodeError::StaticIndex(99));
}

#[test]
fn q02_capacity_over_the_maximum() {
    assert_eq!(encoder_stream(&[0x20]), Ok(()));
    let error = encoder_stream(&[0x21]).unwrap_err();
    assert_eq!((error, error.code()), (EncoderStreamError::Capacity { capacity: 1, max: 0 }, 0x201));
    // 2^62 with a prefix of 5.
    let huge = [0x3f, 0xe1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f];
    assert_eq!(encoder_stream(&huge), Err(EncoderStreamError::Integer(IntegerTooLarge)));
}

#[test]
fn q03_insert_with_capacity_zero() {
    assert_eq!(encoder_stream(&[0xc0, 0x00]), Err(EncoderStreamError::EntryTooLarge));
    assert_eq!(encoder_stream(&[0x41, b'a', 0x00]), Err(EncoderStreamError::EntryTooLarge));
}

#[test]
fn q04_reference_to_an_entry_never_inserted() {
    for bytes in [&[0x00][..], &[0x80, 0], &[0xff, 36, 0]] {
        let error = encoder_stream(bytes).unwrap_err();
        assert!(matches!(error, EncoderStreamError::Reference(_)), "{error}");
        assert_eq!(error.code(), 0x201);
    }
}

#[test]
fn q05_insert_count_increment() {
    let largest = [0x3f, 0xc0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f];
    assert_eq!(decoder_stream(&largest).unwrap_err().code(), 0x202);
    for increment in [0, 1, 62] {
        let error = decoder_stream(&[increment]).unwrap_err();
        assert_eq!(error, DecoderStreamError::InsertCountIncrement(increment.into()));
        assert_eq!(error.code(), 0x202);
    }
}

#[test]
fn q05_acknowledgment_of_a_section_without_references() {
    assert_eq!(decoder_stream(&[0x84]), Err(DecoderStreamError::SectionAcknowledgment(4)));
}

#[test]
fn q06_stream_cancellation_for_unknown_streams() {
    let mut encoder = Encoder::new();
    let measure = Measure::start();
    for stream in 0_u32..1_000_000 {
        // A long and a short form; every third pair is split in the middle.
        let bytes = [0x7f, 0x80 | (stream & 0x7f) as u8, (stream >> 7 & 0x7f) as u8];
        if stream % 3 == 0 {
            encoder.on_decoder_stream(&bytes[..2]).unwrap();
            encoder.on_decoder_stream(&bytes[2..]).unwrap();
        } else {
            encoder.on_decoder_stream(&bytes).unwrap();
        }
    }
    assert_eq!(measure.peak_growth(), 0);
}

/// Without a table there is no section to acknowledge, so the encoder keeps nothing.
#[test]
fn q16_sections_without_an_acknowledgment() {
    let mut encoder = Encoder::new();
    let mut section = Vec::with_capacity(1000);
    let measure = Measure::start();
    for stream in 0_u32..1_000_000 {
        section.clear();
        let value = stream.to_be_bytes().map(|byte| b'a' + byte % 26);
        encoder.encode(
            0,
            [FieldRef::new(b"x-stream", &value), FieldRef::new(b":status", b"200")],
            &mut section,
        );
    }
    assert_eq!(measure.peak_growth(), 0);
}

#[test]
fn q07_required_insert_count_without_a_table() {
    for count in [&[1][..], &[2], &[0x7f], &[0xfe], &[0xff, 0], &[0xff, 0x80, 1]] {
        assert_eq!(refused(&[count, &[0, 0xc1]].concat()), DecodeError::RequiredInsertCount);
    }
}

#[test]
fn q08_negative_base() {
    for delta in [0x80, 0x81, 0xfe] {
        assert_eq!(refused(&[0, delta, 0xc1]), DecodeError::NegativeBase);
    }
    // A positive Base that nothing refers to is harmless.
    assert_eq!(decode(&[0, 5, 0xc1]).map(|fields| fields.len()), Ok(1));
}

#[test]
fn q09_dynamic_references() {
    for line in [&[0x80][..], &[0x10], &[0x40, 0], &[0x00, 0], &[0x07, 3, 0]] {
        let section = [&[0, 3][..], line].concat();
        assert!(matches!(refused(&section), DecodeError::DynamicReference(_)));
    }
}

#[test]
fn q12_integers_beyond_62_bits() {
    for start in [&[0xff][..], &[0, 0x7f], &[0, 0, 0xff], &[0, 0, 0x5f], &[0, 0, 0x27], &[0, 0, 0x51, 0x7f]] {
        let long = [start, &[0x80; 10]].concat();
        assert_eq!(refused(&long), DecodeError::Integer(IntegerTooLarge));
        let large = [start, &[0xff; 8], &[0x7f]].concat();
        assert_eq!(refused(&large), DecodeError::Integer(IntegerTooLarge));
    }
    for first in [0x3f, 0x1f, 0xff] {
        // Byte by byte, as a stream may bring them.
        let mut decoder = Decoder::new();
        decoder.on_encoder_stream(&[first]).unwrap();
        let result = (0..12).try_for_each(|_| decoder.on_encoder_stream(&[0x80]).map(drop));
        assert_eq!(result, Err(EncoderStreamError::Integer(IntegerTooLarge)));
    }
    for first in [0xff, 0x7f, 0x3f] {
        let mut encoder = Encoder::new();
        encoder.on_decoder_stream(&[first]).unwrap();
        let result = (0..12).try_for_each(|_| encoder.on_decoder_stream(&[0x80]).map(drop));
        assert_eq!(result, Err(DecoderStreamError::Integer(IntegerTooLarge)));
    }
}

#[test]
fn q13_length_far_beyond_the_section() {
    // The string announces 2^30 bytes and brings three: it fails before memory is reserved for it.
    for first in [0x27, 0x2f] {
        let section = [0, 0, first, 0xf9, 0xff, 0xff, 0xff, 0x03, b'a', b'b', b'c'];
        let measure = Measure::start();
        assert_eq!(refused(&section), DecodeError::Truncated);
        assert!(measure.peak_growth() < 1 << 10, "{}", measure.peak_growth());
    }
}

#[test]
fn q14_expansion_stops_at_the_limit() {
    // `content-security-policy: script-src ...` is the largest static line: 23 + 53 + 32 bytes.
    let mut section = vec![0, 0];
    section.extend([0xff, 85 - 63].repeat(16_000));
    let mut decoder = Decoder::new();
    let error = decoder.decode(0, &section, 10 * 108).and_then(Decoded::fields).unwrap_err();
    assert_eq!((error, error.code()), (DecodeError::TooLarge { limit: 1080 }, None));
    assert_eq!(
        decoder.decode(0, &section[..22], 10 * 108).and_then(Decoded::fields).map(|fields| fields.len()),
        Ok(10)
    );
}

#[test]
fn q14_the_limit_counts_name_value_and_32() {
    for (name, value) in
        [(&b"x-name"[..], &b"value"[..]), (b"x~~~", b"~~~~~~~"), (b":path", b"/a/b/c"), (b"age", b"0")]
    {
        let mut section = Vec::new();
        let field = FieldRef::new(name, value);
        Encoder::new().encode(0, [field], &mut section);
        assert!(Decoder::new().decode(0, &section, field.size()).and_then(Decoded::fields).is_ok());
        let limit = field.size() - 1;
        assert_eq!(
            Decoder::new().decode(0, &section, limit).and_then(Decoded::fields),
            Err(DecodeError::TooLarge { limit })
        );
    }
}

#[test]
fn q15_cut_inside_the_prefix_or_a_line() {
    let fields = [
        FieldRef::new(b":path", b"/a/long/path"),
        FieldRef::new(b"x-custom", b"~~"),
        FieldRef::new(b":method", b"GET"),
    ];
    let mut section = Vec::new();
    let mut boundaries = vec![2];
    Encoder::new().encode(0, [], &mut section);
    for field in fields {
        let mut one = Vec::new();
        Encoder::new().encode(0, [field], &mut one);
        section.extend_from_slice(&one[2..]);
        boundaries.push(section.len());
    }
    for cut in 0..=section.len() {
        match boundaries.iter().position(|at| *at == cut) {
            Some(lines) => assert_eq!(decode(&section[..cut]).unwrap().len(), lines),
            None => assert_eq!(refused(&section[..cut]), DecodeError::Truncated),
        }
    }
}

#[test]
fn bad_huffman_strings() {
    assert_eq!(refused(&[0, 0, 0x51, 0x81, 0xff]), DecodeError::Huffman);
    assert_eq!(refused(&[0, 0, 0x51, 0x81, 0x18]), DecodeError::Huffman);
}

//! The decoder with a dynamic table: the exchanges of RFC 9204 Appendix B, and the rows of the conformance
//! table that need entries.

use heap_meter::{HeapMeter, Measure};
use qpack::{DecodeError, Decoded, Decoder, EncoderStreamError, Field};

#[global_allocator]
static HEAP: HeapMeter = HeapMeter;

const LIMIT: u64 = 64 * 1024;

/// Set Dynamic Table Capacity 220, and two insertions with static names (RFC 9204 Appendix B.2).
const TWO: &[u8] = b"\x3f\xbd\x01\xc0\x0fwww.example.com\xc1\x0c/sample/path";

/// A decoder with a table of 220 bytes that has read these bytes.
fn reader(blocked: u64, instructions: &[&[u8]]) -> Decoder {
    let mut decoder = Decoder::with_table(220, blocked);
    for bytes in instructions {
        decoder.on_encoder_stream(bytes).unwrap();
    }
    decoder
}

fn sent(decoder: &mut Decoder) -> Vec<u8> {
    let mut out = Vec::new();
    decoder.take_instructions(&mut out);
    out
}

fn text(fields: &[Field]) -> Vec<(&str, &str)> {
    let text = |bytes| std::str::from_utf8(bytes).unwrap();
    fields.iter().map(|field| (text(&field.name), text(&field.value))).collect()
}

fn entries(decoder: &Decoder) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    decoder.entries().map(|(name, value)| (text(name), text(value))).collect()
}

#[track_caller]
fn refused(decoder: &mut Decoder, section: &[u8]) -> DecodeError {
    let error = decoder.decode(0, section, LIMIT).expect_err("the section is invalid");
    assert_eq!(error.code(), Some(0x200));
    error
}

#[track_caller]
fn bad_instruction(decoder: &mut Decoder, bytes: &[u8]) -> EncoderStreamError {
    let error = decoder.on_encoder_stream(bytes).expect_err("the instruction is invalid");
    assert_eq!(error.code(), 0x201);
    error
}

/// RFC 9204 Appendix B.2 to B.5.
#[test]
fn published_exchanges() {
    let mut decoder = Decoder::with_table(220, 1);
    // B.2, with the section before the insertions, which come byte by byte.
    let section = [0x03, 0x81, 0x10, 0x11];
    let blocked = Decoded::Blocked { required_insert_count: 2 };
    assert_eq!(decoder.decode(4, &section, LIMIT), Ok(blocked));
    for byte in TWO {
        assert_eq!(decoder.poll_unblocked(), None);
        decoder.on_encoder_stream(&[*byte]).unwrap();
    }
    assert_eq!((decoder.poll_unblocked(), decoder.poll_unblocked()), (Some(4), None));
    let fields = decoder.decode(4, &section, LIMIT).and_then(Decoded::fields).unwrap();
    assert_eq!(text(&fields), [(":authority", "www.example.com"), (":path", "/sample/path")]);
    assert_eq!(sent(&mut decoder), [0x84]);
    // B.3.
    decoder.on_encoder_stream(b"\x4acustom-key\x0ccustom-value").unwrap();
    assert_eq!(sent(&mut decoder), [0x01]);
    // B.4: the section overtakes the Duplicate and is cancelled.
    let section = [0x05, 0x00, 0x80, 0xc1, 0x81];
    assert_eq!(decoder.decode(8, &section, LIMIT), Ok(Decoded::Blocked { required_insert_count: 4 }));
    decoder.cancel_stream(8);
    assert_eq!((sent(&mut decoder), decoder.blocked_streams()), (vec![0x48], 0));
    decoder.on_encoder_stream(&[0x02]).unwrap();
    assert_eq!(decoder.poll_unblocked(), None, "a cancelled stream is not blocked");
    assert_eq!(sent(&mut decoder), [0x01]);
    let fields = decoder.decode(12, &section, LIMIT).and_then(Decoded::fields).unwrap();
    let expected = [(":authority", "www.example.com"), (":path", "/"), ("custom-key", "custom-value")];
    assert_eq!(text(&fields), expected);
    assert_eq!(sent(&mut decoder), [0x8c]);
    // B.5: the oldest entry goes.
    decoder.on_encoder_stream(b"\x81\x0dcustom-value2").unwrap();
    let expected = [
        (":path", "/sample/path"),
        ("custom-key", "custom-value"),
        (":authority", "www.example.com"),
        ("custom-key", "custom-value2"),
    ];
    assert_eq!(entries(&decoder), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!((decoder.insert_count(), sent(&mut decoder)), (5, vec![0x01]));
}

#[test]
fn q02_capacities_up_to_the_maximum() {
    let mut decoder = reader(0, &[TWO]);
    // 220, then 219, which keeps both entries of 106 bytes, then 100, which keeps the newer, then none.
    for (capacity, left) in
        [(&[0x3f, 0xbd, 0x01][..], 2), (&[0x3f, 0xbc, 0x01], 2), (&[0x3f, 69], 1), (&[0x20], 0)]
    {
        decoder.on_encoder_stream(capacity).unwrap();
        assert_eq!(decoder.entries().count(), left);
    }
    assert_eq!(
        bad_instruction(&mut decoder, &[0x3f, 0xbe, 0x01]),
        EncoderStreamError::Capacity { capacity: 221, max: 220 }
    );
}

#[test]
fn q03_entries_up_to_the_capacity_and_one_byte_more() {
    // `:authority` has 10 bytes, an entry 32 more: 178 are left of 220 for the value.
    let insert = |length: usize| [&[0xc0, 0x7f, (length - 127) as u8][..], &vec![b'~'; length]].concat();
    let mut decoder = reader(0, &[TWO, &insert(178)]);
    assert_eq!(decoder.entries().count(), 1, "the largest entry evicts all others");
    // The length alone tells, before the text comes.
    assert_eq!(bad_instruction(&mut decoder, &insert(179)[..3]), EncoderStreamError::EntryTooLarge);
    // A literal name, and Huffman: 179 times `~` has 13 bits each, but 400 bytes could be 106 long codes.
    let mut decoder = reader(0, &[TWO]);
    assert_eq!(bad_instruction(&mut decoder, &[0x5f, 0x9e, 0x01]), EncoderStreamError::EntryTooLarge);
    let mut decoder = reader(0, &[TWO]);
    let zeros = [&[0xc0, 0xff, 0x80, 0x01][..], &[0; 255]].concat();
    assert_eq!(bad_instruction(&mut decoder, &zeros), EncoderStreamError::EntryTooLarge, "408 times `0`");
    // The capacity counts, not the maximum; and nothing fits before it is set (RFC 9204 §3.2.3).
    let mut decoder = reader(0, &[&[0x3f, 20]]);
    assert_eq!(bad_instruction(&mut decoder, b"\xc0\x0fwww.example.com"), EncoderStreamError::EntryTooLarge);
    assert_eq!(bad_instruction(&mut reader(0, &[]), b"\xc0\x00"), EncoderStreamError::EntryTooLarge);
}

#[test]
fn q04_references_to_entries_that_are_gone_or_never_came() {
    // Duplicate, and an insertion that takes over a name.
    for (index, kind) in [(2, 0x00), (2, 0x80)] {
        let mut decoder = reader(0, &[TWO]);
        assert_eq!(bad_instruction(&mut decoder, &[kind | index, 0]), EncoderStreamError::Reference(2));
        // The oldest entry is evicted by three duplicates of the newer one.
        let mut decoder = reader(0, &[TWO, &[0x00, 0x00, 0x00]]);
        assert_eq!(decoder.insert_count(), 5);
        assert_eq!(decoder.entries().count(), 4);
        assert_eq!(bad_instruction(&mut decoder, &[kind | 4, 0]), EncoderStreamError::Reference(4));
    }
    // The entry that an insertion evicts can still give its name (RFC 9204 §3.2.2).
    let long = [&[0x81, 0x7f, 178 - 127][..], &[b'x'; 178]].concat();
    let decoder = reader(0, &[TWO, &long]);
    assert_eq!(entries(&decoder), [(":authority".to_owned(), "x".repeat(178))]);
}

#[test]
fn q07_required_insert_counts_beyond_the_range() {
    // Six entries of 32 bytes fit into 220: counts are sent modulo 12, plus 1.
    let mut decoder = reader(100, &[TWO]);
    assert_eq!(refused(&mut decoder, &[13, 0, 0x80]), DecodeError::RequiredInsertCount);
    // 10 is above 2 + 6, and 10 - 12 below zero. 0 has an encoding of its own.
    assert_eq!(refused(&mut decoder, &[11, 0, 0x80]), DecodeError::RequiredInsertCount);
    assert_eq!(refused(&mut decoder, &[1, 0, 0x80]), DecodeError::RequiredInsertCount);
    let furthest = Decoded::Blocked { required_insert_count: 8 };
    assert_eq!(decoder.decode(0, &[9, 0, 0x80], LIMIT), Ok(furthest));
}

#[test]
fn q08_bases_down_to_zero() {
    let mut decoder = reader(0, &[TWO]);
    assert!(decoder.decode(0, &[3, 0x81, 0x10], LIMIT).is_ok(), "the Base is 0");
    assert_eq!(refused(&mut decoder, &[3, 0x82, 0x10]), DecodeError::NegativeBase);
}

#[test]
fn q09_references_outside_of_the_section_and_the_table() {
    // Each form of a reference, to the newest entry below the Base and to the first at or above it.
    for (line, post_base) in [(&[0x80][..], false), (&[0x40, 0], false), (&[0x10], true), (&[0x00, 0], true)]
    {
        let section = |required: u8, delta: u8| [&[required + 1, delta][..], line].concat();
        let mut decoder = reader(0, &[TWO]);
        if post_base {
            assert!(decoder.decode(0, &section(2, 0x80), LIMIT).is_ok(), "entry 1");
            assert_eq!(refused(&mut decoder, &section(2, 0)), DecodeError::DynamicReference(2), "entry 2");
        } else {
            assert!(decoder.decode(0, &section(2, 0), LIMIT).is_ok(), "entry 1");
            assert_eq!(refused(&mut decoder, &section(2, 0x81)), DecodeError::DynamicReference(0), "Base 0");
            // A Base above the count makes an index point at what the section does not require.
            assert_eq!(refused(&mut decoder, &section(1, 1)), DecodeError::DynamicReference(1));
        }
        // Three duplicates evict entry 0.
        let mut decoder = reader(0, &[TWO, &[0x00, 0x00, 0x00]]);
        let gone = if post_base { section(1, 0x80) } else { section(1, 0) };
        assert_eq!(refused(&mut decoder, &gone), DecodeError::DynamicReference(0));
    }
}

#[test]
fn q10_one_blocked_stream_too_many() {
    for limit in [0, 1, 3] {
        let mut decoder = reader(limit, &[]);
        let section = [3, 0x81, 0x10, 0x11];
        for stream in 0..limit {
            let blocked = Decoded::Blocked { required_insert_count: 2 };
            assert_eq!(decoder.decode(stream, &section, LIMIT), Ok(blocked.clone()));
            assert_eq!(decoder.decode(stream, &section, LIMIT), Ok(blocked), "a stream counts once");
        }
        assert_eq!(decoder.blocked_streams() as u64, limit);
        let error = decoder.decode(limit, &section, LIMIT).unwrap_err();
        assert_eq!((error, error.code()), (DecodeError::BlockedStreams, Some(0x200)));
        // A section that waits for nothing does not count.
        assert!(decoder.decode(limit, &[0, 0, 0xc1], LIMIT).is_ok());
        // Streams leave by a cancellation and, in their order, by insertions.
        if limit == 3 {
            decoder.cancel_stream(1);
            assert!(decoder.decode(7, &section, LIMIT).is_ok());
            decoder.on_encoder_stream(TWO).unwrap();
            let free = std::iter::from_fn(|| decoder.poll_unblocked()).collect::<Vec<_>>();
            assert_eq!(free, [0, 2, 7]);
            assert_eq!(decoder.blocked_streams(), 0);
        }
    }
}

/// A blocked section waits for the count that it names, not for the entries before.
#[test]
fn streams_are_free_when_their_own_count_is_reached() {
    let mut decoder = reader(10, &[]);
    assert!(matches!(decoder.decode(4, &[3, 0, 0x80], LIMIT), Ok(Decoded::Blocked { .. })));
    assert!(matches!(decoder.decode(0, &[2, 0, 0x80], LIMIT), Ok(Decoded::Blocked { .. })));
    let (first, second) = TWO.split_at(TWO.len() - 14);
    decoder.on_encoder_stream(first).unwrap();
    assert_eq!((decoder.poll_unblocked(), decoder.poll_unblocked()), (Some(0), None));
    decoder.on_encoder_stream(second).unwrap();
    assert_eq!((decoder.poll_unblocked(), decoder.poll_unblocked()), (Some(4), None));
}

#[test]
fn q12_integers_in_every_place_of_an_insertion() {
    let long = [0x80; 11];
    for (start, end) in
        [(&b"\xff"[..], &b""[..]), (b"\x7f", b""), (b"\xc0\x7f", b""), (b"\x41a\x7f", b""), (b"\x1f", b"")]
    {
        for piece in [1, 100] {
            let mut decoder = reader(0, &[TWO]);
            let bytes = [start, end, &long].concat();
            let result = bytes.chunks(piece).try_for_each(|piece| decoder.on_encoder_stream(piece).map(drop));
            assert!(matches!(result, Err(EncoderStreamError::Integer(_))), "{start:?}: {result:?}");
        }
    }
}

/// An entry that announces much and brings little, and one that comes byte by byte.
#[test]
fn q13_memory_follows_the_bytes_that_came() {
    let mut decoder = Decoder::with_table(1 << 24, 0);
    // Capacity 2^24, then an insertion of 2^23 bytes of which three come.
    decoder.on_encoder_stream(&[0x3f, 0xe1, 0xff, 0xff, 0x07]).unwrap();
    let measure = Measure::start();
    decoder.on_encoder_stream(&[0xc0, 0x7f, 0x81, 0xff, 0xff, 0x03, b'a', b'b', b'c']).unwrap();
    assert!(measure.peak_growth() < 1 << 10, "{}", measure.peak_growth());
    for _ in 0..10_000 {
        decoder.on_encoder_stream(b"x").unwrap();
    }
    assert!(measure.peak_growth() < 40 << 10, "{}", measure.peak_growth());
}

/// A table that is filled with small entries again and again.
#[test]
fn what_the_peer_inserts_is_bounded() {
    let measure = Measure::start();
    let mut decoder = Decoder::with_table(4096, 0);
    decoder.on_encoder_stream(&[0x3f, 0xe1, 0x1f]).unwrap();
    let mut out = Vec::with_capacity(16);
    // The smallest entries, entries whose names are literal, and one name that large entries hand on.
    let long = [&b"\xc0\x7f\x81\x1e"[..], &[b'v'; 3968]].concat();
    for round in 0..100 {
        for bytes in [
            b"\x40\x00".repeat(200),
            b"\x41a\x01b".repeat(200),
            [&long, &b"\x80\x01v".repeat(100)[..]].concat(),
        ] {
            for piece in bytes.chunks(1 + round) {
                decoder.on_encoder_stream(piece).unwrap();
                out.clear();
                decoder.take_instructions(&mut out);
            }
        }
    }
    assert!(decoder.entries().count() <= 128);
    assert!(measure.peak_growth() < 5 * 4096 + 2 * 4096, "{}", measure.peak_growth());
}

/// One large entry, referred to without end. The fields share it with the table.
#[test]
fn q14_references_stop_at_the_limit_and_copy_nothing() {
    let mut decoder = Decoder::with_table(8192, 0);
    decoder.on_encoder_stream(&[0x3f, 0xe1, 0x3f]).unwrap();
    decoder.on_encoder_stream(&[&b"\xc0\x7f\x81\x1e"[..], &[b'v'; 3968]].concat()).unwrap();
    let section = [&[2, 0][..], &[0x80; 16_000]].concat();
    let measure = Measure::start();
    let error = decoder.decode(4, &section, LIMIT).unwrap_err();
    assert_eq!((error, error.code()), (DecodeError::TooLarge { limit: LIMIT }, None));
    assert!(measure.peak_growth() < 8 << 10, "{}", measure.peak_growth());
    assert_eq!(sent(&mut decoder), [1], "the section is not acknowledged");
    decoder.cancel_stream(4);
    assert_eq!(sent(&mut decoder), [0x44]);
    // As many as fit: 16 times 10 + 3968 + 32 bytes.
    let fields = decoder.decode(4, &section[..2 + 16], LIMIT).and_then(Decoded::fields).unwrap();
    assert_eq!(fields.len(), 16);
    assert_eq!(decoder.decode(4, &section[..2 + 17], LIMIT), Err(DecodeError::TooLarge { limit: LIMIT }));
    assert!(measure.growth() < 4 << 10, "{}", measure.growth());
}

#[test]
fn never_indexed_lines_with_names_of_the_table() {
    let mut decoder = reader(0, &[TWO]);
    for (section, never) in [
        (&b"\x03\x00\x40\x01a"[..], false),
        (b"\x03\x00\x60\x01a", true),
        (b"\x03\x80\x00\x01a", false),
        (b"\x03\x80\x08\x01a", true),
    ] {
        let fields = decoder.decode(0, section, LIMIT).and_then(Decoded::fields).unwrap();
        assert_eq!((text(&fields), fields[0].never_index), (vec![(":path", "a")], never));
    }
}

/// Sections and insertions are acknowledged once, together in the fewest instructions.
#[test]
fn increments_cover_what_acknowledgments_do_not() {
    let mut decoder = reader(0, &[TWO]);
    // The section requires the first insertion only.
    decoder.decode(4, &[2, 0, 0x80], LIMIT).unwrap();
    assert_eq!(sent(&mut decoder), [0x84, 0x01]);
    decoder.decode(8, &[2, 0, 0x80], LIMIT).unwrap();
    decoder.decode(12, &[0, 0, 0xc1], LIMIT).unwrap();
    assert_eq!(sent(&mut decoder), [0x88], "a section without references is not acknowledged");
    assert_eq!(sent(&mut decoder), []);
    // Without a table there is nothing to cancel (RFC 9204 §4.4.2).
    let mut none = Decoder::new();
    none.cancel_stream(4);
    assert_eq!(sent(&mut none), []);
}

#[test]
fn bad_huffman_strings_of_insertions() {
    for bytes in [&b"\xc0\x81\xff"[..], b"\xc0\x81\x18", b"\x61\xff", b"\xc0\x84\xff\xff\xff\xff"] {
        assert_eq!(bad_instruction(&mut reader(0, &[TWO]), bytes), EncoderStreamError::Huffman);
    }
}

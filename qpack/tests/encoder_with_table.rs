//! The encoder with a dynamic table: what it may refer to and evict, by what the peer's decoder says.

use heap_meter::{HeapMeter, Measure};
use qpack::{Decoded, Decoder, DecoderStreamError, Encoder, EncoderOptions, FieldRef, Policy};

#[global_allocator]
static HEAP: HeapMeter = HeapMeter;

const LIMIT: u64 = 64 * 1024;

fn encoder(policy: Policy, capacity: u64, blocked: u64) -> Encoder {
    let options = EncoderOptions::new().policy(policy).max_table_capacity(capacity);
    let mut encoder = Encoder::with_options(options);
    encoder.on_settings(capacity, blocked);
    encoder
}

/// The section of one line, and the instructions that go with it.
fn encode(encoder: &mut Encoder, stream: u64, lines: &[(&str, &str)]) -> (Vec<u8>, Vec<u8>) {
    let lines = lines.iter().map(|(name, value)| FieldRef::new(name.as_bytes(), value.as_bytes()));
    let (mut section, mut instructions) = (Vec::new(), Vec::new());
    encoder.encode(stream, lines, &mut section);
    encoder.take_instructions(&mut instructions);
    (section, instructions)
}

/// Decodes a section and passes the decoder's answer to the encoder.
fn deliver(encoder: &mut Encoder, decoder: &mut Decoder, stream: u64, lines: &[(&str, &str)]) -> usize {
    let (section, instructions) = encode(encoder, stream, lines);
    decoder.on_encoder_stream(&instructions).unwrap();
    let fields = decoder.decode(stream, &section, LIMIT).and_then(Decoded::fields).unwrap();
    let decoded = fields.iter().map(|field| (&field.name[..], &field.value[..]));
    assert!(decoded.eq(lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))));
    let mut answer = Vec::new();
    decoder.take_instructions(&mut answer);
    encoder.on_decoder_stream(&answer).unwrap();
    section.len() + instructions.len()
}

const REQUEST: [(&str, &str); 7] = [
    (":method", "GET"),
    (":scheme", "https"),
    (":authority", "www.example.com"),
    (":path", "/"),
    ("user-agent", "an agent of some length/1.0"),
    ("accept-language", "en-GB"),
    ("cookie", "session=0123456789abcdef"),
];

#[test]
fn a_repeated_section_has_one_byte_for_each_line() {
    for policy in [Policy::Balanced, Policy::Greedy] {
        let (mut encoder, mut decoder) = (encoder(policy, 4096, 10), Decoder::with_table(4096, 10));
        let first = deliver(&mut encoder, &mut decoder, 0, &REQUEST);
        assert!(first > 60, "{first} bytes");
        assert_eq!(deliver(&mut encoder, &mut decoder, 4, &REQUEST), 2 + REQUEST.len());
        assert!(encoder.entries().eq(decoder.entries()));
    }
    let (mut encoder, mut decoder) = (encoder(Policy::StaticOnly, 4096, 10), Decoder::new());
    let sizes = [0, 4].map(|stream| deliver(&mut encoder, &mut decoder, stream, &REQUEST));
    assert_eq!((sizes[0], encoder.insert_count()), (sizes[1], 0));
}

/// RFC 9204 §3.2.3: nothing is inserted before the peer has offered a table, and §4.3.1: no more than that.
#[test]
fn the_peers_settings_bound_the_table() {
    let mut encoder = Encoder::with_options(EncoderOptions::new().policy(Policy::Greedy));
    assert_eq!(encode(&mut encoder, 0, &REQUEST).1, []);
    encoder.on_settings(256, 10);
    let (_, instructions) = encode(&mut encoder, 4, &REQUEST);
    assert_eq!(instructions[..3], [0x3f, 0xe1, 0x01], "capacity 256");
    let mut decoder = Decoder::with_table(256, 10);
    decoder.on_encoder_stream(&instructions).unwrap();
    assert!(encoder.entries().eq(decoder.entries()));
    // The own limit, and settings that come again.
    let mut encoder =
        Encoder::with_options(EncoderOptions::new().policy(Policy::Greedy).max_table_capacity(100));
    encoder.on_settings(1 << 30, 10);
    encoder.on_settings(1 << 20, 10);
    assert_eq!(encode(&mut encoder, 0, &REQUEST).1[..2], [0x3f, 69]);
    // A peer that offers nothing.
    let mut encoder = Encoder::with_options(EncoderOptions::new().policy(Policy::Greedy));
    encoder.on_settings(0, 10);
    assert_eq!(encode(&mut encoder, 0, &REQUEST).1, []);
}

/// RFC 9204 §2.1.2.
#[test]
fn no_more_streams_may_block_than_the_peer_permits() {
    for (permitted, own) in [(0, 100), (1, 100), (3, 100), (100, 0), (100, 2)] {
        let options = EncoderOptions::new().policy(Policy::Greedy).max_blocked_streams(own);
        let mut encoder = Encoder::with_options(options);
        encoder.on_settings(4096, permitted);
        let mut decoder = Decoder::with_table(4096, 100);
        let mut all = Vec::new();
        for stream in 0..20 {
            // Two sections on each stream, with a line that was never seen.
            for part in ["head", "trailer"] {
                let value = format!("{part} {stream}");
                let (section, instructions) =
                    encode(&mut encoder, stream, &[("x-a", "always"), ("x-b", &value)]);
                all.extend(instructions);
                if matches!(decoder.decode(stream, &section, LIMIT), Ok(Decoded::Fields(_))) {
                    assert_eq!(section[0], 0, "the decoder has no insertions");
                }
            }
        }
        let blocked = decoder.blocked_streams() as u64;
        assert_eq!(blocked, permitted.min(own), "permitted {permitted}, own limit {own}");
        // The insertions were made for later sections.
        decoder.on_encoder_stream(&all).unwrap();
        let mut answer = Vec::new();
        decoder.take_instructions(&mut answer);
        encoder.on_decoder_stream(&answer).unwrap();
        let (section, _) = encode(&mut encoder, 100, &[("x-a", "always")]);
        assert_eq!(section.len(), 3, "an acknowledged entry blocks nobody");
        let (section, _) = encode(&mut encoder, 200, &[("x-new", "a new line")]);
        assert_eq!(section[0] != 0, permitted.min(own) > 0, "the streams are not blocked any more");
    }
}

/// RFC 9204 §2.1.1: neither an insertion nor a lower capacity evicts an entry that was not acknowledged, or to
/// which a section refers that was not.
#[test]
fn entries_in_use_are_never_evicted() {
    let mut encoder = encoder(Policy::Greedy, 79, 100);
    let (section, first) = encode(&mut encoder, 0, &[("x-first", "some value")]);
    assert_eq!(encoder.insert_count(), 1);
    let more = |encoder: &mut Encoder| encode(encoder, 4, &[("x-second", "other value")]);
    assert_eq!(more(&mut encoder).1, [], "the insertion is not acknowledged");
    let mut decoder = Decoder::with_table(79, 100);
    decoder.on_encoder_stream(&first).unwrap();
    let mut answer = Vec::new();
    decoder.take_instructions(&mut answer);
    encoder.on_decoder_stream(&answer).unwrap();
    assert_eq!(more(&mut encoder).1, [], "the section is not acknowledged");
    encoder.set_capacity(40);
    assert_eq!(encode(&mut encoder, 8, &[("x-a", "b")]).1, [], "nor does the capacity shrink");
    encoder.set_capacity(79);
    decoder.decode(0, &section, LIMIT).unwrap();
    answer.clear();
    decoder.take_instructions(&mut answer);
    assert_eq!(answer, [0x80]);
    encoder.on_decoder_stream(&answer).unwrap();
    assert!(!more(&mut encoder).1.is_empty());
    let entries: Vec<_> = encoder.entries().collect();
    assert_eq!(entries, [(&b"x-second"[..], &b"other value"[..])]);
}

#[test]
fn a_cancelled_stream_frees_its_references_and_acknowledges_nothing() {
    let mut encoder = encoder(Policy::Greedy, 4096, 1);
    encode(&mut encoder, 0, &[("x-a", "b")]);
    assert_eq!(encode(&mut encoder, 4, &[("x-a", "b")]).0[0], 0, "stream 0 may be blocked");
    encoder.on_decoder_stream(&[0x40]).unwrap();
    assert_ne!(encode(&mut encoder, 4, &[("x-a", "b")]).0[0], 0, "stream 4 may be, instead");
    assert_eq!(encode(&mut encoder, 8, &[("x-a", "b")]).0[0], 0);
    // Nothing is outstanding on stream 0 now.
    assert_eq!(encoder.on_decoder_stream(&[0x80]), Err(DecoderStreamError::SectionAcknowledgment(0)));
}

#[test]
fn a_capacity_that_shrinks_and_grows() {
    let (mut encoder, mut decoder) = (encoder(Policy::Greedy, 4096, 10), Decoder::with_table(4096, 10));
    deliver(&mut encoder, &mut decoder, 0, &REQUEST);
    let before = encoder.entries().count();
    for (capacity, most) in [(100, before - 1), (0, 0), (4096, before), (u64::MAX, before)] {
        encoder.set_capacity(capacity);
        for stream in [4, 8] {
            deliver(&mut encoder, &mut decoder, stream, &REQUEST);
            assert!(encoder.entries().eq(decoder.entries()));
        }
        assert!(encoder.entries().count() <= most, "capacity {capacity}");
    }
    assert_eq!(encoder.entries().count(), before);
}

/// RFC 9204 §2.1.3: an instruction is begun only if it fits whole.
#[test]
fn instructions_fit_into_the_room() {
    let mut whole = encoder(Policy::Greedy, 4096, 10);
    let all = encode(&mut whole, 0, &REQUEST).1.len();
    for room in 0..=all {
        let (mut encoder, mut decoder) = (encoder(Policy::Greedy, 4096, 10), Decoder::with_table(4096, 10));
        encoder.set_instruction_room(room);
        let (section, instructions) = encode(&mut encoder, 0, &REQUEST);
        assert!(instructions.len() <= room);
        decoder.on_encoder_stream(&instructions).unwrap();
        let fields = decoder.decode(0, &section, LIMIT).and_then(Decoded::fields).unwrap();
        assert_eq!(fields.len(), REQUEST.len());
        assert!(encoder.entries().eq(decoder.entries()));
        // What was taken counts; without more room nothing follows.
        let (_, more) = encode(&mut encoder, 4, &REQUEST);
        assert!(instructions.len() + more.len() <= room);
        encoder.set_instruction_room(1000);
        assert!(room == all || !encode(&mut encoder, 8, &REQUEST).1.is_empty());
    }
}

/// RFC 9204 §7.1.3.
#[test]
fn sensitive_lines_are_never_indexed() {
    let sensitive = [
        ("authorization", "Bearer something long enough"),
        ("proxy-authorization", "Basic something"),
        ("set-cookie", "session=0123456789abcdefghijk"),
        ("cookie", "pin=1234567890abcde"),
    ];
    let options = EncoderOptions::new().policy(Policy::Greedy);
    for (mut encoder, offered) in [(Encoder::with_options(options), 4096), (Encoder::new(), 0)] {
        encoder.on_settings(offered, 10);
        let mut decoder = Decoder::with_table(offered, 10);
        for stream in 0..5 {
            let (section, instructions) = encode(&mut encoder, stream, &sensitive);
            decoder.on_encoder_stream(&instructions).unwrap();
            let fields = decoder.decode(stream, &section, LIMIT).and_then(Decoded::fields).unwrap();
            assert!(fields.iter().all(|field| field.never_index));
            // Twice the mark survives an encoder in between.
            let mut again = Vec::new();
            Encoder::new().encode(stream, fields.iter().map(FieldRef::from), &mut again);
            assert!(Decoder::new().decode(0, &again, LIMIT).and_then(Decoded::fields) == Ok(fields));
        }
        let names = |entry: (&[u8], &[u8])| entry.1.is_empty();
        assert!(encoder.entries().all(names), "no value is in the table");
    }
}

#[test]
fn q05_increments_and_acknowledgments_of_what_was_never_sent() {
    let mut encoder = encoder(Policy::Greedy, 4096, 10);
    encode(&mut encoder, 4, &[("x-a", "b"), ("x-c", "d")]);
    assert_eq!(encoder.insert_count(), 2);
    for (bytes, error) in [
        (&[0x00][..], DecoderStreamError::InsertCountIncrement(0)),
        (&[0x03], DecoderStreamError::InsertCountIncrement(3)),
        // 2^62 - 1, alone and on top of one that was good.
        (
            &[0x3f, 0xc0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f],
            DecoderStreamError::InsertCountIncrement((1 << 62) - 1),
        ),
        (&[0x80], DecoderStreamError::SectionAcknowledgment(0)),
    ] {
        assert_eq!(encoder.on_decoder_stream(bytes), Err(error));
        assert_eq!(error.code(), 0x202);
    }
    assert_eq!(encoder.on_decoder_stream(&[0x01, 0x01]), Ok(2));
    assert_eq!(encoder.on_decoder_stream(&[0x01]), Err(DecoderStreamError::InsertCountIncrement(1)));
    // An acknowledgment counts its section's insertions, which are known by now, and its section once.
    assert_eq!(encoder.on_decoder_stream(&[0x84]), Ok(1));
    assert_eq!(encoder.on_decoder_stream(&[0x84]), Err(DecoderStreamError::SectionAcknowledgment(4)));
}

/// Nothing is acknowledged, on a million streams, whatever the lines are: the table fills once, and so does
/// the list of sections.
#[test]
fn q16_sections_that_are_never_acknowledged() {
    for policy in [Policy::Balanced, Policy::Greedy] {
        let mut encoder = encoder(policy, 4096, 1 << 40);
        let (mut section, mut instructions) = (Vec::with_capacity(1000), Vec::with_capacity(1000));
        let measure = Measure::start();
        let mut last = 0;
        for stream in 0_u32..1_000_000 {
            section.clear();
            instructions.clear();
            let value = stream.to_be_bytes().map(|byte| b'a' + byte % 26);
            let fields = [FieldRef::new(b"x-stream", &value), FieldRef::new(b"x-always", b"the same")];
            encoder.encode(stream.into(), fields, &mut section);
            encoder.take_instructions(&mut instructions);
            if !instructions.is_empty() || section[0] != 0 {
                last = stream;
            }
        }
        assert!(last < 1000, "stream {last} still used the table");
        assert!(measure.peak_growth() < 80 << 10, "{} bytes", measure.peak_growth());
        // Sections go on as the peer acknowledges some.
        let acknowledged =
            (0..100).try_for_each(|stream: u8| encoder.on_decoder_stream(&[0x80 | stream]).map(drop));
        assert_eq!(acknowledged, Ok(()));
        section.clear();
        encoder.encode(7, [FieldRef::new(b"x-always", b"the same")], &mut section);
        assert_eq!(section.len(), 3);
    }
}

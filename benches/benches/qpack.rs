//! Field sections of 15 lines, with the static table alone and with a dynamic one.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use qpack::{Decoded, Decoder, Encoder, EncoderOptions, FieldRef};

/// A browser's request for an image.
const LINES: [(&str, &str); 15] = [
    (":method", "GET"),
    (":scheme", "https"),
    (":authority", "www.example.com"),
    (":path", "/images/a-picture-of-some-name.jpg"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("accept", "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"),
    ("accept-language", "en-GB,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br"),
    ("referer", "https://www.example.com/index.html"),
    ("cookie", "session=0123456789abcdef0123456789abcdef"),
    ("sec-fetch-dest", "image"),
    ("sec-fetch-mode", "no-cors"),
    ("sec-fetch-site", "same-origin"),
    ("priority", "u=4, i"),
    ("te", "trailers"),
];

fn lines() -> impl Iterator<Item = FieldRef<'static>> {
    LINES.iter().map(|(name, value)| FieldRef::new(name.as_bytes(), value.as_bytes()))
}

/// An encoder and a decoder that have exchanged the lines once; without a table if `capacity` is 0.
fn pair(capacity: u64) -> (Encoder, Decoder) {
    let mut encoder = Encoder::with_options(EncoderOptions::new().max_table_capacity(capacity));
    encoder.on_settings(capacity, 16);
    let mut decoder = Decoder::with_table(capacity, 16);
    let (mut section, mut instructions) = (Vec::new(), Vec::new());
    encoder.encode(0, lines(), &mut section);
    encoder.take_instructions(&mut instructions);
    decoder.on_encoder_stream(&instructions).expect("valid instructions");
    let fields = decoder.decode(0, &section, 16_384).and_then(Decoded::fields).expect("a valid section");
    assert_eq!(fields.len(), LINES.len());
    section.clear();
    decoder.take_instructions(&mut section);
    encoder.on_decoder_stream(&section).expect("valid answers");
    (encoder, decoder)
}

fn sections(c: &mut Criterion) {
    for (name, capacity) in [("static", 0), ("table", 4096)] {
        let mut group = c.benchmark_group(format!("15 fields, {name}"));
        group.throughput(Throughput::Elements(LINES.len() as u64));
        let (mut encoder, mut decoder) = pair(capacity);
        let mut section = Vec::with_capacity(1024);
        // An acknowledgment for each section, as a peer sends them.
        let answer: &[u8] = if capacity > 0 { &[0x80] } else { &[] };
        group.bench_function("encode", |b| {
            b.iter(|| {
                section.clear();
                encoder.encode(0, black_box(lines()), &mut section);
                encoder.on_decoder_stream(answer).expect("an acknowledgment");
                section.len()
            });
        });
        let mut answers = Vec::with_capacity(16);
        group.bench_function("decode", |b| {
            b.iter(|| {
                let fields = decoder.decode(0, black_box(&section), 16_384).expect("a valid section");
                answers.clear();
                decoder.take_instructions(&mut answers);
                fields
            });
        });
        group.finish();
    }
}

criterion_group!(benches, sections);
criterion_main!(benches);

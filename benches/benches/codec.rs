//! Variable-length integers and frames.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use quic_core::{
    Dir, Side, StreamId,
    base::{Writer, varint},
    frame::{Frame, Frames, write_ack},
};

fn varints(c: &mut Criterion) {
    let values: Vec<u64> =
        (0..1024_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (2 + (n % 4) * 16)).collect();
    let mut encoded = Vec::new();
    values.iter().for_each(|value| varint::put(&mut encoded, *value));
    let mut group = c.benchmark_group("varint");
    group.throughput(Throughput::Elements(values.len() as u64));
    group.bench_function("encode", |b| {
        let mut out = Vec::with_capacity(encoded.len());
        b.iter(|| {
            out.clear();
            values.iter().for_each(|value| varint::put(&mut out, black_box(*value)));
            out.len()
        });
    });
    group.bench_function("decode", |b| {
        b.iter(|| {
            let (mut rest, mut sum) = (black_box(&encoded[..]), 0_u64);
            while let Some((value, length)) = varint::decode(rest) {
                sum = sum.wrapping_add(value);
                rest = &rest[length..];
            }
            sum
        });
    });
    group.finish();
}

/// A packet of a busy connection: an ACK of 10 ranges, credit, and a full STREAM frame.
fn packet() -> Vec<u8> {
    let mut buffer = [0; 1160];
    let mut writer = Writer::new(&mut buffer);
    let ranges = (0..10_u64).rev().map(|n| 1000 * n..=1000 * n + 500);
    assert!(write_ack(&mut writer, ranges, 25, None));
    assert!(Frame::MaxData(1 << 30).write(&mut writer));
    let id = StreamId::new(Side::Client, Dir::Bidi, 7);
    let data = vec![0x5a; writer.remaining() - 16];
    assert!(Frame::Stream { id, offset: 1 << 20, fin: false, data: &data }.write(&mut writer));
    writer.written().to_vec()
}

fn frames(c: &mut Criterion) {
    let payload = packet();
    let parsed: Vec<_> = Frames::new(&payload).collect::<Result<_, _>>().expect("valid frames");
    let mut group = c.benchmark_group("frames of a packet");
    group.throughput(Throughput::Bytes(payload.len() as u64));
    group.bench_function("parse", |b| {
        b.iter(|| {
            Frames::new(black_box(&payload))
                .filter(|frame| frame.as_ref().is_ok_and(Frame::is_ack_eliciting))
                .count()
        });
    });
    group.bench_function("emit", |b| {
        let mut buffer = [0; 1200];
        b.iter(|| {
            let mut writer = Writer::new(black_box(&mut buffer));
            let written = parsed.iter().all(|frame| frame.write(&mut writer));
            (written, writer.position())
        });
    });
    group.finish();
}

criterion_group!(benches, varints, frames);
criterion_main!(benches);

//! The cost of sealing and opening a full packet, header protection included.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use quic_core::{
    Version,
    crypto::{HeaderKey, PacketKey, Secret, Suite, protect_header, unprotect_header},
};

/// The length of a 1-RTT header: a first byte, 8 bytes of connection ID, 2 bytes of packet number.
const SIZE: usize = 1452;
const PN_OFFSET: usize = 9;
const HEADER: usize = 11;

fn protection(c: &mut Criterion) {
    let mut group = c.benchmark_group("packet protection");
    group.throughput(Throughput::Bytes(SIZE as u64));
    for (name, suite, secret) in [
        ("AES-128-GCM", Suite::Aes128Gcm, &[7; 32][..]),
        ("AES-256-GCM", Suite::Aes256Gcm, &[7; 48][..]),
        ("ChaCha20-Poly1305", Suite::ChaCha20Poly1305, &[7; 32][..]),
    ] {
        let secret = Secret::new(Version::V1, suite, secret).expect("a secret of the hash's length");
        let (key, header_key) = (PacketKey::new(&secret), HeaderKey::new(&secret));
        let mut plain = vec![0x5a; SIZE];
        plain[0] = 0x41;
        plain[PN_OFFSET..HEADER].copy_from_slice(&[0x12, 0x34]);
        let seal = |packet: &mut [u8]| {
            key.seal(0x1234, packet, HEADER);
            protect_header(&header_key, packet, PN_OFFSET, 2);
        };
        let mut sealed = plain.clone();
        seal(&mut sealed);
        group.bench_function(format!("seal {name}"), |b| {
            b.iter_batched_ref(|| plain.clone(), |packet| seal(black_box(packet)), BatchSize::SmallInput);
        });
        group.bench_function(format!("open {name}"), |b| {
            let open = |packet: &mut Vec<u8>| {
                let header = unprotect_header(&header_key, packet, PN_OFFSET).expect("a sample");
                key.open(header.number, packet, HEADER).expect("an authentic packet")
            };
            b.iter_batched_ref(|| sealed.clone(), |packet| open(black_box(packet)), BatchSize::SmallInput);
        });
    }
    group.finish();
}

criterion_group!(benches, protection);
criterion_main!(benches);

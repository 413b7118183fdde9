//! A client and a server in memory: handshakes, and 10 MiB on one stream.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use benches::{Pair, Setup};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const SIZE: usize = 10 << 20;

fn pair(c: &mut Criterion) {
    let mut group = c.benchmark_group("pair in memory");
    group.sample_size(20);
    let setup = Setup::new(1200);
    group.bench_function("handshake", |b| b.iter(|| Pair::connected(&setup)));
    group.throughput(Throughput::Bytes(SIZE as u64));
    for datagram_size in [1200, 1452] {
        let setup = Setup::new(datagram_size);
        group.bench_function(format!("10 MiB in datagrams of {datagram_size}"), |b| {
            b.iter_batched_ref(
                || Pair::connected(&setup),
                |pair| assert_eq!(pair.transfer(SIZE), SIZE),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, pair);
criterion_main!(benches);

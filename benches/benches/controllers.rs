//! The cost of each controller: an ACK of two packets, and a loss.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use quic_core::{
    base::{Rate, Timestamp},
    congestion::{
        Algorithm, CongestionConfig, CongestionEvent, Controller as _, LimitedBy, LostPacket, NewPath,
        PacketRate, RateSample, Rtt, SentPacket,
    },
};

const MTU: u16 = 1_452;
const STEP: Duration = Duration::from_micros(100);
/// Controllers whose names [`Algorithm::names`] does not list.
const MORE: [&str; 7] = [
    "newreno+hystart",
    "newreno+rapid-start",
    "cubic+classic",
    "cubic+rapid-start",
    "cubic+careful-resume=1MB/40ms",
    "fixed-rate=100mbit",
    "fixed-window=1MB",
];

fn controllers(c: &mut Criterion) {
    for name in Algorithm::names().chain(MORE) {
        let algorithm: Algorithm = name.parse().expect("a name of its own");
        let mut rtt = Rtt::default();
        let mut now = Timestamp::from_nanos(1_000_000_000);
        rtt.on_sample(Duration::from_millis(40), Duration::ZERO, true, Duration::ZERO, now);
        let mut controller = CongestionConfig::new(algorithm).build(&NewPath::new(now, MTU));
        let (mut number, mut delivered, mut lost) = (0, 0, 0);
        let mut step = |bytes_lost: u64| {
            now += STEP;
            number += 2;
            for _ in 0..2 {
                let packet = SentPacket::new(MTU.into(), controller.window(), LimitedBy::Window);
                controller.on_sent(now, &packet);
            }
            let mut event = CongestionEvent::new(now, &rtt);
            event.rtt_sample = Some(Duration::from_millis(40));
            event.bytes_acked = 2 * u64::from(MTU);
            event.bytes_lost = bytes_lost;
            event.packets_lost = u32::from(bytes_lost > 0);
            event.newest_acked_sent = Some(now.saturating_sub(Duration::from_millis(40)));
            event.newest_lost_sent =
                (bytes_lost > 0).then_some(now.saturating_sub(Duration::from_millis(41)));
            event.largest_acked = Some(number);
            // A link of 29 MB/s delivers packets that were sent a round trip before.
            let flight = 400 * 2 * u64::from(MTU);
            let round_trip = Duration::from_millis(40);
            let packet = PacketRate::new(now)
                .delivered(delivered - flight.min(delivered))
                .delivered_time(now.saturating_sub(round_trip))
                .first_sent_time(now.saturating_sub(round_trip))
                .lost(lost)
                .in_flight(flight as u32)
                .is_app_limited(false);
            let told = [LostPacket::new(bytes_lost, now.saturating_sub(round_trip), packet)];
            event.lost = &told[..usize::from(bytes_lost > 0)];
            lost += bytes_lost;
            delivered += event.bytes_acked;
            event.rate = Some(
                RateSample::new(delivered - packet.delivered, round_trip)
                    .rate(Some(Rate::from_bytes_in(event.bytes_acked, STEP)))
                    .prior_delivered(packet.delivered)
                    .in_flight(flight),
            );
            event.prior_in_flight = controller.window();
            event.in_flight = controller.window();
            controller.on_congestion_event(&event);
            controller.window()
        };
        c.bench_function(&format!("{name}/ack"), |bencher| bencher.iter(|| step(0)));
        let mut count = 0_u32;
        c.bench_function(&format!("{name}/ack with a loss each 100"), |bencher| {
            bencher.iter(|| {
                count += 1;
                step(if count.is_multiple_of(100) { MTU.into() } else { 0 })
            });
        });
    }
}

criterion_group!(benches, controllers);
criterion_main!(benches);

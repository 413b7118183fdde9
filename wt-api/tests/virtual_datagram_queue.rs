//! The queue of outgoing datagrams: the application limits how many wait and for how long, in whichever layer
//! they wait.

mod virtual_common;

use std::time::Duration;

use bytes::Bytes;
use virtual_common::seconds;
use wt_api::{
    WebTransport,
    testing::{LinkConfig, MILLISECOND, Network, Pair, pair},
};

const SIZE: usize = 1_000;

/// 100 kB/s, a round trip of 20 ms, and a short queue in the network.
fn slow(seed: u64) -> Pair {
    let pair = pair(seed);
    pair.link.change(|link| {
        *link = LinkConfig::new().delay(10 * MILLISECOND).rate(800_000).queue(8_000);
    });
    pair
}

/// A datagram that contains the time at which the application sent it.
fn stamped(network: &Network) -> Bytes {
    let mut data = vec![0; SIZE];
    data[..16].copy_from_slice(&network.now().as_nanos().to_be_bytes());
    data.into()
}

/// The ages of the datagrams at their arrival, from the youngest to the oldest.
async fn ages(network: &Network, session: &WebTransport, for_how_long: Duration) -> Vec<Duration> {
    let (end, mut readable, mut ages) =
        (network.now() + for_how_long, session.datagrams().readable, Vec::new());
    while let Some(left) = end.checked_sub(network.now())
        && let Some(Ok(data)) = network.within(left, readable.recv()).await
    {
        let stamp = u128::from_be_bytes(*data.first_chunk().unwrap());
        ages.push(network.now() - Duration::from_nanos(u64::try_from(stamp).unwrap()));
    }
    ages.sort_unstable();
    ages
}

/// Sends without a pause. Returns how many were sent.
fn flood(pair: &Pair) -> wt_api::testing::Task<u64> {
    let (network, writable) = (pair.network.clone(), pair.client.datagrams().writable);
    pair.client_host.spawn(async move {
        let mut sent = 0;
        while writable.send(stamped(&network)).await.is_ok() {
            sent += 1;
        }
        sent
    })
}

#[test]
fn the_age_limit_applies_until_the_packet_is_built() {
    let mut medians = Vec::new();
    for limit in [1, 10, 100] {
        let pair = slow(1);
        pair.client.datagrams().set_outgoing_max_buffered_datagrams(limit);
        drop(flood(&pair));
        let ages = pair.network.run(ages(&pair.network, &pair.server, seconds(20)));
        let median = ages[ages.len() / 2];
        println!("limit {limit}: {} datagrams, median age {median:?}, oldest {:?}", ages.len(), ages.last());
        // The link's rate is used all the same. A datagram waits up to 10 ms, and then in the network's
        // queue.
        assert!(ages.len() > 1_000, "{} of 2000", ages.len());
        let bound = Duration::from_millis(10) * limit + Duration::from_millis(250);
        assert!(median < bound, "limit {limit}: {median:?} and not {bound:?}");
        medians.push(median);
    }
    assert!(medians.is_sorted(), "{medians:?}");
}

#[test]
fn no_more_datagrams_wait_than_the_application_permits() {
    let pair = slow(2);
    pair.client.datagrams().set_outgoing_max_buffered_datagrams(10);
    pair.network.run(async {
        // Nothing leaves during this outage.
        pair.link.outage(seconds(10));
        let writable = pair.client.datagrams().writable;
        let mut taken = 0;
        for _ in 0..1_000 {
            taken += u32::from(writable.try_send(stamped(&pair.network)).is_ok());
            pair.network.sleep(Duration::from_millis(1)).await;
        }
        // Ten are queued; the first window let the rest out.
        let sent = pair.client.get_stats().await.unwrap().packets_sent.unwrap();
        assert!(u64::from(taken) <= 10 + sent, "{taken} taken, {sent} packets sent");
        assert!(taken < 60, "{taken}");
    });
}

#[test]
fn a_new_age_limit_applies_to_queued_datagrams() {
    let pair = slow(3);
    let datagrams = pair.client.datagrams();
    pair.network.run(async {
        pair.link.outage(seconds(3));
        let mut taken = 0;
        while datagrams.writable.try_send(stamped(&pair.network)).is_ok() {
            taken += 1;
            pair.network.sleep(Duration::from_millis(1)).await;
        }
        assert!(taken >= 256, "{taken}");
        // The limit changes once the datagrams have reached the connection.
        pair.network.sleep(seconds(1)).await;
        datagrams.set_outgoing_max_age(Some(Duration::from_millis(500)));
        let arrived = ages(&pair.network, &pair.server, seconds(20)).await;
        let stats = pair.client.get_stats().await.unwrap().datagrams.unwrap();
        assert!(stats.expired_outgoing >= 200, "{stats:?}");
        // Each is counted once: as arrived, as lost, or as too old.
        let told = arrived.len() as u64 + stats.expired_outgoing + stats.lost_outgoing;
        assert_eq!(told, taken, "{stats:?} and {} arrived", arrived.len());
    });
}

#[test]
fn datagrams_in_the_mailbox_follow_as_soon_as_quic_has_room() {
    let pair = pair(4);
    pair.link.change(|link| *link = LinkConfig::new().delay(100 * MILLISECOND));
    let datagrams = pair.client.datagrams();
    datagrams.set_outgoing_max_buffered_datagrams(4_000);
    pair.network.run(async {
        // More than QUIC's queue holds, and less than the first window permits.
        for _ in 0..1_000 {
            datagrams.writable.try_send(Bytes::from_static(b"tiny")).unwrap();
        }
        let arrived = arrivals(&pair.network, &pair.server, Duration::from_millis(150)).await;
        assert_eq!(arrived, 1_000, "all leave at once, and not some with each acknowledgment");
    });
}

/// Returns how many datagrams arrive in this time.
async fn arrivals(network: &Network, session: &WebTransport, for_how_long: Duration) -> usize {
    let (end, mut readable, mut count) = (network.now() + for_how_long, session.datagrams().readable, 0);
    while let Some(left) = end.checked_sub(network.now())
        && let Some(Ok(_)) = network.within(left, readable.recv()).await
    {
        count += 1;
    }
    count
}

//! The search for the path's size, with plain values.

use std::time::Duration;

use super::mtu::{BASE, MtuDiscovery, SizeChange, SizeEvidence};
use crate::base::Timestamp;

const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000);

/// Runs the search over a path that carries `carries` bytes. Returns the probes sent.
fn search(mtu: &mut MtuDiscovery, carries: u16, now: Timestamp) -> Vec<u16> {
    let mut sent = Vec::new();
    while let Some(size) = mtu.due(now) {
        mtu.on_probe_sent();
        assert_eq!(mtu.due(now), None, "one probe is under way");
        sent.push(size);
        let evidence = if size <= carries {
            SizeEvidence { probe_acked: Some(size), acked: size, ..SizeEvidence::default() }
        } else {
            SizeEvidence { probe_lost: Some(size), ..SizeEvidence::default() }
        };
        let expected = if size <= carries { SizeChange::Changed } else { SizeChange::None };
        assert_eq!(mtu.on_evidence(now, &evidence), expected);
        assert!(sent.len() < 200, "{sent:?}");
    }
    sent
}

fn discovery(max: u16) -> MtuDiscovery {
    let mut mtu = MtuDiscovery::new(BASE, max);
    mtu.start();
    mtu
}

#[test]
fn common_links_are_found_in_two_probes() {
    let mut mtu = discovery(1472);
    assert_eq!(search(&mut mtu, 1472, NOW), [1452, 1472]);
    assert_eq!(mtu.current(), 1472);
    let mut v6 = discovery(1472);
    assert_eq!(search(&mut v6, 1452, NOW), [1452, 1472, 1472, 1472], "given up after three losses");
    assert_eq!(v6.current(), 1452);
}

#[test]
fn any_size_is_found_to_within_eight_bytes() {
    for carries in 1200..=1472 {
        let mut mtu = discovery(1472);
        search(&mut mtu, carries, NOW);
        let found = mtu.current();
        assert!(found <= carries, "{found} of {carries}");
        // The search looks for no size between those of Ethernet under IPv6 and IPv4.
        assert!(carries - found <= 8 || (1452..1472).contains(&carries), "{found} of {carries}");
    }
    for carries in (1472..=9000).step_by(37).chain([8952, 8972, 65_507]) {
        let mut mtu = discovery(65_527);
        search(&mut mtu, carries, NOW);
        assert!((0..=8).contains(&(i32::from(carries) - i32::from(mtu.current()))), "{carries}");
    }
}

#[test]
fn nothing_is_sent_before_the_handshake_is_confirmed_or_beyond_a_limit() {
    let mut mtu = MtuDiscovery::new(BASE, 1472);
    assert_eq!(mtu.due(NOW), None);
    mtu.limit(1300);
    mtu.start();
    assert_eq!(search(&mut mtu, 1472, NOW), [1300]);
    mtu.limit(1250);
    assert_eq!(mtu.current(), 1250);
    mtu.limit(100);
    assert_eq!(mtu.current(), BASE, "RFC 9000 §18.2: values below 1200 are invalid anyway");
    let mut off = discovery(0);
    assert_eq!(search(&mut off, 1472, NOW), []);
}

#[test]
fn a_size_survives_two_losses_by_chance() {
    let mut mtu = discovery(1452);
    for _ in 0..2 {
        assert_eq!(mtu.due(NOW), Some(1452));
        mtu.on_probe_sent();
        assert!(quiet(&mut mtu, SizeEvidence { probe_lost: Some(1452), ..SizeEvidence::default() }));
    }
    assert_eq!(search(&mut mtu, 1452, NOW), [1452]);
    assert_eq!(mtu.current(), 1452);
}

#[test]
fn a_finished_search_is_repeated_after_ten_minutes() {
    let mut mtu = discovery(1472);
    search(&mut mtu, 1452, NOW);
    assert_eq!(mtu.due(NOW + Duration::from_secs(599)), None);
    let later = NOW + Duration::from_secs(600);
    assert_eq!(search(&mut mtu, 1472, later), [1472]);
    assert_eq!(mtu.due(later + Duration::from_secs(6000)), None, "the largest size is in use");
}

/// The loss of a packet that was sent after all packets before it.
fn lost(size: u16) -> SizeEvidence {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    static LATER: AtomicU32 = AtomicU32::new(1);
    let sent = NOW + Duration::from_secs(2) * LATER.fetch_add(1, Relaxed);
    SizeEvidence { lost: size, lost_sent: Some(sent), ..SizeEvidence::default() }
}

/// Whether the evidence changed nothing.
fn quiet(mtu: &mut MtuDiscovery, evidence: SizeEvidence) -> bool {
    tell(mtu, evidence) == SizeChange::None
}

/// Reports evidence. A loss is reported at the time when the lost packet was sent.
fn tell(mtu: &mut MtuDiscovery, evidence: SizeEvidence) -> SizeChange {
    mtu.on_evidence(evidence.lost_sent.unwrap_or(NOW), &evidence)
}

fn acked(size: u16) -> SizeEvidence {
    SizeEvidence { acked: size, ..SizeEvidence::default() }
}

#[test]
fn large_packets_that_vanish_while_small_ones_arrive_are_a_black_hole() {
    let mut mtu = discovery(1472);
    search(&mut mtu, 1472, NOW);
    assert!(quiet(&mut mtu, lost(1472)) && quiet(&mut mtu, acked(1200)));
    assert!(quiet(&mut mtu, lost(1472)) && quiet(&mut mtu, acked(1300)));
    assert_eq!(tell(&mut mtu, lost(1472)), SizeChange::Changed);
    assert_eq!((mtu.current(), mtu.black_holes()), (BASE, 1));
    search(&mut mtu, 1280, NOW);
    assert!((1272..=1280).contains(&mtu.current()), "{}", mtu.current());
}

#[test]
fn losses_by_congestion_are_no_black_hole() {
    let mut mtu = discovery(1472);
    search(&mut mtu, 1472, NOW);
    for _ in 0..100 {
        assert!(quiet(&mut mtu, lost(1472)));
        assert!(quiet(&mut mtu, SizeEvidence { acked: 1472, ..lost(1472) }));
        assert!(quiet(&mut mtu, lost(1472)));
        assert!(quiet(&mut mtu, acked(1472)));
        assert!(quiet(&mut mtu, lost(1200)), "every path carries this");
    }
    assert_eq!((mtu.current(), mtu.black_holes()), (1472, 0));
}

#[test]
fn an_answer_to_a_probe_given_up_changes_nothing() {
    let mut mtu = discovery(1472);
    assert_eq!(mtu.due(NOW), Some(1452));
    mtu.on_probe_sent();
    assert!(quiet(
        &mut mtu,
        SizeEvidence { probe_acked: Some(1472), acked: 1472, ..SizeEvidence::default() }
    ));
    assert_eq!(mtu.current(), BASE);
}

#[test]
fn a_path_that_lets_only_small_packets_pass_is_given_up() {
    let mut mtu = discovery(1472);
    search(&mut mtu, 1472, NOW);
    for _ in 0..2 {
        assert!(quiet(&mut mtu, lost(1472)) && quiet(&mut mtu, acked(60)));
    }
    assert_eq!(tell(&mut mtu, lost(1472)), SizeChange::Changed);
    for _ in 0..9 {
        assert!(quiet(&mut mtu, lost(1200)) && quiet(&mut mtu, acked(60)));
    }
    assert_eq!(tell(&mut mtu, lost(1200)), SizeChange::NotViable);
    let mut lucky = discovery(0);
    for _ in 0..100 {
        assert!(quiet(&mut lucky, lost(1200)) && quiet(&mut lucky, acked(1200)));
    }
}

/// With a minimal window only probes leave, which have the smallest size (RFC 9002 §6.2.4).
#[test]
fn probes_of_the_least_size_that_vanish_tell_of_a_path_that_shrank_below_it() {
    let mut mtu = discovery(1472);
    search(&mut mtu, 1472, NOW);
    for _ in 0..2 {
        assert!(quiet(&mut mtu, lost(1200)) && quiet(&mut mtu, acked(60)));
    }
    assert_eq!(tell(&mut mtu, lost(1200)), SizeChange::Changed);
    for _ in 0..9 {
        assert!(quiet(&mut mtu, lost(1200)) && quiet(&mut mtu, acked(60)));
    }
    assert_eq!(tell(&mut mtu, lost(1200)), SizeChange::NotViable);
}

#[test]
fn a_burst_whose_losses_are_found_one_by_one_counts_once() {
    let mut mtu = discovery(1472);
    search(&mut mtu, 1472, NOW);
    let burst = lost(1472);
    let found = burst.lost_sent.expect("a time") + Duration::from_secs(1);
    for n in 0..100 {
        let evidence = SizeEvidence { acked: 60, ..burst };
        assert_eq!(mtu.on_evidence(found + Duration::from_millis(n), &evidence), SizeChange::None);
    }
    assert_eq!((mtu.current(), mtu.black_holes()), (1472, 0));
}

#[test]
fn a_size_that_this_host_refuses_is_tried_once() {
    for carries in 1200..=1472 {
        let mut mtu = discovery(1472);
        let (mut probes, mut refused) = (0, 0);
        while let Some(size) = mtu.due(NOW) {
            mtu.on_probe_sent();
            probes += 1;
            if size > carries {
                refused += 1;
                assert_eq!(mtu.on_refused(size), SizeChange::None);
                // The loss is detected later and adds nothing.
                assert!(quiet(&mut mtu, SizeEvidence { probe_lost: Some(size), ..SizeEvidence::default() }));
            } else {
                mtu.on_evidence(
                    NOW,
                    &SizeEvidence { probe_acked: Some(size), acked: size, ..SizeEvidence::default() },
                );
            }
        }
        let found = mtu.current();
        assert!(
            found <= carries && (carries - found <= 8 || (1452..1472).contains(&carries)),
            "{found} {carries}"
        );
        assert!(probes <= 8 && refused <= 6, "{probes} probes, {refused} refused");
    }
}

#[test]
fn a_size_in_use_that_this_host_refuses_begins_the_search_anew() {
    let mut mtu = discovery(1472);
    search(&mut mtu, 1472, NOW);
    assert_eq!(mtu.on_refused(1472), SizeChange::Changed);
    assert_eq!(mtu.current(), BASE);
    // The rest of the burst is just as large; by now, smaller datagrams have the size in use.
    assert_eq!(mtu.on_refused(1472), SizeChange::None);
    assert_eq!(mtu.on_refused(BASE), SizeChange::None);
    let sent = search(&mut mtu, 1400, NOW);
    assert!(sent.iter().all(|size| *size < 1472), "{sent:?}");
    assert!((1392..=1400).contains(&mtu.current()), "{}", mtu.current());
    // The search does not start before the handshake is confirmed.
    let mut early = MtuDiscovery::new(1400, 1472);
    assert_eq!(early.on_refused(1400), SizeChange::Changed);
    assert_eq!((early.current(), early.due(NOW)), (BASE, None));
}

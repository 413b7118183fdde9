use bytes::Bytes;

use super::*;
use crate::error::TransportErrorCode;

const THREE_PTO: Duration = Duration::from_millis(300);
const IDLE: Duration = Duration::from_secs(30);

fn at(ms: u64) -> Timestamp {
    Timestamp::from_nanos(1_000_000 * (1_000 + ms))
}

fn reason() -> CloseReason {
    CloseReason::Transport { code: TransportErrorCode::NO_ERROR, frame_type: 0, reason: Bytes::new() }
}

fn life() -> Life {
    Life::new(&Timeouts { idle: Some(IDLE), keep_alive: None, handshake: None, quiet: None }, at(0))
}

#[test]
fn the_lower_timeout_holds_and_zero_is_none() {
    for (ours, theirs, result) in [
        (Some(30), 10, Some(10)),
        (Some(10), 30, Some(10)),
        (None, 5, Some(5)),
        (Some(5), 0, Some(5)),
        (None, 0, None),
    ] {
        let mut life = Life::new(
            &Timeouts { idle: ours.map(Duration::from_secs), keep_alive: None, handshake: None, quiet: None },
            at(0),
        );
        life.negotiate_idle_timeout(Duration::from_secs(theirs));
        life.on_received(at(0), THREE_PTO);
        assert_eq!(life.deadline(false), result.map(|s| at(s * 1000)));
    }
}

#[test]
fn only_the_first_packet_sent_since_one_was_received_restarts_the_timer() {
    let mut life = life();
    life.on_received(at(0), THREE_PTO);
    life.on_sent(at(1_000), THREE_PTO);
    life.on_sent(at(2_000), THREE_PTO);
    assert_eq!(life.deadline(false), Some(at(31_000)));
    assert!(!life.on_timeout(at(31_000), false));
    assert!(life.is_closed());
    assert_eq!(life.error(), Some(&ConnectionError::IdleTimeout));
}

#[test]
fn the_timeout_is_at_least_three_probe_timeouts() {
    let mut life = life();
    life.on_received(at(0), Duration::from_secs(40));
    assert_eq!(life.deadline(false), Some(at(40_000)));
}

#[test]
fn keep_alive_asks_for_pings_until_the_peer_is_silent_for_too_long() {
    let mut life = Life::new(
        &Timeouts {
            idle: Some(IDLE),
            keep_alive: Some(Duration::from_secs(10)),
            handshake: None,
            quiet: None,
        },
        at(0),
    );
    life.on_received(at(0), THREE_PTO);
    assert!(life.on_timeout(at(10_000), false));
    life.on_sent(at(10_000), THREE_PTO);
    assert!(!life.on_timeout(at(15_000), false));
    assert!(life.on_timeout(at(20_000), false));
    life.on_sent(at(20_000), THREE_PTO);
    assert!(life.on_timeout(at(30_000), false));
    assert!(!life.on_timeout(at(40_000), false));
    assert!(life.is_closed());
}

#[test]
fn a_closing_end_answers_ever_less_often_and_ends_after_three_probe_timeouts() {
    let mut life = life();
    life.close(reason(), ConnectionError::LocallyClosed, at(0), THREE_PTO);
    let mut answers = 0;
    for _ in 0..1000 {
        if life.close_due().is_some() {
            answers += 1;
            life.on_close_sent();
        }
        life.on_received_while_closing();
    }
    assert_eq!(answers, 10, "the first, then after 1, 2, 4 ... packets");
    life.on_timeout(at(299), false);
    assert!(life.is_closing());
    life.on_timeout(at(300), false);
    assert!(life.is_closed() && life.deadline(false).is_none());
}

#[test]
fn a_draining_end_sends_nothing_and_the_first_error_stays() {
    let mut life = life();
    life.close(reason(), ConnectionError::LocallyClosed, at(0), THREE_PTO);
    life.drain(ConnectionError::StatelessReset, at(100), THREE_PTO);
    assert!(life.close_due().is_none());
    assert_eq!(life.error(), Some(&ConnectionError::LocallyClosed));
    life.on_timeout(at(300), false);
    assert!(life.is_closed(), "draining does not prolong closing");
}

#[test]
fn a_packet_after_the_timeout_but_before_the_timer_revives_nothing() {
    let mut life = life();
    life.expire(at(29_999));
    assert!(life.is_open());
    life.expire(at(3_600_000));
    assert!(life.is_closed());
    assert_eq!(life.error(), Some(&ConnectionError::IdleTimeout));
}

#[test]
fn packets_do_not_extend_the_deadline_of_a_handshake() {
    for idle in [None, Some(IDLE)] {
        for complete in [false, true] {
            let handshake = Some(Duration::from_secs(10));
            let mut life = Life::new(&Timeouts { idle, keep_alive: None, handshake, quiet: None }, at(0));
            for second in 0..10 {
                life.on_received(at(second * 1_000), THREE_PTO);
            }
            if complete {
                life.on_handshake_complete();
            }
            let idle_end = idle.map(|_| at(39_000));
            assert_eq!(life.deadline(false), if complete { idle_end } else { Some(at(10_000)) });
            life.on_timeout(at(10_000), false);
            assert_eq!(life.error(), (!complete).then_some(&ConnectionError::HandshakeTimeout));
        }
    }
}

#[test]
fn a_keep_alive_fits_the_timeout_in_force() {
    let next = |idle: Option<u64>, keep_alive: Option<u64>, peer: u64, keep_open: bool| {
        let millis = |value: Option<u64>| value.map(Duration::from_millis);
        let timeouts =
            Timeouts { idle: millis(idle), keep_alive: millis(keep_alive), handshake: None, quiet: None };
        let mut life = Life::new(&timeouts, at(0));
        life.negotiate_idle_timeout(Duration::from_millis(peer));
        life.on_received(at(0), Duration::ZERO);
        life.set_keep_open(keep_open);
        life.keep_alive_deadline(false).map(|due| due - at(0))
    };
    let millis = |value| Some(Duration::from_millis(value));
    assert_eq!(next(Some(30_000), None, 0, false), None);
    assert_eq!(next(Some(30_000), None, 0, true), millis(15_000));
    assert_eq!(next(Some(30_000), None, 8_000, true), millis(4_000), "the smaller of both ends' counts");
    assert_eq!(next(None, None, 0, true), None, "nothing to keep alive");
    assert_eq!(next(Some(30_000), Some(1_000), 0, true), millis(1_000));
    assert_eq!(
        next(Some(30_000), Some(40_000), 8_000, false),
        millis(4_000),
        "a longer interval has no effect"
    );
    assert_eq!(next(None, Some(40_000), 0, false), millis(40_000));
    assert_eq!(next(Some(30_000), Some(0), 0, false), None);
    assert_eq!(next(Some(0), Some(1), 0, false), millis(10), "no flood");
    assert_eq!(next(Some(0), None, 8_000, true), millis(4_000));
}

#[test]
fn a_kept_end_that_only_receives_asks_ever_later_after_data_has_stopped() {
    let quiet = Duration::from_secs(1);
    for kept in [false, true] {
        let timeouts = Timeouts { idle: Some(IDLE), quiet: Some(quiet), ..Timeouts::default() };
        let mut life = Life::new(&timeouts, at(0));
        life.set_keep_open(kept);
        for ms in (0..5_000).step_by(500) {
            assert!(!life.on_timeout(at(ms), false), "data goes on");
            life.on_received(at(ms), THREE_PTO);
            life.on_data(at(ms));
        }
        // The last data came after 4.5 s.
        for due in [5_500, 7_500, 11_500] {
            assert!(!life.on_timeout(at(due - 1), false));
            assert_eq!(life.on_timeout(at(due), false), kept, "after {due} ms");
            life.on_sent(at(due), THREE_PTO);
            // The peer acknowledges the PING, and sends no data.
            life.on_received(at(due + 100), THREE_PTO);
        }
        assert!(!life.on_timeout(at(20_000), false));
        assert_eq!(life.on_timeout(at(26_600), false), kept, "half of the idle timeout");
        life.on_sent(at(26_600), THREE_PTO);
        life.on_received(at(26_700), THREE_PTO);
        // Data begins it anew.
        life.on_data(at(26_700));
        assert_eq!(life.on_timeout(at(27_700), false), kept);
    }
}

#[test]
fn an_end_that_has_sent_something_since_does_not_ask() {
    let timeouts = Timeouts { idle: Some(IDLE), quiet: Some(Duration::from_secs(1)), ..Timeouts::default() };
    let mut life = Life::new(&timeouts, at(0));
    life.set_keep_open(true);
    life.on_received(at(0), THREE_PTO);
    life.on_data(at(0));
    life.on_sent(at(10), THREE_PTO);
    assert_eq!(life.deadline(false), Some(at(15_010)));
}

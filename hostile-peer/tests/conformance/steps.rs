//! The fuzzer's driver as a property test: any bytes are a sequence of hostile steps.

use hostile_peer::steps::drive;
use proptest::prelude::*;

/// A failing input is printed as bytes: `drive(&[...])` replays it.
fn plays(bytes: &[u8]) {
    let _ = drive(bytes);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    #[test]
    fn any_steps(bytes in prop::collection::vec(any::<u8>(), 1..400)) {
        plays(&bytes);
    }
}

#[test]
fn the_driver_reaches_the_endpoint() {
    // A confirmed server, and one PING in a 1-RTT packet.
    assert!(drive(&[0, 0, 0, 0, 0, 27]));
    assert!(!drive(&[0]));
}

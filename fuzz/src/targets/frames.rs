//! QUIC frames: the payload of a packet.

use quic_core::{
    Level,
    base::Writer,
    frame::{Frame, Frames},
};

/// Parses all frames. Each one is emitted and parsed again.
pub fn target(data: &[u8]) -> bool {
    super::bound::bounded(data, 0, check_all)
}

fn check_all(data: &[u8]) -> bool {
    for frame in Frames::new(data) {
        let Ok(frame) = frame else { return false };
        check(&frame);
    }
    !data.is_empty()
}

fn check(frame: &Frame<'_>) {
    let mut buffer = vec![0; frame.encoded_size()];
    let mut writer = Writer::new(&mut buffer);
    assert!(frame.write(&mut writer), "the encoded size suffices");
    let mut frames = Frames::new(writer.written());
    let again = frames.next().expect("a frame").expect("a valid frame");
    assert!(frames.next().is_none(), "one frame");
    match (frame, &again) {
        // The ranges of an ACK frame stay as they were encoded, which is not always the shortest form.
        (Frame::Ack(one), Frame::Ack(other)) => {
            assert_eq!((one.largest, one.delay, one.ecn), (other.largest, other.delay, other.ecn));
            assert!(one.ranges().eq(other.ranges()));
            let mut below = u64::MAX;
            for range in one.ranges() {
                assert!(range.start() <= range.end() && *range.end() < below, "ranges descend");
                below = range.start().saturating_sub(1);
            }
        }
        _ => assert_eq!(frame, &again),
    }
    assert_eq!(frame.frame_type(), again.frame_type());
    // RFC 9000 §12.4, Table 3: every frame may be in 1-RTT packets.
    assert!(frame.is_permitted_in(Level::OneRtt));
    assert_eq!(frame.is_permitted_in(Level::Initial), frame.is_permitted_in(Level::Handshake));
}

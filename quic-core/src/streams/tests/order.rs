//! The order in which streams send.

use super::*;
use crate::event::Priority;

fn rank(urgency: u8, group: u32, order: i64) -> Priority {
    Priority { urgency, group, order, ..Priority::default() }
}

#[test]
fn equals_share_a_link_and_keep_packets_of_one_stream_together() {
    let mut client = End::client();
    let ids: Vec<StreamId> = (0..3).map(|_| client.streams.open(Dir::Uni).unwrap()).collect();
    for &id in &ids {
        client.write(id, &[1; 60_000]);
    }
    let mut sent = [0usize; 3];
    for _ in 0..60 {
        let (payload, _) = client.packet(1_200);
        let frames = frames(&payload);
        assert!(frames.len() <= 2);
        for frame in frames {
            let Frame::Stream { id, data, .. } = frame else { panic!("{frame:?}") };
            sent[id.index() as usize] += data.len();
        }
    }
    let (least, most) = (sent.iter().min().unwrap(), sent.iter().max().unwrap());
    assert!(most - least <= 2 * 4_096 + 1_200, "{sent:?}");
}

#[test]
fn a_new_priority_takes_effect_on_queued_data() {
    let mut client = End::client();
    let ids: Vec<StreamId> = (0..2).map(|_| client.streams.open(Dir::Uni).unwrap()).collect();
    for &id in &ids {
        client.write(id, &[1; 10_000]);
    }
    assert!(client.streams.set_priority(ids[1], rank(0, 4, 4), &mut client.schedule));
    for _ in 0..3 {
        let (payload, _) = client.packet(1_200);
        assert!(matches!(frames(&payload)[..], [Frame::Stream { id, .. }] if id == ids[1]));
    }
}

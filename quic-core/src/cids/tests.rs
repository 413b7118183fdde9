use super::*;
use crate::{
    base::SeededEntropy,
    error::Violation,
    frame::{Frame, FrameWriter, Frames, Receipt},
    ids::ConnectionId,
};

fn cid(n: u8) -> ConnectionId {
    ConnectionId::new(&[n; 8]).expect("eight bytes")
}

fn local() -> (LocalCids, SeededEntropy, Vec<CidChange>) {
    let factory = CidFactory::new(8, 0, &[7; 32]);
    (LocalCids::new(factory, cid(0)), SeededEntropy::new(1), Vec::new())
}

fn written(write: impl FnOnce(&mut FrameWriter<'_>)) -> (Vec<u8>, Vec<Receipt>) {
    let mut payload = vec![0; 1200];
    let mut receipts = Vec::new();
    let mut w = FrameWriter::new(&mut payload, &mut receipts);
    write(&mut w);
    let size = w.written();
    payload.truncate(size);
    (payload, receipts)
}

#[test]
fn issues_as_many_as_the_peer_stores_and_resends_lost_ones() {
    let (mut local, mut entropy, mut out) = local();
    local.set_peer_limit(100, &mut entropy, &mut out);
    assert_eq!(out.len(), 3);
    let (payload, receipts) = written(|w| local.write(w));
    assert_eq!(receipts.len(), 3);
    assert!(!local.wants());
    local.on_lost(2);
    let (again, _) = written(|w| local.write(w));
    let first: Vec<_> = Frames::new(&payload).collect();
    assert_eq!(Frames::new(&again).next(), first.get(1).cloned());
    let Some(Ok(Frame::NewConnectionId { id, token, .. })) = first.first().cloned() else {
        panic!("a frame")
    };
    assert_eq!(CidFactory::new(8, 0, &[7; 32]).reset_token(&id), token);
    assert_ne!(CidFactory::new(8, 0, &[8; 32]).reset_token(&id), token);
}

#[test]
fn f29_retirement_of_ids_never_issued_and_of_the_packets_own() {
    let (mut local, mut entropy, mut out) = local();
    local.set_peer_limit(4, &mut entropy, &mut out);
    assert_eq!(local.on_retire(4, &cid(9), &mut entropy, &mut out), Err(Violation::RetireUnissued));
    assert_eq!(local.on_retire(0, &cid(0), &mut entropy, &mut out), Err(Violation::RetireCurrent));
    out.clear();
    assert_eq!(local.on_retire(0, &cid(9), &mut entropy, &mut out), Ok(()));
    assert_eq!(out[0], CidChange::Removed(cid(0)));
    assert!(matches!(out[1], CidChange::Added(_)), "a retired ID is replaced");
    out.clear();
    assert_eq!(local.on_retire(0, &cid(9), &mut entropy, &mut out), Ok(()), "twice is ignored");
    assert!(out.is_empty());
}

#[test]
fn f27_sequence_or_id_reused_with_other_content() {
    let mut remote = RemoteCids::new(cid(0));
    let mut out = Vec::new();
    assert_eq!(remote.on_new(1, 0, cid(1), [1; 16], &mut out), Ok(()));
    assert_eq!(remote.on_new(1, 0, cid(1), [1; 16], &mut out), Ok(()), "an exact repeat");
    assert!(out.is_empty(), "the token of an ID that is not in use is not listened for (P19)");
    assert_eq!(remote.on_new(1, 0, cid(2), [1; 16], &mut out), Err(Violation::CidReused));
    assert_eq!(remote.on_new(1, 0, cid(1), [2; 16], &mut out), Err(Violation::CidReused));
    assert_eq!(remote.on_new(2, 0, cid(1), [3; 16], &mut out), Err(Violation::CidReused));
}

#[test]
fn f28_one_id_more_than_the_limit() {
    let mut remote = RemoteCids::new(cid(0));
    let mut out = Vec::new();
    for n in 1..4 {
        assert_eq!(remote.on_new(u64::from(n), 0, cid(n), [n; 16], &mut out), Ok(()));
    }
    let beyond = 4;
    // With one ID retired there is room for one more.
    assert_eq!(remote.on_new(u64::from(beyond), 1, cid(beyond), [beyond; 16], &mut out), Ok(()));
    assert_eq!(remote.current(), cid(1));
    assert_eq!(out, [CidChange::ResetTokenAdded([1; 16])]);
    let (payload, _) = written(|w| remote.write(w));
    assert_eq!(Frames::new(&payload).next(), Some(Ok(Frame::RetireConnectionId(0))));
    let next = beyond + 1;
    assert_eq!(remote.on_new(u64::from(next), 1, cid(next), [next; 16], &mut out), Err(Violation::CidLimit));
}

#[test]
fn an_id_below_retire_prior_to_is_given_back_at_once() {
    let mut remote = RemoteCids::new(cid(0));
    let mut out = Vec::new();
    assert_eq!(remote.on_new(5, 5, cid(5), [5; 16], &mut out), Ok(()));
    assert_eq!(remote.on_new(3, 0, cid(3), [3; 16], &mut out), Ok(()));
    let (payload, receipts) = written(|w| remote.write(w));
    assert_eq!(Frames::new(&payload).count(), 2);
    assert_eq!(receipts, [Receipt::RetireConnectionId(0), Receipt::RetireConnectionId(3)]);
    remote.on_acked(0);
    remote.on_lost(0);
    assert!(!remote.wants());
    remote.on_lost(3);
    assert!(remote.wants());
}

#[test]
fn endless_retirement_without_acknowledgment_ends() {
    let mut remote = RemoteCids::new(cid(0));
    let mut out = Vec::new();
    let mut kept = 0;
    let result = (1..10_000u64).find_map(|n| {
        kept = n - 1;
        let id = ConnectionId::new(&n.to_be_bytes()).expect("eight bytes");
        let mut token = [0; 16];
        token[..8].copy_from_slice(&n.to_be_bytes());
        remote.on_new(n, n, id, token, &mut out).err()
    });
    assert_eq!((kept, result), (32, Some(Violation::CidRetireBacklog)));
}

#[test]
fn a_new_id_while_zero_length_ones_are_in_use() {
    let mut remote = RemoteCids::new(ConnectionId::EMPTY);
    assert_eq!(remote.on_new(1, 0, cid(1), [1; 16], &mut Vec::new()), Err(Violation::CidWhileEmpty));
}

/// RFC 9000 §9.5: no path gets an ID that another path has used.
#[test]
fn each_path_takes_an_id_that_was_not_used() {
    let (mut remote, mut out) = (RemoteCids::new(cid(0)), Vec::new());
    assert!(!remote.has_spare() && remote.take_spare().is_none());
    for n in 1..4 {
        remote.on_new(u64::from(n), 0, cid(n), [n; 16], &mut out).expect("room");
    }
    assert_eq!((remote.sequence(), remote.take_spare(), remote.take_spare()), (0, Some(1), Some(2)));
    remote.set_current(2, &mut out);
    assert_eq!((remote.current(), remote.id(0), remote.id(1)), (cid(2), Some(cid(0)), Some(cid(1))));
    assert_eq!(out, [CidChange::ResetTokenAdded([2; 16])]);
    // The ID in use stays. Another ID is given back and is unknown from then on.
    remote.give_back(2);
    remote.give_back(0);
    assert_eq!((remote.sequence(), remote.id(0)), (2, None));
    let (payload, _) = written(|w| remote.write(w));
    assert_eq!(Frames::new(&payload).collect::<Vec<_>>(), [Ok(Frame::RetireConnectionId(0))]);
    // The peer retires the ID in use. An ID that no path has used takes its place, not the ID of another
    // path.
    remote.on_new(4, 3, cid(4), [4; 16], &mut out).expect("room");
    assert_eq!((remote.sequence(), remote.id(1), remote.take_spare()), (3, None, Some(4)));
    assert!(!remote.has_spare());
}

/// A NEW_CONNECTION_ID frame was wrongly declared lost. It arrives again after its ID was used and given
/// back.
#[test]
fn an_id_that_was_given_back_is_not_taken_again() {
    let (mut remote, mut out) = (RemoteCids::new(cid(0)), Vec::new());
    // Numbers with gaps, which no real peer has, need the most memory.
    for n in (2..200_u8).step_by(2) {
        let sequence = u64::from(n);
        remote.on_new(sequence, 0, cid(n), [n; 16], &mut out).expect("room");
        assert_eq!(remote.take_spare(), Some(sequence));
        remote.give_back(sequence);
        remote.on_acked(sequence);
        remote.on_new(sequence, 0, cid(n), [n; 16], &mut out).expect("nothing new");
        assert_eq!((remote.id(sequence), remote.has_spare()), (None, false), "{n}");
        assert!(remote.gaps() <= 16);
    }
    // The IDs between may still be on their way, except the oldest.
    remote.on_new(197, 0, cid(197), [197; 16], &mut out).expect("room");
    assert_eq!(remote.take_spare(), Some(197));
    remote.on_new(200, 200, cid(200), [200; 16], &mut out).expect("room");
    assert_eq!(remote.gaps(), 0, "Retire Prior To says the same");
}

#[test]
fn a_peer_without_ids_is_addressed_without_on_every_path() {
    let mut remote = RemoteCids::new(ConnectionId::EMPTY);
    assert!(!remote.has_spare());
    assert_eq!(remote.take_spare(), Some(0));
}

/// RFC 9000 §5.1.1: the ID of the preferred address is the second.
#[test]
fn the_preferred_address_has_the_second_id() {
    let (mut local, mut entropy, mut out) = local();
    let (id, token) = local.issue_preferred(&mut entropy);
    assert_eq!(CidFactory::new(8, 0, &[7; 32]).reset_token(&id), token);
    local.set_peer_limit(4, &mut entropy, &mut out);
    let (payload, _) = written(|w| local.write(w));
    let sequences: Vec<u64> = Frames::new(&payload)
        .map(|frame| match frame {
            Ok(Frame::NewConnectionId { sequence, .. }) => sequence,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!((sequences, local.active().count()), (vec![2, 3], 4));
    let mut remote = RemoteCids::new(cid(0));
    remote.add_preferred(cid(1), [1; 16]);
    assert_eq!(remote.on_new(1, 0, cid(1), [1; 16], &mut out), Ok(()), "an exact repeat");
    assert_eq!(remote.on_new(1, 0, cid(2), [1; 16], &mut out), Err(Violation::CidReused));
    assert_eq!(remote.take_spare(), Some(1));
}

//! The content of the next datagram: a pure function of what each space has to send and of the limits.

use crate::{ids::PathId, packet::MIN_INITIAL_SIZE};

/// What a packet number space has to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Interest {
    /// Whether packets can be sealed.
    pub(super) has_keys: bool,
    /// An ACK frame is due.
    pub(super) ack_due: bool,
    /// Whether ack-eliciting frames are pending.
    pub(super) frames: bool,
    /// Whether a probe has to be sent regardless of the window.
    pub(super) probe: bool,
    /// A CONNECTION_CLOSE frame has to be sent.
    pub(super) close: bool,
}

/// The limits on what may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Room for the datagram in bytes.
    pub(super) room: usize,
    /// How many bytes are permitted before the address is validated.
    pub(super) amplification: u64,
    /// Room in the congestion window.
    pub(super) window: u64,
    /// How many bytes the pacer releases.
    pub(super) pacing: u64,
}

/// The content of a packet of one space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Nothing,
    /// Only frames that elicit no acknowledgment and do not count as in flight.
    AckOnly,
    /// All frames that are pending.
    Frames,
    /// All frames that are pending, and an ack-eliciting frame in any case.
    Probe,
    /// A PING, padded to the size that the probe tries (RFC 9000 §14.4).
    MtuProbe,
    /// Challenges and responses for a path (RFC 9000 §8.2). The plan never has these: they leave in their own
    /// datagram.
    PathProbe(PathId),
    /// CONNECTION_CLOSE.
    Close,
}

/// Why nothing, or not everything, is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blocked {
    NothingToSend,
    Amplification,
    Window,
    Pacing,
}

/// The next datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The content of each space's packet.
    pub(super) contents: [Content; 3],
    /// The largest size of the datagram.
    pub(super) size: usize,
    /// Whether it must have at least 1200 bytes (RFC 9000 §14.1).
    pub(super) expand: bool,
}

/// Makes the plan. It depends on `is_client` because clients expand every datagram with an Initial packet,
/// and servers only ack-eliciting ones.
pub(super) fn plan(interests: &[Interest; 3], limits: &Limits, is_client: bool) -> Result<Plan, Blocked> {
    let mut blocked = Blocked::NothingToSend;
    let contents = interests.map(|interest| {
        let (content, reason) = content(&interest, limits);
        if let Some(reason) = reason {
            blocked = reason;
        }
        content
    });
    if contents.iter().all(|content| *content == Content::Nothing) {
        return Err(blocked);
    }
    let [initial, ..] = contents;
    let expand = match initial {
        Content::Nothing => false,
        Content::AckOnly | Content::Close => is_client,
        Content::Frames | Content::Probe | Content::MtuProbe | Content::PathProbe(_) => true,
    };
    let credit = usize::try_from(limits.amplification).unwrap_or(usize::MAX);
    // While the credit is limited, datagrams of the smallest size waste none of it. Probes after a timeout
    // have the smallest size, too: the path may have shrunk, and larger ones would not show that (RFC 8899
    // §4.3).
    let full = if credit == usize::MAX && !contents.contains(&Content::Probe) {
        limits.room
    } else {
        limits.room.min(MIN_INITIAL_SIZE)
    };
    let size = full.min(credit);
    // RFC 9000 §8.1: no datagram that cannot be expanded is sent, and no tiny packets from the rest of the
    // credit.
    if size < MIN_INITIAL_SIZE && size < full {
        return Err(Blocked::Amplification);
    }
    Ok(Plan { contents, size, expand })
}

/// Whether an MTU probe may be sent now: only if congestion control permits it and nothing more urgent is
/// pending (RFC 8899 §3, RFC 9000 §14.4).
pub(super) fn may_probe_mtu(interests: &[Interest; 3], limits: &Limits) -> bool {
    let [initial, handshake, data] = interests;
    let size = limits.room as u64;
    data.has_keys
        && !(initial.has_keys || handshake.has_keys)
        && !(data.close || data.probe)
        && limits.amplification >= size
        && limits.window >= size
        && limits.pacing >= size
}

fn content(interest: &Interest, limits: &Limits) -> (Content, Option<Blocked>) {
    if !interest.has_keys {
        return (Content::Nothing, None);
    }
    if interest.close {
        return (Content::Close, None);
    }
    // RFC 9002 §7.5: congestion control does not block probes.
    if interest.probe {
        return (Content::Probe, None);
    }
    let held_back = if !interest.frames {
        None
    } else if limits.window < limits.room as u64 {
        Some(Blocked::Window)
    } else if limits.pacing < limits.room as u64 {
        Some(Blocked::Pacing)
    } else {
        return (Content::Frames, None);
    };
    (if interest.ack_due { Content::AckOnly } else { Content::Nothing }, held_back)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: Interest =
        Interest { has_keys: true, ack_due: false, frames: false, probe: false, close: false };
    const FREE: Limits = Limits { room: 1452, amplification: u64::MAX, window: 20_000, pacing: 20_000 };
    const NONE: Interest = Interest { has_keys: false, ..KEYS };

    #[test]
    fn frames_without_keys_wait() {
        let interest = Interest { has_keys: false, frames: true, ack_due: true, ..KEYS };
        assert_eq!(plan(&[interest; 3], &FREE, true), Err(Blocked::NothingToSend));
    }

    #[test]
    fn window_and_pacer_hold_back_frames_but_neither_acknowledgments_nor_probes() {
        let interest = Interest { frames: true, ..KEYS };
        for (limits, reason) in [
            (Limits { window: 1451, ..FREE }, Blocked::Window),
            (Limits { pacing: 1451, ..FREE }, Blocked::Pacing),
        ] {
            assert_eq!(plan(&[NONE, NONE, interest], &limits, true), Err(reason));
            let ack = plan(&[NONE, NONE, Interest { ack_due: true, ..interest }], &limits, true);
            assert_eq!(ack.map(|plan| plan.contents[2]), Ok(Content::AckOnly));
            let probe = plan(&[NONE, NONE, Interest { probe: true, ..interest }], &limits, true);
            assert_eq!(probe.map(|plan| plan.contents[2]), Ok(Content::Probe));
        }
    }

    #[test]
    fn an_unvalidated_address_gets_whole_datagrams_of_1200_bytes_or_none() {
        let interest = Interest { frames: true, ..KEYS };
        let credit = |amplification| Limits { amplification, ..FREE };
        assert_eq!(
            plan(&[interest; 3], &credit(3600), false).map(|plan| (plan.size, plan.expand)),
            Ok((1200, true))
        );
        assert_eq!(plan(&[interest; 3], &credit(1199), false), Err(Blocked::Amplification));
        assert_eq!(
            plan(&[NONE, NONE, interest], &FREE, false).map(|plan| (plan.size, plan.expand)),
            Ok((1452, false))
        );
    }

    #[test]
    fn clients_expand_all_initials_servers_only_eliciting_ones() {
        let ack = [Interest { ack_due: true, ..KEYS }, NONE, NONE];
        assert_eq!(plan(&ack, &FREE, true).map(|plan| plan.expand), Ok(true));
        assert_eq!(plan(&ack, &FREE, false).map(|plan| plan.expand), Ok(false));
    }
}

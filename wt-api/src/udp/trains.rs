//! Trains: datagrams of one size that leave with one call (generic segmentation offload), and what becomes of those that
//! the system refuses.
//!
//! Owns what a socket takes at once, as the system's answers have taught it, and how far a train has come. Must never know
//! connections, tasks or clocks: it says what happened, and whoever drives it waits.

use std::{io, net::SocketAddr, time::Duration};

use quic_core::Transmit;
use quinn_udp::EcnCodepoint;

use super::refusal::Refusal;

/// What a train may be with all its headers: Linux takes the payload of the largest packet, and cuts what is longer than this with its
/// link's header (`gso_max_size`, 65,536 by default) into datagrams before the link sees it, at half of the speed.
const MAX_BYTES: usize = 65_535;
/// The header of Ethernet, with a VLAN's tag. Loopback has one as well.
const LINK_HEADER: usize = 18;
/// The longest train, less the headers of IPv4 and UDP.
const MAX_BYTES_V4: usize = MAX_BYTES - LINK_HEADER - 20 - 8;
/// The same for IPv6.
const MAX_BYTES_V6: usize = MAX_BYTES - LINK_HEADER - 40 - 8;
/// The wait after the second refusal in a row for want of memory; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(1);
/// How often it doubles.
const DOUBLINGS: u32 = 6;

/// A socket as trains see it.
pub trait TrainSocket {
    /// Sends datagrams of one size at once or not at all.
    ///
    /// # Errors
    /// The system's own, none translated.
    fn try_send(&self, transmit: &quinn_udp::Transmit<'_>) -> io::Result<()>;

    /// Sends one datagram with nothing said about it: no mark, no source address.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send).
    fn try_send_plain(&self, destination: SocketAddr, contents: &[u8]) -> io::Result<()>;
}

/// What is to be known of a train that is done.
#[derive(Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "for the programs of this workspace alone")]
pub struct SendTrouble {
    /// Datagrams of this many bytes do not leave this host: the first of the train, all of one size, and not its last if
    /// that was smaller.
    pub too_large: Option<usize>,
    /// The rest of the train was dropped for this reason, as the network drops datagrams.
    pub failed: Option<io::Error>,
}

impl SendTrouble {
    /// All of the train left.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.too_large.is_none() && self.failed.is_none()
    }
}

/// How far a train came.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "for the programs of this workspace alone")]
pub enum Progress {
    /// Nothing of it is left.
    Done(SendTrouble),
    /// The socket tells when it takes more.
    Blocked,
    /// The system had no memory. Nothing tells when it has: to be tried again after this time.
    Later(Duration),
}

/// A train on its way.
#[derive(Debug)]
pub struct Train {
    transmit: Transmit,
    /// Bytes that are with the system, or given up.
    done: usize,
    /// Segments of the next part at most.
    segments: usize,
    /// The next part was refused for a reason that may have been an answer to an earlier datagram.
    repeated: bool,
    /// A part of more than one segment was refused as unsupported: one segment alone tells whether that was the reason.
    doubted: bool,
    /// The smallest part of more than one segment that was refused as too long.
    too_long: Option<usize>,
    /// Without its source address, for which it was refused.
    no_source: bool,
    /// Without control messages, for which it was refused.
    plain: bool,
    trouble: SendTrouble,
}

impl Train {
    /// A train that was just written.
    #[must_use]
    pub fn new(transmit: Transmit) -> Self {
        Self {
            transmit,
            done: 0,
            segments: usize::MAX,
            repeated: false,
            doubted: false,
            too_long: None,
            no_source: false,
            plain: false,
            trouble: SendTrouble::default(),
        }
    }

    /// Where it goes, and of what it consists.
    #[must_use]
    pub fn transmit(&self) -> &Transmit {
        &self.transmit
    }

    fn family(&self) -> usize {
        family(&self.transmit.remote)
    }
}

/// What a socket takes of one address family.
#[derive(Clone, Copy, Debug)]
struct Family {
    /// Bytes of a train.
    bytes: usize,
    /// Control messages are refused: datagrams leave one by one, unmarked.
    plain: bool,
}

/// 0 for IPv4, also where it is mapped into IPv6.
fn family(remote: &SocketAddr) -> usize {
    match remote {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(remote) => usize::from(remote.ip().to_ipv4_mapped().is_none()),
    }
}

/// What a socket takes.
#[derive(Debug)]
pub struct Trains {
    /// Segments of a train.
    segments: usize,
    families: [Family; 2],
    /// Refusals for want of memory in a row.
    starved: u32,
    refused: u64,
    /// Calls that the system took.
    taken: u64,
    /// Why the system takes nothing for now: its last word, until it takes something.
    held_up: Option<io::Error>,
}

impl Trains {
    /// For a socket that takes trains of this many segments.
    #[must_use]
    pub fn new(segments: usize) -> Self {
        let family = |bytes| Family { bytes, plain: false };
        let families = [family(MAX_BYTES_V4), family(MAX_BYTES_V6)];
        Self { segments: segments.max(1), families, starved: 0, refused: 0, taken: 0, held_up: None }
    }

    /// Segments of `size` bytes that one call takes to `remote`, at least 1.
    #[must_use]
    pub fn segments(&self, size: usize, remote: &SocketAddr) -> usize {
        let Family { bytes, plain } = self.families[family(remote)];
        if plain { 1 } else { self.segments.min(bytes / size.max(1)).max(1) }
    }

    /// Sends that were refused so far, but for a full socket.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Calls that the system took so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// What the system said when it last had no room or no memory, unless it has taken something since.
    pub(crate) fn held_up(&self) -> Option<&io::Error> {
        self.held_up.as_ref()
    }

    /// Sends what is left of a train, whose datagrams are `contents`, all that there were at first. What a call refuses goes
    /// in smaller parts or with less said about it, until it left or nothing helps.
    pub fn send<S>(&mut self, socket: &S, train: &mut Train, contents: &[u8]) -> Progress
    where
        S: TrainSocket + ?Sized,
    {
        loop {
            let Some(rest) = contents.get(train.done..).filter(|rest| !rest.is_empty()) else {
                return Progress::Done(std::mem::take(&mut train.trouble));
            };
            let segment = train.transmit.segment_size.max(1);
            let segments = self.segments(segment, &train.transmit.remote).min(train.segments);
            let part = &rest[..rest.len().min(segments * segment)];
            let Err(error) = self.send_part(socket, train, part) else {
                self.on_taken(train, part.len());
                continue;
            };
            match self.on_refused(train, part.len(), error) {
                None => {}
                Some(progress) => return progress,
            }
        }
    }

    fn send_part<S>(&self, socket: &S, train: &Train, part: &[u8]) -> io::Result<()>
    where
        S: TrainSocket + ?Sized,
    {
        let Transmit { remote, local_ip, ecn, segment_size, .. } = train.transmit;
        if train.plain || self.families[train.family()].plain {
            return socket.try_send_plain(remote, part);
        }
        socket.try_send(&quinn_udp::Transmit {
            destination: remote,
            ecn: EcnCodepoint::from_bits(ecn as u8),
            contents: part,
            segment_size: (segment_size < part.len()).then_some(segment_size),
            src_ip: local_ip.filter(|_| !train.no_source),
        })
    }

    /// The system has a part of `length` bytes. What was refused before proves to have been refused for what is now left
    /// out, and that stays out.
    fn on_taken(&mut self, train: &mut Train, length: usize) {
        let family = &mut self.families[train.family()];
        if let Some(too_long) = train.too_long.take() {
            family.bytes = family.bytes.min(too_long - 1);
        }
        if train.plain && !std::mem::replace(&mut family.plain, true) {
            let remote = train.transmit.remote;
            tracing::warn!(%remote, "the system refuses ECN marks: datagrams leave without, one by one");
        } else if train.doubted && !train.plain && self.segments > 1 {
            self.segments = 1;
            tracing::warn!("the system refuses segmentation offload: datagrams leave one by one");
        }
        (self.starved, self.held_up) = (0, None);
        self.taken += 1;
        train.done += length;
        (train.segments, train.repeated, train.doubted) = (usize::MAX, false, false);
    }

    /// A part of `length` bytes was refused. `None`: to be tried again, in another way.
    fn on_refused(&mut self, train: &mut Train, length: usize, error: io::Error) -> Option<Progress> {
        let refusal = Refusal::of(&error);
        self.refused += u64::from(refusal != Refusal::Full);
        let segments = length.div_ceil(train.transmit.segment_size.max(1));
        // The network's answer to an earlier datagram is told at any later call, once.
        let may_be_old = matches!(refusal, Refusal::TooLong | Refusal::Network);
        if may_be_old && !std::mem::replace(&mut train.repeated, true) {
            return None;
        }
        match refusal {
            Refusal::Full | Refusal::NoMemory => {
                // Until the next call the network may answer again.
                train.repeated = false;
                self.held_up = Some(error);
                let full = refusal == Refusal::Full;
                return Some(if full { Progress::Blocked } else { Progress::Later(self.starve()) });
            }
            Refusal::TooLong if segments > 1 => {
                train.too_long = Some(train.too_long.map_or(length, |least| least.min(length)));
                (train.segments, train.repeated) = (segments / 2, false);
            }
            Refusal::TooLong => train.give_up_size(length),
            Refusal::Unsupported if segments > 1 => (train.segments, train.doubted) = (1, true),
            Refusal::Unsupported if !train.no_source && train.transmit.local_ip.is_some() => {
                (train.no_source, train.doubted) = (true, false);
            }
            Refusal::Unsupported if !train.plain && !self.families[train.family()].plain => {
                train.plain = true;
            }
            Refusal::Unsupported | Refusal::Network => {
                tracing::debug!(%error, remote = %train.transmit.remote, "send failed");
                train.done = train.transmit.size;
                train.trouble.failed = Some(error);
            }
        }
        None
    }

    /// How long to wait for memory: the first time no longer than a turn of whoever asks takes.
    fn starve(&mut self) -> Duration {
        let again = self.starved.min(DOUBLINGS + 1);
        self.starved = self.starved.saturating_add(1);
        again.checked_sub(1).map_or(Duration::ZERO, |doublings| FIRST_WAIT * (1 << doublings))
    }
}

impl Train {
    /// A datagram of `length` bytes does not leave this host, nor do those behind it that are as long.
    fn give_up_size(&mut self, length: usize) {
        self.trouble.too_large.get_or_insert(length);
        let Transmit { size, segment_size, .. } = self.transmit;
        let last = size - size % segment_size.max(1);
        // The last one may be shorter, and then it is worth a try.
        self.done = if self.done < last { last } else { size };
        (self.segments, self.repeated, self.doubted, self.too_long) = (usize::MAX, false, false, None);
    }
}

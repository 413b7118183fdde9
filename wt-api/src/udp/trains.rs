//! Trains: datagrams of the same size that leave with one call (generic segmentation offload), and the
//! reaction to refusals of the system.
//!
//! Owns the limits of a socket, which it learns from the system's errors, and the progress of a train. It
//! must never know connections, tasks or clocks: it reports what happened, and its caller waits.

use std::{io, net::SocketAddr, time::Duration};

use quic_core::Transmit;
use quinn_udp::EcnCodepoint;

use super::refusal::Refusal;

/// The longest train with all headers. Linux takes the payload of the largest packet. But if a train with its
/// link header is longer than this (`gso_max_size`, 65,536 by default), Linux splits it into datagrams before
/// the link sees it, at half the speed.
const MAX_BYTES: usize = 65_535;
/// The size of the Ethernet header with a VLAN tag. Loopback has one too.
const LINK_HEADER: usize = 18;
/// The longest train without the headers of IPv4 and UDP.
const MAX_BYTES_V4: usize = MAX_BYTES - LINK_HEADER - 20 - 8;
/// The same for IPv6.
const MAX_BYTES_V6: usize = MAX_BYTES - LINK_HEADER - 40 - 8;
/// The wait after the second consecutive refusal for lack of memory. It doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(1);
/// How often the wait doubles.
const DOUBLINGS: u32 = 6;

/// A socket that sends trains.
pub trait TrainSocket {
    /// Sends datagrams of one size, either all or none.
    ///
    /// # Errors
    /// The system's own error, unchanged.
    fn try_send(&self, transmit: &quinn_udp::Transmit<'_>) -> io::Result<()>;

    /// Sends one datagram without ancillary data: no ECN mark and no source address.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send).
    fn try_send_plain(&self, destination: SocketAddr, contents: &[u8]) -> io::Result<()>;
}

/// The problems of a train that is done.
#[derive(Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "for the programs of this workspace alone")]
pub struct SendTrouble {
    /// Datagrams of this many bytes do not leave this host. These are the first one of the train and all of
    /// the same size. The last one is not among them if it was smaller.
    pub too_large: Option<usize>,
    /// The rest of the train was dropped for this reason. This looks like loss on the network.
    pub failed: Option<io::Error>,
}

impl SendTrouble {
    /// Whether the whole train left.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.too_large.is_none() && self.failed.is_none()
    }
}

/// The progress of a train.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "for the programs of this workspace alone")]
pub enum Progress {
    /// Nothing of it is left to send.
    Done(SendTrouble),
    /// The socket is full. Readiness tells when it takes more.
    Blocked,
    /// The system had no memory. Nothing tells when it has, so try again after this time.
    Later(Duration),
}

/// A train that is being sent.
#[derive(Debug)]
pub struct Train {
    transmit: Transmit,
    /// How many bytes the system has taken, or were given up.
    done: usize,
    /// The most segments in the next part.
    segments: usize,
    /// Whether the next part was refused once for a reason that may concern an earlier datagram.
    repeated: bool,
    /// Whether a part of several segments was refused as unsupported. Sending a single segment shows whether
    /// segmentation was the reason.
    doubted: bool,
    /// The smallest part of several segments that was refused as too long.
    too_long: Option<usize>,
    /// Whether the source address is omitted because it was refused.
    no_source: bool,
    /// Whether control messages are omitted because they were refused.
    plain: bool,
    trouble: SendTrouble,
}

impl Train {
    /// A train before its first send.
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

    /// The destination, and the sizes.
    #[must_use]
    pub fn transmit(&self) -> &Transmit {
        &self.transmit
    }

    fn family(&self) -> usize {
        family(&self.transmit.remote)
    }
}

/// The limits of a socket for one address family.
#[derive(Clone, Copy, Debug)]
struct Family {
    /// The most bytes in a train.
    bytes: usize,
    /// Whether control messages are refused. Datagrams then leave one by one, unmarked.
    plain: bool,
}

/// 0 for IPv4, including addresses mapped into IPv6; 1 for IPv6.
fn family(remote: &SocketAddr) -> usize {
    match remote {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(remote) => usize::from(remote.ip().to_ipv4_mapped().is_none()),
    }
}

/// The limits of a socket.
#[derive(Debug)]
pub struct Trains {
    /// The most segments in a train.
    segments: usize,
    families: [Family; 2],
    /// How many consecutive sends were refused for lack of memory.
    starved: u32,
    refused: u64,
    /// How many calls the system has accepted.
    taken: u64,
    /// Why the system takes nothing now: its last error, until it accepts a call.
    held_up: Option<io::Error>,
}

impl Trains {
    /// For a socket that sends trains of up to `segments` segments.
    #[must_use]
    pub fn new(segments: usize) -> Self {
        let family = |bytes| Family { bytes, plain: false };
        let families = [family(MAX_BYTES_V4), family(MAX_BYTES_V6)];
        Self { segments: segments.max(1), families, starved: 0, refused: 0, taken: 0, held_up: None }
    }

    /// How many segments of `size` bytes one call can send to `remote`; at least 1.
    #[must_use]
    pub fn segments(&self, size: usize, remote: &SocketAddr) -> usize {
        let Family { bytes, plain } = self.families[family(remote)];
        if plain { 1 } else { self.segments.min(bytes / size.max(1)).max(1) }
    }

    /// How many sends were refused so far, apart from those on a full socket.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// How many calls the system has accepted so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// The system's error when it last had no room or no memory, unless it has accepted a call since.
    pub(crate) fn held_up(&self) -> Option<&io::Error> {
        self.held_up.as_ref()
    }

    /// Sends the rest of a train. `contents` are all of its datagrams. A refused part is retried in smaller
    /// parts or without ancillary data, until it has left or nothing helps.
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

    /// The system has accepted a part of `length` bytes. If something was omitted from it after a refusal,
    /// that was the reason, and it stays omitted.
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

    /// A part of `length` bytes was refused. Returns `None` if it must be retried in another way.
    fn on_refused(&mut self, train: &mut Train, length: usize, error: io::Error) -> Option<Progress> {
        let refusal = Refusal::of(&error);
        self.refused += u64::from(refusal != Refusal::Full);
        let segments = length.div_ceil(train.transmit.segment_size.max(1));
        // The network's report about an earlier datagram can be returned by any later call, once.
        let may_be_old = matches!(refusal, Refusal::TooLong | Refusal::Network);
        if may_be_old && !std::mem::replace(&mut train.repeated, true) {
            return None;
        }
        match refusal {
            Refusal::Full | Refusal::NoMemory => {
                // Before the next call, the network may report again.
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

    /// How long to wait for memory. The first wait ends with the caller's turn.
    fn starve(&mut self) -> Duration {
        let again = self.starved.min(DOUBLINGS + 1);
        self.starved = self.starved.saturating_add(1);
        again.checked_sub(1).map_or(Duration::ZERO, |doublings| FIRST_WAIT * (1 << doublings))
    }
}

impl Train {
    /// A datagram of `length` bytes cannot leave this host, nor can the following ones of the same size.
    fn give_up_size(&mut self, length: usize) {
        self.trouble.too_large.get_or_insert(length);
        let Transmit { size, segment_size, .. } = self.transmit;
        let last = size - size % segment_size.max(1);
        // The last one may be shorter, and is then tried.
        self.done = if self.done < last { last } else { size };
        (self.segments, self.repeated, self.doubted, self.too_long) = (usize::MAX, false, false, None);
    }
}

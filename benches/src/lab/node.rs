//! The interface between the laboratory and the ends of a flow, for any transport.

use std::net::SocketAddr;

use netsim::{Endpoint, Histogram};

/// Frames at a steady pace, each on its own stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Media {
    /// The time from one frame to the next, in nanoseconds.
    pub interval: u64,
    /// The size of a frame, in bytes.
    pub frame: usize,
    /// The size of a key frame, in bytes.
    pub key_frame: usize,
    /// How many frames there are from one key frame to the next.
    pub key_every: u32,
}

/// Datagrams at a steady pace, like audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audio {
    /// The time from one to the next, in nanoseconds.
    pub interval: u64,
    /// The size of each, in bytes.
    pub size: usize,
    /// How long one may wait to be sent, in nanoseconds.
    pub max_age: Option<u64>,
}

/// What a connection sends: audio first, then frames, then bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// The number of bytes to send on one stream.
    pub bytes: Option<u64>,
    /// Frames.
    pub media: Option<Media>,
    /// Datagrams.
    pub audio: Option<Audio>,
    /// How many bytes flow control and the sender's buffer permit in flight, from the beginning on.
    pub memory: Option<u64>,
}

/// What arrived at a receiver, and when.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// How many bytes of the application arrived.
    pub bytes: u64,
    /// The time from a frame's making to its end, in nanoseconds.
    pub frames: Histogram,
    /// The time from a datagram's making to its arrival, in nanoseconds.
    pub datagrams: Histogram,
    /// The duration of the transfer, from the first packet of the handshake to its last byte, in nanoseconds.
    pub whole: Option<u64>,
}

/// The counters of a sender and its current state.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// The congestion window in bytes.
    pub window: u64,
    /// Bytes in flight.
    pub in_flight: u64,
    /// The smoothed round trip in milliseconds; 0 before the first sample.
    pub rtt: f64,
    /// The pacing rate, in bits per second; 0 if unknown.
    pub pacing_rate: u64,
    /// The controller's estimate of the bandwidth, in bits per second; 0 if unknown.
    pub rate: u64,
    /// Packets.
    pub packets: u64,
    /// Packets declared lost.
    pub lost: u64,
    /// Packets declared lost that arrived after all.
    pub spurious: u64,
    /// Stream bytes sent.
    pub stream_bytes: u64,
    /// Stream bytes that were retransmitted.
    pub again: u64,
    /// Frames that were made.
    pub frames: u32,
    /// Datagrams that were made.
    pub datagrams: u64,
    /// Datagrams that expired or found no room before they were sent.
    pub expired: u64,
    /// Whether the connection ended with an error.
    pub is_broken: bool,
}

/// One end of a flow.
pub trait Node: Endpoint {
    /// Starts a sender, which sends to the receiver at `remote`.
    fn start(&mut self, now: u64, remote: SocketAddr);

    /// What arrived at a receiver; `None` while it has no connection.
    fn taken(&self) -> Option<&Taken>;

    /// The state of a sender; `None` while it has no connection.
    fn sent(&self) -> Option<Sent>;

    /// For cross traffic that measures it: how long its pages, or the frames of its call, took, in
    /// nanoseconds.
    fn times(&self) -> Option<&Histogram> {
        None
    }
}

/// The addresses and the seed of a flow.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The sender's address.
    pub sender: SocketAddr,
    /// The receiver's address.
    pub receiver: SocketAddr,
    /// The seed; each flow of a run has another one.
    pub seed: u64,
}

/// A sender and its receiver.
pub type Ends = (Box<dyn Node>, Box<dyn Node>);

/// An implementation of a transport with a congestion controller: the subject of a run.
pub trait Stack {
    /// The controller's name in tables.
    fn name(&self) -> &str;

    /// Both ends of a flow, silent until the sender is started.
    fn ends(&self, place: &Place, load: &Load) -> Ends;
}

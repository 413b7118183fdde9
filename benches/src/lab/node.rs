//! What the laboratory knows of the ends of a flow, whatever transport they have.

use std::net::SocketAddr;

use netsim::{Endpoint, Histogram};

/// Frames at a steady pace, each on a stream of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Media {
    /// Nanoseconds from one frame to the next.
    pub interval: u64,
    /// Bytes of a frame.
    pub frame: usize,
    /// Bytes of a frame that others build upon.
    pub key_frame: usize,
    /// Frames from one of these to the next.
    pub key_every: u32,
}

/// Datagrams at a steady pace, as for a voice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audio {
    /// Nanoseconds from one to the next.
    pub interval: u64,
    /// Bytes of each.
    pub size: usize,
    /// Nanoseconds that one may wait to be sent.
    pub max_age: Option<u64>,
}

/// What a connection sends: audio before frames, and those before bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// So many bytes on one stream.
    pub bytes: Option<u64>,
    /// Frames.
    pub media: Option<Media>,
    /// Datagrams.
    pub audio: Option<Audio>,
    /// Bytes that flow control and the sender's memory let be under way, from the beginning on.
    pub memory: Option<u64>,
}

/// What came to a receiver, and when.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// Bytes of the application.
    pub bytes: u64,
    /// From a frame's making to its end, in nanoseconds.
    pub frames: Histogram,
    /// From a datagram's making to its arrival, in nanoseconds.
    pub datagrams: Histogram,
    /// How long the stream that is no frame took, from the first packet of the handshake to its last byte, in nanoseconds.
    pub whole: Option<u64>,
}

/// What a sender counts, and how it stands now.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// The congestion window in bytes.
    pub window: u64,
    /// Bytes in flight.
    pub in_flight: u64,
    /// The smoothed round trip in milliseconds; 0 before the first sample.
    pub rtt: f64,
    /// The rate at which packets leave, in bits per second; 0 if the stack does not tell.
    pub pacing_rate: u64,
    /// What the controller believes it can send, in bits per second; 0 if it does not tell.
    pub rate: u64,
    /// Packets.
    pub packets: u64,
    /// Packets that were found lost.
    pub lost: u64,
    /// Packets that were found lost and came after all.
    pub spurious: u64,
    /// Bytes of streams.
    pub stream_bytes: u64,
    /// Those of them that had been sent before.
    pub again: u64,
    /// Frames that were made.
    pub frames: u32,
    /// Datagrams that were made.
    pub datagrams: u64,
    /// Those of them that became too old, or found no room, before they were sent.
    pub expired: u64,
    /// The connection has ended by an error.
    pub is_broken: bool,
}

/// One end of a flow.
pub trait Node: Endpoint {
    /// A sender begins, to the receiver at `remote`.
    fn start(&mut self, now: u64, remote: SocketAddr);

    /// What came to a receiver; `None` while it has no connection.
    fn taken(&self) -> Option<&Taken>;

    /// How a sender stands; `None` while it has no connection.
    fn sent(&self) -> Option<Sent>;

    /// Of an end of cross traffic that measures them: how long its pages, or the frames of its call, took, in nanoseconds.
    fn times(&self) -> Option<&Histogram> {
        None
    }
}

/// Where a flow is, and what decides everything random in it.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The sender's address.
    pub sender: SocketAddr,
    /// The receiver's address.
    pub receiver: SocketAddr,
    /// Another one for each flow of a run.
    pub seed: u64,
}

/// A sender and its receiver.
pub type Ends = (Box<dyn Node>, Box<dyn Node>);

/// An implementation of a transport with a congestion controller: what is tried.
pub trait Stack {
    /// The controller's name in tables.
    fn name(&self) -> &str;

    /// Both ends of a flow, silent until the sender is started.
    fn ends(&self, place: &Place, load: &Load) -> Ends;
}

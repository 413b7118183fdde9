//! Cross traffic: netsim's models as ends of flows that the laboratory measures.

use std::net::SocketAddr;

use netsim::{
    Datagram, Endpoint, Histogram, MediaConfig, MediaReceiver, MediaSender,
    tcp::{SEGMENT, TcpConfig, TcpReceiver, TcpSender},
};

use super::node::{Ends, Media, Node, Place, Sent, Taken};

/// A model, with the interface that the laboratory uses.
struct Modelled<E> {
    end: E,
    start: fn(&mut E, u64, SocketAddr),
    bytes: fn(&E) -> u64,
    sent: fn(&E) -> Option<Sent>,
    times: fn(&E) -> Option<&Histogram>,
    taken: Taken,
}

impl<E: Endpoint + 'static> Modelled<E> {
    fn new(end: E) -> Self {
        let taken = Taken::default();
        Self { end, start: |_, _, _| {}, bytes: |_| 0, sent: |_| None, times: |_| None, taken }
    }
}

/// Both ends of a modelled TCP flow.
pub(super) fn tcp(place: &Place, config: TcpConfig) -> Ends {
    let sender = Modelled {
        start: TcpSender::start,
        sent: |end| Some(tcp_sent(end)),
        times: |end| Some(end.bursts()),
        ..Modelled::new(TcpSender::new(place.sender, config, place.seed))
    };
    let receiver = Modelled { bytes: TcpReceiver::bytes, ..Modelled::new(TcpReceiver::new(place.receiver)) };
    (Box::new(sender), Box::new(receiver))
}

/// Both ends of a call that does not adapt.
pub(super) fn call(place: &Place, media: Media) -> Ends {
    let Media { interval, frame, key_frame, key_every } = media;
    let config = MediaConfig::new(interval, frame).key_frames(key_frame, key_every);
    let sender = Modelled {
        start: MediaSender::start,
        sent: |end| Some(Sent { frames: end.frames(), ..Sent::default() }),
        ..Modelled::new(MediaSender::new(place.sender, config))
    };
    let receiver = Modelled {
        bytes: MediaReceiver::bytes,
        times: |end| Some(end.ages()),
        ..Modelled::new(MediaReceiver::default())
    };
    (Box::new(sender), Box::new(receiver))
}

fn tcp_sent(end: &TcpSender) -> Sent {
    let ((window, flying), (packets, again)) = (end.window(), end.segments());
    Sent {
        window: window * SEGMENT,
        in_flight: flying * SEGMENT,
        rtt: end.round_trip() as f64 / 1e6,
        packets,
        stream_bytes: packets * SEGMENT,
        again: again * SEGMENT,
        ..Sent::default()
    }
}

impl<E: Endpoint> Endpoint for Modelled<E> {
    fn handle_datagram(&mut self, now: u64, from: SocketAddr, to: SocketAddr, ecn: u8, data: &[u8]) {
        self.end.handle_datagram(now, from, to, ecn, data);
        self.taken.bytes = (self.bytes)(&self.end);
    }

    fn handle_timeout(&mut self, now: u64) {
        self.end.handle_timeout(now);
    }

    fn poll_transmit(&mut self, now: u64) -> Option<Datagram> {
        self.end.poll_transmit(now)
    }

    fn poll_timeout(&self) -> Option<u64> {
        self.end.poll_timeout()
    }
}

impl<E: Endpoint> Node for Modelled<E> {
    fn start(&mut self, now: u64, remote: SocketAddr) {
        (self.start)(&mut self.end, now, remote);
    }

    fn taken(&self) -> Option<&Taken> {
        Some(&self.taken)
    }

    fn sent(&self) -> Option<Sent> {
        (self.sent)(&self.end)
    }

    fn times(&self) -> Option<&Histogram> {
        (self.times)(&self.end)
    }
}

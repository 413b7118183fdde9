//! Slow starts: how a loss-based controller finds the capacity of a path that it knows nothing about.
//!
//! | slow start | the window | it ends |
//! |---|---|---|
//! | `classic` (`classic.rs`) | doubles each round trip (RFC 9002 §7.3.1) | with a loss or a mark |
//! | `hystart` (`hystart.rs`) | doubles | also when the delay rises (RFC 9406) |
//! | `rapid-start` (`rapid.rs`) | triples as long as no queue grows | like `hystart`, and lands at a share of
//! what was delivered |
//! | `careful-resume` (`resume.rs`) | jumps to half of what an earlier connection had (RFC 9959) | like
//! `hystart`, and retreats to half of what was delivered |
//!
//! A controller asks its [`SlowStart`] as long as no threshold is known, which is during the path's first
//! slow start. Later ones double the window up to the threshold. A slow start must never know which
//! controller asks.

mod classic;
mod hystart;
mod landing;
mod rapid;
mod resume;
mod start;
mod step;

use std::time::Duration;

use super::{CongestionEvent, FlightPeak, SentPacket};
use crate::base::{Rate, Timestamp};
use classic::Classic;
use hystart::HyStart;
pub(crate) use landing::{Landed, Landing};
use rapid::RapidStart;
use resume::CarefulResume;
pub use start::{SavedPath, Start};
pub(crate) use step::{Quarters, SlowStart, Step};

/// Any of the slow starts.
#[derive(Clone, Debug)]
pub(crate) enum AnyStart {
    Classic(Classic),
    HyStart(HyStart),
    RapidStart(RapidStart),
    CarefulResume(CarefulResume),
}

impl AnyStart {
    pub(crate) fn new(start: Start) -> Self {
        match start {
            Start::Classic => Self::Classic(Classic),
            Start::HyStart => Self::HyStart(HyStart::default()),
            Start::RapidStart => Self::RapidStart(RapidStart::default()),
            Start::CarefulResume(saved) => Self::CarefulResume(CarefulResume::new(saved)),
        }
    }

    /// Whether [`SlowStart::on_sent`] does anything.
    pub(crate) fn watches_packets(&self) -> bool {
        matches!(self, Self::CarefulResume(_))
    }

    /// The slow start of a path in use, whose window is known: it neither spreads the first flight nor
    /// resumes.
    pub(crate) fn in_use(start: Start) -> Self {
        match start {
            Start::RapidStart => Self::RapidStart(RapidStart::in_use()),
            Start::CarefulResume(_) => Self::HyStart(HyStart::default()),
            start => Self::new(start),
        }
    }
}

macro_rules! dispatch {
    ($self:ident, $start:ident => $call:expr) => {
        match $self {
            Self::Classic($start) => $call,
            Self::HyStart($start) => $call,
            Self::RapidStart($start) => $call,
            Self::CarefulResume($start) => $call,
        }
    };
}

impl SlowStart for AnyStart {
    fn initial_window(&self, mtu: u16) -> u64 {
        dispatch!(self, start => start.initial_window(mtu))
    }
    fn on_sent(&mut self, now: Timestamp, packet: &SentPacket, window: u64, mtu: u16) {
        dispatch!(self, start => start.on_sent(now, packet, window, mtu));
    }
    fn on_ack(&mut self, event: &CongestionEvent<'_>, window: u64, mtu: u16) -> Step {
        dispatch!(self, start => start.on_ack(event, window, mtu))
    }
    fn on_congestion(
        &mut self,
        event: &CongestionEvent<'_>,
        window: u64,
        mtu: u16,
        beta: f64,
    ) -> Option<Landing> {
        dispatch!(self, start => start.on_congestion(event, window, mtu, beta))
    }
    fn limit(&self, peak: FlightPeak) -> u64 {
        dispatch!(self, start => start.limit(peak))
    }
    fn pacing_rate(&self, window: u64, smoothed: Option<Duration>) -> Option<Rate> {
        dispatch!(self, start => start.pacing_rate(window, smoothed))
    }
    fn is_conservative(&self) -> bool {
        dispatch!(self, start => start.is_conservative())
    }
}

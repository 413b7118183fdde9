//! The choice of a controller: a built-in one, or a user's own.

use std::sync::Arc;

use super::{
    Bbr3, C4, CongestionEvent, Controller, ControllerFactory, Copa, Cubic, Estimate, Fixed, LowLatency,
    NewPath, NewReno, Prague, SentPacket, Snapshot, SpuriousLoss, Start,
};
use crate::base::{Ecn, Rate, Timestamp};

/// Which algorithm controls the paths of a connection.
///
/// ```
/// use quic_core::congestion::{Algorithm, Start};
/// assert!(matches!("newreno".parse(), Ok(Algorithm::NewReno)));
/// assert!(matches!("cubic+rapid-start".parse(), Ok(Algorithm::CubicFrom(Start::RapidStart))));
/// let error = "reno".parse::<Algorithm>().unwrap_err().to_string();
/// assert!(error.starts_with("no congestion controller is named \"reno\"; there are: newreno, cubic, bbr3, "));
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Algorithm {
    /// RFC 9002 §7.
    NewReno,
    /// [`Self::NewReno`] with another slow start.
    NewRenoFrom(Start),
    /// RFC 9438 with `HyStart++` (RFC 9406).
    #[default]
    Cubic,
    /// [`Self::Cubic`] with another slow start.
    CubicFrom(Start),
    /// `BBRv3` (draft-ietf-ccwg-bbr), for throughput.
    Bbr3,
    /// Our own, for media: it keeps the queue at a few milliseconds, and remembers the path during silence.
    LowLatency,
    /// Copa (NSDI 2018), with its competitive mode.
    Copa,
    /// Prague (draft-briscoe-iccrg-prague-congestion-control), for queues that mark early (RFC 9331).
    Prague,
    /// C4 (draft-huitema-ccwg-c4-spec).
    C4,
    /// A constant rate, whatever the network signals, with at most two seconds of it in flight. It is for
    /// experiments on your own network, since it yields to nobody.
    FixedRate(Rate),
    /// A constant number of bytes in flight, whatever the network signals, for the same purpose.
    FixedWindow(u64),
    /// The controller that the factory makes.
    Custom(Arc<dyn ControllerFactory>),
}

impl Algorithm {
    /// The algorithm's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::NewReno => "newreno",
            Self::NewRenoFrom(start) => start.named("newreno"),
            Self::Cubic => "cubic",
            Self::CubicFrom(start) => start.named("cubic"),
            Self::Bbr3 => "bbr3",
            Self::LowLatency => "low-latency",
            Self::Copa => "copa",
            Self::Prague => "prague",
            Self::C4 => "c4",
            Self::FixedRate(_) => "fixed-rate",
            Self::FixedWindow(_) => "fixed-window",
            Self::Custom(factory) => factory.name(),
        }
    }
}

/// The congestion control of a connection's paths.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CongestionConfig {
    /// The algorithm; CUBIC unless chosen otherwise.
    pub algorithm: Algorithm,
}

impl CongestionConfig {
    /// Paths that `algorithm` controls.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        Self { algorithm }
    }

    /// A controller for a new path.
    #[must_use]
    pub fn build(&self, path: &NewPath) -> AnyController {
        match &self.algorithm {
            Algorithm::NewReno => AnyController::NewReno(NewReno::for_path(path)),
            Algorithm::NewRenoFrom(start) => AnyController::NewReno(NewReno::starting(path, *start)),
            Algorithm::Cubic => AnyController::Cubic(Cubic::for_path(path)),
            Algorithm::CubicFrom(start) => AnyController::Cubic(Cubic::starting(path, *start)),
            Algorithm::Bbr3 => AnyController::Bbr3(Bbr3::new(path)),
            Algorithm::LowLatency => AnyController::LowLatency(Box::new(LowLatency::new(path))),
            Algorithm::Copa => AnyController::Copa(Copa::new(path)),
            Algorithm::Prague => AnyController::Prague(Prague::new(path)),
            Algorithm::C4 => AnyController::C4(C4::new(path)),
            Algorithm::FixedRate(rate) => AnyController::Fixed(Fixed::rate(*rate, path.mtu)),
            Algorithm::FixedWindow(window) => AnyController::Fixed(Fixed::window(*window, path.mtu)),
            Algorithm::Custom(factory) => AnyController::Custom(factory.build(path)),
        }
    }
}

/// Any controller. The built-in ones are stored inline, except one that is three times as large as the
/// others. A user's controller is behind a pointer.
#[derive(Debug)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "one per path, and the large variant is the common one")]
pub enum AnyController {
    /// RFC 9002 §7.
    NewReno(NewReno),
    /// RFC 9438.
    Cubic(Cubic),
    /// draft-ietf-ccwg-bbr.
    Bbr3(Bbr3),
    /// Our own, for low latency.
    LowLatency(Box<LowLatency>),
    /// Copa (NSDI 2018).
    Copa(Copa),
    /// draft-briscoe-iccrg-prague-congestion-control.
    Prague(Prague),
    /// draft-huitema-ccwg-c4-spec.
    C4(C4),
    /// A constant rate or window.
    Fixed(Fixed),
    /// A user's own.
    Custom(Box<dyn Controller>),
}

macro_rules! dispatch {
    ($self:ident, $controller:ident => $call:expr) => {
        match $self {
            Self::NewReno($controller) => $call,
            Self::Cubic($controller) => $call,
            Self::Bbr3($controller) => $call,
            Self::LowLatency($controller) => $call,
            Self::Copa($controller) => $call,
            Self::Prague($controller) => $call,
            Self::C4($controller) => $call,
            Self::Fixed($controller) => $call,
            Self::Custom($controller) => $call,
        }
    };
}

impl Controller for AnyController {
    fn on_sent(&mut self, now: Timestamp, packet: &SentPacket) {
        dispatch!(self, c => c.on_sent(now, packet));
    }
    fn on_congestion_event(&mut self, event: &CongestionEvent<'_>) {
        dispatch!(self, c => c.on_congestion_event(event));
    }
    fn on_ecn_ce(&mut self, event: &CongestionEvent<'_>) {
        dispatch!(self, c => c.on_ecn_ce(event));
    }
    fn on_marks_void(&mut self, now: Timestamp) {
        dispatch!(self, c => c.on_marks_void(now));
    }
    fn on_loss(&mut self, event: &CongestionEvent<'_>) {
        dispatch!(self, c => c.on_loss(event));
    }
    fn on_ack(&mut self, event: &CongestionEvent<'_>) {
        dispatch!(self, c => c.on_ack(event));
    }
    fn on_spurious_loss(&mut self, now: Timestamp, spurious: &SpuriousLoss) {
        dispatch!(self, c => c.on_spurious_loss(now, spurious));
    }
    fn on_app_limited(&mut self, now: Timestamp) {
        dispatch!(self, c => c.on_app_limited(now));
    }
    fn on_mtu_changed(&mut self, mtu: u16) {
        dispatch!(self, c => c.on_mtu_changed(mtu));
    }
    fn on_timeout(&mut self, now: Timestamp) {
        dispatch!(self, c => c.on_timeout(now));
    }
    fn window(&self) -> u64 {
        dispatch!(self, c => c.window())
    }
    fn pacing_rate(&self) -> Option<Rate> {
        dispatch!(self, c => c.pacing_rate())
    }
    fn send_quantum(&self) -> Option<u64> {
        dispatch!(self, c => c.send_quantum())
    }
    fn ecn(&self) -> Ecn {
        dispatch!(self, c => c.ecn())
    }
    fn estimate(&self) -> Estimate {
        dispatch!(self, c => c.estimate())
    }
    fn deadline(&self) -> Option<Timestamp> {
        dispatch!(self, c => c.deadline())
    }
    fn snapshot(&self) -> Snapshot {
        dispatch!(self, c => c.snapshot())
    }
}

/// The built-in algorithms are factories too, so that tools treat all alike.
impl ControllerFactory for Algorithm {
    fn build(&self, path: &NewPath) -> Box<dyn Controller> {
        Box::new(CongestionConfig::new(self.clone()).build(path))
    }

    fn name(&self) -> &str {
        Algorithm::name(self)
    }
}

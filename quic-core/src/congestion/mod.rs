//! Congestion control: round-trip times, delivery rates, controllers and the pacer (RFC 9002 §5, §7).
//!
//! A leaf: it owns what one path knows about its capacity and imports nothing but [`crate::base`], so a
//! controller can be driven by a simulator, a benchmark or a fuzzer with no connection at all. It must never
//! know packets' contents, packet number spaces or who asked for the bytes. Recovery tells it what happened,
//! the path asks it how much may be sent and when.

mod bbr;
mod c4;
mod controller;
mod copa;
mod cubic;
mod descent;
mod dice;
mod episode;
mod fixed;
mod flight;
pub mod kit;
mod limited;
mod low_latency;
mod names;
mod newreno;
mod pacer;
mod prague;
mod prr;
mod recent;
mod rtt;
mod sampler;
mod select;
mod slow_start;
#[cfg(test)]
mod tests;
mod window;

pub use bbr::Bbr3;
pub use c4::C4;
pub use controller::{
    CongestionEvent, Controller, ControllerFactory, Estimate, LostPacket, NewPath, Phase, Predecessor,
    SentPacket, Snapshot, SpuriousLoss,
};
pub use copa::Copa;
pub use cubic::Cubic;
pub use fixed::Fixed;
pub use flight::FlightPeak;
pub use limited::LimitedBy;
pub use low_latency::LowLatency;
pub use names::UnknownAlgorithm;
pub use newreno::NewReno;
pub use pacer::Pacer;
pub use prague::Prague;
pub use rtt::{GRANULARITY, INITIAL_RTT, Rtt};
pub use sampler::{PacketRate, RateSample, RateSampler};
pub use select::{Algorithm, AnyController, CongestionConfig};
pub use slow_start::{SavedPath, Start};
pub use window::{MAX_WINDOW, initial_window, minimum_window};

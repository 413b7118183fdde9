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

pub use bbr::Bbr3;
pub use c4::C4;
pub use controller::{
    CongestionEvent, Controller, ControllerFactory, Estimate, LostPacket, NewPath, Phase, Predecessor,
    SentPacket, Snapshot, SpuriousLoss,
};
pub use copa::Copa;
pub use cubic::Cubic;
pub use fixed::Fixed;
pub use flight::{FlightPeak, LimitedBy};
pub use low_latency::LowLatency;
pub use names::UnknownAlgorithm;
pub use newreno::NewReno;
pub use pacer::Pacer;
pub use prague::Prague;
pub use rtt::{GRANULARITY, INITIAL_RTT, Rtt};
pub use sampler::{PacketRate, RateSample, RateSampler};
pub use select::{Algorithm, AnyController, CongestionConfig};
pub use slow_start::{SavedPath, Start};

/// No controller's window goes above this many bytes, so that sums with it cannot overflow.
pub const MAX_WINDOW: u64 = 1 << 40;

/// The initial window in bytes for datagrams of up to `mtu` bytes (RFC 9002 §7.2).
#[must_use]
pub fn initial_window(mtu: u16) -> u64 {
    let mtu = u64::from(mtu);
    (10 * mtu).min((2 * mtu).max(14_720))
}

/// The smallest window in bytes for datagrams of up to `mtu` bytes (RFC 9002 §7.2).
#[must_use]
pub fn minimum_window(mtu: u16) -> u64 {
    2 * u64::from(mtu)
}

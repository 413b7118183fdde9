//! The kinds of congestion control that W3C names, and the controllers that they stand for.
//!
//! Owns which controller is which kind. Must never know connections.

use quic_core::congestion::{Algorithm, CongestionConfig};

/// What congestion control is to favour in what this end sends (W3C `WebTransportCongestionControl`); a hint.
///
/// The peer is not told, and decides for itself about what it sends. A controller that is not among the kinds is chosen with
/// [`TransportConfig::congestion`](crate::TransportConfig::congestion). A kind for which there is no controller yet reads back
/// as [`Default`](Self::Default).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CongestionControl {
    /// What [`TransportConfig::congestion`](crate::TransportConfig::congestion) says: CUBIC unless the application chose
    /// otherwise.
    #[default]
    Default,
    /// As much throughput as there is.
    Throughput,
    /// As little queueing as possible.
    LowLatency,
}

impl CongestionControl {
    /// The controller made for this kind, if there is one.
    fn algorithm(self) -> Option<Algorithm> {
        match self {
            Self::Default | Self::Throughput | Self::LowLatency => None,
        }
    }

    /// What is in force if this is wanted. W3C: a kind that is not supported reads back as the default.
    pub(crate) fn in_force(self) -> Self {
        if self.algorithm().is_some() { self } else { Self::Default }
    }
}

/// What is in force on a connection, and what can be.
#[derive(Clone, Debug)]
pub(crate) struct Congestion {
    kind: CongestionControl,
    /// The controllers of the default kind.
    default: CongestionConfig,
}

impl Congestion {
    /// `wanted` where it is supported; `default` are the controllers of the default kind.
    pub(crate) fn new(wanted: CongestionControl, default: CongestionConfig) -> Self {
        Self { kind: wanted.in_force(), default }
    }

    /// The kind in force.
    pub(crate) fn kind(&self) -> CongestionControl {
        self.kind
    }

    /// The controllers in force.
    pub(crate) fn config(&self) -> CongestionConfig {
        self.kind.algorithm().map_or_else(|| self.default.clone(), CongestionConfig::new)
    }

    /// Another kind is wanted. The controllers that it puts in force; `None`: they are.
    pub(crate) fn change(&mut self, wanted: CongestionControl) -> Option<CongestionConfig> {
        let kind = wanted.in_force();
        (std::mem::replace(&mut self.kind, kind) != kind).then(|| self.config())
    }
}

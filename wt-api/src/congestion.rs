//! The kinds of congestion control that W3C names, and the controllers that they stand for.
//!
//! Owns which controller is which kind. Must never know connections.

use quic_core::congestion::{Algorithm, CongestionConfig};

/// What congestion control is to favour in what this end sends (W3C `WebTransportCongestionControl`); a hint.
///
/// The peer is not told, and decides for itself about what it sends. A controller that is not among the kinds is chosen with
/// [`TransportConfig::congestion`](crate::TransportConfig::congestion).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CongestionControl {
    /// What [`TransportConfig::congestion`](crate::TransportConfig::congestion) says: CUBIC unless the application chose
    /// otherwise.
    #[default]
    Default,
    /// As much throughput as there is, also where packets are lost for other reasons than congestion: `BBRv3`
    /// (draft-ietf-ccwg-bbr).
    Throughput,
    /// As little waiting in queues as possible: a controller of this library's own that keeps queues within milliseconds where
    /// the path lets it, and its estimate of the rate while little is sent.
    LowLatency,
}

impl CongestionControl {
    /// The controller that this kind stands for; `None` for the default one, of which
    /// [`TransportConfig::congestion`](crate::TransportConfig::congestion) decides.
    #[must_use]
    pub fn algorithm(self) -> Option<Algorithm> {
        match self {
            Self::Throughput => Some(Algorithm::Bbr3),
            Self::LowLatency => Some(Algorithm::LowLatency),
            Self::Default => None,
        }
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
    /// `default` are the controllers of the default kind.
    pub(crate) fn new(kind: CongestionControl, default: CongestionConfig) -> Self {
        Self { kind, default }
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
    pub(crate) fn change(&mut self, kind: CongestionControl) -> Option<CongestionConfig> {
        (std::mem::replace(&mut self.kind, kind) != kind).then(|| self.config())
    }
}

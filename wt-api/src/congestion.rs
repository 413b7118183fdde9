//! The kinds of congestion control that W3C names, and their controllers.
//!
//! Owns which controller belongs to which kind. It must never know connections.

use quic_core::congestion::{Algorithm, CongestionConfig};

/// What the congestion control of data sent by this end should favour (W3C `WebTransportCongestionControl`);
/// a hint.
///
/// The peer is not told, and makes its own choice for what it sends. Use
/// [`TransportConfig::congestion`](crate::TransportConfig::congestion) to choose a controller that is not
/// among the kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CongestionControl {
    /// The controller of [`TransportConfig::congestion`](crate::TransportConfig::congestion): CUBIC unless
    /// the application chose another one.
    #[default]
    Default,
    /// High throughput, even where packets are lost for other reasons than congestion: `BBRv3`
    /// (draft-ietf-ccwg-bbr).
    Throughput,
    /// Short queues: this library's own controller. It keeps queues at a few milliseconds where the path
    /// permits that, and keeps its estimate of the rate while little is sent.
    LowLatency,
}

impl CongestionControl {
    /// The controller of this kind; `None` for the default kind, whose controller
    /// [`TransportConfig::congestion`](crate::TransportConfig::congestion) determines.
    #[must_use]
    pub fn algorithm(self) -> Option<Algorithm> {
        match self {
            Self::Throughput => Some(Algorithm::Bbr3),
            Self::LowLatency => Some(Algorithm::LowLatency),
            Self::Default => None,
        }
    }
}

/// The congestion control of a connection.
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

    /// The kind in use.
    pub(crate) fn kind(&self) -> CongestionControl {
        self.kind
    }

    /// The controllers in use.
    pub(crate) fn config(&self) -> CongestionConfig {
        self.kind.algorithm().map_or_else(|| self.default.clone(), CongestionConfig::new)
    }

    /// Changes the kind. Returns the new controllers, or `None` if the kind is in use already.
    pub(crate) fn change(&mut self, kind: CongestionControl) -> Option<CongestionConfig> {
        (std::mem::replace(&mut self.kind, kind) != kind).then(|| self.config())
    }
}

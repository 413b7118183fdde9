//! The steps: pure functions of what was observed.

pub(super) mod certificate;
pub(super) mod network;
pub(super) mod session;
pub(super) mod settings;
pub(super) mod transport;

use super::{facts::Attempt, step::Step};

/// What was asked for and the circumstances, as far as steps judge by them.
pub(super) struct Wanted {
    pub(super) host: String,
    /// How the certificate is judged.
    pub(super) trust: Trust,
    pub(super) now: std::time::SystemTime,
    /// Application protocols on offer.
    pub(super) protocols: Vec<String>,
}

/// How the certificate is judged.
pub(super) struct Trust {
    pub(super) by_hash: bool,
    pub(super) options: wt_api::WebTransportOptions,
}

/// The steps that one address explains, from QUIC's version on, as far as it went.
pub(super) fn explain(attempt: &Attempt, wanted: &Wanted) -> Vec<Step> {
    let mut steps: Vec<Step> = network::version(attempt).into_iter().collect();
    steps.extend(network::handshake(attempt));
    steps.extend(certificate::judge(&attempt.chain, wanted));
    steps.extend(network::alpn(attempt));
    if let Some(parameters) = &attempt.parameters {
        steps.extend(transport::judge(parameters));
    }
    if attempt.parameters.is_some() && attempt.alpn.as_deref() == Some(b"h3") {
        steps.extend(settings::judge(attempt.settings.as_ref()));
        steps.extend(session::judge(attempt, wanted));
    }
    steps
}

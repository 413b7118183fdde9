//! The steps: pure functions of the observations.

pub(super) mod certificate;
pub(super) mod network;
pub(super) mod session;
pub(super) mod settings;
pub(super) mod transport;
mod wanted;

pub(super) use self::wanted::{Trust, Wanted};
use super::{facts::Attempt, step::Step};

/// The steps for one address, from QUIC's version on, as far as it got.
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

//! Authentication of the version (RFC 9368 §4): what the peer says it chose must be what its packets said.

use crate::{error::Violation, params::TransportParameters, version::Version};

/// Compares what the peer chose with the version in use. Without version information there is nothing to compare: this
/// stack never acts on a Version Negotiation packet, so no client of it has to insist (RFC 9368 §4, §8).
pub(crate) fn check_version(parameters: &TransportParameters, in_use: Version) -> Result<(), Violation> {
    match &parameters.version_information {
        Some(info) if info.chosen != in_use.number() => Err(Violation::VersionNotInUse),
        _ => Ok(()),
    }
}

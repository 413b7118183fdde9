//! Authentication of the version (RFC 9368 §4): the version that the peer says it chose must be that of its
//! packets.

use crate::{error::Violation, params::TransportParameters, version::Version};

/// Compares the version that the peer chose with the version in use. Without version information there is
/// nothing to compare. A client need not insist on it, because this stack never acts on a Version Negotiation
/// packet (RFC 9368 §4, §8).
pub(crate) fn check_version(parameters: &TransportParameters, in_use: Version) -> Result<(), Violation> {
    match &parameters.version_information {
        Some(info) if info.chosen != in_use.number() => Err(Violation::VersionNotInUse),
        _ => Ok(()),
    }
}

//! Authentication of the version (RFC 9368 §4): what the peer says of versions must fit what its packets showed.

use crate::{
    error::Violation,
    params::{TransportParameters, VersionInformation},
    version::{Version, Versions},
};

/// What the packets of a connection showed of its version.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VersionsAgreed {
    /// This end's versions.
    pub(crate) versions: Versions,
    /// The version of the client's first packets in this attempt.
    pub(crate) original: Version,
    /// The version in use.
    pub(crate) negotiated: Version,
    /// Whether this is a client that has begun again because of a Version Negotiation packet.
    pub(crate) begun_again: bool,
}

impl VersionsAgreed {
    /// Checks what a client says: it must have chosen the version of its packets. Without version information there
    /// is nothing to check.
    pub(crate) fn check_client(&self, parameters: &TransportParameters) -> Result<(), Violation> {
        match &parameters.version_information {
            Some(info) if info.chosen != self.original.number() => Err(Violation::VersionNotInUse),
            _ => Ok(()),
        }
    }

    /// Checks what a server says: it must have chosen the version in use, and whoever made this client begin again
    /// must not have kept a better version from it.
    pub(crate) fn check_server(&self, parameters: &TransportParameters) -> Result<(), Violation> {
        let assumed;
        let info = match &parameters.version_information {
            Some(info) => info,
            // Only a client that opened in the negotiated version, on its own account, goes without.
            None if !self.begun_again && self.negotiated == self.original => return Ok(()),
            // RFC 9368 §8: servers of version 1 may know nothing of this.
            None if self.begun_again && self.negotiated == Version::V1 => {
                let only = Version::V1.number();
                assumed = VersionInformation { chosen: only, available: vec![only] };
                &assumed
            }
            None => return Err(Violation::VersionInformationMissing),
        };
        if info.chosen != self.negotiated.number() {
            return Err(Violation::VersionNotInUse);
        }
        if !self.begun_again {
            return Ok(());
        }
        let mut offered = info.available.clone();
        // An empty list is refused, whatever is in use.
        if offered.is_empty() {
            return Err(Violation::VersionDowngrade);
        }
        offered.push(self.negotiated.number());
        if self.versions.select(&offered) == Some(self.original) {
            Ok(())
        } else {
            Err(Violation::VersionDowngrade)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Version::{V1, V2};

    const RESERVED: u32 = 0x1a2a_3a4a;

    fn says(chosen: u32, available: &[u32]) -> TransportParameters {
        let info = VersionInformation { chosen, available: available.to_vec() };
        TransportParameters { version_information: Some(info), ..TransportParameters::default() }
    }

    fn agreed(original: Version, negotiated: Version, begun_again: bool) -> VersionsAgreed {
        VersionsAgreed { versions: Versions::new([V2, V1]), original, negotiated, begun_again }
    }

    #[test]
    fn a_client_must_have_chosen_the_version_of_its_packets() {
        let (one, two) = (V1.number(), V2.number());
        let nothing = TransportParameters::default();
        // The server has moved the connection, which is not the client's choice.
        for negotiated in [V1, V2] {
            let agreed = agreed(V1, negotiated, false);
            assert_eq!(agreed.check_client(&says(one, &[one, two])), Ok(()));
            assert_eq!(agreed.check_client(&says(two, &[one, two])), Err(Violation::VersionNotInUse));
            assert_eq!(agreed.check_client(&nothing), Ok(()));
        }
    }

    #[test]
    fn a_server_must_have_chosen_the_version_in_use() {
        let (one, two) = (V1.number(), V2.number());
        for (original, negotiated) in [(V1, V1), (V1, V2), (V2, V2), (V2, V1)] {
            let agreed = agreed(original, negotiated, false);
            let (used, other) = if negotiated == V1 { (one, two) } else { (two, one) };
            // What else it accepts, even nothing, is no matter for a client that chose for itself.
            assert_eq!(agreed.check_server(&says(used, &[one, two])), Ok(()));
            assert_eq!(agreed.check_server(&says(used, &[])), Ok(()));
            assert_eq!(agreed.check_server(&says(other, &[one, two])), Err(Violation::VersionNotInUse));
            assert_eq!(agreed.check_server(&says(RESERVED, &[RESERVED])), Err(Violation::VersionNotInUse));
            let silent = agreed.check_server(&TransportParameters::default());
            let expected =
                if original == negotiated { Ok(()) } else { Err(Violation::VersionInformationMissing) };
            assert_eq!(silent, expected, "{original} {negotiated}");
        }
    }

    /// The two scenarios of RFC 9368 §4, with versions 1 and 2.
    #[test]
    fn a_client_that_began_again_would_have_chosen_the_same_version() {
        let (one, two, downgrade) = (V1.number(), V2.number(), Err(Violation::VersionDowngrade));
        let again = agreed(V1, V1, true);
        assert_eq!(again.check_server(&says(one, &[one])), Ok(()));
        assert_eq!(again.check_server(&says(one, &[RESERVED, 7])), Ok(()), "version 1 is being removed");
        assert_eq!(again.check_server(&says(one, &[one, two])), downgrade, "version 2 was kept from it");
        assert_eq!(again.check_server(&says(one, &[])), downgrade, "an empty list");
        assert_eq!(again.check_server(&TransportParameters::default()), Ok(()), "a server of version 1");
        let again = agreed(V2, V2, true);
        assert_eq!(again.check_server(&says(two, &[one, two])), Ok(()));
        assert_eq!(again.check_server(&says(two, &[one])), Ok(()));
        let missing = Err(Violation::VersionInformationMissing);
        assert_eq!(again.check_server(&TransportParameters::default()), missing);
        // It began again in version 2, and the server moved it: the combined example of §2.4.
        let moved = agreed(V2, V1, true);
        assert_eq!(moved.check_server(&says(one, &[two, one])), Ok(()));
        assert_eq!(moved.check_server(&says(one, &[one])), downgrade);
    }
}

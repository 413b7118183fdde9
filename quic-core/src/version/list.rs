//! The versions that an end accepts, and how one is chosen from the lists of both ends (RFC 9368).

use super::table::{COUNT, Version};

/// A list of versions without duplicates, in order of preference.
#[derive(Clone, Copy, PartialEq, Eq)]
struct List {
    versions: [Version; COUNT],
    count: u8,
}

impl List {
    fn of(versions: impl IntoIterator<Item = Version>) -> Self {
        let mut list = Self { versions: [Version::PREFERRED; COUNT], count: 0 };
        for version in versions {
            if !list.get().contains(&version) {
                list.versions[usize::from(list.count)] = version;
                list.count += 1;
            }
        }
        list
    }

    fn get(&self) -> &[Version] {
        &self.versions[..usize::from(self.count)]
    }
}

/// The QUIC versions of an end, in order of preference.
///
/// A client opens a connection in one of them and offers the others. A server that prefers another one of the
/// client's moves the connection there at once: the versions are compatible, so this costs no round trip (RFC
/// 9368 §2.3). A server that does not accept the client's version tells which it accepts, and the client begins
/// again with the one that it prefers among them, a round trip later (§2.1). Either way both ends check
/// afterwards that nobody on the path has made them choose another version than they would have (§4).
///
/// By default both versions are accepted, a client opens connections in version 1, and a server leaves them
/// there: every network carries version 1, and version 2 has no feature that version 1 lacks. A connection is of
/// version 2 if the client opens it so, or if the server prefers it.
///
/// ```
/// use quic_core::{Version, Versions};
/// assert_eq!(Versions::default(), Versions::new([Version::V1, Version::V2]));
/// // A server that moves clients to version 2, or a client that would rather have it.
/// let newer = Versions::new([Version::V2, Version::V1]);
/// assert_eq!(newer.accepted(), [Version::V2, Version::V1]);
/// assert_eq!(newer.first(), Version::V1, "most servers know version 1");
/// // A client that opens its connections in version 2, on networks that carry it.
/// assert_eq!(newer.opening_with(Version::V2).first(), Version::V2);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    accepted: List,
    first: Option<Version>,
    offered: Option<List>,
    deployed: Option<List>,
}

impl Default for Versions {
    fn default() -> Self {
        Self::new(Version::spoken())
    }
}

impl std::fmt::Debug for Versions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Versions").field(&self.accepted()).finish()
    }
}

impl std::fmt::Display for Versions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (nth, version) in self.accepted().iter().enumerate() {
            write!(f, "{}{version}", if nth == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl Versions {
    /// These versions, the most preferred first. Only the first mention of a version counts. An empty list
    /// counts as the default.
    #[must_use]
    pub fn new(accepted: impl IntoIterator<Item = Version>) -> Self {
        let accepted = List::of(accepted);
        if accepted.count == 0 {
            return Self::default();
        }
        Self { accepted, first: None, offered: None, deployed: None }
    }

    /// Sets the version in which a client opens connections. Without this, it is the version of the session that
    /// the client resumes, else version 1 if that is accepted, else the most preferred one (RFC 9368 §2.5). A
    /// version that is not accepted has no effect.
    #[must_use]
    pub fn opening_with(self, version: Version) -> Self {
        Self { first: Some(version), ..self }
    }

    /// Sets which versions a server tells clients of versions that it does not accept (RFC 9368 §5, Offered
    /// Versions). Without this, those that it accepts.
    ///
    /// Several servers that clients take for one add a version in three steps, each on all of them before the
    /// next, and a minute between the steps: accept it, offer it, and count it as [deployed](Self::deploying).
    /// They remove one in the reverse order. Otherwise clients may take the difference between two servers for
    /// an attack.
    #[must_use]
    pub fn offering(self, versions: impl IntoIterator<Item = Version>) -> Self {
        Self { offered: Some(List::of(versions)), ..self }
    }

    /// Sets which versions all servers accept that clients take for one (RFC 9368 §5, Fully Deployed Versions).
    /// A server moves connections to these alone. Without this, they are those that it accepts.
    #[must_use]
    pub fn deploying(self, versions: impl IntoIterator<Item = Version>) -> Self {
        Self { deployed: Some(List::of(versions)), ..self }
    }

    /// The versions that are accepted, the most preferred first.
    #[must_use]
    pub fn accepted(&self) -> &[Version] {
        self.accepted.get()
    }

    /// The versions that a server offers to clients of other versions.
    #[must_use]
    pub fn offered(&self) -> &[Version] {
        self.offered.as_ref().unwrap_or(&self.accepted).get()
    }

    /// The versions that all servers accept that clients take for one.
    #[must_use]
    pub fn deployed(&self) -> &[Version] {
        self.deployed.as_ref().unwrap_or(&self.accepted).get()
    }

    /// Whether connections of this version are accepted.
    #[must_use]
    pub fn accepts(&self, version: Version) -> bool {
        self.accepted().contains(&version)
    }

    /// The version in which a client opens a connection, if it resumes no session.
    #[must_use]
    pub fn first(&self) -> Version {
        self.explicit_first().unwrap_or_else(|| {
            let [preferred, ..] = self.accepted.versions;
            if self.accepts(Version::PREFERRED) { Version::PREFERRED } else { preferred }
        })
    }

    /// The version in which a client has to open connections, if that was set.
    pub(crate) fn explicit_first(&self) -> Option<Version> {
        self.first.filter(|version| self.accepts(*version))
    }

    /// The version that a server gives to a connection that its client has opened in `original` and that may be
    /// of the versions `available`, too: of the accepted ones, the most preferred that the client also offers
    /// (RFC 9368 §2.3).
    pub(crate) fn negotiate(&self, original: Version, available: &[u32]) -> Version {
        let fits = |version: &Version| {
            *version == original || self.deployed().contains(version) && available.contains(&version.number())
        };
        self.accepted().iter().copied().find(fits).unwrap_or(original)
    }

    /// The version with which a client answers a server that offers these ones: the most preferred one of them
    /// (RFC 9368 §2.1).
    pub(crate) fn select(&self, offered: &[u32]) -> Option<Version> {
        self.accepted().iter().copied().find(|version| offered.contains(&version.number()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Version::{V1, V2};

    #[test]
    fn lists_have_each_version_once_and_are_never_empty() {
        assert_eq!(Versions::new([V2, V2, V1, V2]).accepted(), [V2, V1]);
        assert_eq!(Versions::new([]), Versions::default());
        assert_eq!(Versions::new([V2]).to_string(), "2");
        assert_eq!(Versions::default().to_string(), "1, 2");
    }

    #[test]
    fn a_client_begins_where_most_servers_follow_unless_told_otherwise() {
        assert_eq!(Versions::default().first(), V1);
        assert_eq!(Versions::new([V2, V1]).first(), V1);
        assert_eq!(Versions::new([V2]).first(), V2);
        assert_eq!(Versions::new([V1, V2]).opening_with(V2).first(), V2);
        assert_eq!(Versions::new([V1]).opening_with(V2).first(), V1, "it is not accepted");
    }

    #[test]
    fn a_server_moves_clients_only_to_what_they_offer_and_all_servers_accept() {
        let (both, newer) = ([1, V2.number(), 0x1a2a_3a4a], Versions::new([V2, V1]));
        assert_eq!(newer.negotiate(V1, &both), V2);
        assert_eq!(newer.negotiate(V1, &[1]), V1);
        assert_eq!(newer.negotiate(V1, &[]), V1, "no version information");
        assert_eq!(newer.deploying([V1]).negotiate(V1, &both), V1);
        assert_eq!(newer.deploying([V1]).negotiate(V2, &both), V2, "it is accepted all the same");
        assert_eq!(Versions::new([V1, V2]).negotiate(V2, &both), V1);
        assert_eq!(Versions::new([V1, V2]).negotiate(V1, &both), V1);
        assert_eq!(Versions::new([V2]).negotiate(V2, &both), V2);
    }

    #[test]
    fn a_client_selects_what_it_prefers_of_what_is_offered() {
        assert_eq!(Versions::new([V2, V1]).select(&[1, V2.number()]), Some(V2));
        assert_eq!(Versions::default().select(&[V2.number(), 1]), Some(V1));
        assert_eq!(Versions::default().select(&[V2.number()]), Some(V2));
        assert_eq!(Versions::new([V1]).select(&[V2.number(), 0x1a2a_3a4a]), None);
    }

    #[test]
    fn the_sets_of_a_server_follow_the_accepted_ones_unless_set_apart() {
        let versions = Versions::new([V2, V1]);
        assert_eq!((versions.offered(), versions.deployed()), (&[V2, V1][..], &[V2, V1][..]));
        let versions = versions.offering([V1]).deploying([]);
        assert_eq!((versions.offered(), versions.deployed()), (&[V1][..], &[][..]));
    }
}

//! The identities of a running server: the certificate that each client is shown.
//!
//! Owns the choice by server name. It must never know connections: an established one keeps the identity of
//! its handshake.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{identity::Identity, renewal::SelfSigned};
use crate::{certificate_hash::CertificateHash, error::IdentityError};

/// A server's identities. Each can be replaced while the server runs.
pub(crate) struct Identities(RwLock<Table>);

struct Table {
    default: Identity,
    /// The source of the default identity, while it renews itself.
    renewing: Option<SelfSigned>,
    /// Lower-case names.
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// The suffixes after the `*.` of wildcards.
    wildcards: HashMap<String, Arc<CertifiedKey>>,
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identities").field(&self.default_identity()).finish()
    }
}

impl Identities {
    pub(crate) fn new(default: Identity) -> Self {
        Self::with(default, None)
    }

    /// A default identity that must be [`renewed`](Self::renewed).
    pub(crate) fn renewing(identities: SelfSigned) -> Self {
        Self::with(identities.current().clone(), Some(identities))
    }

    fn with(default: Identity, renewing: Option<SelfSigned>) -> Self {
        Self(RwLock::new(Table { default, renewing, exact: HashMap::new(), wildcards: HashMap::new() }))
    }

    /// The identities that renew themselves, if there are any.
    pub(crate) fn self_signed(&self) -> Option<SelfSigned> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).renewing.clone()
    }

    /// Switches to these identities. Returns false, without effect, if nothing renews itself here any more.
    pub(crate) fn renewed(&self, identities: SelfSigned) -> bool {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if table.renewing.is_none() {
            return false;
        }
        table.default = identities.current().clone();
        table.renewing = Some(identities);
        true
    }

    /// The hash of the default identity, and of the next one if it renews itself.
    pub(crate) fn hashes(&self) -> Vec<CertificateHash> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let next = table.renewing.as_ref().map(|identities| identities.next().certificate_hash());
        std::iter::once(table.default.certificate_hash()).chain(next).collect()
    }

    /// The identity for clients that send no server name, or one without its own identity.
    pub(crate) fn default_identity(&self) -> Identity {
        self.0.read().unwrap_or_else(PoisonError::into_inner).default.clone()
    }

    /// Sets the default identity, which does not renew itself any more.
    pub(crate) fn set_default(&self, identity: Identity) {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        (table.default, table.renewing) = (identity, None);
    }

    /// Sets the identity for a DNS name, or for all names that match a wildcard.
    pub(crate) fn set_named(&self, name: &str, identity: &Identity) -> Result<(), IdentityError> {
        let (suffix, wildcard) = match name.strip_prefix("*.") {
            Some(suffix) => (suffix, true),
            None => (name, false),
        };
        // Clients send DNS names in ASCII form (RFC 6066 §3), so other texts would never match.
        if rustls_pki_types::DnsName::try_from(suffix).is_err() || suffix.ends_with('.') {
            return Err(IdentityError::Name(name.to_owned()));
        }
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let names = if wildcard { &mut table.wildcards } else { &mut table.exact };
        names.insert(suffix.to_ascii_lowercase(), identity.certified());
        Ok(())
    }

    fn choose(&self, name: Option<&str>) -> Arc<CertifiedKey> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let named = name.and_then(|name| {
            let name = name.to_ascii_lowercase();
            // A wildcard stands for one label (RFC 9525 §6.3).
            let wildcard = || name.split_once('.').and_then(|(_, parent)| table.wildcards.get(parent));
            table.exact.get(&name).or_else(wildcard).cloned()
        });
        named.unwrap_or_else(|| table.default.certified())
    }
}

impl ResolvesServerCert for Identities {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.choose(client_hello.server_name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity::self_signed(["a"]).unwrap()
    }

    #[test]
    fn the_closest_name_decides() {
        let (default, exact, wild, late) = (identity(), identity(), identity(), identity());
        let identities = Identities::new(default.clone());
        identities.set_named("api.Example.org", &exact).unwrap();
        identities.set_named("*.example.org", &wild).unwrap();
        let is = |name, expected: &Identity| {
            assert!(Arc::ptr_eq(&identities.choose(name), &expected.certified()), "{name:?}");
        };
        is(Some("api.example.org"), &exact);
        is(Some("API.example.ORG"), &exact);
        is(Some("www.example.org"), &wild);
        is(Some("a.b.example.org"), &default);
        is(Some("example.org"), &default);
        is(Some("org"), &default);
        is(None, &default);
        identities.set_default(late.clone());
        is(None, &late);
        is(Some("www.example.org"), &wild);
    }

    #[test]
    fn names_that_no_client_can_ask_for_are_refused() {
        let identities = Identities::new(identity());
        for name in ["", "*.", "*", "a.*.org", "*.*.org", "example.org.", "exämple.org", "a b"] {
            let error = identities.set_named(name, &identity()).unwrap_err();
            assert_eq!(error, IdentityError::Name(name.to_owned()));
        }
    }
}

//! Binds a server's sessions and tickets to the QUIC version (RFC 9369 §5), whatever store or sealer they are in.

use std::sync::Arc;

use rustls::server::{ProducesTickets, StoresServerSessions};

use crate::version::Version;

/// A store of sessions or a sealer of tickets, as one connection uses it.
#[derive(Debug)]
pub(super) struct Bound<T: ?Sized> {
    inner: Arc<T>,
    /// The version that new sessions belong to: that of the connection.
    issued: Version,
    /// The version whose sessions resume: that in which the client has opened the connection. After compatible
    /// version negotiation it is not that of the connection.
    accepted: Version,
}

impl<T: ?Sized> Bound<T> {
    pub(super) fn new(inner: Arc<T>, issued: Version, accepted: Version) -> Arc<Self> {
        Arc::new(Self { inner, issued, accepted })
    }

    /// The session with the version before it.
    fn mark(&self, session: &[u8]) -> Vec<u8> {
        [&self.issued.number().to_be_bytes(), session].concat()
    }

    /// The session, if it is of the version whose sessions resume.
    fn check(&self, mut marked: Vec<u8>) -> Option<Vec<u8>> {
        let (of, _) = marked.split_first_chunk()?;
        let fits = u32::from_be_bytes(*of) == self.accepted.number();
        marked.drain(..size_of::<u32>());
        fits.then_some(marked)
    }
}

impl StoresServerSessions for Bound<dyn StoresServerSessions> {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.inner.put(key, self.mark(&value))
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.check(self.inner.get(key)?)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.check(self.inner.take(key)?)
    }

    fn can_cache(&self) -> bool {
        self.inner.can_cache()
    }
}

impl ProducesTickets for Bound<dyn ProducesTickets> {
    fn enabled(&self) -> bool {
        self.inner.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.inner.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.inner.encrypt(&self.mark(plain))
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.check(self.inner.decrypt(cipher)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Version::{V1, V2};

    /// Seals nothing: what is sealed is what was given.
    #[derive(Debug)]
    struct Open;

    impl ProducesTickets for Open {
        fn enabled(&self) -> bool {
            true
        }

        fn lifetime(&self) -> u32 {
            7
        }

        fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
            Some(plain.to_vec())
        }

        fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
            Some(cipher.to_vec())
        }
    }

    #[test]
    fn sessions_resume_connections_of_the_version_that_they_are_from() {
        for (issued, opened, found) in [(V1, V1, true), (V2, V2, true), (V1, V2, false), (V2, V1, false)] {
            let sealer: Arc<dyn ProducesTickets> = Arc::new(Open);
            let store: Arc<dyn StoresServerSessions> = rustls::server::ServerSessionMemoryCache::new(4);
            // The connection that issues was moved from version 1 or 2, which makes no difference.
            for before in [V1, V2] {
                let ticket = Bound::new(Arc::clone(&sealer), issued, before).encrypt(b"session");
                let later = Bound::new(Arc::clone(&sealer), before, opened);
                let expected = found.then(|| b"session".to_vec());
                assert_eq!(later.decrypt(&ticket.expect("a ticket")), expected);
                assert!(Bound::new(Arc::clone(&store), issued, before).put(vec![1], b"session".to_vec()));
                assert_eq!(Bound::new(Arc::clone(&store), before, opened).take(&[1]), expected);
            }
        }
    }

    #[test]
    fn a_session_too_short_to_name_a_version_resumes_nothing() {
        let sealer: Arc<dyn ProducesTickets> = Arc::new(Open);
        let bound = Bound::new(sealer, V1, V1);
        assert_eq!(bound.decrypt(&[0, 0, 0]), None);
        assert_eq!(bound.decrypt(&[0, 0, 0, 1]), Some(vec![]));
        assert!(bound.enabled() && bound.lifetime() == 7);
    }
}

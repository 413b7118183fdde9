//! How a server lets clients resume TLS sessions (RFC 8446 §2.2, §4.6.1): by a store of its own, or by sealed
//! tickets.
//!
//! Owns the store and the keys of tickets. Never knows connections: what a server promises to clients that
//! send 0-RTT comes in as [`EarlyTerms`].

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use rustls::{
    crypto::SecureRandom,
    server::{NoServerSessionStorage, ProducesTickets, StoresServerSessions},
    time_provider::TimeProvider,
};
use zeroize::Zeroize;

use super::secret::expand_label;
use crate::base::algorithms::{aead, hkdf};

/// The largest session that is kept or sealed, in bytes. A usual one has about 150 bytes. It is larger if the
/// client has shown a certificate, because the session then contains that, too.
const MAX_SESSION: usize = 4 << 10;
/// The only `max_early_data_size` of QUIC (RFC 9001 §4.6.1).
const EARLY_DATA: u32 = u32::MAX;
/// How long a sealed ticket is accepted, in seconds.
const TICKET_LIFETIME: u32 = 24 * 60 * 60;
/// The most ticket keys that are tried.
const MAX_KEYS: usize = 4;
const SALT: usize = 32;

/// How a server lets clients resume their sessions. A client that resumes skips the certificate, which saves
/// the server a signature and both ends a kilobyte or more (RFC 8446 §2.2).
///
/// A server has one kind or the other, not both. Only a store can see to it that each session resumes once,
/// and only that makes 0-RTT safe against replay (RFC 8446 §8.1): a sealed ticket is good for anyone who holds
/// a copy, as often as he likes. A store in turn belongs to one process.
///
/// A client that resumes shows no certificate and passes for whom it was. A server that demands certificates of
/// clients must therefore share neither a store nor keys with one that demands none, or others, nor keep the keys
/// when its demand changes: it would let in whoever has a ticket of the other.
///
/// ```
/// use quic_core::crypto::{Resumption, TicketKeys};
/// // One process, which forgets its sessions when it ends.
/// let store = Resumption::stateful(10_000);
/// // Several machines, or one that restarts. The second key is the one that was in use before.
/// let tickets = Resumption::tickets(TicketKeys::new([1; 32]).accepting(&TicketKeys::new([2; 32])));
/// assert!(!store.permits_early_data() && !tickets.permits_early_data());
/// let early = Resumption::stateful_with_early_data(10_000);
/// assert!(early.permits_early_data() && !early.without_early_data().permits_early_data());
/// ```
#[derive(Clone, Debug)]
pub struct Resumption(Kind);

#[derive(Clone, Debug)]
enum Kind {
    None,
    Stateful { store: Arc<Store>, early_data: bool },
    Tickets(TicketKeys),
}

impl Resumption {
    /// Clients get no tickets: every handshake is a full one.
    #[must_use]
    pub fn none() -> Self {
        Self(Kind::None)
    }

    /// The server keeps the last `sessions` sessions, each until it was resumed once. A connection adds two of
    /// about 300 bytes each; none has more than 4 KiB. Clones share the store. 0-RTT is refused.
    #[must_use]
    pub fn stateful(sessions: usize) -> Self {
        Self(Kind::Stateful { store: Store::new(sessions), early_data: false })
    }

    /// As [`stateful`](Self::stateful), and clients may send 0-RTT (RFC 9001 §4.6).
    ///
    /// The store accepts a copy of a client's first flight once, so that nobody can have it processed twice by
    /// this server. That holds for the servers that share this value, in one process. Until the handshake is
    /// complete, the server does not know whether it is the client who sends, or somebody who held the
    /// client's first flight back and sends it now. Servers therefore do in answer to early data only what
    /// may be done at any time (RFC 8470 §3), and can ask which streams had any
    /// ([`Connection::arrived_early`](crate::Connection::arrived_early)).
    #[must_use]
    pub fn stateful_with_early_data(sessions: usize) -> Self {
        Self(Kind::Stateful { store: Store::new(sessions), early_data: true })
    }

    /// The server seals sessions into the clients' tickets and keeps nothing. They are good for a day, after a
    /// restart and at other servers that have the keys. 0-RTT is refused.
    #[must_use]
    pub fn tickets(keys: TicketKeys) -> Self {
        Self(Kind::Tickets(keys))
    }

    /// The same, but 0-RTT is refused.
    #[must_use]
    pub fn without_early_data(mut self) -> Self {
        if let Kind::Stateful { early_data, .. } = &mut self.0 {
            *early_data = false;
        }
        self
    }

    /// Whether clients may send 0-RTT.
    #[must_use]
    pub fn permits_early_data(&self) -> bool {
        matches!(self.0, Kind::Stateful { early_data: true, .. })
    }

    /// Applies the choice to a server's configuration. Returns the store if it decides about 0-RTT.
    pub(super) fn apply(&self, config: &mut rustls::ServerConfig) -> Option<Arc<Store>> {
        config.max_early_data_size = 0;
        // The disabled ticketer of the TLS library is the one of a new configuration.
        config.ticketer = Arc::new(NoTickets);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        match &self.0 {
            Kind::None => None,
            Kind::Stateful { store, early_data } => {
                config.session_storage = Arc::clone(store) as Arc<dyn StoresServerSessions>;
                if *early_data {
                    config.max_early_data_size = EARLY_DATA;
                }
                early_data.then(|| Arc::clone(store))
            }
            Kind::Tickets(keys) => {
                config.ticketer = Arc::new(Sealer {
                    keys: keys.clone(),
                    random: config.crypto_provider().secure_random,
                    clock: Arc::clone(&config.time_provider),
                });
                None
            }
        }
    }
}

/// What a server promises to clients that send 0-RTT on a later connection (RFC 9000 §7.4.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EarlyTerms {
    /// Limits, in a fixed order. Later ones may be higher.
    pub(crate) limits: Vec<u64>,
    /// What the application has promised. Later promises must be the same.
    pub(crate) application: Arc<[u8]>,
}

impl EarlyTerms {
    /// Whether a client that relies on `earlier` terms is served under these.
    fn cover(&self, earlier: &Self) -> bool {
        self.application == earlier.application
            && self.limits.len() == earlier.limits.len()
            && self.limits.iter().zip(&earlier.limits).all(|(now, before)| now >= before)
    }
}

/// The sessions of a server, each good for one resumption (RFC 8446 §8.1).
pub(super) struct Store {
    most: usize,
    sessions: Mutex<Sessions>,
}

#[derive(Default)]
struct Sessions {
    by_id: BTreeMap<Vec<u8>, Stored>,
    /// The IDs by age.
    by_age: BTreeMap<u64, Vec<u8>>,
    next: u64,
}

struct Stored {
    age: u64,
    value: Vec<u8>,
    terms: EarlyTerms,
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.value.zeroize();
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("most", &self.most).finish_non_exhaustive()
    }
}

impl Store {
    fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, sessions: Mutex::default() })
    }

    fn insert(&self, id: Vec<u8>, value: Vec<u8>, terms: EarlyTerms) -> bool {
        if self.most == 0 || value.len() > MAX_SESSION {
            return false;
        }
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.remove(&id);
        if sessions.by_id.len() >= self.most
            && let Some((_, oldest)) = sessions.by_age.pop_first()
        {
            sessions.by_id.remove(&oldest);
        }
        let age = sessions.next;
        sessions.next += 1;
        sessions.by_age.insert(age, id.clone());
        sessions.by_id.insert(id, Stored { age, value, terms });
        true
    }

    /// Takes a session out, if one of these terms may resume it. Whoever asks, it is not found again.
    fn remove(&self, id: &[u8], terms: Option<&EarlyTerms>) -> Option<Vec<u8>> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stored = sessions.remove(id)?;
        let covered = terms.is_none_or(|terms| terms.cover(&stored.terms));
        covered.then(|| std::mem::take(&mut stored.value))
    }
}

impl Sessions {
    fn remove(&mut self, id: &[u8]) -> Option<Stored> {
        let stored = self.by_id.remove(id)?;
        self.by_age.remove(&stored.age);
        Some(stored)
    }
}

impl StoresServerSessions for Store {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.insert(key, value, EarlyTerms::default())
    }

    fn get(&self, _key: &[u8]) -> Option<Vec<u8>> {
        // TLS 1.2 alone asks for sessions that stay.
        None
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.remove(key, None)
    }

    fn can_cache(&self) -> bool {
        self.most > 0
    }
}

/// The store as one connection sees it: sessions go in under its terms, and come out only if the terms still
/// hold. RFC 9000 §7.4.1: a server that cannot keep its limits refuses 0-RTT. The TLS library decides about
/// that in the moment in which it has found a session, so a session whose terms do not hold is not found.
#[derive(Debug)]
pub(super) struct StoreUnderTerms {
    pub(super) store: Arc<Store>,
    pub(super) terms: EarlyTerms,
}

impl StoresServerSessions for StoreUnderTerms {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.store.insert(key, value, self.terms.clone())
    }

    fn get(&self, _key: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.store.remove(key, Some(&self.terms))
    }

    fn can_cache(&self) -> bool {
        self.store.can_cache()
    }
}

/// The keys of sealed tickets: one that seals, and up to three older ones that still open. Whoever learns a
/// key can pass for the server with clients that resume, and for such clients with the server, until the
/// tickets expire; so operators replace it every day or so. What was said before stays secret, because each
/// connection agrees on fresh keys as well (RFC 8446 §2.2, `psk_dhe_ke`).
#[derive(Clone)]
pub struct TicketKeys(Vec<[u8; 32]>);

impl std::fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TicketKeys")
    }
}

impl Drop for TicketKeys {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl TicketKeys {
    /// Tickets are sealed by this key, which has to be secret and random.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(vec![key])
    }

    /// Tickets of these keys are accepted, too. Beyond four keys in all, further ones are ignored.
    #[must_use]
    pub fn accepting(mut self, older: &Self) -> Self {
        self.0.extend_from_slice(&older.0);
        self.0.truncate(MAX_KEYS);
        self
    }
}

/// Seals sessions into tickets: a random salt, from which and the operator's key the ticket's own key is
/// derived, and the sealed session after the second in which it was made.
struct Sealer {
    keys: TicketKeys,
    random: &'static dyn SecureRandom,
    clock: Arc<dyn TimeProvider>,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

fn ticket_key(key: &[u8; 32], salt: &[u8]) -> aead::LessSafeKey {
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(key);
    let mut bytes = [0; 32];
    expand_label(&prk, b"weft ticket", &mut bytes);
    let key = aead::UnboundKey::new(&aead::AES_256_GCM, &bytes).expect("the key has 32 bytes");
    bytes.zeroize();
    aead::LessSafeKey::new(key)
}

/// Each key seals one ticket.
fn only_nonce() -> aead::Nonce {
    aead::Nonce::assume_unique_for_key([0; aead::NONCE_LEN])
}

impl Sealer {
    fn now(&self) -> Option<u64> {
        self.clock.current_time().map(|time| time.as_secs())
    }
}

impl ProducesTickets for Sealer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        TICKET_LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let key = self.keys.0.first().filter(|_| plain.len() <= MAX_SESSION)?;
        let mut salt = [0; SALT];
        self.random.fill(&mut salt).ok()?;
        let mut content = self.now()?.to_be_bytes().to_vec();
        content.extend_from_slice(plain);
        let sealed =
            ticket_key(key, &salt).seal_in_place_append_tag(only_nonce(), aead::Aad::empty(), &mut content);
        sealed.ok().map(|()| [&salt[..], &content].concat())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let (salt, sealed) = cipher.split_at_checked(SALT).filter(|_| cipher.len() <= 2 * MAX_SESSION)?;
        let content = self.keys.0.iter().find_map(|key| {
            let mut sealed = sealed.to_vec();
            let size = ticket_key(key, salt)
                .open_in_place(only_nonce(), aead::Aad::empty(), &mut sealed)
                .ok()?
                .len();
            sealed.truncate(size);
            Some(sealed)
        })?;
        let (made, plain) = content.split_first_chunk::<8>()?;
        let (made, now) = (u64::from_be_bytes(*made), self.now()?);
        // The clocks of two servers may differ a little.
        let age = now.saturating_sub(made);
        (age <= u64::from(TICKET_LIFETIME)).then(|| plain.to_vec())
    }
}

/// No tickets are sealed.
#[derive(Debug)]
struct NoTickets;

impl ProducesTickets for NoTickets {
    fn enabled(&self) -> bool {
        false
    }

    fn lifetime(&self) -> u32 {
        0
    }

    fn encrypt(&self, _plain: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn decrypt(&self, _cipher: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use rustls::{Error, pki_types::UnixTime};

    use super::*;

    #[derive(Debug)]
    struct At(Mutex<u64>);

    impl TimeProvider for At {
        fn current_time(&self) -> Option<UnixTime> {
            let seconds = *self.0.lock().unwrap();
            Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)))
        }
    }

    #[derive(Debug)]
    struct Counting(Mutex<u8>);

    static RANDOM: Counting = Counting(Mutex::new(0));

    impl SecureRandom for Counting {
        fn fill(&self, buf: &mut [u8]) -> Result<(), rustls::crypto::GetRandomFailed> {
            let mut next = self.0.lock().unwrap();
            *next = next.wrapping_add(1);
            buf.fill(*next);
            Ok(())
        }
    }

    fn sealer(keys: TicketKeys, clock: &Arc<At>) -> Sealer {
        Sealer { keys, random: &RANDOM, clock: Arc::clone(clock) as Arc<dyn TimeProvider> }
    }

    #[test]
    fn tickets_open_under_any_of_the_keys_for_a_day() -> Result<(), Error> {
        let clock = Arc::new(At(Mutex::new(1_000_000)));
        let ticket = sealer(TicketKeys::new([1; 32]), &clock).encrypt(b"session").expect("a ticket");
        let rotated = sealer(TicketKeys::new([2; 32]).accepting(&TicketKeys::new([1; 32])), &clock);
        assert_eq!(rotated.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(sealer(TicketKeys::new([2; 32]), &clock).decrypt(&ticket), None);
        let again = rotated.encrypt(b"session").expect("a ticket");
        assert_ne!(again[SALT..], ticket[SALT..]);
        *clock.0.lock().unwrap() += u64::from(TICKET_LIFETIME);
        assert!(rotated.decrypt(&ticket).is_some());
        *clock.0.lock().unwrap() += 1;
        assert_eq!(rotated.decrypt(&ticket), None);
        Ok(())
    }

    #[test]
    fn forged_cut_and_huge_tickets_open_nothing() {
        let clock = Arc::new(At(Mutex::new(5)));
        let sealer = sealer(TicketKeys::new([1; 32]), &clock);
        let ticket = sealer.encrypt(b"session").expect("a ticket");
        for length in 0..ticket.len() {
            assert_eq!(sealer.decrypt(&ticket[..length]), None);
        }
        for at in 0..ticket.len() {
            let mut forged = ticket.clone();
            forged[at] ^= 4;
            assert_eq!(sealer.decrypt(&forged), None);
        }
        assert_eq!(sealer.decrypt(&vec![0; 3 * MAX_SESSION]), None);
        assert!(sealer.encrypt(&vec![0; MAX_SESSION]).is_some());
        assert_eq!(sealer.encrypt(&vec![0; MAX_SESSION + 1]), None);
    }

    #[test]
    fn beyond_four_keys_further_ones_are_ignored() {
        let keys =
            (2..9).fold(TicketKeys::new([1; 32]), |keys, next| keys.accepting(&TicketKeys::new([next; 32])));
        assert_eq!(keys.0, [[1; 32], [2; 32], [3; 32], [4; 32]]);
    }

    fn held(store: &Store) -> usize {
        let sessions = store.sessions.lock().unwrap();
        assert_eq!(sessions.by_id.len(), sessions.by_age.len());
        sessions.by_id.len()
    }

    #[test]
    fn a_full_store_forgets_the_oldest_session_and_takes_none_that_is_large() {
        let store = Store::new(3);
        for id in 0..5 {
            assert!(store.put(vec![id], vec![id; MAX_SESSION]));
        }
        assert!(!store.put(vec![9], vec![9; MAX_SESSION + 1]));
        assert_eq!(held(&store), 3);
        assert_eq!((store.take(&[0]), store.take(&[1])), (None, None));
        assert_eq!(store.take(&[3]), Some(vec![3; MAX_SESSION]));
        assert_eq!(store.take(&[3]), None, "a session resumes once");
        assert!(store.put(vec![2], vec![7]), "the ID is in use, and is used again");
        assert_eq!((held(&store), store.take(&[2])), (2, Some(vec![7])));
        let none = Store::new(0);
        assert!(!none.can_cache() && !none.put(vec![1], vec![1]));
    }

    #[test]
    fn a_session_is_not_found_under_lower_limits_or_other_promises_and_never_again() {
        let store = Store::new(10);
        let under = |limits: &[u64], application: &[u8]| StoreUnderTerms {
            store: Arc::clone(&store),
            terms: EarlyTerms { limits: limits.to_vec(), application: application.into() },
        };
        let made = under(&[10, 20], b"settings");
        for (later, found) in [
            (under(&[10, 20], b"settings"), true),
            (under(&[11, 20], b"settings"), true),
            (under(&[11, 19], b"settings"), false),
            (under(&[10, 20], b"others"), false),
            (under(&[10, 20, 30], b"settings"), false),
        ] {
            assert!(made.put(vec![1], vec![5]));
            assert_eq!(later.take(&[1]), found.then(|| vec![5]), "{later:?}");
            assert_eq!(made.take(&[1]), None);
        }
    }
}

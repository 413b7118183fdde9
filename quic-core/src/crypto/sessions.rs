//! What a client remembers of servers: TLS sessions with what belongs to them, and address tokens.
//!
//! Owns the memory and its bounds. Never knows connections: each has a [`Seat`] of its own at the cache.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use rustls::{
    NamedGroup,
    client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue},
    pki_types::ServerName,
};

use crate::{
    base::{Reader, varint},
    version::Version,
};

/// How many sessions of a server are kept; the oldest goes first. A client may make several connections at once.
const SESSIONS: usize = 8;
/// How long a certificate that was verified is relied on, in seconds. Each connection that resumes gets new
/// sessions, so without an end a client would never verify again (RFC 8446 §4.6.1).
const VERIFIED_FOR: u64 = 24 * 60 * 60;
/// How many address tokens of a server are kept.
const TOKENS: usize = 4;
/// The longest address token that is kept, in bytes. A client repeats it in every Initial packet, beside a
/// ClientHello.
pub(crate) const MAX_TOKEN: usize = 512;
/// The most that an application may have kept beside a session, in bytes.
pub(crate) const MAX_APPLICATION: usize = 1 << 10;
/// The first byte of an export.
const EXPORT_VERSION: u8 = 2;
/// The first byte of an export whose tokens are all of QUIC version 1.
const EXPORT_OF_VERSION_1: u8 = 1;

/// What a client remembers of the servers that it was connected to, so that later connections begin faster:
///
/// * TLS sessions, which resume without a certificate (RFC 8446 §2.2), each used once (RFC 8446 §C.4), with
///   the transport parameters and whatever the application remembers beside them, for 0-RTT (RFC 9000 §7.4.1);
/// * address tokens, each used once, which spare a Retry (RFC 9000 §8.1.3).
///
/// Both serve connections of the QUIC version that they are from alone (RFC 9369 §5). Servers are told apart by name
/// and port. Connections and clients may share a cache: clones are one cache.
/// A session resumes only for a client with the very same certificate verifier, because who resumes verifies
/// nothing. A day after the certificate was verified it is verified again, however often the client has resumed
/// since (RFC 8446 §4.6.1).
///
/// [`to_bytes`](Self::to_bytes) exports the address tokens, for a file. It leaves the sessions out: the TLS
/// library lets nobody write them down, and what is remembered beside a session is of no use without it.
///
/// ```
/// use quic_core::crypto::SessionCache;
/// let cache = SessionCache::new(64);
/// let again = SessionCache::from_bytes(64, &cache.to_bytes())?;
/// assert_eq!(again.servers(), 0);
/// # Ok::<(), quic_core::crypto::SessionCacheError>(())
/// ```
#[derive(Clone)]
pub struct SessionCache(Arc<Mutex<Memory>>);

/// Bytes that are no export of a [`SessionCache`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionCacheError {
    /// The first byte names a format that this version does not know.
    #[error("the session cache is of format {0}, which this version does not know")]
    Version(u8),
    /// The bytes end early, do not end, or break a rule of the format.
    #[error("the session cache is damaged")]
    Damaged,
}

#[derive(Default)]
struct Memory {
    most: usize,
    servers: BTreeMap<ServerKey, Server>,
    /// Counts uses of servers, to find the one that was not used for longest.
    uses: u64,
    /// Counts the connections that have a seat.
    connections: u64,
}

/// Which server it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ServerKey {
    name: String,
    port: u16,
}

#[derive(Default)]
struct Server {
    used: u64,
    group: Option<NamedGroup>,
    sessions: VecDeque<Session>,
    tokens: VecDeque<Token>,
}

/// An address token, and the version of the connection that it is from.
type Token = (Version, Bytes);

struct Session {
    /// The version of the connection that it is from.
    version: Version,
    /// The connection that it is from.
    connection: u64,
    /// When that connection, or the one that it resumed from, began and verified the certificate: Unix time in
    /// seconds.
    verified: u64,
    /// The ALPN protocol of that connection.
    protocol: Vec<u8>,
    application: Option<Bytes>,
    value: Tls13ClientSessionValue,
}

impl std::fmt::Debug for SessionCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionCache").field("servers", &self.servers()).finish_non_exhaustive()
    }
}

impl SessionCache {
    /// An empty cache for `servers` servers. When it is full, the server that was not used for longest is
    /// forgotten. Of each server it keeps eight sessions, of mostly a few kilobytes (a ticket and the
    /// certificate chain, below 128 KiB together), and four tokens of 512 bytes at most.
    #[must_use]
    pub fn new(servers: usize) -> Self {
        Self(Arc::new(Mutex::new(Memory { most: servers, ..Memory::default() })))
    }

    /// A cache for `servers` servers with the address tokens of an export. If it has those of more servers,
    /// only the last are taken.
    ///
    /// # Errors
    /// The bytes are no export, or one of another version. Nothing is lost then but speed: a new cache serves
    /// as well.
    pub fn from_bytes(servers: usize, bytes: &[u8]) -> Result<Self, SessionCacheError> {
        let cache = Self::new(servers);
        let mut r = Reader::new(bytes);
        let format = match r.u8() {
            Ok(format @ (EXPORT_VERSION | EXPORT_OF_VERSION_1)) => format,
            Ok(other) => return Err(SessionCacheError::Version(other)),
            Err(_) => return Err(SessionCacheError::Damaged),
        };
        while !r.is_empty() {
            let (key, tokens) = read_server(&mut r, format).ok_or(SessionCacheError::Damaged)?;
            let mut memory = cache.lock();
            let Some(server) = memory.server(&key) else { continue };
            server.tokens.extend(tokens);
            let beyond = server.tokens.len().saturating_sub(TOKENS);
            server.tokens.drain(..beyond);
        }
        Ok(cache)
    }

    /// The address tokens of all servers, the server used last at the end. They are no keys, but they link
    /// the connections of a client to each other for whoever reads them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let memory = self.lock();
        let mut servers: Vec<_> =
            memory.servers.iter().filter(|(_, server)| !server.tokens.is_empty()).collect();
        servers.sort_unstable_by_key(|(_, server)| server.used);
        let mut out = vec![EXPORT_VERSION];
        for (key, server) in servers {
            put(&mut out, key.name.as_bytes());
            out.extend(key.port.to_be_bytes());
            varint::put(&mut out, server.tokens.len() as u64);
            for (version, token) in &server.tokens {
                out.extend(version.number().to_be_bytes());
                put(&mut out, token);
            }
        }
        out
    }

    /// How many servers are remembered.
    #[must_use]
    pub fn servers(&self) -> usize {
        self.lock().servers.len()
    }

    /// How many sessions are remembered, of all servers.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.lock().servers.values().map(|server| server.sessions.len()).sum()
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.lock().servers.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The seat of a new connection to a server. Each takes another number.
    pub(crate) fn seat(&self, name: &str, port: u16) -> Seat {
        let mut memory = self.lock();
        memory.connections += 1;
        let key = ServerKey { name: name.to_ascii_lowercase(), port };
        Seat { cache: self.clone(), key, connection: memory.connections }
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    varint::put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn read_server(r: &mut Reader<'_>, format: u8) -> Option<(ServerKey, Vec<Token>)> {
    let length = r.varint().ok()?;
    let name = std::str::from_utf8(r.bytes_u64(length).ok()?).ok()?.to_owned();
    let port = r.u16().ok()?;
    let count = r.varint().ok().filter(|count| (1..=TOKENS as u64).contains(count))?;
    let mut tokens = Vec::new();
    for _ in 0..count {
        let version = if format == EXPORT_OF_VERSION_1 { Version::V1.number() } else { r.u32().ok()? };
        let length = r.varint().ok().filter(|length| (1..=MAX_TOKEN as u64).contains(length))?;
        let token = Bytes::copy_from_slice(r.bytes_u64(length).ok()?);
        // A token of a version that this stack does not speak is of no use.
        tokens.extend(Version::from_number(version).map(|version| (version, token)));
    }
    Some((ServerKey { name, port }, tokens))
}

impl Memory {
    /// The entry of a server, which is made if it is missing. `None` if the cache has no room at all.
    fn server(&mut self, key: &ServerKey) -> Option<&mut Server> {
        if !self.servers.contains_key(key) {
            while self.servers.len() >= self.most {
                let oldest = self.servers.iter().min_by_key(|(_, server)| server.used)?.0.clone();
                self.servers.remove(&oldest);
            }
        }
        self.uses += 1;
        let server = self.servers.entry(key.clone()).or_default();
        server.used = self.uses;
        Some(server)
    }
}

/// A connection's seat at the cache: it knows which server it is about, and which sessions are this
/// connection's.
#[derive(Clone)]
pub(crate) struct Seat {
    cache: SessionCache,
    key: ServerKey,
    connection: u64,
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seat").field("server", &self.key.name).finish_non_exhaustive()
    }
}

/// A session that is about to be resumed.
pub(super) struct Taken {
    pub(super) verified: u64,
    pub(super) protocol: Vec<u8>,
    pub(super) application: Option<Bytes>,
    pub(super) value: Tls13ClientSessionValue,
}

impl Seat {
    /// Takes the latest session of `version` out whose protocol is one of `protocols`. An empty list permits
    /// connections without ALPN alone. Those whose certificate has to be verified again at `now`, in Unix time, are
    /// forgotten.
    pub(super) fn take_session(&self, version: Version, protocols: &[Vec<u8>], now: u64) -> Option<Taken> {
        let mut memory = self.cache.lock();
        let server = memory.servers.get_mut(&self.key)?;
        server.sessions.retain(|session| now.saturating_sub(session.verified) < VERIFIED_FOR);
        let offered = |session: &Session| {
            session.version == version
                && (protocols.contains(&session.protocol)
                    || protocols.is_empty() && session.protocol.is_empty())
        };
        let at = server.sessions.iter().rposition(offered)?;
        let Session { verified, protocol, application, value, .. } = server.sessions.remove(at)?;
        Some(Taken { verified, protocol, application, value })
    }

    /// The application wants this to be known when a session of this connection is resumed: those that came,
    /// and those that come after this.
    pub(crate) fn remember(&self, application: &Bytes) {
        let mut memory = self.cache.lock();
        let Some(server) = memory.servers.get_mut(&self.key) else { return };
        for session in server.sessions.iter_mut().filter(|session| session.connection == self.connection) {
            session.application = Some(application.clone());
        }
    }

    /// The version of the latest session, or else of the latest token. A server that gave one for a version will
    /// accept the version later on, too (RFC 9369 §6).
    pub(crate) fn version(&self) -> Option<Version> {
        let memory = self.cache.lock();
        let server = memory.servers.get(&self.key)?;
        let of_session = server.sessions.back().map(|session| session.version);
        of_session.or_else(|| server.tokens.back().map(|(version, _)| *version))
    }

    /// The server has sent an address token for a later connection of `version` (RFC 9000 §8.1.3).
    pub(crate) fn insert_token(&self, version: Version, token: &[u8]) {
        if token.len() > MAX_TOKEN {
            return;
        }
        let mut memory = self.cache.lock();
        let Some(server) = memory.server(&self.key) else { return };
        if server.tokens.len() >= TOKENS {
            server.tokens.pop_front();
        }
        server.tokens.push_back((version, Bytes::copy_from_slice(token)));
    }

    /// Takes the latest address token of `version` out: another connection with the same token would be linked to this one
    /// (RFC 9000 §8.1.3).
    pub(crate) fn take_token(&self, version: Version) -> Option<Bytes> {
        let mut memory = self.cache.lock();
        let tokens = &mut memory.servers.get_mut(&self.key)?.tokens;
        let at = tokens.iter().rposition(|(of, _)| *of == version)?;
        tokens.remove(at).map(|(_, token)| token)
    }
}

/// The store of one connection, as the TLS library wants it.
#[derive(Debug)]
pub(super) struct SeatStore {
    seat: Seat,
    offered: Mutex<Option<Tls13ClientSessionValue>>,
    /// When the connection began: Unix time in seconds.
    began: u64,
    own: Mutex<Own>,
}

/// What sessions of this connection get beside them.
#[derive(Debug)]
struct Own {
    version: Version,
    verified: u64,
    protocol: Vec<u8>,
    application: Option<Bytes>,
}

impl SeatStore {
    /// Offers a session with the time at which its certificate was verified, if there is one. The connection
    /// begins with `version`. `now` is Unix time in seconds.
    pub(super) fn new(
        seat: Seat,
        version: Version,
        offered: Option<(Tls13ClientSessionValue, u64)>,
        now: u64,
    ) -> Self {
        let (value, verified) = offered.unzip();
        let verified = verified.unwrap_or(now);
        let own = Own { version, verified, protocol: Vec::new(), application: None };
        Self { seat, offered: Mutex::new(value), began: now, own: Mutex::new(own) }
    }

    pub(super) fn seat(&self) -> &Seat {
        &self.seat
    }

    /// The handshake is complete in `version`. Tickets come later (RFC 8446 §4.6.1).
    pub(super) fn on_complete(&self, version: Version, protocol: Option<&[u8]>, resumed: bool) {
        let mut own = self.own();
        own.version = version;
        own.protocol = protocol.unwrap_or_default().to_vec();
        if !resumed {
            own.verified = self.began;
        }
    }

    pub(super) fn remember(&self, application: Bytes) {
        self.seat.remember(&application);
        self.own().application = Some(application);
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientSessionStore for SeatStore {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        if let Some(server) = self.seat.cache.lock().server(&self.seat.key) {
            server.group = Some(group);
        }
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.seat.cache.lock().servers.get(&self.seat.key)?.group
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        let (version, verified, protocol, application) = {
            let own = self.own();
            (own.version, own.verified, own.protocol.clone(), own.application.clone())
        };
        let mut memory = self.seat.cache.lock();
        let Some(server) = memory.server(&self.seat.key) else { return };
        if server.sessions.len() >= SESSIONS {
            server.sessions.pop_front();
        }
        let connection = self.seat.connection;
        server.sessions.push_back(Session { version, connection, verified, protocol, application, value });
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Version::{V1, V2};

    fn tokens(cache: &SessionCache, name: &str) -> Vec<Bytes> {
        std::iter::from_fn(|| cache.seat(name, 443).take_token(V1)).collect()
    }

    #[test]
    fn a_token_is_used_once_and_for_its_server_alone() {
        let cache = SessionCache::new(8);
        cache.seat("Example.org", 443).insert_token(V1, b"one");
        cache.seat("example.org", 443).insert_token(V1, b"two");
        assert_eq!(cache.seat("example.org", 444).take_token(V1), None, "another port");
        assert_eq!(cache.seat("example.net", 443).take_token(V1), None, "another name");
        assert_eq!(tokens(&cache.clone(), "example.org"), ["two", "one"], "the latest first");
        assert_eq!(tokens(&cache, "example.org"), [""; 0], "and none again");
    }

    /// Row F16: servers may send any number of tokens of any length.
    #[test]
    fn f16_tokens_and_servers_beyond_the_bounds_are_forgotten() {
        let cache = SessionCache::new(3);
        for server in 0..10_u8 {
            let seat = cache.seat(&format!("server{server}"), 443);
            seat.insert_token(V1, &[1; MAX_TOKEN + 1]);
            for nth in 0..100 {
                seat.insert_token(V1, &[nth; MAX_TOKEN]);
            }
        }
        assert_eq!(cache.servers(), 3);
        assert_eq!(tokens(&cache, "server6"), [""; 0], "used longest ago");
        let kept: Vec<_> = tokens(&cache, "server7").iter().map(|token| (token[0], token.len())).collect();
        assert_eq!(kept, [(99, MAX_TOKEN), (98, MAX_TOKEN), (97, MAX_TOKEN), (96, MAX_TOKEN)]);
        let none = SessionCache::new(0);
        none.seat("a", 1).insert_token(V1, b"token");
        assert_eq!(none.servers(), 0);
        cache.clear();
        assert_eq!(cache.servers(), 0);
    }

    #[test]
    fn an_export_brings_tokens_back_and_damage_is_told() {
        let cache = SessionCache::new(8);
        for (name, token) in [("b", &b"first"[..]), ("a", b"second"), ("b", b"third")] {
            cache.seat(name, 443).insert_token(V1, token);
        }
        let bytes = cache.to_bytes();
        let again = SessionCache::from_bytes(8, &bytes).expect("an export");
        assert_eq!(again.to_bytes(), bytes);
        let small = SessionCache::from_bytes(1, &bytes).expect("an export");
        assert_eq!(
            (tokens(&small, "a"), tokens(&small, "b")),
            (vec![], vec!["third".into(), "first".into()])
        );
        let mut other = bytes.clone();
        other[0] = 9;
        let told = |bytes: &[u8]| SessionCache::from_bytes(8, bytes).map(|cache| cache.servers());
        assert_eq!(told(&other), Err(SessionCacheError::Version(9)));
        assert_eq!(told(&[]), Err(SessionCacheError::Damaged));
        assert_eq!(told(&[EXPORT_VERSION]), Ok(0));
        assert_eq!(told(&bytes[..bytes.len() - 1]), Err(SessionCacheError::Damaged));
        assert_eq!(told(&[&bytes[..], &[5]].concat()), Err(SessionCacheError::Damaged));
    }

    /// RFC 9369 §5.
    #[test]
    fn tokens_are_for_connections_of_their_version() {
        let cache = SessionCache::new(8);
        let seat = cache.seat("example.org", 443);
        assert_eq!(seat.version(), None);
        seat.insert_token(V2, b"new");
        seat.insert_token(V1, b"old");
        assert_eq!(seat.version(), Some(V1), "the latest");
        let again = SessionCache::from_bytes(8, &cache.to_bytes()).expect("an export");
        let seat = again.seat("example.org", 443);
        assert_eq!(seat.take_token(V2).as_deref(), Some(&b"new"[..]));
        assert_eq!((seat.take_token(V2), seat.version()), (None, Some(V1)));
        assert_eq!(seat.take_token(V1).as_deref(), Some(&b"old"[..]));
    }

    #[test]
    fn an_export_from_before_version_2_is_still_read() {
        let mut export = vec![EXPORT_OF_VERSION_1];
        put(&mut export, b"example.org");
        export.extend([1, 0xbb, 1]);
        put(&mut export, b"token");
        let cache = SessionCache::from_bytes(8, &export).expect("an export");
        assert_eq!(tokens(&cache, "example.org"), ["token"]);
        // And one of a version that comes after this stack: its token is left out.
        let mut export = vec![EXPORT_VERSION];
        put(&mut export, b"example.org");
        export.extend([1, 0xbb, 1, 0, 0, 0, 9]);
        put(&mut export, b"token");
        let cache = SessionCache::from_bytes(8, &export).expect("an export");
        assert_eq!(tokens(&cache, "example.org"), [""; 0]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_export_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let bytes = [&[EXPORT_VERSION][..], &bytes].concat();
            if let Ok(cache) = SessionCache::from_bytes(8, &bytes) {
                prop_assert!(cache.servers() <= 8);
                prop_assert!(SessionCache::from_bytes(8, &cache.to_bytes()).is_ok());
            }
        }
    }
}

//! What both ends need: the crypto provider and the time.

use std::{sync::Arc, time::SystemTime};

use quic_core::crypto::default_provider;
use rustls::{crypto::CryptoProvider, pki_types::UnixTime, time_provider::TimeProvider};

use crate::runtime::RuntimeHandle;

/// The ALPN protocol of HTTP/3 (RFC 9114 §3.1).
pub(crate) const ALPN_H3: &[u8] = b"h3";

/// The crypto provider of TLS, which all connections share.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: std::sync::OnceLock<Arc<CryptoProvider>> = std::sync::OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(default_provider())))
}

/// The calendar of a runtime, in the form that rustls needs.
#[derive(Debug)]
struct Calendar(RuntimeHandle);

impl TimeProvider for Calendar {
    fn current_time(&self) -> Option<UnixTime> {
        let since_epoch = self.0.wall_clock().duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(UnixTime::since_unix_epoch(since_epoch))
    }
}

/// The time source for rustls.
pub(crate) fn clock(runtime: &RuntimeHandle) -> Arc<dyn TimeProvider> {
    Arc::new(Calendar(RuntimeHandle::clone(runtime)))
}

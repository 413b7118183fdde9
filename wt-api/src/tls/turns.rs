//! The task that renews a running server's self-signed identity in time.

use std::{
    sync::{Arc, Weak},
    time::{Duration, SystemTime},
};

use super::{identities::Identities, renewal::later};
use crate::runtime::{self, RuntimeHandle};

/// How often the calendar is read. It may be set, and a machine may sleep, without the timer noticing.
const LOOK: Duration = Duration::from_secs(3_600);

/// Renews a server's identity until the server is gone, or has another kind of identity.
pub(crate) async fn renew(identities: Weak<Identities>, runtime: RuntimeHandle) {
    loop {
        let now = runtime.wall_clock();
        let Some(renewing) = identities.upgrade().and_then(|identities| look(&identities, now)) else {
            return;
        };
        let wait = renewing.duration_since(now).unwrap_or_default().min(LOOK);
        runtime::sleep_until(&runtime, runtime.now() + wait).await;
    }
}

/// Renews if it is time. Returns when to check again.
fn look(identities: &Arc<Identities>, now: SystemTime) -> Option<SystemTime> {
    let mut renewing = identities.self_signed()?;
    match renewing.renew(now) {
        Ok(true) => {
            let at = renewing.renew_at();
            // Keys are generated outside the lock, so the application may have set another identity
            // meanwhile.
            identities.renewed(renewing).then(|| {
                tracing::info!("the self-signed certificate was renewed");
                at
            })
        }
        Ok(false) => Some(renewing.renew_at()),
        Err(error) => {
            tracing::warn!(%error, "the self-signed certificate could not be renewed");
            Some(later(now, LOOK))
        }
    }
}

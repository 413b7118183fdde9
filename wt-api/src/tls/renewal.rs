//! Self-signed identities that replace each other. Clients accept a certificate by hash only if it is valid
//! for at most two weeks. So a server that runs longer needs the next certificate in time, and its clients
//! need to know it.
//!
//! Owns the schedule. It must never know clocks: the time is an argument.

use std::time::{Duration, SystemTime};

use super::identity::Identity;
use crate::{certificate_hash::CertificateHash, error::IdentityError, runtime};

const DAY: Duration = Duration::from_secs(86_400);
/// How long an identity is shown. The next one is made at the start of this period, so each exists for twice
/// this time. That is less than the 13 days for which a self-signed identity is valid.
const TURN: Duration = Duration::from_secs(6 * 86_400);
/// How long before its creation an identity's validity starts.
const EARLY: Duration = Duration::from_secs(3_600);

/// A self-signed identity and its successor, for a server that runs longer than a certificate is valid.
///
/// An identity is shown for 6 days. The next one is made when the current one is first shown. So a client
/// that knows [both hashes](Self::certificate_hashes) can connect for at least 6 more days, and each
/// certificate is replaced after 12 of its 13 days.
///
/// [`ServerBuilder::renew_self_signed`](crate::ServerBuilder::renew_self_signed) does all of this
/// automatically.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use wt_api::SelfSigned;
/// let mut identities = SelfSigned::new(["localhost"]).unwrap();
/// let [shown, next] = identities.certificate_hashes();
/// assert!(identities.renew(SystemTime::now() + Duration::from_secs(6 * 86_400)).unwrap());
/// assert_eq!(identities.current().certificate_hash(), next);
/// assert_ne!(identities.next().certificate_hash(), shown);
/// ```
#[derive(Clone, Debug)]
pub struct SelfSigned {
    names: Vec<String>,
    current: Identity,
    next: Identity,
    /// When the next identity must be shown.
    turn: SystemTime,
}

impl SelfSigned {
    /// Makes two identities for `names`, like [`Identity::self_signed`]. The first one is shown from now on.
    ///
    /// # Errors
    /// A certificate cannot contain one of the names.
    pub fn new<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Result<Self, IdentityError> {
        Self::new_at(names, runtime::wall_clock())
    }

    /// The same for another time than now.
    ///
    /// # Errors
    /// A certificate cannot contain one of the names, or the time.
    pub fn new_at<N: Into<String>>(
        names: impl IntoIterator<Item = N>,
        now: SystemTime,
    ) -> Result<Self, IdentityError> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let (current, next) =
            (Identity::self_signed_at(&names, now)?, Identity::self_signed_at(&names, now)?);
        Ok(Self { names, current, next, turn: later(now, TURN) })
    }

    /// The identity to show now.
    #[must_use]
    pub fn current(&self) -> &Identity {
        &self.current
    }

    /// The identity that will be shown next. It is already valid.
    #[must_use]
    pub fn next(&self) -> &Identity {
        &self.next
    }

    /// The hashes of both, the current one first. Clients should know both.
    #[must_use]
    pub fn certificate_hashes(&self) -> [CertificateHash; 2] {
        [self.current.certificate_hash(), self.next.certificate_hash()]
    }

    /// When the next identity must be shown.
    #[must_use]
    pub fn renew_at(&self) -> SystemTime {
        self.turn
    }

    /// If it is time, makes the next identity the current one, and makes a new next one. Returns whether it
    /// did. If the calendar has jumped too far, in either direction, both identities are new.
    ///
    /// # Errors
    /// No key could be generated. Nothing has changed then.
    pub fn renew(&mut self, now: SystemTime) -> Result<bool, IdentityError> {
        // The calendar was set back to a time before the certificates are valid.
        let not_yet = later(now, TURN + EARLY) < self.turn;
        if now < self.turn && !not_yet {
            return Ok(false);
        }
        // More than a day after its turn, the next one would expire before it is replaced.
        if not_yet || now > later(self.turn, DAY) {
            *self = Self::new_at(&self.names, now)?;
            return Ok(true);
        }
        let next = Identity::self_signed_at(&self.names, now)?;
        self.current = std::mem::replace(&mut self.next, next);
        self.turn = later(now, TURN);
        Ok(true)
    }
}

/// Adds to a time. A time that cannot be represented is never reached.
pub(super) fn later(time: SystemTime, by: Duration) -> SystemTime {
    time.checked_add(by).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WebTransportOptions;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn start() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000)
    }

    /// Whether a browser that knows its hash would accept it.
    fn is_good(identity: &Identity, now: SystemTime) -> bool {
        let options = WebTransportOptions::new().server_certificate_hashes([identity.certificate_hash()]);
        options.judge_certificate("localhost", &identity.certificate_chain(), now) == Ok(())
    }

    #[test]
    fn both_are_valid_at_every_hour_of_twenty_days_in_order() {
        let mut identities = SelfSigned::new_at(["localhost"], start()).unwrap();
        let (mut turns, mut now) = (0, start());
        while now < start() + 20 * DAY {
            let [_, next] = identities.certificate_hashes();
            if identities.renew(now).unwrap() {
                turns += 1;
                assert_eq!(identities.current().certificate_hash(), next);
                assert_eq!(identities.renew_at(), now + TURN);
            }
            assert!(is_good(identities.current(), now) && is_good(identities.next(), now), "{now:?}");
            assert_ne!(identities.current().certificate_hash(), identities.next().certificate_hash());
            now += HOUR;
        }
        assert_eq!(turns, 3);
    }

    #[test]
    fn a_calendar_that_jumps_leaves_no_invalid_identity() {
        let jumps = [TURN, TURN + DAY, TURN + DAY + HOUR, 100 * DAY];
        for (now, kept) in jumps
            .map(|jump| (start() + jump, jump <= TURN + DAY))
            .into_iter()
            .chain([(start() - 2 * HOUR, false)])
        {
            let mut identities = SelfSigned::new_at(["localhost"], start()).unwrap();
            let [_, next] = identities.certificate_hashes();
            assert!(identities.renew(now).unwrap());
            assert_eq!(identities.current().certificate_hash() == next, kept, "{now:?}");
            // Until the next turn.
            for later in [now, now + TURN] {
                assert!(
                    is_good(identities.current(), later) && is_good(identities.next(), later),
                    "{later:?}"
                );
            }
        }
        let mut identities = SelfSigned::new_at(["localhost"], start()).unwrap();
        assert!(!identities.renew(start() - HOUR).unwrap(), "still valid then");
        assert!(is_good(identities.current(), start() - HOUR));
    }

    #[test]
    fn a_name_that_no_certificate_can_hold_is_an_error() {
        assert!(matches!(SelfSigned::new_at(["exämple"], start()), Err(IdentityError::Generation(_))));
    }
}

//! Connection IDs: those issued to the peer and those the peer issued (RFC 9000 §5.1, §19.15, §19.16).
//!
//! Two halves that share nothing: [`LocalCids`] names this end, [`RemoteCids`] the other. Neither knows paths nor
//! the endpoint; new IDs come from a [`CidFactory`] and changes for the endpoint's table go out as [`CidChange`].

mod change;
mod factory;
mod local;
mod remote;
#[cfg(test)]
mod tests;

pub(crate) use local::LocalCids;
pub(crate) use remote::RemoteCids;

pub(crate) use change::ACTIVE_LIMIT;
pub use change::CidChange;
pub use factory::CidFactory;

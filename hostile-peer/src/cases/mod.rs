//! Rows that need only the endpoint's datagrams: a table of stimuli and expected reactions. They run in
//! memory, over loopback, and by the program against any endpoint.

mod case;
mod frames;
mod handshake;
mod packets;

use quic_core::Side;

pub use case::{Case, Expect, Params, Rewrite, Stimulus};
pub use frames::frames_with_fields;

/// All cases for an endpoint of this role, in the order of the table.
#[must_use]
pub fn cases(under_test: Side) -> Vec<Case> {
    let mut all = packets::cases(under_test);
    all.extend(frames::cases(under_test));
    all.extend(handshake::cases(under_test));
    all
}

//! The targets, by name.

mod bound;
pub mod capsules;
pub mod frames;
pub mod h3_frames;
pub mod hostile_steps;
pub mod packet_header;
pub mod qpack_decode;
pub mod transport_parameters;

/// A target. It returns false if it refused the input, and panics if an invariant is violated.
pub type Target = fn(&[u8]) -> bool;

/// All targets.
pub const ALL: [(&str, Target); 7] = [
    ("packet_header", packet_header::target),
    ("frames", frames::target),
    ("transport_parameters", transport_parameters::target),
    ("h3_frames", h3_frames::target),
    ("hostile_steps", hostile_steps::target),
    ("capsules", capsules::target),
    ("qpack_decode", qpack_decode::target),
];

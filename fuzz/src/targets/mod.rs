//! The targets, by name.

pub mod capsules;
pub mod frames;
pub mod h3_frames;
pub mod hostile_steps;
pub mod packet_header;
pub mod qpack_decode;
pub mod transport_parameters;

use heap_meter::Measure;

/// Heap that a byte of input may cost, beside [`ANY`], in bytes.
const A_BYTE: usize = 64;
/// Heap that any input may cost, in bytes.
const ANY: usize = 64 << 10;

/// Runs a target on an input, and asks that its heap was in proportion to the input at every moment: [`A_BYTE`] for each of
/// its bytes, [`ANY`], and what a target with a `state` may keep. `hostile_steps` holds its endpoint to three times its
/// budget and [`ANY`] itself: what a connection holds does not come of the bytes alone.
///
/// # Panics
/// If it took more.
fn bounded(data: &[u8], state: usize, check: fn(&[u8]) -> bool) -> bool {
    let permitted = A_BYTE * data.len() + ANY + state;
    let measure = Measure::start();
    let accepted = check(data);
    let most = usize::try_from(measure.peak_growth()).unwrap_or(0);
    assert!(most <= permitted, "{most} bytes of heap for {} bytes of input", data.len());
    accepted
}

/// A target: false when the input was refused, a panic when an invariant does not hold.
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

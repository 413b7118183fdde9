//! The limit of heap for an input.

use heap_meter::Measure;

/// How much heap a byte of input may cost, in bytes.
const A_BYTE: usize = 64;

/// How much heap any input may cost in addition, in bytes.
const ANY: usize = 64 << 10;

/// Runs a target on an input, and checks that its heap was always in proportion to the input: [`A_BYTE`] for
/// each of its bytes, plus [`ANY`], plus `state` for a target with a state. `hostile_steps` itself limits its
/// endpoint to three times its budget and [`ANY`], because a connection's memory does not depend on the bytes
/// alone.
///
/// # Panics
/// If it used more.
pub(super) fn bounded(data: &[u8], state: usize, check: fn(&[u8]) -> bool) -> bool {
    let permitted = A_BYTE * data.len() + ANY + state;
    let measure = Measure::start();
    let accepted = check(data);
    let most = usize::try_from(measure.peak_growth()).unwrap_or(0);
    assert!(most <= permitted, "{most} bytes of heap for {} bytes of input", data.len());
    accepted
}

//! How much heap an input may cost.

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
pub(super) fn bounded(data: &[u8], state: usize, check: fn(&[u8]) -> bool) -> bool {
    let permitted = A_BYTE * data.len() + ANY + state;
    let measure = Measure::start();
    let accepted = check(data);
    let most = usize::try_from(measure.peak_growth()).unwrap_or(0);
    assert!(most <= permitted, "{most} bytes of heap for {} bytes of input", data.len());
    accepted
}

//! The target for libFuzzer.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    weft_fuzz::targets::hostile_steps::target(data);
});

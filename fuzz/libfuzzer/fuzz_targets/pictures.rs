//! Target `pictures` of the crate `fuzz` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(init: fuzz::prepare(), |input: &[u8]| {
    fuzz::execute("pictures", input);
});

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| forever_core::fuzzing::record_verify(data));

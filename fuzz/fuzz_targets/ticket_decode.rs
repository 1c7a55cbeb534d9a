#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| forever_core::fuzzing::ticket_decode(data));

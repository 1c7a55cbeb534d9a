#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| forever_core::fuzzing::reconcile_message(data));

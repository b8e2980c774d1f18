#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| atomic_streams_fuzz::targets::letter(bytes));

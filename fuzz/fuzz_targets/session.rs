#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| moorline_fuzz_bodies::session(data));

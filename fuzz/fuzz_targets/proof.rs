#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tower_jwt_sessions_fuzz::check_proof(input));

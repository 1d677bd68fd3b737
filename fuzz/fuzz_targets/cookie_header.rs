#![no_main]

use tower_jwt_sessions_fuzz::cookie_header::TARGET;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    (TARGET.check)(input);
});

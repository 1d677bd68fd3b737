//! One kind of work, so many times, for callgrind: `scripts/instructions` runs it and asserts a budget.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use self::route::{SECRET, Subject, anonymous, call, passing_through, with_sessions};

#[path = "../../../benches/route/mod.rs"]
#[allow(dead_code, reason = "shared with benchmarks")]
mod route;

/// What callgrind counts, and nothing else.
#[inline(never)]
fn counted(work: &mut dyn FnMut() -> bool) {
    assert!(work());
}

fn main() {
    let mut args = std::env::args().skip(1);
    let (Some(work), Some(times)) = (args.next(), args.next().and_then(|times| times.parse::<u32>().ok())) else {
        panic!("usage: instructions WORK TIMES");
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let subject = runtime.block_on(Subject::new(1_000, 0));
    let (mut plain, mut ours) = (passing_through(), with_sessions(&subject.sessions));
    let (good, forged, garbage, anonymous) = (subject.good(0), subject.forged(), subject.garbage(), anonymous());
    // With the library of the crate. Benchmarks measure in HMACs of aws-lc.
    let hmac = Hmac::<Sha256>::new_from_slice(&SECRET).expect("any length is valid");
    let (signed, signature) = subject.access.rsplit_once('.').expect("a token of three parts");
    let tag = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    for _ in 0..times {
        counted(&mut || match work.as_str() {
            "hmac" => hmac.clone().chain_update(signed).verify_slice(&tag).is_ok(),
            "verify" => subject.sessions.verifier().verify(&good).is_ok(),
            "plain" => call(&mut plain, "/bare", &good) == 200,
            "session" => call(&mut ours, "/me", &good) == 200,
            "forged" => call(&mut ours, "/greet", &forged) == 200,
            "garbage" => call(&mut ours, "/greet", &garbage) == 200,
            "plain-anonymous" => call(&mut plain, "/bare", &anonymous) == 200,
            "anonymous" => call(&mut ours, "/bare", &anonymous) == 200,
            _ => false,
        });
    }
}

//! What a request allocates over the same route under a layer that does nothing. More than the budget is a failure.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use self::route::{Subject, call, passing_through, stranger, with_sessions};

#[path = "../benches/route/mod.rs"]
#[allow(dead_code, missing_docs, missing_debug_implementations, unreachable_pub, reason = "shared with benchmarks")]
mod route;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Calls of the allocator, those that move what is there included. Others of this process may disturb a single
/// attempt, though never to make it less.
fn allocations(mut work: impl FnMut()) -> usize {
    let attempt = |work: &mut dyn FnMut()| {
        let region = Region::new(ALLOCATOR);
        work();
        let change = region.change();
        change.allocations + change.reallocations
    };
    (0..20).map(|_| attempt(&mut work)).min().unwrap_or_default()
}

#[tokio::test]
async fn a_request_keeps_to_its_budget() {
    let subject = Subject::new(1_000, 0).await;
    let (mut plain, mut ours) = (passing_through(), with_sessions(&subject.sessions));
    let mut over = |path, pass, headers: &http::HeaderMap| {
        let without = allocations(|| assert_eq!(call(&mut plain, "/bare", headers), 200));
        let with = allocations(|| assert_eq!(call(&mut ours, path, headers), pass));
        println!("{path} {pass}: {with} - {without} = {}", with as isize - without as isize);
        with as isize - without as isize
    };
    let (good, forged, garbage) = (subject.good(0), subject.forged(), subject.garbage());
    for (path, pass, headers) in [("/bare", 200, &stranger()), ("/greet", 200, &stranger()), ("/me", 401, &stranger()),("/bare", 200, &good), ("/me", 200, &good), ("/greet", 200, &good), ("/greet", 200, &forged), ("/bare", 200, &garbage), ("/me", 401, &garbage)] {
        over(path, pass, headers);
    }

}

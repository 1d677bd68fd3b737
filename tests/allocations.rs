//! Counts what a request allocates beyond the same route under a layer that does nothing, and compares it to a budget.

use std::alloc::System;

use axum::Router;
use http::HeaderMap;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use self::route::{Subject, anonymous, call, headers, passing_through, served, with_sessions};

#[path = "../benches/route/mod.rs"]
#[allow(dead_code, missing_docs, missing_debug_implementations, unreachable_pub, reason = "shared with benchmarks")]
mod route;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Returns the calls of the allocator. Threads of the test harness may add calls to one attempt, but remove none.
fn allocations(router: &mut Router, path: &'static str, headers: &HeaderMap, status: u16) -> usize {
    let attempt = |_| {
        let region = Region::new(ALLOCATOR);
        assert_eq!(call(router, path, headers), status);
        let change = region.change();
        change.allocations + change.reallocations
    };
    (0..20).map(attempt).min().unwrap_or_default()
}

/// A single test, since all threads of a process share the allocator.
#[tokio::test]
async fn request_stays_within_allocation_budget() {
    let subject = Subject::new(1_000, 0).await;
    let anonymous = anonymous();
    let over = |plain: &mut Router, ours: &mut Router, path, status, headers: &HeaderMap| {
        let without = allocations(plain, "/bare", headers, 200);
        allocations(ours, path, headers, status) - without
    };

    // The table of extensions has a capacity of three before it grows, and axum inserts three.
    let (mut plain, mut ours) = (passing_through(), with_sessions(&subject.sessions));
    let mut added = |path, headers: &HeaderMap| over(&mut plain, &mut ours, path, 200, headers);
    // The growth, two extensions, the session itself, and one string among its claims.
    assert_eq!(added("/me", &subject.good(0)), 5);
    assert_eq!(added("/me", &subject.good(20)), 5);
    assert_eq!(added("/greet", &subject.good(0)), 5);
    // The growth and two extensions, one of which holds the reason.
    assert_eq!(added("/greet", &subject.forged()), 3);
    assert_eq!(added("/greet", &subject.garbage()), 3);
    // The growth: the extension of an anonymous request has no size.
    assert_eq!(added("/bare", &anonymous), 1);
    assert_eq!(added("/greet", &anonymous), 1);
    assert_eq!(added("/greet", &headers("theme=dark; lang=en")), 1);

    // A layer that can renew costs the same where it does not.
    #[cfg(feature = "router")]
    {
        let mut ours = route::without_layer().layer(subject.sessions.renewal_layer());
        let mut added = |path, headers: &HeaderMap| over(&mut plain, &mut ours, path, 200, headers);
        assert_eq!(added("/me", &subject.good(0)), 5);
        assert_eq!(added("/greet", &subject.garbage()), 3);
        assert_eq!(added("/greet", &anonymous), 1);
    }

    // With a fourth extension the table has grown already.
    let (mut plain, mut ours) = (served(passing_through()), served(with_sessions(&subject.sessions)));
    let mut added = |path, headers: &HeaderMap| over(&mut plain, &mut ours, path, 200, headers);
    assert_eq!(added("/me", &subject.good(0)), 4);
    assert_eq!(added("/bare", &anonymous), 0);
    assert_eq!(added("/greet", &anonymous), 0);
    assert_eq!(added("/greet", &headers("theme=dark; lang=en")), 0);
}

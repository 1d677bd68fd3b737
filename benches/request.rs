//! A whole request in process: the cost that layer and extractor add to a route, in units of an HMAC of the same bytes.

#![allow(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::{hint::black_box, num::NonZero, sync::Barrier, thread, time::Instant};

use axum::Router;
use http::HeaderMap;

use self::route::{Subject, anonymous, call, headers, passing_through, served, with_sessions, without_layer};

#[allow(unreachable_pub, dead_code, missing_docs, reason = "shared with tests")]
mod route;

const ROUNDS: usize = 200;
const REPEAT: usize = 200;

/// Returns the nanoseconds per call.
fn timed(mut call: impl FnMut() -> bool) -> f64 {
    let began = Instant::now();
    for _ in 0..REPEAT {
        assert!(black_box(call()));
    }
    began.elapsed().as_nanos() as f64 / REPEAT as f64
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Measurements taken in turn, so that other load on the machine affects all of them.
struct Round<'s> {
    hmac: f64,
    bare: f64,
    passing: f64,
    ours: f64,
    verify: f64,
    subject: &'s Subject,
}

fn rounds<'s>(
    subject: &'s Subject,
    paths: (&'static str, &'static str),
    headers: &HeaderMap,
    status: u16,
) -> Vec<Round<'s>> {
    rounds_in(|router| router, subject, paths, headers, status)
}

/// Like `rounds`, with `surround` applied to each router.
fn rounds_in<'s>(
    surround: fn(Router) -> Router,
    subject: &'s Subject,
    (plain_path, path): (&'static str, &'static str),
    headers: &HeaderMap,
    status: u16,
) -> Vec<Round<'s>> {
    let (mut without, mut passing) = (surround(without_layer()), surround(passing_through()));
    let mut ours = surround(with_sessions(&subject.sessions));
    let responds = |router: &mut Router, path, status: u16| call(router, path, headers) == status;
    let verifier = subject.sessions.verifier();
    (0..ROUNDS)
        .map(|_| Round {
            hmac: timed(|| subject.hmac()),
            bare: timed(|| responds(&mut without, plain_path, 200)),
            passing: timed(|| responds(&mut passing, plain_path, 200)),
            ours: timed(|| responds(&mut ours, path, status)),
            verify: timed(|| {
                black_box(verifier.verify(black_box(headers)).is_ok());
                true
            }),
            subject,
        })
        .collect()
}

/// Prints one line: the medians of the ratios and of the nanoseconds.
fn print(name: &str, rounds: &[Round<'_>]) {
    let of = |value: &dyn Fn(&Round<'_>) -> f64| median(&mut rounds.iter().map(value).collect::<Vec<_>>());
    println!(
        "{name:<44} adds {:>5.2} HMAC ({:>5.0} ns), verify {:>5.2} HMAC ({:>5.0} ns); HMAC {:>4.0} ns of {} bytes, \
         layer of axum {:>4.0} ns, route {:>4.0} ns",
        of(&|round| (round.ours - round.passing) / round.hmac),
        of(&|round| round.ours - round.passing),
        of(&|round| round.verify / round.hmac),
        of(&|round| round.verify),
        of(&|round| round.hmac),
        rounds.first().map_or(0, |round| round.subject.access.len()),
        of(&|round| round.passing - round.bare),
        of(&|round| round.bare),
    );
}

/// Returns the requests per second with so many threads, each with its own router over the same manager.
fn throughput(subject: &Subject, headers: &HeaderMap, threads: usize) -> f64 {
    const EACH: usize = 300_000;
    let ready = Barrier::new(threads + 1);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut router = with_sessions(&subject.sessions);
                ready.wait();
                for _ in 0..EACH {
                    assert_eq!(call(&mut router, "/me", headers), 200);
                }
                ready.wait();
            });
        }
        ready.wait();
        let began = Instant::now();
        ready.wait();
        (EACH * threads) as f64 / began.elapsed().as_secs_f64()
    })
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let subject = |revoked, padding| runtime.block_on(Subject::new(revoked, padding));
    const SOME: usize = 100_000;

    let usual = subject(SOME, 0);
    let (good, me) = (usual.good(0), ("/bare", "/me"));
    println!("a session, {SOME} revocations");
    print("layer and Session", &rounds(&usual, me, &good, 200));
    print("layer alone", &rounds(&usual, ("/bare", "/bare"), &good, 200));
    println!("\nno session");
    print("no cookie", &rounds(&usual, ("/bare", "/bare"), &anonymous(), 200));
    print("no cookie, Option<Session>", &rounds(&usual, ("/bare", "/greet"), &anonymous(), 200));
    print("a cookie of others, Option<Session>", &rounds(&usual, ("/bare", "/greet"), &headers("theme=dark"), 200));
    print("garbage, Option<Session>", &rounds(&usual, ("/bare", "/greet"), &usual.garbage(), 200));
    print("forged, Option<Session>", &rounds(&usual, ("/bare", "/greet"), &usual.forged(), 200));
    print("garbage, Session: the 401 response", &rounds(&usual, me, &usual.garbage(), 401));
    println!("\nwith the client's address in the extensions");
    print("layer and Session", &rounds_in(served, &usual, me, &good, 200));
    print("no cookie", &rounds_in(served, &usual, ("/bare", "/bare"), &anonymous(), 200));
    print("no cookie, Option<Session>", &rounds_in(served, &usual, ("/bare", "/greet"), &anonymous(), 200));
    println!("\nother cookies");
    for others in [1, 20] {
        print(&format!("{others}"), &rounds(&usual, me, &usual.good(others), 200));
    }
    println!("\nthe revocation list");
    for revoked in [0, 10_000, 1_000_000] {
        let subject = subject(revoked, 0);
        print(&format!("{revoked}"), &rounds(&subject, me, &subject.good(0), 200));
    }
    println!("\nthe token");
    for padding in [440, 1_960] {
        let subject = subject(SOME, padding);
        print(&format!("{} bytes", subject.access.len()), &rounds(&subject, me, &subject.good(0), 200));
    }
    println!("\nthreads, total requests per second");
    let one = throughput(&usual, &good, 1);
    for threads in 1..=thread::available_parallelism().map_or(1, NonZero::get) {
        let all = throughput(&usual, &good, threads);
        println!("{threads:<44} {:>7.0}, {:.2} times that of one", all, all / one);
    }
}

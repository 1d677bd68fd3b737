//! The revocation list: bytes per entry and the time of a look-up.

#![allow(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::{
    fs,
    hint::black_box,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use self::{id::SessionId, store::Revocation, table::SessionTable};

mod id {
    pub(crate) use tower_jwt_sessions::SessionId;
}
mod store {
    pub(crate) use tower_jwt_sessions::store::Revocation;
}
#[path = "../src/revocation/table/mod.rs"]
#[allow(dead_code, unused_imports, reason = "includes unit tests, which do not run here")]
mod table;

const ENTRIES: u64 = 1_000_000;
const NOW: u32 = 1_000;

fn session(n: u64) -> SessionId {
    let mut bits = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^= bits >> 31;
    SessionId::from_bytes((u128::from(bits) << 64 | u128::from(n)).to_be_bytes())
}

/// Returns the memory of this process in bytes; `None` without `/proc`.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

fn later(secs: u32) -> u32 {
    NOW + secs
}

fn is_revoked(list: &SessionTable, session: SessionId) -> bool {
    list.find(session, |min_epoch| min_epoch > 0, || NOW).is_some()
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() - 1) * percent / 100]
}

/// Looks up sessions in random order; few of them are revoked.
fn look_up(list: &SessionTable, sessions: &[SessionId]) -> f64 {
    let began = Instant::now();
    let revoked = sessions.iter().filter(|session| is_revoked(black_box(list), **session)).count();
    black_box(revoked);
    began.elapsed().as_nanos() as f64 / sessions.len() as f64
}

/// The slowest of many calls, each timed alone.
fn tail(list: &SessionTable, sessions: &[SessionId]) -> (Duration, Duration) {
    let mut times: Vec<Duration> = Vec::with_capacity(sessions.len());
    for session in sessions {
        let began = Instant::now();
        black_box(is_revoked(list, *session));
        times.push(began.elapsed());
    }
    times.sort_unstable();
    (percentile(&times, 50), percentile(&times, 99))
}

fn main() {
    let list = SessionTable::unbounded();
    let before = resident();
    let mut calls: Vec<Duration> = Vec::with_capacity(ENTRIES as usize);
    calls.resize(ENTRIES as usize, Duration::ZERO);
    let before = before.and(resident());
    for (n, call) in (0..ENTRIES).zip(&mut calls) {
        let began = Instant::now();
        list.raise(session(n), Revocation::ENDED, later(60), NOW);
        *call = began.elapsed();
    }
    if let (Some(before), Some(after)) = (before, resident()) {
        println!("{:.1} bytes per entry at {ENTRIES} entries", (after - before) as f64 / ENTRIES as f64);
    }
    calls.sort_unstable();
    println!(
        "revoke: p50 {:.0?}, p99 {:.0?}, longest {:.0?}",
        percentile(&calls, 50),
        percentile(&calls, 99),
        calls[calls.len() - 1]
    );

    let mixed = |share: u64| -> Vec<SessionId> {
        (0..ENTRIES)
            .map(|n| session(n.wrapping_mul(7_919) % ENTRIES + if n % 100 < share { 0 } else { ENTRIES * 2 }))
            .collect()
    };
    for (name, sessions) in [("1 % revoked", mixed(1)), ("all revoked", mixed(100))] {
        look_up(&list, &sessions);
        println!("look-up, idle, {name}: {:.1} ns", look_up(&list, &sessions));
    }
    let sessions = mixed(1);
    let clock = tail(&SessionTable::unbounded(), &sessions);
    println!(
        "look-up, idle, timed singly: p50 {:?}, p99 {:?} (of which the clock {:?})",
        tail(&list, &sessions).0,
        tail(&list, &sessions).1,
        clock.0
    );
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            // Adds entries at full speed, while as many expire.
            let mut written = 0;
            while !stop.load(Ordering::Relaxed) {
                let now = later(60 + written / 100_000);
                list.raise(session(ENTRIES * 4 + u64::from(written)), Revocation::ENDED, now + 10, now);
                written += 1;
            }
            written
        });
        let began = Instant::now();
        let mean = look_up(&list, &sessions);
        let (p50, p99) = tail(&list, &sessions);
        let elapsed = began.elapsed();
        stop.store(true, Ordering::Relaxed);
        let written = writer.join().expect("the writer counts");
        println!(
            "look-up while {:.1} million revocations per second arrive: {mean:.1} ns; one by one p50 {p50:?}, p99 {p99:?}",
            f64::from(written) / elapsed.as_secs_f64() / 1e6
        );
    });

    let mut longest = Duration::ZERO;
    for n in 0..ENTRIES / 10 {
        let began = Instant::now();
        list.raise(session(ENTRIES * 1_000 + n), Revocation::ENDED, later(200_000), later(100_000));
        longest = longest.max(began.elapsed());
    }
    println!("revoke after all other entries have expired: longest {longest:.0?}");
}

//! The allocations that each app adds to a bare axum route. A separate program, since counting takes time.

use std::{alloc::System, hint::black_box};

use peers::{BoxError, Peer, in_process};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CALLS: usize = 1_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    println!("| | allocations | added to the bare route |\n|---|---|---|");
    let mut bare = None;
    for mut peer in in_process().await? {
        let own = allocations(&mut peer).await;
        let bare = *bare.get_or_insert(own);
        println!("| {} | {own} | {} |", peer.name, own - bare);
    }
    Ok(())
}

/// Counts the allocations of one call and its response, without those of the request itself.
async fn allocations(peer: &mut Peer) -> isize {
    let mut total = 0;
    for _ in 0..CALLS {
        let request = peer.me();
        let region = Region::new(ALLOCATOR);
        drop(black_box(Peer::call(&mut peer.app, request).await));
        let change = region.change();
        total += change.allocations + change.reallocations;
    }
    // Rounds away what happens once in many requests.
    isize::try_from(total / CALLS).unwrap_or(isize::MAX)
}

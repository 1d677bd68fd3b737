//! The time that each app adds to a bare axum route in process, in units of one HMAC-SHA256 over our token.

use std::{env, hint::black_box, time::Instant};

use peers::{BoxError, Peer, bare_hmac, in_process, median, on_redis};

const ROUNDS: usize = 41;
const CALLS: u32 = 2_000;
/// Fewer, since each takes a round trip.
const CALLS_ON_REDIS: u32 = 200;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let mut peers: Vec<(Peer, u32)> = in_process().await?.into_iter().map(|peer| (peer, CALLS)).collect();
    if let Ok(url) = env::var("REDIS_URL") {
        peers.extend(on_redis(&url).await?.into_iter().map(|peer| (peer, CALLS_ON_REDIS)));
    }
    let hmac = peers.iter().find(|(peer, _)| peer.name == "tower-jwt-sessions").ok_or("we are missing")?;
    let hmac = bare_hmac(&hmac.0)?;

    let mut hmac_nanos = Vec::new();
    let mut nanos = vec![Vec::new(); peers.len()];
    // In turn, so that other load on the machine affects all.
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        for _ in 0..CALLS {
            assert!(black_box(&hmac)());
        }
        hmac_nanos.push(begun.elapsed().as_nanos() as f64 / f64::from(CALLS));
        for ((peer, calls), nanos) in peers.iter_mut().zip(&mut nanos) {
            let begun = Instant::now();
            for _ in 0..*calls {
                let request = peer.me();
                let response = Peer::call(&mut peer.app, request).await;
                assert!(black_box(response).status().is_success());
            }
            nanos.push(begun.elapsed().as_nanos() as f64 / f64::from(*calls));
        }
    }

    let hmac = median(&hmac_nanos);
    println!("one HMAC-SHA256 over our token: {hmac:.0} ns; medians of {ROUNDS} rounds\n");
    println!(
        "| | a request | adds to the bare route | in HMACs | in HMACs, over the empty layer |\n|---|---|---|---|---|"
    );
    for ((peer, _), own) in peers.iter().zip(&nanos) {
        let over = |base: &[f64]| -> Vec<f64> { own.iter().zip(base).map(|(own, base)| own - base).collect() };
        let in_hmacs = |added: &[f64]| -> f64 {
            median(&added.iter().zip(&hmac_nanos).map(|(added, hmac)| added / hmac).collect::<Vec<_>>())
        };
        let (added, over_layer) = (over(&nanos[0]), in_hmacs(&over(&nanos[1])));
        let (in_hmacs, own, added) = (in_hmacs(&added), median(own) / 1e3, median(&added) / 1e3);
        println!("| {} | {own:.2} µs | {added:.2} µs | {in_hmacs:.1} | {over_layer:.1} |", peer.name);
    }
    Ok(())
}
